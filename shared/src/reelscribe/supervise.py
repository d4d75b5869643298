"""Run one stage and answer for it: process group, death with its parent, time and memory limits, retry on the CPU, exit code.

    python -m reelscribe.supervise --movie-dir DIR --stage NAME [--environment ENV] --parent PID [--env FILE] [--force] [--part NAME]
                                   [--among MOVIE]

The stage's talk goes to stderr and logs/pipeline.log. The exit code is the stage's; a signal n that ended it gives 128 + n. --among: other
movies' stages talk on the same stderr, so its lines begin with the name of this one, and progress is told in lines.
"""

from __future__ import annotations

import argparse
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any

from pydantic import BaseModel, ConfigDict

from reelscribe import environments, lease, logger, manifest, settings
from reelscribe.artifacts import write_errors
from reelscribe.command_line import command
from reelscribe.errors import BusyError, ExitCode, MissingToolError
from reelscribe.manifest import Manifest
from reelscribe.process import ALIVE_VARIABLE
from reelscribe.progress import EVENTS_VARIABLE, Display
from reelscribe.runner import RETRY_VARIABLE, Job
from reelscribe.settings import option
from reelscribe.stage import load_contract, load_contracts
from reelscribe.stage_table import NATIVE, Row, find

_TICK_S = 0.2
# Adding up a stage and its children looks at every process of the machine: at each tick that took 2 % of a core.
_LOOK_EVERY_S = 1.0
_GRACE_S = 10.0


