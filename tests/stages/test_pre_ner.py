"""pre-ner: the glossary from metadata, plot, chapters and the user's file, and the bias windows made of it."""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import python_of
from hypothesis import given
from hypothesis import strategies as st

from pre_ner import cues, forms, glossary_file, names, pipelines, risk, scripts, subtitles, terms, windows
from pre_ner.entities import place_of
from reelscribe import sounds
from reelscribe.errors import BadInputError
from reelscribe.schemas import CastMember, Metadata, Span, Term
from reelscribe.stage_table import NATIVE

RunStage = Callable[..., subprocess.CompletedProcess[str]]

METADATA: dict[str, Any] = {
    "title": "The Night Train",
    "original_title": "Raat Ki Rail",
    "original_language": "hi",
    "overview": "When Jai boards a train at Victoria Station, Inspector Rathore and the CBI follow him to Mumbai. Nobody told Aditi Rao.",
    "collection": "Night Train Collection",
    "keywords": ["revenge", "train robbery", "pune, india"],
    "cast": [
        {"name": "First Actor", "character": "Jai / Inspector Rathore (voice)", "order": 0},
        {"name": "Second Actor", "character": "Doctor", "order": 1},
        {"name": "Radha Iyer", "character": "Self - Host", "order": 2},
        {"name": "Fourth Actor", "character": "Bar Patron #2", "order": 3},
    ],
    "crew": [{"name": "A Director", "job": "Director"}],
    "sources": {"title": "TMDB", "overview": "TMDB"},
}
MEDIA: dict[str, Any] = {
    "container": "mkv",
    "duration": 100.0,
    "streams": [],
    "audio": {"index": 0, "reason": "", "downmix": "", "start": 0.0},
    "chapters": [{"start": 0.0, "end": 60.0, "title": "Chapter 1"}, {"start": 60.0, "end": 100.0, "title": "Rathore at Marine Drive Road"}],
    "num_samples": 1600000,
}


@pytest.fixture
def movie(tmp_path: Path, movie_dir: Path) -> Path:
    """A movie whose earlier stages are done."""
    (movie_dir / "metadata").mkdir()
    (movie_dir / "metadata" / "tmdb.json").write_text(json.dumps(METADATA), encoding="utf-8")
    (movie_dir / "media.json").write_text(json.dumps(MEDIA), encoding="utf-8")
    path = tmp_path / "movies" / "The Night Train.mkv"
    path.parent.mkdir()
    path.write_bytes(b"no stage but demux looks inside")
    return path


