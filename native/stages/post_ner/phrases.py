"""Texts of one or more words, looked for in what was heard: what the user's lines say about words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from post_ner.candidates import Keys
from post_ner.tokens import Token, fold


def keys_of(text: str) -> Keys:
    """The folded words of `text`."""
    return tuple(key for word in text.split() if (key := fold(word)))


class Phrases:
    """Thousands of them cost no more than a few: a stretch of words is looked up, not compared with each."""

    def __init__(self, phrases: Iterable[Keys]) -> None:
        self._by_length: dict[int, set[Keys]] = defaultdict(set)
        for keys in phrases:
            if keys:
                self._by_length[len(keys)].add(keys)

    def found(self, tokens: Sequence[Token]) -> Iterator[tuple[int, Keys]]:
        """(number of the first word, the phrase) where one stands with nothing between its words, the longest first.

        The last word may have an ending ('s, -ji): Jay is found in "Jay's", and so is Jay's, which is looked for first.
        """
        for length in sorted(self._by_length, reverse=True):
            for first in range(len(tokens) - length + 1):
                row = tokens[first : first + length]
                if any(token.trail or after.lead for token, after in pairwise(row)):
                    continue
                before = tuple(token.full_key for token in row[:-1])
                for last in dict.fromkeys((row[-1].full_key, row[-1].key)):
                    if (*before, last) in self._by_length[length]:
                        yield first, (*before, last)
                        break
