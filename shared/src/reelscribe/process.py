"""Child processes: none outlives the one that started it, and what they say when they fail is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from reelscribe import logger
from reelscribe.errors import MissingToolError, StageFailedError

ALIVE_VARIABLE = "REELSCRIBE_ALIVE_FD"


def die_with_parent() -> None:
    """End this process and its group as soon as the pipe in REELSCRIBE_ALIVE_FD closes, that is: when the supervisor is gone."""
    descriptor = os.environ.pop(ALIVE_VARIABLE, None)
    if descriptor is None:
        return
    alive = int(descriptor)
    os.set_inheritable(alive, False)
    if sys.platform == "linux":
        import ctypes

        # PR_SET_PDEATHSIG (1): covers native code that holds the interpreter's lock, when our thread below cannot run.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)

    def watch() -> None:
        while os.read(alive, 1):
            pass
        os.killpg(0, signal.SIGKILL) if os.getpgid(0) == os.getpid() else os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="die-with-parent", daemon=True).start()


def run_tool(arguments: Sequence[str | Path], *, timeout_s: float | None = None) -> str:
    """Run a program without a shell or stdin and return its stdout.

    Raises MissingToolError when there is no such program, StageFailedError with the last lines of its stderr when it fails.
    """
    name = Path(arguments[0]).name
    logger.get().debug("run: %s", subprocess.list2cmdline([str(a) for a in arguments]))
    try:
        done = subprocess.run([str(a) for a in arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
    except FileNotFoundError as error:
        raise MissingToolError(f"{name} is not there", remedy="install it, or correct the setting that names it") from error
    except subprocess.TimeoutExpired as error:
        raise StageFailedError(f"{name} gave no result within {timeout_s:.0f} s") from error
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode:
        ended = signal.Signals(-done.returncode).name if done.returncode < 0 else f"code {done.returncode}"
        tail = "\n    ".join(said.splitlines()[-5:])
        raise StageFailedError(f"{name} ended with {ended}:\n    {tail}")
    return done.stdout.decode(errors="replace")
