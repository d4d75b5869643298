"""subtitle-gen: cuts the corrected transcript into cues and writes them as SRT, WebVTT, ASS, text, JSON and RTTM.

Where lines and cues end, and when they come and go, is decided for the whole movie at once by the least cost: sentences, clauses and
names stay together, what is said can be read in time, a new speaker gets a new cue, and times keep off shot changes. The limits are those
of a profile; what cannot be kept is in subtitles/qc.json. Two short lines of two speakers share a cue, with a hyphen each.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reelscribe.artifacts import write_json
from reelscribe.device_manager import Device
from reelscribe.schemas import Glossary, Media, Qc, Shots, Speakers, Tracks, Transcript
from reelscribe.settings import FfmpegOption, LanguageOption, StageOptions, TranslateOption, option
from reelscribe.stage import Context, Engine, Stage, StageFiles, artifact, main, movie_file

if TYPE_CHECKING:
    from subtitle_gen.job import Job


class Options(StageOptions, LanguageOption, TranslateOption, FfmpegOption):
    """What can be set."""

    profile: str = option(
        "netflix", env="SUBTITLE_PROFILE", help="limits of the cues: netflix, bbc, relaxed, or a JSON file (docs/subtitles.md)"
    )
    audience: Literal["adult", "children"] = option("adult", env="SUBTITLE_AUDIENCE", help="whose reading speed")
    formats: str = option(
        "srt,vtt,ass,txt,json,rttm",
        env="SUBTITLE_FORMATS",
        pattern=r"^(srt|vtt|ass|txt|json|rttm)(,(srt|vtt|ass|txt|json|rttm))*$",
        help="files to write, of srt, vtt, ass, txt, json, rttm, with commas between",
    )
    sdh: bool = option(False, env="SDH", help="name whoever begins to speak, for the deaf and hard of hearing")
    bilingual: bool = option(False, env="BILINGUAL", help="with TRANSLATE, one more file with what was said above the English")
    shot_changes: bool = option(True, env="SHOT_CHANGES", help="find shot changes and keep cues off them, if the profile asks for it")
    quarantined: Literal["show", "hide"] = option(
        "show", env="QUARANTINED", help="segments that asr does not vouch for: their marks are in subtitles/qc.json"
    )


class Inputs(StageFiles):
    """Files read."""

    movie: Path = movie_file()
    transcript: Path = artifact("corrected/transcript.json", schema=Transcript)
    speakers: Path = artifact("corrected/speakers.json", schema=Speakers)
    glossary: Path = artifact("glossary/glossary.json", schema=Glossary)
    media: Path = artifact("media.json", schema=Media)


class Outputs(StageFiles):
    """Files written."""

    srt: tuple[Path, ...] = artifact("subtitles/{name}.*.srt")
    vtt: tuple[Path, ...] = artifact("subtitles/{name}.*.vtt")
    ass: tuple[Path, ...] = artifact("subtitles/{name}.*.ass")
    txt: tuple[Path, ...] = artifact("subtitles/{name}.*.txt")
    whisperx: tuple[Path, ...] = artifact("subtitles/{name}.*.json", schema=Transcript)
    rttm: tuple[Path, ...] = artifact("subtitles/{name}.*.rttm")
    tracks: Path = artifact("subtitles/tracks.json", schema=Tracks)
    qc: Path = artifact("subtitles/qc.json", schema=Qc)
    shots: Path | None = artifact("subtitles/shots.json", schema=Shots)


def engine(options: Options) -> Engine:
    """Our own cutting, pysubs2's writing."""
    return Engine(name="pysubs2", packages=("pysubs2", "regex", "langcodes", "language-data", "budoux"))


def facts(movie: Path, options: Options) -> dict[str, str | Path | None]:
    """The profile's own content."""
    from subtitle_gen.limits import profile_file

    return {"profile": profile_file(options.profile)}


def run(ctx: Context[Options, Inputs, Outputs]) -> None:
    """Cues of every language, files, quality control."""
    from subtitle_gen.job import Job
    from subtitle_gen.output import written
    from subtitle_gen.quality import checked

    job = Job.of(ctx)
    tracks = [job.track(*language) for language in job.languages()]
    files = written(ctx, job, tracks)
    write_json(ctx.outputs.tracks, Tracks(tracks=files))
    qc = checked(job, tracks)
    write_json(ctx.outputs.qc, qc)
    report(ctx, job, qc)


def report(ctx: Context[Options, Inputs, Outputs], job: Job, qc: Qc) -> None:
    """What came out and which limits could not be kept."""
    from collections import Counter

    kept: dict[str, Any] = {}
    for track in qc.tracks:
        found = Counter(violation.rule for violation in track.violations)
        broken = ", ".join(f"{rule} ×{times}" for rule, times in sorted(found.items()))
        if track.cues:
            ctx.log.info("%s: %d cues%s", track.language, len(track.cues), f"; not kept: {broken}" if broken else ", all within the limits")
        else:
            ctx.log.warning("%s: no words were recognised: the subtitles are empty", track.language)
        kept[track.language] = {"cues": len(track.cues), "not_kept": dict(sorted(found.items()))}
    if qc.hidden:
        ctx.log.warning("segments that are not shown, as asr does not vouch for them: %d", len(qc.hidden))
    ctx.note("tracks", kept)
    ctx.note("shot_changes", len(job.cuts) if qc.shots else None)


def check(options: Options, device: Device) -> str:
    """Cut and write one sentence."""
    from reelscribe.schemas import Segment
    from subtitle_gen import files
    from subtitle_gen.cues import Planner
    from subtitle_gen.limits import for_movie, load_profile
    from subtitle_gen.words import spoken

    said = "The night train to Jaipur leaves from platform four, and nobody has seen the inspector."
    limits = for_movie(load_profile(options.profile), "en", "24")
    cues = Planner(spoken([Segment(id=0, start=0, end=6, text=said, words=[])], {}, "en", limits), limits).cues()
    return f"{len(cues)} cues, {len(files.text(files.events(cues, limits.clock), 'srt'))} characters of SRT"


STAGE = Stage(
    name="subtitle-gen", revision=3, options=Options, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check, facts=facts
)

if __name__ == "__main__":
    main(STAGE)
