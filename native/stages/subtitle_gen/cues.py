"""Words into cues: one cost function, and the cheapest way to part the words after it.

What a cue costs follows from its words, its in-time and the next cue's in-time; each in-time from the word it belongs to, with a choice
near shot changes. So dynamic programming over the words, and the in-times of each, finds the true minimum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from subtitle_gen import breaks
from subtitle_gen.limits import Limits
from subtitle_gen.lines import Lines
from subtitle_gen.timing import Exit, Timing
from subtitle_gen.words import Spoken

# What is bad about a cue's words, in units of "one cue more"; lines.WEIGHTS and timing.WEIGHTS are those of its lines and times.
WEIGHTS = {
    "cue": 1.0,  # of every cue: fewer are calmer
    "break": 2.5,  # the price of the place where it ends: sentences and clauses stay whole
    "pause": 6.0,  # each second of silence inside, beyond PAUSE_MS: words shown long before they are said
    "mixed": 0.5,  # the end of a sentence inside, where it begins or ends within one
}
PAUSE_MS = 500
FREE_BREAK_MS = 1000  # a pause this long parts any two words; shorter ones make it cheaper in proportion, though never inside a name


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
        self.lines = Lines(words, limits, names, labels=labels)
        self.ends = [word.end for word in words]
        self.starts = [self.timing.starts(word.start) for word in words] + [((math.inf, 0.0),)]
        rate = float(limits.clock.rate)
        pauses = [0.0] + [max(0.0, (b.start - a.end) / rate - PAUSE_MS / 1000) for a, b in pairwise(words)]
        self._pauses = list(accumulate(pauses))
        self._sentences = list(accumulate(int(not self.lines.prices[k] or self.lines.turns[k]) for k in range(len(words))))
        self._cue_breaks = [WEIGHTS["break"] * self._cue_break(k) for k in range(len(words) + 1)]
        # For each word and each of its in-times: the least cost of all words before it, and (word, number of in-time) of the cue before.
        self._best = [[math.inf] * len(options) for options in self.starts]
        self._before = [[(0, 0)] * len(options) for options in self.starts]

    # -- the cheapest cues ----------------------------------------------------------------------------------------------

    def cues(self) -> list[Cue]:
        """The cheapest cues for all words."""
        return [self.cue(first, last, int(start), following) for (first, start), (last, following) in pairwise(self._path())]

    def _path(self) -> list[tuple[int, float]]:
        """(word, in-time) of every cue of the cheapest parting, and one past the end."""
        self._best[0] = [penalty for _, penalty in self.starts[0]]
        earliest = 0
        for last in range(1, len(self.words) + 1):
            while not self.fits(earliest, last):
                earliest += 1
            for number in range(len(self.starts[last])):
                self._best[last][number], self._before[last][number] = self._step(earliest, last, number)
        path, node = [], (len(self.words), 0)
        while node[0] > 0:
            path.append((node[0], self.starts[node[0]][node[1]][0]))
            node = self._before[node[0]][node[1]]
        return [(0, self.starts[0][node[1]][0]), *reversed(path)]

    def _step(self, earliest: int, last: int, number: int) -> tuple[float, tuple[int, int]]:
        """(cost, the cue before) of the cheapest way to a cue that comes in at in-time `number` of word `last`."""
        following, penalty = self.starts[last][number]
        way_out = self.timing.exit(self.ends[last - 1], following)
        fixed, least, origin = self._cue_breaks[last] + penalty, math.inf, (0, 0)
        at_least = fixed + WEIGHTS["cue"] + way_out.least
        for first in range(earliest, last):
            for option, (start, _) in enumerate(self.starts[first]):
                so_far = self._best[first][option]
                if so_far + at_least < least and start < following:
                    total = so_far + fixed + self._shown_cost(first, last, int(start), way_out, least - so_far - fixed)
                    if total < least:
                        least, origin = total, (first, option)
        return least, origin

    def fits(self, first: int, last: int) -> bool:
        """Whether these words may be one cue at all. What does not fit still does not with more words; a single word always does."""
        if last - first == 1:
            return True
        soon = self.words[last - 1].start - self.words[first].start < self.limits.max_shown
        return soon and self.lines.fit(first, last)

    # -- what a cue costs -----------------------------------------------------------------------------------------------

    def cost(self, first: int, last: int, start: int, following: float) -> float:
        """Of words `first` to `last` as one cue from `start` on, the next one coming at `following`; infinite where its lines are too long.

        Without what is bad about the in-times themselves.
        """
        way_out = self.timing.exit(self.ends[last - 1], following)
        return self._cue_breaks[last] + self._shown_cost(first, last, start, way_out, math.inf)

    def _shown_cost(self, first: int, last: int, start: int, way_out: Exit, enough: float) -> float:
        """Of the cue, without its end's price. May stop counting at `enough`."""
        text = self.text_cost(first, last)
        needed = self.lines.total(first, last) * self.limits.ticks_per_char
        if text + self.timing.at_least(start, way_out, needed) >= enough:
            return math.inf
        cost = text + self.timing.out(start, way_out, needed)[0]
        return cost if cost >= enough else cost + self.lines.layout(first, last)[0]

    def text_cost(self, first: int, last: int) -> float:
        """Of the words, however they are set in lines and whenever they are shown, without the price of their end."""
        cost = WEIGHTS["cue"] + WEIGHTS["pause"] * (self._pauses[last - 1] - self._pauses[first])
        if self._sentences[last - 1] > self._sentences[first] and (self._cue_breaks[first] or self._cue_breaks[last]):
            cost += WEIGHTS["mixed"]
        return cost

    def _cue_break(self, k: int) -> float:
        """Price of ending a cue before word k: nothing at a change of speaker, less after a pause."""
        if k in (0, len(self.words)) or self.lines.turns[k]:
            return 0.0
        price = self.lines.prices[k]
        pause_ms = 1000 * (self.words[k].start - self.ends[k - 1]) / float(self.limits.clock.rate)
        if price == breaks.NEVER:
            return 0.0 if pause_ms >= FREE_BREAK_MS else price
        return price * max(0.0, 1 - pause_ms / FREE_BREAK_MS)

    def cue(self, first: int, last: int, start: int, following: float) -> Cue:
        """Words `first` to `last` as a cue."""
        lines = self.lines
        _, k = lines.layout(first, last)
        letters, two = lines.total(first, last), lines.two(first, last)
        _, end = self.timing.out(start, self.timing.exit(self.ends[last - 1], following), letters * self.limits.ticks_per_char)
        inside = not two and first < k < last and lines.prices[k] == breaks.NEVER
        torn = inside or self._cue_breaks[last] == WEIGHTS["break"] * breaks.NEVER
        speakers = (lines.voices[first], lines.voices[k]) if two else (lines.voices[first],)
        return Cue(start, end, lines.texts(first, k, last), first, last, speakers, letters, torn)
