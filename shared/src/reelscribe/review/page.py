"""The report as it is served for review: the same page with edit.js, films by their addresses here, and what can be edited where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reelscribe import edits
from reelscribe.edits import Track
from reelscribe.report import data, html
from reelscribe.report.sources import Sources
from reelscribe.review import files
from reelscribe.review.desk import Desk, lines_of
from reelscribe.schemas import Segment

STYLES = (*html.STYLES, "edit.css")
SCRIPTS = (*html.SCRIPTS, "edit.js")
_CONNECT = "'self'"


def page(collected: dict[str, Any]) -> str:
    """The HTML of what collect() gives."""
    return html.page(collected, styles=STYLES, scripts=SCRIPTS, connect=_CONNECT)


def policy() -> str:
    """The page's Content-Security-Policy as a header, which can also forbid frames."""
    return html.policy_of(STYLES, SCRIPTS, _CONNECT) + "; frame-ancestors 'none'"


def collect(movie_dir: Path, desk: Desk, told: Mapping[str, Any]) -> dict[str, Any]:
    """The report's data; `told` is what Reruns.tell() says."""
    sources = Sources(movie_dir)
    found = data.collect(sources)
    media = [name for name in files.allowed(sources.dir) if name.startswith("media/")]
    found["videos"] = [f"./{name}" for name in media]
    translated = bool(sources.corrected and sources.corrected.translation)
    for track in found["tracks"]:
        _add_words(track, sources, english=translated and track["language"] == "en")
    return {**found, "review": review(movie_dir, desk, told)}


def review(movie_dir: Path, desk: Desk, told: Mapping[str, Any]) -> dict[str, Any]:
    """What the user has written so far, and what becomes of it."""
    kept, lines = desk.kept()
    stale = set(edits.followed(movie_dir).stale)
    changes = [
        {"id": e.id, "start": e.start, "was": e.was, "text": e.text, "english": e.english, "stale": e.id in stale} for e in kept.edits
    ]
    return {**told, "edits": changes, "names": {rename.label: rename.name for rename in kept.names}, "lines": lines}


def _add_words(track: dict[str, Any], sources: Sources, *, english: bool) -> None:
    """Give every cue whose words are known `edit`: from when to when they are, and how they read."""
    shown = sources.corrected
    checked = next((t for t in sources.qc.tracks if t.language == track["language"]), None) if sources.qc else None
    if shown is None or checked is None:
        return
    segments: list[Segment] = (shown.translation or []) if english else shown.segments
    words = Track.of([], segments, "en" if english else shown.language)
    spans = {round(1000 * cue.start): range(cue.words[0], cue.words[1] + 1) for cue in checked.cues}
    for cue in track["cues"]:
        span = spans.get(round(1000 * cue["start"]))
        if span and span.stop <= len(words.words):
            start, end = words.times(span)
            lines = [line for _, line in lines_of(words, span)]
            # While stages run, the words may be newer than the cues.
            if all(_letters(line) in _letters("".join(run["text"] for run in cue["runs"])) for line in lines):
                cue["edit"] = {"start": start, "end": end, "english": english, "text": "\n".join(lines)}


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())
