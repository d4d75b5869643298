"""How far a stage is: a bar where stderr is a terminal, a line every minute where not.

Whoever has a descriptor in REELSCRIBE_EVENTS_FD only reports there (JSON lines): a stage to its supervisor, that to the orchestrator.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from typing import Any

from reelscribe import logger

EVENTS_VARIABLE = "REELSCRIBE_EVENTS_FD"
LINE_EVERY_S = 60.0
_REPORT_EVERY_S = 0.2


class Display:
    """Shows a fraction with a note: as a bar, below those of the stages that run at the same time, or as a line now and then.

    bar: whether it may be one; those of several processes would write over each other.
    """

    def __init__(self, name: str, *, bar: bool = True) -> None:
        self._name = name
        self._bar = bar
        self._said = time.monotonic()
        self._task: Any = None
        events = os.environ.get(EVENTS_VARIABLE)
        self._events = int(events) if events else None

    def show(self, fraction: float, note: str) -> None:
        """fraction: 0 to 1."""
        if self._events is not None:
            with suppress(OSError):
                os.write(self._events, (json.dumps({"fraction": fraction, "note": note}) + "\n").encode())
        elif self._bar and sys.stderr.isatty():
            self._draw(fraction, note)
        elif time.monotonic() - self._said >= LINE_EVERY_S:
            self._said = time.monotonic()
            logger.get().info("%s: %d %% %s", self._name, round(100 * fraction), note)

    def show_event(self, data: bytes) -> None:
        """The last of the events that another process reported; what is none is passed over."""
        with suppress(ValueError, KeyError, IndexError, TypeError):
            event = json.loads(data.splitlines()[-1])
            self.show(float(event["fraction"]), str(event["note"]))

    def _draw(self, fraction: float, note: str) -> None:
        if self._task is None:
            self._task = _bars.add(self._name)
        _bars.update(self._task, fraction, note)

    def close(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            _bars.remove(self._task)
            self._task = None


class _Bars:
    """The bars at the foot of the terminal, made with the first and taken away with the last."""

    def __init__(self) -> None:
        self._progress: Any = None

    def add(self, name: str) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        if self._progress is None:
            self._progress = Progress(
                TextColumn("  {task.description:<13}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.start()
        return self._progress.add_task(name, total=1.0, note="")

    def update(self, task: Any, fraction: float, note: str) -> None:
        self._progress.update(task, completed=fraction, note=note)

    def remove(self, task: Any) -> None:
        self._progress.remove_task(task)
        if not self._progress.tasks:
            self._progress.stop()
            self._progress = None


_bars = _Bars()


class Progress:
    """A stage's own report of how far it is."""

    def __init__(self, name: str) -> None:
        self._display = Display(name)
        self._reported = 0.0

    def update(self, done: float, total: float, note: str = "") -> None:
        """`done` of `total`, in any unit."""
        now = time.monotonic()
        if now - self._reported < _REPORT_EVERY_S and done < total:
            return
        self._reported = now
        self._display.show(min(1.0, done / total) if total > 0 else 1.0, note)

    def close(self) -> None:
        """The stage has ended."""
        self._display.close()
