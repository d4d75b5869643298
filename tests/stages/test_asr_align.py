"""Alignment betters word times where it can; where it fails or errs, every word is still there with the time its engine gave it."""

from __future__ import annotations

import ast
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import textwrap
import time
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import PASSED_ON, python_of
from fake_hub import FakeHub
from hypothesis import given
from hypothesis import strategies as st
from test_asr import LONG, long_inputs, notes, station, write_inputs  # noqa: F401

from asr import align, align_times
from asr.align import Aligner, AlignmentOptions
from asr.align_models import DEFAULTS, find_model, need
from asr.align_units import make_units
from reelscribe.errors import MissingToolError
from reelscribe.schemas import DecodedWindow, Segment, Span, Window, Word
from reelscribe.stage_table import NATIVE, ROOT

FIXTURE = ROOT / "tests" / "fixtures" / "aligner"
SENTENCES = json.loads((ROOT / "examples" / "station" / "station.json").read_text())["sentences"]


def window(*speech, number=0):
    return Window(id=number, start=speech[0][0], end=speech[-1][1], speech=[Span(start=a, end=b) for a, b in speech])


def segment(number, start, end, text="one two", language=None):
    """A segment whose engine gave every word the same share of its time."""
    texts = text.split()
    edges = [start + (end - start) * n / len(texts) for n in range(len(texts) + 1)]
    words = [Word(word=w, start=a, end=b, score=0.9) for w, (a, b) in zip(texts, pairwise(edges), strict=True)]
    return Segment(id=number, start=start, end=end, text=text, words=words, window=0, language=language)


def times_of(segment):
    return [(word.start, word.end) for word in segment.words]


# -- what is aligned together -------------------------------------------------------------------------------------------


def units(speech, *segments):
    return [(u.start, u.end, u.language, " ".join(u.words), u.segments) for u in make_units(window(*speech), segments, "en")]


def test_segments_are_aligned_over_the_speech_they_are_in():
    pauses = [(1.0, 4.0), (6.0, 9.0), (12.0, 13.0)]
    # The engine is late by 0.4 s with the third, and off by little with the last.
    found = units(pauses, segment(0, 1.2, 2.5, "a b"), segment(1, 2.9, 4.2, "c"), segment(2, 6.4, 8.7, "d"), segment(3, 11.7, 13.1, "e f"))
    assert found == [
        (1.0, 4.0, "en", "a b c", [(0, 2), (1, 1)]),
        (6.0, 9.0, "en", "d", [(2, 1)]),
        (12.0, 13.0, "en", "e f", [(3, 2)]),
    ]


def test_a_segment_that_only_touches_a_stretch_is_not_in_it():
    assert units([(1.0, 4.0), (4.2, 9.0)], segment(0, 3.8, 8.9, "a")) == [(4.2, 9.0, "en", "a", [(0, 1)])]


def test_a_segment_across_a_pause_joins_what_is_on_both_sides():
    found = units([(1.0, 4.0), (5.0, 9.0)], segment(0, 1.2, 2.5, "a"), segment(1, 3.0, 6.5, "b"), segment(2, 6.6, 8.5, "c"))
    assert found == [(1.0, 9.0, "en", "a b c", [(0, 1), (1, 1), (2, 1)])]


def test_speech_that_the_engine_left_out_is_not_given_to_its_neighbours():
    found = units([(1.0, 30.0)], segment(0, 1.2, 4.0, "a"), segment(1, 15.0, 17.0, "b"), segment(2, 17.9, 20.0, "c"))
    assert found == [(1.0, 4.5, "en", "a", [(0, 1)]), (14.5, 20.5, "en", "b c", [(1, 1), (2, 1)])]


def test_what_lies_outside_speech_or_has_no_words_is_not_aligned():
    silent = Segment(id=1, start=1.0, end=2.0, text="", words=[])
    assert units([(1.0, 4.0)], segment(0, 5.0, 6.0), silent, segment(2, 3.9, 6.0)) == []


def test_each_language_has_its_own_unit_though_they_share_a_breath():
    found = units([(1.0, 9.0)], segment(0, 1.2, 4.0, "haan", "hi"), segment(1, 4.2, 6.0, "yes", "en"), segment(2, 6.1, 8.0, "ji", "hi"))
    assert [u[:4] for u in found] == [(1.0, 4.2, "hi", "haan"), (4.2, 6.1, "en", "yes"), (6.1, 8.5, "hi", "ji")]


def test_a_very_short_segment_is_aligned_too():
    assert units([(1.0, 1.5)], segment(0, 1.2, 1.3, "No.")) == [(1.0, 1.5, "en", "No.", [(0, 1)])]


# -- what is believed ---------------------------------------------------------------------------------------------------

SPEECH = [(0.0, 10.0), (14.0, 20.0)]


def judged(times, *segments, speech=SPEECH):
    return align_times.timed(segments, dict(enumerate(times)), window(*speech).speech)


def test_aligned_words_keep_the_times_of_the_engine_beside_their_own():
    engine = segment(0, 1.0, 3.0, "one two")
    (found,) = judged([[(1.3, 1.6), (2.2, 2.7)]], engine)
    assert (found.start, found.end, found.marks) == (1.3, 2.7, [])
    assert found.words[1].model_dump(exclude_none=True) == {
        "word": "two", "start": 2.2, "end": 2.7, "engine_start": 2.0, "engine_end": 3.0, "score": 0.9,
    }  # fmt: skip


