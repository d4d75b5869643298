"""Bias windows: which names the decoder is told to expect, every few seconds of the movie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pre_ner import glossary_file
from reelscribe.schemas import BiasWindow, BiasWindows, Term

# Below are actors, crew and guesses: told to expect them, a decoder hears them in noise and silence.
LEAST_WEIGHT = 0.2
# What subtitles or a chapter's title name there comes before everything but what the user asked for.
MENTION_BONUS = 0.5


def plan(duration: float, terms: Sequence[Term], *, window_s: float, stride_s: float, limit: int) -> BiasWindows:
    """Windows of `window_s` every `stride_s` over `duration` seconds, each with the `limit` most important terms."""
    windows = [
        BiasWindow(start=start, end=end, terms=_expected(start, end, terms)[:limit]) for start, end in _spans(duration, window_s, stride_s)
    ]
    return BiasWindows(window_s=window_s, stride_s=stride_s, windows=windows)


def _spans(duration: float, window_s: float, stride_s: float) -> Iterator[tuple[float, float]]:
    """The last windows end with the movie."""
    count = 0
    while count == 0 or count * stride_s < duration:
        start = count * stride_s
        yield start, min(start + window_s, duration)
        count += 1


def _expected(start: float, end: float, terms: Sequence[Term]) -> list[str]:
    """Texts of the terms that may be spoken between `start` and `end`, the most important first, each once."""
    there = [t for t in terms if t.weight >= LEAST_WEIGHT and _overlaps(t, start, end)]

    def importance(term: Term) -> tuple[bool, float]:
        mentioned = any(m.start < end and start < m.end for m in term.mentions)
        return term.weight >= glossary_file.WEIGHT, term.weight + MENTION_BONUS * mentioned

    return list(dict.fromkeys(term.text for term in sorted(there, key=importance, reverse=True)))


def _overlaps(term: Term, start: float, end: float) -> bool:
    return term.start is None or term.end is None or (term.start < end and start < term.end)
