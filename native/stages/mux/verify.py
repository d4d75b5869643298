"""Whether the result is what was planned."""

from __future__ import annotations

from collections.abc import Iterator

from mux.plan import Plan
from reelscribe.probe import language_code
from reelscribe.schemas import Contents, Media

_TOLD = frozenset(["default", "forced", "hearing_impaired"])


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


def _track_faults(plan: Plan, result: Contents) -> Iterator[str]:
    """Language, title and flags of each new track, and whether viewers see it and no older one unasked."""
    subtitles = result.of_kind("subtitle")
    older = len(subtitles) - len(plan.tracks)
    for track, stream in zip(plan.tracks, subtitles[older:], strict=False):
        told = plan.flags(track)
        imposed = {"default"} if plan.imposed else set()
        flags = [d for d in stream.dispositions if d in told or d in _TOLD - imposed]  # MP4 calls what is for the deaf captions, too
        for what, planned, there in (
            ("language", language_code(track.language), stream.language),
            ("title", track.title, stream.title),
            ("flags", _listed(told), _listed(flags)),
        ):
            if planned != there:
                yield f"the new track's {what}: {there} instead of {planned}"
    if plan.shows_new and not plan.imposed and any(s.default for s in subtitles[:older]):
        yield "an older subtitle track is still the default"


def _duration_faults(media: Media, result: Contents) -> Iterator[str]:
    """Headers round, and count a stream's start in or not."""
    if media.duration and abs(result.duration - media.duration) > max(2.0, 0.01 * media.duration):
        yield f"it lasts {result.duration:.1f} s instead of {media.duration:.1f} s"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"
