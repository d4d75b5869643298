"""asr with a real Whisper, a tiny one that knows synthetic voices: words, names as the glossary spells them, what a decoder is told."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from itertools import pairwise

import jiwer
import numpy as np
import pytest
import soundfile
from conftest import python_of
from test_asr import SENTENCES, notes, station, transcript, write_inputs  # noqa: F401

from reelscribe.schemas import DecodedChunk, DecodedWindow
from reelscribe.stage_table import NATIVE, ROOT

MODEL = ROOT / "tests" / "fixtures" / "whisper"
NAMES = ["Sarah", "Stephen", "Karl", "Jai", "Kathryn"]


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory):
    """Where the model is converted to, once for all tests."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def run_whisper(run_stage, movie_dir, models_dir):
    """Runs asr with the tiny Whisper and its own word times."""

    def run(backend="whisperx", *options, check=True):
        given = [f"--backend={backend}", f"--model={MODEL}", f"--models-dir={models_dir}", "--alignment-backend=none", *options]
        return run_stage("asr", movie_dir, options=given, check=check, venv="asr-mlx" if backend == "mlx" else None)

    return run


@pytest.fixture
def station_inputs(write_inputs, station):  # noqa: F811
    """Writes the example movie's audio from some second on, with any of its five names in all of it; gives the sentences."""

    def write(start):
        told = [s for s in SENTENCES if s["start"] >= start]
        heard = [(s["start"] - start, s["end"] - start) for s in told]
        write_inputs(station[round(16000 * start) :], heard, heard, terms=[NAMES] * 5)
        return [s["text"] for s in told]

    return write


def plain(text):
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


def words_of(found):
    return [word for segment in found.segments for word in segment.words]


def names_in(text):
    return sorted(name for name in re.findall(r"\w+", text) if name in NAMES)


# MLX takes its time on a CPU: it hears the second half.
@pytest.mark.parametrize(("backend", "start", "most"), [("whisperx", 0, 0.25), ("mlx", 31, 0.15)])
def test_names_are_spelt_as_the_glossary_has_them_with_bias_and_not_without(
    run_whisper, movie_dir, station_inputs, backend, start, most, measured
):
    said = " ".join(station_inputs(start))
    done = run_whisper(backend)
    found = transcript(movie_dir)
    biased = " ".join(s.text for s in found.segments)
    assert "Active bias: 5 unique terms" in done.stderr
    assert (found.language, found.draft, found.model) == ("en", False, "whisper")
    assert notes(movie_dir)["language_vote"]["en"] > 0.9
    wer = jiwer.wer(plain(said), plain(biased))
    right, there = (Counter(names_in(biased)) & Counter(names_in(said))).total(), len(names_in(said))
    measured(f"{backend}: station from {start} s, WER {wer:.1%}, names {right} of {there}")
    assert wer < most
    assert right >= 0.79 * there
    assert all(set(s.terms) == set(NAMES) and s.window is not None for s in found.segments)
    words = words_of(found)
    assert all(a.start <= a.end and a.start <= b.start for a, b in pairwise(words))
    assert all(0 <= word.score <= 1 for word in words)
    assert all(s.text == " ".join(w.word for w in s.words) for s in found.segments)

    assert "Active bias: 0 unique terms" in run_whisper(backend, "--bias=false").stderr
    assert names_in(" ".join(s.text for s in transcript(movie_dir).segments)) == []


# -- what the decoder is told -------------------------------------------------------------------------------------------

# Run with the engine's own Python: decodes with every call of the decoder recorded, as it receives it.
SPY = """
import json, sys
from pathlib import Path
sys.path.append(sys.argv[1])
import ctranslate2
from asr.engines import Load, backends
from asr.worker import Decoder, Setup
from reelscribe.schemas import Plan

real = ctranslate2.models.Whisper
calls = []

class Spy:
    def __init__(self, *given, **named):
        self._model = real(*given, **named)
    def __getattr__(self, name):
        return getattr(self._model, name)
    def generate(self, features, prompts, **named):
        calls.append(dict(prompts=prompts, temperature=named.get("sampling_temperature", 0)))
        return self._model.generate(features, prompts, **named)

ctranslate2.models.Whisper = Spy
setup = Setup.model_validate_json(sys.argv[2])
decoder = Decoder(setup)
plan = Plan.model_validate_json(Path(setup.plan).read_bytes())
windows = [w.model_dump(mode="json") for chunk in plan.chunks for w in decoder.decode(chunk.batches)]
decode = decoder._recognizer._network._model.hf_tokenizer.decode
texts = [[decode(p, skip_special_tokens=False) for p in call["prompts"]] for call in calls]
print(json.dumps(dict(calls=calls, texts=texts, windows=windows)))
"""


