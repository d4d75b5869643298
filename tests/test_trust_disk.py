"""Room on the disk: what does not fit is refused with exit 5 and words before a stage begins, and what was done goes on from there.

The short form of tests/soak/disk.py, with the quick stages; `tests/soak.sh disk` has all of them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from reelscribe import disk, manifest, stage_table
from reelscribe.errors import OutOfSpaceError
from reelscribe.manifest import Manifest, Run
from reelscribe.stage_table import ROOT

sys.path.append(str(ROOT / "tests" / "soak"))
from _film import files_of, make_film
from common import Tally

QUICK = ("demux", "tmdb", "pre-ner", "silero-vad")


def _soak_part() -> ModuleType:
    """tests/soak/disk.py, whose name reelscribe.disk has too."""
    spec = importlib.util.spec_from_file_location("soak_disk", ROOT / "tests" / "soak" / "disk.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


soak = _soak_part()


class Usage(NamedTuple):
    """As shutil.disk_usage gives it."""

    total: int
    used: int
    free: int


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Stands in for the disk: so many bytes are free."""
    return lambda num_bytes: monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**12, 0, num_bytes))


@pytest.fixture
def movie(movie_dir: Path) -> Path:
    """A movie of 40 GiB, two hours long, as far as anybody looks."""
    movie = movie_dir.parent.parent / "film.mkv"
    for path, size in ((movie, 40 << 30), (movie_dir / "audio" / "audio.wav", 7200 * 32000)):
        path.parent.mkdir(exist_ok=True)
        with open(path, "wb") as f:
            f.truncate(size)  # a hole: it takes no room
    return movie


def done(movie_dir: Path, name: str) -> None:
    """The stage's manifest says that it is done."""
    run = Run(started="")
    manifest.write(movie_dir, stage_table.find(name), Manifest(stage=name, revision=1, status="done", fingerprint="x", run=run))


# -- the estimate -------------------------------------------------------------------------------------------------------


def test_every_stage_has_an_estimate() -> None:
    assert set(disk.NEEDS) == {row.name for row in stage_table.load()}


@pytest.mark.parametrize(
    ("stage", "at_least", "at_most"),
    [
        ("demux", 220 << 20, 240 << 20),
        ("silero-vad", 1 << 20, 4 << 20),
        ("pyannote-vad", 20 << 20, 40 << 20),  # 2751 bytes a second were measured
        ("asr", 12 << 20, 40 << 20),  # 1538 bytes a second were measured
        ("mux", 40 << 30, 42 << 30),
    ],
)
def test_what_two_hours_of_40_gib_take(movie: Path, movie_dir: Path, stage: str, at_least: int, at_most: int) -> None:
    assert at_least <= disk.need(stage_table.find(stage), movie, movie_dir) <= at_most


@pytest.mark.parametrize("stage", [row.name for row in stage_table.load()])
def test_a_byte_too_few_is_refused_and_enough_is_not(movie: Path, movie_dir: Path, free: Callable[[int], None], stage: str) -> None:
    row = stage_table.find(stage)
    need = disk.need(row, movie, movie_dir)
    free(need)
    disk.require(row, movie, movie_dir)
    free(need - 1)
    with pytest.raises(OutOfSpaceError, match=rf"for {stage} .* are needed in .* and .* are free") as refused:
        disk.require(row, movie, movie_dir)
    assert refused.value.code == 5
    assert "--out" in refused.value.remedy


def test_a_run_is_refused_for_its_last_stage_before_its_first(movie: Path, movie_dir: Path, free: Callable[[int], None]) -> None:
    rows = stage_table.load()
    free(20 << 30)
    with pytest.raises(OutOfSpaceError, match=r"for all stages to mux 4\d\.\d GiB are needed in .* and 20(\.0)? GiB are free"):
        disk.require_run(rows, movie, movie_dir)
    disk.require_run(rows[:-1], movie, movie_dir)
    done(movie_dir, "mux")
    disk.require_run(rows, movie, movie_dir)


def test_a_disk_without_inodes_is_full(movie: Path, movie_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.statvfs_result((4096, 4096, 1 << 30, 1 << 30, 1 << 30, 1000, 3, 3, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda folder: full)
    with pytest.raises(OutOfSpaceError, match=r"no more files can be made on the disk of .*: 3 of its 1000 inodes are free"):
        disk.require(stage_table.find("tmdb"), movie, movie_dir)


# -- stages and runs ----------------------------------------------------------------------------------------------------


def test_a_stage_that_does_not_fit_does_not_begin(
    run_stage: Callable[..., Any], movie_dir: Path, make_wav: Callable[..., Path], tmp_path: Path
) -> None:
    make_wav(movie_dir / "audio" / "audio.wav", seconds=4)
    run_stage("silero-vad", movie_dir)
    before = files_of(movie_dir)
    record = (movie_dir / "manifests" / "04_silero-vad.json").read_bytes()
    (tmp_path / "sitecustomize.py").write_text(
        "import shutil\nreal = shutil.disk_usage\nshutil.disk_usage = lambda folder: real(folder)._replace(free=1 << 19)\n"
    )
    refused = run_stage("silero-vad", movie_dir, options=["--force"], env={"PYTHONPATH": str(tmp_path)}, check=False)
    assert refused.returncode == 5
    assert re.search(r"error: silero-vad: for silero-vad 1(\.0)? MiB are needed in .* and 0\.5 MiB are free", refused.stderr)
    assert "→ free some space there" in refused.stderr and "Traceback" not in refused.stderr
    assert (files_of(movie_dir), (movie_dir / "manifests" / "04_silero-vad.json").read_bytes()) == (before, record)
    assert "up to date" in run_stage("silero-vad", movie_dir, env={"PYTHONPATH": str(tmp_path)}).stderr, "which needs no room"


@pytest.mark.timeout(900)
def test_a_run_on_a_disk_that_grows_ends_as_if_there_had_been_room(tmp_path: Path, measured: Callable[[str], None]) -> None:
    if why := soak.may_mount():
        if os.environ.get("CI_STRICT") == "1" and os.geteuid() == 0:
            pytest.fail(why)
        pytest.skip(why)
    tally = Tally("disk", "")
    film = make_film(tmp_path / "film", QUICK)
    soak.steps(tally, film, 3, 256 << 10, 16 << 20)
    soak.estimates(tally, film.reference, film.movie)
    measured(f"runs on a disk that grows, and estimates: {tally}")
    assert tally.failures == []
    assert tally.tried == 3 + 1 + len(QUICK)


def test_the_harness_sees_what_is_wrong(movie_dir: Path) -> None:
    assert list(soak.complaints(6, "error")) == ["ended with 6: error"]
    assert len(list(soak.complaints(5, "no space left to write a.json"))) == 3
    assert not list(soak.complaints(5, "for mux 1.0 MiB are needed in /a and 0.5 MiB are free\n  → free some"))
    assert list(soak.lost({"a": "1", "b": "2"}, {"a": "1"})) == ["b was done and is lost"]
    tally = Tally("disk", "")
    (movie_dir / "manifests").mkdir()
    (movie_dir / "vad").mkdir()
    (movie_dir / "vad" / "silero.json").write_bytes(bytes(3 << 20))
    record = {"outputs": {"vad/silero.json": {}}}
    (movie_dir / "manifests" / "04_silero-vad.json").write_text(json.dumps(record))
    soak.estimates(tally, movie_dir, movie_dir / "none")
    assert (tally.tried, tally.clean) == (1, 0)
