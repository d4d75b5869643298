"""What diarization makes of a long movie piece by piece is what pyannote makes of it at once; a sample of windows finds the same voices."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from conftest import python_of

from reelscribe.stage_table import NATIVE

pytestmark = pytest.mark.timeout(600)

BEGIN = f"""
import sys, warnings
warnings.simplefilter("ignore")
sys.path.append({str(NATIVE / "stages")!r})
import numpy as np
from pyannote.audio.pipelines import SpeakerDiarization
from pyannote.audio.pipelines.clustering import AgglomerativeClustering
from pyannote.audio.utils.signal import binarize
from pyannote.core import Segment, SlidingWindow, SlidingWindowFeature
from diarization import movie
chance = np.random.default_rng(0)
"""
WINDOWS = """
step = SlidingWindow(start=0.0, duration=5.0, step=0.5)
scores = chance.random((60, 293, 3)).astype(np.float16)
scores[:, :, 2] *= chance.random((60, 1)) > 0.7
movie._SOME = 7
ours = binarize(movie.Windows(scores, step), onset=0.6, initial_state=False)
theirs = binarize(SlidingWindowFeature(scores.astype(np.float32), step), onset=0.6, initial_state=False)
assert np.array_equal(ours.data, theirs.data) and 0.1 < ours.data.mean() < 0.9
frames = SlidingWindow(start=0.0, duration=0.0619375, step=0.016875)
count = SpeakerDiarization.speaker_count(theirs, frames, warm_up=(0.0, 0.0))
clusters = chance.integers(0, 5, (60, 3)).astype(np.int8)
clusters[theirs.data.sum(axis=1) == 0] = -2
assert (clusters == -2).any() and count.data.max() > 1
for most in (255, 1):
    counted = SlidingWindowFeature(np.minimum(count.data, most), count.sliding_window)
    ours = movie.MovieDiarization.reconstruct(None, movie.Windows(scores, step), clusters, counted)
    theirs = SpeakerDiarization.reconstruct(SpeakerDiarization, SlidingWindowFeature(scores.astype(np.float32), step), clusters, counted)
    assert np.array_equal(ours.data, theirs.data) and vars(ours.sliding_window) == vars(theirs.sliding_window)
    assert ours.data.sum() == counted.data.sum() > 0
"""
SAMPLE = """
voices = chance.normal(size=(4, 256))
# Two people talk at a time, always in the same places of a window; the last one says little.
who = np.array([[i // 100 % 3, (i // 100 + 1) % 3] for i in range(600)])
who[300:312, 1] = 3
embeddings = voices[who] + 0.5 * chance.normal(size=(600, 2, 256))
said = SlidingWindowFeature(np.tile(np.repeat(np.eye(2), 50, axis=0), (600, 1, 1)), SlidingWindow(start=0.0, duration=5.0, step=0.5))
found = {}
for cls, most in ((AgglomerativeClustering, 0), (movie._SampledAgglomerative, 8000), (movie._SampledAgglomerative, 400)):
    movie.MAX_CLUSTERED = most
    clustering = cls(metric="cosine").instantiate({"method": "average", "threshold": 0.5, "min_cluster_size": 12})
    hard, _, _ = clustering(embeddings=embeddings, segmentations=said, min_clusters=1, max_clusters=20)
    found[most] = [tuple(sorted(set(hard[who == voice].tolist()))) for voice in range(4)]
    print(most, getattr(clustering, "step", None), clustering.min_cluster_size, found[most])
assert clustering.step == 3 and clustering.num_voices == 1200 and clustering.min_cluster_size == 12
for voices in found.values():
    assert len(set(voices)) == 4 and all(len(labels) == 1 for labels in voices), voices
"""


def check(code: str) -> None:
    """In the stage's environment."""
    done = subprocess.run(
        [python_of("diarization"), "-c", BEGIN + code], capture_output=True, text=True, env={"PYANNOTE_METRICS_ENABLED": "0"}
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_windows_some_at_a_time():
    check(WINDOWS)


def test_a_sample_of_windows():
    check(SAMPLE)


def test_sound_by_the_window(tmp_path, make_wav):
    make_wav(tmp_path / "audio.wav", np.linspace(-0.5, 0.5, 48000))
    code = f"""
samples, rate = movie._Sound().crop({{"audio": {str(tmp_path / "audio.wav")!r}}}, Segment(2.5, 7.5))
assert rate == 16000 and samples.shape == (1, 80000)
assert abs(samples[0, 7999] - 0.5) < 1e-3 and not samples[0, 8000:].any()
"""
    check(code)
