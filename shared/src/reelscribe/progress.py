"""How far a stage is: a bar where stderr is a terminal, a line every minute where not.

Under the supervisor the stage only reports (JSON lines on the descriptor in REELSCRIBE_EVENTS_FD) and the supervisor shows.
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
    """Shows a fraction with a note; `line` is said once a minute where there is no terminal."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def show(self, fraction: float, note: str) -> None:
        """fraction: 0 to 1."""
        if sys.stderr.isatty():
            self._draw(fraction, note)
        elif time.monotonic() - self._said >= LINE_EVERY_S:
            self._said = time.monotonic()
            logger.get().info("%s: %d %% %s", self._name, round(100 * fraction), note)

    def _draw(self, fraction: float, note: str) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("  {task.description:<13}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(self._name, total=1.0, note="")
            self._bar.start()
        self._bar.update(self._task, completed=fraction, note=note)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Progress:
    """A stage's own report of how far it is."""

    def __init__(self, name: str) -> None:
        events = os.environ.get(EVENTS_VARIABLE)
        self._events = int(events) if events else None
        self._display = None if events else Display(name)
        self._reported = 0.0

    def update(self, done: float, total: float, note: str = "") -> None:
        """`done` of `total`, in any unit."""
        now = time.monotonic()
        if now - self._reported < _REPORT_EVERY_S and done < total:
            return
        self._reported = now
        fraction = min(1.0, done / total) if total > 0 else 1.0
        if self._display:
            self._display.show(fraction, note)
        elif self._events is not None:
            with suppress(OSError):
                os.write(self._events, (json.dumps({"fraction": fraction, "note": note}) + "\n").encode())

    def close(self) -> None:
        """The stage has ended."""
        if self._display:
            self._display.close()
