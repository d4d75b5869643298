"""What goes into the result: its container, the movie's streams, the new subtitle tracks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reelscribe.schemas import Media, Stream, Track

_ESSENTIAL = ("video", "audio")
_NAMES = {"data": "data stream", "subtitle": "subtitle track"}
_BURNT_FROM = ("ass", "srt", "vtt")  # a style for each speaker is drawn as it is meant


@dataclass(frozen=True)
class Target:
    """A container: ffmpeg's `muxer`, the file's `suffix`, the codec of new subtitles, and which of ISO 639-2's codes it wants.

    `formats`: subtitle files it is best made of, the best first. `options` are the muxer's own.
    """

    name: str
    muxer: str
    suffix: str
    text_codec: str
    language_variant: str
    formats: tuple[str, ...]
    options: tuple[str, ...] = ()

    def codec(self, track: Track) -> str:
        """The codec of a new track: styles stay where the container holds them."""
        return "ass" if track.format == "ass" and self is MKV else self.text_codec


# Matroska's Language element is ISO 639-2/B (https://www.matroska.org/technical/elements.html), MP4's is 639-2/T (ISO 14496-12).
MKV = Target("MKV", "matroska", ".mkv", "subrip", "B", ("srt", "ass", "vtt"))
# "experimental": TrueHD in MP4 is; what the movie has already, its copy may have, too.
MP4 = Target("MP4", "mp4", ".mp4", "mov_text", "T", ("srt", "vtt", "ass"), ("-strict", "experimental"))
WEBM = Target("WebM", "webm", ".webm", "webvtt", "B", ("vtt", "srt", "ass"))
TARGETS = (MKV, MP4, WEBM)


@dataclass(frozen=True)
class Wishes:
    """What the user may choose. `ass`: styled tracks in MKV. `burn_in`: the codec of the picture that subtitles are drawn into, or ""."""

    ass: bool = False
    burn_in: str = ""


@dataclass
class Plan:
    """`streams` are copied in this order; one with an entry in `converted` (by its index) gets that codec instead.

    `covers` go into MKV as attachments; `left_out`: what the container cannot hold, in words. `burnt` is drawn into the movie's picture.
    """

    target: Target
    why: str
    streams: list[Stream] = field(default_factory=list)
    converted: dict[int, str] = field(default_factory=dict)
    covers: list[Stream] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    burnt: Track | None = None

    @property
    def shows_new(self) -> bool:
        """Whether viewers see new subtitles unasked."""
        return self.burnt is not None or any(t.default for t in self.tracks)

    @property
    def imposed(self) -> bool:
        """Whether a subtitle track is shown although none should be: in an MP4 by FFmpeg one is always switched on."""
        older = any(s.kind == "subtitle" for s in self.streams)
        return self.target is MP4 and bool(older or self.tracks) and not any(t.default for t in self.tracks)

    def dispositions(self, stream: Stream) -> list[str]:
        """The flags `stream` has in the result: players show the first default, and that is to be the new track."""
        hidden = {"default"} if stream.kind == "subtitle" and self.shows_new else set()
        return [d for d in stream.dispositions if d not in hidden]

    def flags(self, track: Track) -> list[str]:
        """The flags of a new track. None is forced: each has everything that is said."""
        impaired = ["captions"] if self.target is WEBM else ["hearing_impaired"]  # WebM has its own codec id, D_WEBVTT/CAPTIONS
        return (["default"] if track.default else []) + (impaired if track.hearing_impaired else [])

    def codecs(self, kind: str) -> list[str]:
        """The codecs of the result's streams of one kind, in order, without covers."""
        kept = [self.converted.get(s.index, s.codec) for s in self.streams if s.kind == kind and not s.cover]
        return kept + [self.target.codec(track) for track in self.tracks if kind == "subtitle"]


def make(media: Media, tracks: Sequence[Track], codecs: Mapping[str, frozenset[str]], kind: str = "", wishes: Wishes | None = None) -> Plan:
    """The plan for a movie. codecs: those that FFmpeg's muxers accept, by muxer. kind: what the file calls itself (probed.kind)."""
    wishes = wishes or Wishes()
    shown = [t for t in tracks if t.num_cues]
    picture = next((s for s in media.streams if s.kind == "video" and not s.cover), None)
    burnt = to_burn(shown) if wishes.burn_in and picture else None
    converted = {picture.index: wishes.burn_in} if picture and burnt else {}
    target, why = choose_target(media, codecs, kind, converted)
    plan = Plan(target, why, converted=converted, burnt=burnt)
    plan.tracks = list(choose_tracks(shown, ("ass", *target.formats) if wishes.ass and target is MKV else target.formats, burnt))
    for stream in media.streams:
        _place(plan, stream, media, codecs[target.muxer])
    return plan


def choose_target(media: Media, codecs: Mapping[str, frozenset[str]], kind: str, converted: Mapping[int, str]) -> tuple[Target, str]:
    """The container and, where it is another than the movie's, why."""
    names = media.container.split(",")
    result = [(s, converted.get(s.index, s.codec)) for s in media.streams]
    if kind == "webm":
        foreign = [s.kind if s.cover else codec or s.kind for s, codec in result if s.cover or codec not in codecs["webm"]]
        return (MKV, f"WebM cannot hold {foreign[0]}") if foreign else (WEBM, "")
    if "matroska" in names:
        return MKV, ""
    if "mp4" not in names:
        return MKV, f"{names[0]} holds no such subtitles"
    # PCM in MP4 is a late addition: ffmpeg before 6.1 does not write it, and few players play it.
    foreign = [c for s, c in result if s.kind in _ESSENTIAL and (c not in codecs["mp4"] or c.startswith("pcm_"))]
    if foreign:
        return MKV, f"MP4 cannot hold {foreign[0] or 'a stream of unknown codec'}, or not for every player"
    return MP4, "MP4 is QuickTime's MOV as every player knows it" if kind == "qt" else ""


def to_burn(tracks: Sequence[Track]) -> Track | None:
    """The track that viewers would see unasked, in the format that is drawn best."""
    best = sorted(tracks, key=lambda t: (not t.default, _BURNT_FROM.index(t.format)))
    return best[0] if best else None


def choose_tracks(tracks: Sequence[Track], formats: Sequence[str], burnt: Track | None = None) -> Iterator[Track]:
    """One file for each track, of the first format there is; none for the one that is burnt in, and no other is shown with that."""
    best: dict[object, Track] = {}
    for track in sorted(tracks, key=lambda t: formats.index(t.format)):
        best.setdefault(_identity(track), track)
    for track in tracks:
        if track is best[_identity(track)] and not (burnt and _identity(track) == _identity(burnt)):
            yield track.model_copy(update={"default": track.default and not burnt})


def _identity(track: Track) -> object:
    """What the files of one track in several formats have in common."""
    return track.language, track.title, track.hearing_impaired


def _place(plan: Plan, stream: Stream, media: Media, codecs: frozenset[str]) -> None:
    """Where `stream` goes. FFmpeg's lists lack what goes in as Video for Windows or ACM: pictures and sound are not held against them."""
    attached = plan.target is MKV and stream.kind == "attachment"
    written = stream.kind == "subtitle" and stream.codec in codecs
    if stream.cover and plan.target is MKV:
        plan.covers.append(stream)
    elif stream.kind in _ESSENTIAL or attached or written:
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
