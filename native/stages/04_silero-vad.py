"""Find speech with the Silero model that its package carries: no download, no torch, one thread.

The WAV is read block by block; the model's state goes from block to block, so the result is that of one pass over the whole movie.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reelscribe import wav
from reelscribe.artifacts import write_json
from reelscribe.device_manager import Device
from reelscribe.errors import MissingToolError
from reelscribe.schemas import SpeechSegment, Vad
from reelscribe.settings import StageOptions, option
from reelscribe.stage import Context, Engine, Stage, StageFiles, artifact, main

if TYPE_CHECKING:
    import numpy as np

# The graph that takes a sequence of frames at a call: the same probabilities as the plain one, at twice its speed.
MODEL = "silero_vad_16k_sequence.onnx"
FRAME = 512  # samples that get one probability
CONTEXT = 64  # samples before a frame that the model wants to see with it
BLOCK_FRAMES = 512  # 16 s at a call
# Speech, once begun, ends only when the probability falls this much below the threshold.
HYSTERESIS = 0.15


class Options(StageOptions):
    threshold: float = option(0.5, env="SILERO_THRESHOLD", gt=0, lt=1, help="probability from which on it is speech")
    min_speech_ms: int = option(250, env="SILERO_MIN_SPEECH_MS", ge=0, unit="ms", help="shorter speech is dropped")
    min_silence_ms: int = option(100, env="SILERO_MIN_SILENCE_MS", ge=0, unit="ms", help="shorter pauses do not end speech")
    pad_ms: int = option(30, env="SILERO_PAD_MS", ge=0, unit="ms", help="what speech is widened by on either side")


class Inputs(StageFiles):
    audio: Path = artifact("audio/audio.wav")


class Outputs(StageFiles):
    vad: Path = artifact("vad/silero.json", schema=Vad)


def engine(options: Options) -> Engine:
    return Engine(name="Silero VAD", kind="onnx", packages=("silero-vad", "onnxruntime"), model=MODEL)


def run(ctx: Context[Options, Inputs, Outputs]) -> None:
    num_samples = wav.num_samples(ctx.inputs.audio)
    probabilities = []
    for block in speech_probabilities(wav.blocks(ctx.inputs.audio, BLOCK_FRAMES * FRAME)):
        probabilities += block
        ctx.progress.update(len(probabilities) * FRAME, num_samples)
    spans = find_speech(probabilities, num_samples, Limits.of(ctx.options))
    vad = Vad(segments=[to_segment(s) for s in spans], duration=num_samples / wav.SAMPLE_RATE, model=f"silero-vad {version('silero-vad')}")
    write_json(ctx.outputs.vad, vad)
    ctx.log.info("speech in %.0f of %.0f s (segments: %d)", sum(s.end - s.start for s in vad.segments), vad.duration, len(spans))
    if not spans:
        ctx.log.warning("no speech was found")


def check(options: Options, device: Device) -> str:
    import numpy as np

    noise = np.random.default_rng(0).normal(0, 0.05, 64 * FRAME).astype(np.float32)
    (probabilities,) = speech_probabilities(iter([noise]))
    return f"speech in two seconds of noise: {max(probabilities):.2f}"


# -- model --------------------------------------------------------------------------------------------------------------


def load_model() -> Any:
    """The ONNX session. The package is only located: importing it would import torch. Raises MissingToolError."""
    import onnxruntime

    package = importlib.util.find_spec("silero_vad")
    model = Path(*(package.submodule_search_locations or [])) / "data" / MODEL if package else None
    if model is None or not model.is_file():
        raise MissingToolError(f"the package silero-vad with {MODEL} is not there", remedy="run native/setup_venvs.sh silero-vad")
    options = onnxruntime.SessionOptions()
    # One thread: the graph is one recurrent step after the other, and sums in one order only.
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def speech_probabilities(blocks: Iterator[np.ndarray]) -> Iterator[list[float]]:
    """Probability of speech in every frame, one list for each of `blocks`.

    blocks: (num_samples,) float32, 16 kHz mono; all but the last one whole frames.
    """
    import numpy as np

    session = load_model()
    context = np.zeros(CONTEXT, np.float32)
    hidden = cell = np.zeros((1, 1, 128), np.float32)
    for block in blocks:
        frames = np.pad(block, (0, -len(block) % FRAME)).reshape(-1, FRAME)
        before = np.vstack([context, frames[:-1, -CONTEXT:]])
        inputs = {"input": np.hstack([before, frames]), "h": hidden, "c": cell}
        values, hidden, cell = session.run(["speech_probs", "hn", "cn"], inputs)
        context = frames[-1, -CONTEXT:]
        yield values.tolist()


# -- from probabilities to speech ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """When speech begins and ends; lengths in samples."""

    threshold: float
    min_speech: int
    min_silence: int
    pad: int

    @classmethod
    def of(cls, options: Options) -> Limits:
        """The limits as the user set them."""
        samples_per_ms = wav.SAMPLE_RATE // 1000
        lengths = [ms * samples_per_ms for ms in (options.min_speech_ms, options.min_silence_ms, options.pad_ms)]
        return cls(options.threshold, *lengths)


@dataclass(frozen=True)
class Found:
    """Speech from sample `start` to `end` and the mean probability of its frames."""

    start: int
    end: int
    score: float


def find_speech(probabilities: Sequence[float], num_samples: int, limits: Limits) -> list[Found]:
    """Stretches of speech, in order and without overlap, as Silero's own get_speech_timestamps finds them."""
    spans = _padded(_hysteresis(probabilities, num_samples, limits), num_samples, limits.pad)
    return [Found(start, end, _mean(probabilities[start // FRAME : -(-end // FRAME)])) for start, end in spans]


def _hysteresis(probabilities: Sequence[float], num_samples: int, limits: Limits) -> list[tuple[int, int]]:
    """Speech begins at the threshold and ends where the probability stays below the lower one for long enough."""
    low = max(limits.threshold - HYSTERESIS, 0.01)
    spans: list[tuple[int, int]] = []
    start = silence = None
    for index, probability in enumerate(probabilities):
        here = index * FRAME
        if probability >= limits.threshold:
            start = here if start is None else start
            silence = None
        elif probability < low and start is not None:
            silence = here if silence is None else silence
            if here - silence >= limits.min_silence:
                spans.append((start, silence))
                start = silence = None
    if start is not None:
        spans.append((start, num_samples))
    return [(start, end) for start, end in spans if end - start > limits.min_speech]


def _padded(spans: list[tuple[int, int]], num_samples: int, pad: int) -> list[tuple[int, int]]:
    """Widened by `pad` on either side; neighbours that would meet share the pause between them."""
    gaps = [after[0] - before[1] for before, after in pairwise(spans)]
    pads = [pad, *(min(pad, gap // 2) for gap in gaps), pad]
    return [(max(0, s - left), min(num_samples, e + right)) for (s, e), (left, right) in zip(spans, pairwise(pads), strict=False)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def to_segment(found: Found) -> SpeechSegment:
    """The same in seconds."""
    return SpeechSegment(start=found.start / wav.SAMPLE_RATE, end=found.end / wav.SAMPLE_RATE, score=found.score)


STAGE = Stage(name="silero-vad", revision=1, options=Options, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check)

if __name__ == "__main__":
    main(STAGE)
