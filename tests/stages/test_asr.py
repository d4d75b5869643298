"""asr as users run it: what it writes, what it refuses, what survives a kill, and how well the draft hears."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg
import jiwer
import numpy as np
import pytest
from conftest import python_of

from reelscribe import lease, stage_table
from reelscribe.schemas import Plan, Transcript
from reelscribe.stage_table import ROOT

TRANSCRIPT = Path("transcription/transcript.json")
SENTENCES = json.loads((ROOT / "examples" / "station" / "station.json").read_text())["sentences"]
# One of them, two to three seconds long.
START, END = next((s["start"], s["end"]) for s in SENTENCES if 2 < s["end"] - s["start"] < 3)


# -- what earlier stages leave ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def station() -> np.ndarray:
    """The example's audio: (num_samples,) in -1…1, 16 kHz mono."""
    tool = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-i", str(ROOT / "examples" / "station.mp4")]
    done = subprocess.run([*tool, "-vn", "-ac", "1", "-ar", "16000", "-f", "s16le", "-"], check=True, capture_output=True)
    return np.frombuffer(done.stdout, "<i2") / 32768


def leave_inputs(movie_dir, make_wav, samples, silero=(), pyannote=(), *, terms=(), language=None):
    """Writes what asr reads: `samples`, the `heard` stretches of each detector, and `terms` for each bias window."""
    make_wav(movie_dir / "audio" / "audio.wav", samples)
    duration = len(samples) / 16000
    audio = {"index": 0, "reason": "the only one", "downmix": "none", "start": 0, "language": language}
    names = sorted({name for window in terms for name in window})
    write_json = lambda name, content: (movie_dir / name).write_text(json.dumps(content))  # noqa: E731
    for folder in ("vad", "glossary"):
        (movie_dir / folder).mkdir(exist_ok=True)
    write_json("media.json", {"container": "wav", "duration": duration, "streams": [], "audio": audio, "num_samples": len(samples)})
    for detector, heard in (("silero", silero), ("pyannote", pyannote)):
        segments = [{"start": start, "end": end, "score": 0.9} for start, end in heard]
        write_json(f"vad/{detector}.json", {"segments": segments, "duration": duration, "model": "test"})
    glossary = [{"text": name, "kind": "character", "weight": 0.9, "source": "test"} for name in names]
    write_json("glossary/glossary.json", {"terms": glossary, "pipeline": "test"})
    windows = [{"start": 15 * n, "end": 15 * n + 45, "terms": list(window)} for n, window in enumerate(terms)]
    write_json("glossary/bias_windows.json", {"window_s": 45, "stride_s": 15, "windows": windows})


@pytest.fixture
def write_inputs(movie_dir, make_wav):
    """leave_inputs() into the test's movie directory."""
    return functools.partial(leave_inputs, movie_dir, make_wav)


@pytest.fixture
def long_inputs(write_inputs, station):
    """A sentence of the example at 1, 101 and 201 s, each time with other terms: three windows, three chunks of a minute."""
    part = station[round(START * 16000) : round(END * 16000)]
    samples = np.zeros(16000 * 210)
    heard = []
    for at in (1, 101, 201):
        samples[at * 16000 : at * 16000 + len(part)] = part
        heard.append((at, at + END - START))
    write_inputs(samples, heard, terms=[["Sarah"]] * 4 + [["Karl", "Kathryn"]] * 5 + [[]] * 5)


LONG = ("--use-chunking=always", "--chunk-duration=60")


def transcript(movie_dir) -> Transcript:
    return Transcript.model_validate_json((movie_dir / TRANSCRIPT).read_bytes())


def text_of(movie_dir) -> str:
    return " ".join(segment.text for segment in transcript(movie_dir).segments)


def notes(movie_dir):
    return json.loads((movie_dir / "manifests" / "07_asr.json").read_text())["notes"]


def spoken(text: str) -> str:
    """`text` as words are compared: the recognizer writes neither case nor punctuation, and spells "mister" short."""
    return " ".join(re.sub(r"[^a-z' ]", "", text.lower().replace("-", " ")).split()).replace("mister", "mr")


# -- the transcript -----------------------------------------------------------------------------------------------------


