"""Who says which word: exclusive turns, the majority of a word's time, then the phrase around it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

from reelscribe.schemas import Segment, Span, Turn, Word

UNKNOWN = "unknown"  # no turn is near: better no speaker than a wrong one
NEAR_S = 1.0  # a word this close to a turn is its speaker's: detectors clip the ends of words
PAUSE_S = 0.5  # a phrase ends here
LEAK_S = 0.6  # what a turn's blurred edge can take of a neighbour's phrase
FLICKER_S = 0.3  # a turn shorter than that, inside another's phrase, is noise
MAJORITY = 2 / 3  # of a phrase's words, by time
_SENTENCE_END = re.compile(r"[.?!…。？！।]\W*$")


class Turns:
    """Exclusive turns, in order, asked by time."""

    def __init__(self, exclusive: Sequence[Turn]) -> None:
        self._turns = sorted(exclusive, key=lambda t: (t.start, t.end, t.speaker))
        self._ends = [t.end for t in self._turns]

    def overlapping(self, span: Span | Word) -> list[Turn]:
        """The turns that share time with `span`."""
        found = []
        for index in range(bisect_left(self._ends, span.start), len(self._turns)):
            turn = self._turns[index]
            if turn.start > span.end:
                break
            if _shared_s(turn, span) > 0:
                found.append(turn)
        return found

    def speaker(self, span: Span | Word) -> str:
        """The speaker of most of `span`; else of the nearest turn within NEAR_S; else UNKNOWN."""
        share: dict[str, float] = defaultdict(float)
        for turn in self.overlapping(span):
            share[turn.speaker] += _shared_s(turn, span)
        if share:
            return max(share, key=lambda label: share[label])
        after = bisect_left(self._ends, span.start)
        nearest = min(self._turns[max(0, after - 1) : after + 1], key=lambda t: _distance_s(t, span), default=None)
        return nearest.speaker if nearest and _distance_s(nearest, span) <= NEAR_S else UNKNOWN


def _shared_s(turn: Turn, span: Span | Word) -> float:
    return min(turn.end, span.end) - max(turn.start, span.start)


def _distance_s(turn: Turn, span: Span | Word) -> float:
    return max(turn.start - span.end, span.start - turn.end, 0.0)


def speakers_of(words: Sequence[Word], turns: Turns) -> list[str]:
    """One label per word of a segment: word by word, then smoothed phrase by phrase."""
    labels: list[str] = []
    for phrase in phrases(words):
        labels += _smoothed(phrase, [turns.speaker(word) for word in phrase], turns)
    return labels


def phrases(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Stretches without a pause or the end of a sentence inside."""
    phrase: list[Word] = []
    for word in words:
        if phrase and (word.start - phrase[-1].end >= PAUSE_S or _SENTENCE_END.search(phrase[-1].word)):
            yield phrase
            phrase = []
        phrase.append(word)
    if phrase:
        yield phrase


def _smoothed(phrase: list[Word], labels: list[str], turns: Turns) -> list[str]:
    """Give a word or two at a turn's blurred edge to the speaker of the phrase; a whole turn inside the phrase stays."""
    seconds: dict[str, float] = defaultdict(float)
    for word, label in zip(phrase, labels, strict=True):
        seconds[label] += max(word.end - word.start, 0.01)
    main = max(seconds, key=lambda label: seconds[label])
    if len(seconds) == 1 or main == UNKNOWN or seconds[main] < MAJORITY * sum(seconds.values()):
        return labels
    whole = Span(start=phrase[0].start, end=phrase[-1].end)
    smoothed: list[str] = []
    for label, run in groupby(zip(phrase, labels, strict=True), key=lambda pair: pair[1]):
        words = [word for word, _ in run]
        stretch = Span(start=words[0].start, end=words[-1].end)
        given = label != main and stretch.end - stretch.start <= LEAK_S and _leaks(label, stretch, whole, turns)
        smoothed += [main if given else label] * len(words)
    return smoothed


def _leaks(label: str, stretch: Span, phrase: Span, turns: Turns) -> bool:
    """Whether the speaker's turns at `stretch` belong elsewhere: mostly outside of the phrase, or too short to be talk."""
    own = [turn for turn in turns.overlapping(stretch) if turn.speaker == label]
    total = sum(turn.end - turn.start for turn in own)
    inside = sum(_shared_s(turn, phrase) for turn in own)
    return total <= FLICKER_S or total - inside >= inside


def with_speakers(segment: Segment, turns: Turns, joiner: str) -> list[Segment]:
    """The segment with its speaker on every word, in pieces where the speaker changes."""
    if not segment.words:
        return [segment.model_copy(update={"speaker": turns.speaker(segment)})]
    labels = speakers_of(segment.words, turns)
    pieces = []
    for label, run in groupby(zip(segment.words, labels, strict=True), key=lambda pair: pair[1]):
        words = [word.model_copy(update={"speaker": label}) for word, _ in run]
        pieces.append(segment.model_copy(update={"speaker": label, "words": words}))
    if len(pieces) == 1:
        return pieces
    for index, piece in enumerate(pieces):
        piece.text = joiner.join(word.word for word in piece.words)
        piece.start = segment.start if index == 0 else piece.words[0].start
        piece.end = segment.end if index == len(pieces) - 1 else piece.words[-1].end
    return pieces
