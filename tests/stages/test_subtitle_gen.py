"""subtitle-gen: cues that keep their limits, the cheapest parting of the words, files that other parsers read."""

from __future__ import annotations

import html
import itertools
import math
import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pysubs2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelscribe.artifacts import read_json, write_json
from reelscribe.schemas import AudioTrack, Media, NamedSpeaker, Segment, Speakers, Tracks, Transcript, Word
from subtitle_gen import breaks, files
from subtitle_gen.cues import Cue, Planner, faults
from subtitle_gen.limits import Limits, for_movie, parse_fps
from subtitle_gen.words import STEP_MS, Spoken, graphemes, spoken

RunStage = Callable[..., subprocess.CompletedProcess[str]]
LIMITS = for_movie("en", "24")


def segment_of(text: str, start: float = 0.0, *, each_s: float = 0.3, speaker: str | None = "A") -> Segment:
    """`text` at an even pace by one speaker."""
    words = [
        Word(word=word, start=start + i * each_s, end=start + (i + 1) * each_s, speaker=speaker) for i, word in enumerate(text.split())
    ]
    return Segment(id=0, start=start, end=words[-1].end, text=text, words=words, speaker=speaker)


def transcript_of(*segments: Segment, language: str = "en", draft: bool = False) -> Transcript:
    """A transcript of `segments`."""
    return Transcript(segments=list(segments), language=language, engine="test", model="test", draft=draft, duration=60)


SPEAKERS = Speakers(speakers=[NamedSpeaker(label=label, name=f"Speaker {label}", total_s=1) for label in "ABC"])


def planner_of(*segments: Segment, limits: Limits = LIMITS, language: str = "en", speakers: Speakers = SPEAKERS) -> Planner:
    """The planner of a transcript with `segments`."""
    return Planner(spoken(transcript_of(*segments, language=language), speakers, language), limits, language)


def cues_of(*segments: Segment, **more: Any) -> list[Cue]:
    """The cues of `segments`."""
    return planner_of(*segments, **more).cues()


def texts(cues: Sequence[Cue]) -> list[str]:
    """The cues' text, lines joined by |."""
    return ["|".join(cue.lines) for cue in cues]


# -- time ---------------------------------------------------------------------------------------------------------------


def test_a_cue_starts_with_its_speech_and_outlasts_it_by_half_a_second() -> None:
    (cue,) = cues_of(segment_of("Nobody has seen him.", start=2))
    assert (cue.start_ms, cue.end_ms) == (2000, 3200 + 500)


def test_a_short_word_is_shown_for_five_sixths_of_a_second() -> None:
    (cue,) = cues_of(segment_of("No.", start=2, each_s=0.1))
    assert (cue.start_ms, cue.end_ms) == (2000, 2834)


@pytest.mark.parametrize(
    ("pause_ms", "end_ms"),
    [
        (200, 3000 + 200 - 84),  # a small gap is closed to two frames
        (500, 3000 + 500 - 84),
        (700, 3000 + 200),  # a shorter tail leaves a gap of half a second
        (1000, 3000 + 500),
        (3000, 3000 + 500),
    ],
)
def test_the_gap_behind_a_cue_is_two_frames_or_half_a_second(pause_ms: int, end_ms: int) -> None:
    first, second = cues_of(
        segment_of("The night train leaves from platform four tonight now.", start=0, each_s=1 / 3).model_copy(update={"end": 3.0}),
        segment_of("Where is everybody?", start=3 + pause_ms / 1000, speaker="B"),
    )
    assert (first.end_ms, second.start_ms) == (end_ms, 3000 + pause_ms)


@pytest.mark.parametrize(
    ("fps", "gap_ms"), [("24", 84), ("24000/1001", 84), ("25", 80), ("60", 34), (None, 84), ("0/0", 84), ("90000", 84), ("x", 84)]
)
def test_two_frames_follow_the_movie(fps: str | None, gap_ms: int) -> None:
    assert for_movie("en", fps).gap_ms == gap_ms
    assert parse_fps("24000/1001") == Fraction(24000, 1001)


def test_no_cue_outlasts_the_movie() -> None:
    words = spoken(transcript_of(segment_of("The end is near.", start=8.8)), SPEAKERS, "en")
    (cue,) = Planner(words, LIMITS, "en", duration_ms=10050).cues()
    assert cue.end_ms == 10050


