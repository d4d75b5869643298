"""One movie from its opening to its summary: what is up to date is passed over, the other stages run side by side where none waits for
another.

native/pipeline.sh starts one such process a movie (`reelscribe.cli run`). Each stage has a supervisor of its own, whose talk and progress
come here, so that the lines of several stages do not get mixed up.
"""

from __future__ import annotations

import os
import random
import re
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from reelscribe import device_manager, jobs, lease, logger, module
from reelscribe.errors import BusyError, ExitCode
from reelscribe.progress import EVENTS_VARIABLE, Display
from reelscribe.runner import Job
from reelscribe.schedule import Room, Schedule, Task, task_of
from reelscribe.stage import load_contract
from reelscribe.stage_table import NATIVE, Row
from reelscribe.supervise import stage_environment

_TICK_S = 0.2


@dataclass
class Running:
    """A child and what it says. `named`: its lines begin with its name, as others may speak in between."""

    name: str
    process: subprocess.Popen[bytes]
    named: bool = False
    events: int = -1
    display: Display | None = None
    _rest: bytes = b""

    def talk(self, data: bytes) -> None:
        """Pass whole lines on; the last one may still be written."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._say(line.decode(errors="replace"))

    def sources(self) -> list[tuple[int, Callable[[bytes], None]]]:
        """What is read from it, and who takes that."""
        found: list[tuple[int, Callable[[bytes], None]]] = []
        if self.process.stderr:
            found.append((self.process.stderr.fileno(), self.talk))
        if self.display:
            found.append((self.events, self.display.show_event))
        return found

    def close(self) -> int:
        """It has ended: its exit code, as a shell has it."""
        for descriptor, take in self.sources():
            while select.select([descriptor], [], [], 0)[0] and (data := os.read(descriptor, 65536)):
                take(data)
        if self._rest:
            self.talk(b"\n")
        if self.process.stderr:
            self.process.stderr.close()
        if self.display:
            self.display.close()
            os.close(self.events)
        code = self.process.wait()
        return 128 - code if code < 0 else code

    def _say(self, line: str) -> None:
        if self.named and not re.match(rf"\s*(\w+: )?{re.escape(self.name)}: ", line):
            line = f"  {self.name}: {line.removeprefix('  ')}"
        with suppress(OSError):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()


@dataclass
class Orchestra:
    """The children of one movie's run. parent: pipeline.sh, which they do not outlive."""

    movie_dir: Path
    parent: int
    env_file: Path | None
    force: bool
    interrupted: bool = False
    lost: list[BusyError] = field(default_factory=list)
    _running: dict[str, Running] = field(default_factory=dict)
    _selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)

    def listen(self) -> None:
        """From now on signals end what runs, and then this."""

        def stop(number: int, frame: FrameType | None) -> None:
            self.interrupted = True

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, stop)

    # -- stages ---------------------------------------------------------------------------------------------------------

    def provide(self, tasks: Sequence[Task]) -> int:
        """Build the environments that are missing; the exit code."""
        names = dict.fromkeys(name for task in tasks for name in (task.environment, task.helper) if name)
        self._start("setup_venvs", [str(NATIVE / "setup_venvs.sh"), "--watch", str(self.parent), *names], stderr=None)
        ((_, code),) = self._wait()
        return code

    def play(self, tasks: Sequence[Task], room: Room, order: random.Random | None = None) -> int:
        """Run the stages. The exit code: 0, or that of the first one in the table that failed; who runs beside it goes on to the end."""
        schedule = Schedule(tasks, room, order)
        failed: dict[str, int] = {}
        while True:
            while not self._stopping() and (task := schedule.begin()):
                if self._is_current(task.row):
                    schedule.end(task.name, done=True)
                else:
                    self._begin(task, named=room.jobs != 1 and len(tasks) > 1)
            if not self._running:
                break
            for name, code in self._wait():
                schedule.end(name, done=code == 0)
                if code:
                    failed[name] = code
        return next((failed[task.name] for task in tasks if task.name in failed), 0)

    def _stopping(self) -> bool:
        return self.interrupted or bool(self.lost)

    def _is_current(self, row: Row) -> bool:
        """Whether the stage would find that it has nothing to do, which is said. What else it would find, it says itself."""
        if self.force:
            return False
        try:
            stage = load_contract(row)
            options, sources = jobs.options_of(stage, self.movie_dir, environment=stage_environment(row, self.env_file))
            job = Job(stage, jobs.movie_of(self.movie_dir), self.movie_dir, options, sources)
            pending = job.pending()
            before = job.current(pending)
        except Exception:
            return False
        if before:
            job.report_differences(before, pending)
            logger.get().info("%s: up to date", row.name)
        return before is not None

    def _begin(self, task: Task, *, named: bool) -> None:
        command = [sys.executable, module.__file__, "reelscribe.supervise", "--movie-dir", str(self.movie_dir), "--stage", task.name]
        command += ["--environment", task.environment, "--parent", str(os.getpid())]
        command += ["--env", str(self.env_file)] if self.env_file else []
        command += ["--force"] if self.force else []
        read, write = os.pipe()
        child = self._start(task.name, command, stderr=subprocess.PIPE, events=write)
        os.close(write)
        child.named, child.events, child.display = named, read, Display(task.name)
        for descriptor, take in child.sources():
            self._selector.register(descriptor, selectors.EVENT_READ, (child, take))

    # -- children -------------------------------------------------------------------------------------------------------

    def _start(self, name: str, command: Sequence[str], *, stderr: int | None, events: int | None = None) -> Running:
        passed = {} if events is None else {EVENTS_VARIABLE: str(events)}
        self._running[name] = Running(
            name,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,  # what reads it would take what is pipeline.sh's
                stdout=sys.stderr.fileno(),
                stderr=stderr,
                pass_fds=() if events is None else (events,),
                env={**os.environ, **passed},
            ),
        )
        return self._running[name]

    def _wait(self) -> list[tuple[str, int]]:
        """Pass on what is said until somebody has ended: names and exit codes."""
        told = False
        while True:
            if os.getppid() != self.parent:
                os._exit(ExitCode.INTERRUPTED)  # the supervisors see that we are gone and end their stages at once
            if self._stopping() and not told:
                told = True
                for child in self._running.values():
                    child.process.terminate()
            self._pass_on()
            if ended := [child for child in self._running.values() if child.process.poll() is not None]:
                return [(child.name, self._end(child)) for child in ended]

    def _pass_on(self) -> None:
        """What the children say within a moment."""
        if not self._selector.get_map():
            time.sleep(_TICK_S / 10)
        for key, _ in self._selector.select(_TICK_S) if self._selector.get_map() else []:
            child, take = key.data
            if data := os.read(key.fd, 65536):
                take(data)
            else:
                self._selector.unregister(key.fd)
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(_TICK_S)  # who says nothing more is about to end

    def _end(self, child: Running) -> int:
        del self._running[child.name]
        for descriptor, _ in child.sources():
            with suppress(KeyError):
                self._selector.unregister(descriptor)
        return child.close()


