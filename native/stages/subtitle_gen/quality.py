"""Quality control: every cue as it is shown, which limits it breaks, and which cues of another language it says."""

from __future__ import annotations

from collections.abc import Sequence

from reelscribe.schemas import Hidden, Qc, QcCue, QcTrack
from subtitle_gen import bilingual
from subtitle_gen.job import Job, Made
from subtitle_gen.limits import Limits
from subtitle_gen.rules import violations


def checked(job: Job, tracks: Sequence[Made]) -> Qc:
    """All tracks; the first one is in the language that is spoken."""
    hidden = [
        Hidden(start=s.start, end=s.end, language=made.language, text=s.text, marks=s.marks)
        for made in tracks
        for s in job.hidden(made.segments)
    ]
    return Qc(
        profile=job.options.profile,
        fps=job.media.fps,
        shots=job.shots is not None,
        tracks=[_track(made, tracks[0]) for made in tracks],
        hidden=hidden,
    )


def _track(made: Made, said: Made) -> QcTrack:
    linked = _linked(made, said) if made.translation else [[] for _ in made.cues]
    clock, words = made.planner.limits.clock, made.planner.words
    cues = []
    for number, (cue, source) in enumerate(zip(made.cues, linked, strict=True), 1):
        own = words[cue.first : cue.last]
        cues.append(
            QcCue(
                id=number,
                start=clock.ms(cue.start) / 1000,
                end=clock.ms(cue.end) / 1000,
                lines=list(cue.lines),
                speakers=list(cue.speakers),
                words=(own[0].number, own[-1].number),
                cps=cue.letters * float(clock.rate) / (cue.end - cue.start),
                marks=list(dict.fromkeys(mark for word in own for mark in word.marks)),
                source=source,
            )
        )
    found = violations(made.cues, made.planner.timing)
    return QcTrack(language=made.language, limits=_in_words(made.planner.limits), cues=cues, violations=found)


def _linked(made: Made, said: Made) -> list[list[int]]:
    """For each cue of a translation the numbers of the cues with the words it covers."""
    cue_of = {k: number for number, cue in enumerate(said.cues, 1) for k in range(cue.first, cue.last)}
    words = bilingual.covered(made.planner, made.cues, made.segments, said.planner)
    return [sorted({cue_of[k] for k in own}) for own in words]


def _in_words(limits: Limits) -> dict[str, float]:
    """The limits in the units of the rules' names."""
    rate = float(limits.clock.rate)
    return {
        "lines": limits.max_lines,
        "characters in a line": limits.max_chars,
        "characters a second": limits.cps,
        "shortest duration (s)": limits.min_shown / rate,
        "longest duration (s)": limits.max_shown / rate,
        "tail (s)": limits.tail / rate,
        "gap (s)": limits.gap / rate,
        "gap not closed (s)": limits.chain / rate,
    }