def test_words_that_have_nothing_to_align_share_the_gap_they_stand_in():
    (inside,) = judged([[(1.0, 2.0), None, None, (5.0, 6.0)]], segment(0, 1.0, 6.0, "so — ♪♪ there"))
    assert times_of(inside) == [(1.0, 2.0), (2.0, 3.0), (3.0, 5.0), (5.0, 6.0)]
    (first,) = judged([[None, (2.5, 3.0)]], segment(0, 1.0, 3.0, "— there"))
    assert times_of(first) == [(1.0, 2.5), (2.5, 3.0)]
    (last,) = judged([[(1.5, 2.0), None]], segment(0, 1.0, 3.0, "there —"))
    assert times_of(last) == [(1.5, 2.0), (2.0, 3.0)]
    # Where the engine's own time is in the way there is no gap; a word without sound has no length then.
    (late,) = judged([[None, (0.4, 1.0)]], segment(0, 1.0, 3.0, "— there"))
    assert times_of(late) == [(0.4, 0.4), (0.4, 1.0)]


def test_a_word_ends_with_the_speech_it_begins_in():
    (found,) = judged([[(8.0, 8.5), (9.5, 13.9)]], segment(0, 8.0, 10.0))
    assert times_of(found) == [(8.0, 8.5), (9.5, 10.0)]


def test_the_last_word_before_a_pause_lasts_as_long_as_the_voice():
    # Stretches are padded by 0.2 s.
    first, second = judged([[(8.0, 8.5), (9.0, 9.5)], [(14.0, 14.2), (19.0, 19.1)]], segment(0, 8.0, 10.0), segment(1, 14.0, 19.0))
    assert times_of(first) == [(8.0, 8.5), (9.0, 9.8)]
    assert first.end == 9.8
    # The speech goes on, so it was not this word's voice.
    assert times_of(second) == [(14.0, 14.2), (19.0, 19.1)]
    # The next word of the same breath is another segment's.
    first, second = judged([[(8.0, 8.5), (9.0, 9.1)], [(9.2, 9.3), (9.4, 9.75)]], segment(0, 8.0, 9.2), segment(1, 9.2, 10.0))
    assert (first.end, second.end) == (9.1, 9.8)


@pytest.mark.parametrize(
    "times",
    [
        [(1.0, 4.1), (4.1, 4.5)],  # longer than anybody holds a word
        [(2.0, 2.5), (1.0, 1.5)],  # backwards
        [(2.0, 1.9), (3.0, 3.5)],  # ends before it begins
        [(9.0, 9.5), (11.0, 11.5)],  # where nobody speaks
        [(9.0, 9.5), (25.0, 25.5)],  # after the end
        [(1.0, 1.5), (float("nan"), 2.0)],
        [None, None],
        [],
    ],
)
def test_a_segment_with_times_that_cannot_be_right_keeps_those_of_its_engine(times):
    engine = segment(0, 1.0, 3.0)
    after = segment(1, 5.0, 6.0)
    found = judged([times, [(5.1, 5.4), (5.5, 5.9)]], engine, after)
    assert found[0] == engine.model_copy(update={"marks": ["engine-times"]})
    assert times_of(found[1]) == [(5.1, 5.4), (5.5, 5.9)]


def test_soft_sounds_that_the_detectors_missed_are_believed():
    (found,) = judged([[(9.9, 10.2), (10.3, 10.4)]], segment(0, 9.0, 10.0))
    assert times_of(found) == [(9.9, 10.0), (10.3, 10.4)]


def test_segments_stay_in_order():
    # The first was aligned past the second, whose alignment failed: believing the engine for both keeps the order.
    first, second, third = segment(0, 1.0, 2.0), segment(1, 2.0, 3.0), segment(2, 3.0, 4.0)
    found = judged([[(1.0, 1.5), (2.8, 2.9)], [], [(3.1, 3.3), (3.4, 3.6)]], first, second, third)
    assert [times_of(s)[0][0] for s in found] == [1.0, 2.0, 3.1]
    assert [s.marks for s in found] == [["engine-times"], ["engine-times"], []]


def test_an_aligned_segment_ends_where_one_that_was_not_begins():
    found = judged([[(1.0, 1.4), (1.8, 2.3)], []], segment(0, 1.0, 2.0), segment(1, 2.0, 3.0))
    assert times_of(found[0]) == [(1.0, 1.4), (1.8, 2.0)]
    assert found[0].end == 2.0


def test_a_translation_moves_with_the_words_it_covers():
    hindi = segment(0, 1.0, 3.0, "haan ji")
    english = [
        segment(0, 1.0, 2.0, "yes").model_copy(update={"source": (0, 0)}),
        segment(1, 2.0, 3.0, "sir now").model_copy(update={"source": (1, 1)}),
    ]
    aligned = judged([[(1.4, 1.8), (2.4, 2.8)]], hindi)
    yes, sir = align_times.retimed(english, aligned)
    assert (yes.start, yes.end, times_of(yes)) == (1.4, 1.8, [(1.4, 1.8)])
    assert times_of(sir) == [(2.4, pytest.approx(2.6)), (pytest.approx(2.6), 2.8)]
    assert [(w.engine_start, w.engine_end) for w in sir.words] == [(2.0, 2.5), (2.5, 3.0)]
    # What covers nothing that was aligned stays.
    assert align_times.retimed(english, [hindi]) == english
    unlinked = [segment(0, 1.0, 2.0, "yes")]
    assert align_times.retimed(unlinked, aligned) == unlinked


