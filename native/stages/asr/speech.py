"""What both voice activity detectors heard, and where long speech is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from reelscribe import wav
from reelscribe.schemas import Span

Quietest = Callable[[float, float], float]

# A detector is late at soft consonants and early at dying vowels. A pause shorter than twice this is no place to cut.
PAD_S = 0.2
_SMOOTH_S = 0.2
_HOP_S = 0.01


def union(spans: Iterable[Span], duration: float, *, pad_s: float = 0.0) -> list[Span]:
    """`spans` widened by `pad_s`, within 0…`duration`, in order; what touches is one. Whatever either detector heard is in it."""
    widened = sorted((max(0.0, s.start - pad_s), min(duration, s.end + pad_s)) for s in spans)
    merged: list[Span] = []
    for start, end in widened:
        if merged and start <= merged[-1].end:
            merged[-1].end = max(merged[-1].end, end)
        elif end > start:
            merged.append(Span(start=start, end=end))
    return [Span(start=round(s.start, 3), end=round(s.end, 3)) for s in merged]


def uncovered(speech: Sequence[Span], windows: Sequence[Span]) -> list[Span]:
    """The parts of `speech` that lie in none of `windows`. Both in order; a millisecond of rounding is no hole."""
    holes = []
    for span in speech:
        at = span.start
        for window in (w for w in windows if w.end > span.start and w.start < span.end):
            holes.append(Span(start=at, end=window.start))
            at = max(at, window.end)
        holes.append(Span(start=at, end=span.end))
    return [h for h in holes if h.end - h.start > 0.0015]


def quietest_in(audio: Path) -> Quietest:
    """A function that gives the middle of the quietest fifth of a second between two times of `audio`."""

    def quietest(start: float, end: float) -> float:
        import numpy as np

        hop = round(_HOP_S * wav.SAMPLE_RATE)
        samples = wav.read(audio, start, end)
        energy = np.square(samples[: len(samples) // hop * hop].reshape(-1, hop)).mean(axis=1)
        width = round(_SMOOTH_S / _HOP_S)
        if len(energy) < width:
            return (start + end) / 2
        smooth = np.convolve(energy, np.ones(width) / width, mode="valid")
        return start + (int(smooth.argmin()) + width / 2) * _HOP_S

    return quietest
