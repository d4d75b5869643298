"""post-ner: which voice is which character, from what they call each other and themselves; and when nobody can tell."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from post_ner.characters import THRESHOLD, Character, Suggestion, of_glossary, suggest
from post_ner.context import Film
from post_ner.frequency import Usage
from post_ner.targets import from_glossary
from post_ner.tokens import parse
from post_ner.turns import Turns, with_speakers
from post_ner.voice import pitch_hz, sounds_like
from reelscribe import wav
from reelscribe.artifacts import read_json, write_json
from reelscribe.schemas import (
    CastMember,
    Diarization,
    Glossary,
    Metadata,
    NamedSpeaker,
    Segment,
    Speaker,
    Speakers,
    Term,
    Transcript,
    Turn,
    Word,
)
from reelscribe.stage_table import ROOT

RunStage = Callable[..., subprocess.CompletedProcess[str]]
STATION = ROOT / "examples" / "station" / "station.json"
PEOPLE = ("Jai", "Aditi", "Inspector Karl Rathore")


def characters(*names: str) -> list[Character]:
    """A cast, in the order of billing."""
    terms = [Term(text=name, kind="character", weight=0.9 - 0.05 * i, source="test") for i, name in enumerate(names or PEOPLE)]
    return of_glossary(Glossary(terms=terms, pipeline="test"))


def talk(*lines: str) -> list[Segment]:
    """ "A: Where were you?" every three seconds."""
    segments = []
    for number, line in enumerate(lines):
        speaker, text = line.split(": ", 1)
        start = 3.0 * number
        words = [Word(word=w, start=start + 0.2 * i, end=start + 0.2 * (i + 1), speaker=speaker) for i, w in enumerate(text.split())]
        segments.append(Segment(id=number, start=start, end=words[-1].end, text=text, words=words, speaker=speaker))
    return segments


def told(
    *lines: str, language: str = "en", settled: Mapping[str, str] | None = None, cast: Sequence[str] = PEOPLE
) -> dict[str, Suggestion]:
    """Suggestions for the voices of `lines`, who talk equally much."""
    segments = talk(*lines)
    talk_s = dict.fromkeys(sorted({s.speaker or "" for s in segments}), 10.0)
    return suggest(segments, characters(*cast), language=language, talk_s=talk_s, settled=settled or {})


def sure(found: Mapping[str, Suggestion]) -> dict[str, str]:
    """Those that would be shown."""
    return {label: s.name for label, s in found.items() if s.confidence >= THRESHOLD}


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("en", "I am Aditi."),
        ("en", "Good evening, my name is Aditi, and you?"),
        ("en", "No, I'm Aditi!"),
        ("en", "What did he say? I am Aditi."),
        ("hi", "मैं अदिति हूँ।"),
        ("hi", "मेरा नाम अदिति है।"),
        ("hi", "main Aditi hoon"),
        ("de", "Ich heiße Aditi."),
        ("fr", "Je m'appelle Aditi."),
        ("es", "Me llamo Aditi."),
        ("es", "Sí, soy Aditi."),
    ],
)
def test_who_introduces_herself_is_named(language: str, line: str) -> None:
    cast = ("Jai", "अदिति") if "अ" in line else PEOPLE
    found = told("A: Hello.", f"B: {line}", language=language, cast=cast)
    assert sure(found) == {"B": "अदिति" if "अ" in line else "Aditi"}
    assert {e.kind for e in found["B"].evidence} >= {"introduces"}


@pytest.mark.parametrize(
    "line",
    [
        "I am here, Aditi.",
        "I am not Aditi.",
        "Aditi and I left.",
        "Am I Aditi's friend?",
        "I am Aditi's brother.",
        "You think I am Aditi?",
        "If I am Aditi, who are you?",
        "She said, I am Aditi.",
        "“I am Aditi,” she told me.",
        "मैं अदिति को जानता हूँ।",
    ],
)
def test_other_words_with_i_and_a_name_are_no_introduction(line: str) -> None:
    found = told("A: Hello.", f"B: {line}", language="hi", cast=("Jai", "Aditi", "अदिति"))
    assert "B" not in sure(found)


def test_whoever_answers_a_question_by_name_is_named() -> None:
    found = told("A: Where were you, Jai?", "B: At home.")
    assert sure(found) == {"B": "Jai"}
    assert [(e.kind, e.text) for e in found["B"].evidence if e.kind != "billing"] == [("answers", "Where were you, Jai?")]


def test_a_single_call_is_a_suggestion_and_two_are_a_name() -> None:
    once = told("A: Jai, listen.", "B: Yes.", "A: Good.")
    assert once["B"].name == "Jai" and once["B"].confidence < THRESHOLD
    twice = told("A: Jai, listen.", "B: Yes.", "A: Come, Jai.", "B: Now.")
    assert sure(twice) == {"B": "Jai"}


def test_nobody_calls_himself_or_speaks_of_himself() -> None:
    found = told("A: Where were you, Jai?", "B: I saw Jai at home.", "C: Jai was here.", "B: Jai, come!")
    assert "A" not in sure(found) and "B" not in sure(found)


def test_names_in_a_list_and_possessives_call_nobody() -> None:
    for line in ("Jai, Aditi and Karl came.", "Where is Jai's bag?", "It was Jai and Aditi."):
        assert told(f"A: {line}", "B: Yes.") == {}


def test_whoever_answers_too_late_is_not_meant() -> None:
    segments = talk("A: Where were you, Jai?", "B: At home.")
    late = [segments[0], segments[1].model_copy(update={"start": 30.0, "end": 31.0})]
    assert suggest(late, characters(), language="en", talk_s={"A": 9.0, "B": 8.0}, settled={}) == {}


def test_one_character_is_not_two_voices() -> None:
    found = told("A: Where were you, Jai?", "B: At home.", "A: Where were you, Jai?", "C: Here.")
    assert sure(found) == {}


def test_a_name_that_the_user_wrote_is_nobody_elses() -> None:
    found = told("A: Where were you, Jai?", "B: At home.", settled={"C": "Jai"})
    assert found == {}
    assert "C" not in told("A: Where were you, Aditi?", "C: At home.", settled={"C": "Jai"})


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("  Aditi \n\n99\n00:00:01,000 --> 00:00:02,000\nEvil", "Aditi 99 00:00:01,000 --> 00:00:02,000 Evil"),
        ("Jai\u202e\x00\x1b[2J", "Jai[2J"),
        ("र्\u200dयाल", "र्\u200dयाल"),
        ("عادل 🙂", "عادل 🙂"),
        ("Asha \U0001fae8", "Asha \U0001fae8"),  # newer than this Python's Unicode
        ("x" * 5000, "x" * 100),
    ],
)
def test_a_name_written_by_hand_is_one_line(written: str, shown: str) -> None:
    assert NamedSpeaker(label="A", name=written, total_s=1).name == shown


def test_a_surname_that_two_share_names_nobody() -> None:
    assert [c.keys for c in characters("Jai Rathore", "Karl Rathore")] == [{"jai"}, {"karl"}]


def test_without_commas_a_name_at_an_end_with_you_counts_half() -> None:
    dialogue = ("A: where were you tonight jai", "B: at home", "A: are you sure jai", "B: yes")
    assert told(*dialogue)["B"].confidence < THRESHOLD
    assert sure(told(*dialogue, *dialogue)) == {"B": "Jai"}
    assert told("A: then came jai", "B: at home") == {}


def test_gender_of_cast_and_voice_count_only_where_both_are_known() -> None:
    segments = talk("A: Aditi, listen.", "B: Yes.")
    common = {"language": "en", "talk_s": {"A": 9.0, "B": 8.0}, "settled": {}}
    without = suggest(segments, characters(), **common)["B"].confidence
    agreed = suggest(segments, characters(), **common, voices={"B": ("female", 210.0)}, genders={"Aditi": "female", "Jai": "male"})
    assert agreed["B"].name == "Aditi" and agreed["B"].confidence > without
    assert {e.kind for e in agreed["B"].evidence} >= {"voice"}
    against = suggest(segments, characters(), **common, voices={"B": ("male", 100.0)}, genders={"Aditi": "female"})
    assert against.get("B") is None or against["B"].name != "Aditi" or against["B"].confidence < without


# -- voices -------------------------------------------------------------------------------------------------------------


def buzz(hz: float, seconds: float = 2.0) -> np.ndarray:
    """A voice-like tone: harmonics of `hz` that fade, with a little noise. (num_samples,) float32."""
    t = np.arange(round(seconds * wav.SAMPLE_RATE)) / wav.SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * hz * n * t + n) / n for n in range(1, int(4000 / hz)))
    return (0.1 * tone + 0.002 * np.random.default_rng(1).normal(size=len(t))).astype(np.float32)


@pytest.mark.parametrize("hz", [85, 120, 160, 210, 300])
def test_pitch_is_found_and_not_its_multiples(hz: float) -> None:
    assert float(np.median(pitch_hz(buzz(hz)))) == pytest.approx(hz, rel=0.02)


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(2).normal(0, 0.1, 32000).astype(np.float32)
    assert len(pitch_hz(noise)) < 10
    assert len(pitch_hz(np.zeros(32000, np.float32))) == 0
    assert len(pitch_hz(np.zeros(10, np.float32))) == 0


def test_a_voice_sounds_like_a_man_a_woman_or_neither(make_wav: Callable[..., Path], tmp_path: Path) -> None:
    audio = make_wav(tmp_path / "a.wav", np.concatenate([buzz(110), buzz(220), buzz(160), buzz(110, 0.5)]))
    turns = [Turn(start=2 * i, end=min(2 * i + 2, 6.5), speaker=label) for i, label in enumerate("ABCD")]
    assert {label: kind for label, (kind, _) in sounds_like(audio, turns).items()} == {"A": "male", "B": "female"}


# -- the example, and the stage -----------------------------------------------------------------------------------------


def station() -> list[Segment]:
    """The example's true sentences without speakers, several of one voice in a segment, as a recogniser gives them."""
    segments: list[Segment] = []
    for number, said in enumerate(json.loads(STATION.read_text(encoding="utf-8"))["sentences"]):
        words, starts = said["words"], []
        for word in words:
            starts.append(word["start"] if word["start"] is not None else starts[-1] + 0.15)
        ends = [*starts[1:], said["end"]]
        timed = [Word(word=w["word"], start=a, end=b) for w, a, b in zip(words, starts, ends, strict=True)]
        segments.append(Segment(id=number, start=said["start"], end=said["end"], text=said["text"], words=timed))
    return segments