def test_what_was_said_in_english_is_its_own_translation_with_the_times_of_its_words():
    english = segment(0, 1.0, 3.0, "yes sir")
    (aligned,) = judged([[(1.4, 1.8), (2.4, 2.8)]], english)
    (own,) = align_times.retimed([english.model_copy(update={"source": (0, 1)})], [aligned])
    assert times_of(own) == times_of(aligned) == [(1.4, 1.8), (2.4, 2.8)]
    assert own == aligned.model_copy(update={"source": (0, 1)})


@given(st.lists(st.lists(st.one_of(st.none(), st.tuples(st.floats(-1, 22), st.floats(-1, 22))), min_size=3, max_size=3), max_size=4))
def test_whatever_an_aligner_says_words_are_all_there_and_in_order(times):
    engine = [segment(n, 4.0 * n, 4.0 * n + 3, "one two — ") for n in range(len(times))]
    found = judged(times, *engine)
    assert [[w.word for w in s.words] for s in found] == [[w.word for w in s.words] for s in engine]
    words = [w for s in found for w in s.words]
    assert all(a.start <= b.start for a, b in pairwise(words))
    assert all(0 <= w.end - w.start <= 3.0 for w in words)
    for before, after in zip(engine, found, strict=True):
        if "engine-times" in after.marks:
            assert times_of(after) == times_of(before)
        else:
            assert [(w.engine_start, w.engine_end) for w in after.words] == times_of(before)


# -- which model --------------------------------------------------------------------------------------------------------


WHOLE = ("config.json", "preprocessor_config.json", "vocab.json", "pytorch_model.bin")


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """A machine without any model."""
    for name in ("HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_a_model_is_found_where_models_are(caches):
    find = lambda wanted: find_model(need(wanted, "hi"), caches / "models")  # noqa: E731
    own = put(caches / "mine", *WHOLE)
    assert (find(str(own)).name, find(str(own)).weights) == (str(own), own / "pytorch_model.bin")
    snapshots = caches / "cache/huggingface/hub/models--theainerd--Wav2Vec2-large-xlsr-hindi/snapshots"
    put(snapshots / "half", *WHOLE[:-1])
    whole = put(snapshots / "whole", *WHOLE)
    assert (find("auto").name, find("auto").weights) == (str(whole), None)
    local = put(caches / "models/Wav2Vec2-large-xlsr-hindi", *WHOLE)
    assert find("auto").name == find("theainerd/Wav2Vec2-large-xlsr-hindi").name == str(local)
    assert find("auto").weights == local / "pytorch_model.bin"


@pytest.mark.parametrize(
    ("wanted", "language", "said", "remedy"),
    [
        ("auto", "en", "aligner facebook/wav2vec2-base-960h is neither in", "--prefetch"),
        ("auto", "xx", "no aligner for the language xx", "ALIGNMENT_MODEL"),
        ("/nowhere/aligner", "en", "aligner /nowhere/aligner is not there", "correct ALIGNMENT_MODEL"),
        ("{here}", "en", "lacks config.json, preprocessor_config.json, vocab.json, model.safetensors or", "correct ALIGNMENT_MODEL"),
    ],
)
def test_a_model_that_is_not_there_is_told_with_a_remedy(caches, wanted, language, said, remedy):
    with pytest.raises(MissingToolError) as caught:
        find_model(need(wanted.format(here=caches), language), caches / "models")
    assert said in caught.value.message
    assert remedy in caught.value.remedy


def test_the_models_are_those_of_whisperx():
    (source,) = (python_of("asr").parents[1] / "lib").glob("python*/site-packages/whisperx/alignment.py")
    tables = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
    }
    ports = {code: name for code, name in DEFAULTS.items() if name.startswith("facebook/")}
    assert ports.keys() == tables["DEFAULT_ALIGN_MODELS_TORCH"].keys()
    assert {code: name for code, name in DEFAULTS.items() if code not in ports} == tables["DEFAULT_ALIGN_MODELS_HF"]


def test_what_is_fetched_beforehand_and_counts_for_the_fingerprint(caches):
    own = put(caches / "mine", *WHOLE)

    def announced(language, **settings):
        options = AlignmentOptions(models_dir=caches / "models", **settings)
        return [wish.repo for wish in align.models(options, language)], align.facts(options, language)

    assert announced("auto", alignment_model=str(own)) == ([str(own)], {"aligner": own / "pytorch_model.bin"})
    assert announced("en") == (["facebook/wav2vec2-base-960h"], {"aligner": None})
    put(caches / "cache/huggingface/hub/models--facebook--wav2vec2-base-960h/snapshots/0123", *WHOLE)
    assert announced("en") == (["facebook/wav2vec2-base-960h"], {"aligner": "facebook/wav2vec2-base-960h"})
    assert announced("auto") == announced("xx") == announced("en", alignment_backend="none") == ([], {})


# -- workers that fail --------------------------------------------------------------------------------------------------


