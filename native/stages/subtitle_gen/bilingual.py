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

    A segment covers the words its `source` says; where it has several cues, each word goes with the cue that is shown when it begins.
    """
    cues_of = _cues_of_segments(translated, cues, segments)
    owner: dict[int, int] = {}
    for number, segment in enumerate(segments):
        if segment.source and cues_of[number]:
            owner |= dict.fromkeys(range(segment.source[0], segment.source[1] + 1), number)
    found: list[list[int]] = [[] for _ in cues]
    for k, word in enumerate(spoken.words):
        if word.number in owner:
            own = cues_of[owner[word.number]]
            shown = bisect_right([cues[n].start for n in own], word.start)
            found[own[max(0, shown - 1)]].append(k)
    return found


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
