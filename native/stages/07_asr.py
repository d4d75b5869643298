"""Speech to words with times: windows of speech, cut in pauses, decoded one by one, each with the terms that may be spoken in it.

The plan is written before decoding begins; every finished chunk is kept, and a run that was stopped goes on at the first one missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from asr import align, languages
from asr.align import Aligner, AlignmentOptions
from asr.checkpoints import Checkpoints, any_degraded
from asr.decode import Decoding, DecodingOptions
from asr.engines import Backend, EngineOptions, batch_size, choose, needs, preferred_model, refuse_language, require, to_load, weights
from asr.ladder import smaller_needs
from asr.plan import make_plan, uses_chunks
from asr.speech import quietest_in, uncovered
from reelscribe import device_manager, manifest, wav
from reelscribe.artifacts import HashCache, read_json, write_json
from reelscribe.device_manager import Device
from reelscribe.errors import StageFailedError
from reelscribe.schemas import (
    BiasWindows,
    Chunk,
    DecodedChunk,
    Glossary,
    Media,
    Plan,
    Segment,
    Span,
    Transcript,
    Vad,
    Window,
)
from reelscribe.settings import option
from reelscribe.stage import Context, Engine, ModelNeed, Stage, StageFiles, artifact, main

REVISION = 3
_ALIGNER = "torch"  # what it computes with
Chunking = Annotated[Literal["auto", "always", "never"], BeforeValidator(lambda v: {"true": "always", "false": "never"}.get(v, v))]


class Options(EngineOptions, DecodingOptions, AlignmentOptions):
    chunk_duration: int = option(300, env="ASR_CHUNK_DURATION", ge=60, unit="s", help="length of a chunk, the unit of checkpoint")
    use_chunking: Chunking = option(
        "auto", env="ASR_USE_CHUNKING", help="decode by chunks; auto: on MPS and over 10 minutes; true and false are always and never"
    )


class Inputs(StageFiles):
    audio: Path = artifact("audio/audio.wav")
    media: Path = artifact("media.json", schema=Media)
    silero: Path = artifact("vad/silero.json", schema=Vad)
    pyannote: Path = artifact("vad/pyannote.json", schema=Vad)
    glossary: Path = artifact("glossary/glossary.json", schema=Glossary)
    bias_windows: Path = artifact("glossary/bias_windows.json", schema=BiasWindows)


class Outputs(StageFiles):
    transcript: Path = artifact("transcription/transcript.json", schema=Transcript)
    plan: Path = artifact("transcription/plan.json", schema=Plan)
    chunks: tuple[Path, ...] = artifact("transcription/chunks/chunk_*.json", schema=DecodedChunk)


Ctx = Context[Options, Inputs, Outputs]


def engine(options: Options) -> Engine:
    return choose(options).engine


def run(ctx: Ctx) -> None:
    backend = choose_backend(ctx)
    plan = stored_plan(ctx, backend)
    decoded = list(decode(ctx, backend, plan, plan.chunks))
    refuse_holes(plan, decoded)
    transcript = to_transcript(plan, decoded, backend, ctx.options)
    note_language(ctx, plan, decoded, transcript)
    note_words(ctx, transcript)
    write_json(ctx.outputs.transcript, transcript)


def part(ctx: Ctx, name: str) -> None:
    """for a workflow: `plan`, or `0-5`: decode these chunks of the plan that is there; a run without --part gathers them"""
    backend = choose_backend(ctx)
    if name == "plan":
        stored_plan(ctx, backend)
        return
    plan = read_json(ctx.outputs.plan, Plan)
    if [c.batches for c in plan.chunks] != [c.batches for c in plan_decoding(ctx, backend).chunks]:
        # Another worker may be reading it, so it is not replaced; and the chunks of two plans would not fit together.
        raise StageFailedError(
            "the plan of this movie is another one on this machine than on the one that planned",
            remedy="give all parts machines of one kind: name DEVICE and WHISPER_MODEL",
        )
    first, last = map(int, name.split("-"))
    deque(decode(ctx, backend, plan, plan.chunks[first : last + 1]), maxlen=0)


def check(options: Options, device: Device) -> str:
    import numpy as np

    backend = choose(options)
    window = Window(id=0, start=0.0, end=1.0, speech=[Span(start=0.0, end=1.0)])
    plan = Plan(duration=1.0, speech=window.speech, windows=[window], chunks=[], terms=[])
    recognizer = backend.load(to_load(backend, options, device, threads=1), plan)
    noise = np.random.default_rng(0).normal(0, 0.05, wav.SAMPLE_RATE).astype(np.float32)
    (decoded,) = recognizer.decode([window], [noise])
    aligned = align.check(options, options.language, aligner_device(options))
    return f"words in a second of noise: {sum(len(s.words) for s in decoded.segments)}; {aligned}"


# -- before decoding ----------------------------------------------------------------------------------------------------


def choose_backend(ctx: Ctx) -> Backend:
    """What decodes, with all that is to be said about it."""
    backend = choose(ctx.options)
    require(backend, ctx.options)
    refuse_marked_language(ctx, backend)
    announce_draft(ctx, backend)
    announce_model(ctx, backend)
    announce_device(ctx, backend)
    return backend


def refuse_marked_language(ctx: Ctx, backend: Backend) -> None:
    """Raises UsageError when the user named no language and the movie's track is marked with one that the engine does not know."""
    marked = read_json(ctx.inputs.media, Media).audio.language
    if ctx.options.language == "auto" and marked not in (None, "und", "mis", "mul", "zxx"):
        refuse_language(backend, marked.split("-")[0].replace("eng", "en"), f"the audio track is marked {marked!r}")


