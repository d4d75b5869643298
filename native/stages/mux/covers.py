"""Cover art as files, for `ffmpeg -attach`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reelscribe import probe
from reelscribe.errors import BadInputError
from reelscribe.schemas import Stream

_SUFFIXES = {"mjpeg": "jpg"}
_MIMETYPES = {"mjpeg": "image/jpeg"}


@dataclass(frozen=True)
class Cover:
    """A picture in the file `path`, and what it is called in the movie."""

    path: Path
    filename: str
    mimetype: str


def extract(movie: Path, streams: Sequence[Stream], folder: Path) -> list[Cover]:
    """The bytes of each cover in a file in `folder`."""
    found = []
    for stream in streams:
        with probe.opened(movie) as container:
            source = container.streams[stream.index]
            path = folder / f"{stream.index}.{stream.codec}"
            packet = next(container.demux(source), None)
            if packet is None:
                raise BadInputError(f"the cover {stream.index} of {movie.name} is empty", remedy="remove it, or write the container anew")
            path.write_bytes(bytes(packet))
            filename = source.metadata.get("filename") or f"cover.{_SUFFIXES.get(stream.codec, stream.codec)}"
            mimetype = source.metadata.get("mimetype") or _MIMETYPES.get(stream.codec, f"image/{stream.codec}")
            found.append(Cover(path, filename, mimetype))
    return found
