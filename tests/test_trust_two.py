"""Two at once: one run owns a movie directory, the second is refused at once and told who has it, the dead are taken over at once.

The short form of tests/soak/two.py, and what it cannot try: other hosts, disks that cannot be written, runs that lost what they held.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import python_of

from reelscribe import environments, jobs, lease
from reelscribe.artifacts import write_json
from reelscribe.errors import BadInputError, BusyError
from reelscribe.stage_table import ROOT

sys.path.append(str(ROOT / "tests" / "soak"))
import two
from common import Tally


@pytest.fixture(autouse=True)
def _no_inherited_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lease.TOKEN_VARIABLE, raising=False)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that runs a program with reelscribe and says when it is ready; it is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(program: str, *arguments: object) -> subprocess.Popen[str]:
        text = f"import sys, time\nfrom pathlib import Path\nfrom reelscribe import environments, lease\n{program}"
        command = [sys.executable, "-c", text, *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True))
        assert started[-1].stdout and started[-1].stdout.readline() == "ready\n"
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


HOLDER = "lease.acquire(Path(sys.argv[1]))\nprint('ready', flush=True)\ntime.sleep(600)"
# What a killed orchestrator leaves: the lease names a process that is gone, and a stage has not ended yet.
STAGE = "with lease.working(Path(sys.argv[1])):\n    print('ready', flush=True)\n    time.sleep(600)"


KILLED_WRITER = """
import os, sys
from pathlib import Path
from reelscribe.artifacts import atomic_path
with atomic_path(Path(sys.argv[1]) / "e.json") as temporary:
    temporary.touch()
    print(temporary, flush=True)
    os._exit(1)
