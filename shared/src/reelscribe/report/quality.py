"""What subtitle-gen found when it checked the cues against its profile."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from reelscribe.report.sources import Sources


def of_track(sources: Sources, language: str) -> dict[int, dict[str, Any]]:
    """By the key() of a cue's start: its `cps`, characters a second, and `faults`, the rules it breaks.

    By start, not by number: somebody may have edited the file since.
    """
    found: dict[int, dict[str, Any]] = {}
    for track in sources.qc.tracks if sources.qc else []:
        if track.language != language:
            continue
        faults: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for violation in track.violations:
            faults[violation.cue].append(violation.model_dump(include={"rule", "value", "limit"}))
        found.update({key(round(cue.start * 1000)): {"cps": cue.cps, "faults": faults[cue.id]} for cue in track.cues})
    return found


def key(start_ms: int) -> int:
    """Hundredths: an ASS file knows no more of a time."""
    return start_ms // 10


def summary(sources: Sources) -> dict[str, Any] | None:
    """The profile, and what is not shown and why; None while nothing is checked."""
    if sources.qc is None:
        return None
    hidden = [{"start": h.start, "language": h.language, "text": h.text, "marks": h.marks} for h in sources.qc.hidden]
    return {"profile": sources.qc.profile, "frame_rate": sources.qc.fps or "", "shots": sources.qc.shots, "hidden": hidden}
