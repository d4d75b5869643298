"""Speech found with pyannote's segmentation model; what that said of every voice is kept for diarization.

The model is the one inside whisperx, or that of pyannote's community-1 where that is on this machine: in MODELS_DIR (as
pyannote--speaker-diarization-community-1 or speaker-diarization-community-1) or in the hub's cache. pipeline.sh fetches it with HF_TOKEN.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import model_validator

from reelscribe import pyannote_models, wav
from reelscribe.artifacts import write_json
from reelscribe.device_manager import Device
from reelscribe.pyannote_models import PyannoteOptions
from reelscribe.schemas import Vad
from reelscribe.settings import option
from reelscribe.stage import Context, Engine, Stage, StageFiles, artifact, main

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyannote_vad.segmentation import Segmenter

EMBEDDED = Engine(
    name="pyannote segmentation", kind="torch", packages=("pyannote-audio", "torch", "whisperx"), model="whisperx/assets/pytorch_model.bin"
)


class Options(PyannoteOptions):
    """When speech begins and ends."""

    # tests/bench/diarization.py: 6.2 % detection error; anything near these is within a point of that.
    onset: float = option(0.5, env="PYANNOTE_ONSET", gt=0, lt=1, help="score above which speech begins")
    offset: float = option(0.36, env="PYANNOTE_OFFSET", gt=0, lt=1, help="score below which speech ends; at most the onset")
    min_speech_ms: int = option(200, env="PYANNOTE_MIN_SPEECH_MS", ge=0, unit="ms", help="shorter speech, padding included, is dropped")
    min_silence_ms: int = option(300, env="PYANNOTE_MIN_SILENCE_MS", ge=0, unit="ms", help="shorter pauses do not end speech")
    pad_ms: int = option(50, env="PYANNOTE_PAD_MS", ge=0, unit="ms", help="what speech is widened by on either side")

    @model_validator(mode="after")
    def _hysteresis(self) -> Options:
        if self.offset > self.onset:
            raise ValueError(f"PYANNOTE_OFFSET ({self.offset}) is greater than PYANNOTE_ONSET ({self.onset})")
        return self


class Inputs(StageFiles):
    """Files read."""

    audio: Path = artifact("audio/audio.wav")


class Outputs(StageFiles):
    """Files written."""

    vad: Path = artifact("vad/pyannote.json", schema=Vad)
    segmentation: Path = artifact("vad/segmentation.npz")


def engine(options: Options) -> Engine:
    """community-1 where there is a way to it."""
    return pyannote_models.engine(options, EMBEDDED)


def run(ctx: Context[Options, Inputs, Outputs]) -> None:
    """One pass of the model; speech is where any of its voices speaks."""
    with ctx.starting():
        segmenter, model = load(ctx.options, ctx.device, ctx.threads, ctx.fallback)
    ctx.note("model", model)
    segmentation = segmenter.segment(ctx.inputs.audio, ctx.progress)
    segmentation.write(ctx.outputs.segmentation)

    from pyannote_vad.speech import find_speech, speech_scores

    duration_s = wav.num_samples(ctx.inputs.audio) / wav.SAMPLE_RATE
    segments = find_speech(speech_scores(segmentation, segmenter.frames), duration_s, **limits(ctx.options))
    write_json(ctx.outputs.vad, Vad(segments=segments, duration=duration_s, model=model))
    ctx.log.info("speech in %.0f of %.0f s (segments: %d)", sum(s.end - s.start for s in segments), duration_s, len(segments))
    if not segments:
        ctx.log.warning("no speech was found")


def load(options: Options, device: Device, threads: int, say: Callable[[str], None]) -> tuple[Segmenter, str]:
    """The model and its name; `say` is told when it is not the best one that there seemed to be."""

    def community(folder: Path) -> tuple[Segmenter, str]:
        from pyannote_vad.segmentation import Segmenter

        segmenter = Segmenter.load(folder / pyannote_models.SEGMENTATION, device, trusted=options.trust_model)
        return segmenter, pyannote_models.COMMUNITY.repo

    def embedded() -> tuple[Segmenter, str]:
        from pyannote_vad.segmentation import Segmenter

        return Segmenter.load(pyannote_models.embedded_segmentation(), device), EMBEDDED.model

    pyannote_models.set_up_torch(threads)
    return pyannote_models.load(options, community, embedded, say)


def limits(options: Options) -> dict[str, float]:
    """When speech begins and ends, in the terms of pyannote's Binarize: seconds."""
    pad_s = options.pad_ms / 1000
    return {
        "onset": options.onset,
        "offset": options.offset,
        "min_duration_on": options.min_speech_ms / 1000,
        "min_duration_off": options.min_silence_ms / 1000,
        "pad_onset": pad_s,
        "pad_offset": pad_s,
    }


def check(options: Options, device: Device) -> str:
    """One window of noise."""
    import numpy as np

    said: list[str] = []
    segmenter, model = load(options, device, options.threads or 1, said.append)
    num_samples = round(segmenter.inference.duration * wav.SAMPLE_RATE)
    scores = segmenter.infer(np.random.default_rng(0).normal(0, 0.01, (1, num_samples)).astype(np.float32))
    return "; ".join([*said, f"{model}: speech in {segmenter.inference.duration:g} s of noise: {scores.max():.2f}"])


STAGE = Stage(
    name="pyannote-vad",
    revision=1,
    options=Options,
    inputs=Inputs,
    outputs=Outputs,
    engine=engine,
    run=run,
    check=check,
    facts=pyannote_models.facts,
    models=pyannote_models.needs,
)

if __name__ == "__main__":
    main(STAGE)
