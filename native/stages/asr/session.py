"""Where chunks are decoded: in a worker process that is watched, or in this one for a debugger."""

from __future__ import annotations

import json
import logging
import os
import selectors
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Protocol

from pydantic import ValidationError

from asr.worker import Batches, Decoder, Message, Setup
from reelscribe import logger
from reelscribe.errors import ExitCode, ReelscribeError
from reelscribe.process import Child, ending
from reelscribe.schemas import DecodedWindow

_TICK_S = 0.5
# How long a worker that has delivered everything may take to end.
_GRACE_S = 10.0
_KEPT_TALK = 4000
_LONGEST_LINE = 1 << 26


class WorkerFailedError(Exception):
    """The worker crashed, hung, gave up or said what it should not; the text says which: "crashed (SIGSEGV)"."""


class Session(Protocol):
    """A loaded engine. startup_s: so long loading took, as far as that is known yet."""

    startup_s: float

    def decode(self, batches: Batches) -> Iterator[DecodedWindow]:
        """The windows of `batches` as they are decoded. Raises WorkerFailedError."""

    def end(self) -> None:
        """Nothing more is asked of it."""

    def kill(self) -> None:
        """It failed, or nobody waits for it any more."""


class InProcess:
    """The engine in this process: what it raises passes through, and its crash is ours. tick: called every now and then."""

    def __init__(self, setup: Setup, tick: Callable[[], None]) -> None:
        self._decoder = Decoder(setup)
        self.startup_s = self._decoder.startup_s
        self._tick = tick

    def decode(self, batches: Batches) -> Iterator[DecodedWindow]:
        """See Session."""
        for window in self._decoder.decode(batches):
            self._tick()
            yield window

    def end(self) -> None:
        """See Session."""

    kill = end


class Worker:
    """The engine in a process, which ends with us.

    stall_s: a worker that decodes no window for so long has hung; loading the model counts. tick: called twice a second.
    """

    def __init__(self, setup: Setup, tick: Callable[[], None], *, stall_s: float) -> None:
        self._tick = tick
        self._stall_s = stall_s
        self.startup_s = 0.0
        self._received = b""
        # It has no name, so nothing stays of it however we end.
        self._talk = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        try:
            self._child = Child([sys.executable, Path(__file__).with_name("worker.py")], stderr=self._talk)
        except BaseException:
            self._talk.close()
            raise
        logger.get().debug("decoding in process %d", self._child.process.pid)
        self._say(setup.model_dump_json())

    def decode(self, batches: Batches) -> Iterator[DecodedWindow]:
        """See Session."""
        expected = {number for batch in batches for number in batch}
        self._say(json.dumps(batches))
        deadline = time.monotonic() + self._stall_s
        while True:
            message = self._next(deadline)
            if message.talk:
                logger.get().log(message.talk.level, "%s", message.talk.text)
            elif message.startup_s is not None:
                self.startup_s = message.startup_s
            elif message.window and message.window.window in expected:
                deadline = time.monotonic() + self._stall_s
                yield message.window
            elif message.done:
                return
            elif message.refusal:
                raise _as_error(message.refusal.code, message.refusal.message, message.refusal.remedy)
            else:
                raise WorkerFailedError(message.failure or "gave what was not asked for")

    def end(self) -> None:
        """Let it end by itself, if it does, and then end it with its children. Everything asked for is there: how it ends is its affair."""
        with suppress(OSError):
            self._stdin.close()
        with suppress(TimeoutExpired):
            self._child.process.wait(timeout=_GRACE_S)
        code = self._child.end()
        if code:
            logger.get().debug("the worker had decoded everything and ended with %s", ending(code))
        self._forget()

    def kill(self) -> None:
        """End it with its children now; what it said goes to the log."""
        self._child.end()
        self._forget(logging.ERROR)

    # -- the process -----------------------------------------------------------------------------------------------------

    @property
    def _stdin(self):  # type: ignore[no-untyped-def]
        return self._child.process.stdin

    def _say(self, line: str) -> None:
        """One line to the worker. A worker that is gone says so when it is listened to."""
        with suppress(BrokenPipeError):
            left = line.encode() + b"\n"
            while left:
                left = left[self._stdin.write(left) :]

    def _next(self, deadline: float) -> Message:
        """The next message. Raises WorkerFailedError."""
        line = self._line(deadline)
        try:
            return Message.model_validate_json(line)
        except ValidationError:
            raise WorkerFailedError(f"wrote garbage: {line[:60]!r}") from None

    def _line(self, deadline: float) -> bytes:
        stdout = self._child.process.stdout
        assert stdout
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in self._received:
                self._tick()
                ended = self._child.process.poll() is not None
                if selector.select(0 if ended else _TICK_S):
                    data = os.read(stdout.fileno(), 1 << 16)
                    self._received += data
                    ended = not data
                if ended:
                    raise WorkerFailedError(f"crashed ({self._ending()})")
                if len(self._received) > _LONGEST_LINE:
                    raise WorkerFailedError("wrote garbage without end")
                if time.monotonic() > deadline:
                    raise WorkerFailedError(f"decoded nothing for {self._stall_s:.0f} s")
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _ending(self) -> str:
        # Its end of the pipe is closed before it is dead.
        with suppress(TimeoutExpired):
            self._child.process.wait(timeout=_GRACE_S)
        how = ending(self._child.end())
        return f"{how}: if not you, the system did it, for want of memory" if how == "SIGKILL" else how

    def _forget(self, level: int = logging.DEBUG) -> None:
        """What it said goes to the log at `level`; errors to the file alone."""
        self._talk.seek(max(0, self._talk.seek(0, os.SEEK_END) - _KEPT_TALK))
        said = self._talk.read().decode(errors="replace").strip()
        self._talk.close()
        if said and level >= logging.ERROR:
            logger.to_file(f"the worker said:\n{said}")
        elif said:
            logger.get().debug("the worker said:\n%s", said)


def _as_error(code: int, message: str, remedy: str) -> ReelscribeError:
    error = ReelscribeError(message, remedy=remedy)
    error.code = ExitCode(code)
    return error
