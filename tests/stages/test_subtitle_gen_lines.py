"""subtitle-gen: when a cue comes and goes, where its lines end, whose it is; scripts other than Latin."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest

from reelscribe.schemas import Segment, Word
from subtitle_gen import breaks
from subtitle_gen.cues import Cue, Planner
from subtitle_gen.limits import Clock, Limits, for_movie, load_profile, parse_fps
from subtitle_gen.rules import violations
from subtitle_gen.timing import Timing
from subtitle_gen.words import Spoken, graphemes, measured, spoken

NETFLIX = load_profile("netflix")
LIMITS = for_movie(NETFLIX, "en", "24")
NAMES = {label: f"Speaker {label}" for label in "ABC"}


def segment_of(text: str, start: float = 0.0, *, each_s: float = 0.3, speaker: str | None = "A") -> Segment:
    """`text` at an even pace by one speaker."""
    words = [
        Word(word=word, start=start + i * each_s, end=start + (i + 1) * each_s, speaker=speaker) for i, word in enumerate(text.split())
    ]
    return Segment(id=0, start=start, end=words[-1].end, text=text, words=words, speaker=speaker)


def planner_of(*segments: Segment, limits: Limits = LIMITS, language: str = "en", cuts: Sequence[int] = (), **more: Any) -> Planner:
    """The planner of `segments`. cuts: frames. more: Planner's own."""
    return Planner(spoken(segments, NAMES, language, limits), limits, Timing(limits, cuts, more.pop("end", None)), **more)


def cues_of(*segments: Segment, **more: Any) -> list[Cue]:
    """The cues of `segments`."""
    return planner_of(*segments, **more).cues()


def times(cues: Sequence[Cue]) -> list[tuple[int, int]]:
    """In- and out-times in frames."""
    return [(cue.start, cue.end) for cue in cues]


def texts(cues: Sequence[Cue]) -> list[str]:
    """The cues' text, lines joined by |."""
    return ["|".join(cue.lines) for cue in cues]


# -- time, in frames at 24 a second -------------------------------------------------------------------------------------


def test_a_cue_starts_with_its_speech_and_outlasts_it_by_half_a_second() -> None:
    assert times(cues_of(segment_of("Nobody has seen him.", start=2))) == [(48, 77 + 12)]


def test_a_short_word_is_shown_for_five_sixths_of_a_second() -> None:
    assert times(cues_of(segment_of("No.", start=2, each_s=0.1))) == [(48, 68)]


def test_no_cue_outlasts_the_movie() -> None:
    assert times(cues_of(segment_of("The end is near.", start=8.8), end=240)) == [(211, 240)]


SAID = segment_of("The night train leaves from platform four tonight now.", each_s=1 / 3).model_copy(update={"end": 3.0})


@pytest.mark.parametrize(
    ("pause", "end"),
    [
        (4, 72 + 4 - 2),  # a small gap is closed to two frames
        (12, 72 + 12 - 2),
        (16, 72 + 4),  # a shorter tail leaves a gap of half a second
        (24, 72 + 12),
        (72, 72 + 12),
    ],
)
def test_the_gap_behind_a_cue_is_two_frames_or_half_a_second(pause: int, end: int) -> None:
    first, second = cues_of(SAID, segment_of("Where is everybody?", start=3 + pause / 24, speaker="B"))
    assert (first.end, second.start) == (end, 72 + pause)


@pytest.mark.parametrize(("cut", "start"), [(48, 48), (40, 40), (37, 37), (36, 48), (52, 52), (56, 56), (57, 45), (59, 47), (60, 48)])
def test_an_in_time_near_a_shot_change_moves(cut: int, start: int) -> None:
    (cue,) = cues_of(segment_of("Nobody has seen him.", start=2), cuts=[cut])
    assert cue.start == start


@pytest.mark.parametrize(("cut", "end"), [(89, 87), (95, 93), (100, 98), (101, 89), (80, 78), (78, 76), (77, 89)])
def test_an_out_time_near_a_shot_change_moves_before_it(cut: int, end: int) -> None:
    (cue,) = cues_of(segment_of("Nobody has seen him.", start=2), cuts=[cut])
    assert cue.end == end


def test_shot_changes_do_not_matter_where_the_profile_does_not_ask() -> None:
    limits = for_movie(load_profile("relaxed"), "en", "24")
    (cue,) = cues_of(segment_of("Nobody has seen him.", start=2), limits=limits, cuts=[2100])
    assert (cue.start, cue.end) == (2000, 3200 + 700)