# Stands in for the worker: moves every word to where the answer of alignment would put it, then does what a test wants of it.
FAKE = """
    import json, os, pathlib, signal, subprocess, sys, time
    here = pathlib.Path(sys.argv[0]).parent
    def note(name, pid):
        with open(here / name, "a") as f:
            f.write(f"{pid}\\n")
    def count():
        return len((here / "asked").read_text().splitlines())
    note("workers", os.getpid())
    for line in sys.stdin:
        note("asked", os.getpid())
        request = json.loads(line)
        units = [{"times": [[u["start"] + n / 2, u["start"] + n / 2 + 0.4] for n in range(len(u["words"]))]} for u in request["units"]]
        answer = {"units": units, "device": "cpu"}
        WHAT
        print(json.dumps(answer), flush=True)
"""
FAILURES = {
    "segfault": ("os.kill(os.getpid(), signal.SIGSEGV)", r"crashed \(SIGSEGV\)"),
    "exit": ("sys.exit(3)", r"crashed \(code 3\)"),
    "hang": ("note('workers', subprocess.Popen(['sleep', '600']).pid); time.sleep(600)", "gave no answer within 2 s"),
    "deaf": ("os.close(1); time.sleep(600)", "closed its stdout"),
    "garbage": ("print('Traceback: oh no')", "gave no answer but b'Traceback"),
    "flood": ("print('{' * 10_000_000)", "gave no answer but b'{{{"),
    "cut": ("os.write(1, b'{\"units\": ['); os._exit(0)", r"crashed \(code 0\)"),
    "half": ("units.pop()", "gave an answer to another question"),
    "words": ("units[0]['times'].pop()", "gave an answer to another question"),
}


@pytest.fixture
def fake(tmp_path):
    """Makes the command of a worker that does WHAT before it answers."""

    def make(what="pass"):
        script = tmp_path / "worker.py"
        script.write_text(textwrap.dedent(FAKE).replace("WHAT", what))
        return [sys.executable, script]

    return make


@pytest.fixture
def make_aligner(tmp_path):
    """Makes an Aligner and the list of what it says."""
    made = []

    def make(command, *, device="cpu", language="en", **settings):
        said = []
        options = AlignmentOptions(
            **{"alignment_model": str(FIXTURE), "alignment_timeout": 2, "models_dir": tmp_path, "offline": True, **settings}
        )
        about = {"language": language, "engine_kind": "sphinx", "device": device, "threads": 1}
        aligner = Aligner(options, tmp_path / "a.wav", **about, say=said.append, command=command)
        made.append(aligner)
        return aligner, said

    yield make
    for aligner in made:
        aligner.__exit__()


PLAN = [window((100.0 * n, 100.0 * n + 10), number=n) for n in range(6)]


def chunk(number, *, language=None):
    """A window of two segments."""
    at = 100.0 * number
    segments = [segment(0, at + 0.4, at + 3, "one two three", language), segment(1, at + 4, at + 9.8, "four", language)]
    return [DecodedWindow(window=number, segments=segments)]