def announce_draft(ctx: Ctx, backend: Backend) -> None:
    """Say that better engines are missing, when nobody asked for this one."""
    if not backend.engine.draft:
        return
    what = f"draft: {backend.engine.name} errs in about every fourth word of clear speech, and more in noise"
    if ctx.options.backend == "auto":
        ctx.fallback(what)
    else:
        ctx.log.warning(what)


def announce_model(ctx: Ctx, backend: Backend) -> None:
    """Say that another model would be better here."""
    best = preferred_model(backend, ctx.options) if backend.model else ""
    if ctx.options.model == "auto" and backend.model != best:
        ctx.fallback(f"the Whisper {best} suits this machine best and is not on it; {backend.model} is used")


def announce_device(ctx: Ctx, backend: Backend) -> None:
    """Say why Apple's GPU stands idle."""
    wanted = ctx.options.device == "mps" or (ctx.options.device == "auto" and device_manager.probe().mps)
    if wanted and backend.engine.kind == "ctranslate2":
        ctx.fallback("MPS device not supported by CTranslate2")
        ctx.fallback(f"Falling back to CPU with {ctx.device.compute}")


def plan_decoding(ctx: Ctx, backend: Backend) -> Plan:
    """Windows, their terms, and chunks, from what earlier stages found."""
    options = ctx.options
    duration = wav.num_samples(ctx.inputs.audio) / wav.SAMPLE_RATE
    chunked = uses_chunks(options.use_chunking, duration, ctx.device.device)
    biased = options.bias and backend.bias != "none"
    plan = make_plan(
        [read_json(path, Vad) for path in (ctx.inputs.silero, ctx.inputs.pyannote)],
        duration,
        quietest_in(ctx.inputs.audio),
        read_json(ctx.inputs.bias_windows, BiasWindows).windows if biased else [],
        read_json(ctx.inputs.glossary, Glossary),
        options.chunk_duration if chunked else None,
        batch_size(backend, options, ctx.device),
    )
    how = f"chunked processing (duration={duration:.0f} s, device={ctx.device.device})" if chunked else "whole-file processing"
    ctx.log.info("Using %s: windows %d, chunks %d", how, len(plan.windows), len(plan.chunks))
    ctx.log.info("Active bias: %d unique terms", len(plan.terms))
    ctx.note("windows", len(plan.windows))
    ctx.note("chunks", len(plan.chunks))
    ctx.note("terms", len(plan.terms))
    return plan


def stored_plan(ctx: Ctx, backend: Backend) -> Plan:
    """The plan as it was stored, which is what a worker reads; chunks that are not of it are gone."""
    write_json(ctx.outputs.plan, plan_decoding(ctx, backend))
    plan = read_json(ctx.outputs.plan, Plan)
    checkpoints_of(ctx, backend, plan).remove(every=ctx.forced)
    return plan


