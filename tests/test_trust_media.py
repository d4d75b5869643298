"""Bad and hostile media are refused with words, or read; nothing that was done is lost and nothing else is read.

The short form of tests/soak/media.py: some of its inputs, always the same. `tests/soak.sh media` tries hundreds.
"""

from __future__ import annotations

import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelscribe.stage_table import ROOT

sys.path.append(str(ROOT / "tests" / "soak"))
import media
from _media_cases import ACCEPTED, HLS, REFUSED, Case, all_cases, changed
from _media_files import make

BY_CHANCE = 15
# One of each kind at least, and all that once went wrong.
ALWAYS = (
    "a FIFO",
    "a device that never ends",
    "a name too long",
    "no permission",
    "20 audio tracks, mkv",
    "a rate of 1 Hz",
    "7.1",
    "Matroska's duration is inf",
    "an edit list that begins in 24 days",
    "an index of 2000000 samples in a few bytes",
    "escape codes in a title",
    "a title of 100 kB",
    "5000 tags",
    "a title that is no UTF-8",
    "subtitles that are no UTF-8",
    "the name '\\x1b]0;owned\\x07\\x1b[31mred\\x1b[0m.mkv'",
    "QuickTime whose sound lies elsewhere",
)


@pytest.fixture(scope="module")
def bench() -> Iterator[media.Bench]:
    with media.bench() as made:
        yield made


@pytest.mark.parametrize("number", range(BY_CHANCE))
def test_media_by_chance(bench: media.Bench, number: int) -> None:
    case = media.chosen(BY_CHANCE, 7, bench.canary.port)[number]
    assert bench.problems(case, mux=False, pipeline=False) == [], case.name


@pytest.mark.parametrize("name", ALWAYS)
def test_media_that_went_wrong_once_or_is_the_worst_of_its_kind(bench: media.Bench, name: str) -> None:
    (case,) = [c for c in all_cases(bench.canary.port) if c.name == name]
    assert bench.problems(case, mux=case.want == ACCEPTED, pipeline=name.startswith("the name")) == []


# -- the harness itself: what it must not overlook ----------------------------------------------------------------------


def test_an_ending_other_than_wanted_is_a_problem(bench: media.Bench) -> None:
    fine = changed("mkv", lambda data: data)
    assert bench.problems(Case("fine", fine, ACCEPTED, 3), mux=True, pipeline=False) == []
    assert "code 0 instead of 3" in bench.problems(Case("fine", fine, REFUSED), mux=False, pipeline=False)[0]
    assert "instead of 9.00 s" in bench.problems(Case("fine", fine, ACCEPTED, 9), mux=False, pipeline=False)[0]


def test_a_canary_that_is_read_or_called_is_a_problem(bench: media.Bench) -> None:
    import socket

    bench.canary.rest()
    assert list(bench.canary.problems()) == []
    if bench.canary.seen:
        bench.canary.path.read_bytes()
        assert list(bench.canary.problems()) == ["read a file that it was pointed at"]
    with socket.create_connection(("127.0.0.1", bench.canary.port)) as connection:
        connection.recv(1)
    assert list(bench.canary.problems()) == ["called a server that it was pointed at"]


def test_what_a_terminal_obeys_and_a_wav_that_lies_are_problems(tmp_path: Path) -> None:
    assert list(media.controls("fine\n\tनमस्ते")) == []
    assert list(media.controls("\x1b[2J")) == ["control characters ['\\x1b']"]
    with wave.open(str(tmp_path / "a.wav"), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(16000)
        f.writeframes(bytes(32000))
    assert list(media.sound_problems(tmp_path / "a.wav", 1.0)) == []
    assert "instead of 2.00 s" in next(media.sound_problems(tmp_path / "a.wav", 2.0))


def test_a_playlist_is_one(bench: media.Bench, tmp_path: Path) -> None:
    """Without our limits FFmpeg does read what it names."""
    bench.canary.rest()
    (tmp_path / "list.m3u8").write_text(HLS.format(bench.goods / "canary.ts"), encoding="utf-8")
    make(tmp_path / "read.wav", "-i", f"file:{tmp_path / 'list.m3u8'}")
    assert (tmp_path / "read.wav").stat().st_size > 100_000
    if bench.canary.seen:
        assert list(bench.canary.problems()) == ["read a file that it was pointed at"]