def written(movie_dir: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The glossary and the bias windows."""
    glossary = json.loads((movie_dir / "glossary" / "glossary.json").read_text(encoding="utf-8"))
    return glossary, json.loads((movie_dir / "glossary" / "bias_windows.json").read_text(encoding="utf-8"))["windows"]


def plain_variants(term: dict[str, Any]) -> list[str]:
    """The parts of a name, without -ji, possessives and other scripts."""
    return [v for v in term["variants"] if v.isascii() and not v.endswith(("-ji", "'s"))]


# -- the stage ------------------------------------------------------------------------------------------------------------


def test_glossary_and_windows_of_a_movie(run_stage: RunStage, movie_dir: Path, movie: Path) -> None:
    (movie.parent / "glossary.txt").write_text("Chowpatty\njay => Jai\n!revenge\n00:01:00-00:01:30 Aditi Rao\n", encoding="utf-8")
    done = run_stage("pre-ner", movie_dir, movie=movie)
    assert "warning: no trained spaCy pipeline: names in the plot are found by rules (blank en + entity_ruler)" in done.stderr
    glossary, plan = written(movie_dir)
    found = [(t["text"], t["kind"], t["weight"], t["source"], plain_variants(t)) for t in glossary["terms"]]
    assert found == [
        ("Chowpatty", "other", 1.0, "user", []),
        ("Aditi Rao", "other", 1.0, "user", []),
        ("Jai", "character", 0.9, "cast", []),
        ("Inspector Rathore", "character", 0.9, "cast", ["Rathore"]),
        ("Radha Iyer", "person", 0.84, "cast", ["Radha", "Iyer"]),
        ("Victoria Station", "place", 0.5, "overview", []),
        ("Marine Drive Road", "place", 0.5, "chapters", []),
        ("CBI", "organisation", 0.45, "overview", []),
        ("Mumbai", "other", 0.3, "overview", []),
        ("Aditi Rao", "other", 0.3, "overview", []),
        ("Pune", "place", 0.3, "keywords", []),
        ("The Night Train", "title", 0.3, "title", []),
        ("Raat Ki Rail", "title", 0.3, "title", []),
        ("Night Train", "title", 0.15, "collection", []),
        ("First Actor", "person", 0.15, "cast", []),
        ("Second Actor", "person", 0.15, "cast", []),
        ("Fourth Actor", "person", 0.15, "cast", []),
        ("A Director", "person", 0.1, "crew", []),
    ]
    assert [(t["start"], t["end"]) for t in glossary["terms"] if "start" in t] == [(60.0, 90.0)]
    assert glossary["replacements"] == [{"wrong": "jay", "right": "Jai"}]
    assert glossary["never"] == ["revenge"]
    assert glossary["pipeline"] == "blank en + entity_ruler"

    assert [(w["start"], w["end"]) for w in plan] == [(0, 45), (15, 60), (30, 75), (45, 90), (60, 100), (75, 100), (90, 100)]
    always = ["Chowpatty", "Jai", "Inspector Rathore", "Radha Iyer", "Victoria Station"]
    assert plan[0]["terms"][:5] == always
    assert plan[4]["terms"][:4] == ["Chowpatty", "Aditi Rao", "Inspector Rathore", "Marine Drive Road"]  # the user's, then the chapter's
    assert not {"First Actor", "A Director", "revenge"} & {term for window in plan for term in window["terms"]}

    first = [(movie_dir / "glossary" / name).read_bytes() for name in ("glossary.json", "bias_windows.json")]
    assert "up to date" in run_stage("pre-ner", movie_dir, movie=movie).stderr
    run_stage("pre-ner", movie_dir, movie=movie, options=["--force"])
    assert [(movie_dir / "glossary" / name).read_bytes() for name in ("glossary.json", "bias_windows.json")] == first


# -- a Hindi movie with subtitles -----------------------------------------------------------------------------------------

TRAIN_CAST = {
    "title": "Raat Ki Rail",
    "original_title": "रात की रेल",
    "original_language": "hi",
    "overview": "When Inspector Jaidev Rathore boards a train at Victoria Station in Mumbai, the CBI and Kabir Khan follow him.",
    "overviews": {"hi": "इंस्पेक्टर जयदेव राठौर मुंबई से एक रेल में सवार होते हैं।"},
    "keywords": ["revenge", "goa, india"],
    "cast": [
        {"name": "A One", "character": "Inspector Jaidev Rathore"},
        {"name": "B Two", "character": "Aditi", "order": 1},
        {"name": "C Three", "character": "Dr. J. K. Mehta", "order": 2},
        {"name": "D Four", "character": "Kabir Khan", "order": 3},
        {"name": "E Five", "character": "Hope D'Souza", "order": 4},
        {"name": "F Six", "character": "Jai's Mother", "order": 5},
        {"name": "G Seven", "character": "Constable #2", "order": 6},
    ],
}
HINDI = [
    (10, "जयदेव, इधर आओ!"),
    (60, "अदिति जी, आप चौपाटी जाएँगी?"),
    (130, "डॉक्टर मेहता अस्पताल में हैं।"),
    (140, "राठौर साहब!"),
    (220, "खान कहाँ है?"),
]
ENGLISH = [
    (10, "Jaidev, come here!"),
    (60, "Aditi-ji, will you go to Chowpatty?"),
    (64, "<i>I hope so. Chowpatty is lovely.</i>"),
    (70, "We met at Chowpatty with Inspector Vikram Singh."),
    (130, "Dr. Mehta is at the hospital. [THUNDER]"),
    (140, "MAN 2: Rathore sahib!"),
    (170, "Hope is all we have. Can we have it?"),
    (175, "I told Hope so."),
    (200, "VIKRAM: Where is Vikram Singh?"),
    (220, "Where can Khan be? Ask Vikram's brother."),
    (224, "VIKRAM: He is here."),
]


def srt(cues: list[tuple[int, str]]) -> str:
    """Cues of two seconds."""

    def clock(second: int) -> str:
        return f"00:{second // 60:02}:{second % 60:02},000"

    return "\n".join(f"{n}\n{clock(at)} --> {clock(at + 2)}\n{text}\n" for n, (at, text) in enumerate(cues, start=1))


@pytest.fixture
def hindi_movie(tmp_path: Path, make_movie: Callable[..., Path], make_wav: Callable[..., Path]) -> Path:
    """Four minutes of a tone with a Hindi and an English subtitle track, and a movie.json beside it."""
    (tmp_path / "hi.srt").write_text(srt(HINDI), encoding="utf-8")
    (tmp_path / "en.srt").write_text(srt(ENGLISH), encoding="utf-8")
    (tmp_path / "movies").mkdir()
    (tmp_path / "movies" / "movie.json").write_text(json.dumps(TRAIN_CAST), encoding="utf-8")
    wav = make_wav(tmp_path / "tone.wav", seconds=240)
    tags = ["-c:s", "srt", "-metadata:s:a:0", "language=hin", "-metadata:s:s:0", "language=hin", "-metadata:s:s:1", "language=eng"]
    inputs = [wav, tmp_path / "hi.srt", tmp_path / "en.srt"]
    return make_movie(tmp_path / "movies" / "Raat.mkv", wavs=inputs, video=False, seconds=240, options=tags)


def test_the_glossary_and_windows_that_one_would_write_by_hand(run_stage: RunStage, movie_dir: Path, hindi_movie: Path) -> None:
    for stage in ("demux", "tmdb", "pre-ner"):
        done = run_stage(stage, movie_dir, movie=hindi_movie)
    assert "warning: no trained spaCy pipeline: names in the plot are found by rules (blank en + entity_ruler, blank hi" in done.stderr
    glossary, plan = written(movie_dir)
    assert glossary["pipeline"] == "blank en + entity_ruler, blank hi + entity_ruler"
    found = {t["text"]: t for t in glossary["terms"] if t["weight"] >= windows.LEAST_WEIGHT}
    # Leads by billing, whom only the subtitles know, then places and the rest; no constable, no mother, no "Hope" of a sentence.
    assert [(text, term["kind"], term["source"]) for text, term in found.items()] == [
        ("Inspector Jaidev Rathore", "character", "cast"),
        ("Aditi", "character", "cast"),
        ("Dr. J. K. Mehta", "character", "cast"),
        ("Kabir Khan", "character", "cast"),
        ("Hope D'Souza", "character", "cast"),
        ("Jai", "character", "cast"),
        ("Vikram Singh", "character", "subtitles"),
        ("Chowpatty", "other", "subtitles"),
        ("Victoria Station", "place", "overview"),
        ("Mumbai", "place", "overview"),
        ("CBI", "organisation", "overview"),
        ("Goa", "place", "keywords"),
        ("Raat Ki Rail", "title", "title"),
        ("रात की रेल", "title", "title"),
    ]
    assert found["Inspector Jaidev Rathore"]["variants"] == [
        "Jaidev", "Rathore", "Jaidev Rathore", "Inspector Rathore", "जयदेव राठौर", "जयदेव", "राठौर",
        "Jaidev Rathore-ji", "Jaidev-ji", "Rathore-ji", "जयदेव राठौर जी", "जयदेव जी", "राठौर जी",
        "Jaidev Rathore's", "Jaidev's", "Rathore's",
    ]  # fmt: skip
    assert {"Dr. Mehta", "Doctor Mehta", "JK Mehta", "JK", "मेहता"} <= set(found["Dr. J. K. Mehta"]["variants"])
    assert found["Chowpatty"]["variants"] == ["चौपाटी"]  # as the Hindi track has it
    assert plain_variants(found["Vikram Singh"]) == ["Vikram", "Singh"]
    assert found["Hope D'Souza"]["risky"] == {"Hope": "hope"}
    assert found["Kabir Khan"]["risky"]["Khan"] == "can"
    assert found["Jai"]["risky"]["Jai"] == "jay"
    assert "risky" not in found["Aditi"] or not found["Aditi"]["risky"]
    # When they are named: by either track, by parts and with -ji; hope at the beginning of a sentence and "can" are not meant.
    assert {text: [m["start"] for m in term["mentions"]] for text, term in found.items() if term.get("mentions")} == {
        "Inspector Jaidev Rathore": [10, 140],
        "Aditi": [60],
        "Dr. J. K. Mehta": [130],
        "Kabir Khan": [220],
        "Hope D'Souza": [175],
        "Vikram Singh": [70, 200, 220, 224],
        "Chowpatty": [60, 64, 70],
    }
    # Who is named there comes first, then everybody by weight.
    first_two = {w["start"]: w["terms"][:2] for w in plan}
    assert first_two[0] == ["Inspector Jaidev Rathore", "Aditi"]
    assert first_two[45] == ["Aditi", "Vikram Singh"] and plan[3]["terms"][2] == "Chowpatty"
    assert first_two[120] == ["Inspector Jaidev Rathore", "Dr. J. K. Mehta"]
    assert first_two[165] == ["Hope D'Souza", "Vikram Singh"]
    assert first_two[195] == ["Kabir Khan", "Vikram Singh"]
    assert all(len(w["terms"]) == len(found) and w["terms"][-1] == "रात की रेल" for w in plan)
    manifest = json.loads((movie_dir / "manifests" / "03_pre-ner.json").read_text(encoding="utf-8"))
    assert manifest["notes"]["subtitles"] == {"01.hi.srt": 5, "02.en.srt": 11}


def test_subtitles_beside_the_movie_count_and_broken_ones_are_said(run_stage: RunStage, movie_dir: Path, movie: Path) -> None:
    beside = movie.with_suffix(".en.srt")
    beside.write_text(srt([(50, "Nobody told Rathore about Kolaba."), (70, "Is Kolaba far, Rathore?")]), encoding="utf-8")
    movie.with_suffix(".fr.srt").write_bytes("Été à Köln".encode("latin-1"))
    movie.with_suffix(".vtt").write_text("no subtitles at all", encoding="utf-8")
    (movie.parent / "Another.srt").write_text(srt([(1, "Not ours.")]), encoding="utf-8")
    done = run_stage("pre-ner", movie_dir, movie=movie)
    assert "warning: The Night Train.fr.srt is not used: it is not UTF-8 text" in done.stderr
    assert "warning: The Night Train.vtt is not used: " in done.stderr
    mentioned = {t["text"]: [m["start"] for m in t["mentions"]] for t in written(movie_dir)[0]["terms"] if t["source"] != "user"}
    assert (mentioned["Kolaba"], mentioned["Inspector Rathore"]) == ([50, 70], [50, 60])  # the chapter at 60 goes on from the second
    beside.write_text(srt([(50, "Nobody.")]), encoding="utf-8")
    run_stage("pre-ner", movie_dir, movie=movie)
    assert "Kolaba" not in {t["text"] for t in written(movie_dir)[0]["terms"]}  # a change of the file counts


# -- the user's file and settings -----------------------------------------------------------------------------------------


def test_the_users_own_file_is_named_and_a_change_of_it_counts(run_stage: RunStage, movie_dir: Path, movie: Path, tmp_path: Path) -> None:
    (movie.parent / "glossary.txt").write_text("Not this one\n", encoding="utf-8")
    (tmp_path / "mine.txt").write_text("Jaidev\n", encoding="utf-8")
    run_stage("pre-ner", movie_dir, movie=movie, env={"GLOSSARY": "mine.txt", "BIAS_TERMS": "1"})
    glossary, plan = written(movie_dir)
    assert glossary["terms"][0]["text"] == "Jaidev"
    assert {tuple(window["terms"]) for window in plan} == {("Jaidev",)}
    (tmp_path / "mine.txt").write_text("Jaidev\nAditi\nbroken =>\n", encoding="utf-8")
    done = run_stage("pre-ner", movie_dir, movie=movie, env={"GLOSSARY": "mine.txt"}, check=False)
    assert done.returncode == 3
    assert "pre-ner: mine.txt, line 3: a word is missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_windows_without_gaps_only(run_stage: RunStage, movie_dir: Path, movie: Path) -> None:
    done = run_stage("pre-ner", movie_dir, movie=movie, options=["--bias-window-s=10", "--bias-stride-s=20"], check=False)
    assert done.returncode == 2
    assert "BIAS_STRIDE_S above BIAS_WINDOW_S would leave gaps" in done.stderr


def test_metadata_come_first(run_stage: RunStage, movie_dir: Path, movie: Path) -> None:
    (movie_dir / "metadata" / "tmdb.json").unlink()
    done = run_stage("pre-ner", movie_dir, movie=movie, check=False)
    assert done.returncode == 3
    assert "metadata/tmdb.json is missing\n  → run the stage tmdb first" in done.stderr


# -- spaCy ----------------------------------------------------------------------------------------------------------------

TRAIN = """
    import json, sys
    import spacy
    from spacy.training import Example

    folder, language, sentences = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    spacy.util.fix_random_seed(0)
    nlp = spacy.blank(language, meta={"name": "core_tiny_sm", "version": "1.2.3"})
    nlp.add_pipe("ner")
    examples = [(text, [(text.index(name), text.index(name) + len(name), label) for name, label in found]) for text, found in sentences]
    batch = [Example.from_dict(nlp.make_doc(text), {"entities": spans}) for text, spans in examples]
    optimizer = nlp.initialize(lambda: batch)
    for _ in range(30):
        nlp.update(batch, sgd=optimizer)
    nlp.to_disk(folder)
"""
ENGLISH_SENTENCES = [
    ("Meera lives in Jodhpur", [("Meera", "PERSON"), ("Jodhpur", "GPE")]),
    ("Meera works at Zenotech", [("Meera", "PERSON"), ("Zenotech", "ORG")]),
    ("Arjun lives in Bikaner", [("Arjun", "PERSON"), ("Bikaner", "GPE")]),
    ("Arjun works at Omnicorp", [("Arjun", "PERSON"), ("Omnicorp", "ORG")]),
]
HINDI_SENTENCES = [
    ("सिमरन जोधपुर में रहती है", [("सिमरन", "PER"), ("जोधपुर", "LOC")]),
    ("अर्जुन बीकानेर में रहता है", [("अर्जुन", "PER"), ("बीकानेर", "LOC")]),
]


def train(folder: Path, language: str, sentences: list[Any]) -> None:
    """A pipeline that was really trained, on a few sentences."""
    folder.parent.mkdir(exist_ok=True)
    code = textwrap.dedent(TRAIN)
    subprocess.run([str(python_of("pre-ner")), "-c", code, str(folder), language, json.dumps(sentences)], check=True, timeout=250)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MODELS_DIR with an English pipeline."""
    folder = tmp_path_factory.mktemp("models")
    train(folder / "tiny", "en", ENGLISH_SENTENCES)
    return folder


@pytest.mark.parametrize("language", ["hi", "xx"])
def test_each_text_is_read_by_the_pipeline_of_its_language(
    run_stage: RunStage, movie_dir: Path, movie: Path, tmp_path: Path, language: str
) -> None:
    """Its own, or the one for any language; without either, rules for that text alone. Which, is in the glossary."""
    train(tmp_path / "models" / "tiny", language, HINDI_SENTENCES)
    plots = {"en": "Jai is in love with the girl from the train.", "hi": "अर्जुन बीकानेर में रहता है"}
    metadata = {**METADATA, "overview": plots["en"], "overviews": plots}
    (movie_dir / "metadata" / "tmdb.json").write_text(json.dumps(metadata), encoding="utf-8")
    movie.with_suffix(".hi.srt").write_text(srt([(10, "सिमरन जोधपुर में रहती है"), (20, "सिमरन जोधपुर में रहती है")]), encoding="utf-8")
    run_stage("pre-ner", movie_dir, movie=movie, env={"MODELS_DIR": str(tmp_path / "models")})
    glossary, _ = written(movie_dir)
    english = "blank en + entity_ruler" if language == "hi" else "xx_core_tiny_sm 1.2.3"
    assert glossary["pipeline"].split(", ") == list(dict.fromkeys([english, f"{language}_core_tiny_sm 1.2.3"]))
    found = {t["text"]: (t["kind"], t["source"], t["language"], t["variants"][:1]) for t in glossary["terms"] if t.get("language") == "hi"}
    assert found["अर्जुन"] == ("character", "overview", "hi", ["Arjun"])
    assert found["बीकानेर"] == ("place", "overview", "hi", ["Bikaner"])
    assert found["सिमरन"] == ("character", "subtitles", "hi", ["Simran"])
    assert found["जोधपुर"] == ("place", "subtitles", "hi", ["Jodhpur"])


def test_a_trained_pipeline_is_used_when_there_is_one(run_stage: RunStage, movie_dir: Path, movie: Path, models: Path) -> None:
    plot = "Meera lives in Bikaner and she works at Zenotech with all of us. Jai lives in Jodhpur"
    (movie_dir / "metadata" / "tmdb.json").write_text(json.dumps({**METADATA, "overview": plot}), encoding="utf-8")
    done = run_stage("pre-ner", movie_dir, movie=movie, env={"MODELS_DIR": str(models)})
    assert "warning" not in done.stderr
    glossary, _ = written(movie_dir)
    assert glossary["pipeline"] == "en_core_tiny_sm 1.2.3"
    found = {t["text"]: (t["kind"], t["source"]) for t in glossary["terms"]}
    assert found["Meera"] == ("character", "overview")
    assert found["Bikaner"] == found["Jodhpur"] == ("place", "overview")
    assert found["Zenotech"] == ("organisation", "overview")
    assert found["Jai"] == ("character", "cast")
    # Another version of the pipeline is another result.
    meta = models / "tiny" / "meta.json"
    meta.write_text(meta.read_text(encoding="utf-8").replace("1.2.3", "1.2.4"), encoding="utf-8")
    (models / "tiny" / "ner" / "model").rename(models / "tiny" / "ner" / "gone")
    done = run_stage("pre-ner", movie_dir, movie=movie, env={"MODELS_DIR": str(models)})
    assert "warning: en_core_tiny_sm 1.2.4 does not load" in done.stderr
    assert written(movie_dir)[0]["pipeline"] == "blank en + entity_ruler"


def test_pipelines_are_found_by_language_and_size(tmp_path: Path) -> None:
    for folder, language, name, pipes in [
        ("a", "en", "core_web_sm", ["tok2vec", "ner"]),
        ("en_core_web_lg/en_core_web_lg-3.8.0", "en", "core_web_lg", ["ner"]),
        ("c", "en", "core_web_md", ["tagger"]),
        ("d", "xx", "ent_wiki_sm", ["ner"]),
        ("e", "de", "core_news_sm", ["ner"]),
    ]:
        (tmp_path / folder).mkdir(parents=True)
        meta = {"lang": language, "name": name, "version": "3.8.0", "pipeline": pipes}
        (tmp_path / folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
        (tmp_path / folder / "config.cfg").write_text("", encoding="utf-8")
    (tmp_path / "whisper").mkdir()
    (tmp_path / "whisper" / "meta.json").write_text("{}", encoding="utf-8")
    (tmp_path / "whisper" / "config.cfg").write_text("", encoding="utf-8")
    found = pipelines.installed(tmp_path)
    assert [t.name for t in pipelines.for_language("en", found)] == ["en_core_web_lg", "en_core_web_sm", "xx_ent_wiki_sm"]
    assert [t.name for t in pipelines.for_language("hi", found)] == ["xx_ent_wiki_sm"]


FIND = """
    import json, sys
    sys.path.append(sys.argv[1])
    from pre_ner import entities
    from pre_ner.names import Name

    known = [Name("Inspector Karl", ("Karl",))]
    found = []
    for text in json.load(sys.stdin):
        finder = entities.Finders(known, []).of(text)
        found.append([finder.pipeline.split()[1], [[e.known or e.text, e.kind] for e in finder.find(text)]])
    json.dump(found, sys.stdout)
"""
RULES: list[tuple[str, str, list[list[str]]]] = [
    ("He was seen with karl in the old house.", "en", [["Inspector Karl", "character"]]),
    ("On Monday Dr. Mehta asked the Zenith Bank of it all.", "en", [["Dr. Mehta", "character"], ["Zenith Bank", "organisation"]]),
    ("She is hiding near Goa in May, and Goa is where I am.", "en", [["Goa", "place"]]),
    ("Trains are late. Trains are always late, but then Meera is too.", "en", [["Meera", "other"]]),
    ("Jean-Luc is there and so is the man with Anne-Marie.", "en", [["Jean-Luc", "other"], ["Anne-Marie", "other"]]),
    ("HE IS THE MAN WHO WAS IN THE TOWER", "en", []),
    ("Ein Mann sucht seine Frau in der Stadt und findet Karl.", "xx", [["Inspector Karl", "character"]]),
    ("वह एक पुलिस अधिकारी है और अपने भाई को ढूंढता है।", "xx", []),
    ("", "xx", []),
]


def test_rules_find_names_in_english_and_known_names_in_any_language() -> None:
    command = [str(python_of("pre-ner")), "-c", textwrap.dedent(FIND), str(NATIVE / "stages")]
    done = subprocess.run(
        command, input=json.dumps([text for text, _, _ in RULES]), capture_output=True, text=True, check=True, timeout=250
    )
    assert json.loads(done.stdout) == [[language, found] for _, language, found in RULES]


# -- names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credit", "expected"),
    [
        ("Jai / Inspector Rathore", {"Jai": [], "Inspector Rathore": ["Rathore"]}),
        ("Jai Rathore (voice)", {"Jai Rathore": ["Jai", "Rathore"]}),
        ("Jai (young) [flashback] (uncredited)", {"Jai": []}),
        ("ACP Jai Dixit", {"ACP Jai Dixit": ["Jai", "Dixit"]}),
        ("Dr. J. K. Mehta", {"Dr. J. K. Mehta": ["Mehta"]}),
        ("Young Jai", {"Jai": []}),
        ("Kapoor's Wife", {"Kapoor": []}),
        ("Rathore's Mother", {"Rathore": []}),
        ("Policeman Singh", {"Singh": []}),
        ("Waiter at the Taj", {"Taj": []}),
        ('Raju "Gunda" Singh', {"Raju Singh": ["Raju", "Singh", "Gunda"]}),
        ("Vasco da Gama", {"Vasco da Gama": ["Vasco", "Gama"]}),
        ("Katniss Everdeen, the Girl on Fire", {"Katniss Everdeen": ["Katniss", "Everdeen"]}),
        ("O'Brien / D'Artagnan", {"O'Brien": [], "D'Artagnan": []}),
        ("Munna Bhai", {"Munna Bhai": ["Munna"]}),
        ("Jo", {"Jo": []}),
        ("Anna", {"Anna": []}),
        ("जय / इंस्पेक्टर राठौर", {"जय": [], "इंस्पेक्टर राठौर": ["राठौर"]}),
        ("小明", {"小明": []}),
        *[
            (credit, {})
            for credit in ("Inspector", "Dr.", "Doctor", "Old Man", "Cop #2", "Bar Patron", "The Narrator", "Self", "Himself", "M", "")
        ],
    ],
)
def test_names_in_credits(credit: str, expected: dict[str, list[str]]) -> None:
    assert {name.text: list(name.variants) for name in names.characters(credit)} == expected


def test_any_credit_gives_names_that_are_words() -> None:
    @given(st.text())
    def holds(credit: str) -> None:
        for name in names.characters(credit):
            assert all(any(c.isalpha() for c in form) and form == " ".join(form.split()) for form in (name.text, *name.variants))

    holds()


def test_leads_weigh_more_than_minor_parts_and_actors_least() -> None:
    cast = [CastMember(name=f"Actor {n}", character=f"Role{chr(97 + n % 26)}{chr(97 + n // 26)}", order=n) for n in range(40)]
    metadata = Metadata(title="T", cast=list(reversed(cast)))
    weights = [term.weight for term in terms.characters(metadata)]
    assert weights == sorted(weights, reverse=True)
    assert (weights[0], weights[-1]) == (0.9, 0.4)
    assert max(term.weight for term in terms.people(metadata)) < 0.2


def test_a_term_from_several_sources_is_one() -> None:
    user = Term(text="jai", kind="other", weight=1.0, source="user")
    cast = Term(text="Jai", kind="character", weight=0.9, source="cast", variants=["Jaidev"])
    timed = Term(text="Jai", kind="other", weight=1.0, source="user", start=1.0, end=2.0)
    merged = terms.merged([cast, timed, user])
    assert [(t.text, t.kind, t.weight, t.source, t.variants, t.start) for t in merged] == [
        ("jai", "character", 1.0, "user", ["Jaidev"], None),
        ("Jai", "other", 1.0, "user", [], 1.0),
    ]


@pytest.mark.parametrize(
    ("keyword", "place", "also"),
    [("mumbai (bombay), india", "Mumbai", ("Bombay",)), ("new york, usa", "New York", ()), ("revenge", None, ()), ("a, b, c", None, ())],
)
def test_places_among_the_keywords(keyword: str, place: str | None, also: tuple[str, ...]) -> None:
    found = place_of(keyword)
    assert (found.text, found.variants) == (place, also) if found else place is None


# -- forms ----------------------------------------------------------------------------------------------------------------


def forms_of(
    text: str, kind: Any = "character", variants: tuple[str, ...] = (), languages: tuple[str, ...] = (), written: str = ""
) -> list[str]:
    term = Term(text=text, kind=kind, weight=0.9, source="cast", variants=list(variants))
    return forms.with_forms(term, forms.customs(languages, written.split())).variants


@pytest.mark.parametrize(
    ("text", "variants", "expected"),
    [
        ("Inspector Jaidev Rathore", ("Jaidev", "Rathore"), {"Jaidev Rathore", "Inspector Rathore", "Rathore's", "Jaidev Rathore's"}),
        ("Dr. Mehta", ("Mehta",), {"Mehta", "Doctor Mehta", "Mehta's"}),
        ("Doctor Mehta", ("Mehta",), {"Mehta", "Dr. Mehta", "Mehta's"}),
        ("A. K. Rao", ("Rao",), {"AK Rao", "A.K. Rao", "AK", "Rao's"}),
        ("Munna Bhai", ("Munna",), {"Munna", "Munna's"}),
        ("Aditi", (), {"Aditi's"}),
    ],
)
def test_names_as_they_are_said(text: str, variants: tuple[str, ...], expected: set[str]) -> None:
    found = forms_of(text, variants=variants)
    assert expected <= set(found)
    assert text not in found and not any("ji" in form for form in found)  # nobody speaks an Indian language there


def test_places_are_not_called_with_respect() -> None:
    assert forms_of("Mumbai", "place", languages=("hi",), written="मुंबई") == ["मुंबई"]
    assert forms_of("The Night Train", "title", languages=("hi",)) == []


def test_a_word_that_only_sounds_alike_is_not_the_name() -> None:
    assert forms_of("Gill", "place", languages=("hi",), written="गीले") == ["गिल"]


def test_what_was_written_about_the_movie_is_believed_before_a_list() -> None:
    assert "राठौड़" in forms_of("Rathore", languages=("hi",))
    assert "राठौर" in forms_of("Rathore", languages=("hi",), written="राठौर आते हैं")


@pytest.mark.parametrize(
    ("written", "latin"),
    [
        ("अदिति", "Aditi"), ("राहुल", "Rahul"), ("सिमरन", "Simran"), ("दीपक", "Deepak"), ("सुनील", "Sunil"), ("कपूर", "Kapoor"),
        ("मनमोहन", "Manmohan"), ("सलमान", "Salman"), ("शाहरुख", "Shahrukh"), ("आनंद", "Anand"), ("मित्र", "Mitra"), ("सिंह", "Singh"),
        ("हिमांशु", "Himanshu"), ("प्रियंका", "Priyanka"), ("जवाहरलाल", "Jawaharlal"), ("विक्रम सिंह", "Vikram Singh"), ("সত্যজিৎ", "Satyajit"),
        ("Jai", None), ("Карл", None), ("जय Jai", None),
    ],
)  # fmt: skip
def test_indian_names_in_latin_letters_as_people_write_them(written: str, latin: str | None) -> None:
    assert scripts.in_latin(written, risk.CommonWords("en").zipf) == latin


PAIRS = """
अदिति Aditi जयदेव Jaidev राठौर Rathore राहुल Rahul सिमरन Simran ज़ोया Zoya ख़ान Khan चौपाटी Chowpatty कृष्णा Krishna मुंबई Mumbai
संजय Sanjay हिमांशु Himanshu प्रिया Priya जय Jai शुक्ला Shukla पंडित Pandit मेहता Mehta शर्मा Sharma कपूर Kapoor खन्ना Khanna चोपड़ा Chopra
सिंह Singh दीपक Deepak पूजा Pooja विजय Vijay अमिताभ Amitabh शाहरुख Shahrukh सलमान Salman करीना Kareena प्रियंका Priyanka रणबीर Ranbir
अनुष्का Anushka मनमोहन Manmohan जवाहरलाल Jawaharlal ऐश्वर्या Aishwarya सुनील Sunil मीरा Meera आनंद Anand मित्र Mitra चन्द्र Chandra
आदित्य Aditya गीता Geeta लक्ष्मी Lakshmi विक्रम Vikram अर्जुन Arjun राधिका Radhika गब्बर Gabbar बसंती Basanti ठाकुर Thakur वीरू Veeru
कबीर Kabir आर्यन Aryan नैना Naina इमरान Imran रानी Rani जोधपुर Jodhpur मोगैम्बो Mogambo दिल्ली Delhi गोवा Goa स्टीफन Stephen
"""


def test_names_are_known_again_across_scripts() -> None:
    """56 of these 60 pairs; the rest have another spelling by custom (Delhi is दिल्ली, dilli)."""
    pairs = PAIRS.split()
    alike = [scripts.key(indian) == sounds.key(latin) for indian, latin in zip(pairs[::2], pairs[1::2], strict=True)]
    assert (sum(alike), len(alike)) == (56, 60)


# -- risk -----------------------------------------------------------------------------------------------------------------


def test_names_that_are_common_words_or_sound_like_one() -> None:
    common = risk.lists(["en"])
    names_ = "Hope Rose Will Mark Grace Faith Khan Jai Sean Veer Jaidev Rathore Aditi Simran Rahul Stephen Kathryn David Anna Chowpatty"
    assert risk.risky(names_.split(), common) == {
        "Hope": "hope", "Rose": "rose", "Will": "will", "Mark": "mark", "Grace": "grace", "Faith": "faith",
        "Khan": "can", "Jai": "jay", "Sean": "seen", "Veer": "wear",
    }  # fmt: skip


NAMES = """
john david michael james robert mary peter paul thomas daniel george anna maria laura sarah emma lisa julia kate susan steve
stephen kevin brian eric alex adam simon martin andrew anthony richard charles edward henry walter arthur oliver leo max victor
oscar singh khan kapoor sharma gupta patel kumar rahul raj ravi amit arjun maya priya nina tara sita gandhi nehru smith jones
miller taylor wilson anderson thompson jackson johnson williams brown davis martinez garcia lopez kathryn catherine einstein
mozart
"""
WORDS_THAT_ARE_NAMES = """
hope rose will mark grace faith joy bill art may june april summer dawn pearl ruby amber chase hunter mason carter baker sky mercy
justice bond guy king prince hill stone sunny lucky rocky frank jack rob pat don ray drew grant miles dale glen wade cliff heath
ivy lily iris violet daisy holly heather olive ginger penny hazel crystal angel star storm river brook lake forest woods field
rivers banks waters bridges church temple bishop pope abbott cook cooper potter taylor fisher gardener shepherd knight noble young
long short white black green gray strong wise sharp swift rich poor early late day snow winter frost rain love lovejoy dear
darling honey
"""


def test_words_are_told_from_names_by_how_common_they_are_elsewhere() -> None:
    """What docs/names.md says; by spelling alone."""
    english = risk.CommonWords("en")
    marked = [[word for word in text.split() if english.same_word(word)] for text in (NAMES, WORDS_THAT_ARE_NAMES)]
    assert (len(marked[0]), len(NAMES.split())) == (8, 80)
    assert (len(marked[1]), len(WORDS_THAT_ARE_NAMES.split())) == (84, 112)


def test_the_list_is_that_of_the_movies_language() -> None:
    assert risk.risky(["आशा", "जय", "अदिति", "राठौर"], risk.lists(["hi"])) == {"आशा": "आशा", "जय": "जय"}
    assert "Blanche" in risk.risky(["Blanche"], risk.lists(["fr"])) and "Blanche" not in risk.risky(["Blanche"], risk.lists(["en"]))
    assert risk.risky(["Hope"], risk.lists(["xx"])) == {"Hope": "hope"}  # English is mixed in everywhere


# -- subtitles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "language"),
    [("hi.srt", "hi"), ("eng.forced.srt", "en"), ("en.hi.srt", "en"), ("03.und.srt", None), ("srt", None), ("sdh.srt", None)],
)
def test_the_language_in_a_files_name(name: str, language: str | None) -> None:
    assert cues.language_in(name) == language


