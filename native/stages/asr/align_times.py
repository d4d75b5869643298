"""Aligned times judged and put into segments; a segment in which they look wrong keeps those of its engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from asr.align_units import Time
from asr.speech import PAD_S
from reelscribe.schemas import Segment, Span, Word

# Nobody holds a word for longer; an aligner that has lost its way stretches words over what it cannot explain.
MAX_WORD_S = 3.0
# Detectors miss soft beginnings and ends, but not by more.
MAX_OUTSIDE_S = 0.5
# CTC ends a word where it is sure of the last letter; the voice goes on for no longer than this.
MAX_TAIL_S = 0.6
# Said in Segment.marks.
MARK = "engine-times"


def timed(segments: Sequence[Segment], times: Mapping[int, Sequence[Time]], speech: Sequence[Span]) -> list[Segment]:
    """The segments of a window with the aligned `times` (by the segments' numbers) where they can be right.

    A word that was aligned keeps what its engine said in `engine_start` and `engine_end`; a segment that was not is marked.
    speech: the window's stretches, in order.
    """
    found = [_plausible(times[s.id], s.words, speech) if s.id in times else None for s in segments]
    chosen = [_with(s, pairs) if pairs else None for s, pairs in zip(segments, found, strict=True)]
    _drop_disorder(segments, chosen)
    result = [aligned or _marked(segment) for segment, aligned in zip(segments, chosen, strict=True)]
    return _heard_out(_without_overlap(result, chosen), speech)


def retimed(translation: Sequence[Segment], aligned: Sequence[Segment]) -> list[Segment]:
    """Translated segments of a window with the times of the words that each covers (Segment.source), where those were aligned.

    What was said in English is its own translation, and has the very words that were aligned.
    """
    if [s.text for s in translation] == [s.text for s in aligned]:
        return [own.model_copy(update={"source": s.source}) for own, s in zip(aligned, translation, strict=True)]
    words = [word for segment in aligned for word in segment.words]
    result = []
    for segment in translation:
        covered = words[segment.source[0] : segment.source[1] + 1] if segment.source else []
        better = any(word.engine_start is not None for word in covered)
        result.append(_moved(segment, covered[0].start, covered[-1].end) if better else segment)
    return result


def _moved(segment: Segment, start: float, end: float) -> Segment:
    """The segment from `start` to `end`, its words' times in proportion."""
    scale = (end - start) / (segment.end - segment.start) if segment.end > segment.start else 0.0

    def at(moment: float) -> float:
        return min(end, max(start, start + (moment - segment.start) * scale))

    words = [
        w.model_copy(update={"start": at(w.start), "end": at(w.end), "engine_start": w.start, "engine_end": w.end}) for w in segment.words
    ]
    return segment.model_copy(update={"start": start, "end": end, "words": words})


def _plausible(times: Sequence[Time], words: Sequence[Word], speech: Sequence[Span]) -> list[tuple[float, float]] | None:
    """(start, end) of every word, or None when one of them cannot be right."""
    if not any(times):
        return None
    pairs = [_within(start, end, speech) for start, end in _filled(times, words)]
    right = all(0 <= end - start <= MAX_WORD_S and _distance(start, end, speech) <= MAX_OUTSIDE_S for start, end in pairs)
    return pairs if right and all(a[0] <= b[0] for a, b in pairwise(pairs)) else None


def _filled(times: Sequence[Time], words: Sequence[Word]) -> list[tuple[float, float]]:
    """`times` with what is missing put between its neighbours: each word a share of the gap by its length.

    At the edge of a segment, where there is one neighbour, the engine's time is the other.
    """
    filled: list[tuple[float, float]] = []
    index = 0
    while index < len(times):
        known = times[index]
        if known:
            filled.append(known)
            index += 1
            continue
        following = next((n for n in range(index, len(times)) if times[n]), len(times))
        right = times[following] if following < len(times) else None
        left = filled[-1][1] if filled else None
        start = left if left is not None else min(words[index].start, right[0] if right else words[index].start)
        end = right[0] if right else max(start, words[-1].end)
        filled += _shares(start, max(start, end), [len(word.word) for word in words[index:following]])
        index = following
    return filled


def _shares(start: float, end: float, lengths: Sequence[int]) -> list[tuple[float, float]]:
    """`start`…`end` in parts that are as long as `lengths` (letters) say."""
    total = sum(lengths) or 1
    edges = [start + (end - start) * sum(lengths[:n]) / total for n in range(len(lengths) + 1)]
    return list(pairwise(edges))


def _within(start: float, end: float, speech: Sequence[Span]) -> tuple[float, float]:
    """A word ends no later than the speech it begins in: CTC counts the silence behind a word as part of it."""
    around = next((s for s in speech if s.start <= start < s.end), None)
    return (start, min(end, around.end)) if around else (start, end)


def _distance(start: float, end: float, speech: Sequence[Span]) -> float:
    """Seconds between a word and the nearest speech; 0 when they share some."""
    return min((max(s.start - end, start - s.end, 0.0) for s in speech), default=float("inf"))


def _with(segment: Segment, pairs: Sequence[tuple[float, float]]) -> Segment:
    words = [
        word.model_copy(update={"start": start, "end": end, "engine_start": word.start, "engine_end": word.end})
        for word, (start, end) in zip(segment.words, pairs, strict=True)
    ]
    return segment.model_copy(update={"start": words[0].start, "end": words[-1].end, "words": words})


def _marked(segment: Segment) -> Segment:
    return segment.model_copy(update={"marks": [*segment.marks, MARK]}) if segment.words else segment


def _drop_disorder(segments: Sequence[Segment], chosen: list[Segment | None]) -> None:
    """Take back alignments until no segment begins before the last word of the one before it, unless its engine said so."""
    disordered = True
    while disordered:
        disordered = False
        for n in range(1, len(segments)):
            before, after = chosen[n - 1] or segments[n - 1], chosen[n] or segments[n]
            if not (before.words and after.words) or before.words[-1].start <= after.words[0].start:
                continue
            if chosen[n - 1] or chosen[n]:
                chosen[n - 1] = chosen[n] = None
                disordered = True


def _without_overlap(segments: Sequence[Segment], chosen: Sequence[Segment | None]) -> list[Segment]:
    """An aligned segment ends where the next begins, at the latest."""
    result = list(segments)
    for n, (segment, after) in enumerate(pairwise(segments)):
        if chosen[n] and segment.end > after.start >= segment.words[-1].start:
            last = segment.words[-1].model_copy(update={"end": after.start})
            result[n] = segment.model_copy(update={"end": after.start, "words": [*segment.words[:-1], last]})
    return result


def _heard_out(segments: Sequence[Segment], speech: Sequence[Span]) -> list[Segment]:
    """The last aligned word before a pause lasts until the detectors hear the speech end, unless that is too far to be its own."""
    result = list(segments)
    starts = [s.words[0].start for s in segments if s.words]
    for n, segment in enumerate(segments):
        if not segment.words or segment.words[-1].engine_start is None:
            continue
        last = segment.words[-1]
        around = next((s for s in speech if s.start <= last.end <= s.end), None)
        if around is None or any(last.start < start < around.end for start in starts):
            continue
        end = around.end - PAD_S
        if last.end < end <= min(last.end + MAX_TAIL_S, last.start + MAX_WORD_S):
            result[n] = segment.model_copy(update={"end": end, "words": [*segment.words[:-1], last.model_copy(update={"end": end})]})
    return result
