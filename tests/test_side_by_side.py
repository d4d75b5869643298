"""Stages that run beside each other, as fakes: two that need the first, one that needs both, one that needs nothing of theirs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from test_pipeline import environment, movie, pipeline, plant, processes_of, runs, start, wait_for, wait_for_none

__all__ = ["environment", "movie", "pipeline", "start"]  # fixtures

TABLE = """\
01 first core -            -          0 500 1 10
02 left  core -            first      0 500 1 10
03 right core -            first      0 500 1 10
04 last  core -            left,right 0 500 1 10
"""
SOURCES = {
    "first": "movie_file()",
    "left": 'artifact("first.txt")',
    "right": 'artifact("first.txt")',
    "last": 'artifact("right.txt")',
}
MEET = ("--set", "LEFT_MEETS=right", "--set", "RIGHT_MEETS=left")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four stages."""
    return plant(tmp_path_factory.mktemp("tree"), TABLE, SOURCES)


def test_two_stages_run_side_by_side_and_every_line_says_whose_it_is(pipeline, movie, tmp_path) -> None:
    done = pipeline("--jobs", "2", *MEET, str(movie))
    assert done.returncode == 0, done.stderr
    assert "  left: met right\n" in done.stderr and "  right: met left\n" in done.stderr
    assert "  left: left:" not in done.stderr
    began = [line.split()[0] for line in runs(tmp_path)]
    assert (began[0], set(began[1:3]), began[3]) == ("first", {"left", "right"}, "last")
    known = json.loads((tmp_path / "out/A_Movie/manifests/hashes.json").read_text())
    assert {"first.txt", "left.txt", "right.txt", "last.txt"} <= set(known), "no stage forgets what the other one has learnt"


def test_one_job_is_the_order_of_the_table(pipeline, movie, tmp_path) -> None:
    done = pipeline("--jobs=1", str(movie))
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in runs(tmp_path)] == ["first", "left", "right", "last"]


@pytest.mark.parametrize("number", ["0", "-1", "many", ""])
def test_what_is_no_number_of_jobs_is_refused(pipeline, movie, tmp_path, number) -> None:
    done = pipeline(f"--jobs={number}", str(movie))
    assert done.returncode == 2 and "--jobs takes a number or auto" in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()


def test_a_failure_lets_the_other_end_and_nothing_new_begin(pipeline, movie, tmp_path) -> None:
    done = pipeline("--jobs", "2", *MEET, "--set", "LEFT_FAULT=raise", str(movie))
    assert done.returncode == 6, done.stderr
    assert "error: left: RuntimeError: on purpose" in done.stderr
    assert (tmp_path / "out/A_Movie/right.txt").exists() and not (tmp_path / "out/A_Movie/last.txt").exists()
    again = pipeline("--jobs", "2", str(movie))
    assert again.returncode == 0, again.stderr
    assert [line.split()[0] for line in runs(tmp_path)][3:] == ["left", "last"]


def test_of_two_failures_the_first_in_the_table_gives_the_exit_code(pipeline, movie) -> None:
    done = pipeline("--jobs", "2", *MEET, "--set", "LEFT_FAULT=raise", "--set", "RIGHT_FAULT=segfault", str(movie))
    assert done.returncode == 6
    assert "right: ended with SIGSEGV" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_both(start, pipeline, movie, tmp_path, number) -> None:
    process = start("--jobs", "2", "--set", "LEFT_FAULT=hang", "--set", "RIGHT_FAULT=hang", str(movie))
    for name in ("left", "right"):
        wait_for(tmp_path / f"out/A_Movie/{name}.hanging", 90)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    wait_for_none(tmp_path)
    for name in ("02_left", "03_right"):
        assert json.loads((tmp_path / f"out/A_Movie/manifests/{name}.json").read_text())["exit_code"] == 130
    assert pipeline(str(movie)).returncode == 0


@pytest.mark.parametrize("victim", ["pipeline.sh", "reelscribe.cli"])
def test_a_kill_leaves_neither_of_them(start, pipeline, movie, tmp_path, victim) -> None:
    process = start("--jobs", "2", "--set", "LEFT_FAULT=hang", "--set", "RIGHT_FAULT=hang", str(movie))
    for name in ("left", "right"):
        wait_for(tmp_path / f"out/A_Movie/{name}.hanging", 90)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
    next(p for p in family if victim in " ".join(p.cmdline())).kill()
    process.communicate(timeout=60)
    wait_for_none(tmp_path)
    assert pipeline(str(movie)).returncode == 0


def test_what_is_up_to_date_starts_no_process(pipeline, movie, tmp_path) -> None:
    assert pipeline(str(movie)).returncode == 0
    logs = {p: p.read_bytes() for p in (tmp_path / "out/A_Movie/logs").iterdir()}
    again = pipeline(str(movie))
    assert again.returncode == 0 and again.stderr.count("up to date") == 4
    assert {p: p.read_bytes() for p in (tmp_path / "out/A_Movie/logs").iterdir()} == logs


def test_any_order_makes_the_same(tree, environment, movie, tmp_path) -> None:
    made = []
    for seed in range(3):
        command = [str(tree / "native/venvs/core/bin/python"), "-m", "reelscribe.cli", "run", "--movie", str(movie), "--jobs", "3"]
        out = tmp_path / str(seed)
        done = subprocess.run(
            [*command, "--seed", str(seed), "--out", str(out)], env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        made.append({name: (out / "A_Movie" / name).read_bytes() for name in ("left.txt", "right.txt", "last.txt")})
    assert made[0] == made[1] == made[2]
    assert not processes_of(tmp_path)
