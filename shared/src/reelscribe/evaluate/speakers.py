"""DER, speakers of words and names of speakers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from reelscribe.evaluate.align import Alignment, heard, said
from reelscribe.evaluate.made import Made
from reelscribe.evaluate.references import Reference
from reelscribe.evaluate.score import Score, percent
from reelscribe.schemas import Diarization, Turn

if TYPE_CHECKING:
    from pyannote.core import Annotation

_ANONYMOUS = re.compile(r"speaker\W*\d+|unknown|", re.IGNORECASE)


def scores(made: Made, reference: Reference, collar: float) -> list[Score]:
    """Everything that turns with speakers allow."""
    if not (reference.turns and made.diarization):
        return []
    found, mapping = _diarization(made.diarization, reference, collar)
    if made.transcript and any(piece.speaker for piece in reference.pieces):
        found.append(_words(made, reference, mapping))
    if made.speakers:
        found.append(_names(made, reference))
    return found


def annotation(turns: Iterable[Turn]) -> Annotation:
    """As pyannote has it; two turns of one voice at once stay two."""
    from pyannote.core import Annotation, Segment

    found = Annotation()
    for track, turn in enumerate(turns):
        if turn.end > turn.start:
            found[Segment(turn.start, turn.end), track] = turn.speaker
    return found


def _diarization(made: Diarization, reference: Reference, collar: float) -> tuple[list[Score], dict[str, str]]:
    """DER without and with the collar, over the whole movie, overlap scored; and who the voices are if it goes by time alone."""
    from pyannote.core import Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    true, mine = annotation(reference.turns), annotation(made.turns)
    whole = Timeline([Segment(0, max(made.duration, *(turn.end for turn in reference.turns)))])
    found = []
    for key, width in {"der": 0.0, "der_collar": collar}.items():
        parts = DiarizationErrorRate(collar=width, skip_overlap=False)(true, mine, uem=whole, detailed=True)
        seconds = {name: parts[name] for name in ("false alarm", "missed detection", "confusion")}
        told = ", ".join(f"{name} {s:.1f}" for name, s in seconds.items())
        of = f"{parts['total']:.1f} s of speech ({told}), {len(mine.labels())} voices of {len(true.labels())}, overlap scored"
        label = f"DER, collar {width:g} s"
        detail = {name.replace(" ", "_"): round(s, 3) for name, s in seconds.items()}
        found.append(percent(key, label, sum(seconds.values()), parts["total"], of, collar=width, overlap="scored", **detail))
    mapping: dict[str, str] = DiarizationErrorRate().optimal_mapping(true, mine, uem=whole)
    return found, mapping


def _words(made: Made, reference: Reference, mapping: dict[str, str]) -> Score:
    """Of the words heard right, those whose voice is their speaker's."""
    assert made.transcript
    true, row = said(reference.pieces), heard(made.transcript.segments)
    pairs = [(a.speaker, b.speaker) for a, b in Alignment.of(true, row).equal(true, row) if a.speaker]
    right = sum(mapping.get(voice or "") == speaker for speaker, voice in pairs)
    nobody = sum(voice in (None, "unknown") for _, voice in pairs)
    of = f"{len(pairs)} words heard right, {nobody} of them without a speaker"
    return percent("word_speakers", "words with their speaker", right, len(pairs), of, unknown=nobody)


def _names(made: Made, reference: Reference) -> Score:
    """Of the time that one person speaks alone, that in which the voice has that person's name."""
    from pyannote.core import Timeline

    assert made.speakers and made.diarization
    shown = {speaker.label: speaker.name for speaker in made.speakers.speakers}
    true, mine = annotation(reference.turns), annotation(made.diarization.exclusive)
    overlap: Timeline = true.get_overlap()
    seconds: Counter[str] = Counter()
    for person in true.labels():
        alone = true.label_timeline(person).support().extrude(overlap)
        seconds["all"] += alone.duration()
        for label, duration in mine.crop(alone).chart():
            name = shown.get(label, "")
            kind = "anonymous" if _ANONYMOUS.fullmatch(name) else "right" if same_person(name, person) else "wrong"
            seconds[kind] += duration
    of = f"{seconds['all']:.1f} s of one voice: {seconds['wrong']:.1f} s under another name, {seconds['anonymous']:.1f} s without one"
    detail = {"wrong_s": round(seconds["wrong"], 3), "anonymous_s": round(seconds["anonymous"], 3)}
    return percent("speaker_names", "speakers with their name", seconds["right"], seconds["all"], of, **detail)


def same_person(shown: str, true: str) -> bool:
    """Karl is Inspector Karl: one name has all the words of the other."""
    one, other = (set(re.findall(r"\w+", name.casefold())) for name in (shown, true))
    return bool(one and other) and (one <= other or other <= one)
