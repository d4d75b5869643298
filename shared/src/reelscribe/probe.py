"""What a movie file holds, read with PyAV (FFmpeg's own libraries): demux describes the movie with it, mux checks its result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from reelscribe import ffmpeg, limits
from reelscribe.errors import BadInputError
from reelscribe.schemas import Chapter, Contents, Stream

if TYPE_CHECKING:
    from av.container import InputContainer

# FFmpeg's average rate carries the rounding of timestamps; its guessed rate is the round number meant, unless the rate varies.
_RATE_TOLERANCE = 0.001
_USUAL_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
# No movie is faster; an AVI's average may be its time base.
_HIGHEST_RATE = 240
# FFmpeg looks at 5 MB of each stream before it opens a movie, and at one block to read a packet; a disk may have to wake up before.
_OPENING_S, _READING_S = 300, 120
_TITLE = 250  # characters; players show fewer
_REMEDY = "check that it plays, or convert it to MKV or MP4"


def contents(movie: Path) -> Contents:
    """The streams, chapters, duration and frame rate of `movie`. Raises BadInputError when it is no movie that can be read."""
    with opened(movie) as container:
        start = (container.start_time or 0) / 1e6
        pictures = [s for s in container.streams.video if "attached_pic" not in _dispositions(s)]
        try:
            return Contents(
                container=container.format.name,
                duration=_duration(container, start),
                fps=_frame_rate(pictures[0]) if pictures else None,
                streams=[_stream(s, start) for s in container.streams],
                chapters=[_chapter(c, start) for c in container.chapters()],
            )
        except ValidationError as error:
            what = ".".join(str(part) for part in error.errors()[0]["loc"])
            remedy = "write its container anew: ffmpeg -i MOVIE -map 0 -c copy NEW.mkv"
            raise BadInputError(f"{movie.name} is damaged: no movie has such a {what}", remedy=remedy) from error


@contextmanager
def opened(movie: Path) -> Iterator[InputContainer]:
    """`movie` open for reading: nothing but this one file can be reached through it, and it takes neither any memory nor any time.

    Tags that are no UTF-8 have � for what is none.
    """
    import av

    if movie.stat().st_size == 0:
        raise BadInputError(f"{movie.name} is empty: it has 0 bytes", remedy="copy or download the movie again")
    with limits.memory_kept(), _open(movie) as container:
        try:
            yield container
        except (av.FFmpegError, MemoryError) as error:  # an allocation refused, a read that takes too long, data that are none
            what = getattr(error, "strerror", None) or "it asks for too much memory"
            raise BadInputError(f"{movie.name} cannot be read ({what})", remedy=_REMEDY) from error


def _open(movie: Path) -> InputContainer:
    import av
    from av import logging as av_logging

    options = {"protocol_whitelist": ffmpeg.PROTOCOLS, "format_whitelist": ffmpeg.CONTAINERS}
    av_logging.set_level(av_logging.ERROR)
    try:
        with av_logging.Capture():
            return av.open(ffmpeg.address(movie), options=options, metadata_errors="replace", timeout=(_OPENING_S, _READING_S))
    except (av.FFmpegError, OSError, MemoryError) as error:
        _, looks_like, said = getattr(error, "log", None) or (0, "", str(error))
        raise _unreadable(movie, looks_like, said.strip()) from error
    finally:
        av_logging.set_level(None)


def end_of_data(movie: Path, start: float) -> float:
    """Where the last packet of any stream ends, in seconds; reads the movie from `start` on."""
    import av

    last = start
    with opened(movie) as container:
        begin = (container.start_time or 0) / 1e6
        try:
            container.seek(int((start + begin) * 1e6))
            for packet in container.demux():
                if packet.pts is not None and packet.time_base:
                    last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base) - begin)
        except av.FFmpegError:
            pass  # no data there that can be read: it ends here
    return last


def is_encrypted(movie: Path, index: int) -> bool:
    """Whether the packets of the stream `index` are marked as encrypted (Common Encryption in MP4 and WebM)."""
    with opened(movie) as container:
        if "enc_key_id" in container.streams[index].metadata:
            return True
        packet = next(container.demux(container.streams[index]), None)
        return packet is not None and packet.has_sidedata("encryption_info")


def codecs_of(muxer: str) -> frozenset[str]:
    """The codecs that FFmpeg's `muxer` ("mp4", "matroska") accepts and that can be decoded, named as in Stream.codec."""
    import io

    import av

    found = set()
    with av.open(io.BytesIO(), "w", format=muxer) as container:
        for name in container.supported_codecs:
            with suppress(ValueError):  # an encoder: Stream.codec is never one
                found.add(av.Codec(name, "r").canonical_name)
    return frozenset(found)


