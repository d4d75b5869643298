"""What the benches share: a command run to its end with its time and memory, and tables of what was found.

CPU seconds are of all processes together; on a machine that others use too they say more than the clock.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from reelscribe.stage_table import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
_POLL_S = 0.1
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR")


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock and of the processor."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.cpu - other.cpu)


@dataclass
class Run:
    """A process that ended well. peak_mb: of its whole tree at once, and of each script in it."""

    cost: Cost
    out: str
    peak_mb: int = 0
    peaks_mb: dict[str, int] = field(default_factory=dict)


def environment(home: Path, threads: int) -> dict[str, str]:
    """A home of its own, no setting of the user's shell, as many threads as are asked for."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed_on, "HOME": str(home), "OFFLINE": "true", "OMP_NUM_THREADS": str(threads)}


def run(name: str, command: Iterable[object], environment: Mapping[str, str]) -> Run:
    """Run it to its end, and say so. Its processor time is that of all its descendants."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as talk:
        started = time.perf_counter()
        process = subprocess.Popen([str(a) for a in command], env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=talk)
        watch = Watch(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        watch.end()
        if process.returncode:
            talk.seek(0)
            sys.exit(f"{subprocess.list2cmdline(process.args)} ended with {process.returncode}:\n{talk.read()}")
        out.seek(0)
        # What the process itself has had is exact; what it had together with its children is what was seen.
        peak_mb = max(watch.peak_mb, usage.ru_maxrss // (2**20 if sys.platform == "darwin" else 2**10))
        done = Run(Cost(wall, usage.ru_utime + usage.ru_stime), out.read(), peak_mb, watch.peaks_mb)
        print(f"{done.cost.wall:6.1f} s, {done.cost.cpu:6.1f} s CPU, {done.peak_mb:5d} MB: {name}", file=sys.stderr, flush=True)
        return done


class Watch:
    """Looks at the memory of a process and its descendants until end()."""

    def __init__(self, pid: int) -> None:
        self.peak_mb = 0
        self.peaks_mb: dict[str, int] = {}
        self._root = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self._thread.start()

    def _look_on(self) -> None:
        while not self._ended.wait(_POLL_S):
            with suppress(psutil.Error):
                self._look()

    def _look(self) -> None:
        now: dict[str, int] = {}
        for process in [self._root, *self._root.children(recursive=True)]:
            with suppress(psutil.Error, IndexError):
                name = Path(process.cmdline()[1]).name
                now[name] = now.get(name, 0) + process.memory_info().rss // 2**20
        for name, mb in now.items():
            self.peaks_mb[name] = max(mb, self.peaks_mb.get(name, 0))
        self.peak_mb = max(self.peak_mb, sum(now.values()))

    def end(self) -> None:
        """No more."""
        self._ended.set()
        self._thread.join()


# -- tables -------------------------------------------------------------------------------------------------------------


def spread(values: Sequence[float]) -> str:
    """`1.05 (1.02–1.11)`: median, least and most."""
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """As Markdown has it."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def replace_part(text: str, name: str, content: str) -> str:
    """The document with what stands between the markers of the part replaced."""
    before, after = f"<!-- {name} -->", f"<!-- /{name} -->"
    replaced, count = re.subn(f"{before}.*?{after}", lambda _: f"{before}\n{content}\n{after}", text, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"{DOCUMENT.name} has no place for {name}: {before} … {after}")
    return replaced
