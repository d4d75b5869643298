"""Become a program within limits that the kernel keeps. A script, for limits.py:

    python -I -S confine.py MEMORY CPU_S FILE_SIZE PROGRAM [ARGUMENT…]

A program of its own does that, as Python's code must not run between fork and exec where there are threads
(https://docs.python.org/3/library/subprocess.html#subprocess.Popen). macOS does not keep the limit of memory.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from contextlib import suppress


def become(memory: str, cpu_s: str, file_size: str, *command: str) -> None:
    """Set the limits and become `command`; no limit is raised above one that is there already."""
    _end_with_parent()  # before there is too little memory to do it
    wanted = {
        resource.RLIMIT_AS: int(memory),
        resource.RLIMIT_CPU: int(cpu_s),
        resource.RLIMIT_FSIZE: int(file_size),
        resource.RLIMIT_CORE: 0,
    }
    for what, limit in wanted.items():
        _, hard = resource.getrlimit(what)
        kept = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        with suppress(OSError, ValueError):  # macOS refuses some for memory
            resource.setrlimit(what, (kept, kept))
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and what it becomes would, too
        signal.signal(number, signal.SIG_DFL)
    os.execvp(command[0], command)


def _end_with_parent() -> None:
    """Linux alone knows how. A supervisor ends a stage with its children; this is for a stage that is run without one and killed."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, which outlives exec: man 2 prctl


if __name__ == "__main__":
    become(*sys.argv[1:])
