"""What goes into the result: its container, the movie's streams, the new subtitle tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from reelscribe.schemas import Media, Stream, Track

_FORMATS = ("srt", "vtt")  # the same cues, the best first
_ESSENTIAL = ("video", "audio")
_NAMES = {"data": "data stream", "subtitle": "subtitle track"}


@dataclass(frozen=True)
class Target:
    """A container: ffmpeg's `muxer`, the file's `suffix`, the codec of new subtitles, and which of ISO 639-2's codes it wants.

    `options` are the muxer's own.
    """

    name: str
    muxer: str
    suffix: str
    text_codec: str
    language_variant: str
    options: tuple[str, ...] = ()


# Matroska's Language element is ISO 639-2/B (https://www.matroska.org/technical/elements.html), MP4's is 639-2/T (ISO 14496-12).
MKV = Target("MKV", "matroska", ".mkv", "subrip", "B")
# "experimental": TrueHD in MP4 is; what the movie has already, its copy may have, too.
MP4 = Target("MP4", "mp4", ".mp4", "mov_text", "T", ("-strict", "experimental"))


@dataclass
class Plan:
    """`streams` are copied in this order; a subtitle with an entry in `converted` (by its index) gets that codec instead.

    `covers` go into MKV as attachments; `left_out`: what the container cannot hold, in words.
    """

    target: Target
    why: str
    streams: list[Stream] = field(default_factory=list)
    converted: dict[int, str] = field(default_factory=dict)
    covers: list[Stream] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)

    @property
    def has_default(self) -> bool:
        """Whether a new track is the one that players show of themselves."""
        return any(t.default for t in self.tracks)

    def dispositions(self, stream: Stream) -> list[str]:
        """The flags `stream` has in the result: players show the first default, and that is to be the new track."""
        hidden = {"default"} if stream.kind == "subtitle" and self.has_default else set()
        return [d for d in stream.dispositions if d not in hidden]

    def codecs(self, kind: str) -> list[str]:
        """The codecs of the result's streams of one kind, in order, without covers."""
        kept = [self.converted.get(s.index, s.codec) for s in self.streams if s.kind == kind and not s.cover]
        return kept + [self.target.text_codec for _ in self.tracks if kind == "subtitle"]


def make(media: Media, tracks: Sequence[Track], mp4_codecs: frozenset[str], mkv_codecs: frozenset[str]) -> Plan:
    """The plan for a movie; `…_codecs` are those that FFmpeg's muxers accept."""
    target, why = choose_target(media, mp4_codecs)
    plan = Plan(target, why, tracks=choose_tracks(tracks))
    for stream in media.streams:
        (_into_mp4 if target is MP4 else _into_mkv)(plan, stream, media, mp4_codecs if target is MP4 else mkv_codecs)
    return plan


def choose_target(media: Media, mp4_codecs: frozenset[str]) -> tuple[Target, str]:
    """The container and, where it is another than the movie's, why."""
    names = media.container.split(",")
    if "matroska" in names:
        return MKV, ""
    if "mp4" not in names:
        return MKV, f"{names[0]} holds no such subtitles"
    # PCM in MP4 is a late addition: ffmpeg before 6.1 does not write it, and few players play it.
    foreign = [s.codec for s in media.streams if s.kind in _ESSENTIAL and (s.codec not in mp4_codecs or s.codec.startswith("pcm_"))]
    return (MKV, f"MP4 cannot hold {foreign[0] or 'a stream of unknown codec'}, or not for every player") if foreign else (MP4, "")


def choose_tracks(tracks: Sequence[Track]) -> list[Track]:
    """One file for each language and title, none without cues (players show it as a track that never says anything)."""
    best: dict[tuple[str, str], Track] = {}
    for track in sorted((t for t in tracks if t.format in _FORMATS), key=lambda t: _FORMATS.index(t.format)):
        if track.num_cues:
            best.setdefault((track.language, track.title), track)
    return [t for t in tracks if t in best.values()]


def _into_mp4(plan: Plan, stream: Stream, media: Media, codecs: frozenset[str]) -> None:
    if stream.kind in _ESSENTIAL or (stream.kind == "subtitle" and stream.codec in codecs):
        plan.streams.append(stream)
    elif not _made_anew(stream, media):
        plan.left_out.append(_named(stream))


def _into_mkv(plan: Plan, stream: Stream, media: Media, codecs: frozenset[str]) -> None:
    if stream.cover:
        plan.covers.append(stream)
    elif stream.kind in (*_ESSENTIAL, "attachment") or (stream.kind == "subtitle" and stream.codec in codecs):
        # FFmpeg's list for MKV leaves out what goes in as Video for Windows or ACM, so pictures and sound are not held against it.
        plan.streams.append(stream)
    elif stream.codec == "mov_text":
        plan.streams.append(stream)
        plan.converted[stream.index] = plan.target.text_codec
    elif not _made_anew(stream, media):
        plan.left_out.append(_named(stream))


def _made_anew(stream: Stream, media: Media) -> bool:
    """MP4 shows its timecode and its chapters as data streams, too; ffmpeg writes them again from the tag and the chapters."""
    return stream.kind == "data" and "mp4" in media.container and bool(stream.timecode or media.chapters)


def _named(stream: Stream) -> str:
    details = ", ".join(filter(None, [stream.codec or "unknown codec", stream.language, stream.title]))
    return f"{_NAMES.get(stream.kind, stream.kind)} {stream.index} ({details})"
