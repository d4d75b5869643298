"""Two languages: which words of the spoken one a cue of the translation covers, and both in one file."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

from reelscribe.schemas import Segment
from subtitle_gen.cues import Cue, Planner
from subtitle_gen.files import Event, events


def covered(translated: Planner, cues: Sequence[Cue], segments: Sequence[Segment], spoken: Planner) -> list[list[int]]:
    """For each cue of the translation the words of the spoken language that it covers; no word has two cues. segments: the translation's.

    A segment covers the words its `source` says; where it has several cues, the words are parted near the times at which these come.
    """
    cues_of = _cues_of_segments(translated, cues, segments)
    segment_of: dict[int, int] = {}
    for number, segment in enumerate(segments):
        if segment.source and cues_of[number]:
            segment_of |= dict.fromkeys(range(segment.source[0], segment.source[1] + 1), number)
    words_of: dict[int, list[int]] = defaultdict(list)
    for k, word in enumerate(spoken.words):
        if word.number in segment_of:
            words_of[segment_of[word.number]].append(k)
    found: list[list[int]] = [[] for _ in cues]
    for number, words in words_of.items():
        edges = _edges(spoken, words, [cues[n].start for n in cues_of[number]])
        for k in words:
            found[cues_of[number][bisect_right(edges, k) - 1]].append(k)
    return [sorted(words) for words in found]


def _edges(planner: Planner, words: Sequence[int], starts: Sequence[int]) -> list[int]:
    """The first of the words for each of the in-times: the nearest, or one a little off where phrases begin."""
    edges = [words[0]]
    for start in starts[1:]:
        later = [k for k in words if k >= edges[-1]]
        edges.append(min(later, key=lambda k: _off(planner, k, start)))
    return edges


def _off(planner: Planner, k: int, start: int) -> float:
    """How bad it is to begin with word k when a cue comes at `start`: seconds, and the price of parting there."""
    return abs(planner.words[k].start - start) / float(planner.limits.clock.rate) + planner.lines.prices[k]


def _cues_of_segments(planner: Planner, cues: Sequence[Cue], segments: Sequence[Segment]) -> dict[int, list[int]]:
    """The numbers of the cues with words of each segment."""
    segment_of = [number for number, segment in enumerate(segments) for _ in segment.words]
    found: dict[int, list[int]] = defaultdict(list)
    for number, cue in enumerate(cues):
        for word in planner.words[cue.first : cue.last]:
            own = found[segment_of[word.number]] if word.number < len(segment_of) else []
            if own[-1:] != [number]:
                own.append(number)
    return found


def merged(translated: Sequence[Event], words: Sequence[Sequence[int]], spoken: Planner, *, rtl: bool) -> list[Event]:
    """One event for each cue of the translation, what was said above it; what nobody translated has events of its own.

    words: as `covered` says. rtl: whether the spoken language is written from right to left.
    """
    both = [
        Event(event.start_ms, event.end_ms, (*_lines(spoken, own, rtl=rtl), *event.lines), event.speakers[:1])
        for event, own in zip(translated, words, strict=True)
    ]
    linked = {k for own in words for k in own}
    alone = [k for k in range(len(spoken.words)) if k not in linked]
    return _side_by_side([*both, *(event for run in _runs(alone) for event in _planned(spoken, run, rtl=rtl))])


def _runs(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Stretches of words that follow each other."""
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        yield [number for _, number in run]


def _planned(planner: Planner, numbers: Sequence[int], *, rtl: bool) -> list[Event]:
    """Some of the words as cues of their own."""
    words = [planner.words[k] for k in numbers]
    return events(Planner(words, planner.limits, planner.timing).cues(), planner.limits.clock, rtl=rtl)


def _lines(planner: Planner, numbers: Sequence[int], *, rtl: bool) -> list[str]:
    return [line for event in _planned(planner, numbers, rtl=rtl) for line in event.lines]


def _side_by_side(found: list[Event]) -> list[Event]:
    """In order and without overlap: what begins before another has ended cuts it short, and joins it where nothing would be left."""
    placed: list[Event] = []
    for event in sorted(found, key=lambda e: (e.start_ms, e.end_ms)):
        before = placed[-1] if placed else None
        if before and event.start_ms <= before.start_ms:
            placed[-1] = Event(before.start_ms, max(before.end_ms, event.end_ms), before.lines + event.lines, before.speakers)
            continue
        if before and event.start_ms < before.end_ms:
            placed[-1] = Event(before.start_ms, event.start_ms, before.lines, before.speakers)
        placed.append(event)
    return placed
