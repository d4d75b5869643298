"""native/workflow on this machine: what pipeline.sh has begun it goes on with and the other way round, and neither touches what is held."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reelscribe import lease, snakemake_process
from reelscribe.snakemake_process import Snakemake, runs_here
from reelscribe.stage_table import NATIVE

pytestmark = pytest.mark.timeout(900)
FIRST = ["demux", "tmdb", "pre-ner", "silero-vad"]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def start(tmp_path: Path, child_environment: dict[str, str]) -> Run:
    """Runs a script of native/ in a folder of its own, to its end."""

    def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(NATIVE / script), *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=child_environment, capture_output=True, text=True, check=False)

    return run


def manifests(movie_dir: Path) -> dict[str, bytes]:
    """The manifests by name; those of stages that ran again differ at least in the time."""
    return {path.stem[3:]: path.read_bytes() for path in (movie_dir / "manifests").glob("[0-9]*.json")}


def test_each_goes_on_with_what_the_other_has_begun(start: Run, make_movie: Callable[..., Path], tmp_path: Path) -> None:
    begun_here, begun_there = make_movie(tmp_path / "First Film.mp4"), make_movie(tmp_path / "Second Film.mp4")
    assert start("pipeline.sh", "--to", "demux", begun_here).returncode == 0
    before = manifests(tmp_path / "out" / "First_Film")

    done = start("workflow/run.sh", "--to", "silero-vad", begun_here, begun_there)
    assert done.returncode == 0, done.stderr
    assert "2 movies, 0 failed" in done.stderr
    first, second = manifests(tmp_path / "out" / "First_Film"), manifests(tmp_path / "out" / "Second_Film")
    assert sorted(first) == sorted(second) == sorted(FIRST)
    assert first["demux"] == before["demux"]
    # Nothing of the workflow's own is left, and no lease.
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["First_Film", "Second_Film"]
    assert lease.holder(tmp_path / "out" / "First_Film") is None

    resumed = start("pipeline.sh", "--to", "silero-vad", begun_there)
    assert resumed.returncode == 0, resumed.stderr
    assert manifests(tmp_path / "out" / "Second_Film") == second

    again = start("workflow/run.sh", "--to", "silero-vad", tmp_path / "out" / "Second_Film")
    assert again.returncode == 0, again.stderr
    assert "1 movies, 0 of them with something to do" in again.stderr


def test_a_movie_that_is_held_is_refused_and_the_others_are_done(start: Run, make_movie: Callable[..., Path], tmp_path: Path) -> None:
    busy, free = make_movie(tmp_path / "Busy.mp4"), make_movie(tmp_path / "Free.mp4")
    token = lease.acquire(tmp_path / "out" / "Busy")
    done = start("workflow/run.sh", "--to", "demux", busy, free)
    assert done.returncode == 7
    assert "Busy is being worked on by" in done.stderr
    assert "2 movies, 1 failed" in done.stderr
    assert list(manifests(tmp_path / "out" / "Free")) == ["demux"]
    assert manifests(tmp_path / "out" / "Busy") == {}
    lease.release(tmp_path / "out" / "Busy", token)


def test_a_stage_that_fails_ends_its_movie_with_its_code_and_no_other(start: Run, make_movie: Callable[..., Path], tmp_path: Path) -> None:
    silent, good = make_movie(tmp_path / "Silent.mp4", wavs=[], options=("-an",)), make_movie(tmp_path / "Good.mp4")
    movies = tmp_path / "list.txt"
    movies.write_text(f"{silent}\n\n{good}\n")
    done = start("workflow/run.sh", "--to", "tmdb", "--list", movies)
    assert done.returncode == 3, done.stderr
    assert "2 movies, 1 failed" in done.stderr
    assert f"{silent}: demux: " in done.stderr
    assert sorted(manifests(tmp_path / "out" / "Good")) == ["demux", "tmdb"]

    ended = start("workflow/run.sh", "--only", "demux", "--set", "STAGE_MEMORY=1", "--out", tmp_path / "small", good)
    assert ended.returncode == 6, ended.stderr
    assert re.search(r"Good.mp4: demux: took \d+ MiB, more than STAGE_MEMORY=1 MiB", ended.stderr), ended.stderr


def test_movies_of_one_name_are_two_and_a_movie_named_twice_is_one(start: Run, make_movie: Callable[..., Path], tmp_path: Path) -> None:
    here, there = make_movie(tmp_path / "a" / "Film.mp4"), make_movie(tmp_path / "b" / "Film.mp4", seconds=3)
    begun = tmp_path / "other's {out}" / "Film"
    assert start("pipeline.sh", "--to", "demux", "--out", begun.parent, there).returncode == 0

    done = start("workflow/run.sh", "--to", "tmdb", begun, here, f"{begun}/", there.parent, "--out", begun.parent)
    assert done.returncode == 0, done.stderr
    assert "2 movies, 0 failed" in done.stderr
    assert f"  {begun.name}: tmdb: done in " in done.stderr, "lines say whose they are"
    (other,) = begun.parent.glob("Film-*")
    assert sorted(manifests(begun)) == sorted(manifests(other)) == ["demux", "tmdb"]

    elsewhere = start("workflow/run.sh", "--to", "tmdb", here, begun)
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert sorted(manifests(tmp_path / "out" / "Film")) == ["demux", "tmdb"]
    together = start("workflow/run.sh", "--to", "pre-ner", here, begun)
    assert together.returncode == 0, together.stderr
    assert sorted(manifests(tmp_path / "out" / "Film")) == sorted(manifests(begun)) == ["demux", "pre-ner", "tmdb"]


def test_a_list_as_windows_writes_it(start: Run, make_movie: Callable[..., Path], tmp_path: Path) -> None:
    first, begun = make_movie(tmp_path / "Der \u2028 Film.mp4"), make_movie(tmp_path / "Begun.mp4")
    assert start("pipeline.sh", "--to", "demux", begun).returncode == 0
    movies = tmp_path / "list.txt"
    movies.write_bytes(f"\ufeff{first}\r\n# what was begun\r\n\r\n{tmp_path / 'out' / 'Begun'}\r\n".encode())
    done = start("workflow/run.sh", "--to", "demux", "--list", movies)
    assert done.returncode == 0, done.stderr
    assert "2 movies, 1 of them with something to do" in done.stderr


def test_wrong_words_are_usage_errors(start: Run, make_movie: Callable[..., Path], tmp_path: Path) -> None:
    movie = make_movie(tmp_path / "A.mp4")
    for arguments, said in (
        ([], "which movies"),
        (["--profile", "moon", movie], "local, slurm"),
        (["--only", "lyrics", movie], "there is no stage 'lyrics'"),
        (["--set", "CHUNKS_PER_JOB=0", movie], "CHUNKS_PER_JOB"),
        (["--list", "/dev/null"], "which movies"),
        (["--snakemake=--dry-run", movie], "pipeline.sh --dry-run"),
    ):
        done = start("workflow/run.sh", *arguments)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    for content in (None, b"\xff\xfe"):
        if content:
            (tmp_path / "list.txt").write_bytes(content)
        done = start("workflow/run.sh", "--list", tmp_path / "list.txt")
        assert (done.returncode, "list.txt" in done.stderr, "Traceback" in done.stderr) == (3, True, False), done.stderr
    assert not (tmp_path / "out").exists()


SLEEPS = """
rule all:
    output: "done"
    shell: "touch begun; sleep 300"
"""


@pytest.fixture
def sleeping(tmp_path: Path) -> Snakemake:
    """Snakemake with a job that sleeps, started by a process that ignores Ctrl-C, as scripts start what is followed by &."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "sleeps.smk").write_text(SLEEPS)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        made = Snakemake(tmp_path, NATIVE / "workflow" / "profiles" / "local", ["--snakefile", str(tmp_path / "sleeps.smk")])
    finally:
        signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 120
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.1)
    return made


def test_snakemake_takes_its_jobs_back_whoever_started_us(sleeping: Snakemake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snakemake_process, "_GRACE_S", 20.0)
    sleeping.stop()
    assert sleeping.wait() == 130
    assert sleeping._process.returncode != -signal.SIGKILL, "it was killed, and a cluster would still have its jobs"


@pytest.mark.parametrize(
    ("text", "here"),
    [("cores: 4\n", True), ("executor: local # here\n", True), ("executor: 'slurm'\n", False), ("executor:  slurm\njobs: 3\n", False)],
)
def test_jobs_run_here_unless_the_profile_names_another_executor(tmp_path: Path, text: str, here: bool) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert runs_here(tmp_path) is here