def gone(pid):
    """Whether a process has ended, or does within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def aligned_words(windows):
    return sum(word.engine_start is not None for w in windows for s in w.segments for word in s.words)


def test_one_worker_serves_all_chunks_and_ends_with_the_last(fake, make_aligner, tmp_path):
    aligner, said = make_aligner(fake())
    with aligner:
        for number in (0, 1, 2):
            done = aligner.align(chunk(number), PLAN)
            assert done.failures == []
            assert [w.start - 100 * number for s in done.windows[0].segments for w in s.words] == [0.0, 0.5, 1.0, 1.5]
        assert aligned_words(done.windows) == 4
    (worker,) = (tmp_path / "workers").read_text().split()
    assert gone(int(worker))
    assert said == []


@pytest.mark.parametrize("name", FAILURES)
def test_a_worker_that_fails_costs_its_chunk_the_alignment_and_no_other(name, fake, make_aligner, tmp_path):
    what, reason = FAILURES[name]
    aligner, said = make_aligner(fake(f"if count() == 2: {what}"))
    with aligner:
        first, second, third = (aligner.align(chunk(n), PLAN) for n in range(3))
    assert first.failures == third.failures == []
    assert aligned_words(first.windows) == aligned_words(third.windows) == 4
    (failure,) = second.failures
    assert re.match(rf"no alignment at 100–110 s \(it {reason}", failure)
    assert [times_of(s) for s in second.windows[0].segments] == [times_of(s) for s in chunk(1)[0].segments]
    assert all(s.marks == ["engine-times"] for s in second.windows[0].segments)
    assert said == []
    pids = [int(pid) for pid in (tmp_path / "workers").read_text().split()]
    assert len(pids) == (3 if name == "hang" else 2)
    assert all(map(gone, pids))


def test_a_worker_that_does_not_even_read_is_given_up_in_time(make_aligner):
    aligner, _ = make_aligner([sys.executable, "-c", "import time; time.sleep(600)"])
    many = [DecodedWindow(window=0, segments=[segment(0, 0.0, 10.0, " ".join(["word"] * 50_000))])]
    began = time.monotonic()
    with aligner:
        assert "gave no answer within 2 s" in aligner.align(many, PLAN).failures[0]
    assert time.monotonic() - began < 20


def test_after_three_failures_in_a_row_no_more_time_is_lost(fake, make_aligner, tmp_path):
    aligner, _ = make_aligner(fake("os.kill(os.getpid(), signal.SIGABRT)"))
    with aligner:
        done = [aligner.align(chunk(n), PLAN) for n in range(5)]
    assert ["SIGABRT" in d.failures[0] for d in done] == [True, True, True, False, False]
    assert "failed 3 times in a row" in done[4].failures[0]
    assert len((tmp_path / "workers").read_text().split()) == 3


def test_a_worker_that_cannot_be_started(make_aligner, tmp_path):
    aligner, _ = make_aligner([tmp_path / "nothing"])
    with aligner:
        done = aligner.align(chunk(0), PLAN)
    assert "cannot be started: [Errno 2]" in done.failures[0]
    assert done.windows[0].segments[1].words[0].start == 4.0


def test_without_a_model_nothing_is_started_and_it_is_said_once(fake, make_aligner, tmp_path, caches):
    aligner, said = make_aligner(fake(), alignment_model="auto")
    with aligner:
        done = [aligner.align(chunk(n, language=code), PLAN) for n, code in enumerate(("en", "xx", None, "xx"))]
    assert not (tmp_path / "workers").exists()
    assert [d.windows for d in done] == [chunk(n, language=code) for n, code in enumerate(("en", "xx", None, "xx"))]
    assert [d.failures for d in done] == [[]] * 4
    assert len(said) == 2
    assert "facebook/wav2vec2-base-960h is neither in" in said[0] and "words (en) keep their engine's times" in said[0]
    assert "no aligner for the language xx: words (xx) keep" in said[1]


def test_a_model_that_cannot_be_loaded_is_asked_for_once_and_told_of_every_chunk(fake, make_aligner, tmp_path):
    aligner, said = make_aligner(
        fake("answer = {'units': [{'error': 'x'} for u in units], 'unusable': {'en': 'no weights'}, 'device': 'cpu'}")
    )
    with aligner:
        done = [aligner.align(chunk(n), PLAN) for n in range(3)]
    assert [d.failures for d in done] == [[f"no alignment (the aligner {FIXTURE} cannot be used (no weights))"]] * 3
    assert [d.windows for d in done] == [chunk(n) for n in range(3)]
    assert len(said) == len((tmp_path / "asked").read_text().split()) == 1


def test_a_device_that_fails_is_told(fake, make_aligner):
    aligner, said = make_aligner(fake("answer['lost'] = 'RuntimeError: CUDA out of memory.'"), device="cuda")
    with aligner:
        done = [aligner.align(chunk(n), PLAN) for n in range(2)]
    assert said == ["alignment cannot use cuda (RuntimeError: CUDA out of memory.) and goes on on the cpu"]
    assert aligned_words([w for d in done for w in d.windows]) == 8


def test_a_crash_on_a_device_costs_no_times(fake, make_aligner):
    """Its answer comes from the CPU, and only crashes there count."""
    aligner, said = make_aligner(fake("if request['device'] == 'cuda': os.kill(os.getpid(), signal.SIGSEGV)"), device="cuda")
    with aligner:
        done = [aligner.align(chunk(n), PLAN) for n in range(2)]
    assert said == ["alignment cannot use cuda (it crashed (SIGSEGV)) and goes on on the cpu"]
    assert aligned_words([w for d in done for w in d.windows]) == 8
    assert not any(d.failures for d in done)


def test_what_was_named_before_decoding_is_not_asked_for_again(fake, make_aligner, tmp_path, caches):
    hub = FakeHub().start()
    try:
        aligner, said = make_aligner(fake(), alignment_model="auto", offline=False, hf_endpoint=hub.endpoint)
        with aligner:
            assert aligned_words(aligner.align(chunk(0), PLAN).windows) == 0
        assert (len(said), hub.requests) == (1, [])
    finally:
        hub.stop()


def test_a_resumed_run_says_again_what_it_does_without(fake, make_aligner, tmp_path, caches):
    aligner, said = make_aligner(fake(), alignment_model="auto")
    with aligner:
        aligner.expect(chunk(0))
        aligner.expect(chunk(1, language="hi"))
    assert [line.split()[2] for line in said] == ["facebook/wav2vec2-base-960h", "theainerd/Wav2Vec2-large-xlsr-hindi"]
    assert not (tmp_path / "workers").exists()


@pytest.mark.parametrize("backend", ["same", "none", "mlx"])
def test_other_backends_keep_the_engines_times(backend, fake, make_aligner, tmp_path):
    aligner, said = make_aligner(fake(), alignment_backend=backend)
    with aligner:
        assert aligner.align(chunk(0), PLAN) == align.AlignedChunk(chunk(0))
    assert not (tmp_path / "workers").exists()
    # The engine that decoded was PocketSphinx.
    assert bool(said) == (backend == "mlx")


def test_a_movie_without_chunks_is_aligned_in_parts(fake, make_aligner, tmp_path):
    aligner, _ = make_aligner(fake("if count() == 2: sys.exit(1)"))
    with aligner:
        done = aligner.align([w for n in range(6) for w in chunk(n)], PLAN)
    assert len((tmp_path / "asked").read_text().split()) == 2
    assert done.failures == ["no alignment at 300–510 s (it crashed (code 1))"]
    assert [aligned_words([w]) for w in done.windows] == [4, 4, 4, 0, 0, 0]


# -- the worker itself --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def audio(station, tmp_path_factory):  # noqa: F811
    """The example's audio as a WAV."""
    path = tmp_path_factory.mktemp("station") / "audio.wav"
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(16000)
        f.writeframes((station * 32768).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def machine_without_models(tmp_path_factory):
    """Nothing of the developer's home or shell: no NLTK data, no models, no network wanted."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - {*PASSED_ON, "PYTEST_CURRENT_TEST"}:
            patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield home


@pytest.fixture(scope="module")
def real(audio, machine_without_models):
    """An Aligner with the real worker and the fixture's model, and what it says."""
    said = []
    options = AlignmentOptions(alignment_model=str(FIXTURE), alignment_timeout=200, models_dir=machine_without_models, offline=True)
    with Aligner(options, audio, language="en", engine_kind="sphinx", device="cpu", threads=1, say=said.append) as aligner:
        yield aligner, said


def heard(number=0, *, error_s=0.15, seed=0):
    """The example as an engine would hear it that errs in time by `error_s`, and the stretches of speech a detector would."""
    r = random.Random(seed)
    stretches: list[list[float]] = []
    segments = []
    for n, sentence in enumerate(SENTENCES):
        start, end = (sentence[edge] + r.gauss(0, error_s) for edge in ("start", "end"))
        segments.append(segment(n, start, end, " ".join(w["word"] for w in sentence["words"]), "en"))
        if stretches and sentence["start"] - 0.2 <= stretches[-1][1]:
            stretches[-1][1] = sentence["end"] + 0.2
        else:
            stretches.append([sentence["start"] - 0.2, sentence["end"] + 0.2])
    return [DecodedWindow(window=number, segments=segments)], [window(*stretches, number=number)]


def test_words_begin_where_they_are_spoken(real, measured):
    aligner, said = real
    decoded, plan = heard()
    done = aligner.align(decoded, plan)
    truth = [w["start"] for s in SENTENCES for w in s["words"]]

    def errors(windows):
        words = [w for s in windows[0].segments for w in s.words]
        return [abs(w.start - t) * 1000 for w, t in zip(words, truth, strict=True) if t is not None]

    before, after = errors(decoded), errors(done.windows)
    kept = sum("engine-times" in s.marks for s in done.windows[0].segments)
    measured(
        f"station, word start error: simulated engine {statistics.median(before):.0f} ms, aligned "
        f"{statistics.median(after):.0f} ms (median), 90 % within {np.percentile(after, 90):.0f} ms; "
        f"{kept} of {len(SENTENCES)} segments not aligned"
    )
    assert done.failures == [] and said == []
    assert statistics.median(after) <= 100
    assert aligned_words(done.windows) >= 0.8 * len(truth)
    assert all(a.start <= b.start for s in done.windows[0].segments for a, b in pairwise(s.words))


def test_what_the_aligner_cannot_spell_is_timed_all_the_same(real):
    aligner, _ = real
    _, plan = heard()
    spoken = next(s for s in SENTENCES if len(s["words"]) > 5)
    words = [w["word"] for w in spoken["words"]]

    def align_words(*texts):
        alone = segment(0, spoken["start"], spoken["end"], " ".join(texts), "en")
        return aligner.align([DecodedWindow(window=0, segments=[alone])], plan).windows[0].segments[0]

    plain = align_words(*words)
    # What has no sound changes nothing: a dash and a note between the words, an apostrophe as typesetters write it.
    dressed = align_words(words[0], "—", "♪", f"“{words[1]}”", *words[2:])
    assert (plain.marks, dressed.marks) == ([], [])
    assert [times_of(dressed)[n] for n in (0, *range(3, len(words) + 2))] == times_of(plain)
    assert plain.words[0].end == dressed.words[1].start <= dressed.words[2].start <= plain.words[1].start
    # A number is sound of which the aligner knows no more than that.
    number = align_words(words[0], "19", *words[2:])
    assert number.marks == []
    assert times_of(number)[0][0] < times_of(number)[1][0] < times_of(number)[2][0]
    # Words of another script are none of its business, and more letters than frames cannot be spoken.
    assert align_words("किताब", "मेज़", "पर", "है।").marks == ["engine-times"]
    assert align_words(*["ha"] * 400).marks == ["engine-times"]


def test_the_same_words_get_the_same_times_in_any_company(real):
    aligner, _ = real
    decoded, plan = heard(error_s=0.0)
    together = aligner.align(decoded, plan)
    assert together == aligner.align(decoded, plan)
    by_itself = next(u.segments[0][0] for u in make_units(plan[0], decoded[0].segments, "en") if len(u.segments) == 1)
    alone = [DecodedWindow(window=0, segments=decoded[0].segments[by_itself : by_itself + 1])]
    assert aligner.align(alone, plan).windows[0].segments == together.windows[0].segments[by_itself : by_itself + 1]


def test_a_damaged_model_says_so_and_another_language_is_aligned_all_the_same(audio, machine_without_models, tmp_path):
    damaged = put(tmp_path / "damaged", *WHOLE)
    unit = {"start": 3.0, "end": 5.0, "words": ["where", "were"], "window": 0, "segments": [[0, 2]]}
    units = [{**unit, "language": "en"}, {**unit, "language": "xx"}]
    models = {"xx": {"name": str(damaged)}, "en": {"name": str(FIXTURE)}}
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"audio": str(audio), "units": units, "models": models, "device": "mps", "threads": 1}, indent=1))
    done = subprocess.run([*align.worker_command(), request], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    answer = align.Answer.model_validate_json(done.stdout)
    assert [len(u.times) for u in answer.units] == [2, 0]
    assert answer.device == "cpu"
    assert str(damaged) in answer.unusable["xx"]
    assert answer.unusable.keys() == {"xx"}


def test_a_real_worker_that_crashes_leaves_the_engines_times(real):
    aligner, _ = real
    (worker,) = (p for p in psutil.Process().children() if any(argument.endswith("align_worker.py") for argument in p.cmdline()))
    worker.send_signal(signal.SIGSEGV)
    decoded, plan = heard()
    done = aligner.align(decoded, plan)
    assert "crashed (SIGSEGV)" in done.failures[0]
    assert [times_of(s) for s in done.windows[0].segments] == [times_of(s) for s in decoded[0].segments]
    assert gone(worker.pid)


STAGE = """
    import sys, time
    sys.path.append(sys.argv[1])
    from asr import align
    worker = align._Worker(align.worker_command())
    print(worker._child.process.pid, flush=True)
    time.sleep(600)
"""


def test_the_worker_ends_with_the_stage_even_when_it_cannot_notice(machine_without_models):
    code = textwrap.dedent(STAGE)
    stage = subprocess.Popen([sys.executable, "-c", code, str(NATIVE / "stages")], stdout=subprocess.PIPE, text=True)
    worker = psutil.Process(int(stage.stdout.readline()))
    while not worker.children():
        time.sleep(0.05)  # until it has somebody who keeps watch
    worker.suspend()
    stage.kill()
    stage.communicate()
    assert gone(worker.pid)


# -- the stage ----------------------------------------------------------------------------------------------------------

TRANSCRIPT = Path("transcription/transcript.json")
# Found before the real one: it puts every word 0.05 s late, and dies of a real signal where a file says so.
WHISPERX = """
import os, signal
from pathlib import Path

HERE = Path(__file__).parent

def load_align_model(language_code, device, model_name):
    return None, {"language": language_code, "dictionary": {letter: n for n, letter in enumerate("|abcdefghijklmnopqrstuvwxyz'", 1)}}

def align(transcript, model, align_model_metadata, audio, device):
    calls = HERE / "calls"
    calls.write_text(calls.read_text() + "." if calls.exists() else ".")
    if (HERE / "crash").exists() and len(calls.read_text()) == int((HERE / "crash").read_text()):
        os.kill(os.getpid(), signal.SIGSEGV)
    (segment,) = transcript
    words = segment["text"].split(" ")
    step = (segment["end"] - 0.1) / len(words)
    return {"word_segments": [{"word": w, "start": 0.05 + step * n, "end": 0.05 + step * (n + 1)} for n, w in enumerate(words)]}
"""
# In the place of torch on a Mac with 1 GiB for its GPU.
TORCH = """
from pathlib import Path
from types import SimpleNamespace

set_num_threads = print
backends = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: True))
cuda = SimpleNamespace(is_available=lambda: False)
mps = SimpleNamespace(
    recommended_max_memory=lambda: 2**30,
    set_per_process_memory_fraction=lambda fraction: Path(__file__).with_name("fraction").write_text(str(fraction)),
)
"""


@pytest.fixture
def fake_whisperx(tmp_path):
    """The folder of a package that stands in for whisperx in the worker, and the environment in which it does."""
    package = tmp_path / "packages" / "whisperx"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "alignment.py").write_text(WHISPERX)
    # The real one takes seconds to import.
    (package.parent / "torch.py").write_text("set_num_threads = print")
    return package, {"PYTHONPATH": str(package.parent), "WHISPER_BACKEND": "sphinx"}


