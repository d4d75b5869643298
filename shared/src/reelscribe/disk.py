"""Room on the disk, looked for before a stage begins and before the first one of a run: a refusal is clearer than a full disk.

What a stage writes is estimated from the movie's size and the length of its sound. A new file lies beside the one that it replaces until
it is whole, so all of it has to fit, however often the stage has run. Stages that know better look once more (demux, mux); models are
measured before they are fetched (reelscribe.hub).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reelscribe import manifest
from reelscribe.artifacts import require_space
from reelscribe.errors import OutOfSpaceError
from reelscribe.stage_table import Row
from reelscribe.wav import SAMPLE_RATE

_MIB = 1 << 20
# Manifests, logs, hashes, the lease and temporary doubles take some dozens of files at a time.
_LEAST_FILES = 64


@dataclass(frozen=True)
class Need:
    """What a stage writes: so many bytes for every second of sound, for every byte of the movie, and for any movie."""

    per_second: float = 0
    per_byte: float = 0
    fixed: int = _MIB

    def bytes_of(self, seconds: float, movie_bytes: int) -> int:
        """For one movie."""
        return round(self.per_second * seconds + self.per_byte * movie_bytes) + self.fixed


# About twice what measured movies took (docs/reliability.md has the numbers), sound and picture aside, whose sizes are known.
NEEDS: dict[str, Need] = {
    "demux": Need(per_second=32_100),  # 16 kHz in 16 bits, and the movie's own subtitles
    "tmdb": Need(fixed=2 * _MIB),
    "pre-ner": Need(fixed=2 * _MIB),
    "silero-vad": Need(per_second=60),
    "pyannote-vad": Need(per_second=5_000),
    "diarization": Need(per_second=200),
    "asr": Need(per_second=4_000),
    "post-ner": Need(per_second=2_000),
    "subtitle-gen": Need(per_second=4_000),
    "mux": Need(per_byte=1.02),
}
_UNKNOWN = Need()  # a stage that joins later


def need(row: Row, movie: Path, movie_dir: Path) -> int:
    """Bytes that the stage will write into `movie_dir`, as far as the sound's length is known yet."""
    size = movie.stat().st_size if movie.is_file() else 0
    return NEEDS.get(row.name, _UNKNOWN).bytes_of(_seconds(movie_dir), size)


def _seconds(movie_dir: Path) -> float:
    """Of sound, which a sample has less of than the movie; 0 before demux has run."""
    sound = movie_dir / "audio" / "audio.wav"
    return sound.stat().st_size / (2 * SAMPLE_RATE) if sound.is_file() else 0.0


def require(row: Row, movie: Path, movie_dir: Path) -> None:
    """Raise OutOfSpaceError when the stage's files will not fit."""
    _require_files(movie_dir)
    require_space(movie_dir, need(row, movie, movie_dir), row.name)


def require_run(rows: Iterable[Row], movie: Path, movie_dir: Path) -> None:
    """Raise OutOfSpaceError when the files of all stages will not fit that have not been done yet: now, and not hours later."""
    _require_files(movie_dir)
    to_do = [row for row in rows if (done := manifest.read(movie_dir, row)) is None or done.status != "done"]
    require_space(movie_dir, sum(need(row, movie, movie_dir) for row in to_do), f"all stages to {to_do[-1].name}" if to_do else "")


def _require_files(folder: Path) -> None:
    status = os.statvfs(folder)
    if status.f_files and status.f_favail < _LEAST_FILES:
        raise OutOfSpaceError(
            f"no more files can be made on the disk of {folder}: {status.f_favail} of its {status.f_files} inodes are free",
            remedy="delete files there, or choose another disk with --out",
        )
