"""Names mended by the glossary: the user's own replacements, the right capitals, then what decision.py says is a name spelt wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from post_ner.decision import MARGIN, THRESHOLD, Decision, Heard, decide, worth_trying
from post_ner.frequency import Zipf
from post_ner.targets import Target, from_glossary
from post_ner.tokens import Token, fold, parse
from reelscribe.schemas import Correction, Corrections, Glossary, Segment, Word

_PAUSE_S = 0.5  # two words with a pause between them are not one name
_NEAR_SPELLING = 0.55  # what is less alike is not looked at
_ORDINARY_ZIPF = 3.0
_SENTENCE_ENDS = ".?!…।"


@dataclass(frozen=True)
class Change:
    """Words `first` to `last` (inclusive) of a segment become `words`."""

    first: int
    last: int
    words: tuple[str, ...]
    rule: str
    scores: dict[str, float]


class Corrector:
    """A glossary made ready for many segments of one transcript."""

    def __init__(self, glossary: Glossary, zipf: Zipf, *, cased: bool) -> None:
        self._zipf = zipf
        self._cased = cased
        self._targets = from_glossary(glossary, zipf)
        self._known: dict[str, list[str]] = defaultdict(list)  # single words by their folded letters, the heaviest first
        for target in self._targets:
            if len(target.words) == 1:
                self._known[target.key].append(target.words[0])
        self._never = [keys for text in glossary.never if (keys := _keys(text))]
        self._replacements = {keys: tuple(r.right.split()) for r in glossary.replacements if r.right.strip() and (keys := _keys(r.wrong))}

    def correct(self, segments: Sequence[Segment]) -> tuple[list[Segment], Corrections]:
        """The segments with names mended, and the ledger; `first` and `last` there count the words of the new segment."""
        tokens = [[parse(word.word) for word in segment.words] for segment in segments]
        near = self._near(key for row in tokens for _, _, key in _spans(row))
        mended: list[Segment] = []
        ledger: list[Correction] = []
        for segment, row in zip(segments, tokens, strict=True):
            changes = self._changes(segment.words, row, near)
            mended.append(self._applied(segment, row, changes))
            ledger += _entries(segment, row, changes, number=len(ledger) + 1)
        return mended, Corrections(corrections=ledger, threshold=THRESHOLD)

    def _near(self, keys: Iterator[str]) -> dict[str, list[Target]]:
        """For every heard key that might be a name spelt wrong, the targets of similar spelling."""
        import numpy as np
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import cdist

        heard = sorted({key for key in keys if key in self._known or worth_trying(key, self._zipf)})
        targets = [target.key for target in self._targets]
        near: dict[str, list[Target]] = defaultdict(list)
        if heard and targets:
            alike = cdist(heard, targets, scorer=OSA.normalized_similarity, score_cutoff=_NEAR_SPELLING, dtype=np.float32)
            for row, column in np.argwhere(alike).tolist():
                near[heard[row]].append(self._targets[column])
        return near

    def _changes(self, words: Sequence[Word], tokens: Sequence[Token], near: dict[str, list[Target]]) -> list[Change]:
        """Changes that do not overlap, in order: the user's first, then the best score."""
        taken: set[int] = set()
        chosen: list[Change] = []

        def choose(changes: Iterable[Change]) -> None:
            for change in changes:
                span = range(change.first, change.last + 1)
                if taken.isdisjoint(span):
                    taken.update(span)
                    chosen.append(change)

        choose(self._replaced(tokens))
        taken.update(self._left_alone(tokens))
        found = [*self._rewritten(tokens), *self._guessed(words, tokens, near)]
        choose(sorted(found, key=lambda c: (-c.scores["score"], c.first, c.last)))
        return sorted((c for c in chosen if not _same(tokens[c.first : c.last + 1], c.words)), key=lambda c: c.first)

    def _replaced(self, tokens: Sequence[Token]) -> Iterator[Change]:
        """`wrong => right` of the user's glossary file, the longest first."""
        for wrong in sorted(self._replacements, key=lambda w: (-len(w), w)):
            for first in _found(wrong, tokens):
                yield Change(first, first + len(wrong) - 1, self._replacements[wrong], "user", {"score": 1.0})

    def _left_alone(self, tokens: Sequence[Token]) -> set[int]:
        """Words of `!never` lines."""
        return {first + i for text in self._never for first in _found(text, tokens) for i in range(len(text))}

    def _rewritten(self, tokens: Sequence[Token]) -> Iterator[Change]:
        """Names that are spelt right but not written right (rathore, Jose, Jai-dev), unless they are ordinary words too."""
        for index, token in enumerate(tokens):
            written = self._known.get(token.key, [])
            if written and token.core not in written and not _shouted(token.core) and self._zipf(token.core.casefold()) < _ORDINARY_ZIPF:
                yield Change(index, index, (written[0],), "writing", {"score": 1.0})

    def _guessed(self, words: Sequence[Word], tokens: Sequence[Token], near: dict[str, list[Target]]) -> Iterator[Change]:
        """The best target of every word and every two words, where decision.py accepts one."""
        for first, last, key in _spans(tokens):
            if key not in near or any(tokens[i].key in self._known for i in range(first, last + 1)):
                continue
            if first != last and words[last].start - words[first].end >= _PAUSE_S:
                continue
            probabilities = [score for word in words[first : last + 1] if (score := word.score) is not None]
            heard = Heard(
                keys=tuple(token.key for token in tokens[first : last + 1]),
                probability=min(probabilities, default=None),
                case=self._case(tokens, first),
            )
            found = self._best(heard, [t for t in near[key] if _in_its_time(t, words[first])])
            if found:
                target, decision = found
                shouted = all(_shouted(token.core) for token in tokens[first : last + 1])
                new = tuple(word.upper() for word in target.words) if shouted else target.words
                yield Change(first, last, new, decision.rule, decision.scores)

    def _best(self, heard: Heard, targets: list[Target]) -> tuple[Target, Decision] | None:
        """The accepted target; None when another name comes as close."""
        decided = [(target, decide(heard, target, self._zipf)) for target in targets]
        decided.sort(key=lambda pair: (-pair[1].score, pair[0].key))
        if not decided or not decided[0][1].accepted:
            return None
        target, decision = decided[0]
        rivals = (rival.score for other, rival in decided[1:] if other.key != target.key and other.term is not target.term)
        return decided[0] if decision.score - max(rivals, default=0.0) >= MARGIN else None

    def _case(self, tokens: Sequence[Token], index: int) -> int:
        """1: written as a name; -1: as an ordinary word; 0: nobody can tell, as at the start of a sentence."""
        if not self._cased:
            return 0
        first = tokens[index].core[:1]
        if first.upper() == first.lower():
            return 0
        if not first.isupper():
            return -1
        return 0 if index == 0 or tokens[index - 1].trail[-1:] in tuple(_SENTENCE_ENDS) else 1

    def _applied(self, segment: Segment, tokens: Sequence[Token], changes: Sequence[Change]) -> Segment:
        """The segment with `changes` made; punctuation, possessives and times stay."""
        if not changes:
            return segment
        words = list(segment.words)
        for change in reversed(changes):
            span = slice(change.first, change.last + 1)
            words[span] = _timed(_dressed(change.words, tokens[span]), words[span])
        return segment.model_copy(update={"words": words, "text": " ".join(word.word for word in words)})