def test_the_transcript_is_a_draft_with_words_in_time(run_stage, movie_dir, write_inputs, station):
    write_inputs(station[: 16000 * 40], [(START, END - 1)], [(END - 2, END)])
    done = run_stage("asr", movie_dir)
    found = transcript(movie_dir)
    assert (found.draft, found.language, found.engine) == (True, "en", "PocketSphinx")
    assert "draft" in done.stderr and "Using whole-file processing" in done.stderr
    words = [word for segment in found.segments for word in segment.words]
    assert len(words) >= 3
    assert all(0 <= word.score <= 1 and START - 0.21 <= word.start < word.end <= END + 0.21 for word in words)
    assert all(a.start < b.start for a, b in pairwise(words))
    assert all(segment.text == " ".join(word.word for word in segment.words) for segment in found.segments)
    assert not any(re.search(r"[<>\[\]()]", word.word) for word in words)
    assert [segment.id for segment in found.segments] == list(range(len(found.segments)))
    manifest = json.loads((movie_dir / "manifests" / "07_asr.json").read_text())
    assert any("draft" in fallback for fallback in manifest["fallbacks"])


def test_silence_gives_an_empty_transcript(run_stage, movie_dir, write_inputs):
    write_inputs(np.zeros(16000 * 3))
    run_stage("asr", movie_dir)
    assert transcript(movie_dir).segments == []


def test_noise_and_a_moment_of_speech_do_no_harm(run_stage, movie_dir, write_inputs):
    noise = np.random.default_rng(0).normal(0, 0.1, 16000 * 20)
    write_inputs(noise, [(1.0, 1.03), (12.0, 12.2), (19.9, 25.0)])
    run_stage("asr", movie_dir)
    assert len(Plan.model_validate_json((movie_dir / "transcription" / "plan.json").read_bytes()).windows) == 3


