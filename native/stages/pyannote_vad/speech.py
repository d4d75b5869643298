"""From the segmentation to stretches of speech."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyannote.audio import Inference
from pyannote.audio.utils.signal import Binarize
from pyannote.core import SlidingWindow, SlidingWindowFeature

from reelscribe.pyannote_models import Segmentation
from reelscribe.schemas import SpeechSegment


def speech_scores(segmentation: Segmentation, frames: Any) -> SlidingWindowFeature:
    """(num_frames, 1): how sure it is that anybody speaks, all windows that saw the frame averaged.

    frames: pyannote's SlidingWindow of one frame.
    """
    anybody = segmentation.scores.max(axis=-1, keepdims=True).astype(np.float32)
    windows = SlidingWindow(start=0.0, duration=segmentation.duration_s, step=segmentation.step_s)
    return Inference.aggregate(SlidingWindowFeature(anybody, windows), frames, hamming=True, missing=0.0)


def find_speech(scores: SlidingWindowFeature, duration_s: float, **limits: float) -> list[SpeechSegment]:
    """Speech in order and without overlap, with the mean score of its frames; nothing beyond `duration_s`. limits: Binarize's own."""
    window = scores.sliding_window
    middles = window.start + window.duration / 2 + window.step * np.arange(len(scores.data))
    found = []
    for region in Binarize(**limits)(scores).get_timeline().support():
        start, end = max(0.0, region.start), min(duration_s, region.end)
        inside = scores.data[(middles >= start) & (middles < end), 0]
        if inside.size:
            found.append(SpeechSegment(start=start, end=end, score=float(inside.mean())))
    return found
