"""How the movie was made, stage by stage, and what the reader must know before trusting it. Only this part may differ between runs."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Any

from reelscribe.manifest import Manifest
from reelscribe.report.sources import Sources
from reelscribe.stage_table import Row


def collect(sources: Sources) -> list[dict[str, Any]]:
    """Every stage, done or not, in order."""
    return [_stage(row, record) for row, record in sources.manifests]


def _stage(row: Row, record: Manifest | None) -> dict[str, Any]:
    if record is None:
        return {"name": row.name, "state": "not run"}
    computes = record.device and record.engine.get("kind")
    return {
        "name": row.name,
        "state": _state(record),
        "engine": str(record.engine.get("name", "")),
        "model": str(record.engine.get("model", "")),
        "device": record.device.device if record.device and computes else "",
        "compute": record.device.compute if record.device and computes else "",
        "reason": record.device.reason if record.device and computes else "",
        "started": record.run.started,
        "seconds": record.run.seconds,
        "peak_mb": record.run.peak_rss_mb,
        "fallbacks": [_without_home(fallback) for fallback in record.fallbacks],
        "error": _without_home(record.error or ""),
        "settings": {name: _setting(o.value) for name, o in sorted(record.options.items()) if o.source != "default"},
        "packages": {name: str(version) for name, version in record.engine.get("packages", {}).items()},
    }


def _setting(value: Any) -> str:
    """A value in one line; of a path its name: the page may be shown to people whom the machine's folders do not concern."""
    text = str(value)
    return PurePath(text).name if PurePath(text).is_absolute() else text


def _without_home(text: str) -> str:
    """Messages name files; whose home they are in concerns nobody to whom the page is passed on."""
    home = os.path.expanduser("~")  # noqa: PTH111 — Path.home() fails where there is none
    return text.replace(f"{home}/", "~/") if len(home) > 1 else text


def _state(record: Manifest) -> str:
    """A stage that still says "running" was killed: the report is written when no stage runs."""
    return "stopped" if record.status == "running" else record.status


def banners(sources: Sources) -> list[dict[str, str]]:
    """What is said above everything else: kind (error, warning), title and text."""
    found = [*_failures(sources), *_draft(sources), *_degraded(sources)]
    # The last, for reading what is above may have found more of it.
    return [*found, *({"kind": "warning", "title": "A file cannot be read", "text": problem} for problem in sources.problems)]


def _failures(sources: Sources) -> list[dict[str, str]]:
    states = [(row.name, record, _state(record)) for row, record in sources.manifests if record]
    found = [
        {
            "kind": "error",
            "title": f"The stage {name} {'failed' if state == 'failed' else 'was stopped'}",
            "text": _without_home(record.error or ""),
        }
        for name, record, state in states
        if state in ("failed", "stopped")
    ]
    missing = [row.name for row, record in sources.manifests if record is None]
    if missing and not found:
        found.append({"kind": "warning", "title": "Not finished", "text": f"These stages have not run: {', '.join(missing)}."})
    return found


def _draft(sources: Sources) -> list[dict[str, str]]:
    if sources.transcript is None or not sources.transcript.draft:
        return []
    text = f"These words were heard by {sources.transcript.engine}, which errs often. With a Whisper model they would be better."
    return [{"kind": "warning", "title": "Draft", "text": text}]


def _degraded(sources: Sources) -> list[dict[str, str]]:
    degraded = [chunk for chunk in sources.chunks.values() if chunk.degraded]
    if not degraded:
        return []
    how = ", ".join(dict.fromkeys(what for chunk in degraded for what in chunk.degraded))
    text = f"{len(degraded)} of {len(sources.chunks)} chunks were decoded with less ({how}). --retry-degraded decodes them anew, in full."
    return [{"kind": "warning", "title": "Degraded", "text": text}]
