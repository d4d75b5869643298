"""The plan of asr: windows that cut no word, chunks, terms by place; and nothing that was heard is left out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr import plan, speech
from reelscribe.schemas import BiasWindow, Glossary, Span, SpeechSegment, Term, Vad, Window


def span(start, end):
    return Span(start=start, end=end)


def pairs(found):
    return [(s.start, s.end) for s in found]


def vad(*times):
    return Vad(segments=[SpeechSegment(start=s, end=e, score=1.0) for s, e in times], duration=0.0, model="test")


def middle(start, end):
    """Stands in for the quietest moment."""
    return (start + end) / 2


def make(*vads, duration=1000.0, bias=(), terms=(), chunk_s=None):
    glossary = Glossary(terms=list(terms), pipeline="test")
    return plan.make_plan(vads, duration, middle, bias, glossary, chunk_s)


# -- speech -------------------------------------------------------------------------------------------------------------


def test_what_either_detector_heard_is_speech():
    found = make(vad((1, 2), (5, 6)), vad((1.5, 3), (8, 9)))
    assert pairs(found.speech) == [(1, 3), (5, 6), (8, 9)]


def test_speech_is_widened_within_the_movie():
    assert pairs(speech.union([span(0.1, 1), span(9, 9.9)], 10.0, pad_s=0.2)) == [(0, 1.2), (8.8, 10)]


def test_speech_past_the_end_of_the_audio_is_dropped():
    assert pairs(speech.union([span(9, 12), span(13, 14)], 10.0)) == [(9, 10)]


def test_a_hole_is_found_with_its_times():
    assert pairs(speech.uncovered([span(0, 10), span(20, 30)], [span(0, 4), span(6, 10), span(20, 29)])) == [(4, 6), (29, 30)]
    assert speech.uncovered([span(1, 9)], [span(0, 5), span(5, 10)]) == []
    assert pairs(speech.uncovered([span(1, 9)], [])) == [(1, 9)]


def test_the_quietest_moment_is_found_in_the_audio(make_wav, tmp_path):
    loud = np.random.default_rng(1).normal(0, 0.2, 16000 * 4)
    loud[40000:46400] *= 0.05  # 2.5 to 2.9 s
    quietest = speech.quietest_in(make_wav(tmp_path / "audio.wav", loud))
    assert 2.5 < quietest(0.0, 4.0) < 2.9
    assert quietest(0.0, 2.0) <= 2.0
    assert quietest(3.9, 3.95) == pytest.approx(3.925)


# -- windows ------------------------------------------------------------------------------------------------------------


def test_neighbours_share_a_window_until_it_is_full():
    found = make(vad((1, 10), (11, 20), (21, 29), (30, 35)))
    assert pairs(found.windows) == [(0.8, 29.2), (29.8, 35.2)]
    assert pairs(found.windows[0].speech) == [(0.8, 10.2), (10.8, 20.2), (20.8, 29.2)]


def test_a_window_does_not_span_a_long_silence():
    assert pairs(make(vad((1, 2), (9, 10))).windows) == [(0.8, 2.2), (8.8, 10.2)]


def test_long_speech_is_cut_where_it_is_quietest():
    asked = []

    def quietest(start, end):
        asked.append((start, end))
        return start + 3.0

    assert pairs(plan.split_long([span(0, 50)], quietest)) == [(0, 18), (18, 36), (36, 50)]
    assert asked == [(15, 30), (33, 48)]


def test_no_cut_leaves_less_than_a_second():
    assert all(end - start >= 1 for start, end in pairs(plan.split_long([span(0, 30.2)], lambda start, end: end)))


@given(st.lists(st.lists(st.tuples(st.floats(0, 400), st.floats(0.05, 100)), max_size=8), min_size=2, max_size=2))
def test_every_plan_covers_all_speech_in_windows_that_fit(heard):
    duration = 400.0
    found = make(*(vad(*((s, s + length) for s, length in spans)) for spans in heard), duration=duration, chunk_s=60)
    windows = found.windows
    assert speech.uncovered(found.speech, windows) == []
    assert all(0 <= w.start < w.end <= duration and w.end - w.start <= plan.MAX_WINDOW_S + 0.001 for w in windows)
    assert all(a.end <= b.start for a, b in pairwise(windows))
    assert [w.id for w in windows] == list(range(len(windows))) == [number for chunk in found.chunks for number in chunk.windows]


def test_silence_gives_an_empty_plan():
    found = make(vad(), vad())
    assert (found.speech, found.windows, found.chunks, found.terms) == ([], [], [], [])


# -- chunks -------------------------------------------------------------------------------------------------------------

WINDOWS = [Window(id=n, start=40.0 * n, end=40.0 * n + 30, speech=[]) for n in range(5)]


def test_chunks_hold_whole_windows():
    assert [(c.start, c.end, c.windows) for c in plan.make_chunks(WINDOWS, 80)] == [(0, 70, [0, 1]), (80, 150, [2, 3]), (160, 190, [4])]


def test_without_chunks_all_windows_are_one():
    assert [c.windows for c in plan.make_chunks(WINDOWS, None)] == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("wanted", "duration", "device", "chunked"),
    [
        ("auto", 599, "cpu", False),
        ("auto", 601, "cpu", True),
        ("auto", 10, "mps", True),
        ("auto", 10, "cuda", False),
        ("always", 10, "cpu", True),
        ("never", 9999, "mps", False),
    ],
)
def test_when_chunks_are_used(wanted, duration, device, chunked):
    assert plan.uses_chunks(wanted, duration, device) is chunked


# -- terms --------------------------------------------------------------------------------------------------------------


def bias_windows(*terms):
    return [BiasWindow(start=15.0 * n, end=15.0 * n + 45, terms=list(names)) for n, names in enumerate(terms)]


def test_a_window_has_the_terms_of_the_bias_window_that_holds_it():
    bias = bias_windows(["Ilsa"], ["Rick"], ["Sam"])
    assert plan.terms_at(0.0, 30.0, bias) == ["Ilsa"]
    assert plan.terms_at(16.0, 46.0, bias) == ["Rick"]
    assert plan.terms_at(46.0, 74.0, bias) == ["Sam"]
    assert plan.terms_at(36.0, 38.0, bias) == ["Rick"]  # all three hold it
    assert plan.terms_at(500.0, 510.0, bias) == []


@given(st.floats(0, 300), st.floats(0.1, 30))
def test_some_bias_window_holds_any_window_as_a_whole(start, length):
    bias = [BiasWindow(start=15.0 * n, end=15.0 * n + 45, terms=[str(n)]) for n in range(30)]
    (name,) = plan.terms_at(start, start + length, bias)
    assert bias[int(name)].start <= start and start + length <= bias[int(name)].end + 1e-6


def test_the_plan_keeps_the_terms_that_its_windows_use():
    terms = [Term(text=t, kind="character", weight=1, source="test") for t in ("Ilsa", "Rick", "Sam")]
    found = make(vad((1, 2), (100, 101)), bias=bias_windows(["Rick"], ["Rick"], [], [], [], ["Ilsa", "Rick"], []), terms=terms)
    assert [w.terms for w in found.windows] == [["Rick"], ["Ilsa", "Rick"]]
    assert [t.text for t in found.terms] == ["Ilsa", "Rick"]