def test_a_track_without_a_cue_is_no_complaint(tmp_path: Path) -> None:
    path = tmp_path / "02.en.srt"
    path.write_bytes(b"")
    assert cues.read(path, "en").cues == ()


def track_of(*lines: str) -> cues.Track:
    """Cues of two seconds, one after the other."""
    path = Path("track.en.srt")
    return cues.Track(path.name, "en", tuple(cues.cue(2 * n, 2 * n + 2, line) for n, line in enumerate(lines)))


NOBODY = SimpleNamespace(find=lambda text: [])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["I met Suraj-ji there.", "Suraj's house is far."], {"Suraj": "other"}),
        (["I met Suraj there."], {}),  # once is a slip
        (["She went to Suraj.", "A suraj, two suraj.", "The Suraj, a suraj."], {}),  # a word that has a capital now and then
        (["Ask God.", "My God, the English!", "By God, English is hard."], {}),
        (["Is Dr. Anand Rao in?", "No, Dr. Anand Rao is out."], {"Dr Anand Rao": "character"}),
        (["So Anand Rao came.", "With Anand Rao and Anand."], {"Anand Rao": "character"}),
        (["In Marine Drive.", "At Marine Drive."], {"Marine Drive": "other"}),
        (["SURAJ: Come!", "SURAJ: No.", "WOMAN: Yes.", "WOMAN: No."], {"Suraj": "character"}),
        (["(SURAJ sighs)", "[Suraj sighs] Oh.", "Oh. [Suraj]"], {}),
        (["On Monday we saw Jai.", "On Monday Jai saw us."], {}),  # Jai is known
        (["Then Jaydev came.", "Oh Jaydev!", "So Jaydev went."], {}),  # Jaidev is known, and this is he
    ],
)
def test_names_that_only_the_subtitles_know(lines: list[str], expected: dict[str, str]) -> None:
    known = [Term(text=text, kind="character", weight=0.9, source="cast") for text in ("Jai", "Jaidev")]
    common = risk.lists(["en"])
    found = subtitles.new_names(track_of(*lines), "en", known, NOBODY, lambda word: risk.is_everyday(word, common))
    assert {term.text: term.kind for term in found} == expected


