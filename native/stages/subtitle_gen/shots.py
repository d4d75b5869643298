"""Shot changes, found by ffmpeg's own detector (the filter scdet)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reelscribe import ffmpeg, limits
from reelscribe.schemas import Contents, Stream

THRESHOLD = 10.0  # scdet's own
# The pictures are made small first: what differs between shots is seen in small ones, too, and comparing them costs nothing then.
_FILTERS = "scale=320:-2:flags=fast_bilinear,scdet,metadata=print:key=lavfi.scd.score:file=-"
DETECTOR = f"scdet {THRESHOLD} {_FILTERS}"


def picture(contents: Contents) -> Stream | None:
    """The video stream that players show; None in a movie of sound alone."""
    pictures = [stream for stream in contents.of_kind("video") if not stream.cover]
    return next((stream for stream in pictures if stream.default), pictures[0] if pictures else None)


def cuts(
    executable: str, movie: Path, stream: Stream, container: str, end: float, threads: int, on_time: Callable[[float], None]
) -> list[float]:
    """Times of the first picture of each shot but the first, up to `end`, on the movie's timeline. `on_time` is told how far it is.

    Decodes every picture. Raises FfmpegError, LimitError.
    """
    source = ffmpeg.source(movie, "-threads", str(threads))
    output = ["-map", f"0:{stream.index}", "-t", f"{end:.3f}", "-vf", _FILTERS, "-fps_mode", "passthrough", "-f", "null", "-"]
    found: list[float] = []
    time = 0.0
    allowed = limits.encoding(movie.stat().st_size, end, (stream.width or 0) * (stream.height or 0))
    with ffmpeg.running(executable, [*source, *output, *ffmpeg.keeping_time(container)], limits=allowed) as stdout:
        for line in stdout:
            key, _, value = line.decode(errors="replace").strip().rpartition(":" if line.startswith(b"frame") else "=")
            if key.endswith("pts_time") and value != "NOPTS":
                time = float(value)
                on_time(time)
            elif key == "lavfi.scd.score" and float(value) >= THRESHOLD and time > 0:
                found.append(time)
    return found
