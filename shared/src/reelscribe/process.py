"""Child processes: none outlives the one that started it, and what they say when they fail is kept."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from reelscribe import logger
from reelscribe.errors import MissingToolError, OutOfSpaceError, StageFailedError

ALIVE_VARIABLE = "REELSCRIBE_ALIVE_FD"


def die_with_parent() -> None:
    """End this process's group as soon as the pipe in REELSCRIBE_ALIVE_FD closes, that is: when the supervisor is gone.

    A process of its own keeps watch: a thread could not run while native code holds the interpreter's lock, and the kernel's
    death signal would reach this process alone and leave its children behind.
    """
    descriptor = os.environ.pop(ALIVE_VARIABLE, None)
    if descriptor is None:
        return
    alive = int(descriptor)
    if os.fork():
        os.close(alive)
        return
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for standard in range(3):
            os.close(standard)
        while os.read(alive, 1):
            pass
    finally:
        os.killpg(0, signal.SIGKILL)


def run_tool(arguments: Sequence[str | Path], *, timeout_s: float | None = None) -> str:
    """Run a program without a shell or stdin and return its stdout.

    Raises MissingToolError when there is no such program, OutOfSpaceError when it found the disk full, StageFailedError with the last
    lines of its stderr when it fails otherwise.
    """
    name = Path(arguments[0]).name
    logger.get().debug("run: %s", subprocess.list2cmdline([str(a) for a in arguments]))
    try:
        done = subprocess.run([str(a) for a in arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
    except (FileNotFoundError, PermissionError) as error:
        raise MissingToolError(
            f"{name} cannot be run: {error.strerror}", remedy="install it, or correct the setting that names it"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise StageFailedError(f"{name} gave no result within {timeout_s:.0f} s") from error
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode:
        if os.strerror(errno.ENOSPC) in said or os.strerror(errno.EDQUOT) in said:
            raise OutOfSpaceError(f"{name} found the disk full", remedy="free some space where the movie directory is and run again")
        ended = signal.Signals(-done.returncode).name if done.returncode < 0 else f"code {done.returncode}"
        tail = "\n    ".join(said.splitlines()[-5:])
        raise StageFailedError(f"{name} ended with {ended}:\n    {tail}")
    return done.stdout.decode(errors="replace")