def language_code(tag: str | None) -> str | None:
    """`tag` ("fre", "fr-CA") as ISO 639 code, the two-letter one where there is one; None when it names no language."""
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    try:
        code = langcodes.Language.get(tag or "und").language
    except LanguageTagError:
        return None
    return None if code in ("und", "mis", "mul", "zxx") else code


def _unreadable(movie: Path, looks_like: str, said: str) -> BadInputError:
    """looks_like: FFmpeg's name of the format; said: what it found wrong."""
    with open(movie, "rb") as f:
        head = f.read(16)
    if head[4:8] == b"ftyp" and "moov atom not found" in said:
        return BadInputError(
            f"{movie.name} is cut off: the index that an MP4 may have at its end is missing",
            remedy="copy or download it again, and wait until that is finished",
        )
    why = f"it looks like {looks_like}" if "whitelist" in said else said
    return BadInputError(f"{movie.name} is no movie that can be read ({why[:_TITLE]})", remedy=_REMEDY)


def _duration(container: InputContainer, start: float) -> float:
    """Seconds from the movie's time 0; Matroska and NUT count from their clock's 0."""
    clock = {"matroska", "nut"}.intersection(container.format.name.split(","))
    return max(0.0, (container.duration or 0) / 1e6 - (start if clock else 0.0))


def _dispositions(stream: Any) -> list[str]:
    """FFmpeg's names of the flags set on `stream`."""
    return [flag.name for flag in type(stream.disposition) if flag in stream.disposition]


def _stream(stream: Any, start: float) -> Stream:
    """start: the container's first timestamp, which is the movie's 0."""
    codec = stream.codec_context
    audio, video = stream.type == "audio" and codec, stream.type == "video" and codec
    return Stream(
        index=stream.index,
        kind=stream.type if stream.type in ("video", "audio", "subtitle", "attachment") else "data",
        codec=codec.codec.canonical_name if codec else "",
        language=language_code(stream.language),
        title=(stream.metadata.get("title") or stream.metadata.get("name") or "")[:_TITLE] or None,
        dispositions=_dispositions(stream),
        start=_seconds(stream.start_time, stream.time_base) - start if stream.start_time is not None else 0.0,
        duration=_seconds(stream.duration, stream.time_base) if stream.duration else None,
        channels=codec.channels if audio else None,
        layout=_layout(codec) if audio else None,
        sample_rate=codec.sample_rate if audio else None,
        width=codec.width if video else None,
        height=codec.height if video else None,
        timecode=stream.metadata.get("timecode"),
    )


def _layout(codec: Any) -> str:
    """The layout's name; where the file gives none, the usual one of that many channels, as FFmpeg has it."""
    name: str = codec.layout.name
    return _USUAL_LAYOUTS.get(codec.channels, name) if name.endswith(" channels") else name


def _seconds(ticks: int, time_base: Fraction) -> float:
    return float(ticks * time_base)


def _frame_rate(stream: Any) -> str | None:
    average, guessed = stream.average_rate, stream.guessed_rate
    if not average or (guessed and (average > _HIGHEST_RATE or abs(average / guessed - 1) < _RATE_TOLERANCE)):
        return str(guessed) if guessed else None
    return str(Fraction(average).limit_denominator(1001))


def _chapter(chapter: Any, start: float) -> Chapter:
    base = chapter["time_base"]
    return Chapter(
        start=_seconds(chapter["start"], base) - start,
        end=_seconds(chapter["end"], base) - start,
        title=chapter["metadata"].get("title", "")[:_TITLE],
    )
