"""reelscribe.evaluate: every number on a case small enough to be counted by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reelscribe.artifacts import write_json
from reelscribe.errors import BadInputError
from reelscribe.evaluate.__main__ import evaluate as measure
from reelscribe.evaluate.__main__ import main
from reelscribe.evaluate.align import Alignment, tokens
from reelscribe.evaluate.made import Made
from reelscribe.evaluate.references import Reference
from reelscribe.evaluate.score import Score
from reelscribe.evaluate.speakers import same_person
from reelscribe.evaluate.text import normalizer
from reelscribe.schemas import (
    Correction,
    Corrections,
    Diarization,
    NamedSpeaker,
    Segment,
    Speakers,
    SpeechSegment,
    Track,
    Tracks,
    Transcript,
    Turn,
    Vad,
    Word,
)

Scores = dict[str, Score]


# -- a movie directory and its references -----------------------------------------------------------------------------------


class Film:
    """Files of a movie directory and its references, written as a test needs them."""

    def __init__(self, folder: Path) -> None:
        self.dir = folder / "out" / "Film"
        self.dir.mkdir(parents=True)
        self.folder = folder

    def hears(self, *texts: str, language: str = "en", speakers: Sequence[str] = (), shift: float = 0.0) -> Film:
        """A segment for each text, five seconds each, with a word a second."""
        segments = []
        for number, text in enumerate(texts):
            at, voice = 5.0 * number + shift, speakers[number] if speakers else None
            words = [Word(word=w, start=at + i, end=at + i + 1, speaker=voice) for i, w in enumerate(text.split())]
            segments.append(Segment(id=number, start=at, end=at + 5, text=text, words=words, speaker=voice))
        transcript = Transcript(segments=segments, language=language, engine="e", model="m", duration=5.0 * len(texts))
        write_json(self.dir / "corrected/transcript.json", transcript)
        return self

    def corrects(self, *changes: tuple[int, int, str, str]) -> Film:
        """(segment, first word, old, new) each."""
        rows = [
            Correction.model_validate(
                {
                    "id": str(number),
                    "segment": segment,
                    "first": first,
                    "last": first + len(new.split()) - 1,
                    "start": 0,
                    "end": 1,
                    "old": old,
                    "new": new,
                    "heard": old,
                    "written": new,
                    "rule": "spelling",
                    "scores": {},
                }
            )
            for number, (segment, first, old, new) in enumerate(changes, start=1)
        ]
        write_json(self.dir / "corrected/corrections.json", Corrections(corrections=rows, threshold=0.75))
        return self

    def diarizes(self, *turns: tuple[float, float, str], names: dict[str, str], duration: float = 10.0) -> Film:
        """(start, end, voice) each, none of them at once."""
        rows = [Turn(start=start, end=end, speaker=voice) for start, end, voice in turns]
        found = Diarization(turns=rows, exclusive=rows, speakers=[], duration=duration, model="m")
        write_json(self.dir / "diarization/diarization.json", found)
        shown = [NamedSpeaker(label=label, name=name, total_s=1) for label, name in names.items()]
        write_json(self.dir / "corrected/speakers.json", Speakers(speakers=shown))
        return self

    def detects(self, *spans: tuple[float, float], detector: str = "silero") -> Film:
        """Speech."""
        rows = [SpeechSegment(start=start, end=end, score=1) for start, end in spans]
        write_json(self.dir / f"vad/{detector}.json", Vad(segments=rows, duration=10, model="m"))
        return self

    def shows(self, srt: str) -> Film:
        """Cues."""
        write_json(
            self.dir / "subtitles/tracks.json", Tracks(tracks=[Track(file="f.srt", format="srt", language="en", title="", num_cues=1)])
        )
        (self.dir / "subtitles/f.srt").write_text(srt, encoding="utf-8")
        return self

    def file(self, name: str, content: str | dict[str, Any]) -> Path:
        """A reference."""
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    def scores(self, *references: Path, names: Path | None = None, **more: Any) -> Scores:
        """By key."""
        return {score.key: score for score in measure(Made.read(self.dir), Reference.read(references, names), **more)}


@pytest.fixture
def film(tmp_path: Path) -> Film:
    return Film(tmp_path)


# -- words ------------------------------------------------------------------------------------------------------------------


def test_word_and_character_errors(film: Film) -> None:
    said = film.file("said.txt", "Where is the old bridge?\nIt is near.\n")
    scores = film.hears("where is the cold bridge", "it was near now").scores(said)
    # 8 words: old → cold, is → was, + now. 32 letters and spaces: + c, i → wa (2), + " now" (4).
    assert scores["wer"].value == 37.5
    assert scores["wer"].detail["substitutions"] == 2
    assert scores["wer"].detail["insertions"] == 1
    assert scores["wer"].detail["deletions"] == 0
    assert scores["cer"].detail["whole"] == len("where is the old bridge it is near")
    assert scores["cer"].detail["part"] == 1 + 2 + 4
    assert set(scores) == {"wer", "cer"}, "a text allows no more"


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("en", "I'm there, colour of Mr. Khan -- uh, twenty-three.", "I am there color of mister khan 23"),
        ("hi", "क़लम १२३, हाँ!", "कलम 123 हाँ।"),
        ("hi", "ज़\u200dरूर", "ज़रूर"),
        ("de", "Straße, „Öl“!", "STRASSE öl"),
        ("fr", "l’ami", "l'ami"),
    ],
)
def test_the_same_words_written_in_two_ways(language: str, one: str, other: str) -> None:
    assert normalizer(language)(one) == normalizer(language)(other)


@pytest.mark.parametrize(
    ("language", "one", "other"), [("hi", "हूँ", "ह"), ("hi", "की", "का"), ("fr", "pêche", "péché"), ("en", "Jai", "Jay")]
)
def test_other_words_stay_other_words(language: str, one: str, other: str) -> None:
    assert normalizer(language)(one) != normalizer(language)(other)


def test_japanese_is_scored_by_characters(film: Film) -> None:
    scores = film.hears("東京 に 行く", language="ja").scores(film.file("said.txt", "東京へ行く。"))
    assert "wer" not in scores
    assert (scores["cer"].detail["part"], scores["cer"].detail["whole"]) == (1, 5)


@pytest.mark.parametrize(
    ("true", "row", "pairs"),
    [
        ("a b c", "a x c", [(0, 0), (1, 1), (2, 2)]),
        ("Matthias and Sarah stole it", "Steven Sara stole it", [(0, 0), (2, 1), (3, 2), (4, 3)]),
        ("give Kathryn it", "give Jo Catherine it", [(0, 0), (1, 2), (2, 3)]),
        ("a b", "", []),
        ("one two", "six one two nine", [(0, 1), (1, 2)]),
    ],
)
def test_words_stand_for_those_they_are_like(true: str, row: str, pairs: list[tuple[int, int]]) -> None:
    aligned = Alignment.of(tokens(true.split()), tokens(row.split()))
    assert [(i, j) for i, j in enumerate(aligned.to_heard) if j is not None] == pairs
    assert [(i, j) for j, i in enumerate(aligned.to_said) if i is not None] == pairs


# -- names ------------------------------------------------------------------------------------------------------------------


def test_name_recall_and_precision(film: Film) -> None:
    said = film.file("said.txt", "Jai met Imran Khan.\nI hope Hope can come, Jai's car is here.\nHope is here.")
    names = film.file("names.txt", "# the cast\nJai\nImran Khan\nKhan\nHope: 1\n")
    film.hears("Jai met Imran Khan", "I hope hope Khan come Jay's car is here", "Hope is here")
    scores = film.scores(said, names=names)
    # Said: Jai, Imran Khan, Hope (the first Hope only), Jai. Right: Jai, Imran Khan. Written besides: Khan for can, the second Hope.
    assert (scores["name_recall"].detail["part"], scores["name_recall"].detail["whole"]) == (2, 4)
    assert (scores["name_precision"].detail["part"], scores["name_precision"].detail["whole"]) == (2, 4)
    assert scores["name_recall"].detail["missed"] == [
        {"name": "Hope", "heard": "hope", "times": 1},
        {"name": "Jai", "heard": "Jay", "times": 1},
    ]
    assert "false_corrections" not in scores, "there is no ledger"


def test_what_correction_did(film: Film) -> None:
    said = film.file("said.txt", "Tell Jai now.\nYou can go home.\nAsk Karl first.\nSee Jaidev there.\nAsk Mira too.\nSo be it.")
    names = film.file("names.txt", "Jai\nKarl\nJaidev\nMira\nKhan\n")
    film.hears("Tell Jai now", "You Khan go home", "Ask Kabir first", "See Jaidev there", "Ask Moira too", "So be it Jai")
    film.corrects(
        (0, 1, "jay", "Jai"),  # right
        (1, 1, "can", "Khan"),  # false: a right word made wrong
        (2, 1, "Kabeer", "Kabir"),  # in vain: it was no Karl before
        (3, 1, "jay dev", "Jaidev"),  # right
        (4, 1, "Mira", "Moira"),  # false: a right name made wrong
        (5, 3, "jay", "Jai"),  # in vain: nobody said it
    )
    scores = film.scores(said, names=names)
    false = scores["false_corrections"]
    assert (false.detail["right"], false.detail["in_vain"], false.detail["words"]) == (2, 2, 19)
    assert [(f["old"], f["new"], f["said"]) for f in false.detail["false"]] == [("can", "Khan", "can"), ("Mira", "Moira", "Mira")]
    assert false.value == round(1000 * 2 / 19, 3)
    assert scores["name_recall"].value == 50.0
    assert scores["name_recall_uncorrected"].value == 25.0
    # Written after: Jai, Khan, Jaidev, Jai; before: Mira.
    assert scores["name_precision"].value == 50.0
    assert scores["name_precision_uncorrected"].value == 100.0


def test_a_word_misheard_and_then_taken_for_a_name_is_a_false_correction(film: Film) -> None:
    said = film.file("said.txt", "A blue bird sang.\nJai came.")
    film.hears("A blue Jai sang", "Jai came").corrects((0, 2, "jay", "Jai"))
    false = film.scores(said, names=film.file("names.txt", "Jai"))["false_corrections"].detail["false"]
    assert false == [{"id": "1", "old": "jay", "new": "Jai", "said": "bird", "why": "no name is said there"}]
    without_names = film.scores(said)["false_corrections"].detail
    assert (without_names["false"], without_names["in_vain"]) == ([], 1), "without a list nobody knows what is a name"


def test_a_ledger_of_another_transcript_is_refused(film: Film) -> None:
    film.hears("Tell Jai now").corrects((0, 0, "jay", "Jai"))
    with pytest.raises(BadInputError, match="do not belong together"):
        film.scores(film.file("said.txt", "Tell Jai now"))


# -- speakers ---------------------------------------------------------------------------------------------------------------

RTTM = "SPEAKER film 1 0.000 4.000 <NA> <NA> Karl <NA> <NA>\nSPEAKER film 1 4.000 4.000 <NA> <NA> Mira <NA> <NA>\n"


def test_diarization_error_and_names_of_speakers(film: Film) -> None:
    film.diarizes((0, 5, "S0"), (5, 7, "S1"), (9, 10, "S1"), names={"S0": "Inspector Karl", "S1": "Speaker 2"})
    scores = film.scores(film.file("film.rttm", RTTM), collar=0.5)
    # 8 s: 4-5 confused, 7-8 missed, 9-10 false.
    der = scores["der"]
    assert der.value == 37.5
    assert (der.detail["confusion"], der.detail["missed_detection"], der.detail["false_alarm"]) == (1, 1, 1)
    # A quarter of a second on either side of 0, 4 and 8 is left out: 7 s remain.
    assert scores["der_collar"].detail["whole"] == 7
    assert scores["der_collar"].detail["part"] == 0.75 + 0.75 + 1
    # Karl for 4 s; then 1 s as Karl, 2 s as Speaker 2, 1 s as nobody.
    names = scores["speaker_names"]
    assert (names.value, names.detail["wrong_s"], names.detail["anonymous_s"]) == (50.0, 1, 2)


def test_time_of_two_voices_at_once_counts_for_no_name(film: Film) -> None:
    film.diarizes((0, 6, "S0"), names={"S0": "Karl"})
    both = "SPEAKER film 1 0 4 <NA> <NA> Karl <NA> <NA>\nSPEAKER film 1 3 3 <NA> <NA> Mira <NA> <NA>\n"
    names = film.scores(film.file("film.rttm", both))["speaker_names"]
    assert (names.detail["part"], names.detail["whole"], names.detail["wrong_s"]) == (3, 5, 2)


def test_words_with_their_speaker(film: Film) -> None:
    sentences = [
        {"start": 0, "end": 4, "speaker": "Karl", "text": "Where were you tonight"},
        {"start": 4, "end": 8, "speaker": "Mira", "text": "At the old harbour"},
    ]
    said = film.file("film.json", {"language": "en", "sentences": sentences})
    film.hears("Where were you tonight", "At the cold harbour", speakers=("S0", "S0")).diarizes((0, 4, "S0"), (4, 8, "S1"), names={})
    score = film.scores(said)["word_speakers"]
    assert (score.detail["part"], score.detail["whole"]) == (4, 7)


@pytest.mark.parametrize(
    ("shown", "true", "same"),
    [("Inspector Karl", "karl", True), ("Karl", "Carl", False), ("", "Karl", False), ("Mira S.", "S. Mira", True)],
)
def test_who_is_the_same_person(shown: str, true: str, same: bool) -> None:
    assert same_person(shown, true) is same


# -- times ------------------------------------------------------------------------------------------------------------------

CUES = "1\n00:00:00,100 --> 00:00:04,100\n<i>Where were</i>\nyou tonight\n\n2\n00:00:05,800 --> 00:00:08,000\nAt the harbour\n"


def test_cues_and_words_against_the_true_times(film: Film) -> None:
    sentences = [
        {"start": 0, "end": 4, "text": "Where were you tonight", "words": [{"word": w, "start": s} for w, s in zip(
            ["Where", "were", "you", "tonight"], [0.0, 1.0, 2.0, None], strict=True)]},
        {"start": 6, "end": 8, "text": "At the harbour"},
    ]  # fmt: skip
    said = film.file("film.json", {"sentences": sentences})
    scores = film.hears("Where was you tonight", "At the harbour", shift=0.2).shows(CUES).scores(said)
    # 3.9 of 4.1 s, and 2.0 of 2.2 s.
    assert scores["cue_iou"].value == round(100 * (3.9 / 4.1 + 2.0 / 2.2) / 2, 3)
    # 100 ms late, 200 ms early.
    assert scores["cue_start_error"].value == 150
    assert scores["cue_start_error"].detail["signed_median_ms"] == -50
    # Where and you 200 ms late, At 800 ms early; was is another word, the others have no time.
    assert scores["word_start_error"].detail["count"] == 3
    assert scores["word_start_error"].value == 200


def test_coverage_of_speech(film: Film) -> None:
    film.detects((0, 2)).detects((1, 3), detector="pyannote").hears("one two").shows(CUES)
    scores = film.scores(film.file("film.rttm", RTTM))
    # 8 s are spoken: 0-3 is detected, 0-5 transcribed, 0.1-4.1 and 5.8-8 shown.
    assert scores["speech_detected"].value == 37.5
    assert scores["speech_transcribed"].value == 62.5
    assert scores["speech_shown"].value == round(100 * 6.2 / 8, 3)
    later = film.file("later.rttm", "SPEAKER film 1 6 2 <NA> <NA> Karl <NA> <NA>\n")
    assert film.scores(later)["speech_shown"].detail["beyond_s"] == 4.2


def test_subtitles_as_reference_have_the_time_of_their_first_word(film: Film) -> None:
    said = film.file("said.srt", "1\n00:00:00,000 --> 00:00:04,000\n{\\an8}Where were you\n\n2\n00:00:06,000 --> 00:00:08,000\nHere\n")
    scores = film.hears("Where were you", "Here").shows(CUES).scores(said)
    assert scores["wer"].value == 0
    assert scores["word_start_error"].detail["count"] == 2
    assert scores["cue_start_error"].detail["count"] == 1


# -- the command ------------------------------------------------------------------------------------------------------------


def test_the_command_writes_a_table_or_json(film: Film, capsys: pytest.CaptureFixture[str]) -> None:
    said = film.hears("Tell Jay now").file("said.txt", "Tell Jai now")
    assert main([str(film.dir), "--reference", str(said)]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0].split() == ["|", "measure", "|", "value", "|", "of", "|"]
    assert "| WER " in shown.out
    assert "| 33.3 % " in shown.out
    assert "diarization/diarization.json is not there: what needs it is not measured" in shown.err
    assert main([str(film.dir), "--reference", str(said), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scores"]["wer"] == {
        "value": 33.333, "unit": "%", "part": 1, "whole": 3, "language": "en", "substitutions": 1, "deletions": 0, "insertions": 0
    }  # fmt: skip


BAD: dict[str, tuple[str, str | dict[str, Any], str]] = {
    "no words": ("said.txt", " \n", "holds no words"),
    "another suffix": ("said.doc", "x", ".doc is no reference"),
    "no JSON": ("said.json", "{", "is not JSON"),
    "no sentences": ("said.json", {"text": "x"}, "is no transcript: sentences: Field required"),
    "a time that is none": ("said.json", {"sentences": [{"text": "x", "start": "soon"}]}, "sentences.0.start"),
    "no turn": ("film.rttm", "SPEAKER film 1 zero 4 <NA> <NA> Karl <NA> <NA>\n", "line 1 is no turn"),
    "an endless turn": ("film.rttm", "SPEAKER film 1 0 inf <NA> <NA> Karl <NA> <NA>\n", "line 1 is no turn"),
    "no turns": ("film.rttm", "\n", "has no turns"),
    "two recordings": ("film.rttm", RTTM + RTTM.replace("film", "other"), "the turns of 2 recordings"),
    "another encoding": ("said.srt", "\udcff", "cannot be read as subtitles"),
    "no subtitles": ("said.srt", "hello", "cannot be read as subtitles"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_reference_is_refused_with_a_remedy(film: Film, capsys: pytest.CaptureFixture[str], case: str) -> None:
    name, content, message = BAD[case]
    path = film.hears("x").folder / name
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    assert main([str(film.dir), "--reference", str(path)]) == 3
    err = capsys.readouterr().err
    assert message in err
    assert "→" in err


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("\n", "names nobody"),
        (": 3\n", "line 1 is no name"),
        ("Jai: 3\n", "Jai is 1 times in the reference, not at 3"),
        ("Jai: 0\n", "not at 0"),
    ],
)
def test_a_bad_list_of_names_is_refused(film: Film, capsys: pytest.CaptureFixture[str], names: str, message: str) -> None:
    said = film.hears("Tell Jai").file("said.txt", "Tell Jai")
    assert main([str(film.dir), "--reference", str(said), "--names", str(film.file("names.txt", names))]) == 3
    assert message in capsys.readouterr().err


def test_what_is_not_there_is_said(film: Film, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = film.file("said.txt", "Tell Jai")
    assert main([str(film.dir), "--reference", str(said)]) == 3
    assert "nothing can be measured" in capsys.readouterr().err
    assert main([str(tmp_path / "nowhere"), "--reference", str(said)]) == 3
    assert "is no movie directory" in capsys.readouterr().err
    assert main([str(film.dir), "--reference", str(tmp_path / "no.txt")]) == 3
    assert "no.txt cannot be read" in capsys.readouterr().err
    film.hears("Tell Jai")
    assert main([str(film.dir), "--reference", str(said), "--reference", str(film.file("more.srt", CUES))]) == 3
    assert "is a second transcript" in capsys.readouterr().err


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["out/Film"])
    assert ended.value.code == 2
    assert "--reference" in capsys.readouterr().err
