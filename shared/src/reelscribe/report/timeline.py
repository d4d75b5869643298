"""What happens when, for the timeline: speech, voices, shots, chunks, chapters and speech that nobody wrote down. Seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from reelscribe.report.sources import Sources
from reelscribe.schemas import Span

HOLE_S = 1.0  # shorter stretches of speech without a word are breath and laughter
_REACH_S = 0.5  # a word is heard a little before and after where its times say
_VAD_NAMES = {"silero": "Silero", "pyannote": "pyannote"}

Interval = tuple[float, float]


def collect(sources: Sources) -> dict[str, Any]:
    """Every lane that there is something for; intervals are [start, end]."""
    media, plan, diarization = sources.media, sources.plan, sources.diarization
    return {
        "duration": duration(sources),
        "speech": [
            {"name": _VAD_NAMES[name], "spans": [[s.start, s.end] for s in vad.segments]} for name, vad in sources.vads.items() if vad
        ],
        "turns": [[turn.start, turn.end, turn.speaker] for turn in diarization.turns] if diarization else [],
        "holes": holes(sources),
        "shots": sources.shots.cuts if sources.shots else [],
        "chapters": [[c.start, c.end, c.title] for c in media.chapters] if media else [],
        "chunks": [_chunk(sources, chunk.id, chunk) for chunk in plan.chunks] if plan else [],
    }


def duration(sources: Sources) -> float:
    """The movie's; 0 when nobody knows."""
    known = [sources.media.duration if sources.media else 0.0, sources.transcript.duration if sources.transcript else 0.0]
    known += [vad.duration for vad in sources.vads.values() if vad]
    return max(known)


def _chunk(sources: Sources, number: int, span: Span) -> dict[str, Any]:
    decoded = sources.chunks.get(number)
    return {"start": span.start, "end": span.end, "decoded": decoded is not None, "degraded": decoded.degraded if decoded else []}


def holes(sources: Sources) -> list[Interval]:
    """Speech that both detectors hear and no word covers, of HOLE_S and more. [] while there is no transcript."""
    heard = [[(s.start, s.end) for s in vad.segments] for vad in sources.vads.values() if vad]
    if not heard or sources.transcript is None:
        return []
    speech = heard[0] if len(heard) == 1 else both(*heard)
    words = (word for segment in sources.transcript.segments for word in segment.words)
    written = [(word.start - _REACH_S, word.end + _REACH_S) for word in words]
    left = without(speech, written)
    return [(round(start, 3), round(end, 3)) for start, end in left if end - start >= HOLE_S]


def both(first: Sequence[Interval], second: Sequence[Interval]) -> list[Interval]:
    """Where both have an interval. Each is in order and without overlap."""
    found, a, b = [], 0, 0
    while a < len(first) and b < len(second):
        start, end = max(first[a][0], second[b][0]), min(first[a][1], second[b][1])
        if start < end:
            found.append((start, end))
        if first[a][1] < second[b][1]:
            a += 1
        else:
            b += 1
    return found


def without(intervals: Iterable[Interval], removed: Iterable[Interval]) -> list[Interval]:
    """What of `intervals`, in order, lies in none of `removed`, in any order."""
    gone = sorted(removed)
    left, first = [], 0
    for start, end in intervals:
        while first < len(gone) and gone[first][1] <= start:
            first += 1
        at, n = start, first
        while n < len(gone) and gone[n][0] < end:
            if gone[n][0] > at:
                left.append((at, gone[n][0]))
            at = max(at, gone[n][1])
            n += 1
        if at < end:
            left.append((at, end))
    return left