def test_milliseconds_never_come_after_the_frame() -> None:
    clock = Clock(Fraction(24000, 1001))
    for frame in (1, 1000, 123456):
        assert clock.ms(frame) * clock.rate / 1000 <= frame < (clock.ms(frame) + 1) * clock.rate / 1000
        assert clock.ceil(clock.ms(frame)) == frame


def test_frames_are_those_of_a_picture_that_begins_late() -> None:
    """The pictures come at 0.021 s and every 1/24 s after it."""
    clock = for_movie(NETFLIX, "en", "24", first_picture=0.021).clock
    for frame in (0, 1, 77, 123456):
        assert 0 <= 21 + frame * 1000 / 24 - clock.ms(frame) < 2
        assert clock.nearest(round(0.021 + frame / 24, 3)) == frame
        assert clock.floor(clock.ms(frame) + 2) == frame
    assert for_movie(load_profile("relaxed"), "en", "24", first_picture=0.021).clock.offset_us == 0


@pytest.mark.parametrize(
    ("profile", "fps", "gap"),
    [("netflix", "24", 2), ("netflix", "60", 2), ("netflix", None, 84), ("relaxed", "25", 80), ("relaxed", "60", 34), ("bbc", "25", 0)],
)
def test_the_gap_is_of_frames_whatever_the_clock(profile: str, fps: str | None, gap: int) -> None:
    assert for_movie(load_profile(profile), "en", fps).gap == gap


@pytest.mark.parametrize("fps", [None, "0/0", "90000", "x", "1"])
def test_what_is_no_rate_of_pictures_is_not_taken_for_one(fps: str | None) -> None:
    assert parse_fps(fps) is None
    assert for_movie(NETFLIX, "en", fps).clock == Clock(Fraction(1000))


@pytest.mark.parametrize(
    ("language", "chars", "adult", "children", "sdh"),
    [
        ("en", 42, 20, 17, 20),
        ("hi", 42, 22, 18, 25),
        ("ar", 42, 20, 17, 20),
        ("ko", 16, 12, 9, 12),
        ("zh", 16, 9, 7, 9),
        ("ja", 13, 4, 4, 4),
        ("th", 35, 17, 13, 17),
        ("fi", 42, 17, 13, 17),
    ],
)
def test_netflix_limits_by_language(language: str, chars: int, adult: int, children: int, sdh: int) -> None:
    grown = for_movie(NETFLIX, language, "24")
    assert (grown.max_chars, grown.cps) == (chars, adult)
    assert (grown.min_shown, grown.max_shown, grown.tail, grown.chain, grown.gap) == (20, 168, 12, 12, 2)
    assert (grown.to_cut, grown.clear) == (8, 12)
    assert for_movie(NETFLIX, language, "24", children=True).cps == children
    assert for_movie(NETFLIX, language, "24", sdh=True).cps == sdh


# -- words --------------------------------------------------------------------------------------------------------------


def test_words_on_one_moment_are_drawn_apart_and_those_out_of_order_put_in_order() -> None:
    crooked = [Word(word="one", start=1, end=1), Word(word="two", start=1, end=5), Word(word="three", start=0.2, end=0.1)]
    words = spoken([Segment(id=0, start=0.5, end=2, text="", words=crooked)], {}, "en", LIMITS)
    assert [(word.text, word.start, word.end) for word in words] == [("one", 24, 25), ("two", 25, 26), ("three", 26, 27)]


def test_a_segment_without_word_times_shares_its_own_among_its_words() -> None:
    words = spoken([Segment(id=0, start=1, end=3, text="Hello there, you", words=[], speaker="A")], NAMES, "en", LIMITS)
    assert [(word.text, word.start, word.end) for word in words] == [("Hello", 24, 41), ("there,", 41, 61), ("you", 61, 72)]
    assert {word.speaker for word in words} == {"Speaker A"}


def test_control_characters_are_not_shown() -> None:
    words = spoken([segment_of("a\x00b \x07 c\ud800")], NAMES, "en", LIMITS)
    assert [word.text for word in words] == ["ab", "c"]


# -- lines --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nobody has seen him since the morning now.", "Nobody has seen him since the morning now."),  # 42 characters: one line
        ("When he came home last night, the house was already empty.", "When he came home last night,|the house was already empty."),
        ("I have been looking for the old man with the red umbrella.", "I have been looking for the old man|with the red umbrella."),
        ("Tell everybody there that Inspector Jaidev Rathore is here.", "Tell everybody there|that Inspector Jaidev Rathore is here."),
        (
            "They have been driving together for about 120 kilometres already.",
            "They have been driving together|for about 120 kilometres already.",
        ),
        ("She told all of them yesterday what Dr. Featherstone said.", "She told all of them yesterday|what Dr. Featherstone said."),
        ("Everybody here remembers Jai and Kathryn dancing so well.", "Everybody here remembers|Jai and Kathryn dancing so well."),
    ],
)
def test_a_line_ends_where_the_sentence_lets_it(text: str, expected: str) -> None:
    assert texts(cues_of(segment_of(text))) == [expected]