class PipelineOptions(BaseModel):
    """Limits of every stage, and how native/workflow cuts one up."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    stage_timeout: int = option(
        0, env="STAGE_TIMEOUT", unit="s", ge=0, affects_output=False, help="a stage that runs longer is ended; 0: no limit"
    )
    stage_memory: int = option(
        0, env="STAGE_MEMORY", unit="MiB", ge=0, affects_output=False, help="a stage that takes more memory is ended; 0: no limit"
    )
    chunks_per_job: int = option(
        6, env="CHUNKS_PER_JOB", ge=1, affects_output=False, help="chunks of asr that one job of native/workflow decodes"
    )


@dataclass
class Attempt:
    """One run of the stage's process. `why`: the reason it was ended by us, empty when it ended by itself.

    among: what its lines begin with, where others talk in between.
    """

    row: Row
    arguments: list[str]
    environment: dict[str, str]
    parent: int
    limits: PipelineOptions
    log: IO[bytes]
    stopping: list[int] = field(default_factory=list)
    lost: list[BusyError] = field(default_factory=list)
    among: str = ""
    why: str = ""
    code: int = 0
    peak_rss_mb: int = 0
    rss_mb: int = 0
    look_at: float = 0.0
    _rest: bytes = b""

    def run(self) -> int:
        """Start the process, stay with it to the end and return the exit code as a shell would show it."""
        alive_read, alive_write = os.pipe()
        events_read, events_write = os.pipe()
        child = subprocess.Popen(
            self.arguments,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=(alive_read, events_write),
            env={**self.environment, ALIVE_VARIABLE: str(alive_read), EVENTS_VARIABLE: str(events_write)},
        )
        os.close(alive_read)
        os.close(events_write)
        display = Display(f"{self.among}: {self.row.name}" if self.among else self.row.name, bar=not self.among)
        try:
            self._stay(child, events_read, display)
        finally:
            if self._rest:
                self._tell(b"\n")
            display.close()
            _kill(child.pid, signal.SIGKILL)
            os.close(alive_write)
            os.close(events_read)
        code = child.wait()
        self.code = 128 - code if code < 0 else code
        return self.code

    def _stay(self, child: subprocess.Popen[bytes], events: int, display: Display) -> None:
        """Pass talk and progress on until the process has ended and said its last."""
        assert child.stderr
        started = time.monotonic()
        with selectors.DefaultSelector() as selector, _end_of(child.pid) as end:
            selector.register(child.stderr.fileno(), selectors.EVENT_READ, self._talk)
            selector.register(events, selectors.EVENT_READ, display.show_event)
            if end is not None:
                selector.register(end, selectors.EVENT_READ)
            kill_at = 0.0
            while True:
                ended = child.poll() is not None
                ready = selector.select(0 if ended else _TICK_S)
                for key, _ in ready:
                    if key.fd != end and (data := os.read(key.fd, 65536)):
                        key.data(data)
                    else:
                        selector.unregister(key.fd)
                if ended and not ready:
                    return
                if not self.why and (why := self._reason_to_stop(child.pid, started)):
                    self.why, kill_at = why, time.monotonic() + _GRACE_S
                    # Nobody is left to wait for a clean end when the orchestrator was killed: the next run may start any moment.
                    _kill(child.pid, signal.SIGKILL if self.lost or os.getppid() != self.parent else signal.SIGTERM)
                if kill_at and time.monotonic() > kill_at:
                    _kill(child.pid, signal.SIGKILL)

    def _talk(self, data: bytes) -> None:
        # A log that cannot be written, on a full disk say, must not end the stage.
        with suppress(OSError):
            self.log.write(data)
        self._tell(data)

    def _tell(self, data: bytes) -> None:
        if self.among:
            *lines, self._rest = (self._rest + data).split(b"\n")
            data = b"".join(b"  %s: %s\n" % (self.among.encode(), line.strip()) for line in lines)
        with suppress(OSError):
            sys.stderr.write(data.decode(errors="replace"))
            sys.stderr.flush()

    def _reason_to_stop(self, pid: int, started: float) -> str:
        if (now := time.monotonic()) >= self.look_at:
            self.look_at, self.rss_mb = now + _LOOK_EVERY_S, _tree_rss_mb(pid)
            self.peak_rss_mb = max(self.peak_rss_mb, self.rss_mb)
        if self.lost:
            return self.lost[0].message
        if self.stopping:
            return "interrupted"
        if os.getppid() != self.parent:
            return "the orchestrator is gone"
        if self.limits.stage_timeout and now - started > self.limits.stage_timeout:
            return f"ran longer than STAGE_TIMEOUT={self.limits.stage_timeout} s"
        if self.limits.stage_memory and self.rss_mb > self.limits.stage_memory:
            return f"took {self.rss_mb} MiB, more than STAGE_MEMORY={self.limits.stage_memory} MiB"
        return ""


@contextmanager
def _end_of(pid: int) -> Iterator[int | None]:
    """A descriptor that can be read when the process has ended; none on systems that have no such thing, where one looks now and then."""
    try:
        end = os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux; a kernel before 5.3, or a sandbox
        yield None
        return
    try:
        yield end
    finally:
        os.close(end)


def _kill(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _tree_rss_mb(pid: int) -> int:
    import psutil

    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                total += one.memory_info().rss
    return total >> 20


# -- the stage ----------------------------------------------------------------------------------------------------------


def stage_environment(row: Row, env_file: Path | None) -> dict[str, str]:
    """The process environment of a stage: ours, with its own secrets alone, those of the settings file included (job.env keeps none)."""
    said = settings.EnvFile(env_file) if env_file else None
    secrets = {s.env for stage in load_contracts() for s in settings.settings_of(stage.name, stage.options) if s.secret}
    own = {s.env for s in settings.settings_of(row.name, load_contract(row).options) if s.secret}
    found = {name: (said.secret(name) if said else "") or os.environ.get(name, "") for name in own}
    others = {name: value for name, value in os.environ.items() if name not in secrets}
    return {**others, **{name: value for name, value in found.items() if value}, "PYTHONUNBUFFERED": "1"}


def python_of(environment: str) -> Path:
    """The interpreter of an environment. Raises MissingToolError when it is not built."""
    python = NATIVE / "venvs" / environment / "bin" / "python"
    if not python.exists():
        raise MissingToolError(f"the environment {environment} is not built", remedy=f"native/setup_venvs.sh {environment}")
    return python


def supervise(args: argparse.Namespace) -> int:
    """Run the stage, once more on the CPU when it crashed on a GPU, and leave a manifest that says how it ended."""
    row, movie_dir = find(args.stage), Path(args.movie_dir)
    env_file = Path(args.env) if args.env else None
    limits, _ = settings.resolve("pipeline", PipelineOptions, settings.layers({}, env_file, movie_dir))
    environment = stage_environment(row, env_file)
    stopping: list[int] = []
    lost: list[BusyError] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with (
        open(movie_dir / "logs" / "pipeline.log", "ab", buffering=0) as log,
        environments.in_use(["core", *row.environments]),
        _at_work(movie_dir, lost),
    ):
        python = python_of(args.environment or _environment(row, env_file, movie_dir))
        arguments = [str(python), str(row.script), "--movie-dir", str(movie_dir)]
        arguments += ["--force"] if args.force else []
        arguments += ["--part", args.part] if args.part else []
        attempt = Attempt(row, arguments, environment, args.parent, limits, log, stopping, lost, args.among)
        code = attempt.run()
        crashed_on = _crashed_gpu(movie_dir, row, attempt)
        if crashed_on:
            logger.get().warning("%s: %s; once more on the CPU", row.name, crashed_on)
            environment[RETRY_VARIABLE] = crashed_on
            attempt = Attempt(row, [*arguments, "--device=cpu"], environment, args.parent, limits, log, stopping, lost, args.among)
            code = attempt.run()
    if lost:
        raise lost[0]
    if attempt.why == "interrupted":
        code = ExitCode.INTERRUPTED
    elif attempt.why:
        code = ExitCode.FAILED
    if code:
        _record_end(movie_dir, row, attempt, code, env_file)
    return code


@contextmanager
def _at_work(movie_dir: Path, lost: list[BusyError]) -> Iterator[None]:
    """Keep the run's lease, and put into `lost` that it was taken over. Without a run the stage takes a lease of its own."""
    if not lease.inherited(movie_dir):
        yield
        return
    token = os.environ[lease.TOKEN_VARIABLE]
    with lease.working(movie_dir), lease.beating(movie_dir, token, lambda: lost.append(lease.lost_to_another(movie_dir))):
        yield


