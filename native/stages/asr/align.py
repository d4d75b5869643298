"""Word times from forced alignment: whisperx.align in a process of the `asr` environment, whatever engine decoded.

Alignment can only better a transcript: whatever goes wrong with it, or looks wrong in what it gives, leaves the engine's own times.
"""

from __future__ import annotations

import os
import random
import select
import selectors
import tempfile
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Literal

from pydantic import BaseModel, ValidationError

from asr.align_models import Model, find_model, need
from asr.align_times import retimed, timed
from asr.align_units import Time, Unit, make_units
from reelscribe import hub, logger
from reelscribe.errors import MissingToolError
from reelscribe.hub import HubOptions
from reelscribe.models import ModelNeed
from reelscribe.process import Child, ending
from reelscribe.schemas import DecodedWindow, Segment, Span, Window, Word
from reelscribe.settings import option
from reelscribe.stage_table import NATIVE
from reelscribe.wav import SAMPLE_RATE

# The worker's: the one that has whisperx.
ENVIRONMENT = "asr"
# What is aligned at once, within ALIGNMENT_TIMEOUT: a chunk, or as much of a movie that is decoded without chunks.
_REQUEST_S = 300.0
# A worker that failed so often in a row would fail again, and a hang for every chunk costs hours.
_GIVE_UP_AFTER = 3
# Bytes; the times of 300 s of talk are some 50 KB.
_MAX_ANSWER = 1 << 26


class AlignmentOptions(HubOptions):
    """For asr."""

    alignment_backend: Literal["whisperx", "same", "mlx", "none"] = option(
        "whisperx",
        env="ALIGNMENT_BACKEND",
        help="where word times come from: whisperx aligns the words to the sound with wav2vec2; same and none keep those of the engine "
        "that decoded; so does mlx, which expects that engine to be mlx",
    )
    alignment_model: str = option(
        "auto",
        env="ALIGNMENT_MODEL",
        help="the wav2vec2 model that aligns, a folder or a name on the hub; auto: WhisperX's for the language",
    )
    alignment_timeout: int = option(
        300, env="ALIGNMENT_TIMEOUT", ge=1, unit="s", affects_output=False, help="a chunk that takes longer keeps its engine's word times"
    )


def models(options: AlignmentOptions, language: str) -> list[ModelNeed]:
    """For Stage.models. Which aligner it will be is not known before decoding when nobody names model or language."""
    if options.alignment_backend != "whisperx" or (options.alignment_model == "auto" and language == "auto"):
        return []
    with suppress(MissingToolError):
        return [need(options.alignment_model, language)]
    return []


def facts(options: AlignmentOptions, language: str) -> dict[str, str | Path | None]:
    """What decides aligned times besides the options, for Stage.facts and the fingerprint of a chunk: the model that models() says."""
    for wish in models(options, language):
        with suppress(MissingToolError):
            return {"aligner": find_model(wish, options.models_dir).weights or wish.repo}
        return {"aligner": None}
    return {}


def check(options: AlignmentOptions, language: str, device: str) -> str:
    """For Stage.check: align a word to a second of noise, and say what came of it."""
    if options.alignment_backend != "whisperx":
        return "word times: the engine's"
    code = "en" if language == "auto" else language
    said: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        audio = Path(scratch) / "noise.wav"
        with wave.open(str(audio), "wb") as f:
            f.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            f.writeframes(random.Random(0).randbytes(2 * SAMPLE_RATE))
        second = {"start": 0.0, "end": 1.0}
        word = Word(word={"hi": "नमस्ते"}.get(code, "hello"), **second)
        heard = DecodedWindow(window=0, segments=[Segment(id=0, text=word.word, words=[word], language=code, **second)])
        window = Window(id=0, speech=[Span(**second)], **second)
        with Aligner(options, audio, language=code, engine_kind="", device=device, threads=1, say=said.append) as aligner:
            aligned = aligner.align([heard], [window])
    timed = aligned.windows[0].segments[0].words[0].engine_start is not None
    return "; ".join([*said, *aligned.failures]) or f"a word ({code}) " + ("aligned" if timed else "given to the aligner")


# -- what the worker is asked and answers -------------------------------------------------------------------------------


class Request(BaseModel):
    """audio: path of a 16 kHz mono WAV; models: by language; device: mps, cuda or cpu."""

    audio: str
    units: list[Unit]
    models: dict[str, Model]
    device: str
    threads: int


class Aligned(BaseModel):
    """The times of a unit's words, or why there are none."""

    times: list[Time] = []
    error: str = ""


class Answer(BaseModel):
    """One Aligned for every unit. unusable: by language, why its model cannot be loaded; device: the one computed on.

    lost: why that is another than was asked for; startup_s: so long loading took.
    """

    units: list[Aligned]
    unusable: dict[str, str] = {}
    device: str
    lost: str = ""
    startup_s: float = 0.0


# -- the client ---------------------------------------------------------------------------------------------------------