# -- decoding -----------------------------------------------------------------------------------------------------------


def checkpoints_of(ctx: Ctx, backend: Backend, plan: Plan) -> Checkpoints:
    """The decoded chunks of the movie directory."""
    found, good_enough = chunks_of(ctx.movie_dir), not ctx.options.retry_degraded
    return Checkpoints(found, plan, what_decides(ctx, backend), what_aligns(ctx), degraded=good_enough)


def decode(ctx: Ctx, backend: Backend, plan: Plan, chunks: Sequence[Chunk]) -> Iterator[DecodedChunk]:
    """The plan's `chunks`, each from its checkpoint where there is one."""
    checkpoints = checkpoints_of(ctx, backend, plan)
    kept = {chunk.id: found for chunk in chunks if (found := checkpoints.read(chunk))}
    ctx.note("chunks_reused", len(kept))
    if kept:
        ctx.log.info("%d of %d chunks were decoded before", len(kept), len(chunks))
    to_do = [chunk for chunk in chunks if chunk.id not in kept]
    load = to_load(backend, ctx.options, ctx.device, ctx.threads)
    with Decoding(ctx, load, plan, ctx.outputs.plan, to_do) as decoding, aligner_for(ctx, backend) as aligner:
        aligner.expect([window for done in kept.values() if checkpoints.is_aligned(done) for window in done.windows])
        for chunk in chunks:
            done = kept.get(chunk.id) or checkpoints.write(chunk, *decoding.chunk(chunk))
            if not checkpoints.is_aligned(done):
                aligned = aligner.align(done.decoded.windows, plan.windows)
                done = checkpoints.write_aligned(chunk, done, aligned.windows, aligned.failures)
            ctx.add_output(checkpoints.path(chunk))
            if done.degraded:
                less = "was decoded with less" if done.decoded.degraded else "keeps word times of its engine"
                ctx.fallback(f"chunk {chunk.id} ({chunk.start:.0f}–{chunk.end:.0f} s) {less}: {', '.join(done.degraded)}")
            yield done
        ctx.note("startup_s", round(decoding.startup_s + aligner.startup_s, 1))


def aligner_device(options: Options) -> str:
    """Where words are aligned: with torch, whatever the engine computes with."""
    return device_manager.choose(STAGE.row, _ALIGNER, options.device).device


def aligner_for(ctx: Ctx, backend: Backend) -> Aligner:
    """What gives words their times after decoding."""
    return Aligner(
        ctx.options,
        ctx.inputs.audio,
        language=ctx.options.language,
        engine_kind=backend.engine.kind,
        device=aligner_device(ctx.options),
        threads=ctx.threads,
        say=ctx.fallback,
    )


def default_language(options: Options) -> str:
    """Of what an engine heard without saying in which language."""
    return "en" if options.language == "auto" else options.language


def chunks_of(movie_dir: Path) -> Path:
    """Where the checkpoints are."""
    return movie_dir / "transcription" / "chunks"


def redo(movie_dir: Path, options: Options) -> bool:
    """Whether --retry-degraded finds something to do."""
    return options.retry_degraded and any_degraded(chunks_of(movie_dir))


def what_decides(ctx: Ctx, backend: Backend) -> dict[str, Any]:
    """What decides the words of a chunk besides its windows and terms."""
    known = manifest.locked_versions(STAGE.environment(ctx.options))
    return {
        "audio": HashCache(ctx.movie_dir).digest(ctx.inputs.audio),
        "engine": backend.engine.model_dump(),
        "versions": {name: known.get(name, "") for name in backend.engine.packages},
        "language": ctx.options.language,
        "translate": ctx.options.translate,
        "bias": [ctx.options.bias_prompt_max, ctx.options.bias_hotword_max],
        "models": digests(ctx, weights(backend, ctx.options)),
        "revision": REVISION,
    }


