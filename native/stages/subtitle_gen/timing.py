"""When a cue comes and goes: in-times on speech or on a shot change, and out-times by the least cost."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from subtitle_gen.limits import Limits

# What is bad about a cue's times, in units of "one cue more".
WEIGHTS = {
    "short": 20.0,  # what it lacks of the shortest duration, as a share
    "fast": 5.0,  # each second that it lacks to be read
    "gap": 8.0,  # what is missing of the gap behind it, as a share
    "flicker": 1.5,  # a gap behind it that should be closed
    "early": 6.0,  # each second that it goes before its speech has ended
    "tail": 0.3,  # each second of its tail that it lacks
    "over": 3.0,  # each second that it stays when its tail is over, but for a shot that ends soon
    "shot": 1.5,  # it comes or goes near a shot change
}


@dataclass(frozen=True)
class Exit:
    """When a cue may go that ends with a certain word, before a certain next one, whenever it came.

    priced: (out-time, what is bad about it) wherever that bends or jumps, so that the best is among them; least: the least of all.
    free_cost, free_out: the best for a cue that is there for long enough.
    """

    speech_end: int
    following: float
    priced: list[tuple[int, float]]
    least: float
    free_cost: float
    free_out: int


class Timing:
    """The times of cues in one movie. All in ticks. cuts: shot changes, in order. end: the movie's, where it is known."""

    def __init__(self, limits: Limits, cuts: Sequence[int] = (), end: int | None = None) -> None:
        self.limits = limits
        self.cuts = cuts if limits.clear else ()
        self._cuts = frozenset(self.cuts)
        self._rate = float(limits.clock.rate)
        self.end = end

    def starts(self, speech: int) -> tuple[tuple[int, float], ...]:
        """(in-time, what is bad about it): where a cue may begin whose first word starts at `speech`; the last one is `speech` itself."""
        snapped = self._snapped(speech)
        return ((speech, 0.0),) if snapped == speech else ((snapped, 0.0), (speech, WEIGHTS["shot"]))

    def _snapped(self, tick: int) -> int:
        limits = self.limits
        after = bisect_left(self.cuts, tick)
        if after < len(self.cuts) and self.cuts[after] - tick < limits.clear:
            cut = self.cuts[after]
            return cut if cut - tick <= limits.to_cut else max(0, cut - limits.clear)
        if after and tick - self.cuts[after - 1] < limits.clear:
            return self.cuts[after - 1]
        return tick

    def exit(self, speech_end: int, following: float) -> Exit:
        """When a cue may go whose speech ends at `speech_end`, the next one coming at `following` (infinity: none)."""
        limits = self.limits
        bends = [speech_end, speech_end + limits.tail]
        if following < math.inf:
            bends += [int(following) - limits.chain, int(following) - limits.gap, int(following)]
        earliest, latest = min(speech_end, following) - 3 * limits.clear, speech_end + max(limits.tail, limits.min_shown) + limits.clear
        for cut in self.cuts[bisect_left(self.cuts, earliest) : bisect_left(self.cuts, latest)] if self.cuts else ():
            bends += [cut - limits.clear, cut - limits.gap, cut + limits.clear]
        priced = [(out, self.leaving(out, speech_end, following)) for out in dict.fromkeys(bends) if out <= following]
        usual = self.usual(speech_end, speech_end - limits.max_shown // 2)
        free = min((cost, -out) for out, cost in priced if self._allowed(out, usual, following))
        return Exit(speech_end, following, priced, min(cost for _, cost in priced), free[0], -free[1])

    def out(self, start: int, exit: Exit, needed: float) -> tuple[float, int]:
        """(cost, out-time) of a cue from `start`: the best, and of equals the latest. needed: ticks to read it."""
        limits = self.limits
        if max(limits.min_shown, needed) <= exit.free_out - start <= limits.max_shown:
            return exit.free_cost, exit.free_out
        usual = self.usual(exit.speech_end, start)
        latest = min(exit.following, start + limits.max_shown)
        more = [out for out in (usual, start + 1, start + limits.min_shown, start + math.ceil(needed)) if out <= latest]
        priced = exit.priced + [(out, self.leaving(out, exit.speech_end, exit.following)) for out in more]
        allowed = [(c, out) for out, c in priced if start < out <= latest and self._allowed(out, usual, exit.following)]
        allowed = allowed or [(0.0, start + 1)]
        cost, earliest = min((cost + self.staying(out - start, needed), -out) for cost, out in allowed)
        return cost, -earliest

    def at_least(self, start: int, exit: Exit, needed: float) -> float:
        """A cost that `out` cannot undercut, known at once: it is never shown longer than until the next cue."""
        lacking = needed + start - exit.following
        return exit.least + WEIGHTS["fast"] * lacking / self._rate if lacking > 0 else exit.least

    def usual(self, speech_end: int, start: int) -> int:
        """When a cue goes where nothing else matters: with its tail, after its shortest duration, before the movie ends."""
        limits = self.limits
        usual = max(speech_end + limits.tail, start + limits.min_shown)
        if self.end is not None:
            usual = min(usual, max(self.end, speech_end))
        return min(usual, start + limits.max_shown)

    def _allowed(self, out: int, usual: int, following: float) -> bool:
        """Whether a cue may go at `out`: not later than usual but to close a small gap, or with a shot that ends soon after."""
        if out <= usual:
            return True
        limits = self.limits
        if out == following - limits.gap and following - usual < limits.chain:
            return True
        return out - usual < limits.clear - limits.gap and out + limits.gap in self._cuts

    def staying(self, shown: int, needed: float) -> float:
        """What is bad about a cue that is there for `shown` ticks."""
        limits = self.limits
        short = max(0.0, 1 - shown / limits.min_shown)
        return WEIGHTS["short"] * short + WEIGHTS["fast"] * max(0.0, needed - shown) / self._rate

    def leaving(self, out: int, speech_end: int, following: float) -> float:
        """What is bad about going at `out`."""
        limits, gap = self.limits, following - out
        after = out - speech_end
        cost = 0.0
        if after < 0:
            cost -= WEIGHTS["early"] * after / self._rate
        if after < limits.tail:
            cost += WEIGHTS["tail"] * (limits.tail - max(0, after)) / self._rate
        elif out + limits.gap not in self._cuts:
            cost += WEIGHTS["over"] * (after - limits.tail) / self._rate
        if gap < limits.gap:
            cost += WEIGHTS["gap"] * (1 - gap / limits.gap)
        elif limits.gap < gap < limits.chain:
            cost += WEIGHTS["flicker"]
        if self.cuts and self.ends_near_cut(out):
            cost += WEIGHTS["shot"]
        return cost

    def ends_near_cut(self, out: int) -> bool:
        """Whether an out-time is nearer to a shot change than it should, and not just before it."""
        return any(out != cut - self.limits.gap for cut in self._around(out))

    def begins_near_cut(self, start: int) -> bool:
        """Whether an in-time is nearer to a shot change than it should, and not on it."""
        return any(start != cut for cut in self._around(start))

    def _around(self, tick: int) -> Sequence[int]:
        clear = self.limits.clear
        return self.cuts[bisect_right(self.cuts, tick - clear) : bisect_left(self.cuts, tick + clear)]