# -- one movie ----------------------------------------------------------------------------------------------------------


def run_movie(
    movie_dir: Path,
    token: str,
    rows: Sequence[Row],
    *,
    parent: int,
    at_once: int,
    env_file: Path | None,
    force: bool,
    order: random.Random | None = None,
) -> int:
    """Run the stages `rows` in the movie directory, which is held with `token`, and write its report. The exit code."""
    os.environ[lease.TOKEN_VARIABLE] = token
    orchestra = Orchestra(movie_dir, parent, env_file, force)
    orchestra.listen()
    with (
        lease.working(movie_dir),
        lease.beating(movie_dir, token, lambda: orchestra.lost.append(lease.lost_to_another(movie_dir))),
    ):
        machine = device_manager.probe()
        selected = [row.name for row in rows]
        found = jobs.environments(map(load_contract, rows), movie_dir)
        tasks = [task_of(s, jobs.options_of(s, movie_dir)[0], env, helper, selected, machine) for s, env, helper in found]
        code = orchestra.provide(tasks) or orchestra.play(tasks, Room.of(machine, at_once), order)
        if orchestra.lost:
            raise orchestra.lost[0]
        if orchestra.interrupted:
            return ExitCode.INTERRUPTED
        _report(movie_dir)
    return code


def _report(movie_dir: Path) -> None:
    """report.html, whatever became of the stages. A movie without one is subtitled all the same."""
    from reelscribe import report

    try:
        report.write(movie_dir)
    except Exception as error:
        logger.get().error("report.html could not be written: %s", error)
        logger.get().debug("", exc_info=True)