"""


# -- races, caches, movies ----------------------------------------------------------------------------------------------


def test_of_many_that_want_one_directory_exactly_one_gets_it(tmp_path: Path, measured: Callable[[str], None]) -> None:
    tally = Tally("two", "")
    two.races(tally, tmp_path, 24, 1)
    measured(f"races for a movie directory: {tally}")
    assert (tally.tried, tally.failures) == (24, [])


def test_a_race_that_two_win_would_be_seen(tmp_path: Path) -> None:
    """The harness itself."""
    with two.racers(2) as running:
        (tmp_path / "a").mkdir()
        assert not list(two.race(running, tmp_path / "b", "free", two.random.Random(1)))
        running[0].tell("take", tmp_path / "a")
        assert running[0].hear().startswith("mine ")
        (tmp_path / "a" / ".lease.json").unlink()
        running[1].tell("take", tmp_path / "a")
        assert running[1].hear().startswith("mine ")


def test_runs_share_the_cache_of_a_user(tmp_path: Path) -> None:
    tally = Tally("two", "")
    two.shared_cache(tally, tmp_path / "cache", 20)
    assert (tally.tried, tally.failures) == (7, [])


@pytest.mark.timeout(600)
def test_movies_at_once_make_the_bytes_that_each_makes_alone(tmp_path: Path) -> None:
    tally = Tally("two", "")
    two.movies_at_once(tally, tmp_path, 3, ("demux", "silero-vad"))
    assert (tally.tried, tally.failures) == (3, [])


# -- who is refused, and how --------------------------------------------------------------------------------------------


def test_the_refusal_names_the_holder_since_when_and_how_to_look(movie_dir: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    holder = start(HOLDER, movie_dir)
    clock = time.strftime("%H:%M:", time.localtime())
    began = time.monotonic()
    with pytest.raises(BusyError) as refused:
        lease.acquire(movie_dir)
    assert time.monotonic() - began < 5, "at once"
    assert refused.value.code == 7
    assert f"A_Movie is being worked on by process {holder.pid} on {socket.gethostname()} since " in refused.value.message
    assert clock[:3] in refused.value.message
    look = refused.value.remedy.split("Look: ")[1].split("; ")[0]
    seen = subprocess.run(shlex.split(look), capture_output=True, text=True, check=True).stdout
    assert str(holder.pid) in seen and "import sys" in seen, "the command shows the holder"


def test_a_stage_beside_a_run_is_refused_and_changes_nothing(
    run_stage: Callable[..., Any], movie_dir: Path, make_movie: Callable[..., Path], start: Callable[..., subprocess.Popen[str]]
) -> None:
    movie = make_movie(movie_dir.parent.parent / "A Movie.mkv")
    holder = start(HOLDER, movie_dir)
    before = {path: path.read_bytes() for path in movie_dir.rglob("*") if path.is_file()}
    done = run_stage("demux", movie_dir, movie=movie, check=False)
    assert done.returncode == 7, done.stderr
    assert f"process {holder.pid} on " in done.stderr and "Traceback" not in done.stderr
    after = {path: path.read_bytes() for path in movie_dir.rglob("*") if path.is_file() and path.parent.name != "logs"}
    assert after == before


def test_decisions_about_corrections_are_refused_beside_a_run_and_not_kept(
    movie_dir: Path, start: Callable[..., subprocess.Popen[str]], child_environment: dict[str, str]
) -> None:
    jobs.write_job(movie_dir, Path(sys.executable), {})
    start(HOLDER, movie_dir)
    command = [str(python_of("core")), "-m", "reelscribe.corrections", "--undo", "c1", "--", str(movie_dir)]
    done = subprocess.run(command, env=child_environment, capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert "nothing was changed" in done.stderr
    assert not (movie_dir / "corrected").exists()


def test_an_edit_that_is_being_saved_is_not_swept_away_by_a_stage(movie_dir: Path) -> None:
    from reelscribe.artifacts import atomic_path, is_abandoned

    with atomic_path(movie_dir / "edits.json") as temporary:
        temporary.write_text("an edit")
        assert not is_abandoned(temporary)
    assert (movie_dir / "edits.json").read_text() == "an edit"
    done = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(movie_dir)], capture_output=True, text=True, check=False)
    left = Path(done.stdout.strip())
    assert left.exists() and is_abandoned(left)


def test_two_movies_of_one_name_begun_at_once_get_a_folder_each(tmp_path: Path) -> None:
    movies = [tmp_path / folder / "film.mp4" for folder in "ab"]
    for movie in movies:
        movie.parent.mkdir()
        movie.write_text(str(movie))
    first, token = jobs.open_movie(movies[0], tmp_path / "out", os.getpid())
    # The first has taken its directory and not yet said for which movie.
    writer = threading.Timer(0.5, jobs.write_job, (first, movies[0], {}))
    writer.start()
    second, _ = jobs.open_movie(movies[1], tmp_path / "out", os.getpid())
    writer.join()
    assert first.name == "film" and second.name.startswith("film-")
    with pytest.raises(BusyError):
        jobs.open_movie(movies[0], tmp_path / "out", os.getpid())
    lease.release(first, token)


# -- the dead -----------------------------------------------------------------------------------------------------------


def test_what_a_killed_run_has_left_running_is_outlived(movie_dir: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    holder, stage = start(HOLDER, movie_dir), start(STAGE, movie_dir)
    holder.kill()
    holder.wait()
    killer = threading.Timer(0.5, stage.kill)
    killer.start()
    began = time.monotonic()
    assert lease.acquire(movie_dir)
    assert time.monotonic() - began > 0.4, "not before the stage is gone"
    killer.join()


def test_what_does_not_end_is_named(movie_dir: Path, start: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "GRACE_S", 0.2)
    start(STAGE, movie_dir)
    with pytest.raises(BusyError, match=r"still being worked on by processes of a run that was killed(.|\n)*lsof .*\.lease\.work"):
        lease.acquire(movie_dir)


def test_a_stage_that_inherits_works_under_its_run(movie_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = lease.acquire(movie_dir)
    monkeypatch.setenv(lease.TOKEN_VARIABLE, token)
    with lease.held(movie_dir), pytest.raises(BlockingIOError), open(movie_dir / ".lease.work") as f:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lease.release(movie_dir, token)


# -- other hosts --------------------------------------------------------------------------------------------------------


def foreign(movie_dir: Path, **changes: Any) -> None:
    """The lease of a run of another machine."""
    write_json(movie_dir / ".lease.json", {"host": "elsewhere", "pid": 1, "started": 0, "token": "x", "heartbeat": time.time(), **changes})


def test_a_machine_of_the_same_name_is_another(movie_dir: Path) -> None:
    """Its process ids say nothing here: `localhost` on a shared disk, or a container."""
    foreign(movie_dir, host=socket.gethostname(), machine="aabbccddeeff-1")
    with pytest.raises(BusyError, match=r"counts as dead if it is not heard of for 1[12]\d s more"):
        lease.acquire(movie_dir)
    foreign(movie_dir, host=socket.gethostname(), machine="aabbccddeeff-1", heartbeat=time.time() - 121)
    assert lease.acquire(movie_dir)


def test_a_clock_that_is_wrong_by_minutes_kills_nobody_and_one_of_tomorrow_locks_nobody_out(movie_dir: Path) -> None:
    foreign(movie_dir, heartbeat=time.time() + 600)
    with pytest.raises(BusyError):
        lease.acquire(movie_dir)
    foreign(movie_dir, heartbeat=time.time() + 2 * 86400)
    assert lease.acquire(movie_dir)


def test_a_run_that_slept_too_long_stops_and_touches_nothing_more(movie_dir: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    program = """
lease.HEARTBEAT_S = 0.1
with lease.held(Path(sys.argv[1])):
    print('ready', flush=True)
    time.sleep(60)
