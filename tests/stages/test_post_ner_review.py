"""Corrections undone, rejected, accepted: remembered, followed by the next run, and no reason to decode again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reelscribe import corrections, reviewed
from reelscribe.artifacts import read_json, write_json
from reelscribe.schemas import Corrections, Diarization, Glossary, Segment, Term, Transcript, Turn, Word
from reelscribe.stage_table import NATIVE

RunStage = Callable[..., subprocess.CompletedProcess[str]]


class Film:
    """A movie directory with a transcript and a glossary, and its commands."""

    def __init__(self, movie_dir: Path, run_stage: RunStage) -> None:
        self.dir = movie_dir
        self.movie = movie_dir.parent / "movie.mkv"
        self.movie.write_bytes(b"no stage here looks inside")
        self.glossary = self.movie.parent / "glossary.txt"
        self.run_stage = run_stage
        (movie_dir / "job.env").write_text(f"MOVIE='{self.movie}'\nMOVIE_ID='1'\n", encoding="utf-8")
        write_json(movie_dir / "glossary/glossary.json", Glossary(terms=[_term("Rathore"), _term("Jaidev"), _term("Aditi")], pipeline="t"))
        turns = [Turn(start=0, end=60, speaker="A")]
        write_json(
            movie_dir / "diarization/diarization.json", Diarization(turns=turns, exclusive=turns, speakers=[], duration=60, model="t")
        )
        self.say("Then Rathor came.", "I told jay dev.", "Rathor, wait!")

    def say(self, *texts: str) -> None:
        """The transcript."""
        write_json(
            self.dir / "transcription/transcript.json",
            Transcript(segments=[_segment(i, text) for i, text in enumerate(texts)], language="en", engine="t", model="t", duration=60),
        )

    def run(self, *options: str) -> str:
        """post-ner; what it said."""
        return self.run_stage("post-ner", self.dir, options=options).stderr

    def text(self) -> list[str]:
        """The segments as they stand."""
        return [s.text for s in read_json(self.dir / "corrected/transcript.json", Transcript).segments]

    def id_of(self, old: str, number: int = 0) -> str:
        """Of a line of the table."""
        return [line.correction.id for line in corrections.lines(self.dir) if line.correction.heard == old][number]

    def states(self) -> list[tuple[str, str]]:
        """What is in the table."""
        return [(line.correction.heard, line.state) for line in corrections.lines(self.dir)]


def _term(text: str) -> Term:
    return Term(text=text, kind="character", weight=0.8, source="t")


def _segment(number: int, text: str) -> Segment:
    start = 10.0 * number
    words = [Word(word=w, start=start + i, end=start + i + 1, score=0.5) for i, w in enumerate(text.split())]
    return Segment(id=number, start=start, end=words[-1].end, text=text, words=words)


@pytest.fixture
def film(movie_dir: Path, run_stage: RunStage) -> Film:
    """After its first run."""
    film = Film(movie_dir, run_stage)
    film.run()
    assert film.text() == ["Then Rathore came.", "I told Jaidev.", "Rathore, wait!"]
    return film


def test_an_undone_place_is_as_it_was_heard_and_the_others_stay(film: Film) -> None:
    assert corrections.decide(film.dir, undo=[film.id_of("Rathor")]) == 1
    assert "up to date" not in film.run()
    assert film.text() == ["Then Rathor came.", "I told Jaidev.", "Rathore, wait!"]
    assert film.states() == [("Rathor", "undone"), ("jay dev", "made"), ("Rathor", "made")]
    assert "up to date" in film.run()
    film.run("--force")
    assert film.text()[0] == "Then Rathor came."
    assert not film.glossary.exists()


def test_ids_stay_the_same_when_other_corrections_come_and_go(film: Film) -> None:
    before = film.id_of("Rathor", 1)
    corrections.decide(film.dir, undo=[film.id_of("jay dev")])
    film.run()
    assert film.id_of("Rathor", 1) == before


def test_the_words_of_an_undone_correction_are_those_that_stayed(film: Film) -> None:
    corrections.decide(film.dir, undo=[film.id_of("jay dev")])
    film.run()
    (undone,) = read_json(film.dir / "corrected/corrections.json", Corrections).undone
    words = read_json(film.dir / "corrected/transcript.json", Transcript).segments[undone.segment].words
    assert [w.word for w in words[undone.first : undone.last + 1]] == ["jay", "dev."]


def test_a_rejected_word_is_left_alone_everywhere_by_a_line_of_the_glossary(film: Film) -> None:
    film.glossary.write_text("# mine\nChowpatty\n", encoding="utf-8")
    corrections.decide(film.dir, reject=[film.id_of("Rathor")])
    assert film.glossary.read_text(encoding="utf-8") == "# mine\nChowpatty\n!Rathor  # reviewed\n"
    film.run()
    assert film.text() == ["Then Rathor came.", "I told Jaidev.", "Rathor, wait!"]
    assert film.states() == [("Rathor", "undone"), ("jay dev", "made"), ("Rathor", "undone")]


def test_an_accepted_change_is_made_whatever_the_scores_say(film: Film) -> None:
    film.say("Then Rathor came.", "I told jay dev.", "Rathor, wait!", "No jaydeb here.")
    film.run()
    corrections.decide(film.dir, accept=[film.id_of("jay dev")])
    assert film.glossary.read_text(encoding="utf-8") == "jay dev => Jaidev  # reviewed\n"
    film.run()
    ledger = read_json(film.dir / "corrected/corrections.json", Corrections)
    assert [(c.new, c.rule) for c in ledger.corrections if c.heard == "jay dev"] == [("Jaidev.", "accepted")]
    write_json(film.dir / "glossary/glossary.json", Glossary(terms=[_term("Rathore")], pipeline="t"))
    film.run()
    assert film.text()[1] == "I told Jaidev."


def test_what_also_stands_elsewhere_is_accepted_for_its_place_alone(film: Film) -> None:
    # "can" is Khan after Imran, and a word everywhere else: a line `can => Khan` would be a disaster.
    film.say("Imran Kan left.", "Then Rathor came.")
    write_json(film.dir / "glossary/glossary.json", Glossary(terms=[_term("Imran Khan"), _term("Rathore")], pipeline="t"))
    film.run()
    assert film.text() == ["Imran Khan left.", "Then Rathore came."]
    ledger = film.dir / "corrected/transcript.json"
    transcript = read_json(ledger, Transcript)
    transcript.segments[1].words[0].word = "Kan"
    write_json(ledger, transcript)
    corrections.decide(film.dir, accept=[film.id_of("Kan")])
    assert not film.glossary.exists()
    write_json(film.dir / "glossary/glossary.json", Glossary(terms=[], pipeline="t"))
    film.run()
    assert film.text() == ["Imran Khan left.", "Then Rathor came."]
    assert film.states() == [("Kan", "accepted")]


def test_a_later_decision_replaces_the_earlier_and_can_be_forgotten(film: Film) -> None:
    number = film.id_of("Rathor")
    corrections.decide(film.dir, reject=[number])
    film.run()
    corrections.decide(film.dir, accept=[film.id_of("Rathor")])
    film.run()
    assert film.text() == ["Then Rathore came.", "I told Jaidev.", "Rathore, wait!"] or film.states()[0] == ("Rathor", "accepted")
    assert "!Rathor" not in (film.glossary.read_text(encoding="utf-8") if film.glossary.exists() else "")
    corrections.decide(film.dir, undo=[number])
    film.run()
    corrections.decide(film.dir, forget=[number])
    film.run()
    assert film.text() == ["Then Rathore came.", "I told Jaidev.", "Rathore, wait!"]
    assert {state for _, state in film.states()} == {"made"}


def test_a_glossary_that_cannot_be_written_leaves_the_decision_in_the_movie_directory(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, lines: list[str]) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(reviewed, "write_lines", refuse)
    corrections.decide(film.dir, reject=[film.id_of("Rathor")])
    assert not film.glossary.exists()
    film.run()
    assert film.text() == ["Then Rathor came.", "I told Jaidev.", "Rathor, wait!"]
    film.run("--force")
    assert film.text()[2] == "Rathor, wait!"


def test_a_decision_does_not_make_the_glossary_anew(film: Film) -> None:
    """What asr reads comes from pre-ner: it stays up to date, so asr does."""
    (film.dir / "metadata").mkdir()
    (film.dir / "metadata/tmdb.json").write_text(json.dumps({"title": "M", "cast": []}), encoding="utf-8")
    media = {"container": "m", "duration": 60.0, "streams": [], "num_samples": 960000}
    media["audio"] = {"index": 0, "reason": "", "downmix": "", "start": 0}
    (film.dir / "media.json").write_text(json.dumps(media), encoding="utf-8")
    film.glossary.write_text("Rathore\nJaidev\n", encoding="utf-8")
    film.run_stage("pre-ner", film.dir)
    film.run()
    corrections.decide(film.dir, accept=[film.id_of("jay dev")], reject=[film.id_of("Rathor")])
    assert "# reviewed" in film.glossary.read_text(encoding="utf-8")
    made = (film.dir / "glossary/glossary.json").read_bytes()
    assert "up to date" in film.run_stage("pre-ner", film.dir).stderr
    film.run_stage("pre-ner", film.dir, options=["--force"])
    assert (film.dir / "glossary/glossary.json").read_bytes() == made
    assert "up to date" not in film.run()

    with open(film.glossary, "a", encoding="utf-8") as f:
        f.write("Chowpatty\n")  # the user's own line is another matter
    assert "up to date" not in film.run_stage("pre-ner", film.dir).stderr


def test_changes_in_the_translation_are_in_the_ledger_and_can_be_undone(film: Film) -> None:
    path = film.dir / "transcription/transcript.json"
    spoken = read_json(path, Transcript)
    english = _segment(0, "Then Adity came.").model_copy(update={"source": (0, 2)})
    write_json(path, spoken.model_copy(update={"translation": [english]}))
    film.run()
    ledger = read_json(film.dir / "corrected/corrections.json", Corrections)
    assert [(c.heard, c.written) for c in ledger.translation] == [("Adity", "Aditi")]
    number = film.id_of("Adity")
    corrections.decide(film.dir, undo=[number])
    film.run()
    translation = read_json(film.dir / "corrected/transcript.json", Transcript).translation
    assert translation and translation[0].text == "Then Adity came."
    assert ("Adity", "undone") in film.states()
    corrections.decide(film.dir, forget=[number])
    film.run()
    assert ("Adity", "made") in film.states()


# -- the command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(child_environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """python -m reelscribe.corrections, as users run it."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [str(NATIVE / "venvs" / "core" / "bin" / "python"), "-m", "reelscribe.corrections", *arguments]
        return subprocess.run(line, env=child_environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)

    return run