def test_german_nouns_are_no_names() -> None:
    track = track_of("Wo ist der Zug?", "Der alte Zug kommt.", "Ein Zug nach Köln.", "Nach Köln, bitte.")
    assert subtitles.new_names(track, "de", [], NOBODY, lambda word: False) == []
    assert [term.text for term in subtitles.new_names(track, "sv", [], NOBODY, lambda word: False)] == ["Zug", "Köln"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"1\n" * (4 << 20), "is larger than 4 MiB"),
        (b"just words", "is not used: "),
    ],
)
def test_subtitles_that_cannot_be_used(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "Film.srt"
    path.write_bytes(content)
    with pytest.raises(cues.SubtitlesError, match=expected):
        cues.read(path, None)


def test_any_text_in_subtitles_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "Film.srt"

    @given(st.text(max_size=80))
    def holds(text: str) -> None:
        path.write_text("1\n00:00:01,000 --> 00:00:02,000\n" + text, encoding="utf-8", errors="ignore")
        try:
            track = cues.read(path, "en")
        except cues.SubtitlesError:
            return
        assert all(token.text and token.text in track.text for cue in track.cues for token in cue.tokens)

    holds()


# -- bias windows ---------------------------------------------------------------------------------------------------------


def test_what_is_timed_is_only_expected_then() -> None:
    everywhere = Term(text="Jai", kind="character", weight=0.9, source="cast")
    rare = Term(text="Goa", kind="place", weight=0.5, source="overview", mentions=[Span(start=100.0, end=120.0)])
    timed = Term(text="Chowpatty", kind="other", weight=1.0, source="user", start=45.0, end=50.0)
    actor = Term(text="An Actor", kind="person", weight=0.15, source="cast")
    plan = windows.plan(120.0, [timed, everywhere, rare, actor], window_s=45.0, stride_s=15.0, limit=2)
    assert {(w.start, w.end): w.terms for w in plan.windows} == {
        (0.0, 45.0): ["Jai", "Goa"],
        (15.0, 60.0): ["Chowpatty", "Jai"],
        (30.0, 75.0): ["Chowpatty", "Jai"],
        (45.0, 90.0): ["Chowpatty", "Jai"],
        (60.0, 105.0): ["Goa", "Jai"],
        (75.0, 120.0): ["Goa", "Jai"],
        (90.0, 120.0): ["Goa", "Jai"],
        (105.0, 120.0): ["Goa", "Jai"],
    }


@given(st.floats(0, 4000), st.floats(1, 100), st.floats(0.1, 1))
def test_windows_cover_the_whole_movie(duration: float, window_s: float, share: float) -> None:
    plan = windows.plan(duration, [], window_s=window_s, stride_s=max(1.0, window_s * share), limit=50).windows
    assert plan[0].start == 0
    assert max(window.end for window in plan) == duration
    assert all(after.start <= before.end + 1e-6 for before, after in pairwise(plan))


# -- the user's file ------------------------------------------------------------------------------------------------------


def read(tmp_path: Path, content: str | bytes) -> glossary_file.UserGlossary:
    path = tmp_path / "glossary.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return glossary_file.read(path)


def test_every_kind_of_line(tmp_path: Path) -> None:
    user = read(
        tmp_path,
        "\ufeff# my terms\r\n"
        "Jaidev  Rathore # the hero\r\n"
        "\r\n"
        "Apartment #5\r\n"
        "jay dev => Jaidev\r\n"
        "! Hope \r\n"
        "00:10:00-00:20:00 Chowpatty\r\n"
        "1:05,5 – 2:00 जय\r\n"
        "Blade Runner 2049\r\n",
    )
    assert [(t.text, t.start, t.end, t.weight) for t in user.terms] == [
        ("Jaidev Rathore", None, None, 1.0),
        ("Apartment #5", None, None, 1.0),
        ("Chowpatty", 600.0, 1200.0, 1.0),
        ("जय", 65.5, 120.0, 1.0),
        ("Blade Runner 2049", None, None, 1.0),
    ]
    assert [(r.wrong, r.right) for r in user.replacements] == [("jay dev", "Jaidev")]
    assert user.never == ["Hope"]


def test_a_joiner_is_part_of_a_word(tmp_path: Path) -> None:
    assert [term.text for term in read(tmp_path, "र्\u200dयाल\nعلی\u200cرضا\n").terms] == ["र्\u200dयाल", "علی\u200cرضا"]


def test_thousands_of_lines_take_no_longer_each(tmp_path: Path) -> None:
    lines = [f"nam{i} => Name{i}" for i in range(20_000)]
    assert len(read(tmp_path, "\n".join(lines)).replacements) == 20_000
    with pytest.raises(BadInputError, match="line 20001: 'NAM7' is already replaced by 'Name7'"):
        read(tmp_path, "\n".join([*lines, "NAM7 => Other"]))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("jay =>", "a word is missing"),
        ("=> Jai", "a word is missing"),
        ("a => b => c", "more than one =>"),
        ("Jai => Jai", "'Jai' is replaced by itself"),
        ("one => Two", "'one' is already replaced by 'One'"),
        ("!", "a word is missing"),
        ("!jay => Jai", "a word to leave alone and a replacement at once"),
        ("***", "'***' is no word"),
        ("00:10:00-00:20:00", "a word is missing"),
        ("00:20:00-00:10:00 x", "00:20:00-00:10:00 ends before it starts"),
        ("00:10:00-00:99:00 x", "00:99:00 is no time"),
        ("00:10:75-00:20:00 x", "00:10:75 is no time"),
        ("10-00:20:00 x", "'10-00:20:00' is no time range"),
        ("00:10:00-soon x", "'00:10:00-soon' is no time range"),
        ("00:10:00-00:20:00 a => b", "a replacement cannot have a time range"),
        ("00:10:00-00:20:00 !a", "a word to leave alone cannot have a time range"),
        ("x" * 101, "a term of 101 characters"),
        ("bell\x07", "control characters"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(BadInputError) as refused:
        read(tmp_path, f"# fine\none => One\n{line}\n")
    assert refused.value.message == f"glossary.txt, line 3: {expected}"
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("content", "expected"),
    [("Jaidev".encode("utf-16"), "is not UTF-8 text"), (b"x\n" * (1 << 20), "is larger than 1 MiB"), (None, "is not there")],
)
def test_a_file_that_is_no_glossary(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "glossary.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInputError, match=expected):
        glossary_file.read(path)


def test_any_text_is_read_or_refused_by_line(tmp_path: Path) -> None:
    @given(st.text(max_size=60))
    def holds(content: str) -> None:
        try:
            user = read(tmp_path, content)
        except BadInputError as error:
            assert "line " in error.message
        else:
            assert all(any(c.isalnum() for c in term.text) for term in user.terms)

    holds()