def station_turns(shift_s: float = 0.0) -> list[Turn]:
    """The true turns, every edge moved by `shift_s`."""
    sentences = json.loads(STATION.read_text(encoding="utf-8"))["sentences"]
    return [Turn(start=s["start"] + shift_s, end=s["end"] + shift_s, speaker=s["speaker"]) for s in sentences]


@pytest.mark.parametrize("shift_s", [-0.25, 0.0, 0.25])
def test_words_of_the_example_go_to_the_right_speaker_though_turns_are_a_quarter_second_off(shift_s: float) -> None:
    truth = [(word.word, turn.speaker) for segment, turn in zip(station(), station_turns(), strict=True) for word in segment.words]
    joined = station()
    whole = Segment(id=0, start=joined[0].start, end=joined[-1].end, text="", words=[word for segment in joined for word in segment.words])
    pieces = with_speakers(whole, Turns(station_turns(shift_s)), " ")
    assert [(word.word, word.speaker) for piece in pieces for word in piece.words] == truth


def test_the_example_names_two_of_three_and_the_third_stays_a_number(run_stage: RunStage, movie_dir: Path) -> None:
    write_json(
        movie_dir / "transcription/transcript.json", Transcript(segments=station(), language="en", engine="t", model="t", duration=61)
    )
    label = {"Sarah": "SPEAKER_00", "Stephen": "SPEAKER_01", "Karl": "SPEAKER_02"}
    turns = [t.model_copy(update={"speaker": label[t.speaker]}) for t in station_turns()]
    speakers = [Speaker(label=one, total_s=15) for one in label.values()]
    write_json(
        movie_dir / "diarization/diarization.json", Diarization(turns=turns, exclusive=turns, speakers=speakers, duration=61, model="t")
    )
    terms = [
        Term(text=name, kind="character", weight=0.9 - 0.03 * i, source="cast")
        for i, name in enumerate(("Sarah", "Stephen", "Inspector Karl", "Jai", "Kathryn"))
    ]
    write_json(movie_dir / "glossary/glossary.json", Glossary(terms=terms, pipeline="test"))
    done = run_stage("post-ner", movie_dir)
    named = {s.label: (s.name, s.suggested) for s in read_json(movie_dir / "corrected/speakers.json", Speakers).speakers}
    assert named == {
        "SPEAKER_00": ("Sarah", "Sarah"),
        "SPEAKER_01": ("Stephen", "Stephen"),
        "SPEAKER_02": ("Speaker 3", None),
    }
    assert "SPEAKER_01 may be Stephen" in done.stderr

    path = movie_dir / "corrected/speakers.json"
    edited = json.loads(path.read_text(encoding="utf-8"))
    edited["speakers"][0]["name"] = "Karl"  # whoever writes a name wins, also over a sure suggestion
    path.write_text(json.dumps(edited), encoding="utf-8")
    run_stage("post-ner", movie_dir, options=["--force"])
    after = {s.label: s.name for s in read_json(path, Speakers).speakers}
    assert after == {"SPEAKER_00": "Karl", "SPEAKER_01": "Stephen", "SPEAKER_02": "Speaker 3"}


