"""pyannote's SpeakerDiarization for whole movies: the same results, without what would grow with a movie into gigabytes.

Sound is read window by window. What pyannote makes of all windows at once (64 bits for each frame, window and voice, and Python's lists
of such) is made of some windows at a time. Only clustering sees everything, and of a long movie it sees a sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyannote.audio.pipelines import SpeakerDiarization
from pyannote.audio.pipelines.clustering import AgglomerativeClustering, VBxClustering
from pyannote.audio.utils.signal import binarize
from pyannote.core import Segment, SlidingWindow, SlidingWindowFeature

from reelscribe import wav
from reelscribe.pyannote_models import Segmentation

# Clustering holds the distances of each to each, twice, as float64: of so many voices of windows half a gigabyte. A movie in which
# somebody speaks all the time has two a second (embedded models).
MAX_CLUSTERED = 8000
_SOME = 1024  # windows, or 64 times as many frames


class MovieDiarization(SpeakerDiarization):
    """Takes what audio_file() gives. `given`: the segmentation that there is already, or None."""

    given: Segmentation | None = None

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._audio = _Sound()
        metric = self._embedding.metric
        if self.klustering == "AgglomerativeClustering":
            self.clustering = _SampledAgglomerative(metric=metric)
        elif self.klustering == "VBxClustering":
            self.clustering = _SampledVBx(self._plda, metric=metric)

    def get_segmentations(self, file: Mapping[str, Any], hook: Any = None) -> SlidingWindowFeature:
        """The given one; else pyannote's own, which wants the whole movie in memory."""
        if self.given is None:
            samples = torch.from_numpy(wav.read(file["audio"]))[None]
            found = super().get_segmentations({**file, "waveform": samples, "sample_rate": wav.SAMPLE_RATE}, hook=hook)
            return Windows(found.data, found.sliding_window)
        step = SlidingWindow(start=0.0, duration=self.given.duration_s, step=self.given.step_s)
        return Windows(self.given.scores, step)

    def reconstruct(
        self, segmentations: SlidingWindowFeature, hard_clusters: np.ndarray, count: SlidingWindowFeature
    ) -> SlidingWindowFeature:
        """(num_frames, num_voices), 1 where one speaks: in each frame the `count` voices with the highest scores in all windows."""
        num_voices = max(hard_clusters.max() + 1, count.data.max())
        frames = count.sliding_window
        active = np.zeros((len(count.data), num_voices), np.float32)
        for (window, scores), clusters in zip(segmentations, hard_clusters, strict=True):
            first = frames.closest_frame(window.start + 0.5 * frames.duration)
            for voice in set(clusters.tolist()) - {-2}:
                of_voice = active[first : first + len(scores), voice]
                of_voice += scores[: len(of_voice), clusters == voice].max(axis=1)
        for first in range(0, len(active), 64 * _SOME):
            some = active[first : first + 64 * _SOME]
            chosen = np.arange(num_voices) < count.data[first : first + 64 * _SOME]
            order = np.argsort(-some, axis=-1)
            np.put_along_axis(some, order, chosen.astype(np.float32), axis=-1)
        return SlidingWindowFeature(active, frames)


def audio_file(path: Path, uri: str) -> dict[str, Any]:
    """The movie's audio as MovieDiarization takes it."""
    return {"audio": str(path), "uri": uri}


class _Sound:
    """Stands in for pyannote's Audio, which decodes files by itself or has all of them in memory."""

    def crop(self, file: Mapping[str, Any], window: Segment, mode: str = "pad") -> tuple[torch.Tensor, int]:
        """(1, num_samples), filled up with silence behind the end of the file, and the sample rate."""
        samples = wav.read(file["audio"], window.start, window.end)
        missing = round(window.end * wav.SAMPLE_RATE) - round(window.start * wav.SAMPLE_RATE) - len(samples)
        return torch.from_numpy(np.pad(samples, (0, missing)))[None], wav.SAMPLE_RATE


# -- windows ------------------------------------------------------------------------------------------------------------


class Windows(SlidingWindowFeature):
    """(num_windows, num_frames, num_voices) scores."""


@binarize.register
def _binarized(scores: Windows, onset: float = 0.5, offset: float | None = None, initial_state: bool | None = None) -> SlidingWindowFeature:
    """What pyannote makes of them, of some windows at a time."""
    binary = np.empty(scores.data.shape, np.float32)
    for first in range(0, len(binary), _SOME):
        some = SlidingWindowFeature(scores.data[first : first + _SOME].astype(np.float32), scores.sliding_window)
        binary[first : first + _SOME] = binarize(some, onset=onset, offset=offset, initial_state=initial_state).data
    return SlidingWindowFeature(binary, scores.sliding_window)


# -- clustering ---------------------------------------------------------------------------------------------------------


class _Sampled:
    """Clustering of at most MAX_CLUSTERED voices of windows; of more, those of every n-th window. All find their cluster afterwards, as
    pyannote does it anyway. Windows overlap by nine tenths, so that of two neighbours the second says little that is new.
    """

    num_voices = 0  # of windows, in all
    step = 1

    def filter_embeddings(self, *given: Any, **more: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        embeddings, windows, voices = super().filter_embeddings(*given, **more)  # type: ignore[misc]
        self.num_voices = len(embeddings)
        self.step = max(1, -(-self.num_voices // MAX_CLUSTERED))
        kept = windows % self.step == 0
        return embeddings[kept], windows[kept], voices[kept]


class _SampledVBx(_Sampled, VBxClustering):
    """community-1's."""


class _SampledAgglomerative(_Sampled, AgglomerativeClustering):
    """That of the embedded models: a voice has to be heard for as many seconds, whatever the sample."""

    def cluster(self, *given: Any, **more: Any) -> np.ndarray:
        of_all = self.min_cluster_size
        self.min_cluster_size = max(1, round(of_all / self.step))
        try:
            return super().cluster(*given, **more)
        finally:
            self.min_cluster_size = of_all
