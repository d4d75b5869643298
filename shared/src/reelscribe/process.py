"""Child processes: none outlives the one that started it, and what they say when they fail is kept."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

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
        tail = "\n    ".join(said.splitlines()[-5:])
        raise StageFailedError(f"{name} ended with {ending(done.returncode)}:\n    {tail}")
    return done.stdout.decode(errors="replace")


def ending(returncode: int) -> str:
    """A return code of subprocess in words: `SIGSEGV`, `code 3`."""
    if returncode < 0:
        with suppress(ValueError):
            return signal.Signals(-returncode).name
    return f"code {returncode}"


class Child:
    """A program with pipes for stdin and stdout, in a session of its own; end() ends it together with its children.

    They also end when this process does, however that happens: the program has to call die_with_parent() before anything else.
    """

    def __init__(self, arguments: Sequence[str | Path], *, stderr: IO[bytes] | None = None, environment: Mapping[str, str] | None = None):
        alive, self._alive = os.pipe()
        try:
            self.process = subprocess.Popen(
                [str(a) for a in arguments],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                pass_fds=(alive,),
                env={**(os.environ if environment is None else environment), ALIVE_VARIABLE: str(alive)},
            )
        except OSError:
            os.close(self._alive)
            raise
        finally:
            os.close(alive)

    def end(self) -> int:
        """Kill what is left of it and return its return code, as subprocess has it: that of its own end where it came first."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        if self._alive >= 0:
            os.close(self._alive)
            self._alive = -1
        return code
