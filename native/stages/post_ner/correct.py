"""Names mended by the glossary: what the user decided, the right capitals, then what decision.py says is a name spelt wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from post_ner.candidates import Keys, Stretch, near, stretches
from post_ner.context import Film
from post_ner.decision import MARGIN, THRESHOLD, Decision, Heard, decide
from post_ner.frequency import Usage
from post_ner.phrases import Phrases, keys_of
from post_ner.rewrite import Change, applied, entries, identity
from post_ner.targets import Target, from_glossary
from post_ner.tokens import Token, parse
from reelscribe.reviewed import Decisions
from reelscribe.schemas import Correction, Corrections, Glossary, Segment, Word

_PAUSE_S = 0.5  # two words with a pause between them are not one name
_ORDINARY_ZIPF = 3.0


class Corrector:
    """A glossary made ready for the segments of one transcript. cased: whether capitals mean something in it."""

    def __init__(self, glossary: Glossary, usage: Usage, *, cased: bool, language: str = "en", decisions: Decisions | None = None) -> None:
        self._usage = usage
        self._cased = cased
        self._language = language
        self._targets = from_glossary(glossary, usage)
        self._known: dict[str, list[Target]] = defaultdict(list)  # single words by their folded letters, the heaviest first
        for target in self._targets:
            if len(target.words) == 1:
                self._known[target.key].append(target)
        self._never = Phrases(map(keys_of, glossary.never))
        self._user = Replacements((r.wrong, r.right) for r in glossary.replacements)
        decisions = decisions or Decisions()
        self._accepted = Replacements(decisions.accepted)
        self._rejected = {keys_of(text) for text in decisions.rejected}
        self._undone = {c.id for c in decisions.places.undone}
        self._places = decisions.places.accepted

    def correct(self, segments: Sequence[Segment], names: Mapping[str, frozenset[str]] | None = None) -> tuple[list[Segment], Corrections]:
        """The segments with names mended, and the ledger; `first` and `last` there count the words of the new segment.

        names: by voice, the folded words of the character's name, where that is known.
        """
        tokens = [[parse(word.word) for word in segment.words] for segment in segments]
        film = Film(segments, tokens, cased=self._cased, language=self._language, names=names or {})
        rows = [list(stretches(row)) for row in tokens]
        candidates = near((stretch.keys for row in rows for stretch in row), self._targets, self._usage)
        mended: list[Segment] = []
        ledger: list[Correction] = []
        undone: list[Correction] = []
        for number, (segment, row) in enumerate(zip(segments, tokens, strict=True)):
            guesses = list(self._guessed(film, number, segment.words, row, rows[number], candidates))
            changes, refused = self._decided(segment.words, row, [*self._rewritten(row), *guesses])
            mended.append(applied(segment, row, changes))
            made, left = entries(segment, row, changes, refused)
            ledger += made
            undone += left
        return mended, Corrections(corrections=ledger, undone=undone, threshold=THRESHOLD)

    def _decided(self, words: Sequence[Word], tokens: Sequence[Token], found: list[Change]) -> tuple[list[Change], list[Change]]:
        """Changes that do not overlap, in order, and those that the user does not want: the user's come first, then the best score."""
        taken: set[int] = set()
        chosen: list[Change] = []

        def choose(changes: Iterable[Change]) -> None:
            for change in changes:
                if taken.isdisjoint(change.span):
                    taken.update(change.span)
                    chosen.append(change)

        choose(self._in_place(words))
        choose(self._user.changes(tokens, "user"))
        taken.update(self._left_alone(tokens))
        choose(self._accepted.changes(tokens, "accepted"))
        choose(sorted(found, key=lambda c: (-c.scores["score"], c.first, c.last)))
        real = [c for c in chosen if tuple(token.core for token in tokens[c.first : c.last + 1]) != c.words]
        refused = [c for c in real if self._is_refused(c, words, tokens)]
        return sorted((c for c in real if c not in refused), key=lambda c: c.first), refused

    def _in_place(self, words: Sequence[Word]) -> Iterator[Change]:
        """What the user accepted for one place alone."""
        if not self._places or not words:
            return
        for place in self._places:
            for first in range(len(words)):
                last = first + len(place.old.split()) - 1
                heard = " ".join(word.word for word in words[first : last + 1])
                if heard == place.old and round(words[first].start, 2) == round(place.start, 2):
                    yield Change(first, last, tuple(place.written.split()), "accepted", {**place.scores, "score": 1.0})

    def _is_refused(self, change: Change, words: Sequence[Word], tokens: Sequence[Token]) -> bool:
        """Whether the user does not want it: here, or anywhere."""
        heard = tuple(token.key for token in tokens[change.first : change.last + 1])
        return identity(change, words) in self._undone or (heard in self._rejected and change.rule not in ("user", "accepted"))

    def _left_alone(self, tokens: Sequence[Token]) -> set[int]:
        """Words of `!never` lines."""
        return {first + i for first, keys in self._never.found(tokens) for i in range(len(keys))}

    def _rewritten(self, tokens: Sequence[Token]) -> Iterator[Change]:
        """Names that are spelt right but not written right (rathore, Jose, Jai-dev), unless they are ordinary words too."""
        for index, token in enumerate(tokens):
            written = self._known.get(token.key)
            if not written or token.several or token.core in (t.words[0] for t in written) or _shouted(token.core):
                continue
            if self._usage.zipf(token.core.casefold()) < _ORDINARY_ZIPF:
                yield Change(index, index, written[0].words, "writing", {"score": 1.0})

    def _guessed(
        self,
        film: Film,
        number: int,
        words: Sequence[Word],
        tokens: Sequence[Token],
        row: Sequence[Stretch],
        candidates: Mapping[Keys, list[Target]],
    ) -> Iterator[Change]:
        """The best target of every stretch, where decision.py accepts one."""
        for first, last, keys in row:
            if keys not in candidates or any(key in self._known for key in keys):
                continue
            if any(
                after.start - before.end >= _PAUSE_S for before, after in zip(words[first:last], words[first + 1 : last + 1], strict=True)
            ):
                continue
            probabilities = [score for word in words[first : last + 1] if (score := word.score) is not None]
            heard = Heard(keys, min(probabilities, default=None), film.case(number, first), film.ordinary(number, first, last))
            targets = [target for target in candidates[keys] if _in_its_time(target, words[first])]
            found = self._best(heard, targets, film, number, first, last)
            if found:
                target, decision = found
                shouted = all(_shouted(token.core) for token in tokens[first : last + 1])
                new = tuple(word.upper() for word in target.words) if shouted else target.words
                yield Change(first, last, new, decision.rule, decision.scores)

    def _best(
        self, heard: Heard, targets: Sequence[Target], film: Film, number: int, first: int, last: int
    ) -> tuple[Target, Decision] | None:
        """The accepted target; None when another name comes as close."""
        decided = [(t, decide(heard, t, self._usage, film.support(number, first, last, t))) for t in targets]
        decided.sort(key=lambda pair: (-pair[1].score, pair[0].key))
        if not decided or not decided[0][1].accepted:
            return None
        target, decision = decided[0]
        rivals = (rival.score for other, rival in decided[1:] if other.key != target.key and other.term is not target.term)
        return decided[0] if decision.score - max(rivals, default=0.0) >= MARGIN else None


def is_cased(segments: Sequence[Segment]) -> bool:
    """Whether capitals mean something: some words have one, most have not."""
    firsts = [parse(word.word).core[:1] for segment in segments for word in segment.words]
    capitals = sum(first.isupper() for first in firsts)
    return 0 < capitals < 1.5 * sum(first.islower() for first in firsts)


class Replacements:
    """`wrong => right`."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._right = {keys: tuple(right.split()) for wrong, right in pairs if right.strip() and (keys := keys_of(wrong))}
        self._wrong = Phrases(self._right)

    def changes(self, tokens: Sequence[Token], rule: str) -> Iterator[Change]:
        """All there are, the longest first."""
        for first, keys in self._wrong.found(tokens):
            yield Change(first, first + len(keys) - 1, self._right[keys], rule, {"score": 1.0})


def _shouted(core: str) -> bool:
    return len(core) > 1 and core.isupper()


def _in_its_time(target: Target, word: Word) -> bool:
    term = target.term
    return (term.start is None or word.end >= term.start) and (term.end is None or word.start <= term.end)
