"""Every file of a movie's subtitles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from reelscribe.artifacts import atomic_write, write_json
from reelscribe.schemas import Track
from subtitle_gen import bilingual, exports, files
from subtitle_gen.files import Event
from subtitle_gen.job import Job, Made


def written(ctx: Any, job: Job, tracks: Sequence[Made]) -> list[Track]:
    """All files that were asked for; what mux has to know of those with cues."""
    wanted = job.options.formats.split(",")
    listed = []
    for made in tracks:
        default = made is tracks[-1]
        listed += _with_cues(ctx, job, wanted, [made.language], shown(made), default=default)
        _transcripts(ctx, job, wanted, made)
    if job.options.bilingual and len(tracks) == 2:
        listed += _with_cues(ctx, job, wanted, [made.language for made in tracks], list(_both(*tracks)), default=False)
    elif job.options.bilingual:
        ctx.log.warning("no bilingual file: there are subtitles in one language alone (--translate adds English)")
    if "rttm" in wanted:
        planner = tracks[0].planner
        _write(ctx, f"{tracks[0].language}.rttm", exports.rttm(planner, planner.limits.clock, ctx.name))
    return listed


def shown(made: Made) -> list[Event]:
    """The cues of one language as files have them."""
    return files.events(made.cues, made.planner.limits.clock, rtl=files.is_right_to_left(made.language))


def _both(said: Made, english: Made) -> Iterator[Event]:
    words = bilingual.covered(english.planner, english.cues, english.segments, said.planner)
    yield from bilingual.merged(shown(english), words, said.planner, rtl=files.is_right_to_left(said.language))


def _with_cues(
    ctx: Any, job: Job, wanted: Sequence[str], languages: Sequence[str], events: Sequence[Event], *, default: bool
) -> list[Track]:
    """The subtitle files of one language, or of two together."""
    import langcodes

    sdh = job.options.sdh
    names = " + ".join(langcodes.get(language).display_name() for language in languages) + (" SDH" if sdh else "")
    title = f"{names} (reelscribe{', draft' if job.transcript.draft else ''})"
    found = []
    for form in (form for form in files.FORMATS if form in wanted):
        path = _write(ctx, f"{'-'.join(languages)}{'.sdh' if sdh else ''}.{form}", files.text(events, form))
        about = {"file": path.name, "format": form, "language": languages[-1], "title": title, "default": default}
        found.append(Track.model_validate({**about, "hearing_impaired": sdh, "num_cues": len(events)}))
    return found


def _transcripts(ctx: Any, job: Job, wanted: Sequence[str], made: Made) -> None:
    if "txt" in wanted:
        _write(ctx, f"{made.language}.txt", exports.plain_text(made.planner))
    if "json" in wanted:
        hidden = {segment.id for segment in job.hidden(made.segments)}
        segments = [segment for segment in made.segments if segment.id not in hidden]
        path = _path(ctx, f"{made.language}.json")
        write_json(path, exports.whisperx(job.transcript, segments, made.language, job.names))
        ctx.add_output(path)


def _path(ctx: Any, ending: str) -> Path:
    return Path(ctx.outputs.tracks).parent / f"{ctx.name}.{ending}"


def _write(ctx: Any, ending: str, content: str) -> Path:
    path = _path(ctx, ending)
    with atomic_write(path) as f:
        f.write(content)
    ctx.add_output(path)
    return path