class AlignmentFailedError(Exception):
    """The worker gave no answer; the text says why: "crashed (SIGSEGV)"."""


@dataclass(frozen=True)
class AlignedChunk:
    """The windows of a chunk. failures: what kept words from being aligned and may not the next time."""

    windows: list[DecodedWindow]
    failures: list[str] = field(default_factory=list)


class Aligner:
    """Aligns one chunk after the other; a context manager, as it keeps a worker with its models until the end.

    A worker that crashes, hangs or answers nonsense is ended with its children, and the next chunk gets a new one. language: the one that
    was named, or auto. engine_kind: device_manager's name for the engine that decoded. say: told what the run as a whole does without.
    command: the worker's.
    """

    def __init__(
        self,
        options: AlignmentOptions,
        audio: Path,
        *,
        language: str,
        engine_kind: str,
        device: str,
        threads: int,
        say: Callable[[str], None],
        command: Sequence[str | Path] = (),
    ) -> None:
        self._options = options
        self._audio = audio
        self._language = language
        self._device = device
        self._threads = threads
        self._say = say
        self._command = command
        self._models: dict[str, Model | None] = {}
        self._unusable: dict[str, str] = {}
        self._worker: _Worker | None = None
        self._failures = 0
        self.startup_s = 0.0
        if options.alignment_backend == "mlx" and engine_kind != "mlx":
            say("ALIGNMENT_BACKEND=mlx, but it is not mlx that decodes: words keep the times of the engine that does")

    def __enter__(self) -> Aligner:
        return self

    def __exit__(self, *raised: object) -> None:
        self._end_worker()

    def align(self, decoded: Sequence[DecodedWindow], windows: Sequence[Window]) -> AlignedChunk:
        """The decoded windows of a chunk, aligned where that is possible. windows: the plan's."""
        if self._options.alignment_backend != "whisperx":
            return AlignedChunk(list(decoded))
        units = [u for d in decoded for u in make_units(windows[d.window], d.segments, self._spoken(d)) if self._model(u.language)]
        times: dict[tuple[int, int], list[Time]] = {}
        failures: list[str] = []
        for request in _requests(units):
            try:
                for unit, aligned in zip(request, self._aligned(request), strict=True):
                    times.update(unit.shared_out(aligned.times))
            except AlignmentFailedError as failure:
                where = f"{request[0].start:.0f}–{request[-1].end:.0f} s"
                logger.get().warning("alignment at %s %s; the words there keep their engine's times", where, failure)
                failures.append(f"no alignment at {where} (it {failure})")
        failures += [f"no alignment ({why})" for language, why in self._unusable.items() if language in self._languages(decoded)]
        return AlignedChunk([self._merged(d, windows[d.window], times) for d in decoded], failures)

    def expect(self, decoded: Sequence[DecodedWindow]) -> None:
        """Windows that need no aligning, as an earlier run has seen to them: say what there is no model for, as that run did."""
        if self._options.alignment_backend == "whisperx":
            for language in self._languages(decoded):
                self._model(language)

    def _spoken(self, decoded: DecodedWindow) -> str:
        """The language of those segments of a window that name none."""
        return decoded.language or ("en" if self._language == "auto" else self._language)

    def _languages(self, decoded: Sequence[DecodedWindow]) -> list[str]:
        return sorted({segment.language or self._spoken(d) for d in decoded for segment in d.segments})

    def _merged(self, decoded: DecodedWindow, window: Window, times: dict[tuple[int, int], list[Time]]) -> DecodedWindow:
        if not any(self._models.get(language) for language in self._languages([decoded])):
            return decoded
        of_window = {segment: found for (number, segment), found in times.items() if number == window.id}
        segments = timed(decoded.segments, of_window, window.speech)
        translation = None if decoded.translation is None else retimed(decoded.translation, segments)
        return decoded.model_copy(update={"segments": segments, "translation": translation})

    # -- models ----------------------------------------------------------------------------------------------------------

    def _model(self, language: str) -> Model | None:
        """The model for a language; what there is none for is said once."""
        if language not in self._models:
            try:
                wish = need(self._options.alignment_model, language)
                self._fetch(wish, language)
                self._models[language] = model = find_model(wish, self._options.models_dir)
                logger.get().info("Aligning words (%s) with %s", language, model.name)
            except MissingToolError as error:
                self._without(language, error.message)
                logger.get().info("→ %s", error.remedy)
        return self._models[language]

    def _fetch(self, wish: ModelNeed, language: str) -> None:
        """Fetch what could not be announced before the first stage, as nobody knew of the language before decoding."""
        if language != self._language and self._options.alignment_model == "auto" and not self._options.offline:
            hub.provide([wish], self._options)

    def _without(self, language: str, why: str) -> None:
        self._models[language] = None
        self._say(f"{why}: words ({language}) keep their engine's times")

    # -- the worker ------------------------------------------------------------------------------------------------------

    def _aligned(self, units: Sequence[Unit]) -> list[Aligned]:
        """What the worker says of `units`. Raises AlignmentFailedError; the worker is ended then."""
        if self._failures >= _GIVE_UP_AFTER:
            raise AlignmentFailedError(f"was not tried, as it failed {self._failures} times in a row")
        models = {u.language: model for u in units if (model := self._models[u.language])}
        request = Request(audio=str(self._audio), units=list(units), models=models, device=self._device, threads=self._threads)
        try:
            self._worker = self._worker or _Worker(self._command or worker_command())
            answer = _checked(self._worker.ask(request.model_dump_json(), self._options.alignment_timeout), units)
        except AlignmentFailedError as failure:
            self._end_worker()
            if self._device == "cpu":
                self._failures += 1
                raise
            self._goes_on("cpu", f"it {failure}")
            return self._aligned(units)
        self._failures = 0
        self.startup_s += answer.startup_s
        for language, why in answer.unusable.items():
            self._unusable[language] = f"the aligner {models[language].name} cannot be used ({why})"
            self._without(language, self._unusable[language])
        if answer.device != self._device:
            self._goes_on(answer.device, answer.lost)
        for unit, aligned in zip(units, answer.units, strict=True):
            if aligned.error:
                logger.get().debug("not aligned, %.1f–%.1f s: %s", unit.start, unit.end, aligned.error)
        return answer.units

    def _goes_on(self, device: str, why: str) -> None:
        self._say(f"alignment cannot use {self._device} ({why}) and goes on on the {device}")
        self._device = device

    def _end_worker(self) -> None:
        if self._worker:
            self._worker.end()
            self._worker = None