def test_a_cue_ends_with_its_sentence_when_two_do_not_fit() -> None:
    said = "The train to Jaipur leaves at midnight from platform four. Nobody has seen the inspector since he left the hotel."
    assert texts(cues_of(segment_of(said))) == [
        "The train to Jaipur leaves|at midnight from platform four.",
        "Nobody has seen the inspector|since he left the hotel.",
    ]


def test_a_long_pause_parts_what_no_punctuation_does() -> None:
    assert texts(cues_of(segment_of("i saw him"), segment_of("at the station", start=3))) == ["i saw him", "at the station"]


def test_a_word_longer_than_a_line_is_shown_whole() -> None:
    long = "A" + "a" * 49 + "h!"
    planner = planner_of(segment_of(long, each_s=3))
    (cue,) = planner.cues()
    assert cue.lines == (long,)
    assert [(v.rule, v.value, v.limit) for v in violations([cue], planner.timing)] == [("characters in a line", 52, 42)]


@pytest.mark.parametrize(
    ("before", "after", "price"),
    [
        ("left.", "Then", breaks.SENTENCE),
        ("said,", "then", breaks.CLAUSE),
        ("the", "station", breaks.NEVER),
        ("42", "kilometres", breaks.NEVER),
        ("five", "minutes", breaks.NEVER),
        ("Platform", "9", breaks.NEVER),
        ("Dr.", "Who", breaks.NEVER),
        ("Jaidev", "Rathore", breaks.MAYBE_NAME),
        ("he", "went", breaks.ATTACHED),
        ("and", "went", breaks.AFTER_LINK),
        ("went", "home", breaks.ANYWHERE),
        ("home", "because", breaks.BEFORE_LINK),
    ],
)
def test_places_to_part_have_a_price_by_what_they_would_tear(before: str, after: str, price: float) -> None:
    words = [Spoken(text, n, n + 1, len(text), n > 0, None, False, n, "en") for n, text in enumerate((before, after))]
    assert breaks.prices(words) == [0, price, 0]


def test_a_name_of_the_movie_is_never_parted_whatever_its_case_and_punctuation() -> None:
    words = spoken([segment_of("to the old hill Road station's, then")], {}, "en", LIMITS)
    found = dict(zip([word.text for word in words], breaks.prices(words, ["Hill Road Station"]), strict=False))
    assert [found[text] for text in ("Road", "station's,")] == [breaks.NEVER, breaks.NEVER]
    assert found["hill"] < breaks.NEVER


# -- speakers -----------------------------------------------------------------------------------------------------------


def test_a_new_speaker_gets_a_new_cue() -> None:
    said = cues_of(segment_of("Where were you tonight?"), segment_of("I was waiting at the harbour.", start=1.5, speaker="B"))
    assert texts(said) == ["Where were you tonight?", "I was waiting at the harbour."]


def test_two_speakers_too_quick_for_a_cue_each_share_one_with_a_hyphen_and_a_line_each() -> None:
    (cue,) = cues_of(segment_of("Ready?", start=1), segment_of("Always.", start=1.3, speaker="B"))
    assert cue.lines == ("-Ready?", "-Always.")
    assert cue.speakers == ("Speaker A", "Speaker B")


def test_never_three_speakers_or_two_changes_in_a_cue() -> None:
    quick = [segment_of(f"{word}.", start=i * 0.3, speaker=label) for i, (word, label) in enumerate(zip("abcd", "ABAC", strict=True))]
    cues = cues_of(*quick)
    assert [line for cue in cues for line in cue.lines] == ["-a.", "-b.", "-c.", "-d."]
    assert all(len(cue.speakers) <= 2 for cue in cues)


def test_two_labels_with_one_name_are_one_speaker() -> None:
    said = [segment_of("Ready?", start=1), segment_of("Always.", start=1.3, speaker="B")]
    words = spoken(said, {"A": "Jai", "B": "Jai"}, "en", LIMITS)
    assert texts(Planner(words, LIMITS).cues()) == ["Ready? Always."]


def test_words_of_nobody_known_part_nothing() -> None:
    (cue,) = cues_of(segment_of("Ready?", start=1), segment_of("Always.", start=1.3, speaker="unknown"))
    assert cue.lines == ("Ready? Always.",)
    assert cue.speakers == ("Speaker A",)


