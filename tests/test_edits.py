"""Words written over those of a cue: where they stand, what keeps its time, and what happens when something else is heard there."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelscribe import edits
from reelscribe.edits import Edit, Edits, Track
from reelscribe.schemas import Correction, Corrections, Segment, Transcript, Word

NOTHING = Corrections(corrections=[], threshold=0.7)


def segment(number: int, text: str, start: float = 0.0, *, speaker: str = "A", language: str | None = None) -> Segment:
    """A word a second."""
    words = [Word(word=w, start=start + n, end=start + n + 1, score=0.5, speaker=speaker) for n, w in enumerate(text.split())]
    return Segment(id=number, start=start, end=words[-1].end, text=text, words=words, speaker=speaker, language=language)


def transcript(*segments: Segment, english: list[Segment] | None = None, language: str = "en") -> Transcript:
    return Transcript(segments=list(segments), translation=english, language=language, engine="t", model="t", duration=60)


def edit(heard: Transcript, start: float, end: float, text: str, *, english: bool = False, number: str = "1") -> Edit:
    """As a review makes it."""
    beneath = Track.of(heard.translation or [] if english else heard.segments, [], "en").beneath(start, end)
    return Edit(
        id=number, english=english, start=start, end=end, heard=[w.word for w in beneath], heard_start=beneath[0].start, was="", text=text
    )


def follow(
    folder: Path, heard: Transcript, *made: Edit, ledger: Corrections = NOTHING, shown: list[Segment] | None = None
) -> list[Segment]:
    edits.write(folder, Edits(edits=list(made)))
    return edits.follow(folder, heard, shown or list(heard.segments), heard.translation, ledger)[0]


def timed(found: Segment) -> list[tuple[str, float, float]]:
    return [(w.word, round(w.start, 3), round(w.end, 3)) for w in found.words]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one two three four", [("one", 0, 1), ("two", 1, 2), ("three", 2, 3), ("four", 3, 4)]),
        ("one TWO, three four", [("one", 0, 1), ("TWO,", 1, 2), ("three", 2, 3), ("four", 3, 4)]),
        ("one tool three four", [("one", 0, 1), ("tool", 1, 2), ("three", 2, 3), ("four", 3, 4)]),
        ("one three four", [("one", 0, 1), ("three", 2, 3), ("four", 3, 4)]),
        ("one oak three four", [("one", 0, 1), ("oak", 1, 2), ("three", 2, 3), ("four", 3, 4)]),
        ("one too wo three four", [("one", 0, 1), ("too", 1, 1.6), ("wo", 1.6, 2), ("three", 2, 3), ("four", 3, 4)]),
        ("one four", [("one", 0, 1), ("four", 3, 4)]),
        ("a one two three four", [("a", 0, 0.25), ("one", 0.25, 1), ("two", 1, 2), ("three", 2, 3), ("four", 3, 4)]),
        ("one two three four z", [("one", 0, 1), ("two", 1, 2), ("three", 2, 3), ("four", 3, 3.8), ("z", 3.8, 4)]),
        ("xx yy", [("xx", 0, 2), ("yy", 2, 4)]),
    ],
)
def test_what_is_the_same_keeps_its_time_and_the_rest_shares_it(tmp_path: Path, text: str, expected: list[object]) -> None:
    heard = transcript(segment(0, "one two three four"), segment(1, "and more", 10))
    first, second = follow(tmp_path, heard, edit(heard, 0, 4, text))
    assert timed(first) == expected
    assert first.text == text
    assert second == heard.segments[1]


def test_a_segment_without_words_is_gone_and_the_others_keep_their_ids(tmp_path: Path) -> None:
    heard = transcript(segment(0, "one two"), segment(1, "three", 10), segment(2, "four", 20))
    assert [s.id for s in follow(tmp_path, heard, edit(heard, 10, 11, " "))] == [0, 2]


def test_something_else_is_heard_there_now(tmp_path: Path) -> None:
    before, now = transcript(segment(0, "one two three")), transcript(segment(0, "one tow three"))
    made = edit(before, 0, 3, "eins zwei drei")
    assert [s.text for s in follow(tmp_path, now, made)] == ["one tow three"]
    assert edits.followed(tmp_path).stale == ["1"]
    assert edits.read(tmp_path).edits == [made]  # kept, for the day the words come back
    assert [s.text for s in follow(tmp_path, before, made)] == ["eins zwei drei"]
    assert edits.followed(tmp_path).stale == []


def test_the_same_heard_a_little_later_is_the_same(tmp_path: Path) -> None:
    before, now = transcript(segment(0, "one two", 5)), transcript(segment(0, "one two", 5.4))
    (found,) = follow(tmp_path, now, edit(before, 5, 7, "three two"))
    assert timed(found) == [("three", 5.4, 6.4), ("two", 6.4, 7.4)]


def test_the_same_words_elsewhere_are_left_alone(tmp_path: Path) -> None:
    before, now = transcript(segment(0, "yes yes", 5)), transcript(segment(0, "yes yes", 9))
    assert [s.text for s in follow(tmp_path, now, edit(before, 5, 7, "no no"))] == ["yes yes"]
    twice = transcript(segment(0, "yes yes", 5), segment(1, "yes yes", 7.2))
    assert [s.text for s in follow(tmp_path, twice, edit(before, 5, 7, "no no"))] == ["no no", "yes yes"]


def test_names_mended_otherwise_do_not_undo_an_edit(tmp_path: Path) -> None:
    heard = transcript(segment(0, "then jay dev came"))
    made = edit(heard, 0, 4, "Then David came.")
    joined = segment(0, "then x came")
    joined.words = [
        heard.segments[0].words[0],
        Word(word="Jaidev", start=1, end=3),
        heard.segments[0].words[3],
    ]
    assert [s.text for s in follow(tmp_path, heard, made, shown=[joined])] == ["Then David came."]
    # An edit whose edge goes through a word that was joined since is not made.
    assert [s.text for s in follow(tmp_path, heard, edit(heard, 2, 4, "left"), shown=[joined])] == ["then x came"]
    assert edits.followed(tmp_path).stale == ["1"]


def test_the_ledger_counts_the_words_as_they_are(tmp_path: Path) -> None:
    def line(number: str, at: int, first: int, last: int) -> Correction:
        return Correction(
            id=number, segment=at, first=first, last=last, start=0, end=1, old="", new="", heard="", written="", rule="", scores={}
        )

    heard = transcript(segment(0, "one two three four"), segment(1, "five six", 10))
    ledger = Corrections(corrections=[line("a", 0, 0, 0), line("b", 0, 1, 1), line("c", 0, 2, 3), line("d", 1, 1, 1)], threshold=0.7)
    edits.write(tmp_path, Edits(edits=[edit(heard, 0, 4, "one zwo and three four")]))
    _, _, found = edits.follow(tmp_path, heard, list(heard.segments), None, ledger)
    assert [(c.id, c.first, c.last) for c in found.corrections] == [("a", 0, 0), ("c", 3, 4), ("d", 1, 1)]


def test_the_translation_is_edited_apart_and_stays_linked(tmp_path: Path) -> None:
    english = [segment(0, "we go"), segment(1, "now run", 3)]
    english[0].source, english[1].source = (0, 2), (3, 4)
    heard = transcript(segment(0, "nous allons y"), segment(1, "cours maintenant", 3), english=english, language="fr")
    edits.write(tmp_path, Edits(edits=[edit(heard, 0, 3, "allons-y"), edit(heard, 3, 5, "Run now!", english=True, number="2")]))
    said, shown, _ = edits.follow(tmp_path, heard, list(heard.segments), heard.translation, NOTHING)
    assert [s.text for s in said] == ["allons-y", "cours maintenant"]
    assert [(s.text, s.source) for s in shown or []] == [("we go", (0, 0)), ("Run now!", (1, 2))]


def test_scripts_without_spaces(tmp_path: Path) -> None:
    heard = transcript(segment(0, "今日 は 東京 です"), language="ja")
    (found,) = follow(tmp_path, heard, edit(heard, 0, 4, "今日は京都です"))
    assert found.text == "今日は京都です"
    assert [(w.word, w.start) for w in found.words][:3] == [("今", 0), ("日", 0.5), ("は", 1)]


def test_no_edits_change_nothing_and_leave_no_file(tmp_path: Path) -> None:
    heard = transcript(segment(0, "one"))
    segments, english, ledger = edits.follow(tmp_path, heard, heard.segments, None, NOTHING)
    assert (segments, english, ledger) == (heard.segments, None, NOTHING)
    assert list(tmp_path.iterdir()) == []
    assert not edits.since(tmp_path)


def test_an_edit_taken_back_is_one_more_run(tmp_path: Path) -> None:
    heard = transcript(segment(0, "one"))
    edits.write(tmp_path, Edits(edits=[edit(heard, 0, 1, "two")]))
    assert edits.since(tmp_path)
    edits.follow(tmp_path, heard, heard.segments, None, NOTHING)
    assert not edits.since(tmp_path)
    edits.write(tmp_path, Edits())
    assert edits.since(tmp_path)
    assert edits.follow(tmp_path, heard, heard.segments, None, NOTHING)[0] == heard.segments
    assert not edits.since(tmp_path)


WORDS = st.lists(st.sampled_from(["a", "b", "cc", "ddd", "e,"]), min_size=1, max_size=8)


@given(segments=st.lists(WORDS, min_size=1, max_size=4), new=st.lists(WORDS, min_size=1, max_size=3), data=st.data())
def test_nothing_is_lost_doubled_or_out_of_order(
    segments: list[list[str]], new: list[list[str]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shown, start = [], 0.0
    for number, words in enumerate(segments):
        shown.append(segment(number, " ".join(words), start))
        start += len(words) + 0.5
    heard = transcript(*shown)
    track = Track.of(heard.segments, list(shown), "en")
    expected = [p.word.word for p in track.words]
    made = []
    for number, words in enumerate(new):
        # One edit after the other, each of any stretch of what the ones before have left.
        first = data.draw(st.integers(0, len(expected) - 1))
        last = data.draw(st.integers(first, len(expected) - 1))
        span = track.words[first].word.start, track.words[last].word.end
        made.append(edit(heard, *span, " ".join(words), number=str(number)))
        assert track.follow(made[-1])
        expected[first : last + 1] = words
        assert [p.word.word for p in track.words] == expected
    found = track.segments()
    assert " ".join(s.text for s in found).split() == expected
    spoken = [w for s in found for w in s.words]
    assert all(w.start <= w.end + 1e-9 for w in spoken)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(spoken))
    for one in found:
        assert one.start <= one.words[0].start + 1e-9
        assert one.words[-1].end <= one.end + 1e-9
    # The same from the file, in one go.
    assert follow(tmp_path_factory.mktemp("edits"), heard, *made) == found
