"""Six short movies and how they are run, for the tests of native/workflow and tests/bench/cluster.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg

from reelscribe.stage_table import ROOT

EXAMPLE = ROOT / "examples" / "station.mp4"
PIECE_S = 5
# Draft engine, no decoding of pictures, one thread: what is tested is who does what where. Chunks of a minute, each a job of its own.
SETTINGS = ["DEVICE=cpu", "THREADS=1", "SHOT_CHANGES=false", "ASR_USE_CHUNKING=always", "ASR_CHUNK_DURATION=60", "CHUNKS_PER_JOB=1"]
# Slurm's queue is looked at every other second instead of every 20; the nodes have two processors each.
QUICK = ["--snakemake=--slurm-init-seconds-before-status-checks=2", "--snakemake=--max-threads=2"]


def make(folder: Path) -> list[Path]:
    """Five pieces of the example and one movie of 2 minutes in which it is spoken three times: three chunks."""
    folder.mkdir(parents=True)
    pieces = [folder / f"Piece {number}.mp4" for number in range(1, 6)]
    for number, piece in enumerate(pieces, 1):
        _ffmpeg("-ss", str(number * PIECE_S), "-t", str(PIECE_S), "-i", str(EXAMPLE), "-c:v", "libx264", "-preset", "ultrafast", str(piece))
    spoken = folder / "Long Night.mp4"
    pads = "".join(f"[{n}:a]apad=whole_dur=62[a{n}];[{n}:v]tpad=stop_mode=clone:stop_duration=57[v{n}];" for n in range(3))
    joined = pads + "[v0][a0][v1][a1][v2][a2]concat=n=3:v=1:a=1[v][a]"
    inputs = [word for piece in pieces[:3] for word in ("-i", str(piece))]
    _ffmpeg(*inputs, "-filter_complex", joined, "-map", "[v]", "-map", "[a]", "-r", "5", "-preset", "ultrafast", str(spoken))
    return [spoken, *pieces]


def _ffmpeg(*arguments: str) -> None:
    tool = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y"]
    subprocess.run([*tool, *arguments], check=True, stdin=subprocess.DEVNULL)


def settings() -> list[str]:
    """The options of pipeline.sh and run.sh that set SETTINGS."""
    return [word for setting in SETTINGS for word in ("--set", setting)]
