"""One run owns a movie directory; the dead are taken over, the living are respected. Holders are real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from reelscribe import artifacts, lease, supervise
from reelscribe.errors import BusyError, ExitCode

HOLD = "import sys, time; from pathlib import Path; from reelscribe import lease; {}; print('held', flush=True); time.sleep(60)"
ACQUIRE = "lease.acquire(Path(sys.argv[1]))"
RACE = """
import sys, time
from pathlib import Path
from reelscribe import lease
from reelscribe.errors import BusyError
while time.time() < float(sys.argv[2]): pass
try:
    lease.acquire(Path(sys.argv[1]))
    print("mine", flush=True)
    sys.stdin.read()
except BusyError:
    print("busy", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _no_inherited_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lease.TOKEN_VARIABLE, raising=False)


@pytest.fixture
def holder(movie_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the directory."""
    process = subprocess.Popen([sys.executable, "-c", HOLD.format(ACQUIRE), str(movie_dir)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def write(movie_dir: Path) -> Callable[..., None]:
    """Puts a lease of somebody else into the directory."""

    def put(**changes: Any) -> None:
        theirs = {"host": "elsewhere", "pid": 1, "started": 0.0, "token": "theirs", "heartbeat": time.time()}
        (movie_dir / ".lease.json").write_text(json.dumps({**theirs, **changes}))

    return put


def test_a_second_run_is_refused_and_told_who_holds_it(holder: subprocess.Popen[str], movie_dir: Path) -> None:
    with pytest.raises(BusyError, match=rf"A_Movie is being worked on by process {holder.pid} on {socket.gethostname()}") as caught:
        lease.acquire(movie_dir)
    assert caught.value.code is ExitCode.BUSY == 7
    with pytest.raises(BusyError), lease.held(movie_dir):
        pytest.fail("it was entered")


def test_whoever_takes_it_removes_what_killed_runs_had_not_finished(movie_dir: Path) -> None:
    (movie_dir / "audio" / ".tmp-1").mkdir(parents=True)
    for name in (".tmp-1.env", "audio/.tmp-1/x.wav", "audio/audio.wav"):
        (movie_dir / name).write_text("half")
    mine = artifacts.temporary_path(movie_dir, ".json")
    mine.write_text("being written")
    lease.acquire(movie_dir)
    assert [*movie_dir.rglob(".tmp-*")] == [mine]
    assert (movie_dir / "audio" / "audio.wav").exists()


@pytest.mark.parametrize("reaped", [True, False], ids=["gone", "zombie"])
def test_a_dead_holder_of_this_host_is_taken_over_at_once(holder: subprocess.Popen[str], movie_dir: Path, reaped: bool) -> None:
    holder.send_signal(signal.SIGKILL)
    if reaped:
        holder.wait()
    else:
        while psutil.Process(holder.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
    assert lease.holder(movie_dir) is None
    token = lease.acquire(movie_dir)
    found = lease.holder(movie_dir)
    assert found is not None
    assert (found["token"], found["pid"]) == (token, os.getpid())


def test_of_many_at_once_exactly_one_gets_it(movie_dir: Path) -> None:
    start = str(time.time() + 2)
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, str(movie_dir), start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    answers = sorted(racer.stdout.readline() for racer in racers if racer.stdout)
    for racer in racers:
        racer.communicate()
    assert answers == ["busy\n"] * 5 + ["mine\n"]


def test_a_pid_that_was_given_to_another_process_is_no_holder(movie_dir: Path, write: Callable[..., None]) -> None:
    write(host=socket.gethostname(), pid=os.getpid(), started=time.time() - 86400)
    assert lease.holder(movie_dir) is None
    assert lease.acquire(movie_dir)


@pytest.mark.parametrize(("age_s", "free"), [(0, False), (lease.EXPIRY_S - 10, False), (lease.EXPIRY_S + 1, True)])
def test_a_holder_on_another_host_is_known_by_its_heartbeat(movie_dir: Path, write: Callable[..., None], age_s: float, free: bool) -> None:
    write(heartbeat=time.time() - age_s)
    if free:
        assert lease.acquire(movie_dir)
        return
    with pytest.raises(BusyError, match="by process 1 on elsewhere"):
        lease.acquire(movie_dir)


def test_a_heartbeat_is_given_often_enough_to_survive_two_missed_ones() -> None:
    assert 3 * lease.HEARTBEAT_S < lease.EXPIRY_S


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"host": null}', '{"host": "elsewhere"}', '{"host": "elsewhere", "heartbeat": "soon"}']
)
def test_a_damaged_lease_is_nobodys(movie_dir: Path, text: str) -> None:
    (movie_dir / ".lease.json").write_text(text)
    assert lease.holder(movie_dir) is None
    assert lease.acquire(movie_dir)


@pytest.mark.parametrize("changes", [{"pid": None}, {"pid": "many"}, {"pid": -1}, {"started": None}, {"started": "then"}])
def test_a_lease_of_this_host_with_nonsense_is_nobodys(movie_dir: Path, write: Callable[..., None], changes: dict[str, object]) -> None:
    write(**{"host": socket.gethostname(), "pid": os.getpid(), **changes})
    assert lease.acquire(movie_dir)


def test_a_stage_inherits_the_lease_of_the_run_that_started_it(
    holder: subprocess.Popen[str], movie_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = lease.holder(movie_dir)
    assert held is not None
    monkeypatch.setenv(lease.TOKEN_VARIABLE, held["token"])
    with lease.held(movie_dir):
        assert lease.holder(movie_dir) == held
    assert lease.holder(movie_dir) == held, "what was inherited is not given back"
    monkeypatch.setenv(lease.TOKEN_VARIABLE, "of another run")
    with pytest.raises(BusyError), lease.held(movie_dir):
        pytest.fail("it was entered")


def test_held_gives_it_back_even_after_an_error(movie_dir: Path) -> None:
    with pytest.raises(RuntimeError), lease.held(movie_dir):
        assert lease.holder(movie_dir) is not None
        raise RuntimeError
    assert lease.holder(movie_dir) is None


def test_only_its_own_token_gives_back_and_beats(movie_dir: Path) -> None:
    lease.acquire(movie_dir)
    before = lease.holder(movie_dir)
    lease.beat(movie_dir, "not mine")
    lease.release(movie_dir, "not mine")
    assert lease.holder(movie_dir) == before is not None


def test_the_lease_may_be_taken_for_another_process(movie_dir: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as orchestrator:
        lease.acquire(movie_dir, orchestrator.pid)
        held = lease.holder(movie_dir)
        assert held is not None
        assert held["pid"] == orchestrator.pid
        with pytest.raises(BusyError):
            lease.acquire(movie_dir)
        orchestrator.communicate(b"\n")
    assert lease.holder(movie_dir) is None


def test_the_heart_beats_while_the_block_runs(movie_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.02)
    token = lease.acquire(movie_dir)

    def heartbeat() -> float:
        return float(json.loads((movie_dir / ".lease.json").read_text())["heartbeat"])

    first = heartbeat()
    with lease.beating(movie_dir, token, pytest.fail):
        deadline = time.monotonic() + 10
        while heartbeat() == first and time.monotonic() < deadline:
            time.sleep(0.01)
        assert heartbeat() > first
    last = heartbeat()
    time.sleep(0.1)
    assert heartbeat() == last, "it has stopped"
    assert [p.name for p in movie_dir.iterdir() if p.name.startswith(".tmp-")] == []


def test_a_supervisor_without_a_run_leaves_the_lease_to_its_stage(movie_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(attempt: supervise.Attempt) -> int:
        with lease.held(movie_dir):  # as a stage does that belongs to no run
            time.sleep(0.3)
        return len(attempt.lost)

    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(supervise.Attempt, "run", run)
    monkeypatch.setattr(supervise, "python_of", lambda environment: Path(sys.executable))
    assert supervise.main(["--movie-dir", str(movie_dir), "--stage", "tmdb", "--environment", "tmdb"]) == 0