def test_a_label_counts_and_stands_alone_where_there_is_no_room_beside_it() -> None:
    said = segment_of("We have to leave the station now.")
    assert texts(cues_of(said, labels=True)) == ["[Speaker A]|We have to leave the station now."]
    quick = [segment_of("Ready?", start=1), segment_of("Always.", start=1.3, speaker="B")]
    assert texts(cues_of(*quick, labels=True)) == ["-[Speaker A] Ready?|-[Speaker B] Always."]


# -- scripts ------------------------------------------------------------------------------------------------------------


def test_what_a_reader_sees_as_one_character_is_counted_as_one() -> None:
    assert len(graphemes("स्त्री")) == 1
    assert len(graphemes("👩‍👩‍👧")) == 1
    assert len(graphemes("café")) == len(graphemes("cafe\u0301")) == 4
    assert measured("日本 AB", wide=True) == 2 + 0.5 + 1
    assert measured("日本 AB", wide=False) == 5


def unspaced(text: str, language: str, *, each_s: float = 0.25) -> list[Cue]:
    """Cues of one long word, as a decoder gives them."""
    limits = for_movie(NETFLIX, language, "24")
    word = Word(word=text, start=0, end=each_s * len(text), speaker="A")
    segment = Segment(id=0, start=0, end=word.end, text=text, words=[word], speaker="A")
    cues = Planner(spoken([segment], NAMES, language, limits), limits).cues()
    assert all(measured(line, wide=limits.wide) <= limits.max_chars for cue in cues for line in cue.lines)
    assert "".join("".join(cue.lines) for cue in cues) == text.replace(" ", "")
    return cues


def test_japanese_is_parted_between_phrases_and_no_line_begins_with_punctuation() -> None:
    lines = [
        line for cue in unspaced("昨日の夜、駅で会った男は誰ですか。私はあの人を知りませんが、とても怖いです。", "ja") for line in cue.lines
    ]
    assert lines == ["昨日の夜、", "駅で会った男は誰ですか。", "私はあの人を知りませんが、", "とても怖いです。"]


def test_chinese_is_parted_between_words() -> None:
    lines = [line for cue in unspaced("昨天晚上在车站遇到的那个男人是谁?我不知道他叫什么名字,但是我很害怕。", "zh") for line in cue.lines]
    assert lines == ["昨天晚上在车站", "遇到的那个男人是谁?", "我不知道他叫什么名字,", "但是我很害怕。"]


def test_thai_is_parted_between_words() -> None:
    cues = unspaced("วันนี้อากาศดีมากและผมจะไปตลาดกับเพื่อนที่มาจากเชียงใหม่เมื่อวานนี้", "th", each_s=0.1)
    edges = ["วัน", "นี้", "อากาศ", "ดี", "มาก", "และ", "ผม", "จะ", "ไป", "ตลาด", "กับ", "เพื่อน", "ที่", "มา", "จาก", "เชียงใหม่", "เมื่อ", "วาน", "นี้"]
    for cue in cues:
        for line in cue.lines:
            assert any(line == "".join(edges[a:b]) for a in range(len(edges)) for b in range(a + 1, len(edges) + 1)), line


def test_latin_words_and_numbers_inside_chinese_stay_whole_and_apart() -> None:
    words = [Word(word=text, start=n, end=n + 1) for n, text in enumerate(["我在", "New", "York", "住了", "12.5年", "。"])]
    cues = cues_of(Segment(id=0, start=0, end=6, text="", words=words), limits=for_movie(NETFLIX, "zh", "24"), language="zh")
    assert "".join(line for cue in cues for line in cue.lines) == "我在New York住了12.5年。"


def test_hindi_keeps_postpositions_and_the_danda_ends_a_sentence() -> None:
    said = "वह कल रात अपने पुराने घर में अकेला बैठा था। उसके सारे दोस्त शहर से बाहर गए थे।"
    assert texts(cues_of(segment_of(said), language="hi", limits=for_movie(NETFLIX, "hi", "24"))) == [
        "वह कल रात अपने पुराने घर में अकेला बैठा था।|उसके सारे दोस्त शहर से बाहर गए थे।"
    ]


def test_a_segment_in_another_language_is_parted_as_that_language_is() -> None:
    foreign = Segment(id=1, start=5, end=7, text="你好世界", words=[Word(word="你好世界", start=5, end=7)], language="zh")
    words = spoken([segment_of("He said:"), foreign], NAMES, "en", LIMITS)
    assert [(word.text, word.space) for word in words[2:]] == [("你", False), ("好", False), ("世", False), ("界", False)]
