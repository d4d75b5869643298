"""Which limits a cue breaks, by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from reelscribe.schemas import Violation
from subtitle_gen.cues import Cue
from subtitle_gen.limits import Limits
from subtitle_gen.timing import Timing
from subtitle_gen.words import measured


def violations(cues: Sequence[Cue], timing: Timing) -> list[Violation]:
    """All of them, by cue (counted from 1), with the value and the limit in the unit that the rule's name says."""
    found = []
    for number, (cue, following) in enumerate(zip_longest(cues, cues[1:]), 1):
        for rule, value, limit in broken(cue, following, timing):
            found.append(Violation(cue=number, rule=rule, value=value, limit=limit))
    return found


def broken(cue: Cue, following: Cue | None, timing: Timing) -> Iterator[tuple[str, float, float]]:
    """(rule, value, limit) of each rule that `cue` breaks."""
    limits = timing.limits
    rate = float(limits.clock.rate)
    shown = cue.end - cue.start
    longest = max(measured(line, wide=limits.wide) for line in cue.lines)
    if len(cue.lines) > limits.max_lines:
        yield "lines", len(cue.lines), limits.max_lines
    if longest > limits.max_chars:
        yield "characters in a line", longest, limits.max_chars
    if shown < limits.min_shown:
        yield "shortest duration (s)", shown / rate, limits.min_shown / rate
    if shown > limits.max_shown:
        yield "longest duration (s)", shown / rate, limits.max_shown / rate
    if cue.letters * limits.ticks_per_char > shown:
        yield "characters a second", cue.letters * rate / shown, limits.cps
    if cue.torn:
        yield "phrase torn", 1, 0
    yield from _between(cue, following, limits)
    if timing.begins_near_cut(cue.start):
        yield "begins near a shot change", 1, 0
    if timing.ends_near_cut(cue.end):
        yield "ends near a shot change", 1, 0


def _between(cue: Cue, following: Cue | None, limits: Limits) -> Iterator[tuple[str, float, float]]:
    """Of the gap behind it."""
    if following is None:
        return
    rate = float(limits.clock.rate)
    gap = following.start - cue.end
    if gap < 0:
        yield "overlap (s)", -gap / rate, 0
    elif gap < limits.gap:
        yield "gap (s)", gap / rate, limits.gap / rate
    elif limits.gap < gap < limits.chain:
        yield "gap not closed (s)", gap / rate, limits.chain / rate
