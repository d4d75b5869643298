"""subtitle-gen: cuts the corrected transcript into cues and writes them as SRT and WebVTT.

A cue has at most two lines of 42 characters (fewer in some scripts) and is shown for 5/6 s to 7 s, starting with its first word and
ending at most half a second after its last, without overlap and with two frames between cues. Where lines and cues end is decided
for the whole movie at once by the least cost: sentences and clauses stay together, a new speaker gets a new cue, and what is said
can be read in time. Two short lines of two speakers share a cue, with a hyphen each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from reelscribe.artifacts import atomic_write, read_json, write_json
from reelscribe.device_manager import Device
from reelscribe.schemas import Media, Speakers, Track, Tracks, Transcript
from reelscribe.settings import LanguageOption, StageOptions, TranslateOption
from reelscribe.stage import Context, Engine, Stage, StageFiles, artifact, main

if TYPE_CHECKING:
    from subtitle_gen.cues import Cue
    from subtitle_gen.limits import Limits


class Options(StageOptions, LanguageOption, TranslateOption):
    """What can be set."""


class Inputs(StageFiles):
    """Files read."""

    transcript: Path = artifact("corrected/transcript.json", schema=Transcript)
    speakers: Path = artifact("corrected/speakers.json", schema=Speakers)
    media: Path = artifact("media.json", schema=Media)


class Outputs(StageFiles):
    """Files written."""

    srt: tuple[Path, ...] = artifact("subtitles/{name}.*.srt")
    vtt: tuple[Path, ...] = artifact("subtitles/{name}.*.vtt")
    tracks: Path = artifact("subtitles/tracks.json", schema=Tracks)


def engine(options: Options) -> Engine:
    """Our own cutting, pysubs2's writing."""
    return Engine(name="pysubs2", packages=("pysubs2", "regex", "langcodes", "language-data"))


def run(ctx: Context[Options, Inputs, Outputs]) -> None:
    """Words, cues, files."""
    from subtitle_gen.cues import Planner
    from subtitle_gen.limits import for_movie
    from subtitle_gen.words import spoken

    transcript = shown(ctx.options, read_json(ctx.inputs.transcript, Transcript))
    media = read_json(ctx.inputs.media, Media)
    language = subtitle_language(ctx.options, transcript)
    limits = for_movie(language, media.fps)

    words = spoken(transcript, read_json(ctx.inputs.speakers, Speakers), language)
    cues = Planner(words, limits, language, duration_ms=round(media.duration * 1000)).cues()
    report(ctx, cues, limits)
    tracks = [written(ctx, cues, form, language, draft=transcript.draft) for form in ("srt", "vtt")]
    write_json(ctx.outputs.tracks, Tracks(tracks=tracks))


def shown(options: Options, transcript: Transcript) -> Transcript:
    """`transcript`, or what it says in English when that was asked for."""
    if not options.translate or transcript.translation is None:
        return transcript
    return transcript.model_copy(update={"segments": transcript.translation, "translation": None})


def subtitle_language(options: Options, transcript: Transcript) -> str:
    """ISO 639-1 code where there is one: English for a translation, else what was asked for, else what was heard."""
    import langcodes

    spoken = transcript.language if options.language == "auto" else options.language
    return langcodes.standardize_tag("en" if options.translate else spoken)


def written(ctx: Context[Options, Inputs, Outputs], cues: Sequence[Cue], form: str, language: str, *, draft: bool) -> Track:
    """One subtitle file and what mux has to know of it."""
    import langcodes

    from subtitle_gen import files

    path = ctx.outputs.tracks.parent / f"{ctx.name}.{language}.{form}"
    with atomic_write(path) as f:
        f.write(files.text(cues, form))
    ctx.add_output(path)
    title = f"{langcodes.get(language).display_name()} (reelscribe{', draft' if draft else ''})"
    return Track.model_validate({"file": path.name, "format": form, "language": language, "title": title, "num_cues": len(cues)})


def report(ctx: Context[Options, Inputs, Outputs], cues: Sequence[Cue], limits: Limits) -> None:
    """What came out and which limits could not be kept."""
    from subtitle_gen.cues import faults

    found = Counter(rule for cue, following in zip_longest(cues, cues[1:]) for rule in faults(cue, following, limits))
    broken = ", ".join(f"{rule} ×{times}" for rule, times in sorted(found.items()))
    if cues:
        ctx.log.info("cues: %d%s", len(cues), f"; limits not kept: {broken}" if broken else ", all within the limits")
    else:
        ctx.log.warning("no words were recognised: the subtitles are empty")
    ctx.note("cues", len(cues))
    ctx.note("limits_not_kept", dict(sorted(found.items())))


def check(options: Options, device: Device) -> str:
    """Cut and write one sentence."""
    from reelscribe.schemas import Segment
    from subtitle_gen import files
    from subtitle_gen.cues import Planner
    from subtitle_gen.limits import Limits
    from subtitle_gen.words import spoken

    said = "The night train to Jaipur leaves from platform four, and nobody has seen the inspector."
    segment = Segment(id=0, start=0, end=6, text=said, words=[])
    transcript = Transcript(segments=[segment], language="en", engine="check", model="check", duration=6)
    cues = Planner(spoken(transcript, Speakers(speakers=[]), "en"), Limits(), "en").cues()
    return f"{len(cues)} cues, {len(files.text(cues, 'srt'))} characters of SRT"


STAGE = Stage(name="subtitle-gen", revision=1, options=Options, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check)

if __name__ == "__main__":
    main(STAGE)