"""
    sleeper = start(program, movie_dir)
    foreign(movie_dir)
    _, said = sleeper.communicate(timeout=60)
    assert sleeper.returncode == 7, said
    assert "was taken over by another run" in said
    assert json.loads((movie_dir / ".lease.json").read_text())["host"] == "elsewhere"


# -- disks and what lies in the way -------------------------------------------------------------------------------------


def test_a_disk_that_cannot_be_written_is_said(movie_dir: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(movie_dir)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    if not mounted:
        if os.geteuid() == 0:
            pytest.skip("root may not mount here")
        movie_dir.chmod(0o500)
    try:
        with pytest.raises(BadInputError, match="cannot be worked in") as refused:
            lease.acquire(movie_dir)
        assert "--out" in refused.value.remedy
    finally:
        subprocess.run(["umount", str(movie_dir)], check=True) if mounted else movie_dir.chmod(0o700)


@pytest.mark.parametrize("name", [".lease.json", ".lease.lock", ".lease.work"])
@pytest.mark.parametrize("what", ["fifo", "folder", "link"])
def test_what_lies_in_the_leases_way_hangs_nobody(movie_dir: Path, name: str, what: str) -> None:
    path, victim = movie_dir / name, movie_dir.parent / "victim"
    victim.write_text("mine")
    os.mkfifo(path) if what == "fifo" else path.mkdir() if what == "folder" else path.symlink_to(victim)
    signal.alarm(60)
    try:
        assert lease.acquire(movie_dir)
    except BadInputError as refused:
        assert refused.remedy
    finally:
        signal.alarm(0)
    assert victim.read_text() == "mine"


# -- environments -------------------------------------------------------------------------------------------------------


def test_an_environment_in_use_is_locked_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """setup_venvs.sh takes the same lock for its swap (bats/setup_venvs.bats)."""
    monkeypatch.setattr(environments, "VENVS", tmp_path)

    def free() -> bool:
        with open(tmp_path / ".lock.asr", "a") as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    with environments.in_use(["asr", "core"]), environments.in_use(["asr"]):
        assert not free()
    assert free()
    monkeypatch.setattr(environments, "VENVS", tmp_path / "not" / "there")
    with environments.in_use(["asr"]):
        pass
