"""native/venvs/<env> while it is used: native/setup_venvs.sh puts a new one in its place only when nobody works in the old one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from reelscribe.stage_table import NATIVE

VENVS = NATIVE / "venvs"


@contextmanager
def in_use(names: Iterable[str]) -> Iterator[None]:
    """While the block runs these environments stay what they are: a set-up waits with its swap, and a swap is waited for."""
    with ExitStack() as stack:
        for name in sorted(set(names)):
            # Where no lock can be made, as in a folder of root's, nobody builds either, or root knows who is at work.
            with suppress(OSError):
                descriptor = os.open(VENVS / f".lock.{name}", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
