"""The plan: which windows are decoded, with which terms, in which chunks.

A pure function of what the detectors heard, the audio, the glossary and the options; never of decoded text, so that neither order nor
resuming nor scattering can change a word.
"""

from __future__ import annotations

from collections.abc import Sequence

from asr.speech import PAD_S, Quietest, union
from reelscribe.schemas import BiasWindow, Chunk, Glossary, Plan, Span, Vad, Window

# What every Whisper decodes at once; PocketSphinx has no limit, but shares the plan.
MAX_WINDOW_S = 30.0
# A window does not span a longer silence: nobody talks there, and decoders invent words on music and noise.
MAX_PAUSE_S = 5.0
# At least this much of over-long speech is left on either side of a cut.
_MIN_REST_S = 1.0
# What is longer than this is decoded chunk by chunk even where memory is no concern: a crash then costs one chunk.
WHOLE_FILE_LIMIT_S = 600.0


def make_plan(
    vads: Sequence[Vad],
    duration: float,
    quietest: Quietest,
    bias: Sequence[BiasWindow],
    glossary: Glossary,
    chunk_s: float | None,
    batch: int = 1,
) -> Plan:
    """The plan. `bias`: the terms by time, none for decoding without; `chunk_s`: length of a chunk, None for one chunk.

    `batch`: how many windows are decoded together.
    """
    heard = [segment for vad in vads for segment in vad.segments]
    stretches = split_long(union(heard, duration, pad_s=PAD_S), quietest)
    windows = [
        Window(id=number, start=group[0].start, end=group[-1].end, speech=group, terms=terms_at(group[0].start, group[-1].end, bias))
        for number, group in enumerate(pack(stretches))
    ]
    used = {text for window in windows for text in window.terms}
    terms = [term for term in glossary.terms if term.text in used]
    return Plan(duration=duration, speech=union(heard, duration), windows=windows, chunks=make_chunks(windows, chunk_s, batch), terms=terms)


def split_long(stretches: Sequence[Span], quietest: Quietest) -> list[Span]:
    """Speech without a pause for longer than a window is cut where it is quietest in the second half of what a window holds."""
    parts = []
    for stretch in stretches:
        start = stretch.start
        while stretch.end - start > MAX_WINDOW_S:
            latest = min(start + MAX_WINDOW_S, stretch.end - _MIN_REST_S)
            cut = round(quietest(start + MAX_WINDOW_S / 2, latest), 3)
            parts.append(Span(start=start, end=cut))
            start = cut
        parts.append(Span(start=start, end=stretch.end))
    return parts


def pack(stretches: Sequence[Span]) -> list[list[Span]]:
    """Neighbouring stretches in groups that fit into a window."""
    groups: list[list[Span]] = []
    for stretch in stretches:
        last = groups[-1] if groups else None
        if last and stretch.end - last[0].start <= MAX_WINDOW_S and stretch.start - last[-1].end <= MAX_PAUSE_S:
            last.append(stretch)
        else:
            groups.append([stretch])
    return groups


def terms_at(start: float, end: float, bias: Sequence[BiasWindow]) -> list[str]:
    """The terms of the bias window that shares most with `start`…`end`; of those that hold it whole, the one that has it most central.

    Bias windows of 45 s every 15 s: one of them holds any window of 30 s as a whole.
    """

    def fit(window: BiasWindow) -> tuple[float, float]:
        shared = min(end, window.end) - max(start, window.start)
        return round(shared, 3), -abs(window.start + window.end - start - end)

    best = max(bias, key=fit, default=None)
    return list(best.terms) if best and fit(best)[0] > 0 else []


def make_chunks(windows: Sequence[Window], chunk_s: float | None, batch: int = 1) -> list[Chunk]:
    """Neighbouring windows in chunks of at most `chunk_s` seconds, or all in one, and in each in batches of `batch`."""
    chunks: list[Chunk] = []
    for window in windows:
        if chunks and (chunk_s is None or window.end - chunks[-1].start <= chunk_s):
            chunks[-1].windows.append(window.id)
            chunks[-1].end = window.end
        else:
            chunks.append(Chunk(id=len(chunks), start=window.start, end=window.end, windows=[window.id]))
    for chunk in chunks:
        chunk.batches = [chunk.windows[first : first + batch] for first in range(0, len(chunk.windows), batch)]
    return chunks


def uses_chunks(wanted: str, duration: float, device: str) -> bool:
    """Whether to decode by chunks: as `wanted` (always, never), or (auto) on MPS, whose memory grows, and for long movies."""
    return wanted == "always" or (wanted == "auto" and (device == "mps" or duration > WHOLE_FILE_LIMIT_S))