def _environment(row: Row, env_file: Path | None, movie_dir: Path) -> str:
    """The environment of the stage with its options in this movie directory."""
    stage = load_contract(row)
    return stage.environment(settings.resolve(stage.name, stage.options, settings.layers({}, env_file, movie_dir))[0])


def _crashed_gpu(movie_dir: Path, row: Row, attempt: Attempt) -> str:
    """`crashed on cuda (SIGSEGV)` when the attempt failed by itself on a GPU, else empty."""
    crashed = attempt.code == ExitCode.FAILED or (attempt.code in range(129, 160) and attempt.code != ExitCode.INTERRUPTED)
    if attempt.why or not crashed:
        return ""
    record = manifest.read(movie_dir, row)
    if record is None or record.device is None or record.device.device == "cpu" or manifest.NO_RETRY in record.notes:
        return ""
    return f"a crash on {record.device.device} ({_ending(attempt.code)})"


def _ending(code: int) -> str:
    """An exit code in words."""
    if code > 128:
        with suppress(ValueError):
            return signal.Signals(code - 128).name
    return f"exit code {code}"


def _unwritten(movie_dir: Path, row: Row, env_file: Path | None) -> Manifest | None:
    """The manifest of a stage that had not begun one, or of a part, which has none; None where the stage was up to date all the same."""
    with suppress(Exception):
        stage = load_contract(row)
        options, sources = settings.resolve(stage.name, stage.options, settings.layers({}, env_file, movie_dir))
        movie = Path(settings.read_env_file(movie_dir / "job.env")["MOVIE"])
        job = Job(stage, movie, movie_dir, options, sources)
        record, previous = job.pending(), manifest.read(movie_dir, row)
        record.outputs = dict(previous.outputs) if previous else {}
        return None if job.current(record) else record
    return None


def _record_end(movie_dir: Path, row: Row, attempt: Attempt, code: int, env_file: Path | None) -> None:
    """A stage that could not write how it ended, or took our signal for Ctrl-C, gets its manifest from us."""
    record = manifest.read(movie_dir, row)
    interrupted = record is not None and record.exit_code == ExitCode.INTERRUPTED and attempt.why
    if not interrupted and (record is None or record.status != "running"):
        # With our parent gone the next run may be at work here already.
        ours = attempt.code > 128 and code != ExitCode.INTERRUPTED and os.getppid() == attempt.parent
        record = _unwritten(movie_dir, row, env_file) if ours else None
    if record is None:
        if attempt.why:
            logger.get().error("%s: %s", row.name, attempt.why)
        return
    record.status, record.exit_code = "failed", code
    record.error = attempt.why or f"ended with {_ending(code)}"
    record.run.peak_rss_mb = attempt.peak_rss_mb
    with suppress(Exception):
        manifest.write(movie_dir, row, record)
    logger.get().error("%s: %s\n  → see %s", row.name, record.error, movie_dir / "logs" / f"{row.key}.log")


@command
def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="reelscribe.supervise", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--movie-dir", required=True)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--environment", help="default: the one that the stage's options ask for on this machine")
    parser.add_argument("--parent", type=int, default=os.getppid())
    parser.add_argument("--env")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--part")
    parser.add_argument("--among", default="")
    args: Any = parser.parse_args(arguments)
    logs = Path(args.movie_dir) / "logs"
    with write_errors(logs / "pipeline.log"):
        logs.mkdir(parents=True, exist_ok=True)
        return supervise(args)


if __name__ == "__main__":
    sys.exit(main())
