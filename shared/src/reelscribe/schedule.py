"""Which stages of a movie may begin now: those whose needs are done, as many side by side as the machine has room for.

How many threads a stage has does not depend on what else runs, so that its output does not either: where there is no room, it waits.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from reelscribe import device_manager
from reelscribe.device_manager import Machine
from reelscribe.stage import Stage
from reelscribe.stage_table import Row, waits_for

# Left to the system and to whatever else its user does.
_SYSTEM_MB = 1000


@dataclass(frozen=True)
class Task:
    """A stage of this run. needs: stages of this run that are done before it begins. gpu: computes on one. threads: cores it keeps busy."""

    row: Row
    environment: str
    helper: str
    needs: frozenset[str]
    gpu: bool
    threads: int

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.row.name


@dataclass(frozen=True)
class Room:
    """What stages share. jobs: how many may run at once; 0: as many as there are cores for. At most one of them computes on the GPU."""

    jobs: int
    cores: int
    ram_mb: int

    @classmethod
    def of(cls, machine: Machine, jobs: int) -> Room:
        """That of a machine."""
        return cls(jobs, machine.cores, max(0, machine.ram_mb - _SYSTEM_MB))

    def has(self, task: Task, running: Collection[Task]) -> bool:
        """Whether `task` may begin beside those that are running. Alone it always may."""
        together = [*running, task]
        return not running or (
            sum(t.gpu for t in together) <= 1
            and sum(t.row.mem_mb for t in together) <= self.ram_mb
            and (len(together) <= self.jobs if self.jobs else sum(t.threads for t in together) <= self.cores)
        )


def task_of(stage: Stage, options: object, environment: str, helper: str, selected: Collection[str], machine: Machine) -> Task:  # type: ignore[type-arg]
    """`stage` as it runs with these options, where the stages `selected` run."""
    device = stage.choose_device(options)
    # On a GPU one core feeds it; the other threads wait.
    feeds = device is not None and device.device != "cpu"
    threads = 1 if feeds else device_manager.threads(stage.row, options.threads, machine)  # type: ignore[attr-defined]
    return Task(stage.row, environment, helper, frozenset(waits_for(stage.row, selected)), stage.uses_gpu(options), threads)


class Schedule:
    """Tells what begins next. `order`: whom to prefer of those that may (default: as given, which is the table's order)."""

    def __init__(self, tasks: Sequence[Task], room: Room, order: random.Random | None = None) -> None:
        self._waiting = list(tasks)
        if order:
            order.shuffle(self._waiting)
        self._room = room
        self._running: dict[str, Task] = {}
        self._done: set[str] = set()

    def begin(self) -> Task | None:
        """The next one, which counts as running from now on; None when nothing may begin now."""
        for task in self._waiting:
            if task.needs <= self._done and self._room.has(task, self._running.values()):
                self._waiting.remove(task)
                self._running[task.name] = task
                return task
        return None

    def end(self, name: str, *, done: bool) -> None:
        """A stage has ended. Where it is not `done`, nothing new begins."""
        del self._running[name]
        self._done.add(name)
        if not done:
            self._waiting.clear()
