"""The helpers of the PocketSphinx engine: guessed pronunciations, the glossary's vocabulary, readable sentences."""

from __future__ import annotations

import pytest

from asr.engines.sphinx import vocabulary
from asr.pronounce import plain_letters, pronounce
from asr.sentences import to_segments
from reelscribe.schemas import Term, Word

DICTIONARY = {"dash": "D AE SH", "wood": "W UH D", "john": "JH AA N", "wor": "W AO R", "thy": "DH AY", "zoe": "Z OW IY"}


@pytest.mark.parametrize(
    ("name", "phones"),
    [
        ("John", "JH AA N"),  # the dictionary
        ("Dashwood", "D AE SH W UH D"),  # two of its words
        ("Worthy", "W AO R DH AY"),
        ("Zoë", "Z OW IY"),
        ("Gatsby", "G AE T S B IY"),  # rules from here on
        ("Blake", "B L EY K"),
        ("Knight", "N AY T"),
        ("Imran", "IH M R AH N"),
    ],
)
def test_a_name_has_a_likeliest_pronunciation(name, phones):
    assert pronounce(name, DICTIONARY.get)[0] == phones


@pytest.mark.parametrize(
    ("name", "phones"),
    [
        ("Ravi", "R AA V IY"),  # as most languages read it
        ("Isolde", "IY Z OW L D EY"),
        ("Lakshmi", "L AH K SH M IY"),  # as Hindi does
        ("Vikram", "V IY K R AH M"),
        ("Zoë", "Z OW EY"),  # whatever the dictionary has
    ],
)
def test_a_name_may_come_from_anywhere(name, phones):
    assert phones in pronounce(name, DICTIONARY.get)


def test_no_pronunciation_comes_twice_and_none_is_empty():
    assert pronounce("Kim", {"kim": "K IH M"}.get) == ["K IH M", "K IY M"]
    assert pronounce("李", DICTIONARY.get) == []


def test_accents_fall_away():
    assert plain_letters("Éowyn O'Brien-Šmíd") == "eowynobriensmid"


def term(text, weight=0.5, kind="character"):
    return Term(text=text, kind=kind, weight=weight, source="test")


def test_the_vocabulary_is_the_names_in_the_terms():
    assert vocabulary(
        [term("Inspector Karl"), term("the old harbour"), term("John H. Watson", 0.8), term("R2D2"), term("A Long Night", kind="title")]
    ) == {
        "Inspector": 0.5,
        "Karl": 0.5,
        "John": 0.8,
        "Watson": 0.8,
    }


def test_a_word_has_the_highest_weight_of_its_terms():
    assert vocabulary([term("Karl", 0.2), term("Karl Basu", 0.9), term("Karl", 0.4)])["Karl"] == 0.9


def words(*timed):
    return [Word(word=word, start=start, end=end, score=0.5) for word, start, end in timed]


def test_a_pause_ends_a_sentence():
    said = words(("i", 0, 0.2), ("know", 0.3, 0.6), ("Karl", 1.0, 1.4), ("where", 1.9, 2.2), ("i'm", 2.2, 2.4))
    first, second = to_segments(said, window=3)
    assert (first.text, first.start, first.end) == ("I know Karl.", 0, 1.4)
    assert (second.text, second.start, second.end) == ("Where I'm.", 1.9, 2.4)
    assert [w.word for w in first.words] == ["I", "know", "Karl."]
    assert [(s.id, s.window, s.language) for s in (first, second)] == [(0, 3, "en"), (1, 3, "en")]


def test_no_words_are_no_segments():
    assert to_segments([], window=0) == []
