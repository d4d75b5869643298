"""Are cues and words there when they are said, and is all that is said there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from reelscribe.evaluate.align import Alignment, Token, heard, said, tokens
from reelscribe.evaluate.made import Cue, Made
from reelscribe.evaluate.references import Reference
from reelscribe.evaluate.score import Score, percent
from reelscribe.schemas import Span

if TYPE_CHECKING:
    from pyannote.core import Timeline


def scores(made: Made, reference: Reference) -> list[Score]:
    """Whatever the reference's times allow."""
    true = said(reference.pieces)
    timed = [Span(start=p.start, end=p.end) for p in reference.pieces if p.start is not None and p.end is not None and p.end > p.start]
    speech = [Span(start=turn.start, end=turn.end) for turn in reference.turns] or timed
    found: list[Score] = []
    if timed and made.cues:
        found.append(_overlap(timed, made.cues))
    if made.cues:
        cues = [(cue.start, tokens(cue.text.split())) for cue in made.cues]
        starts = [token for start, row in cues for token in _first_timed(start, row)]
        found += _starts("cue_start_error", "cue start error", true, starts, "cues that begin with a word whose start is known")
    if made.transcript:
        found += _starts("word_start_error", "word start error", true, heard(made.transcript.segments), "words heard right, of known start")
    if speech:
        segments = made.transcript.segments if made.transcript else []
        for key, what, spans in (
            ("detected", "detected", made.speech),
            ("transcribed", "transcribed", segments),
            ("shown", "shown", made.cues),
        ):
            found += _coverage(f"speech_{key}", f"speech {what}", speech, spans)
    return found


def _first_timed(start: float, row: Sequence[Token]) -> Iterable[Token]:
    """The words of a cue, of which only the first has a start: the cue's."""
    for index, token in enumerate(row):
        yield Token(token.core, token.key, start if index == 0 else None)


def _overlap(timed: Sequence[Span], cues: Sequence[Cue]) -> Score:
    """The mean over the reference's pieces of the best intersection over union with a cue."""
    import numpy as np

    starts, ends = (np.array([getattr(cue, edge) for cue in cues]) for edge in ("start", "end"))
    best = []
    for span in timed:
        shared = np.clip(np.minimum(ends, span.end) - np.maximum(starts, span.start), 0, None)
        best.append(float((shared / (ends - starts + span.end - span.start - shared)).max()))
    return percent("cue_iou", "cue IoU", sum(best), len(best), f"{len(best)} pieces of the reference, each with its best cue")


def _starts(key: str, label: str, true: Sequence[Token], row: Sequence[Token], of: str) -> list[Score]:
    """Median and 95th percentile of the absolute error, and the median with its sign (above 0: too late)."""
    import numpy as np

    pairs = Alignment.of(true, row).equal(true, row)
    errors = [1000 * (b.start - a.start) for a, b in pairs if a.start is not None and b.start is not None]
    if not errors:
        return []
    median, high = (float(np.percentile(np.abs(errors), q)) for q in (50, 95))
    signed = float(np.median(errors))
    told = f"{len(errors)} {of}: 95 % within {high:.0f} ms, middle {signed:+.0f} ms"
    detail = {"count": len(errors), "p95_ms": round(high, 1), "signed_median_ms": round(signed, 1)}
    return [Score(key, label, round(median, 1), "ms", told, detail)]


def _coverage(key: str, label: str, speech: Sequence[Span], spans: Sequence[Span]) -> list[Score]:
    """How much of the speech lies in `spans`, and how much of them lies elsewhere."""
    if not spans:
        return []
    true, mine = _timeline(speech), _timeline(spans)
    inside = true.crop(mine).duration()
    beyond = mine.duration() - inside
    of = f"{true.duration():.1f} s of speech; {beyond:.1f} s more beside it"
    return [percent(key, label, inside, true.duration(), of, beyond_s=round(beyond, 3))]


def _timeline(spans: Sequence[Span]) -> Timeline:
    """Without overlap."""
    from pyannote.core import Segment, Timeline

    return Timeline([Segment(span.start, span.end) for span in spans if span.end > span.start]).support()