def test_the_table_names_id_words_rule_score_and_state(film: Film, command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = command(str(film.dir))
    assert done.returncode == 0, done.stderr
    first, *_ = [row for row in done.stdout.splitlines() if "Rathor " in row]
    assert first.split()[:4] == [film.id_of("Rathor"), "0:00:01", "Rathor", "Rathore"]
    assert "spelling" in first and "made" in first and "Then Rathore came." in first
    found = json.loads(command(str(film.dir), "--json").stdout)
    assert [(c["heard"], c["state"]) for c in found] == [("Rathor", "made"), ("jay dev", "made"), ("Rathor", "made")]
    assert {"score", "spelling", "sound", "rarity", "doubt", "weight", "company", "mentions", "speaker"} <= set(found[0]["scores"])


def test_decisions_by_command_say_where_they_are_kept(film: Film, command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = command(str(film.dir), "--reject", film.id_of("jay dev"), "--undo", film.id_of("Rathor"))
    assert done.returncode == 0, done.stderr
    assert f"jay dev → Jaidev: rejected everywhere ({film.glossary})" in done.stderr
    assert "undone here" in done.stderr
    film.run()
    assert film.text() == ["Then Rathor came.", "I told jay dev.", "Rathore, wait!"]


def test_an_id_that_is_none_changes_nothing(film: Film, command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = command(str(film.dir), "--undo", f"{film.id_of('Rathor')},ffffffff")
    assert done.returncode == 3
    assert "there is no correction ffffffff" in done.stderr
    assert not (film.dir / reviewed.FILE).exists()


def test_before_post_ner_there_is_nothing_to_review(film: Film, command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    (film.dir / "corrected/corrections.json").unlink()
    done = command(str(film.dir))
    assert done.returncode == 3
    assert "run the stage post-ner first" in done.stderr


def test_the_pipeline_runs_what_follows_from_a_decision_and_nothing_before(film: Film, child_environment: dict[str, str]) -> None:
    decided = ["--corrections", str(film.dir), "--undo", film.id_of("Rathor"), "--to", "post-ner"]
    done = subprocess.run(
        [str(NATIVE / "pipeline.sh"), *decided],
        env=child_environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert film.text() == ["Then Rathor came.", "I told Jaidev.", "Rathore, wait!"]
    assert {path.name for path in (film.dir / "manifests").glob("*_*.json")} == {"08_post-ner.json"}
    table = subprocess.run(
        [str(NATIVE / "pipeline.sh"), "--corrections", str(film.dir)], env=child_environment, capture_output=True, text=True, check=True
    )
    assert "undone" in table.stdout
    refused = subprocess.run([str(NATIVE / "pipeline.sh"), "--undo", "x", str(film.movie)], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
