"""One run owns a movie directory: `DIR/.lease.json` names the holder's host, pid, token and last heartbeat.

A stage started by a run inherits its lease through the token in REELSCRIBE_LEASE. A holder that is dead on this host is taken over
at once, one on another host when its heartbeat is older than EXPIRY_S. Whoever works in the directory holds a lock on `.lease.work`,
which the kernel gives back: what a killed orchestrator leaves behind has ended before the next run begins.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shlex
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from reelscribe import logger
from reelscribe.artifacts import read_bounded, remove_abandoned, write_errors, write_json
from reelscribe.errors import BadInputError, BusyError, ExitCode, StageFailedError

TOKEN_VARIABLE = "REELSCRIBE_LEASE"
HEARTBEAT_S = 15.0
EXPIRY_S = 120.0
# How long processes of a run that was killed may take to end; the kernel ends them within a moment, once it gets to it.
GRACE_S = 15.0
_DAY_S = 86400.0
_LARGEST = 1 << 16
_FILE = ".lease.json"
_GUARD = ".lease.lock"
_WORK = ".lease.work"


# -- locks, which the kernel gives back ---------------------------------------------------------------------------------


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    """A lock on the file, made where it is missing. Raises BlockingIOError with LOCK_NB."""
    # Whatever has been put in its place: a link is not followed, and a FIFO not waited for.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, how)
        except OSError as error:
            # Some network file systems know no locks; there the lease alone has to do.
            if error.errno not in (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS):
                raise
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _guard(movie_dir: Path) -> Iterator[None]:
    """One process at a time reads and writes the lease."""
    with _locked(movie_dir / _GUARD, fcntl.LOCK_EX):
        yield


@contextmanager
def working(movie_dir: Path) -> Iterator[None]:
    """To be held by every process of a run while it works in the directory."""
    with _locked(movie_dir / _WORK, fcntl.LOCK_SH):
        yield


def _outlive(movie_dir: Path) -> None:
    """Wait until no process of an earlier run works here any more. Raises BusyError after GRACE_S."""
    deadline = time.monotonic() + GRACE_S
    while True:
        try:
            with _locked(movie_dir / _WORK, fcntl.LOCK_EX | fcntl.LOCK_NB):
                return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise BusyError(
                    f"{movie_dir.name} is still being worked on by processes of a run that was killed",
                    remedy=f"end them; nothing was changed. Look: lsof {shlex.quote(str(movie_dir / _WORK))}",
                ) from None
            time.sleep(0.05)


# -- who holds it -------------------------------------------------------------------------------------------------------


def _read(movie_dir: Path) -> dict[str, Any] | None:
    """What the file says; None when it is not there or damaged. Raises OSError when it may not be read."""
    path = movie_dir / _FILE
    try:
        lease = json.loads(read_bounded(path, _LARGEST)) if path.is_file() else None
    except (FileNotFoundError, ValueError, RecursionError, BadInputError):
        return None
    return lease if isinstance(lease, dict) and _names_a_holder(lease) else None


def _names_a_holder(lease: dict[str, Any]) -> bool:
    """Whether it says who holds the directory; one that does not is damaged, and so nobody's."""
    host, pid = lease.get("host"), lease.get("pid")
    return isinstance(host, str) and len(host) < 256 and isinstance(pid, int) and 0 < pid < 1 << 32