def what_aligns(ctx: Ctx) -> dict[str, Any]:
    """What decides the times of a chunk's words."""
    return {
        "backend": ctx.options.alignment_backend,
        "model": ctx.options.alignment_model,
        "models": digests(ctx, align.facts(ctx.options, ctx.options.language)),
        "whisperx": manifest.locked_versions(align.ENVIRONMENT).get("whisperx", ""),
        "revision": REVISION,
    }


def digests(ctx: Ctx, facts: dict[str, str | Path | None]) -> list[str | None]:
    """Of files their content, of anything else what it says."""
    digest = HashCache(ctx.movie_dir).digest
    return [digest(found) if isinstance(found, Path) else found for found in facts.values()]


# -- after decoding -----------------------------------------------------------------------------------------------------


def refuse_holes(plan: Plan, decoded: list[DecodedChunk]) -> None:
    """Raises StageFailedError when speech that the detectors heard lies in no decoded window."""
    holes = uncovered(plan.speech, [plan.windows[w.window] for chunk in decoded for w in chunk.windows])
    if holes:
        missing = sum(h.end - h.start for h in holes)
        raise StageFailedError(f"{missing:.1f} s of speech were not decoded, the first at {holes[0].start:.1f} s")


def to_transcript(plan: Plan, decoded: list[DecodedChunk], backend: Backend, options: Options) -> Transcript:
    """All segments in order, numbered; translated ones with the numbers of the words they cover. Where only English is spoken, none are."""
    segments: list[Segment] = []
    translation: list[Segment] = []
    words = 0
    windows = [window for chunk in decoded for window in chunk.windows]
    for window in windows:
        segments += [s.model_copy(update={"id": len(segments) + number}) for number, s in enumerate(window.segments)]
        for s in window.translation or []:
            source = s.source and (s.source[0] + words, s.source[1] + words)
            translation.append(s.model_copy(update={"id": len(translation), "source": source}))
        words += sum(len(s.words) for s in window.segments)
    found = backend.engine
    return Transcript(
        segments=segments,
        translation=translation if options.translate and any(w.language not in (None, "", "en") for w in windows) else None,
        language=languages.spoken(windows, plan) or default_language(options),
        engine=found.name,
        model=found.model,
        draft=found.draft,
        duration=plan.duration,
    )


def note_language(ctx: Ctx, plan: Plan, decoded: list[DecodedChunk], transcript: Transcript) -> None:
    """Which language it is, and how it was found out."""
    vote = languages.recount(plan, [window for chunk in decoded for window in chunk.windows])
    if vote:
        ctx.log.info("Language: %s (%s)", transcript.language, ", ".join(f"{code} {share:.0%}" for code, share in vote.items()))
        ctx.note("language_vote", vote)
    ctx.note("language", transcript.language)


def note_words(ctx: Ctx, transcript: Transcript) -> None:
    """How many words there are, and how many of them have the times of alignment."""
    words = [word for segment in transcript.segments for word in segment.words]
    aligned = sum(word.engine_start is not None for word in words)
    ctx.log.info("Words: %d, aligned: %d", len(words), aligned)
    ctx.note("words", len(words))
    ctx.note("words_aligned", aligned)


def facts(movie: Path, options: Options) -> dict[str, str | Path | None]:
    return {**weights(choose(options), options), **align.facts(options, options.language)}


def models(options: Options) -> list[ModelNeed]:
    smaller = smaller_needs(options) if options.allow_smaller_model else []
    return [*needs(options), *smaller, *align.models(options, options.language)]


def helper(options: Options) -> str:
    """Where words are aligned, when that is not where they are decoded."""
    aligns = options.alignment_backend == "whisperx"
    return align.ENVIRONMENT if aligns and STAGE.environment(options) != align.ENVIRONMENT else ""


def helper_kind(options: Options) -> str:
    """The aligner may have the GPU where the engine that decodes cannot use it."""
    return _ALIGNER if options.alignment_backend == "whisperx" else ""


STAGE = Stage(
    name="asr",
    revision=REVISION,
    options=Options,
    inputs=Inputs,
    outputs=Outputs,
    engine=engine,
    run=run,
    check=check,
    facts=facts,
    models=models,
    redo=redo,
    helper=helper,
    helper_kind=helper_kind,
    part=part,
)

if __name__ == "__main__":
    main(STAGE)
