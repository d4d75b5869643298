"""What speaks for or against a name beside its letters: how it is written, the words around it, the rest of the movie, who talks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from post_ner.addressing import ANSWER_S, introduction
from post_ner.targets import Target
from post_ner.tokens import Token, fold
from reelscribe.schemas import Segment

NEAR_S = 15.0  # a subtitle track says the name so close to here: it is said here
_HALF_SURE = 2  # mentions that make half of full agreement
_SENTENCE_ENDS = tuple(".?!…।:\"“”«»„'‘")
# Words that ordinary words follow, and names do not.
_DETERMINERS = {
    "en": "a an the my your his her its our their this that these those no some any every each another",
    "de": "ein eine einen einem einer eines kein keine keinen mein meine meinen dein deine deinen sein seine seinen ihre ihren unser",
    "fr": "le la les un une des mon ma mes ton ta tes son sa ses notre nos votre vos leur leurs ce cette ces aucun aucune",
    "es": "el la los las un una unos unas mi mis tu tus su sus este esta ese esa",
}


class Film:
    """The words of a movie, asked about a stretch of one of its segments.

    cased: whether capitals mean something. names: by voice, the folded words of the character that it is taken to be.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        tokens: Sequence[Sequence[Token]],
        *,
        cased: bool,
        language: str,
        names: Mapping[str, frozenset[str]],
    ) -> None:
        self._segments = segments
        self._tokens = tokens
        self._cased = cased
        self._names = names
        self._language = language
        self._determiners = frozenset(_DETERMINERS.get(language, "").split())
        self._said = Counter(token.core for row in tokens for token in row if token.core)

    def case(self, number: int, first: int) -> int:
        """1: written as a name; -1: as an ordinary word; 0: nobody can tell, as at the start of a sentence."""
        tokens = self._tokens[number]
        letter = tokens[first].core[:1]
        if not self._cased or letter.upper() == letter.lower():
            return 0
        if not letter.isupper():
            return -1
        opens = first == 0 or tokens[first - 1].trail.endswith(_SENTENCE_ENDS) or tokens[first].lead.endswith(_SENTENCE_ENDS)
        return 0 if opens else 1

    def ordinary(self, number: int, first: int, last: int) -> bool:
        """Whether a determiner is before it, with one word between at most, or right behind it: "a blue jay", "mark the map"."""
        tokens = self._tokens[number]
        for index in range(first - 1, max(first - 3, -1), -1):
            if tokens[index].trail:
                break
            if tokens[index].key in self._determiners:
                return True
        behind = tokens[last + 1] if last + 1 < len(tokens) else None
        return bool(behind and not tokens[last].trail and behind.key in self._determiners and self.case(number, first) < 1)

    def support(self, number: int, first: int, last: int, target: Target) -> dict[str, float]:
        """The features company, mentions and speaker of decision.py."""
        return {
            "company": float(self._company(number, first, last, target)),
            "mentions": self._mentions(target, self._segments[number].words[first].start),
            "speaker": self._speaker(number, first, last, target),
        }

    def _company(self, number: int, first: int, last: int, target: Target) -> bool:
        tokens = self._tokens[number]
        beside = [tokens[index].key for index in (first - 1, last + 1) if 0 <= index < len(tokens)]
        return not target.company.isdisjoint(beside)

    def _mentions(self, target: Target, at: float) -> float:
        if any(span.start - NEAR_S <= at <= span.end + NEAR_S for span in target.term.mentions):
            return 1.0
        times = min(self._said[word] for word in target.words)
        return times / (times + _HALF_SURE)

    def _speaker(self, number: int, first: int, last: int, target: Target) -> float:
        """1: whom the name means talks just before or after, or says "I am"; -1: talks now."""
        segment = self._segments[number]
        if self._means(target, segment.speaker):
            return 1.0 if introduction(self._tokens[number], first, last, self._language) else -1.0
        for index, gap in ((number - 1, "before"), (number + 1, "after")):
            if 0 <= index < len(self._segments):
                other = self._segments[index]
                silence = segment.start - other.end if gap == "before" else other.start - segment.end
                if silence <= ANSWER_S and self._means(target, other.speaker):
                    return 1.0
        return 0.0

    def _means(self, target: Target, speaker: str | None) -> bool:
        called = self._names.get(speaker or "", frozenset())
        return not called.isdisjoint(fold(word) for word in target.words)