def _started(pid: int) -> float | None:
    """When the process `pid` started (seconds since the epoch), None when there is none: a pid alone may have been reused."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time(), 2)
    except psutil.Error:
        return None


@lru_cache(maxsize=1)
def _machine() -> str:
    """Tells machines of one name apart, and containers, whose process ids mean nothing elsewhere."""
    address = uuid.getnode()
    parts = [] if address >> 40 & 1 else [f"{address:012x}"]  # that bit: no address was found, and one made up
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return "-".join(parts)


def _is_here(lease: dict[str, Any]) -> bool:
    return bool(lease["host"] == socket.gethostname() and lease.get("machine", _machine()) == _machine())


def _is_alive(lease: dict[str, Any]) -> bool:
    if _is_here(lease):
        started = _started(int(lease["pid"]))
        # Clock adjustments move create_time by fractions of a second on Linux.
        return started is not None and abs(started - float(lease["started"])) < 2
    # Clocks differ by minutes; a heartbeat of tomorrow is none.
    return -_DAY_S < time.time() - float(lease["heartbeat"]) < EXPIRY_S


def _holder(movie_dir: Path) -> dict[str, Any] | None:
    lease = _read(movie_dir)
    try:
        return lease if lease and _is_alive(lease) else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None  # damaged, and so nobody's


def holder(movie_dir: Path) -> dict[str, Any] | None:
    """The lease of a run that is alive, as far as one can tell; None when the directory is free."""
    with suppress(OSError):
        return _holder(movie_dir)
    return None


def _named(lease: dict[str, Any]) -> str:
    """`process 4711 on larch since 17:05:12`."""
    who = f"process {lease['pid']} on {lease['host']}"
    with suppress(KeyError, TypeError, ValueError, OverflowError, OSError):
        since = time.localtime(float(lease["since"]))
        today = since[:3] == time.localtime()[:3]
        return f"{who} since {time.strftime('%H:%M:%S' if today else '%Y-%m-%d %H:%M:%S', since)}"
    return who


def _how_to_look(movie_dir: Path, lease: dict[str, Any]) -> str:
    status = f"native/pipeline.sh --status {shlex.quote(str(movie_dir))}"
    if _is_here(lease):
        return f"wait until it has ended, or end it; nothing was changed. Look: ps -o pid,etime,args -p {int(lease['pid'])}; {status}"
    left_s = EXPIRY_S - max(0.0, time.time() - float(lease["heartbeat"]))
    return f"wait until it has ended; it counts as dead if it is not heard of for {left_s:.0f} s more. Nothing was changed. Look: {status}"


# -- taking, keeping and giving back ------------------------------------------------------------------------------------


def acquire(movie_dir: Path, pid: int | None = None) -> str:
    """Take the directory for the process `pid` (default: this one) and return the token.

    Raises BusyError naming the holder, BadInputError when nothing can be written there, OutOfSpaceError.
    """
    try:
        with write_errors(movie_dir / _FILE):
            movie_dir.mkdir(parents=True, exist_ok=True)
            with _guard(movie_dir):
                return _acquire(movie_dir, pid or os.getpid())
    except (OSError, StageFailedError) as error:
        why = error.message if isinstance(error, StageFailedError) else error.strerror or error
        raise BadInputError(
            f"{movie_dir} cannot be worked in: {why}",
            remedy="check its owner, its permissions and its disk, or choose another folder with --out",
        ) from error


def _acquire(movie_dir: Path, pid: int) -> str:
    """With the guard held."""
    other = _holder(movie_dir)
    if other:
        raise BusyError(f"{movie_dir.name} is being worked on by {_named(other)}", remedy=_how_to_look(movie_dir, other))
    _outlive(movie_dir)
    token, now = secrets.token_hex(16), time.time()
    here = {"host": socket.gethostname(), "machine": _machine(), "pid": pid, "started": _started(pid)}
    write_json(movie_dir / _FILE, {**here, "token": token, "since": now, "heartbeat": now})
    remove_abandoned(movie_dir)
    return token


def inherited(movie_dir: Path) -> bool:
    """Whether this process was started by the run that holds the directory."""
    token = os.environ.get(TOKEN_VARIABLE)
    lease = None
    with suppress(OSError):
        lease = _read(movie_dir) if token else None
    return bool(token and lease and lease.get("token") == token)


def beat(movie_dir: Path, token: str) -> bool:
    """Say that the holder of `token` is alive; False when another run has taken the directory over."""
    with _guard(movie_dir):
        lease = _read(movie_dir)
        if lease and lease.get("token") == token:
            write_json(movie_dir / _FILE, {**lease, "heartbeat": time.time()})
        return not lease or lease.get("token") == token


def release(movie_dir: Path, token: str) -> None:
    """Give the directory back."""
    with suppress(OSError), _guard(movie_dir):
        lease = _read(movie_dir)
        if lease and lease.get("token") == token:
            (movie_dir / _FILE).unlink()


@contextmanager
def beating(movie_dir: Path, token: str, lost: Callable[[], None]) -> Iterator[None]:
    """Keep the heartbeat going while the block runs; `lost` is called once when another run has taken the directory over.

    That happens to a run that was asleep for EXPIRY_S, on a laptop say, while another host looked for it.
    """

    def once() -> bool:
        held = beat(movie_dir, token)
        if not held:
            lost()
        return held

    with repeating(once):
        yield


@contextmanager
def repeating(once: Callable[[], bool]) -> Iterator[None]:
    """Call `once` every HEARTBEAT_S while the block runs, until it returns False."""
    done = threading.Event()

    def loop() -> None:
        while not done.wait(HEARTBEAT_S):
            # A missed beat is made up by the next one; a full disk must not end the stage from here.
            with suppress(Exception):
                if not once():
                    return

    thread = threading.Thread(target=loop, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def lost_to_another(movie_dir: Path) -> BusyError:
    """What to say when `lost` is called."""
    return BusyError(
        f"{movie_dir.name} was taken over by another run, as this one was not heard of for {EXPIRY_S:.0f} s",
        remedy="nothing is lost: run again when that one has ended",
    )


def _give_up(movie_dir: Path) -> None:
    """At once: whatever else this process did would be done to the other run's files."""
    logger.get().error("%s", lost_to_another(movie_dir))
    os._exit(ExitCode.BUSY)


@contextmanager
def held(movie_dir: Path) -> Iterator[None]:
    """Hold the directory while the block runs, unless the run that started this process already does."""
    if inherited(movie_dir):
        with working(movie_dir):
            yield
        return
    token = acquire(movie_dir)
    try:
        with working(movie_dir), beating(movie_dir, token, lambda: _give_up(movie_dir)):
            yield
    finally:
        release(movie_dir, token)