@pytest.fixture
def spied(movie_dir, models_dir, child_environment):
    """Decodes the stage's own plan once more in this way; gives the calls of generate() and the windows."""

    def decode(**settings):
        load = {"backend": "whisperx", "model": str(MODEL), "compute": "int8", "batch": 16, "language": "en", "models_dir": str(models_dir)}
        setup = {
            "load": {**load, **settings},
            "plan": str(movie_dir / "transcription" / "plan.json"),
            "audio": str(movie_dir / "audio" / "audio.wav"),
        }
        command = [python_of("asr"), "-c", SPY, str(NATIVE / "stages"), json.dumps(setup)]
        done = subprocess.run(command, env=child_environment, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        return found["calls"], found["texts"], [DecodedWindow.model_validate(w) for w in found["windows"]]

    return decode


@pytest.fixture
def two_halves(write_inputs, station):  # noqa: F811
    """Two minutes in four windows: names of their own for each half, as timed evidence gives them; nothing known of the last window."""
    first = [(s["start"], s["end"]) for s in SENTENCES if s["end"] < 28]
    part = station[: 16000 * 30]
    times = (0, 40, 80, 120)
    samples = np.zeros(16000 * 151)
    for at in times:
        samples[16000 * at : 16000 * at + len(part)] = part
    heard = [(start + at, end + at) for at in times for start, end in first]
    write_inputs(samples, heard, heard, terms=[["Sarah", "Jai"]] * 4 + [["Kathryn", "Karl"]] * 3 + [[]] * 4)


def told(text):
    """What a decoder was told before the transcript begins; empty when nothing."""
    return text.split("<|startoftranscript|>")[0].removeprefix("<|startofprev|>")


def test_each_half_of_a_film_has_its_own_prompt_in_one_batch(run_whisper, movie_dir, two_halves, spied):
    run_whisper("whisperx", "--language=en")
    calls, texts, windows = spied()
    # Those without terms are told nothing; the three others, two prompts, are decoded in one call, as their prompts are equally long.
    assert [told(text) for text in texts[0]] == [""]
    assert calls[0]["prompts"][0][0] == calls[1]["prompts"][0][8]
    first, second, third = (told(text) for text in texts[1])
    # The most important name is the last, next to the transcript.
    assert first == second and first.endswith(" Jai, Sarah") and third.endswith(" Karl, Kathryn")
    assert not {"Karl", "Kathryn"} & set(re.findall(r"\w+", first)) and not {"Jai", "Sarah"} & set(re.findall(r"\w+", third))
    assert [len(prompt) for prompt in calls[1]["prompts"]] == [11, 11, 11]
    assert [window.terms for window in windows] == [["Sarah", "Jai"], ["Sarah", "Jai"], ["Kathryn", "Karl"], []]
    spelt = [set(names_in(" ".join(s.text for s in window.segments))) for window in windows]
    # The same sound, spelt alike with the same prompt, and as any dictionary has it without. (The tiny model takes two names as leave to
    # spell others in their way too, so what the other half's prompt makes of the first half's names says nothing.)
    assert spelt[0] == spelt[1] and set() < spelt[0] <= {"Jai", "Sarah"}
    assert spelt[3] == set()


def test_the_stage_decodes_what_the_decoder_gives_and_no_window_depends_on_its_neighbours(run_whisper, movie_dir, two_halves, spied):
    run_whisper("whisperx", "--language=en")
    (path,) = (movie_dir / "transcription" / "chunks").glob("*.json")
    chunk = DecodedChunk.model_validate_json(path.read_bytes())
    together = spied()[2]
    assert [w.segments for w in chunk.windows] == [w.segments for w in together]
    plan = json.loads((movie_dir / "transcription" / "plan.json").read_text())
    plan["chunks"][0]["batches"] = [[3], [1], [2], [0]]
    (movie_dir / "transcription" / "plan.json").write_text(json.dumps(plan))
    alone = sorted(spied()[2], key=lambda w: w.window)
    assert [[s.text for s in w.segments] for w in alone] == [[s.text for s in w.segments] for w in together]


def test_more_terms_than_fit_lose_the_least_important(run_whisper, movie_dir, write_inputs, station, spied):  # noqa: F811
    names = [f"Kathryn Oduya-Vandermeer the {n}th of Casablanca" for n in range(60)]
    write_inputs(station[: 16000 * 28], [(3, 26)], [(3, 26)], terms=[["Sarah", *names]] * 3)
    run_whisper("whisperx", "--language=en", "--bias-prompt-max=200", "--bias-hotword-max=200")
    _, texts, (window,) = spied(prompt_max_terms=200, hotword_max_terms=200)
    calls = spied(prompt_max_terms=200, hotword_max_terms=200)[0]
    assert len(calls[0]["prompts"][0]) == 224 + 3
    assert told(texts[0][0]).endswith(" the 1th of Casablanca, Kathryn Oduya-Vandermeer the 0th of Casablanca, Sarah")
    # Before the most important is what it is filled up with, which ends with the most important too.
    terms = list(reversed(told(texts[0][0]).split(", ")))
    kept = terms[: terms.index("Sarah", 1)] if "Sarah" in terms[1:] else terms[:-1]
    assert kept == ["Sarah", *names][: len(kept)] and 5 < len(kept) < 40
    # The tiny model may hear nothing after so much.
    assert window.terms == ([] if "nothing heard" in window.redone else kept)
    assert window.segments


def test_silence_is_told_nothing(run_whisper, movie_dir, write_inputs):  # noqa: F811
    write_inputs(np.zeros(16000 * 20), [(2, 9)], [(2, 9)], terms=[NAMES] * 2)
    run_whisper("whisperx")
    assert not names_in(" ".join(s.text for s in transcript(movie_dir).segments))


# -- two languages ------------------------------------------------------------------------------------------------------

HINDI = [
    ("सिमरन स्टेशन पर है।", "Simran is at the station."),
    ("मेघना को चाबी दे दो।", "Give Meghna the key."),
    ("हमें कल होटल जाना है।", "We have to go to the hotel tomorrow."),
]
ENGLISH = ["We have to leave the station now.", "My mother lost the map tonight."]


@pytest.fixture
def speak(tmp_path):
    """Says a sentence: (num_samples,) float32, 16 kHz."""
    tool = shutil.which("espeak-ng")
    if not tool:
        pytest.skip("espeak-ng is not installed")

    def say(text, voice):
        path = tmp_path / "said.wav"
        subprocess.run([tool, "-v", voice, "-s", "160", "-w", path, text], check=True)
        samples, rate = soundfile.read(path)
        at = np.arange(len(samples) * 16000 // rate) * rate / 16000
        return 0.8 * np.interp(at, np.arange(len(samples)), samples)

    return say


def test_hindi_is_translated_and_english_between_it_keeps_its_language(run_whisper, movie_dir, write_inputs, speak):  # noqa: F811
    parts, heard, at = [], [], 0.0
    for said, voice in ((HINDI, "hi"), (ENGLISH, "en-us"), (HINDI[::-1], "hi")):
        for sentence in said:
            samples = speak(sentence if voice == "en-us" else sentence[0], voice)
            heard.append((at + 1.0, at + 1.0 + len(samples) / 16000))
            parts += [np.zeros(16000), samples]
            at = heard[-1][1]
        parts.append(np.zeros(16000 * 7))
        at += 7
    write_inputs(np.concatenate(parts), heard, heard, terms=[["Simran", "Meghna"]] * 4)
    run_whisper("whisperx", "--translate")
    found = transcript(movie_dir)
    assert [(s.window, s.language) for s in found.segments] == [*[(0, "hi")] * 3, *[(1, "en")] * 2, *[(2, "hi")] * 3]
    assert found.language == "hi" and next(iter(notes(movie_dir)["language_vote"])) == "hi"
    hindi = [text for text, _ in HINDI]
    assert jiwer.cer(" ".join([*hindi, *ENGLISH, *hindi[::-1]]), " ".join(s.text for s in found.segments)) <= 0.1
    english = [text for _, text in HINDI]
    wanted = [*english, *ENGLISH, *english[::-1]]
    assert jiwer.wer(plain(" ".join(wanted)), plain(" ".join(s.text for s in found.translation))) <= 0.1
    # Every translated segment covers the words of its own sentence.
    words = [word.word for segment in found.segments for word in segment.words]
    covered = [" ".join(words[s.source[0] : s.source[1] + 1]) for s in found.translation]
    assert covered == [s.text for s in found.segments]


def test_a_film_in_english_has_no_translation(run_whisper, movie_dir, write_inputs, station):  # noqa: F811
    write_inputs(station[: 16000 * 28], [(3, 26)], [(3, 26)], terms=[[]] * 3)
    run_whisper("whisperx", "--translate")
    found = transcript(movie_dir)
    assert found.language == "en" and found.segments
    assert found.translation is None, "or it would have a second track of English subtitles"


# -- long films ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def long_film(write_inputs, station):  # noqa: F811
    """Writes the example's first 28 s again and again, every 30 s, with its names everywhere; `minutes` long."""

    def write(minutes):
        heard = [(s["start"], s["end"]) for s in SENTENCES if s["end"] < 27]
        part = np.concatenate([station[: 16000 * 27], np.zeros(16000 * 3)])
        times = [30 * n for n in range(2 * minutes)]
        spans = [(start + at, end + at) for at in times for start, end in heard]
        write_inputs(np.tile(part, len(times)), spans, spans, terms=[NAMES] * (4 * minutes))

    return write


def test_names_are_alike_in_every_window_of_a_chunk(run_whisper, movie_dir, long_film):
    long_film(5)
    run_whisper("whisperx", "--use-chunking=always", "--language=en")
    (path,) = (movie_dir / "transcription" / "chunks").glob("*.json")
    windows = DecodedChunk.model_validate_json(path.read_bytes()).windows
    texts = [" ".join(segment.text for segment in window.segments) for window in windows]
    assert len(texts) == 10 and names_in(texts[0])
    assert {tuple(names_in(text)) for text in texts} == {tuple(names_in(texts[0]))}


# -- what is refused or said --------------------------------------------------------------------------------------------


def test_an_engine_of_another_environment_is_named_with_it(run_stage, movie_dir, write_inputs):  # noqa: F811
    write_inputs(np.zeros(16000))
    done = run_stage("asr", movie_dir, options=["--backend=mlx", f"--model={MODEL}"], check=False)
    assert done.returncode == 4
    assert "MLX Whisper is not in this environment" in done.stderr and "venvs/asr-mlx" in done.stderr


@pytest.mark.parametrize("backend", ["whisperx", "mlx"])
def test_somebodys_model_of_the_hub_is_converted_when_it_is_transformers(run_whisper, movie_dir, station_inputs, models_dir, backend):
    folder = models_dir / "somebody--whisper-tiny-voices"
    if not folder.exists():
        shutil.copytree(MODEL, folder)
    said = " ".join(station_inputs(50))
    run_whisper(backend, "--model=somebody/whisper-tiny-voices", "--bias=false", "--language=en")
    assert transcript(movie_dir).model == "somebody/whisper-tiny-voices"
    assert jiwer.wer(plain(said), plain(" ".join(s.text for s in transcript(movie_dir).segments))) < 0.5


# Run with the Python of MLX: decodes by chance, hot, and prints the timestamps.
HOT = """
import json, sys
sys.path.append(sys.argv[1])
from pathlib import Path
from asr import formats
from asr.engines import Load
from asr.engines.mlx import MlxNetwork
from reelscribe import wav
load = Load(backend="mlx", model=sys.argv[2], models_dir=sys.argv[3], language="en")
network = MlxNetwork(formats.ready(load), load)
tokenizer = network.tokenizer("en", "transcribe")
(features,) = network.encode([wav.read(Path(sys.argv[4]), 0, 25)])
found = []
for seed in range(3):
    network.start_sampling(seed)
    said = network.sample(features, list(tokenizer.sot_sequence), 1.2)
    found.append((said.logprob, [t - tokenizer.timestamp_begin if t >= tokenizer.timestamp_begin else None for t in said.tokens]))
print(json.dumps(found))
"""


def test_timestamps_of_mlx_go_forwards(station_inputs, movie_dir, models_dir, child_environment):
    station_inputs(31)
    command = [python_of("asr-mlx"), "-c", HOT, str(NATIVE / "stages"), str(MODEL), str(models_dir), str(movie_dir / "audio" / "audio.wav")]
    done = subprocess.run(command, env=child_environment, check=True, capture_output=True, text=True)
    for logprob, tokens in json.loads(done.stdout.splitlines()[-1]):
        times = [token for token in tokens if token is not None]
        assert len(times) > 4 and times == sorted(times)
        # A segment takes time.
        assert all(begin < end for begin, *text, end in segments_of(tokens) if text)
        assert -10 < logprob < 0


def segments_of(tokens):
    """Begin, text and end of every segment that has an end."""
    edges = [n for n, token in enumerate(tokens) if token is not None]
    return [tokens[a : b + 1] for a, b in pairwise(edges)]


def test_apples_gpu_stands_idle_and_the_log_says_why(run_whisper, movie_dir, write_inputs):  # noqa: F811
    write_inputs(np.zeros(16000))
    done = run_whisper("whisperx", "--device=mps")
    assert "MPS device not supported by CTranslate2" in done.stderr and "Falling back to CPU with int8" in done.stderr