def words_of(movie_dir):
    content = json.loads((movie_dir / TRANSCRIPT).read_text())
    return [word for segment in content["segments"] for word in segment["words"]]


def test_a_crash_of_alignment_degrades_its_chunk_until_it_is_retried(run_stage, movie_dir, long_inputs, fake_whisperx):  # noqa: F811
    package, env = fake_whisperx
    options = [*LONG, f"--alignment-model={FIXTURE}"]
    (package / "crash").write_text("2")
    done = run_stage("asr", movie_dir, options=options, env=env)
    words = words_of(movie_dir)
    near = {at: [w for w in words if at <= w["start"] < at + 50] for at in (0, 100, 200)}
    assert all(near.values())
    assert all("engine_start" in w and w["start"] != w["engine_start"] for at in (0, 200) for w in near[at])
    assert not any("engine_start" in w for w in near[100])
    assert "alignment at 101–10" in done.stderr and "crashed (SIGSEGV)" in done.stderr
    manifest = json.loads((movie_dir / "manifests" / "07_asr.json").read_text())
    assert any(re.match(r"chunk 1 \(.* s\) keeps word times of its engine: no alignment at", line) for line in manifest["fallbacks"])
    assert notes(movie_dir)["words"] == len(words)
    assert notes(movie_dir)["words_aligned"] == len(words) - len(near[100])

    (package / "crash").unlink()
    assert "up to date" in run_stage("asr", movie_dir, options=options, env=env).stderr
    run_stage("asr", movie_dir, options=[*options, "--retry-degraded"], env=env)
    # What was decoded in full is not decoded again for its times.
    assert notes(movie_dir)["chunks_reused"] == 3
    assert [w["word"] for w in words_of(movie_dir)] == [w["word"] for w in words]
    assert all("engine_start" in w for w in words_of(movie_dir))