def test_words_on_one_moment_are_drawn_apart_and_those_out_of_order_put_in_order() -> None:
    crooked = [Word(word="one", start=1, end=1), Word(word="two", start=1, end=5), Word(word="three", start=0.2, end=0.1)]
    words = spoken(transcript_of(Segment(id=0, start=0.5, end=2, text="", words=crooked)), SPEAKERS, "en")
    assert [(word.text, word.start_ms, word.end_ms) for word in words] == [
        ("one", 1000, 1000 + STEP_MS),
        ("two", 1000 + STEP_MS, 1000 + 2 * STEP_MS),
        ("three", 1000 + 2 * STEP_MS, 1000 + 3 * STEP_MS),
    ]


def test_a_segment_without_word_times_shares_its_own_among_its_words() -> None:
    words = spoken(transcript_of(Segment(id=0, start=1, end=3, text="Hello there, you", words=[], speaker="A")), SPEAKERS, "en")
    assert [(word.text, word.start_ms, word.end_ms) for word in words] == [
        ("Hello", 1000, 1714),
        ("there,", 1714, 2571),
        ("you", 2571, 3000),
    ]
    assert {word.speaker for word in words} == {"Speaker A"}


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
    (cue,) = cues_of(segment_of(long, each_s=3))
    assert cue.lines == (long,)
    assert faults(cue, None, LIMITS) == ["line length"]


def test_a_script_without_spaces_is_not_given_any() -> None:
    (first, second) = cues_of(
        segment_of("列 车 今 天 晚 上 从 四 号 站 台 开 出 , 没 有 人 见 过 他 。"), language="zh", limits=Limits(max_chars=8, cps=9)
    )[:2]
    assert " " not in "".join((*first.lines, *second.lines))
    assert max(graphemes(line) for line in (*first.lines, *second.lines)) <= 8


def test_what_a_reader_sees_as_one_character_is_counted_as_one() -> None:
    assert graphemes("नमस्ते") < len("नमस्ते")
    assert graphemes("👩‍👩‍👧") == 1
    assert graphemes("café") == 4


def test_places_to_part_have_a_price_by_what_they_would_tear() -> None:
    said = "He met the Jaidev Rathore, and left."
    words = [Spoken(text, i, i + 1, len(text), True, None, False) for i, text in enumerate(said.split())]
    price = dict(zip([word.text for word in words], breaks.prices(words, "en"), strict=False))
    assert price["left."] == breaks.AFTER_LINK
    assert price["and"] == breaks.CLAUSE
    assert price["Rathore,"] == breaks.INSIDE
    assert price["Jaidev"] == breaks.ATTACHED
    assert price["the"] == breaks.ANYWHERE


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
    one = Speakers(speakers=[NamedSpeaker(label=label, name="Jai", total_s=1) for label in "AB"])
    (cue,) = cues_of(segment_of("Ready?", start=1), segment_of("Always.", start=1.3, speaker="B"), speakers=one)
    assert cue.lines == ("Ready? Always.",)


def test_words_of_nobody_known_part_nothing() -> None:
    (cue,) = cues_of(segment_of("Ready?", start=1), segment_of("Always.", start=1.3, speaker="unknown"))
    assert cue.lines == ("Ready? Always.",)
    assert cue.speakers == ("Speaker A",)


# -- the cheapest parting -----------------------------------------------------------------------------------------------

SAID = "I the no, yes. Jai Rathore and 42 kilometres because unbelievable station? Dr. waited —"
WORDS = st.sampled_from(SAID.split())


@st.composite
def segments(draw: st.DrawFn, most_words: int) -> list[Segment]:
    """Segments of a few speakers with every kind of haste, pause and overlap."""
    found: list[Segment] = []
    now = 0.0
    for _ in range(draw(st.integers(0, 5))):
        now += draw(st.sampled_from([-0.3, 0.0, 0.05, 0.4, 0.8, 3.0]))
        left = most_words - sum(len(segment.words) for segment in found)
        texts = draw(st.lists(WORDS, max_size=min(left, 12)))
        speaker = draw(st.sampled_from(["A", "B", "unknown"]))
        words = []
        for text in texts:
            length = draw(st.sampled_from([0.0, 0.04, 0.2, 0.4, 1.5, 8.0]))
            words.append(Word(word=text, start=max(0.0, now), end=max(0.0, now + length), speaker=speaker))
            now += length + draw(st.sampled_from([0.0, 0.0, 0.1, 0.7]))
        if words:
            found.append(Segment(id=len(found), start=words[0].start, end=words[-1].end, text="", words=words, speaker=speaker))
    return found


