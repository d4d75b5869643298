"""diarization tells the three voices of the example apart, the same each time, and takes the segmentation that pyannote-vad left."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from conftest import python_of
from pyannote.core import Segment, Timeline
from pyannote.database.util import load_rttm
from pyannote.metrics.diarization import DiarizationErrorRate

from reelscribe import stage_table
from reelscribe.pyannote_models import COMMUNITY, Segmentation
from reelscribe.stage_table import ROOT

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, child_environment) -> Path:
    """A movie directory as pyannote-vad leaves it for the example."""
    movie_dir = tmp_path_factory.mktemp("diarization") / "station"
    audio = movie_dir / "audio" / "audio.wav"
    audio.parent.mkdir(parents=True)
    tool = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-i", str(ROOT / "examples" / "station.mp4")]
    subprocess.run([*tool, "-vn", "-ac", "1", "-ar", "16000", str(audio)], check=True)
    vad = [str(python_of("pyannote-vad")), str(stage_table.find("pyannote-vad").script), "--movie-dir", str(movie_dir)]
    subprocess.run(vad, check=True, env=child_environment)
    return movie_dir


@pytest.fixture
def station(prepared, tmp_path) -> Path:
    """A copy whose name has what RTTM cannot hold."""
    return shutil.copytree(prepared, tmp_path / "The last  train 🚂")


def diarization(movie_dir: Path):
    return json.loads((movie_dir / "diarization" / "diarization.json").read_text())


def record(movie_dir: Path):
    return json.loads((movie_dir / "manifests" / "06_diarization.json").read_text())


def products(movie_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (movie_dir / "diarization").iterdir()}


def speakers(movie_dir: Path) -> list[str]:
    return [speaker["label"] for speaker in diarization(movie_dir)["speakers"]]


def test_the_voices_of_the_example(station, run_stage, measured):
    done = run_stage("diarization", station)

    found = diarization(station)
    assert speakers(station) == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"]
    assert list(dict.fromkeys(turn["speaker"] for turn in found["turns"])) == speakers(station), "in the order they are first heard"
    exclusive = found["exclusive"]
    assert all(before["end"] <= after["start"] for before, after in itertools.pairwise(exclusive))
    for speaker in found["speakers"]:
        total_s = sum(turn["end"] - turn["start"] for turn in exclusive if turn["speaker"] == speaker["label"])
        assert speaker["total_s"] == pytest.approx(total_s, abs=0.02)
        assert speaker["nearest"] in set(speakers(station)) - {speaker["label"]}
        assert 0 < speaker["distance"] < 1

    ((uri, hypothesis),) = load_rttm(station / "diarization" / "diarization.rttm").items()
    assert uri == "The_last_train_🚂"
    turns = [(round(s.start, 2), label) for s, _, label in hypothesis.itertracks(yield_label=True)]
    assert turns == [(round(turn["start"], 2), turn["speaker"]) for turn in found["turns"]]
    reference = load_rttm(ROOT / "examples" / "station" / "station.rttm")["station"]
    error = DiarizationErrorRate()(reference, hypothesis, uem=Timeline([Segment(0, found["duration"])]))
    measured(f"diarization of examples/station.mp4: DER {error:.1%} (no collar, overlap scored)")
    assert error <= 0.20

    assert record(station)["notes"]["segmentation_reused"] is True
    assert record(station)["fallbacks"] == []
    for chatter in ("torchcodec", "Lightning", "Warning"):
        assert chatter not in done.stderr

    before = products(station)
    run_stage("diarization", station, options=["--force"])
    assert products(station) == before, "the same bytes come out again"


def test_the_segmentation_of_another_model_is_not_taken(station, movie_dir, run_stage, make_wav):
    samples, _ = soundfile.read(station / "audio" / "audio.wav", stop=10 * 16000)
    make_wav(movie_dir / "audio" / "audio.wav", samples)
    nobody = np.zeros((11, 293, 3), np.float16)
    (movie_dir / "vad").mkdir()
    Segmentation(nobody, duration_s=5.0, step_s=0.5, model="another").write(movie_dir / "vad" / "segmentation.npz")
    done = run_stage("diarization", movie_dir)
    assert "the segmentation is done again" in done.stderr
    assert record(movie_dir)["notes"]["segmentation_reused"] is False
    assert speakers(movie_dir) == ["SPEAKER_00", "SPEAKER_01"]


def test_the_user_knows_how_many_voices_there_are(station, run_stage):
    run_stage("diarization", station, options=["--max-speakers=2"])
    assert len(speakers(station)) == 2
    done = run_stage("diarization", station, options=["--min-speakers=3", "--max-speakers=2"], check=False)
    assert done.returncode == 2
    assert "MIN_SPEAKERS (3) is greater than MAX_SPEAKERS (2)" in done.stderr


def test_community_1_in_a_folder(station, run_stage, child_environment, tmp_path):
    """Its voices are random here, so who is who does not matter; that it is loaded, run and recorded does."""
    models = tmp_path / "models"
    recipe = ROOT / "tests" / "fixtures" / "recipe" / "community.py"
    made = [str(python_of("diarization")), str(recipe), str(models / "pyannote--speaker-diarization-community-1")]
    subprocess.run(made, check=True, env=child_environment)
    run_stage("diarization", station, env={"MODELS_DIR": str(models)})
    assert diarization(station)["model"] == COMMUNITY.repo
    assert record(station)["engine"]["name"] == "pyannote community-1"
    assert record(station)["fallbacks"] == []
    assert record(station)["notes"]["segmentation_reused"] is True, "it has the same segmentation model"
    assert speakers(station)


def test_nobody_speaks(movie_dir, run_stage, make_wav):
    make_wav(movie_dir / "audio" / "audio.wav", np.zeros(6 * 16000))
    run_stage("pyannote-vad", movie_dir)
    run_stage("diarization", movie_dir)
    found = diarization(movie_dir)
    assert (found["turns"], found["exclusive"], found["speakers"]) == ([], [], [])
    assert (movie_dir / "diarization" / "diarization.rttm").read_text() == ""


def test_a_damaged_segmentation(movie_dir, run_stage, make_wav):
    make_wav(movie_dir / "audio" / "audio.wav")
    (movie_dir / "vad").mkdir()
    (movie_dir / "vad" / "segmentation.npz").write_bytes(b"damaged")
    done = run_stage("diarization", movie_dir, check=False)
    assert done.returncode == 3
    assert "run the stage pyannote-vad again" in done.stderr


@pytest.mark.slow
def test_meetings(shared_media, child_environment, measured):
    """What docs and CHANGELOG say of real talk."""
    bench = [str(python_of("diarization")), str(ROOT / "tests" / "bench" / "diarization.py"), "--quick"]
    done = subprocess.run(bench, check=True, env=child_environment, capture_output=True, text=True)
    everything = next(line for line in done.stdout.splitlines() if line.split()[:1] == ["all"])
    measured(f"diarization of pyannote's sample and seven meetings: DER {everything.split()[1]} % (no collar, overlap scored)")
    assert float(everything.split()[1]) <= 25
