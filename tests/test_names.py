"""The name test-set is what its README says, and nothing changes in text that names nobody of a cast of 300."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from reelscribe.artifacts import read_json, write_json
from reelscribe.schemas import Diarization, Segment, Transcript, Turn, Word
from reelscribe.stage_table import ROOT

sys.path.append(str(ROOT / "tests" / "names"))
import name_set

RunStage = Callable[..., subprocess.CompletedProcess[str]]
FIXTURE_WORDS = ROOT / "tests" / "fixtures" / "recipe" / "speech.py"
ORDINARY = ROOT / "tests" / "data" / "ordinary.txt"


# -- the set ------------------------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """Without punctuation."""
    return re.findall(r"[\w'-]+", text)


def test_the_set_is_as_large_as_promised_and_nothing_is_in_both_halves() -> None:
    halves = {half: (name_set.names(half), name_set.sentences(half)) for half in name_set.HALVES}
    for names, sentences in halves.values():
        assert len(names) == 22
        assert Counter(bool(s.names) for s in sentences) == {True: 46, False: 16}
        assert {s.voice for s in sentences} == {"A", "B", "C"}
        times = Counter(name for s in sentences for name in s.names)
        assert set(times) == {n.name for n in names}
        assert min(times.values()) >= 2
    tuning, held_out = halves.values()
    assert not {n.name for n in tuning[0]} & {n.name for n in held_out[0]}
    assert not {s.text for s in tuning[1]} & {s.text for s in held_out[1]}


@pytest.mark.parametrize("half", name_set.HALVES)
def test_a_name_stands_only_where_it_is_marked(half: str) -> None:
    names = {n.name for n in name_set.names(half)}
    for sentence in name_set.sentences(half):
        assert tuple(word for word in words(sentence.text) if word in names) == sentence.names
        assert len(sentence.spoken.split()) == len(sentence.text.split()), "one spoken word for each that is written"


@pytest.mark.parametrize("half", name_set.HALVES)
def test_every_name_is_misheard_in_three_ways(half: str) -> None:
    ways = name_set.misheard(half)
    assert set(ways) == {n.name for n in name_set.names(half)}
    for name, written in ways.items():
        assert len(set(written) - {name}) == 3, name


@pytest.mark.parametrize("half", name_set.HALVES)
def test_the_cast_has_every_name_and_no_actor_is_called_like_anybody(half: str) -> None:
    cast = name_set.cast(half)
    in_cast = {word for role in cast for word in str(role["character"]).split()}
    names = {n.name for n in name_set.names(half)}
    assert names <= in_cast
    assert not in_cast & {word for role in cast for word in str(role["name"]).split()}


def test_what_the_fixture_whisper_knows_is_marked() -> None:
    spellings = {
        target.id: {written for _, written in ast.literal_eval(node.value)}
        for node in ast.parse(FIXTURE_WORDS.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name) and target.id in ("NAMES_EN", "NAMES_HI")
    }
    for name in (n for half in name_set.HALVES for n in name_set.names(half)):
        trained = "English" if name.name in spellings["NAMES_EN"] else "Hindi" if name.name in spellings["NAMES_HI"] else "no"
        assert name.fixture == trained, name.name


# -- text without names ---------------------------------------------------------------------------------------------------


def test_the_ordinary_text_names_nobody_of_the_cast() -> None:
    spoken = {word.lower() for credit in name_set.credits() for word in credit.split()}
    lines = [line.lower() for line in ORDINARY.read_text(encoding="utf-8").splitlines()]
    assert len(name_set.credits()) == 300
    assert not [credit for credit in name_set.credits() if " " in credit and any(credit.lower() in line for line in lines)]
    assert len(spoken & {word for line in lines for word in words(line)}) > 30, "it is full of words that are names elsewhere"


def heard(lines: list[str]) -> list[Segment]:
    """`lines` as a recogniser that is sure of nothing would give them: 3 words a second, each with a probability of 0.05."""
    segments, now = [], 0.0
    for number, line in enumerate(lines):
        spoken = [Word(word=w, start=now + i / 3, end=now + (i + 1) / 3, score=0.05) for i, w in enumerate(line.split())]
        segments.append(Segment(id=number, start=now, end=spoken[-1].end, text=" ".join(line.split()), words=spoken))
        now = spoken[-1].end + 0.6
    return segments


def written_ways(lines: list[str]) -> dict[str, list[str]]:
    """As it is, and as recognisers without capitals, or with too many, write."""
    bare = [" ".join(words(line.lower())) for line in lines]
    return {"as it is": lines, "bare": bare, "titles": [line.title() for line in bare], "shouted": [line.upper() for line in lines]}


@pytest.fixture
def changes(run_stage: RunStage, movie_dir: Path, tmp_path: Path) -> Callable[[list[str], str], list[tuple[str, str]]]:
    """What post-ner makes of lines of a language, (before, after) each, with the glossary that pre-ner makes of 300 credits."""
    cast = [{"name": f"Actor {n}", "character": credit, "order": n} for n, credit in enumerate(name_set.credits())]
    audio = {"index": 0, "reason": "", "downmix": "", "start": 0}
    media = {"container": "matroska", "duration": 3600.0, "streams": [], "audio": audio, "num_samples": 3600 * 16000}
    (movie_dir / "metadata").mkdir()
    (movie_dir / "metadata" / "tmdb.json").write_text(json.dumps({"title": "A Long Cast", "cast": cast}), encoding="utf-8")
    (movie_dir / "media.json").write_text(json.dumps(media), encoding="utf-8")
    movie = tmp_path / "A Long Cast.mkv"
    movie.write_bytes(b"no stage but demux looks inside")
    run_stage("pre-ner", movie_dir, movie=movie)

    def changed(lines: list[str], language: str) -> list[tuple[str, str]]:
        segments = heard(lines)
        end = segments[-1].end
        voice = [Turn(start=0, end=end, speaker="SPEAKER_00")]
        spoken = Transcript(segments=segments, language=language, engine="none", model="none", duration=end)
        voices = Diarization(turns=voice, exclusive=voice, speakers=[], duration=end, model="none")
        write_json(movie_dir / "transcription" / "transcript.json", spoken)
        write_json(movie_dir / "diarization" / "diarization.json", voices)
        run_stage("post-ner", movie_dir)
        after = read_json(movie_dir / "corrected" / "transcript.json", Transcript).segments
        return [(old.text, new.text) for old, new in zip(segments, after, strict=True) if old.text != new.text]

    return changed


def test_nothing_changes_in_ordinary_text(changes: Callable[[list[str], str], list[tuple[str, str]]]) -> None:
    for way, lines in written_ways(ORDINARY.read_text(encoding="utf-8").splitlines()).items():
        assert changes(lines, "en") == [], way


def test_nothing_changes_in_what_was_really_read(changes: Callable[[list[str], str], list[tuple[str, str]]], shared_media: Path) -> None:
    for language in ("en", "de", "es", "fr", "pt"):
        paths = sorted(shared_media.glob(f"fleurs/{language}-*.txt"))
        paths += sorted(shared_media.glob("librivox/*.txt")) if language == "en" else []
        assert paths
        text = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        ways = written_ways(text)
        for way in ("as it is", "titles", *(["shouted"] if language == "en" else [])):  # as it is, it has no capitals
            assert changes(ways[way], language) == [], f"{language} {way}"


def test_a_name_spelt_wrong_is_mended_all_the_same(changes: Callable[[list[str], str], list[tuple[str, str]]]) -> None:
    lines = [*ORDINARY.read_text(encoding="utf-8").splitlines(), "Tell Meenakshee that I saw Deshpandey with Wojcieck."]
    assert changes(lines, "en") == [(lines[-1], "Tell Meenakshi that I saw Deshpande with Wojciech.")]
