"""Words in lines: how long they are, whose they are, and the best place to begin a second line."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

from subtitle_gen import breaks
from subtitle_gen.limits import Limits
from subtitle_gen.words import Spoken, measured

# What is bad about a cue's lines, in units of "one cue more".
WEIGHTS = {
    "line": 1.5,  # the price of the place where the first line ends
    "balance": 0.5,  # the difference of the lines' lengths, as a share of a line
    "top_heavy": 0.05,  # the longer line on top
    "two_speakers": 1.5,  # better a cue each, where both can be read
    "long_line": 1.0,  # each character too many in a line; only a single word is ever let over the limit
}
LABEL_ALONE = breaks.BEFORE_LINK  # price of a line break after a speaker's label


class Lines:
    """The words of a movie. labels: whether a new speaker is named. names: never parted.

    `prices`: of parting before word k. `voices`: a speaker's name for each word. `turns`: whether a word is the first of a speaker's turn;
    `turn_of`: the number of its turn. `labels`: what stands before it.
    """

    def __init__(self, words: Sequence[Spoken], limits: Limits, names: Sequence[str], *, labels: bool) -> None:
        self.words = words
        self.limits = limits
        self.prices = breaks.prices(words, names)
        self.voices = _voices(words)
        self.turns = [k == 0 or a != b for k, (a, b) in enumerate(pairwise([None, *self.voices]))]
        self.turn_of = list(accumulate(map(int, self.turns)))
        self.labels = [f"[{voice}] " if labels and turn and voice else "" for turn, voice in zip(self.turns, self.voices, strict=True)]
        self._label_lengths = [measured(label, wide=limits.wide) if label else 0.0 for label in self.labels]
        self._space = 0.5 if limits.wide else 1.0
        self._spaces = [self._space * word.space for word in words]
        self._letters = list(accumulate((w.length + s for w, s in zip(words, self._spaces, strict=True)), initial=0.0))

    def fit(self, first: int, last: int) -> bool:
        """Whether words `first` to `last` (exclusive) might go into one cue; if not, more words do not either."""
        limits = self.limits
        most = limits.max_lines * (limits.max_chars + self._space) - self._space
        return self.length(first, last) <= most and self.turn_of[last - 1] - self.turn_of[first] < limits.max_lines

    def length(self, first: int, last: int) -> float:
        """Of the words in one line."""
        return self._letters[last] - self._letters[first] - self._spaces[first] if first < last else 0.0

    def line(self, first: int, last: int) -> float:
        """The same with the label of whoever begins to speak."""
        label = self._label_lengths[first]
        return self.length(first, last) + (label if first < last else max(0.0, label - self._space))

    def total(self, first: int, last: int) -> float:
        """Of all that is to be read, hyphens left out: they are no speech."""
        found = self.length(first, last) + self._label_lengths[first]
        if self.two(first, last):
            found += sum(self._label_lengths[first + 1 : last])
        return found

    def two(self, first: int, last: int) -> bool:
        """Whether two speakers say them."""
        return self.turn_of[last - 1] > self.turn_of[first]

    def layout(self, first: int, last: int) -> tuple[float, int]:
        """(cost, k): the best way to set the words in lines; the second one begins with word k, or is empty where k is `last`.

        Where k is `first`, the first line is the speaker's label alone. The cost is infinite where the lines would be too long.
        """
        if self.two(first, last):
            return self.two_speakers(first, last)
        most, letters = self.limits.max_chars, self.line(first, last)
        if letters <= most:
            return 0.0, last
        found = [(WEIGHTS["long_line"] * (letters - most) if last - first == 1 else math.inf, last)]
        if self.limits.max_lines > 1:
            low = max(first + 1, bisect_left(self._letters, self._letters[last] - most - self._space))
            high = min(last, bisect_right(self._letters, self._letters[first] + most + self._space))
            places = [*([first] if self.labels[first] else []), *range(low, high)]
            found += [(self.line_cost(first, k, last), k) for k in places]
        return min(found)

    def line_cost(self, first: int, k: int, last: int) -> float:
        """Of two lines, the second one from word k on."""
        above, below = self.line(first, k), self.length(k, last)
        if max(above, below) > self.limits.max_chars:
            return math.inf
        price = LABEL_ALONE if k == first else self.prices[k]
        unbalanced = WEIGHTS["balance"] * abs(above - below) / self.limits.max_chars
        return WEIGHTS["line"] * price + unbalanced + WEIGHTS["top_heavy"] * (above > below)

    def two_speakers(self, first: int, last: int) -> tuple[float, int]:
        """A line each."""
        k = bisect_right(self.turn_of, self.turn_of[first], first, last)
        longest = max(self.line(first, k), self.line(k, last)) + len(self.limits.dash) * self._space
        return (WEIGHTS["two_speakers"] if longest <= self.limits.max_chars else math.inf), k

    def texts(self, first: int, k: int, last: int) -> tuple[str, ...]:
        """The lines, as `layout` found k."""
        dash = self.limits.dash if self.two(first, last) else ""
        above = dash + self.labels[first] + joined(self.words[first:k])
        if k == last:
            return (above,)
        return above.rstrip(), dash + (self.labels[k] if k > first else "") + joined(self.words[k:last])


def joined(words: Sequence[Spoken]) -> str:
    """The words as one text."""
    return "".join((" " if word.space and k else "") + word.text for k, word in enumerate(words))


def _voices(words: Sequence[Spoken]) -> list[str | None]:
    """The speaker of every word; a word of nobody known goes on with the one before, so that it parts nothing."""

    def known(before: str | None, now: str | None) -> str | None:
        return before if now is None else now

    return list(accumulate((word.speaker for word in words), known))
