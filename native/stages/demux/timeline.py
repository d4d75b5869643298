"""Decoded sound, put where its timestamps say: sample 0 of the WAV is the movie's time 0.

ffmpeg's own `aresample=async=1:first_pts=0` does this, too, until a broadcast changes its channel layout: ffmpeg then starts its
filters anew and they put in the silence from 0 once more.
"""

from __future__ import annotations

import sys
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reelscribe.errors import BadInputError
from reelscribe.wav import SAMPLE_RATE

_SAMPLE_BYTES = 2
# One frame at 25 fps. Smaller jumps are rounding (Matroska's timestamps are milliseconds): mending them would only make clicks.
_TOLERANCE = SAMPLE_RATE // 25
# Timestamps this far behind the movie's end are wrong: what carries them goes where the sound stands.
_BEYOND_S = 60
# A WAV says its length in 32 bits: 37 hours.
MOST_SAMPLES = (2**32 - 64) // _SAMPLE_BYTES


@dataclass
class Placed:
    """What was written, in samples; `filled`: silence put into gaps, `dropped`: sound left out where timestamps overlap."""

    num_samples: int = 0
    offset: int = 0
    filled: int = 0
    dropped: int = 0


def place(packets: Iterable[tuple[int, bytes]], wav: Path, duration: float, end: int | None = None, *, most: int = MOST_SAMPLES) -> Placed:
    """Write `packets` to `wav`: (first sample on the movie's timeline, 16-bit mono PCM at 16 kHz) each, in order.

    duration: the movie's, in seconds; 0 when unknown. end: the sample to stop at; what is before it is the same with and without.
    most: samples beyond which nobody believes the file. Raises BadInputError.
    """
    placed = Placed()
    last = round((duration + _BEYOND_S) * SAMPLE_RATE) if duration else None
    with wave.open(str(wav), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(_SAMPLE_BYTES)
        f.setframerate(SAMPLE_RATE)
        begun = False
        for start, data in packets:
            gap = start - placed.num_samples
            if (begun and abs(gap) <= _TOLERANCE) or (last is not None and start > last):
                gap = 0
            room = sys.maxsize if end is None else end - placed.num_samples
            if gap > 0:
                gap = min(gap, room)
                _refuse_length(placed.num_samples + gap, most)
                _silence(f, gap)
                placed.num_samples += gap
                placed.filled += gap if begun else 0
                placed.offset = placed.offset if begun else gap
            elif gap < 0:
                kept = data[-gap * _SAMPLE_BYTES :]
                placed.dropped += (len(data) - len(kept)) // _SAMPLE_BYTES
                data = kept
            data = data[: (room - max(0, gap)) * _SAMPLE_BYTES]
            _refuse_length(placed.num_samples + len(data) // _SAMPLE_BYTES, most)
            f.writeframesraw(data)
            placed.num_samples += len(data) // _SAMPLE_BYTES
            begun = True
            if placed.num_samples == end:
                break
    return placed


def _refuse_length(num_samples: int, most: int) -> None:
    if num_samples > most:
        raise BadInputError(
            f"the sound lasts longer than {most / SAMPLE_RATE / 3600:.1f} hours, as no such file can: timestamps or sample rate are wrong",
            remedy="write its container anew (ffmpeg -i MOVIE -map 0 -c copy NEW.mkv), or cut it into parts",
        )


def _silence(f: wave.Wave_write, num_samples: int) -> None:
    """In blocks: a track may begin an hour into the movie."""
    while num_samples > 0:
        block = min(num_samples, 60 * SAMPLE_RATE)
        f.writeframesraw(bytes(block * _SAMPLE_BYTES))
        num_samples -= block
