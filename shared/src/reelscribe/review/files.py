"""The files of a movie directory that a review may read, by addresses that hold no name of theirs, and the part that was asked for."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from reelscribe import jobs, manifest, stage_table
from reelscribe.artifacts import read_json
from reelscribe.errors import ReelscribeError
from reelscribe.schemas import Tracks

_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".wav": "audio/wav",
    ".srt": "application/x-subrip; charset=utf-8",
    ".vtt": "text/vtt; charset=utf-8",
    ".ass": "text/plain; charset=utf-8",
}
_BLOCK = 256 << 10
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True)
class Served:
    """A file and its content type."""

    path: Path
    type: str


def allowed(movie_dir: Path) -> dict[str, Served]:
    """Every file that may be read, by its address: media/N in the order of preference, subtitles/N as tracks.json has them.

    Paths are resolved: what leads out of the movie directory is left out, but for the movie that job.env names.
    """
    muxed, tracks, original = None, Tracks(tracks=[]), None
    with suppress(ReelscribeError):
        muxed = manifest.read(movie_dir, stage_table.find("mux"))
    with suppress(ReelscribeError):
        tracks = read_json(movie_dir / "subtitles" / "tracks.json", Tracks)
    with suppress(ReelscribeError):
        original = jobs.movie_of(movie_dir).resolve()
    made = [_inside(movie_dir / name, movie_dir) for name in (muxed.outputs if muxed else [])]
    movie = original if original and original.suffix.lower() in jobs.MOVIE_SUFFIXES else None
    media = [*made, movie, _inside(movie_dir / "audio" / "audio.wav", movie_dir)]
    folder = movie_dir / "subtitles"
    groups = {"media": media, "subtitles": [_inside(folder / track.file, folder) for track in tracks.tracks]}
    return {
        f"{kind}/{n}{path.suffix.lower()}": Served(path, _TYPES.get(path.suffix.lower(), "application/octet-stream"))
        for kind, paths in groups.items()
        for n, path in enumerate(dict.fromkeys(filter(None, paths)))
    }


def _inside(path: Path, folder: Path) -> Path | None:
    """Where `path` leads to, if that is a movie, sound or subtitle file in `folder`."""
    with suppress(OSError, ValueError, RuntimeError):
        real = path.resolve(strict=True)
        known = real.suffix.lower() in _TYPES or real.suffix.lower() in jobs.MOVIE_SUFFIXES
        return real if known and real.is_file() and real.is_relative_to(folder.resolve()) else None
    return None


def opened(path: Path) -> tuple[BinaryIO, os.stat_result]:
    """The file, which must be a regular one by now, and what it is. Raises OSError."""
    # A link put in its place since, or a pipe, must neither be followed nor waited for.
    f = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    about = os.fstat(f.fileno())
    if not stat.S_ISREG(about.st_mode):
        f.close()
        raise OSError("no regular file")
    return f, about


def tag(about: os.stat_result) -> str:
    """The file's ETag."""
    return f'"{about.st_size:x}-{about.st_mtime_ns:x}-{about.st_ino:x}"'


def part(asked: str | None, size: int) -> range | None:
    """The bytes meant by a Range header; all of them where it means nothing (RFC 9110, 14.2); None when they are not there."""
    found = _RANGE.fullmatch(asked.strip()) if asked else None
    if not found or found.groups() == ("", ""):
        return range(size)
    first, last = found.groups()
    if not first:
        return range(max(0, size - int(last)), size) if int(last) and size else None
    if last and int(last) < int(first):
        return range(size)
    return range(int(first), min(int(last) + 1, size) if last else size) if int(first) < size else None


def blocks(f: BinaryIO, span: range) -> Iterator[bytes]:
    """The bytes of `span`, or fewer when the file has become shorter."""
    f.seek(span.start)
    left = len(span)
    while left and (block := f.read(min(_BLOCK, left))):
        left -= len(block)
        yield block
