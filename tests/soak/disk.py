"""Disks that are too small: the whole pipeline on a tmpfs that grows step by step, each time refused with exit 5 before a stage begins.

A try is a size. Each run must end with exit 5 and a remedy or with the result; none may fill the disk in the middle of a stage, leave a
temporary file or lose what was done. The last one, with room enough, must make the bytes of a run that had all the room from the start.
Then every stage runs alone on a disk with a little less than what it asks for, and with that and no more; and what each really took of the
disk is compared with what was asked for.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from _film import Film, differences, files_of, make_film, run
from common import Tally, main

from reelscribe import disk, stage_table

MIB = 1 << 20
REFUSED = re.compile(r"[\d.]+ [MG]iB are needed in .+ and [\d.]+ [MG]iB are free")
FULL = re.compile("no space left|found the disk full")


def may_mount() -> str:
    """Why no tmpfs can be mounted here; "" when it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root may mount a small disk, on Linux"
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, text=True, check=False)
        if made.returncode:
            return f"no tmpfs can be mounted here: {made.stderr.strip()}"
        subprocess.run(["umount", folder], check=True)
    return ""


@contextmanager
def small_disk(folder: Path, num_bytes: int) -> Iterator[None]:
    """A tmpfs of that size at `folder`."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def grow(folder: Path, num_bytes: int) -> None:
    """The same tmpfs, larger."""
    subprocess.run(["mount", "-o", f"remount,size={num_bytes}", str(folder)], check=True)


def steps(tally: Tally, film: Film, count: int, least: int, most: int) -> None:
    """Runs on a disk of `least` bytes and ever more of them, `most` in the end; a refused one goes on with the next."""
    out = film.root / "small"
    movie_dir = out / film.movie.stem
    wanted = files_of(film.reference)
    kept: dict[str, str] = {}
    with small_disk(out, least):
        for number in range(count):
            size = least + (most - least) * number // max(1, count - 1)
            grow(out, size)
            code, said = run(film, film.whole_run(out))
            now = files_of(movie_dir) if movie_dir.exists() else {}
            tally.add(f"{size / MIB:.1f} MiB", [*complaints(code, said), *lost(kept, now), *(f"{n} stays" for n in now if ".tmp-" in n)])
            kept = now
        tally.add("with room enough", [*differences(movie_dir, wanted)] if code == 0 else [f"ended with {code}: {said[-500:]}"])


def one_by_one(tally: Tally, film: Film) -> None:
    """Every stage alone: refused where a little less than it asks for is free, and done where it is that and no more."""
    out = film.root / "tight"
    movie_dir = out / film.movie.stem
    with small_disk(out, 4 * MIB):
        for row in stage_table.load():
            if film.stages and row.name not in film.stages:
                continue
            used = sum(path.stat().st_blocks * 512 for path in out.rglob("*"))
            need = disk.need(row, film.movie, movie_dir)
            for spare, wanted in ((-MIB // 8, 5), (MIB // 4, 0)):
                grow(out, used + need + spare)
                code, said = run(film, film.pipeline("--out", out, "--only", row.name, film.movie))
                problems = [] if code == wanted else [f"ended with {code} instead of {wanted}: {said[-500:]}"]
                tally.add(f"{row.name} with {spare / MIB:+.2f} MiB", [*problems, *complaints(code, said)])
        tally.add("the tight disk's film", list(differences(movie_dir, files_of(film.reference))))


def complaints(code: int, said: str) -> Iterator[str]:
    """What is wrong with how a run on a small disk ended."""
    if code not in (0, 5):
        yield f"ended with {code}: {said[-500:]}"
    if code == 5 and not REFUSED.search(said):
        yield f"refused, and not in words: {said[-500:]}"
    if code == 5 and "→" not in said:
        yield "no remedy"
    if FULL.search(said):
        yield f"the disk was full before anything was refused: {said[-500:]}"
    if "Traceback" in said:
        yield "a traceback"


def lost(before: dict[str, str], now: dict[str, str]) -> Iterator[str]:
    """Files of an earlier run that are not what they were."""
    yield from (f"{name} was done and is lost" for name in before if now.get(name) != before[name] and name != "job.env")


def asked_and_taken(movie_dir: Path, movie: Path) -> Iterator[tuple[str, int, int]]:
    """For every stage that is done: its name, the bytes asked for, the bytes of its outputs, manifest and log."""
    for row in stage_table.load():
        record = movie_dir / "manifests" / f"{row.key}.json"
        if not record.exists():
            continue
        outputs = json.loads(record.read_text(encoding="utf-8"))["outputs"]
        files = [*(movie_dir / name for name in outputs), record, movie_dir / "logs" / f"{row.key}.log"]
        yield row.name, disk.need(row, movie, movie_dir), sum(path.stat().st_size for path in files if path.exists())


def estimates(tally: Tally, movie_dir: Path, movie: Path) -> None:
    """Each stage must ask for what it takes, and not for ten times as much and 4 MiB."""
    for name, asked, taken in asked_and_taken(movie_dir, movie):
        print(f"{name}: asked for {asked / MIB:.2f} MiB, took {taken / MIB:.2f}", flush=True)
        tally.add(f"estimate of {name}", [] if taken <= asked <= 10 * taken + 4 * MIB else [f"asked for {asked}, took {taken}"])


def soak(tally: Tally, count: int, seed: int, stages: Sequence[str] = ()) -> None:
    """The long form."""
    why_not = may_mount()
    if why_not:
        sys.exit(f"disk: {why_not}")
    with tempfile.TemporaryDirectory(prefix="reelscribe-disk-") as name:
        film = make_film(Path(name).resolve() / "film", stages)
        needed = sum(path.stat().st_size for path in film.reference.rglob("*") if path.is_file())
        steps(tally, film, count, 256 << 10, needed + 16 * MIB)
        one_by_one(tally, film)
        estimates(tally, film.reference, film.movie)
        shutil.rmtree(film.root)


if __name__ == "__main__":
    sys.exit(main(soak, part="disk", what="runs on a disk that is too small, estimates", count=20))