def is_cased(segments: Sequence[Segment]) -> bool:
    """Whether capitals mean something: some words have one, most have not."""
    firsts = [parse(word.word).core[:1] for segment in segments for word in segment.words]
    capitals = sum(first.isupper() for first in firsts)
    return 0 < capitals < 1.5 * sum(first.islower() for first in firsts)


def _spans(tokens: Sequence[Token]) -> Iterator[tuple[int, int, str]]:
    """(first, last, folded letters) of every word and of every two words that nothing stands between."""
    for index, token in enumerate(tokens):
        if token.key:
            yield index, index, token.key
        if index + 1 < len(tokens) and _touching(token, tokens[index + 1]):
            yield index, index + 1, token.key + tokens[index + 1].key


def _touching(token: Token, after: Token) -> bool:
    return bool(token.key and after.key) and not (token.trail or token.possessive or after.lead)


def _keys(text: str) -> tuple[str, ...]:
    """The folded words of `text`."""
    return tuple(key for word in text.split() if (key := fold(word)))


def _found(keys: tuple[str, ...], tokens: Sequence[Token]) -> Iterator[int]:
    """Where `keys` stand in a row with nothing between them."""
    for first in range(len(tokens) - len(keys) + 1):
        row = tokens[first : first + len(keys)]
        if all(token.key == key for token, key in zip(row, keys, strict=True)) and all(map(_touching, row, row[1:])):
            yield first


def _same(tokens: Sequence[Token], words: tuple[str, ...]) -> bool:
    return tuple(token.core for token in tokens) == words


def _shouted(core: str) -> bool:
    return len(core) > 1 and core.isupper()


def _in_its_time(target: Target, word: Word) -> bool:
    term = target.term
    return (term.start is None or word.end >= term.start) and (term.end is None or word.start <= term.end)


def _dressed(words: Sequence[str], tokens: Sequence[Token]) -> list[str]:
    """`words` with the punctuation and the possessive of the `tokens` they replace."""
    new = list(words)
    new[0] = tokens[0].lead + new[0]
    new[-1] += tokens[-1].possessive + tokens[-1].trail
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


def _entries(segment: Segment, tokens: Sequence[Token], changes: Sequence[Change], number: int) -> list[Correction]:
    """The ledger's lines, numbered from `number`; `first` and `last` count the words after all changes."""
    entries: list[Correction] = []
    shift = 0
    for change in changes:
        span = slice(change.first, change.last + 1)
        old = segment.words[span]
        first = change.first + shift
        shift += len(change.words) - len(old)
        entries.append(
            Correction(
                id=number + len(entries),
                segment=segment.id,
                first=first,
                last=first + len(change.words) - 1,
                start=old[0].start,
                end=old[-1].end,
                old=" ".join(word.word for word in old),
                new=" ".join(_dressed(change.words, tokens[span])),
                rule=change.rule,
                scores=change.scores,
            )
        )
    return entries
