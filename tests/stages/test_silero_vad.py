"""silero-vad finds what Silero's own code finds, without its torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from conftest import python_of

from reelscribe import stage_table
from reelscribe.stage import load_contract
from reelscribe.stage_table import ROOT

load_contract(stage_table.find("silero-vad"))
silero = sys.modules["reelscribe_stage_04"]
LIMITS = silero.Limits(threshold=0.5, min_speech=4000, min_silence=1600, pad=480)
FRAME = 512


def frames(*runs):
    """Probabilities from (value, number of frames)."""
    return [value for value, count in runs for _ in range(count)]


def spans(probabilities, limits=LIMITS):
    return [(s.start, s.end) for s in silero.find_speech(probabilities, len(probabilities) * FRAME, limits)]


def segments(movie_dir: Path):
    return json.loads((movie_dir / "vad" / "silero.json").read_text())["segments"]


def station_audio(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    tool = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-i", str(ROOT / "examples" / "station.mp4")]
    subprocess.run([*tool, "-vn", "-ac", "1", "-ar", "16000", str(path)], check=True)
    return path


# -- from probabilities to speech ---------------------------------------------------------------------------------------


def test_speech_is_widened_by_the_pad():
    assert spans(frames((0.0, 10), (0.9, 20), (0.0, 10))) == [(10 * FRAME - 480, 30 * FRAME + 480)]


def test_a_dip_that_stays_above_the_lower_threshold_does_not_end_speech():
    assert len(spans(frames((0.9, 20), (0.36, 20), (0.9, 20)))) == 1
    assert len(spans(frames((0.9, 20), (0.34, 20), (0.9, 20)))) == 2


def test_short_speech_is_dropped_and_short_pauses_are_kept():
    assert spans(frames((0.0, 10), (0.9, 7), (0.0, 10))) == []
    assert len(spans(frames((0.9, 20), (0.0, 3), (0.9, 20)))) == 1


def test_neighbours_share_a_pause_that_is_too_short_for_two_pads():
    limits = silero.Limits(threshold=0.5, min_speech=0, min_silence=0, pad=480)
    assert spans(frames((0.9, 4), (0.0, 1), (0.9, 4)), limits) == [(0, 4 * FRAME + 256), (5 * FRAME - 256, 9 * FRAME)]


def test_the_score_is_the_mean_probability():
    (found,) = silero.find_speech(frames((0.8, 20), (0.6, 20)), 40 * FRAME, LIMITS)
    assert found.score == pytest.approx(0.7)


AS_THE_PACKAGE_FINDS_IT = """
import json, sys
from silero_vad import get_speech_timestamps_from_probs
cases = json.load(sys.stdin)
json.dump([get_speech_timestamps_from_probs(p, audio_length_samples=len(p) * 512) for p in cases], sys.stdout)
"""


def test_any_probabilities_give_what_the_package_gives():
    random = np.random.default_rng(7)
    # A random walk crosses the thresholds at every pace; plain noise would never stay on one side.
    cases = [np.clip(np.cumsum(random.normal(0, step, 400)) + 0.4, 0, 1).tolist() for step in (0.05, 0.1, 0.2, 0.4) for _ in range(25)]
    done = subprocess.run(
        [python_of("bench"), "-c", AS_THE_PACKAGE_FINDS_IT], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    theirs = [[(s["start"], s["end"]) for s in case] for case in json.loads(done.stdout)]
    assert sum(map(len, theirs)) > 100
    assert [spans(case) for case in cases] == theirs


# -- the stage ----------------------------------------------------------------------------------------------------------


def test_true_speech_of_the_example_is_found(run_stage, movie_dir):
    station_audio(movie_dir / "audio" / "audio.wav")
    run_stage("silero-vad", movie_dir)
    truth = json.loads((ROOT / "examples" / "station" / "station.json").read_text())["sentences"]
    times = np.arange(0, 60, 0.01)
    spoken, found = (np.any([(times >= s["start"]) & (times < s["end"]) for s in said], axis=0) for said in (truth, segments(movie_dir)))
    assert (spoken & found).sum() / spoken.sum() > 0.9
    assert (found & ~spoken).sum() / found.sum() < 0.1
    assert all(0.5 < s["score"] <= 1 for s in segments(movie_dir))


def test_silence_has_no_speech_and_torch_is_not_imported(run_stage, movie_dir, make_wav, tmp_path):
    make_wav(movie_dir / "audio" / "audio.wav", np.zeros(32000))
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "torch.py").write_text("raise ImportError('torch was imported')")
    done = run_stage("silero-vad", movie_dir, env={"PYTHONPATH": str(tmp_path / "hidden")})
    assert segments(movie_dir) == []
    assert "no speech was found" in done.stderr


def test_the_result_is_the_same_to_the_byte(run_stage, movie_dir):
    station_audio(movie_dir / "audio" / "audio.wav")
    run_stage("silero-vad", movie_dir, env={"THREADS": "1"})
    first = (movie_dir / "vad" / "silero.json").read_bytes()
    run_stage("silero-vad", movie_dir, env={"THREADS": "2"}, options=["--force"])
    assert (movie_dir / "vad" / "silero.json").read_bytes() == first


def test_bad_input_is_told_with_its_remedy(run_stage, movie_dir, make_wav):
    done = run_stage("silero-vad", movie_dir, check=False)
    assert done.returncode == 3
    assert "audio/audio.wav is missing" in done.stderr and "stage demux" in done.stderr
    make_wav(movie_dir / "audio" / "audio.wav", rate=8000)
    done = run_stage("silero-vad", movie_dir, check=False)
    assert done.returncode == 3
    assert "not 16 kHz mono" in done.stderr


def test_a_setting_out_of_bounds_is_refused(run_stage, movie_dir):
    done = run_stage("silero-vad", movie_dir, env={"SILERO_THRESHOLD": "1.5"}, check=False)
    assert done.returncode == 2
    assert "SILERO_THRESHOLD" in done.stderr and "1.5" in done.stderr


RECORDING_AS_THE_PACKAGE_HEARS_IT = """
import json, sys, soundfile, torch
from silero_vad import get_speech_timestamps, load_silero_vad
samples, _ = soundfile.read(sys.argv[1], dtype="float32")
json.dump(get_speech_timestamps(torch.from_numpy(samples), load_silero_vad(onnx=True)), sys.stdout)
"""


@pytest.mark.shared
@pytest.mark.parametrize("name", ["dev00", "trn03"])
def test_a_meeting_gives_what_the_package_gives(run_stage, movie_dir, make_wav, shared_media, name):
    import soundfile

    samples, rate = soundfile.read(shared_media / "meetings" / f"{name}.flac")
    audio = make_wav(movie_dir / "audio" / "audio.wav", samples, rate=rate)
    run_stage("silero-vad", movie_dir)
    python = python_of("bench")  # with torch, which the stage does without
    done = subprocess.run([python, "-c", RECORDING_AS_THE_PACKAGE_HEARS_IT, audio], capture_output=True, text=True, check=True)
    theirs = [(s["start"], s["end"]) for s in json.loads(done.stdout)]
    ours = [(s["start"], s["end"]) for s in segments(movie_dir)]
    assert len(theirs) > 5
    assert ours == [(pytest.approx(start / 16000, abs=0.001), pytest.approx(end / 16000, abs=0.001)) for start, end in theirs]
