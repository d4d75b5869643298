"""Words into cues: one cost function, and the cheapest way to part the words after it.

A cue's times follow from its own words and the start of the next one, so its cost does too, and dynamic programming over the
places between words finds the true minimum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from subtitle_gen import breaks
from subtitle_gen.limits import Limits
from subtitle_gen.words import Spoken, graphemes

# What is bad about a cue, in units of "one cue more".
WEIGHTS = {
    "cue": 1.0,  # of every cue: fewer are calmer
    "break": 2.5,  # its end, times the price of the place: sentences and clauses stay whole
    "line": 1.5,  # its line break, likewise
    "balance": 0.5,  # the difference of its lines' lengths, as a share of a line
    "top_heavy": 0.05,  # the longer line on top
    "two_speakers": 1.0,  # better a cue each, where both can be read
    "pause": 2.0,  # each second of silence inside, beyond PAUSE_MS: words shown long before they are said
    "short": 12.0,  # what it lacks of the shortest duration, as a share
    "fast": 5.0,  # reading speed beyond the limit, as a share
    "gap": 4.0,  # what is missing of the gap behind it, as a share
    "long_line": 1.0,  # each character too many in a line; only a single word is ever let over the limit
}
PAUSE_MS = 500
FREE_BREAK_MS = 1000  # a pause this long parts any two words; shorter ones make it cheaper in proportion


@dataclass(frozen=True)
class Cue:
    """Words `first` to `last` (exclusive), shown in `lines`. `speakers`: one name a line where two share the cue."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    first: int
    last: int
    speakers: tuple[str | None, ...]