@settings(max_examples=500, deadline=None)
@given(segments(most_words=9))
def test_no_other_parting_is_cheaper(said: list[Segment]) -> None:
    planner = planner_of(*said)
    count = len(planner.words)
    partings = itertools.chain.from_iterable(itertools.combinations(range(1, count), n) for n in range(max(1, count)))
    every = ([0, *parting, count] for parting in partings)
    brute = min(sum(price(planner, a, b) for a, b in itertools.pairwise(edges)) for edges in every) if count else 0.0
    found = sum(price(planner, cue.first, cue.last) for cue in planner.cues())
    assert found == pytest.approx(brute)
    assert found < math.inf


def price(planner: Planner, first: int, last: int) -> float:
    """Of one cue: what cannot be one is not to be had."""
    return planner.cost(first, last) if planner.fits(first, last) else math.inf


@settings(max_examples=300, deadline=None)
@given(segments(most_words=60), st.sampled_from(["24", "25", "60"]))
def test_whatever_is_said_no_word_is_lost_and_the_limits_that_can_be_kept_are(said: list[Segment], fps: str) -> None:
    limits = for_movie("en", fps)
    planner = planner_of(*said, limits=limits)
    cues = planner.cues()
    assert [edge for cue in cues for edge in range(cue.first, cue.last)] == list(range(len(planner.words)))
    shown = [word for cue in cues for line in cue.lines for word in line.removeprefix("-" if len(cue.speakers) == 2 else "").split()]
    assert shown == [word.text for word in planner.words]
    for cue, following in itertools.zip_longest(cues, cues[1:]):
        assert cue.start_ms == planner.words[cue.first].start_ms
        assert cue.start_ms < cue.end_ms <= cue.start_ms + limits.max_ms
        broken = faults(cue, following, limits)
        assert not {"lines", "line length", "too long", "overlap"} & set(broken)
        room_ms = following.start_ms - cue.start_ms if following else math.inf
        if room_ms >= limits.min_ms + limits.gap_ms:
            assert not {"too short", "gap"} & set(broken)
        if following:
            gap_ms = following.start_ms - cue.end_ms
            assert gap_ms <= limits.gap_ms or gap_ms >= limits.chain_ms or cue.end_ms == cue.start_ms + limits.max_ms
        speech_end_ms = planner.words[cue.last - 1].end_ms
        assert cue.end_ms <= max(speech_end_ms + limits.tail_ms, cue.start_ms + limits.min_ms) or gap_ms == limits.gap_ms


# -- files --------------------------------------------------------------------------------------------------------------

# What no subtitle format can tell from layout: line ends and controls never come in a word.
TEXT = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)


@settings(max_examples=300)
@given(st.lists(TEXT, min_size=1, max_size=3))
def test_any_text_comes_out_of_a_web_vtt_parser_as_it_went_in(words: list[str]) -> None:
    line = " ".join(words)
    written = files.text([Cue(1000, 2000, (line,), 0, len(words), (None,))], "vtt")
    assert written.startswith("WEBVTT\n\n")
    stamp, *payload = written.splitlines()[3:]
    assert stamp == "00:00:01.000 --> 00:00:02.000"
    assert "-->" not in "".join(payload)
    assert html.unescape(payload[0].replace("\\\u2060", "\\")) == line


@pytest.mark.parametrize("text", ["<i>not slanted</i>", r"{\an8}not on top", r"C:\Now\here", "a < b > c & d", "{braces}", "1 <3 you"])
@pytest.mark.parametrize("form", files.FORMATS)
def test_what_looks_like_markup_is_read_as_text(form: str, text: str) -> None:
    written = files.text([Cue(1000, 2000, (text, "and more"), 0, 1, (None,))], form)
    (event,) = pysubs2.SSAFile.from_string(written, format_=form, keep_html_tags=True)
    assert html.unescape(event.text).replace("\u2060", "") == text + r"\Nand more"


# -- the stage ----------------------------------------------------------------------------------------------------------


def put(movie_dir: Path, transcript: Transcript, fps: str | None = "24", duration: float = 60.0) -> None:
    """The stage's inputs."""
    write_json(movie_dir / "corrected/transcript.json", transcript)
    write_json(movie_dir / "corrected/speakers.json", SPEAKERS)
    media = Media(
        container="matroska",
        duration=duration,
        fps=fps,
        streams=[],
        audio=AudioTrack(index=0, reason="test", downmix="mono", start=0.0),
        num_samples=round(duration * 16000),
    )
    write_json(movie_dir / "media.json", media)


