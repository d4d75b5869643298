"""One run owns a movie directory: `DIR/.lease.json` names the holder's host, pid, token and last heartbeat.

A stage started by a run inherits its lease through the token in REELSCRIBE_LEASE. A holder that is dead on this host is taken over
at once, one on another host when its heartbeat is older than EXPIRY_S.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from reelscribe.artifacts import write_json
from reelscribe.errors import BusyError

TOKEN_VARIABLE = "REELSCRIBE_LEASE"
HEARTBEAT_S = 15.0
EXPIRY_S = 120.0
_FILE = ".lease.json"
_GUARD = ".lease.lock"


@contextmanager
def _guard(movie_dir: Path) -> Iterator[None]:
    """One process at a time reads and writes the lease; the lock dies with its process, so nothing stale stays."""
    with open(movie_dir / _GUARD, "a") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def _read(movie_dir: Path) -> dict[str, Any] | None:
    try:
        lease = json.loads((movie_dir / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return lease if isinstance(lease, dict) else None


def _started(pid: int) -> float | None:
    """When the process `pid` started (seconds since the epoch), None when there is none: a pid alone may have been reused."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time(), 2)
    except psutil.Error:
        return None


def holder(movie_dir: Path) -> dict[str, Any] | None:
    """The lease of a run that is alive, as far as one can tell; None when the directory is free."""
    lease = _read(movie_dir)
    try:
        return lease if lease and _is_alive(lease) else None
    except (KeyError, TypeError, ValueError):
        return None  # damaged, and so nobody's


def _is_alive(lease: dict[str, Any]) -> bool:
    if lease["host"] == socket.gethostname():
        started = _started(int(lease["pid"]))
        # Clock adjustments move create_time by fractions of a second on Linux.
        return started is not None and abs(started - float(lease["started"])) < 2
    return time.time() - float(lease["heartbeat"]) < EXPIRY_S


def acquire(movie_dir: Path, pid: int | None = None) -> str:
    """Take the directory for the process `pid` (default: this one) and return the token. Raises BusyError naming the holder."""
    pid = pid or os.getpid()
    movie_dir.mkdir(parents=True, exist_ok=True)
    with _guard(movie_dir):
        other = holder(movie_dir)
        if other:
            raise BusyError(
                f"{movie_dir.name} is being worked on by process {other['pid']} on {other['host']}",
                remedy="wait until it has ended, or end it; nothing was changed",
            )
        token = secrets.token_hex(16)
        lease = {"host": socket.gethostname(), "pid": pid, "started": _started(pid), "token": token, "heartbeat": time.time()}
        write_json(movie_dir / _FILE, lease)
        return token


def inherited(movie_dir: Path) -> bool:
    """Whether this process was started by the run that holds the directory."""
    lease = _read(movie_dir)
    token = os.environ.get(TOKEN_VARIABLE)
    return bool(token and lease and lease.get("token") == token)


def beat(movie_dir: Path, token: str) -> None:
    """Say that the holder of `token` is alive."""
    with _guard(movie_dir):
        lease = _read(movie_dir)
        if lease and lease.get("token") == token:
            write_json(movie_dir / _FILE, {**lease, "heartbeat": time.time()})


def release(movie_dir: Path, token: str) -> None:
    """Give the directory back."""
    with _guard(movie_dir):
        lease = _read(movie_dir)
        if lease and lease.get("token") == token:
            with suppress(OSError):
                (movie_dir / _FILE).unlink()


@contextmanager
def beating(movie_dir: Path, token: str) -> Iterator[None]:
    """Keep the heartbeat going while the block runs."""
    done = threading.Event()

    def loop() -> None:
        while not done.wait(HEARTBEAT_S):
            # A missed beat is made up by the next one; a full disk must not end the stage from here.
            with suppress(Exception):
                beat(movie_dir, token)

    thread = threading.Thread(target=loop, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def held(movie_dir: Path) -> Iterator[None]:
    """Hold the directory while the block runs, unless the run that started this process already does."""
    if inherited(movie_dir):
        yield
        return
    token = acquire(movie_dir)
    try:
        with beating(movie_dir, token):
            yield
    finally:
        release(movie_dir, token)
