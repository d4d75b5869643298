"""Decodes chunk by chunk: each is kept when it is complete, and tried again with less when its worker fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.engines import Load
from asr.ladder import Effort, ladder, smaller_model
from asr.session import InProcess, Session, Worker, WorkerFailedError
from asr.worker import Setup
from reelscribe.errors import StageFailedError
from reelscribe.manifest import NO_RETRY
from reelscribe.progress import LINE_EVERY_S
from reelscribe.schemas import Chunk, DecodedWindow, Plan, Window
from reelscribe.settings import MpsOptions, StageOptions, option
from reelscribe.stage import Context

# Before the first retry; it doubles. A GPU takes a moment to give back a dead process's memory.
_PAUSE_S = 1.0


class DecodingOptions(MpsOptions):
    """For asr."""

    use_subprocess: bool = option(
        True,
        env="ASR_USE_SUBPROCESS",
        affects_output=False,
        help="decode in a process of its own, which may crash; false, for a debugger: in the stage's, without retries",
    )
    max_retries: int = option(
        3, env="ASR_MAX_RETRIES", affects_output=False, ge=0, help="how often a chunk is tried again, each time with less"
    )
    stall_timeout: int = option(
        900, env="ASR_STALL_TIMEOUT", affects_output=False, ge=1, unit="s", help="a worker that finishes no window for so long is ended"
    )
    timeout: int = option(
        4 * 3600, env="ASR_TIMEOUT", affects_output=False, ge=0, unit="s", help="decoding that takes longer is ended; 0: no limit"
    )
    allow_smaller_model: bool = option(
        False, env="ASR_ALLOW_SMALLER_MODEL", affects_output=False, help="try, last, the next smaller model; it is fetched too"
    )
    retry_degraded: bool = option(
        False,
        env="ASR_RETRY_DEGRADED",
        affects_output=False,
        help="decode anew, in full, what could be decoded only with less",
    )


class _Options(StageOptions, DecodingOptions):
    """What is read of a stage's options here."""


class TimeIsUpError(StageFailedError):
    """The whole run took too long; doing it again elsewhere would take no less."""


@dataclass
class Pace:
    """How far decoding is and how fast, said once a minute. to_do_s: windows' seconds; limit_s: of the whole run, 0 for none."""

    to_do_s: float
    duration: float
    limit_s: float
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    done_s: float = 0.0
    position: float = 0.0
    started: float = field(init=False)
    said: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.said = self.clock()

    def advance(self, window: Window) -> None:
        """`window` is decoded."""
        self.done_s += window.end - window.start
        self.position = window.end

    def tick(self) -> None:
        """To be called often. Raises TimeIsUpError past the limit."""
        now = self.clock()
        if self.limit_s and now - self.started > self.limit_s:
            raise TimeIsUpError(
                f"decoding took longer than ASR_TIMEOUT={self.limit_s:.0f} s and came to {clock_time(self.position)}",
                remedy="run again to go on from there, or raise ASR_TIMEOUT (0: no limit)",
            )
        if now - self.said >= LINE_EVERY_S:
            self.said = now
            self.say(self.line())

    def line(self) -> str:
        """`At 0:20:00 of 1:54:10, 3.4 × real time, 0:28:10 left`."""
        speed = self.done_s / max(1e-3, self.clock() - self.started)
        left = clock_time(max(0.0, self.to_do_s - self.done_s) / speed) if speed else "unknown time"
        return f"At {clock_time(self.position)} of {clock_time(self.duration)}, {speed:.1f} × real time, {left} left"


