"""What the schemas of demux leave out and a copy must keep: tags, rotation, what the file calls itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mux.plan import Plan
from reelscribe import probe
from reelscribe.schemas import Contents, Stream

BRANDS = ("major_brand", "minor_version", "compatible_brands")
# Written anew by every muxer, or compared otherwise: versions, sizes, names of tracks (as titles), languages.
_OWN = frozenset([*BRANDS, "encoder", "duration", "language", "title", "name", "handler_name", "vendor_id", "timecode"])
_STATISTICS = ("bps", "number_of_", "_statistics_")


@dataclass
class Extras:
    """Tags of the movie, of each stream and of each chapter, names in small letters; degrees by which each picture is turned."""

    kind: str
    tags: dict[str, str]
    streams: list[dict[str, str]]
    chapters: list[dict[str, str]]
    bits: dict[int, int] = field(default_factory=dict)
    rotations: dict[int, int] = field(default_factory=dict)


def extras(movie: Path) -> Extras:
    """The extras of `movie`; rotations and bits of a colour by the index of the stream."""
    from av.stream import Disposition

    with probe.opened(movie) as container:
        found = Extras(
            kind(movie),
            _small(container.metadata),
            [_small(s.metadata) for s in container.streams],
            [_small(c["metadata"]) for c in container.chapters()],
        )
        for stream in container.streams.video:
            found.bits[stream.index] = stream.format.components[0].bits if stream.format else 8
            if not stream.disposition & Disposition.attached_pic:
                found.rotations[stream.index] = _rotation(container, stream)
    return found


def kind(movie: Path) -> str:
    """What the file calls itself, where it does: EBML's DocType ("webm"), MP4's major brand ("isom", "qt")."""
    with open(movie, "rb") as f:
        head = f.read(64)
    if head[4:8] == b"ftyp":
        return head[8:12].decode("latin-1").strip()
    at = head.find(b"\x42\x82")  # the element's id; one byte of length follows, its first bit set
    return head[at + 3 : at + 3 + (head[at + 2] & 0x7F)].decode("latin-1") if head[:4] == b"\x1a\x45\xdf\xa3" and at > 0 else ""


def lost(plan: Plan, media: Contents, before: Extras, result: Contents, after: Extras) -> Iterator[str]:
    """What the result lacks although its streams are all there, each in words."""
    for name in _missing(before.tags, after.tags):
        yield f"the tag {name}"
    for number, (old, new) in enumerate(zip(before.chapters, after.chapters, strict=False), 1):
        for name in _missing(old, new):
            yield f"the tag {name} of chapter {number}"
    for stream, copy in pairs(plan, result):
        yield from (f"{what} of {stream.kind} {stream.index}" for what in _lost_of(plan, stream, copy, before, after))


def pairs(plan: Plan, result: Contents) -> Iterator[tuple[Stream, Stream]]:
    """Each kept stream with its copy, kind by kind."""
    for stream_kind in ("video", "audio", "subtitle"):
        kept = [s for s in plan.streams if s.kind == stream_kind and not s.cover]
        yield from zip(kept, [s for s in result.of_kind(stream_kind) if not s.cover], strict=False)


def _lost_of(plan: Plan, stream: Stream, copy: Stream, before: Extras, after: Extras) -> Iterator[str]:
    if stream.language and stream.language != copy.language:
        yield f"the language {stream.language}"
    if stream.title and stream.title != copy.title:
        yield f"the title {stream.title}"
    # which one is the default is compared among subtitles by verify; of pictures and sound MP4 always has one
    for flag in {*plan.dispositions(stream)} - {*copy.dispositions, "default"}:
        yield f"the flag {flag}"
    for name in _missing(before.streams[stream.index], after.streams[copy.index]):
        yield f"the tag {name}"
    turned = 0 if stream.index in plan.converted else before.rotations.get(stream.index, 0)
    if stream.kind == "video" and turned != after.rotations.get(copy.index, 0):
        yield "the rotation"


def _missing(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [name for name in old if name not in new and name not in _OWN and not name.startswith(_STATISTICS)]


def _small(tags: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in tags.items()}


def _rotation(container: Any, stream: Any) -> int:
    """Degrees, from the first picture that can be decoded."""
    import av

    try:
        container.seek(0)
        frame = next(container.decode(stream), None)
    except av.FFmpegError:
        return 0
    return int(frame.rotation) if frame else 0
