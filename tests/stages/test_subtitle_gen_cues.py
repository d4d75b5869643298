"""subtitle-gen's optimisation: nothing that was tried by brute force is better, and what can be kept is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelscribe.schemas import Segment, Word
from subtitle_gen.cues import Cue, Planner
from subtitle_gen.limits import Limits, for_movie, load_profile
from subtitle_gen.lines import WEIGHTS
from subtitle_gen.rules import violations
from subtitle_gen.timing import Timing
from subtitle_gen.words import spoken

NAMES = {label: f"Speaker {label}" for label in "AB"}
# With `Jai Rathore` as a name: articles, numbers, links, sentences, clauses, a word longer than a line.
SAID = ["I", "the", "no,", "yes.", "Jai", "Rathore", "and", "42", "kilometres", "because", "station?", "Dr.", "waited", "—", "a" * 45]
WORDS = st.sampled_from(SAID)


@st.composite
def segments(draw: st.DrawFn, most_words: int) -> list[Segment]:
    """Segments of a few speakers with every kind of haste, pause and overlap."""
    found: list[Segment] = []
    now = 0.0
    for _ in range(draw(st.integers(0, 5))):
        now += draw(st.sampled_from([-0.3, 0.0, 0.05, 0.4, 0.8, 3.0]))
        left = most_words - sum(len(segment.words) for segment in found)
        texts = draw(st.lists(WORDS, max_size=min(left, 12)))
        speaker = draw(st.sampled_from(["A", "B", "unknown"]))
        words = []
        for text in texts:
            length = draw(st.sampled_from([0.0, 0.04, 0.2, 0.4, 1.5, 8.0]))
            words.append(Word(word=text, start=max(0.0, now), end=max(0.0, now + length), speaker=speaker))
            now += length + draw(st.sampled_from([0.0, 0.0, 0.1, 0.7]))
        if words:
            found.append(Segment(id=len(found), start=words[0].start, end=words[-1].end, text="", words=words, speaker=speaker))
    return found


ONE_LINE = " in one line"
PROFILES = [("netflix", "24"), ("netflix", "30000/1001"), ("bbc", "25"), ("netflix" + ONE_LINE, "24")]
CUTS = st.lists(st.floats(0, 12), max_size=4)


def planner_of(said: Sequence[Segment], profile: str, fps: str, cuts: Sequence[float], *, labels: bool = False) -> Planner:
    """The planner of a transcript with `said`, shots changing at `cuts` seconds."""
    limits = for_movie(load_profile(profile.removesuffix(ONE_LINE)), "en", fps)
    if profile.endswith(ONE_LINE):
        limits = replace(limits, max_lines=1)
    words = spoken(said, NAMES, "en", limits)
    frames = sorted({limits.clock.floor(round(1000 * cut)) for cut in cuts})
    return Planner(words, limits, Timing(limits, frames), names=["Jai Rathore"], labels=labels)


class Brute:
    """The least cost by trying every parting, every in-time, every out-time and every line break."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.timing = planner.timing
        self.cue_cost = lru_cache(maxsize=None)(self._cue_cost)

    def least(self) -> float:
        """Over every parting."""
        count = len(self.planner.words)
        if not count:
            return 0.0
        inner = (places for n in range(count) for places in combinations(range(1, count), n))
        return min(self._least_of(tuple(pairwise([0, *places, count]))) for places in inner)

    def _least_of(self, cues: tuple[tuple[int, int], ...]) -> float:
        """Over every in-time of these cues."""
        totals = dict(self.planner.starts[0])
        for first, last in cues:
            totals = {
                following: penalty + min(total + self.cue_cost(first, last, start, following) for start, total in totals.items())
                for following, penalty in self.planner.starts[last]
            }
        return min(totals.values())

    def _cue_cost(self, first: int, last: int, start: int, following: float) -> float:
        """Over every out-time and line break of one cue."""
        planner = self.planner
        if start >= following or not planner.fits(first, last):
            return math.inf
        text = planner._cue_breaks[last] + planner.text_cost(first, last)
        needed = planner.lines.total(first, last) * planner.limits.ticks_per_char
        return text + min(self._timed(start, planner.ends[last - 1], following, needed)) + min(self._lines(first, last))

    def _lines(self, first: int, last: int) -> Iterator[float]:
        """The cost of every way to set the words in lines."""
        lines, most = self.planner.lines, self.planner.limits.max_chars
        if lines.voices[first] != lines.voices[last - 1]:
            yield lines.two_speakers(first, last)[0]
            return
        over = max(0.0, lines.line(first, last) - most)
        yield 0.0 if not over else WEIGHTS["long_line"] * over if last - first == 1 else math.inf
        for k in range(first if lines.labels[first] else first + 1, last) if over and lines.limits.max_lines == 2 else ():
            yield lines.line_cost(first, k, last)

    def _timed(self, start: int, speech_end: int, following: float, needed: float) -> Iterator[float]:
        """The cost of every out-time there may be."""
        limits = self.planner.limits
        usual = self.timing.usual(speech_end, start)
        latest = int(min(following, start + limits.max_shown))
        for out in range(start + 1, latest + 1):
            if self.timing._allowed(out, usual, following) or (out == start + 1 and usual <= start):
                yield self.timing.leaving(out, speech_end, following) + self.timing.staying(out - start, needed)


