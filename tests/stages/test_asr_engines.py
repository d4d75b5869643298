"""asr with a real Whisper, a tiny one that understands synthetic voices: words, names as the glossary spells them, what a decoder is told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import jiwer
import numpy as np
import pytest
from conftest import python_of
from test_asr import SENTENCES, notes, station, transcript, write_inputs  # noqa: F401

from reelscribe.schemas import DecodedChunk, DecodedWindow
from reelscribe.stage_table import NATIVE, ROOT

MODEL = ROOT / "tests" / "fixtures" / "whisper"
NAMES = ["Sarah", "Stephen", "Karl", "Jai", "Kathryn"]
ENGINES = ["whisperx", "mlx"]


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory):
    """Where the model is converted to, once for all tests."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def run_whisper(run_stage, movie_dir, models_dir):
    """Runs asr with the tiny Whisper and its own word times."""

    def run(backend="whisperx", *options, check=True):
        given = [f"--backend={backend}", f"--model={MODEL}", f"--models-dir={models_dir}", "--alignment-backend=none", *options]
        return run_stage("asr", movie_dir, options=given, check=check)

    return run


@pytest.fixture
def station_inputs(write_inputs, station):  # noqa: F811
    """The example movie's audio; both of its actors' names may be spoken anywhere in it."""
    heard = [(s["start"], s["end"]) for s in SENTENCES]
    write_inputs(station, heard, heard, terms=[NAMES] * 5)


def plain(text):
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


def words_of(found):
    return [word for segment in found.segments for word in segment.words]


def names_in(text):
    return sorted(name for name in re.findall(r"\w+", text) if name in NAMES)


@pytest.mark.parametrize("backend", ENGINES)
def test_names_are_spelt_as_the_glossary_has_them_with_bias_and_not_without(run_whisper, movie_dir, station_inputs, backend):
    done = run_whisper(backend)
    said = " ".join(s["text"] for s in SENTENCES)
    found = transcript(movie_dir)
    biased = " ".join(s.text for s in found.segments)
    assert "Active bias: 5 unique terms" in done.stderr
    assert (found.language, found.draft, found.model) == ("en", False, "whisper")
    assert notes(movie_dir)["language_vote"]["en"] > 0.9
    assert jiwer.wer(plain(said), plain(biased)) < 0.25
    assert len(names_in(biased)) >= 0.75 * len(names_in(said))
    assert all(set(s.terms) == set(NAMES) and s.window is not None for s in found.segments)
    words = words_of(found)
    assert all(a.start <= a.end and a.start <= b.start for a, b in pairwise(words))
    assert all(0 <= word.score <= 1 for word in words)
    assert all(s.text == " ".join(w.word for w in s.words) for s in found.segments)

    assert "Active bias: 0 unique terms" in run_whisper(backend, "--bias=false").stderr
    assert names_in(" ".join(s.text for s in transcript(movie_dir).segments)) == []
