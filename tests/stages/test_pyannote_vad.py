"""pyannote-vad finds the speech of the example, the same each time, and says which model it used."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from pyannote.core import Annotation, Segment, Timeline
from pyannote.database.util import load_rttm
from pyannote.metrics.detection import DetectionErrorRate

from reelscribe.pyannote_models import COMMUNITY, Segmentation
from reelscribe.stage_table import ROOT

EXAMPLE = ROOT / "examples" / "station.mp4"
TOKEN = "hf_a_token_of_mine"


@pytest.fixture
def station(movie_dir: Path) -> Path:
    """A movie directory with the example's sound."""
    audio = movie_dir / "audio" / "audio.wav"
    audio.parent.mkdir()
    tool = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-i", str(EXAMPLE)]
    subprocess.run([*tool, "-vn", "-ac", "1", "-ar", "16000", str(audio)], check=True)
    return movie_dir


def vad(movie_dir: Path):
    return json.loads((movie_dir / "vad" / "pyannote.json").read_text())


def record(movie_dir: Path):
    return json.loads((movie_dir / "manifests" / "05_pyannote-vad.json").read_text())


def products(movie_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (movie_dir / "vad").iterdir()}


def test_the_speech_of_the_example(station, run_stage):
    done = run_stage("pyannote-vad", station)

    found = vad(station)
    segments = [Segment(s["start"], s["end"]) for s in found["segments"]]
    assert all(0.5 < s["score"] <= 1 for s in found["segments"])
    assert all(before.end < after.start for before, after in itertools.pairwise(segments))
    assert segments[0].start >= 0 and segments[-1].end <= found["duration"]
    reference = load_rttm(ROOT / "examples" / "station" / "station.rttm")["station"]
    hypothesis = Annotation.from_records((s, "_", "speech") for s in segments)
    error = DetectionErrorRate()(reference, hypothesis, uem=Timeline([Segment(0, found["duration"])]))
    assert error < 0.15, "the pauses that are kept, and the pads, are most of it"

    assert done.stdout.splitlines() == [str(station / "vad" / name) for name in ("pyannote.json", "segmentation.npz")]
    for chatter in ("torchcodec", "Lightning", "Warning"):
        assert chatter not in done.stderr
    assert record(station)["fallbacks"] == []

    segmentation = Segmentation.read(station / "vad" / "segmentation.npz")
    assert (segmentation.duration_s, segmentation.step_s) == (5.0, 0.5)
    assert segmentation.scores.shape == (np.ceil((found["duration"] - 5.0) / 0.5) + 1, 293, 3)

    before = products(station)
    run_stage("pyannote-vad", station, options=["--force"], env={"HF_TOKEN": TOKEN})
    assert products(station) == before, "the same bytes come out again"
    (fallback,) = record(station)["fallbacks"]
    assert "HF_TOKEN" in fallback and COMMUNITY.repo in fallback, "a token alone is no model"
    said = [path.read_text() for folder in ("logs", "manifests") for path in (station / folder).iterdir()]
    assert TOKEN not in "".join(said)


@pytest.mark.parametrize(("seconds", "num_windows"), [(0.05, 1), (12.2, 16)])
def test_silence_of_any_length(movie_dir, run_stage, make_wav, seconds, num_windows):
    make_wav(movie_dir / "audio" / "audio.wav", np.zeros(round(seconds * 16000)))
    done = run_stage("pyannote-vad", movie_dir)
    assert vad(movie_dir)["segments"] == []
    assert "no speech was found" in done.stderr
    assert len(Segmentation.read(movie_dir / "vad" / "segmentation.npz").scores) == num_windows


def test_a_broken_community_1_is_refused_as_what_is_no_data_may_be_a_program(movie_dir, run_stage, make_wav, tmp_path):
    make_wav(movie_dir / "audio" / "audio.wav", seconds=1)
    for name in COMMUNITY.files:
        path = tmp_path / "models" / "speaker-diarization-community-1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not what it should be")
    done = run_stage("pyannote-vad", movie_dir, env={"MODELS_DIR": str(tmp_path / "models")}, check=False)
    assert done.returncode == 4
    assert "is no plain data" in done.stderr and "else remove it" in done.stderr
    assert not (movie_dir / "vad").exists()


def test_speech_cannot_end_above_where_it_begins(movie_dir, run_stage, make_wav):
    make_wav(movie_dir / "audio" / "audio.wav")
    done = run_stage("pyannote-vad", movie_dir, options=["--onset=0.3", "--offset=0.4"], check=False)
    assert done.returncode == 2
    assert "PYANNOTE_OFFSET (0.4) is greater than PYANNOTE_ONSET (0.3)" in done.stderr
