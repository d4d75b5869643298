"""Decodes a film once in a process of its own, for tests/bench/asr.py; says in JSON how long what took, by the clock and of the processor.

    asr_decode.py HOW MODEL MOVIE_DIR MODELS_DIR THREADS BATCH

HOW: `sequential` and `batched` are faster-whisper's own calls, `batched` on the stage's windows; `stage` and `unbiased` are what a worker
of the stage does, with and without the terms, `once` is `unbiased` with nothing heard a second time. All with the stage's parameters.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reelscribe import wav
from reelscribe.stage_table import NATIVE

sys.path[0] = str(NATIVE / "stages")  # tests/bench/asr.py is called as the package
COMPUTE = "int8"


class Laps:
    """Seconds since the last lap, by the clock and of this process's threads."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[float, float]] = {}
        self._last = now()

    def lap(self, name: str) -> None:
        """What just ended."""
        self.add(name, self._last)
        self._last = now()

    def add(self, name: str, since: tuple[float, float]) -> None:
        """What began at `since` and has a place of its own."""
        wall, cpu = self.found.get(name, (0.0, 0.0))
        self.found[name] = (wall + now()[0] - since[0], cpu + now()[1] - since[1])


def now() -> tuple[float, float]:
    """The clock and the processor's time."""
    return time.perf_counter(), time.process_time()


def make_plan(movie_dir: Path, batch: int) -> Any:
    """The stage's plan, without chunks."""
    from asr.plan import make_plan
    from asr.speech import quietest_in
    from reelscribe.artifacts import read_json
    from reelscribe.schemas import BiasWindows, Glossary, Vad

    audio = movie_dir / "audio" / "audio.wav"
    vads = [read_json(movie_dir / "vad" / f"{name}.json", Vad) for name in ("silero", "pyannote")]
    bias = read_json(movie_dir / "glossary" / "bias_windows.json", BiasWindows).windows
    glossary = read_json(movie_dir / "glossary" / "glossary.json", Glossary)
    return make_plan(vads, wav.num_samples(audio) / wav.SAMPLE_RATE, quietest_in(audio), bias, glossary, None, batch)


def bare(how: str, model: str, movie_dir: Path, models_dir: Path, threads: int, batch: int, laps: Laps) -> list[str]:
    """faster-whisper as anybody calls it."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    from asr import formats
    from asr.engines.whisperx import BEAM

    folder = formats.converted(Path(model), models_dir, "ctranslate2", formats.to_ctranslate2)
    clips = [{"start": w.start, "end": w.end} for w in make_plan(movie_dir, batch).windows]
    laps.lap("imports")
    loaded = WhisperModel(str(folder), device="cpu", compute_type=COMPUTE, cpu_threads=threads, local_files_only=True)
    laps.lap("model")
    samples = wav.read(movie_dir / "audio" / "audio.wav")
    given: dict[str, Any] = {"language": "en", "beam_size": BEAM, "word_timestamps": True, "without_timestamps": False}
    call: Callable[..., Any] = loaded.transcribe
    if how == "batched":
        call = BatchedInferencePipeline(loaded).transcribe
        given |= {"batch_size": batch, "vad_filter": False, "clip_timestamps": clips}
    else:
        given["condition_on_previous_text"] = False
    texts = [segment.text for segment in call(samples, **given)[0]]
    laps.lap("decoding")
    return texts


def staged(how: str, model: str, movie_dir: Path, models_dir: Path, threads: int, batch: int, laps: Laps) -> list[str]:
    """As asr.worker does it."""
    from asr.engines import Load
    from asr.worker import Decoder, Setup
    from reelscribe.artifacts import write_json

    more = {"batch": batch, "threads": threads, "language": "en", "bias": how == "stage", "models_dir": str(models_dir)}
    load = Load(backend="whisperx", model=model, compute=COMPUTE, **more)
    plan = make_plan(movie_dir, batch)
    write_json(movie_dir / "plan.json", plan)
    setup = Setup(load=load, plan=str(movie_dir / "plan.json"), audio=str(movie_dir / "audio" / "audio.wav"))
    import faster_whisper  # noqa: F401 - it counts as an import here, too

    if how == "once":
        hear_once()
    time_second_hearings(laps)
    laps.lap("imports")
    decoder = Decoder(setup)
    laps.lap("model")
    decoded = [window for chunk in plan.chunks for window in decoder.decode(chunk.batches)]
    laps.lap("decoding")
    return [segment.text for window in decoded for segment in window.segments]


def time_second_hearings(laps: Laps) -> None:
    """What is decoded again, because a gate refuses it, is the lap `again`, within `decoding`."""
    from asr.engines.whisper import Whisper

    settled = Whisper._settled

    def timed(*given: Any) -> Any:
        since = now()
        heard = settled(*given)
        laps.add("again", since)
        return heard

    Whisper._settled = timed  # type: ignore[method-assign]


def hear_once() -> None:
    """No gate has a say."""
    from asr.engines.whisper import Whisper

    Whisper._hear = lambda self, part, first, task: [first]  # type: ignore[method-assign]


def main() -> None:
    """One line of JSON."""
    laps = Laps()
    how, model, movie_dir, models_dir, threads, batch = sys.argv[1:]
    decode = bare if how in ("sequential", "batched") else staged
    texts = decode(how, model, Path(movie_dir), Path(models_dir), int(threads), int(batch), laps)
    print(json.dumps({"laps": laps.found, "words": len(" ".join(texts).split())}))


if __name__ == "__main__":
    main()
