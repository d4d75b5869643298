"""The text subtitles that a movie has already, each as an SRT file on the movie's timeline: for pre-ner, which looks for names in them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from reelscribe import ffmpeg, limits
from reelscribe.artifacts import atomic_path
from reelscribe.schemas import Contents, Stream

# FFmpeg's text subtitles (https://ffmpeg.org/ffmpeg-codecs.html#Subtitles-Encoders); pictures (PGS, VobSub, DVB) would have to be read.
_TEXT = frozenset(["subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text", "microdvd", "sami", "subviewer", "mpl2", "stl"])


def chosen(streams: Sequence[Stream]) -> list[Stream]:
    """Those whose text can be read and is the dialogue's."""
    return [s for s in streams if s.kind == "subtitle" and s.codec in _TEXT and "comment" not in s.dispositions]


def write(executable: str, movie: Path, contents: Contents, streams: Sequence[Stream], folder: Path) -> list[Path]:
    """The files `<stream's number>.<language or und>.srt` in `folder`. Raises FfmpegError, LimitError."""
    files = [folder / f"{s.index:02d}.{s.language or 'und'}.srt" for s in streams]
    with ExitStack() as stack:
        arguments = ffmpeg.source(movie)
        for stream, file in zip(streams, files, strict=True):
            written = stack.enter_context(atomic_path(file))
            arguments += ["-map", f"0:{stream.index}", "-c:s", "srt", "-fflags", "+bitexact", "-f", "srt", ffmpeg.address(written)]
        allowed = limits.reading(movie.stat().st_size, contents.duration)
        ffmpeg.run(executable, [*arguments, *ffmpeg.keeping_time(contents.container)], limits=allowed)
    return files