# -- plan, checkpoints, resuming ----------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_at_the_first_missing_chunk(run_stage, movie_dir, long_inputs, child_environment):
    run_stage("asr", movie_dir, options=LONG)
    undisturbed = (movie_dir / TRANSCRIPT).read_bytes()
    chunks = sorted((movie_dir / "transcription" / "chunks").glob("*.json"))
    kept = {path: path.read_bytes() for path in chunks}
    assert [path.name for path in chunks] == ["chunk_0000.json", "chunk_0001.json", "chunk_0002.json"]

    for path in [movie_dir / TRANSCRIPT, movie_dir / "transcription" / "plan.json", movie_dir / "manifests" / "07_asr.json", *chunks]:
        path.unlink()
    command = [python_of("asr"), stage_table.find("asr").script, "--movie-dir", movie_dir, *LONG]
    running = subprocess.Popen(command, env=child_environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not chunks[0].exists() and running.poll() is None:
        time.sleep(0.005)
    running.kill()
    running.wait()
    assert (movie_dir / "transcription" / "plan.json").exists()
    assert not (movie_dir / TRANSCRIPT).exists()

    run_stage("asr", movie_dir, options=LONG)
    assert (movie_dir / TRANSCRIPT).read_bytes() == undisturbed
    assert {path: path.read_bytes() for path in chunks} == kept
    assert notes(movie_dir)["chunks_reused"] >= 1


def test_a_window_does_not_depend_on_those_before_it(run_stage, movie_dir, long_inputs):
    done = run_stage("asr", movie_dir, options=LONG)
    assert "Using chunked processing (duration=210 s, device=cpu)" in done.stderr
    assert "Active bias: 3 unique terms" in done.stderr
    plan = Plan.model_validate_json((movie_dir / "transcription" / "plan.json").read_bytes())
    assert [window.terms for window in plan.windows] == [["Sarah"], ["Karl", "Kathryn"], []]
    assert [chunk.windows for chunk in plan.chunks] == [[0], [1], [2]]

    last = movie_dir / "transcription" / "chunks" / "chunk_0002.json"
    after_the_others = last.read_bytes()
    last.unlink()
    run_stage("asr", movie_dir, options=LONG)
    assert notes(movie_dir)["chunks_reused"] == 2
    assert last.read_bytes() == after_the_others


def test_only_chunks_that_a_change_concerns_are_decoded_again(run_stage, movie_dir, long_inputs):
    run_stage("asr", movie_dir, options=LONG)
    run_stage("asr", movie_dir, options=[*LONG, "--bias=false"])
    # The third chunk never had terms.
    assert notes(movie_dir)["chunks_reused"] == 1
    # A damaged checkpoint is decoded again; a removed transcript makes the stage run.
    (movie_dir / "transcription" / "chunks" / "chunk_0000.json").write_text("{ half a chec")
    (movie_dir / TRANSCRIPT).unlink()
    run_stage("asr", movie_dir, options=[*LONG, "--bias=false"])
    assert notes(movie_dir)["chunks_reused"] == 2
    run_stage("asr", movie_dir, options=[*LONG, "--bias=false", "--force"])
    assert notes(movie_dir)["chunks_reused"] == 0
    run_stage("asr", movie_dir, options=["--use-chunking=false"])
    assert notes(movie_dir)["chunks_reused"] == 0
    assert [path.name for path in (movie_dir / "transcription" / "chunks").iterdir()] == ["chunk_0000.json"]


# -- parts, for a workflow ----------------------------------------------------------------------------------------------


def parts_side_by_side(movie_dir, environment, *parts: str) -> list[int]:
    """The exit codes of parts that run at once under one lease, as a workflow's jobs do."""
    token = lease.acquire(movie_dir)
    command = [python_of("asr"), stage_table.find("asr").script, "--movie-dir", movie_dir, *LONG]
    try:
        running = [
            subprocess.Popen(
                [*command, f"--part={part}"],
                env={**environment, lease.TOKEN_VARIABLE: token},
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for part in parts
        ]
        return [one.wait(280) for one in running]
    finally:
        lease.release(movie_dir, token)


def test_parts_decoded_side_by_side_are_gathered_to_the_same_bytes(run_stage, movie_dir, long_inputs, child_environment):
    run_stage("asr", movie_dir, options=LONG)
    kept = {path: path.read_bytes() for path in sorted((movie_dir / "transcription").rglob("*.json"))}
    for path in [*kept, movie_dir / "manifests" / "07_asr.json"]:
        path.unlink()

    run_stage("asr", movie_dir, options=[*LONG, "--part=plan"])
    assert [path.name for path in (movie_dir / "transcription").rglob("*.json")] == ["plan.json"]
    assert parts_side_by_side(movie_dir, child_environment, "0-1", "2-2") == [0, 0]
    assert not (movie_dir / "manifests" / "07_asr.json").exists()
    run_stage("asr", movie_dir, options=LONG)
    assert notes(movie_dir)["chunks_reused"] == 3
    assert {path: path.read_bytes() for path in sorted((movie_dir / "transcription").rglob("*.json"))} == kept

    # Once all is done, a part that comes late has nothing to do and touches nothing.
    done = run_stage("asr", movie_dir, options=[*LONG, "--part=0-1"])
    assert "up to date" in done.stderr


def test_a_part_of_another_plan_is_refused_and_recorded(run_stage, movie_dir, long_inputs):
    run_stage("asr", movie_dir, options=["--use-chunking=never", "--part=plan"])
    refused = run_stage("asr", movie_dir, options=[*LONG, "--part=0-1"], check=False)
    assert refused.returncode == 6
    assert "the plan of this movie is another one" in refused.stderr
    assert json.loads((movie_dir / "manifests" / "07_asr.json").read_text())["exit_code"] == 6


# -- refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code", "said", "remedy"),
    [
        (["--backend=sphinx", "--language=hi"], 2, "MOVIE_LANGUAGE=hi", "--language en"),
        (["--backend=sphinx", "--translate"], 2, "cannot translate", "--translate"),
        (["--model=turbo", "--translate"], 2, "turbo cannot translate", "large-v3"),
        (["--backend=mlx", "--model=distil-large-v3", "--translate"], 2, "cannot translate", "large-v3"),
        (["--model=small.en", "--translate"], 2, "cannot translate", "large-v3"),
        (["--model=small.en", "--language=hi"], 2, "MOVIE_LANGUAGE=hi", "--language en"),
        (["--model=enormous"], 2, "WHISPER_MODEL=enormous", "large-v3"),
        (["--backend=kaldi"], 2, "WHISPER_BACKEND", "auto|mlx|whisperx|sphinx"),
        (["--backend=sphinx", "--allow-draft=false"], 4, "draft", "ASR_ALLOW_DRAFT=true"),
        (["--chunk-duration=10"], 2, "ASR_CHUNK_DURATION", "≥60"),
        (["--use-chunking=maybe"], 2, "ASR_USE_CHUNKING", "auto|always|never"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(run_stage, movie_dir, options, code, said, remedy):
    done = run_stage("asr", movie_dir, options=options, check=False)
    assert done.returncode == code
    assert said in done.stderr and remedy in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [["--backend=whisperx"], ["--language=hi"], ["--translate"], ["--allow-draft=false"]])
def test_without_a_model_what_the_draft_cannot_do_is_not_begun(run_stage, movie_dir, write_inputs, options):
    write_inputs(np.zeros(16000))
    done = run_stage("asr", movie_dir, options=options, check=False)
    assert done.returncode == 4
    assert "is not on this machine" in done.stderr and "--prefetch" in done.stderr


def test_a_folder_without_a_model_is_refused(run_stage, movie_dir, write_inputs, tmp_path):
    write_inputs(np.zeros(16000))
    done = run_stage("asr", movie_dir, options=["--backend=whisperx", f"--model={tmp_path}"], check=False)
    assert done.returncode == 2
    assert "config.json" in done.stderr and "transformers" in done.stderr


def test_a_track_marked_with_another_language_is_refused(run_stage, movie_dir, write_inputs):
    write_inputs(np.zeros(16000), language="de")
    done = run_stage("asr", movie_dir, check=False)
    assert done.returncode == 2
    assert "marked 'de'" in done.stderr and "--language en" in done.stderr
    run_stage("asr", movie_dir, options=["--language=en"])


@pytest.mark.parametrize("language", ["en-GB", "und"])
def test_a_track_marked_english_or_not_at_all_is_taken(run_stage, movie_dir, write_inputs, language):
    write_inputs(np.zeros(16000), language=language)
    run_stage("asr", movie_dir)


# -- how well it hears --------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(write_inputs, shared_media):
    """The cuts of Sense and Sensibility, a second apart, as inputs with `terms`; gives what is said."""
    import soundfile

    def prepare(paths, terms=()):
        samples = np.concatenate([part for path in paths for part in (soundfile.read(path)[0], np.zeros(16000))])
        write_inputs(samples, [(0.0, len(samples) / 16000)], terms=[terms] * 3)
        return " ".join(path.with_suffix(".txt").read_text() for path in paths)

    return prepare


@pytest.mark.shared
def test_a_reader_is_understood(run_stage, movie_dir, reader, shared_media):
    said = reader(sorted((shared_media / "librivox").glob("*.wav")))
    run_stage("silero-vad", movie_dir)
    silero = (movie_dir / "vad" / "silero.json").read_text()
    (movie_dir / "vad" / "pyannote.json").write_text(silero)
    run_stage("asr", movie_dir)
    wer = jiwer.wer(spoken(said), spoken(text_of(movie_dir)))
    print(f"LibriVox, PocketSphinx without a vocabulary: WER {wer:.1%}")
    assert wer <= 0.40


@pytest.mark.shared
def test_names_of_the_glossary_are_heard_and_others_are_not(run_stage, movie_dir, reader, shared_media):
    cut = shared_media / "librivox" / "austen-0870.wav"
    # The cast of the novel, as a glossary has it; one of them is spoken of in this cut.
    reader([cut], terms=["Elinor Dashwood", "Edward Ferrars", "Colonel Brandon", "John Willoughby", "Lucy Steele", "Barton Park"])
    run_stage("asr", movie_dir)
    assert "John Dashwood" in text_of(movie_dir)
    assert not re.search("Elinor|Ferrars|Brandon|Willoughby|Steele|Barton", text_of(movie_dir))
    run_stage("asr", movie_dir, options=["--bias=false"])
    assert "dashwood" not in text_of(movie_dir).lower()