def test_what_was_decoded_is_aligned_in_another_way_and_not_decoded_again(run_stage, movie_dir, long_inputs, fake_whisperx):  # noqa: F811
    _, env = fake_whisperx
    unaligned, aligned = ([*LONG, "--alignment-backend=none"], [*LONG, f"--alignment-model={FIXTURE}"])
    written = {}
    for name, options in (("none", unaligned), ("aligned", aligned), ("none again", unaligned)):
        run_stage("asr", movie_dir, options=options, env=env)
        assert notes(movie_dir)["chunks_reused"] == (0 if name == "none" else 3)
        written[name] = (movie_dir / TRANSCRIPT).read_bytes()
    assert written["none"] == written["none again"] != written["aligned"]
    # As if it had been aligned at once.
    run_stage("asr", movie_dir, options=[*aligned, "--force"], env=env)
    assert notes(movie_dir)["chunks_reused"] == 0
    assert (movie_dir / TRANSCRIPT).read_bytes() == written["aligned"]


def test_the_aligner_keeps_to_the_memory_it_may_take_on_apples_gpu(run_stage, movie_dir, long_inputs, fake_whisperx):  # noqa: F811
    package, env = fake_whisperx
    (package.parent / "torch.py").write_text(TORCH)
    run_stage("asr", movie_dir, options=[*LONG, f"--alignment-model={FIXTURE}"], env={**env, "MPS_ALLOC_MAX_SIZE_MB": "512"})
    assert (package.parent / "fraction").read_text().startswith("0.5")