class Planner:
    """The words of a movie and what every cue of them would cost. `duration_ms`: no cue outlasts the movie."""

    def __init__(self, words: Sequence[Spoken], limits: Limits, language: str, duration_ms: int | None = None) -> None:
        self.words = words
        self.limits = limits
        self.duration_ms = duration_ms
        self.starts = [word.start_ms for word in words]
        self.ends = [word.end_ms for word in words]
        self.prices = breaks.prices(words, language)
        self.voices = _voices(words)
        changes = [0] + [int(a != b and a is not None) for a, b in pairwise(self.voices)]
        self._changes = list(accumulate(changes))
        self._letters = list(accumulate((word.length + word.space for word in words), initial=0))
        pauses = [0] + [max(0, start - end - PAUSE_MS) for end, start in zip(self.ends, self.starts[1:], strict=False)]
        self._pauses = list(accumulate(pauses))
        self._cue_breaks = [self._cue_break(k) for k in range(len(words) + 1)]

    def cues(self) -> list[Cue]:
        """The cheapest cues for all words."""
        edges = self._edges()
        return [self.cue(first, last) for first, last in pairwise(edges)]

    def _edges(self) -> list[int]:
        """The places where the cheapest parting parts, both ends included."""
        count = len(self.words)
        best = [0.0] + [math.inf] * count
        came_from = [0] * (count + 1)
        for last in range(1, count + 1):
            for first in range(last - 1, -1, -1):
                if not self.fits(first, last):
                    break
                total = best[first] + self.cost(first, last, at_most=best[last] - best[first])
                if total < best[last]:
                    best[last], came_from[last] = total, first
        edges = [count] if count else []
        while edges and edges[-1] > 0:
            edges.append(came_from[edges[-1]])
        return edges[::-1]

    def fits(self, first: int, last: int) -> bool:
        """Whether these words may be one cue at all. What does not fit still does not with more words; a single word always does."""
        if last - first == 1:
            return True
        return (
            self.length(first, last) <= 2 * self.limits.max_chars + 1
            and self.starts[last - 1] - self.starts[first] < self.limits.max_ms
            and self._changes[last - 1] - self._changes[first] <= 1
        )

    def cost(self, first: int, last: int, at_most: float = math.inf) -> float:
        """Of showing words `first` to `last` as one cue; infinite where its lines are too long. May stop counting at `at_most`."""
        limits = self.limits
        shown_ms = self.end_ms(first, last) - self.starts[first]
        letters = self.length(first, last)
        cost = WEIGHTS["cue"] + WEIGHTS["break"] * self._cue_breaks[last]
        cost += WEIGHTS["pause"] * (self._pauses[last - 1] - self._pauses[first]) / 1000
        cost += WEIGHTS["short"] * max(0.0, 1 - shown_ms / limits.min_ms)
        cost += WEIGHTS["fast"] * max(0.0, letters * 1000 / shown_ms / limits.cps - 1)
        if last < len(self.words):
            gap_ms = self.starts[last] - self.starts[first] - shown_ms
            cost += WEIGHTS["gap"] * max(0.0, 1 - gap_ms / limits.gap_ms)
        return cost if cost >= at_most else cost + self.layout(first, last)[0]

    def layout(self, first: int, last: int) -> tuple[float, int]:
        """(cost, k): the best way to set the words in lines; the second line begins with word k, or is empty where k is `last`."""
        if self._changes[last - 1] > self._changes[first]:
            return self._two_speakers(first, last)
        letters = self.length(first, last)
        if letters <= self.limits.max_chars:
            return 0.0, last
        if last - first == 1:
            return WEIGHTS["long_line"] * (letters - self.limits.max_chars), last
        return min((self._line_cost(first, k, last), k) for k in range(first + 1, last))

    def _line_cost(self, first: int, k: int, last: int) -> float:
        above, below = self.length(first, k), self.length(k, last)
        if max(above, below) > self.limits.max_chars:
            return math.inf
        unbalanced = WEIGHTS["balance"] * abs(above - below) / self.limits.max_chars
        return WEIGHTS["line"] * self.prices[k] + unbalanced + WEIGHTS["top_heavy"] * (above > below)

    def _two_speakers(self, first: int, last: int) -> tuple[float, int]:
        """A line each."""
        k = next(k for k in range(first + 1, last) if self._changes[k] > self._changes[first])
        longest = max(self.length(first, k), self.length(k, last)) + len(self.limits.dash)
        return (WEIGHTS["two_speakers"] if longest <= self.limits.max_chars else math.inf), k

    def length(self, first: int, last: int) -> int:
        """Characters of the words in one line."""
        return self._letters[last] - self._letters[first] - self.words[first].space

    def end_ms(self, first: int, last: int) -> int:
        """When the cue goes: with its tail, as long as the next one leaves room; never after the next one's start."""
        limits, start = self.limits, self.starts[first]
        least = max(self.ends[last - 1], start + limits.min_ms)
        wanted = max(self.ends[last - 1] + limits.tail_ms, least)
        if self.duration_ms is not None:
            wanted = min(wanted, max(self.duration_ms, self.ends[last - 1]))
        longest = start + limits.max_ms
        wanted = min(wanted, longest)
        if last == len(self.words):
            return wanted
        following = self.starts[last]
        latest = following - limits.gap_ms
        if latest - start < limits.gap_ms:
            return following  # hardly anything would be left to see: better no gap
        if wanted > latest:
            return latest
        if following - wanted >= limits.chain_ms:
            return wanted
        # A gap this small flickers: a shorter tail makes it a real one, or else it is closed.
        shortened = following - limits.chain_ms
        return shortened if shortened >= least else min(latest, longest)

    def cue(self, first: int, last: int) -> Cue:
        """Words `first` to `last` as a cue."""
        _, k = self.layout(first, last)
        lines = [self._text(a, b) for a, b in ((first, k), (k, last)) if a < b]
        speakers: tuple[str | None, ...] = (self.voices[first],)
        if self._changes[last - 1] > self._changes[first]:
            lines = [self.limits.dash + line for line in lines]
            speakers = (self.voices[first], self.voices[k])
        return Cue(self.starts[first], self.end_ms(first, last), tuple(lines), first, last, speakers)

    def _text(self, first: int, last: int) -> str:
        joined = "".join((" " if word.space else "") + word.text for word in self.words[first:last])
        return joined[1:] if self.words[first].space else joined

    def _cue_break(self, k: int) -> float:
        """Price of ending a cue before word k: nothing at a change of speaker, less after a pause."""
        if k in (0, len(self.words)) or self._changes[k] > self._changes[k - 1]:
            return 0.0
        pause_ms = self.starts[k] - self.ends[k - 1]
        return self.prices[k] * max(0.0, 1 - pause_ms / FREE_BREAK_MS)


def _voices(words: Sequence[Spoken]) -> list[str | None]:
    """The speaker of every word; a word of nobody known goes on with the one before, so that it parts nothing."""

    def known(before: str | None, now: str | None) -> str | None:
        return before if now is None else now

    return list(accumulate((word.speaker for word in words), known))


def faults(cue: Cue, following: Cue | None, limits: Limits) -> list[str]:
    """The rules that `cue` breaks."""
    shown_ms = cue.end_ms - cue.start_ms
    letters = [graphemes(line) for line in cue.lines]
    found = {
        "lines": len(letters) > 2,
        "line length": max(letters) > limits.max_chars,
        "too short": shown_ms < limits.min_ms,
        "too long": shown_ms > limits.max_ms,
        "reading speed": sum(letters) + len(letters) - 1 > limits.cps * shown_ms / 1000,
        "gap": following is not None and following.start_ms - cue.end_ms < limits.gap_ms,
        "overlap": following is not None and following.start_ms < cue.end_ms,
    }
    return [rule for rule, broken in found.items() if broken]
