"""Words into cues: one cost function, and the cheapest way to part the words after it.

What a cue costs follows from its words, its in-time and the next cue's in-time; each in-time from the word it belongs to, with a choice
near shot changes. So dynamic programming over the words, and the in-times of each, finds the true minimum.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from subtitle_gen import breaks
from subtitle_gen.limits import Limits
from subtitle_gen.timing import Exit, Timing
from subtitle_gen.words import Spoken, measured

# What is bad about a cue's text, in units of "one cue more"; timing.WEIGHTS are those of its times.
WEIGHTS = {
    "cue": 1.0,  # of every cue: fewer are calmer
    "break": 2.5,  # its end, times the price of the place: sentences and clauses stay whole
    "line": 1.5,  # its line break, likewise
    "balance": 0.5,  # the difference of its lines' lengths, as a share of a line
    "top_heavy": 0.05,  # the longer line on top
    "two_speakers": 1.5,  # better a cue each, where both can be read
    "pause": 6.0,  # each second of silence inside, beyond PAUSE_MS: words shown long before they are said
    "mixed": 0.5,  # the end of a sentence inside, where it begins or ends within one
    "long_line": 1.0,  # each character too many in a line; only a single word is ever let over the limit
}
PAUSE_MS = 500
FREE_BREAK_MS = 1000  # a pause this long parts any two words; shorter ones make it cheaper in proportion, though never inside a name
LABEL_ALONE = breaks.BEFORE_LINK  # price of a line break after a speaker's label


@dataclass(frozen=True)
class Cue:
    """Words `first` to `last` (exclusive) in `lines`, from the tick `start` to `end`. `speakers`: a name for each line where two share it.

    `letters`: its length, as the limits count. `torn`: whether it, or its first line, ends inside of a name, or between article and noun.
    """

    start: int
    end: int
    lines: tuple[str, ...]
    first: int
    last: int
    speakers: tuple[str | None, ...]
    letters: float
    torn: bool = False


class Planner:
    """The words of a movie and what every cue of them would cost. labels: whether a new speaker is named. names: never parted."""

    def __init__(
        self, words: Sequence[Spoken], limits: Limits, timing: Timing | None = None, *, names: Sequence[str] = (), labels: bool = False
    ) -> None:
        self.words = words
        self.limits = limits
        self.timing = timing or Timing(limits)
        self.ends = [word.end for word in words]
        self.starts = [self.timing.starts(word.start) for word in words] + [((math.inf, 0.0),)]
        self.prices = breaks.prices(words, names)
        self.voices = _voices(words)
        self.turns = [int(k == 0 or a != b) for k, (a, b) in enumerate(pairwise([None, *self.voices]))]
        self.labels = [f"[{voice}] " if labels and turn and voice else "" for turn, voice in zip(self.turns, self.voices, strict=True)]
        self._label_lengths = [measured(label, wide=limits.wide) if label else 0.0 for label in self.labels]
        self.turn_of = list(accumulate(self.turns))
        self._space = 0.5 if limits.wide else 1.0
        self._spaces = [self._space * word.space for word in words]
        self._letters = list(accumulate((w.length + s for w, s in zip(words, self._spaces, strict=True)), initial=0.0))
        pause = limits.clock.floor(PAUSE_MS)
        pauses = [0] + [max(0, b.start - a.end - pause) for a, b in pairwise(words)]
        self._pauses = [ticks / float(limits.clock.rate) for ticks in accumulate(pauses)]
        self._sentences = list(accumulate(int(not self.prices[k] or self.turns[k]) for k in range(len(words))))
        self._cue_breaks = [WEIGHTS["break"] * self._cue_break(k) for k in range(len(words) + 1)]

    # -- the cheapest cues ----------------------------------------------------------------------------------------------

    def cues(self) -> list[Cue]:
        """The cheapest cues for all words."""
        path = self._path()
        return [self.cue(first, last, start, following) for (first, start), (last, following) in pairwise(path)]

    def _path(self) -> list[tuple[int, float]]:
        """(word, in-time) of every cue of the cheapest parting, and one past the end."""
        count = len(self.words)
        best: list[list[float]] = [[math.inf] * len(options) for options in self.starts]
        came_from: list[list[tuple[int, int]]] = [[(0, 0)] * len(options) for options in self.starts]
        if count:
            best[0] = [penalty for _, penalty in self.starts[0]]
        earliest = 0
        for last in range(1, count + 1):
            while not self.fits(earliest, last):
                earliest += 1
            ending = self._cue_breaks[last]
            for number in range(len(self.starts[last])):
                following, penalty = self.starts[last][number]
                way_out = self.timing.exit(self.ends[last - 1], following)
                fixed, least, origin = ending + penalty, math.inf, (0, 0)
                at_least = fixed + WEIGHTS["cue"] + way_out.least
                for first in range(earliest, last):
                    for option, (start, _) in enumerate(self.starts[first]):
                        so_far = best[first][option]
                        if so_far + at_least < least and start < following:
                            total = so_far + fixed + self._shown_cost(first, last, int(start), way_out, least - so_far - fixed)
                            if total < least:
                                least, origin = total, (first, option)
                best[last][number], came_from[last][number] = least, origin
        node, path = (count, 0), [(count, math.inf)]
        while node[0] > 0:
            node = came_from[node[0]][node[1]]
            path.append((node[0], self.starts[node[0]][node[1]][0]))
        return path[::-1] if count else []

    def fits(self, first: int, last: int) -> bool:
        """Whether these words may be one cue at all. What does not fit still does not with more words; a single word always does."""
        if last - first == 1:
            return True
        limits = self.limits
        return (
            self.length(first, last) <= limits.max_lines * (limits.max_chars + self._space) - self._space
            and self.words[last - 1].start - self.words[first].start < limits.max_shown
            and self.turn_of[last - 1] - self.turn_of[first] <= limits.max_lines - 1
        )

    def cost(self, first: int, last: int, start: int, following: float) -> float:
        """Of words `first` to `last` as one cue from `start` on, the next one coming at `following`; infinite where its lines are too long.

        Without what is bad about the in-times themselves.
        """
        way_out = self.timing.exit(self.ends[last - 1], following)
        return self._cue_breaks[last] + self._shown_cost(first, last, start, way_out, math.inf)

    def _shown_cost(self, first: int, last: int, start: int, way_out: Exit, enough: float) -> float:
        """Of the cue, without its end's price. May stop counting at `enough`."""
        text = self.text_cost(first, last)
        needed = self._total(first, last) * self.limits.ticks_per_char
        if text + self.timing.at_least(start, way_out, needed) >= enough:
            return math.inf
        cost = text + self.timing.out(start, way_out, needed)[0]
        return cost if cost >= enough else cost + self.layout(first, last)[0]

    def text_cost(self, first: int, last: int) -> float:
        """Of the words, however they are set in lines and whenever they are shown, without the price of their end."""
        cost = WEIGHTS["cue"] + WEIGHTS["pause"] * (self._pauses[last - 1] - self._pauses[first])
        if self._sentences[last - 1] > self._sentences[first] and (self._cue_breaks[first] or self._cue_breaks[last]):
            cost += WEIGHTS["mixed"]
        return cost

    def _cue_break(self, k: int) -> float:
        """Price of ending a cue before word k: nothing at a change of speaker, less after a pause."""
        if k in (0, len(self.words)) or self.turns[k]:
            return 0.0
        pause_ms = 1000 * (self.words[k].start - self.ends[k - 1]) / float(self.limits.clock.rate)
        if self.prices[k] == breaks.NEVER:
            return 0.0 if pause_ms >= FREE_BREAK_MS else breaks.NEVER
        return self.prices[k] * max(0.0, 1 - pause_ms / FREE_BREAK_MS)

    # -- lines ----------------------------------------------------------------------------------------------------------

    def layout(self, first: int, last: int) -> tuple[float, int]:
        """(cost, k): the best way to set the words in lines; the second one begins with word k, or is empty where k is `last`.

        Where k is `first`, the first line is the speaker's label alone.
        """
        if self.turn_of[last - 1] > self.turn_of[first]:
            return self._two_speakers(first, last)
        most, letters = self.limits.max_chars, self._line(first, last)
        if letters <= most:
            return 0.0, last
        if self.limits.max_lines == 1:
            found = [(math.inf, last)]
        else:
            low = max(first + 1, bisect_left(self._letters, self._letters[last] - most - self._space))
            high = min(last, bisect_right(self._letters, self._letters[first] + most + self._space))
            found = [(self._line_cost(first, k, last), k) for k in [*([first] if self.labels[first] else []), *range(low, high)]]
        if last - first == 1:
            found.append((WEIGHTS["long_line"] * (letters - most), last))
        return min(found, default=(math.inf, last))

    def _line_cost(self, first: int, k: int, last: int) -> float:
        above, below = self._line(first, k), self.length(k, last)
        if max(above, below) > self.limits.max_chars:
            return math.inf
        price = LABEL_ALONE if k == first else self.prices[k]
        unbalanced = WEIGHTS["balance"] * abs(above - below) / self.limits.max_chars
        return WEIGHTS["line"] * price + unbalanced + WEIGHTS["top_heavy"] * (above > below)

    def _two_speakers(self, first: int, last: int) -> tuple[float, int]:
        """A line each."""
        k = next(k for k in range(first + 1, last) if self.turns[k])
        longest = max(self._line(first, k), self._line(k, last)) + len(self.limits.dash) * self._space
        return (WEIGHTS["two_speakers"] if longest <= self.limits.max_chars else math.inf), k

    def length(self, first: int, last: int) -> float:
        """Of the words in one line."""
        return self._letters[last] - self._letters[first] - self._spaces[first] if first < last else 0.0

    def _line(self, first: int, last: int) -> float:
        """The same with the label of whoever begins to speak."""
        label = self._label_lengths[first]
        return self.length(first, last) + (label if first < last else max(0.0, label - self._space))

    def _total(self, first: int, last: int) -> float:
        """Of all that is to be read, hyphens left out: they are no speech."""
        found = self.length(first, last) + self._label_lengths[first]
        if self.turn_of[last - 1] > self.turn_of[first]:
            found += sum(self._label_lengths[first + 1 : last])
        return found

    # -- the result -----------------------------------------------------------------------------------------------------

    def cue(self, first: int, last: int, start: float, following: float) -> Cue:
        """Words `first` to `last` as a cue."""
        _, k = self.layout(first, last)
        needed = self._total(first, last) * self.limits.ticks_per_char
        _, end = self.timing.out(int(start), self.timing.exit(self.ends[last - 1], following), needed)
        two = self.turn_of[last - 1] > self.turn_of[first]
        dash = self.limits.dash if two else ""
        lines = [self.labels[first].rstrip()] if k == first else [dash + self._text(first, k)]
        if k < last:
            lines.append(dash + (self._text(k, last, labelled=k > first)))
        inside = not two and first < k < last and self.prices[k] == breaks.NEVER
        torn = inside or self._cue_breaks[last] == WEIGHTS["break"] * breaks.NEVER
        speakers = (self.voices[first], self.voices[k]) if two else (self.voices[first],)
        return Cue(int(start), end, tuple(lines), first, last, speakers, self._total(first, last), torn)

    def _text(self, first: int, last: int, *, labelled: bool = True) -> str:
        words = "".join((" " if word.space and k else "") + word.text for k, word in enumerate(self.words[first:last]))
        return (self.labels[first] if labelled else "") + words


def _voices(words: Sequence[Spoken]) -> list[str | None]:
    """The speaker of every word; a word of nobody known goes on with the one before, so that it parts nothing."""

    def known(before: str | None, now: str | None) -> str | None:
        return before if now is None else now

    return list(accumulate((word.speaker for word in words), known))
