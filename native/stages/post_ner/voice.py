"""How high a voice speaks: the median pitch of some of its turns, and whether that is a woman's or a man's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reelscribe import wav
from reelscribe.schemas import Turn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENOUGH_S = 20.0  # of each voice
MIN_TURN_S = 1.0
LOWEST_HZ, HIGHEST_HZ = 60.0, 400.0
_FRAME_S, _HOP_S = 0.04, 0.02
_VOICED = 0.5  # of a frame's energy repeats after a period
_MIN_FRAMES = 50
# Between the two nobody can tell. Means of adults are near 120 and 210 Hz (Traunmüller and Eriksson 1995).
MALE_BELOW_HZ, FEMALE_ABOVE_HZ = 145.0, 175.0


def sounds_like(audio: Path, exclusive: Sequence[Turn]) -> dict[str, tuple[str, float]]:
    """By voice: "female" or "male", and the pitch in Hz; a voice between both or heard too little is left out."""
    import numpy as np

    longest = sorted((t for t in exclusive if t.end - t.start >= MIN_TURN_S), key=lambda t: (t.start - t.end, t.start))
    pitches: dict[str, list[float]] = defaultdict(list)
    heard_s: dict[str, float] = defaultdict(float)
    for turn in longest:
        if heard_s[turn.speaker] < ENOUGH_S:
            heard_s[turn.speaker] += turn.end - turn.start
            pitches[turn.speaker] += pitch_hz(wav.read(audio, turn.start, turn.end)).tolist()
    medians = {label: float(np.median(found)) for label, found in pitches.items() if len(found) >= _MIN_FRAMES}
    return {
        label: ("male" if median < MALE_BELOW_HZ else "female", median)
        for label, median in medians.items()
        if median < MALE_BELOW_HZ or median > FEMALE_ABOVE_HZ
    }


def pitch_hz(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Pitch of every voiced frame by autocorrelation. samples: (num_samples,) float32, 16 kHz mono; returns (num_voiced_frames,)."""
    import numpy as np

    frame, hop = round(_FRAME_S * wav.SAMPLE_RATE), round(_HOP_S * wav.SAMPLE_RATE)
    if len(samples) < frame:
        return np.empty(0)
    frames = np.lib.stride_tricks.sliding_window_view(samples, frame)[::hop].astype(np.float64)
    frames = (frames - frames.mean(axis=1, keepdims=True)) * np.hanning(frame)
    repeated = np.fft.irfft(np.abs(np.fft.rfft(frames, 2 * frame)) ** 2)[:, :frame]
    # The window fades the overlap: what it would leave of a steady tone is divided out.
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(frame), 2 * frame)) ** 2)[:frame]
    loud = repeated[:, 0] > 0.1 * np.median(repeated[:, 0])
    likeness = repeated[loud] / np.maximum(repeated[loud, :1], 1e-12) / np.maximum(window / window[0], 0.05)
    shortest, longest = round(wav.SAMPLE_RATE / HIGHEST_HZ), round(wav.SAMPLE_RATE / LOWEST_HZ)
    searched = likeness[:, shortest - 1 : longest + 1]
    best = searched[:, 1:-1].max(axis=1)
    peaks = (searched[:, 1:-1] >= searched[:, :-2]) & (searched[:, 1:-1] >= searched[:, 2:])
    # Of periods that repeat nearly as well, the shortest: its multiples repeat, too.
    period = shortest + np.argmax(peaks & (searched[:, 1:-1] >= 0.9 * best[:, None]), axis=1)
    return wav.SAMPLE_RATE / period[best > _VOICED]