def total_of(planner: Planner, cues: Sequence[Cue]) -> float:
    """What the planner's own answer costs, cue by cue."""
    penalties = [dict(planner.starts[cue.first])[cue.start] for cue in cues]
    following = [*(cue.start for cue in cues), math.inf][1:] if cues else []
    costs = [planner.cost(cue.first, cue.last, cue.start, after) for cue, after in zip(cues, following, strict=True)]
    return sum(penalties) + sum(costs)


@settings(max_examples=500)
@given(segments(most_words=7), st.sampled_from(PROFILES), CUTS, st.booleans())
def test_nothing_else_costs_less(said: list[Segment], profile: tuple[str, str], cuts: list[float], labels: bool) -> None:
    planner = planner_of(said, *profile, cuts, labels=labels)
    found = total_of(planner, planner.cues())
    assert found < math.inf
    assert found == pytest.approx(Brute(planner).least())


@settings(max_examples=100)
@given(segments(most_words=4), st.booleans())
def test_nothing_else_costs_less_in_milliseconds_either(said: list[Segment], labels: bool) -> None:
    planner = planner_of(said, "relaxed", "25", [], labels=labels)
    assert total_of(planner, planner.cues()) == pytest.approx(Brute(planner).least())


def shown_words(cues: Sequence[Cue], limits: Limits) -> list[str]:
    """The words that a viewer reads."""
    return [word for cue in cues for line in cue.lines for word in line.removeprefix(limits.dash if len(cue.speakers) == 2 else "").split()]


@settings(max_examples=300)
@given(segments(most_words=60), st.sampled_from([*PROFILES, ("relaxed", "60")]), st.lists(st.floats(0, 60), max_size=25))
def test_no_word_is_lost_nothing_overlaps_and_hard_limits_are_kept(
    said: list[Segment], profile: tuple[str, str], cuts: list[float]
) -> None:
    planner = planner_of(said, *profile, cuts)
    cues, limits = planner.cues(), planner.limits
    assert [n for cue in cues for n in range(cue.first, cue.last)] == list(range(len(planner.words)))
    assert shown_words(cues, limits) == [word.text for word in planner.words]
    found = violations(cues, planner.timing)
    assert not {v.rule for v in found} & {"lines", "longest duration (s)", "overlap (s)"}
    alone = {number for number, cue in enumerate(cues, 1) if cue.last - cue.first == 1}
    assert {v.cue for v in found if v.rule == "characters in a line"} <= alone
    for cue, following in pairwise([*cues, None]):
        assert cue is not None
        assert 0 <= cue.start < cue.end
        assert not following or cue.end <= following.start
