"""Decodes in a process of its own, so that an engine's crash costs a retry and not the run; asr.session starts it.

The first line of stdin is a Setup, every other one a list of batches of window numbers (JSON). What was stdout gets a Message a line:
each window as soon as it is decoded, and one when the batches are done. Talk goes to stderr.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

if __name__ == "__main__":
    # This script's own folder holds modules that could hide a library; its parent, behind everything installed, takes its place.
    sys.path[:1] = []
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from pydantic import BaseModel

from asr import languages
from asr.engines import Load, backends
from reelscribe import device_manager, logger, memory, process, wav
from reelscribe.artifacts import is_full, read_json
from reelscribe.errors import ExitCode, ReelscribeError
from reelscribe.schemas import DecodedWindow, Plan

Batches = Sequence[Sequence[int]]
_LONGEST_REASON = 200
_OUT_OF_MEMORY = b'{"failure": "ran out of memory"}\n'


class Setup(BaseModel):
    """What a worker is told before anything else. plan, audio: paths."""

    load: Load
    plan: str
    audio: str


class Refusal(BaseModel):
    """A ReelscribeError: what no retry helps against."""

    code: int
    message: str
    remedy: str


class Talk(BaseModel):
    """A line for the log."""

    level: int
    text: str


class Message(BaseModel):
    """One of these. startup_s: so long loading took; done: the batches are; failure: why the worker gives up."""

    startup_s: float | None = None
    window: DecodedWindow | None = None
    done: bool = False
    failure: str | None = None
    refusal: Refusal | None = None
    talk: Talk | None = None


class Decoder:
    """A loaded engine and what it decodes."""

    def __init__(self, setup: Setup) -> None:
        started = time.monotonic()
        self._plan = read_json(Path(setup.plan), Plan)
        self._audio = Path(setup.audio)
        self._recognizer = backends()[setup.load.backend].load(setup.load, self._plan)
        device_manager.limit_mps_memory()
        if setup.load.language == "auto":
            self._listen()
        self.startup_s = time.monotonic() - started

    def _listen(self) -> None:
        """Whichever chunk this worker decodes, the same windows vote."""
        windows = languages.voters(self._plan)
        self._recognizer.listen(windows, [wav.read(self._audio, w.start, w.end) for w in windows])

    def decode(self, batches: Batches) -> Iterator[DecodedWindow]:
        """The windows of `batches`, each batch at once; then the caches are freed."""
        for batch in batches:
            windows = [self._plan.windows[number] for number in batch]
            samples = [wav.read(self._audio, w.start, w.end) for w in windows]
            yield from self._recognizer.decode(windows, samples)
        memory.cleanup(logging.INFO)


class Channel(logging.Handler):
    """Messages to the parent; as a handler, what is logged here."""

    def __init__(self) -> None:
        super().__init__()
        self._descriptor = os.dup(1)
        # What libraries print must not get between the messages.
        os.dup2(2, 1)
        self._one_at_a_time = threading.Lock()

    def send(self, message: Message) -> None:
        """One line."""
        self.write(message.model_dump_json(exclude_defaults=True).encode() + b"\n")

    def write(self, line: bytes) -> None:
        """The whole line."""
        with self._one_at_a_time:
            while line:
                line = line[os.write(self._descriptor, line) :]

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self.send(Message(talk=Talk(level=record.levelno, text=logger.redact(record.getMessage()))))


def serve(lines: Iterable[bytes], channel: Channel) -> None:
    """Decode what is asked for until nothing more is."""
    waiting = iter(lines)
    decoder = Decoder(Setup.model_validate_json(next(waiting)))
    channel.send(Message(startup_s=decoder.startup_s))
    for line in waiting:
        for window in decoder.decode(json.loads(line)):
            channel.send(Message(window=window))
        channel.send(Message(done=True))


def main() -> int:
    """Answer stdin; the exit code is for the log alone."""
    process.die_with_parent()
    faulthandler.enable()
    channel = Channel()
    logger.get().propagate = False
    logger.get().setLevel(logging.DEBUG)
    logger.get().addHandler(channel)
    try:
        serve(sys.stdin.buffer, channel)
    except ReelscribeError as error:
        if error.code == ExitCode.FAILED:
            channel.send(Message(failure=f"failed: {error.message}"))
        else:
            channel.send(Message(refusal=Refusal(code=error.code, message=error.message, remedy=error.remedy)))
        return error.code
    except MemoryError:
        channel.write(_OUT_OF_MEMORY)
        return ExitCode.FAILED
    except Exception as error:
        traceback.print_exc()
        if isinstance(error, OSError) and is_full(error):
            channel.send(Message(refusal=Refusal(code=ExitCode.NO_SPACE, message=f"no space left: {error}", remedy="free some space")))
            return ExitCode.NO_SPACE
        why = (str(error).strip().splitlines() or ["no reason given"])[0][:_LONGEST_REASON]
        channel.send(Message(failure=f"failed: {type(error).__name__}: {why}"))
        return ExitCode.FAILED
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