def worker_command() -> list[str | Path]:
    """How the worker is started. Raises AlignmentFailedError."""
    python = NATIVE / "venvs" / ENVIRONMENT / "bin" / "python"
    if not python.exists():
        raise AlignmentFailedError(f"needs the environment {ENVIRONMENT}, which is not built (native/setup_venvs.sh {ENVIRONMENT})")
    return [python, Path(__file__).parent / "align_worker.py"]


def _requests(units: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Neighbouring units, as many as one request holds."""
    request: list[Unit] = []
    for unit in units:
        if request and unit.end - request[0].start > _REQUEST_S:
            yield request
            request = []
        request.append(unit)
    if request:
        yield request


def _checked(line: bytes, units: Sequence[Unit]) -> Answer:
    """The worker's answer. Raises AlignmentFailedError when it is none to this request."""
    try:
        answer = Answer.model_validate_json(line)
    except ValidationError as error:
        raise AlignmentFailedError(f"gave no answer but {line[:60]!r}") from error
    if [len(u.words) for u in units] != [len(a.times) or len(u.words) for a, u in zip(answer.units, units, strict=False)]:
        raise AlignmentFailedError("gave an answer to another question")
    return answer


class _Worker:
    """The process, with a folder of its own for temporary files and its talk, so that nothing stays of it however it ends."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="reelscribe-align-")
        self._talk = Path(self._scratch.name) / "stderr"
        try:
            with open(self._talk, "wb") as talk:
                self._child = Child(command, stderr=talk, environment={**os.environ, "TMPDIR": self._scratch.name})
        except OSError as error:
            self._scratch.cleanup()
            raise AlignmentFailedError(f"cannot be started: {error}") from error

    def ask(self, request: str, timeout_s: float) -> bytes:
        """The line that answers the request. Raises AlignmentFailedError."""
        deadline = time.monotonic() + timeout_s
        question, answer = request.encode() + b"\n", b""
        stdin, stdout = self._child.process.stdin, self._child.process.stdout
        assert stdin and stdout
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            while not (answer.endswith(b"\n") and answer.strip()):
                left_s = deadline - time.monotonic()
                ready = selector.select(max(0.0, left_s))
                if not ready or left_s <= 0:
                    raise AlignmentFailedError(f"gave no answer within {timeout_s} s")
                for key, _ in ready:
                    if key.fileobj is stdin:
                        # So much a pipe that is ready takes without blocking.
                        with suppress(BrokenPipeError):
                            question = question[os.write(stdin.fileno(), question[: select.PIPE_BUF]) :]
                            if question:
                                continue
                        selector.unregister(stdin)
                    elif data := os.read(stdout.fileno(), 65536):
                        answer += data
                    else:
                        raise AlignmentFailedError(self._why_it_ended())
                    if len(answer) > _MAX_ANSWER:
                        raise AlignmentFailedError("does not stop talking")
        return answer

    def _why_it_ended(self) -> str:
        try:
            return f"crashed ({ending(self._child.process.wait(timeout=2))})"
        except TimeoutExpired:
            return "closed its stdout"

    def end(self) -> None:
        """End it and its children; what it said goes to the log."""
        self._child.end()
        talk = self._talk.read_text(encoding="utf-8", errors="replace").strip()
        if talk:
            logger.get().debug("the alignment worker said:\n%s", talk[-4000:])
        self._scratch.cleanup()
