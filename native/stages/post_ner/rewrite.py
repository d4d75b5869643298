"""Words put in the place of others: punctuation, possessives and times stay; and how a change is written into the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from post_ner.tokens import Token
from reelscribe.schemas import Correction, Segment, Word


@dataclass(frozen=True)
class Change:
    """Words `first` to `last` (inclusive) of a segment become `words`."""

    first: int
    last: int
    words: tuple[str, ...]
    rule: str
    scores: dict[str, float]

    @property
    def span(self) -> range:
        """The words' numbers."""
        return range(self.first, self.last + 1)


def applied(segment: Segment, tokens: Sequence[Token], changes: Sequence[Change]) -> Segment:
    """The segment with `changes` made."""
    if not changes:
        return segment
    words = list(segment.words)
    for change in reversed(changes):
        span = slice(change.first, change.last + 1)
        words[span] = _timed(_dressed(change.words, tokens[span]), words[span])
    return segment.model_copy(update={"words": words, "text": " ".join(word.word for word in words)})


def entries(segment: Segment, tokens: Sequence[Token], changes: Sequence[Change], undone: Sequence[Change]) -> tuple[list[Correction], ...]:
    """The ledger's lines of the changes that were made, and of those that were not; `first` and `last` count the words after the former."""
    shift = 0
    lines: tuple[list[Correction], list[Correction]] = ([], [])
    for change in sorted([*changes, *undone], key=lambda c: c.first):
        made = change in changes
        first = change.first + shift
        length = len(change.words) if made else len(change.span)
        shift += length - len(change.span)
        lines[not made].append(_entry(segment, tokens, change, first, first + length - 1))
    return lines


def _entry(segment: Segment, tokens: Sequence[Token], change: Change, first: int, last: int) -> Correction:
    span = slice(change.first, change.last + 1)
    old = segment.words[span]
    before = " ".join(word.word for word in old)
    after = " ".join(_dressed(change.words, tokens[span]))
    return Correction(
        id=identity(change, segment.words),
        segment=segment.id,
        first=first,
        last=last,
        start=old[0].start,
        end=old[-1].end,
        old=before,
        new=after,
        heard=" ".join(token.core for token in tokens[span]),
        written=" ".join(change.words),
        rule=change.rule,
        scores=change.scores,
    )


def identity(change: Change, words: Sequence[Word]) -> str:
    """What a change in its place is called, in every run that hears the same; words: the segment's, before it."""
    old = words[change.first : change.last + 1]
    said = f"{old[0].start:.2f} {' '.join(word.word for word in old)} => {' '.join(change.words)}"
    return hashlib.sha256(said.encode()).hexdigest()[:8]


def _dressed(words: Sequence[str], tokens: Sequence[Token]) -> list[str]:
    """`words` with the punctuation and the ending (-ji, 's) of the `tokens` they replace; an ending that they have is not doubled."""
    new = list(words)
    new[0] = tokens[0].lead + new[0]
    last = tokens[-1]
    has_it = last.ending and new[-1].casefold().replace("’", "'").endswith(last.ending.casefold().replace("’", "'"))
    new[-1] += ("" if has_it else last.ending) + last.trail
    return new


def _timed(new: Sequence[str], old: Sequence[Word]) -> list[Word]:
    """`new` in the place of `old`: each its own time where the numbers agree, else shares of the whole by length."""
    if len(new) == len(old):
        return [word.model_copy(update={"word": text}) for text, word in zip(new, old, strict=True)]
    start, end = old[0].start, old[-1].end
    score = min((word.score for word in old if word.score is not None), default=None)
    letters = [0]
    for text in new:
        letters.append(letters[-1] + len(text))
    edges = [start + (end - start) * n / letters[-1] for n in letters]
    # What the engine said of one of the old words is true of none of these.
    shared = {"score": score, "engine_start": None, "engine_end": None}
    return [old[0].model_copy(update={"word": text, "start": edges[i], "end": edges[i + 1], **shared}) for i, text in enumerate(new)]
