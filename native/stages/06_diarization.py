"""Who speaks when: the voices of the movie, told apart and numbered, their names not known yet.

By default with the models that the packages carry: the segmentation inside whisperx and Resemblyzer's voices, in pyannote's own
pipeline. Better is pyannote's community-1 where that is on this machine: in MODELS_DIR (as pyannote--speaker-diarization-community-1 or
speaker-diarization-community-1) or in the hub's cache. pipeline.sh fetches it with HF_TOKEN.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import model_validator

from reelscribe import memory, pyannote_models, wav
from reelscribe.artifacts import atomic_write, write_json
from reelscribe.device_manager import Device
from reelscribe.pyannote_models import PyannoteOptions, Segmentation
from reelscribe.schemas import Diarization
from reelscribe.settings import option
from reelscribe.stage import Context, Engine, Stage, StageFiles, artifact, main

if TYPE_CHECKING:
    from collections.abc import Callable

EMBEDDED = Engine(
    name="pyannote with Resemblyzer",
    kind="torch",
    packages=("pyannote-audio", "resemblyzer", "scikit-learn", "scipy", "torch", "whisperx"),
    model="whisperx/assets/pytorch_model.bin + resemblyzer/pretrained.pt",
)

# Batches of voices, each of another size: without this, half an hour of talk takes a gigabyte more.
_TRIMMED_EVERY = 16


class Options(PyannoteOptions):
    """What can be said about the voices."""

    min_speakers: int | None = option(
        None, env="MIN_SPEAKERS", ge=1, help="at least so many voices; equal to MAX_SPEAKERS: exactly so many"
    )
    max_speakers: int | None = option(None, env="MAX_SPEAKERS", ge=1, help="at most so many voices")
    voice_distance: float = option(
        0.25,
        env="VOICE_DISTANCE",
        gt=0,
        lt=1,
        help="how different two stretches of one voice may be: lower finds more voices, higher fewer; for the embedded models only",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Options:
        if self.min_speakers and self.max_speakers and self.min_speakers > self.max_speakers:
            raise ValueError(f"MIN_SPEAKERS ({self.min_speakers}) is greater than MAX_SPEAKERS ({self.max_speakers})")
        return self


class Inputs(StageFiles):
    """Files read."""

    audio: Path = artifact("audio/audio.wav")
    segmentation: Path = artifact("vad/segmentation.npz")


class Outputs(StageFiles):
    """Files written."""

    diarization: Path = artifact("diarization/diarization.json", schema=Diarization)
    rttm: Path = artifact("diarization/diarization.rttm")


def engine(options: Options) -> Engine:
    """community-1 where there is a way to it."""
    return pyannote_models.engine(options, EMBEDDED)


def run(ctx: Context[Options, Inputs, Outputs]) -> None:
    """Voices of every window, clustered over the movie."""
    segmentation = Segmentation.read(ctx.inputs.segmentation)
    with ctx.starting():
        pipeline, weights, model = load(ctx.options, ctx.device, ctx.threads, ctx.fallback)
    ctx.note("model", model)
    diarization = diarize(ctx, pipeline, segmentation, weights, model)

    write_json(ctx.outputs.diarization, diarization)
    write_rttm(ctx.outputs.rttm, diarization, ctx.name)
    most = sorted(diarization.speakers, key=lambda speaker: -speaker.total_s)[:5]
    talk = ", ".join(f"{speaker.label} {speaker.total_s:.0f} s" for speaker in most)
    more = " …" if len(diarization.speakers) > len(most) else ""
    ctx.log.info("voices: %d%s", len(diarization.speakers), f" ({talk}{more})" if talk else "")


def load(options: Options, device: Device, threads: int, say: Callable[[str], None]) -> tuple[Any, Path, str]:
    """The pipeline, its segmentation weights and its name; `say` is told when it is not the best one that there seemed to be."""

    def community(folder: Path) -> tuple[Any, Path, str]:
        from diarization import pipelines

        pipeline = pipelines.community(folder, trusted=options.trust_model)
        return pipeline, folder / pyannote_models.SEGMENTATION, pyannote_models.COMMUNITY.repo

    def embedded() -> tuple[Any, Path, str]:
        from diarization import pipelines

        return pipelines.embedded(options.voice_distance), pyannote_models.embedded_segmentation(), EMBEDDED.model

    pyannote_models.set_up_torch(threads)
    pipeline, weights, model = pyannote_models.load(options, community, embedded, say)
    import torch

    return pipeline.to(torch.device(device.device)), weights, model


def diarize(ctx: Context[Options, Inputs, Outputs], pipeline: Any, segmentation: Segmentation, weights: Path, model: str) -> Diarization:
    """Run the pipeline."""
    from diarization import movie, pipelines, result

    reused = pipelines.reuse(pipeline, segmentation, weights)
    if not reused:
        ctx.log.info("pyannote-vad used another model: the segmentation is done again")
    ctx.note("segmentation_reused", reused)

    def hook(step: str, _: Any, *, total: int | None = None, completed: int | None = None, **__: Any) -> None:
        if total and completed is not None:
            ctx.progress.update(completed, total, step)
        if completed is None or completed % _TRIMMED_EVERY == 0:  # None: a step has ended
            memory.trim()

    file = movie.audio_file(ctx.inputs.audio, result.uri(ctx.name))
    with pyannote_models.quiet():
        output = pipeline(file, min_speakers=ctx.options.min_speakers, max_speakers=ctx.options.max_speakers, hook=hook)
    return result.to_diarization(output, wav.num_samples(ctx.inputs.audio) / wav.SAMPLE_RATE, model)


def write_rttm(path: Path, diarization: Diarization, name: str) -> None:
    """Store the turns as NIST's RTTM."""
    from diarization import result

    with atomic_write(path) as f:
        result.to_annotation(diarization.turns, result.uri(name)).write_rttm(f)


def check(options: Options, device: Device) -> str:
    """Embed the "voice" of two seconds of noise."""
    import torch

    said: list[str] = []
    pipeline, _, model = load(options, device, options.threads or 1, said.append)
    noise = torch.randn(1, 1, 2 * wav.SAMPLE_RATE, generator=torch.Generator().manual_seed(0)) / 100
    embedding = pipeline._embedding(noise)
    return "; ".join([*said, f"{model}: a voice is {embedding.shape[1]} numbers"])


STAGE = Stage(
    name="diarization",
    revision=2,
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