def test_the_doctor_tries_the_aligner(audio, machine_without_models, tmp_path):
    def check(**settings):
        return align.check(AlignmentOptions(models_dir=tmp_path, offline=True, **settings), "auto", "cpu")

    assert check(alignment_model=str(FIXTURE)).startswith("a word (en) ")
    assert "is neither in" in check() and "keep their engine's times" in check()
    assert "cannot be used" in check(alignment_model=str(put(tmp_path / "damaged", *WHOLE)))
    assert check(alignment_backend="same") == "word times: the engine's"


def test_the_stage_fetches_the_aligner_of_the_language_it_heard_and_aligns(run_stage, movie_dir, write_inputs, station, tmp_path):  # noqa: F811
    first, second = SENTENCES[0], SENTENCES[3]
    write_inputs(station[: 16000 * 20], [(s["start"], s["end"]) for s in (first, second)])
    hub = FakeHub({"facebook/wav2vec2-base-960h": {path.name: path.read_bytes() for path in FIXTURE.iterdir()}}).start()
    try:
        env = {"OFFLINE": "false", "HF_ENDPOINT": hub.endpoint, "MODELS_DIR": str(tmp_path / "models")}
        done = run_stage("asr", movie_dir, options=["--backend=sphinx"], env=env)
    finally:
        hub.stop()
    assert re.search(r"fetching facebook/wav2vec2-base-960h \(word times, \d\.\d MB\) from", done.stderr)
    assert (tmp_path / "models" / "facebook--wav2vec2-base-960h" / "vocab.json").exists()
    content = json.loads((movie_dir / TRANSCRIPT).read_text())
    assert notes(movie_dir)["words_aligned"] > 0.5 * notes(movie_dir)["words"] > 0
    for one in content["segments"]:
        # As WhisperX's tools read it: a segment spans its words, and every word has text and times.
        assert one["start"] == one["words"][0]["start"] and one["end"] == one["words"][-1]["end"]
        assert all({"word", "start", "end", "score"} <= word.keys() for word in one["words"])
    # A later run finds it there, and nothing to do.
    assert "up to date" in run_stage("asr", movie_dir, options=["--backend=sphinx"], env=env).stderr


@pytest.mark.parametrize(
    ("env", "environments"),
    [
        ({"WHISPER_BACKEND": "mlx"}, "asr-mlx\tasr"),
        ({"WHISPER_BACKEND": "mlx", "ALIGNMENT_BACKEND": "same"}, "asr-mlx\t"),
        ({"WHISPER_BACKEND": "whisperx"}, "asr\t"),
    ],
)
def test_the_environment_that_aligns_is_built_though_another_decodes(env, environments, movie_dir, child_environment):
    command = [python_of("core"), "-m", "reelscribe.cli", "stages", "--movie-dir", movie_dir, "--only", "asr"]
    done = subprocess.run(command, env={**child_environment, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert done.stdout == f"asr\t{environments}\n"


def test_without_an_aligner_the_stage_says_so_and_goes_on(run_stage, movie_dir, write_inputs, station):  # noqa: F811
    write_inputs(station[: 16000 * 10], [(SENTENCES[0]["start"], SENTENCES[0]["end"])])
    done = run_stage("asr", movie_dir, options=["--backend=sphinx"])
    assert "aligner facebook/wav2vec2-base-960h is neither in" in done.stderr
    manifest = json.loads((movie_dir / "manifests" / "07_asr.json").read_text())
    assert any("words (en) keep their engine's times" in line for line in manifest["fallbacks"])
    # That is the run's affair: no chunk of it is worth another try.
    assert "up to date" in run_stage("asr", movie_dir, options=["--backend=sphinx", "--retry-degraded"]).stderr
    # Who asks for the engine's times gets the same ones and is warned of nothing.
    words = words_of(movie_dir)
    assert "aligner" not in run_stage("asr", movie_dir, options=["--backend=sphinx", "--alignment-backend=none"]).stderr
    assert words_of(movie_dir) == words