def test_both_files_are_written_and_named_for_mux(run_stage: RunStage, movie_dir: Path) -> None:
    put(movie_dir, transcript_of(segment_of("Where is he?"), segment_of("Gone, I fear.", start=3, speaker="B"), draft=True))
    done = run_stage("subtitle-gen", movie_dir)
    assert (movie_dir / "subtitles/A_Movie.en.srt").read_text(encoding="utf-8") == (
        "1\n00:00:00,000 --> 00:00:01,400\nWhere is he?\n\n2\n00:00:03,000 --> 00:00:04,400\nGone, I fear.\n\n"
    )
    assert (movie_dir / "subtitles/A_Movie.en.vtt").read_text(encoding="utf-8").startswith("WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.400\n")
    tracks = read_json(movie_dir / "subtitles/tracks.json", Tracks).tracks
    assert [(t.file, t.format, t.language, t.title, t.default, t.num_cues) for t in tracks] == [
        ("A_Movie.en.srt", "srt", "en", "English (reelscribe, draft)", True, 2),
        ("A_Movie.en.vtt", "vtt", "en", "English (reelscribe, draft)", True, 2),
    ]
    assert "cues: 2, all within the limits" in done.stderr
    assert sorted(Path(line).name for line in done.stdout.splitlines()) == ["A_Movie.en.srt", "A_Movie.en.vtt", "tracks.json"]


def test_a_second_run_writes_the_same_bytes(run_stage: RunStage, movie_dir: Path) -> None:
    put(movie_dir, transcript_of(segment_of("Where is he now, and who is with him?"), segment_of("Gone.", start=3, speaker="B")))
    run_stage("subtitle-gen", movie_dir)
    first = {path.name: path.read_bytes() for path in (movie_dir / "subtitles").iterdir()}
    run_stage("subtitle-gen", movie_dir, options=["--force"])
    assert {path.name: path.read_bytes() for path in (movie_dir / "subtitles").iterdir()} == first


def test_the_language_is_what_was_asked_for_else_what_was_heard(run_stage: RunStage, movie_dir: Path) -> None:
    put(movie_dir, transcript_of(segment_of("वह कहाँ है?"), language="hi"))

    def names() -> list[str]:
        return sorted(path.name for path in (movie_dir / "subtitles").glob("A_Movie.*"))

    run_stage("subtitle-gen", movie_dir)
    assert names() == ["A_Movie.hi.srt", "A_Movie.hi.vtt"]
    assert read_json(movie_dir / "subtitles/tracks.json", Tracks).tracks[0].title == "Hindi (reelscribe)"
    run_stage("subtitle-gen", movie_dir, options=["--language=deu"])
    assert names() == ["A_Movie.de.srt", "A_Movie.de.vtt"]
    run_stage("subtitle-gen", movie_dir, options=["--translate"])
    assert names() == ["A_Movie.en.srt", "A_Movie.en.vtt"]


def test_a_translation_is_shown_when_it_was_asked_for(run_stage: RunStage, movie_dir: Path) -> None:
    said = transcript_of(segment_of("वह कहाँ है?"), language="hi").model_copy(update={"translation": [segment_of("Where is he?")]})
    put(movie_dir, said)
    run_stage("subtitle-gen", movie_dir, options=["--translate"])
    assert "Where is he?" in (movie_dir / "subtitles/A_Movie.en.srt").read_text()
    run_stage("subtitle-gen", movie_dir)
    assert "कहाँ" in (movie_dir / "subtitles/A_Movie.hi.srt").read_text()


def test_nothing_said_gives_empty_files_and_says_so(run_stage: RunStage, movie_dir: Path) -> None:
    put(movie_dir, transcript_of())
    done = run_stage("subtitle-gen", movie_dir)
    assert "no words were recognised: the subtitles are empty" in done.stderr
    assert (movie_dir / "subtitles/A_Movie.en.srt").read_bytes() == b""
    assert (movie_dir / "subtitles/A_Movie.en.vtt").read_bytes() == b"WEBVTT\n\n"
    assert [t.num_cues for t in read_json(movie_dir / "subtitles/tracks.json", Tracks).tracks] == [0, 0]


def test_limits_that_cannot_be_kept_are_counted_aloud(run_stage: RunStage, movie_dir: Path) -> None:
    put(movie_dir, transcript_of(segment_of(" ".join(["unbelievable"] * 30), each_s=0.1)))
    done = run_stage("subtitle-gen", movie_dir)
    assert "limits not kept: reading speed ×" in done.stderr


def test_a_missing_transcript_is_named_with_its_remedy(run_stage: RunStage, movie_dir: Path) -> None:
    put(movie_dir, transcript_of())
    (movie_dir / "corrected/transcript.json").unlink()
    done = run_stage("subtitle-gen", movie_dir, check=False)
    assert done.returncode == 3
    assert "run the stage post-ner first" in done.stderr