def clock_time(seconds: float) -> str:
    """`0:20:00`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class Decoding:
    """Decodes one chunk after the other; a context manager, as it keeps a worker with its model until the end.

    load: how, in full; plan: as it is in the file `plan_path`; to_do: the chunks that will be asked for.
    """

    def __init__(self, ctx: Context[Any, Any, Any], load: Load, plan: Plan, plan_path: Path, to_do: Sequence[Chunk]) -> None:
        self._ctx = ctx
        self._options: _Options = ctx.options
        self._load = load
        self._plan = plan
        self._setup = Setup(load=load, plan=str(plan_path), audio=str(ctx.inputs.audio))
        windows = [plan.windows[number] for chunk in to_do for number in chunk.windows]
        self._pace = Pace(sum(w.end - w.start for w in windows), plan.duration, self._options.timeout, ctx.log.info)
        self._last_model = smaller_model(load) if self._options.allow_smaller_model else load.model
        self._session: Session | None = None
        self._effort: Effort | None = None
        self._startup_s = 0.0
        # The ladder's steps that the last two chunks had to take: what both needed, the next one begins with.
        self._steps = [0, 0]
        self._failures: list[str] = []

    def __enter__(self) -> Decoding:
        return self

    def __exit__(self, kind: object, *raised: object) -> None:
        self._leave(kill=kind is not None)
        if kind is TimeIsUpError:
            self._ctx.note(NO_RETRY, "its time was up")
        if self._failures:
            self._ctx.note("retries", self._failures)

    def chunk(self, chunk: Chunk) -> tuple[list[DecodedWindow], list[str]]:
        """The chunk's windows and what they were decoded with less of. Raises StageFailedError when no retry helped, TimeIsUpError."""
        self._pace.tick()
        if not self._options.use_subprocess:
            return self._collect(chunk, Effort(self._load), {}), []
        efforts = ladder(self._load, self._ctx.engine.kind, chunk, self._last_model)
        step = min(self._steps)
        why = dict.fromkeys(efforts[step].degraded, "as the chunks before")
        found: dict[int, DecodedWindow] = {}
        for retry in range(self._options.max_retries + 1):
            try:
                self._collect(chunk, efforts[step], found)
            except WorkerFailedError as failure:
                self._leave(kill=True)
                self._ctx.log.debug("%s: the worker %s", _named(chunk), failure)
                last = failure
            if all(number in found for number in chunk.windows):
                # Also when the worker failed with its work done.
                self._steps = [self._steps[1], step]
                return [found[n] for n in chunk.windows], [f"{what} ({why[what]})" for what in efforts[step].degraded]
            if retry < self._options.max_retries:
                step = next((n for n, effort in enumerate(efforts) if n > step and effort != efforts[step]), step)
                taken = [what for what in efforts[step].degraded if what not in why]
                why.update(dict.fromkeys(taken, str(last)))
                self._report(chunk, last, "; once more" + (" with " if taken else "") + ", ".join(taken))
                self._wait(_PAUSE_S * 2**retry)
        self._report(chunk, last, "")
        raise StageFailedError(
            f"{_named(chunk)} could not be decoded: the worker {last}, after {self._options.max_retries} retries",
            remedy="run again to go on there; what the worker said is in the stage's log in logs/",
        )

    @property
    def startup_s(self) -> float:
        """So long loading took, of all sessions together."""
        return self._startup_s + (self._session.startup_s if self._session else 0.0)

    def _collect(self, chunk: Chunk, effort: Effort, found: dict[int, DecodedWindow]) -> list[DecodedWindow]:
        """All windows of the chunk; those in `found` are there already, and every one that is decoded is added."""
        for again in (False, True):
            missing = [batch for batch in chunk.batches if any(number not in found for number in batch)]
            if again and missing:
                self._ctx.log.warning("%s: the worker left out %d windows; once more", _named(chunk), sum(map(len, missing)))
            for part in effort.parts(missing, self._plan.windows):
                for window in self._enter(effort).decode(part):
                    if window.window not in found:
                        self._advance(self._plan.windows[window.window])
                    found[window.window] = window
                if effort.part_s:
                    self._leave()
        left_out = [number for number in chunk.windows if number not in found]
        if left_out:
            raise WorkerFailedError(f"left out {len(left_out)} windows, the first at {self._plan.windows[left_out[0]].start:.1f} s")
        return [found[number] for number in chunk.windows]

    def _advance(self, window: Window) -> None:
        self._pace.advance(window)
        self._ctx.progress.update(window.end, self._plan.duration, f"at {clock_time(window.end)} of {clock_time(self._plan.duration)}")

    def _report(self, chunk: Chunk, failure: WorkerFailedError, then: str) -> None:
        self._ctx.log.warning("%s: the worker %s%s", _named(chunk), failure, then)
        self._failures.append(f"{_named(chunk)}: {failure}")

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._pace.tick()
            time.sleep(min(left, 0.5))

    # -- the session -----------------------------------------------------------------------------------------------------

    def _enter(self, effort: Effort) -> Session:
        """A session for `effort`: the last one, where it is just so."""
        if self._session and self._effort and self._effort.load != effort.load:
            self._leave()
        if not self._session:
            setup = self._setup.model_copy(update={"load": effort.load})
            self._effort = effort
            self._session = self._open(setup)
        return self._session

    def _open(self, setup: Setup) -> Session:
        if not self._options.use_subprocess:
            return InProcess(setup, self._pace.tick)
        return Worker(setup, self._pace.tick, stall_s=self._options.stall_timeout)

    def _leave(self, *, kill: bool = False) -> None:
        session, self._session = self._session, None
        if session:
            self._startup_s += session.startup_s
            session.kill() if kill else session.end()


def _named(chunk: Chunk) -> str:
    return f"chunk {chunk.id} ({chunk.start:.0f}–{chunk.end:.0f} s)"
