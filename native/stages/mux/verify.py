"""Whether the result is what was planned."""

from __future__ import annotations

from mux.plan import Plan
from reelscribe.probe import language_code
from reelscribe.schemas import Contents, Media


def faults(plan: Plan, media: Media, result: Contents) -> list[str]:
    """What is wrong with `result`, each in words; empty when all is as planned."""
    found = []
    for kind in ("video", "audio", "subtitle"):
        planned, there = plan.codecs(kind), [s.codec for s in result.of_kind(kind) if not s.cover]
        if planned != there:
            found.append(f"{kind}: {_listed(there)} instead of {_listed(planned)}")
    covers = len(plan.covers) + sum(s.cover for s in plan.streams)
    for what, planned_count, count in (
        ("covers", covers, sum(s.cover for s in result.streams)),
        ("attachments", sum(s.kind == "attachment" for s in plan.streams), len(result.of_kind("attachment"))),
        ("chapters", len(media.chapters), len(result.chapters)),
    ):
        if planned_count != count:
            found.append(f"{count} {what} instead of {planned_count}")
    return [*found, *_track_faults(plan, result), *_duration_faults(media, result)]


def _track_faults(plan: Plan, result: Contents) -> list[str]:
    subtitles = result.of_kind("subtitle")
    made = subtitles[len(subtitles) - len(plan.tracks) :]
    found = [
        f"the new track's language is {stream.language} instead of {track.language}"
        for track, stream in zip(plan.tracks, made, strict=False)
        if stream.language != language_code(track.language)
    ]
    defaults = [s.default for s in subtitles]
    if plan.has_default and defaults != [False] * (len(subtitles) - len(plan.tracks)) + [t.default for t in plan.tracks]:
        found.append("the new track is not the default")
    return found


def _duration_faults(media: Media, result: Contents) -> list[str]:
    """Headers round, and count a stream's start in or not."""
    if not media.duration or abs(result.duration - media.duration) <= max(2.0, 0.01 * media.duration):
        return []
    return [f"it lasts {result.duration:.1f} s instead of {media.duration:.1f} s"]


def _listed(codecs: list[str]) -> str:
    return ", ".join(codecs) or "none"