def test_pitch_is_used_where_the_cast_has_genders(run_stage: RunStage, movie_dir: Path, make_wav: Callable[..., Path]) -> None:
    segments = talk("A: Aditi, listen.", "B: Yes, of course I do.", "A: Good.", "B: We have to leave now, and soon.")
    bare = [s.model_copy(update={"speaker": None, "words": [w.model_copy(update={"speaker": None}) for w in s.words]}) for s in segments]
    write_json(movie_dir / "transcription/transcript.json", Transcript(segments=bare, language="en", engine="t", model="t", duration=12))
    turns = [Turn(start=s.start, end=s.start + 2.5, speaker=s.speaker or "") for s in segments]
    speakers = [Speaker(label=one, total_s=5) for one in "AB"]
    write_json(
        movie_dir / "diarization/diarization.json", Diarization(turns=turns, exclusive=turns, speakers=speakers, duration=12, model="t")
    )
    terms = [Term(text=name, kind="character", weight=0.8, source="cast") for name in ("Jai", "Aditi")]
    write_json(movie_dir / "glossary/glossary.json", Glossary(terms=terms, pipeline="test"))
    cast = [CastMember(name="X", character="Jai", gender="male"), CastMember(name="Y", character="Aditi", gender="female", order=1)]
    write_json(movie_dir / "metadata/tmdb.json", Metadata(title="M", cast=cast))
    make_wav(movie_dir / "audio/audio.wav", np.concatenate([buzz(110, 3), buzz(215, 3)] * 2))
    run_stage("post-ner", movie_dir)
    (one,) = [s for s in read_json(movie_dir / "corrected/speakers.json", Speakers).speakers if s.label == "B"]
    assert (one.name, one.suggested) == ("Aditi", "Aditi")
    (pitch,) = [e.text for e in one.evidence if e.kind == "voice"]
    assert float(pitch.removesuffix(" Hz")) == pytest.approx(215, rel=0.02)


def test_whom_a_name_means_speaks_for_it_before_and_after_and_against_it_himself() -> None:
    glossary = Glossary(terms=[Term(text="Jaidev", kind="character", weight=0.8, source="t")], pipeline="t")
    (target,) = from_glossary(glossary, Usage("en"))
    segments = talk("A: come jaydev", "B: yes", "B: jaydev is here", "C: i know", "C: i am jaydev")
    rows = [[parse(word.word) for word in segment.words] for segment in segments]

    def support(number: int, first: int, who: str) -> float:
        film = Film(segments, rows, cased=False, language="en", names={who: frozenset({"jaidev"})})
        return film.support(number, first, first, target)["speaker"]

    assert [support(0, 1, "B"), support(2, 0, "B"), support(4, 2, "C"), support(0, 1, "C")] == [1.0, -1.0, 1.0, 0.0]
