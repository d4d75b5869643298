"""What mux costs beside ffmpeg alone: the same movie, with the same subtitle track, copied by both in turn.

    native/venvs/dev/bin/python tests/bench/mux.py [MB [ROUNDS]]

The movie is noise: 8 s of moving picture and sound, copied after itself until it has that many MB (default 300). `ffmpeg`: a bare remux
and, as a stage promises no less, an fsync of its result; `mux`: the stage, from the start of its interpreter to its end; `start`: the stage
with a movie of three seconds, which is what starting Python, reading the contract and looking into the movie take. Each is the median of
the rounds (default 5), which take turns at who goes first, as wall seconds / CPU seconds of all processes; so is the ratio of a round.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import imageio_ffmpeg
from mux_movies import make, prepare, track

from reelscribe.stage_table import NATIVE

NOISE = ("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25,noise=alls=20:allf=t", "-f", "lavfi", "-i", "anoisesrc=r=48000:a=0.1")
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


class Seconds(NamedTuple):
    """Of the clock, and of all processors."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} / {self.cpu:.2f}"


def movie(folder: Path, num_mb: int, suffix: str) -> Path:
    """A movie of about that size."""
    seed = make(folder / f"seed{suffix}", *NOISE, "-t", "8", "-c:v", "mpeg4", "-q:v", "3", "-c:a", "aac")
    times = max(0, round(num_mb * 2**20 / seed.stat().st_size) - 1)
    return make(folder / f"movie{suffix}", "-stream_loop", str(times), "-i", str(seed), "-map", "0", "-c", "copy")


def bare(source: Path, movie_dir: Path) -> None:
    """A remux by ffmpeg alone, on the disk."""
    result = movie_dir / f"bare.subtitled{source.suffix}"
    codec = "mov_text" if source.suffix == ".mp4" else "copy"
    make(result, "-i", str(source), "-i", str(movie_dir / "subtitles" / "M.en.srt"), "-map", "0", "-map", "1", "-c", "copy", "-c:s", codec)
    with open(result, "rb") as f:
        os.fsync(f.fileno())


def stage(source: Path, movie_dir: Path) -> None:
    """The stage, run again from nothing."""
    python, script = NATIVE / "venvs" / "mux" / "bin" / "python", NATIVE / "stages" / "10_mux.py"
    command = [python, script, "--input", source, "--movie-dir", movie_dir, "--force", "--ffmpeg", FFMPEG]
    subprocess.run(command, check=True, capture_output=True)


def timed(work: Callable[[Path, Path], None], source: Path, movie_dir: Path) -> Seconds:
    """What it took; its result is deleted."""
    before, began = os.times(), time.monotonic()
    work(source, movie_dir)
    took, after = time.monotonic() - began, os.times()
    for result in movie_dir.glob("*.subtitled.*"):
        result.unlink()
    return Seconds(took, sum(after[:4]) - sum(before[:4]))


def prepared(folder: Path, source: Path) -> Path:
    """A movie directory for `source`."""
    movie_dir = folder / "out" / source.stem
    movie_dir.mkdir(parents=True, exist_ok=True)
    prepare(movie_dir, source, track())
    return movie_dir


def median(taken: Sequence[Seconds]) -> Seconds:
    """Of walls and of CPU seconds."""
    return Seconds(statistics.median(s.wall for s in taken), statistics.median(s.cpu for s in taken))


def measure(folder: Path, num_mb: int, rounds: int, suffix: str) -> str:
    """A row of the table."""
    short = make(folder / f"short{suffix}", *NOISE, "-t", "3", "-c:v", "mpeg4", "-c:a", "aac")
    start = median([timed(stage, short, prepared(folder, short)) for _ in range(3)])
    source = movie(folder, num_mb, suffix)
    movie_dir = prepared(folder, source)
    taken: dict[Callable[[Path, Path], None], list[Seconds]] = {bare: [], stage: []}
    timed(bare, source, movie_dir)  # the machine's page cache grows with the first result
    for number in range(rounds):
        for work in (bare, stage) if number % 2 else (stage, bare):
            taken[work].append(timed(work, source, movie_dir))
    ratio = median([Seconds(b.wall / a.wall, b.cpu / a.cpu) for a, b in zip(taken[bare], taken[stage], strict=True)])
    cells = [suffix[1:], f"{source.stat().st_size / 2**20:.0f}", median(taken[bare]), median(taken[stage]), start, ratio]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def main() -> None:
    """The table."""
    num_mb, rounds = (int(sys.argv[place]) if len(sys.argv) > place else default for place, default in ((1, 300), (2, 5)))
    print("| movie | MB | ffmpeg | mux | start | ratio |\n|--|--:|--:|--:|--:|--:|")
    for suffix in (".mkv", ".mp4"):
        with tempfile.TemporaryDirectory() as folder:
            print(measure(Path(folder), num_mb, rounds, suffix), flush=True)


if __name__ == "__main__":
    main()
