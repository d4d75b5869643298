"""Texts that are damaged, hostile or of another version: with the first tries of tests/soak/texts.py, which makes many more."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pysubs2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelscribe import lease, manifest, reviewed, stage_table
from reelscribe.artifacts import read_json, refuse_strangers, write_json
from reelscribe.edits import Edits
from reelscribe.errors import BadInputError, NewerSchemaError, ReelscribeError
from reelscribe.evaluate.references import Reference
from reelscribe.schemas import Document, Glossary, Media, Reviewed, Speakers, Track, Transcript
from reelscribe.settings import read_env_file
from reelscribe.stage import file_fields, load_contracts

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), str(TESTS / "soak")]

import schema_record  # noqa: E402
import texts  # noqa: E402
from _text_movie import EDIT, REVIEWED, Movie, make  # noqa: E402

OLDER = TESTS / "data" / "older" / "Station"
RunStage = Callable[..., subprocess.CompletedProcess[str]]


def known_files() -> dict[str, tuple[type[Document], bytes]]:
    """The JSON files of the older movie directory and of its user: what they are and what they hold."""
    fields = [field for stage in load_contracts() for field in file_fields(stage.outputs) if field.schema]
    found = {str(path.relative_to(OLDER)): field.schema for field in fields for path in field.matches(OLDER) if field.schema}
    found |= {f"manifests/{row.key}.json": manifest.Manifest for row in stage_table.load()}
    decisions = {"reviewed.json": (Reviewed, REVIEWED), "edits.json": (Edits, {"edits": [EDIT], "names": []})}
    of_the_user = {name: (kind, json.dumps(content).encode()) for name, (kind, content) in decisions.items()}
    return {name: (kind, (OLDER / name).read_bytes()) for name, kind in found.items()} | of_the_user


FILES = known_files()


# -- whatever a file holds ----------------------------------------------------------------------------------------------

PIECES = [b"", b"\x00", b"\xff", b"[" * 5000, b"{", b"}", b"NaN", b"1e999", b"-9" * 300, b'"', b",", b":", b"null", b'"\\ud800"']
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(PIECES) | st.binary(max_size=8)), min_size=1, max_size=3)


def edited(content: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """The content with pieces in the place of some of it."""
    for where, length, piece in edits:
        at = int(where * len(content))
        content = content[:at] + piece + content[at + length :]
    return content


@settings(max_examples=300)
@given(name=st.sampled_from(sorted(FILES)), edits=EDITS)
def test_a_damaged_file_is_read_or_refused_with_words(tmp_path_factory: Any, name: str, edits: list[tuple[float, int, bytes]]) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    kind, content = FILES[name]
    path.write_bytes(edited(content, edits))
    try:
        found = read_json(path, kind)
    except BadInputError as error:
        assert error.remedy
        assert len(error.message) < 600
    else:
        write_json(path, found)
        assert isinstance(read_json(path, kind), kind), "what was believed can be stored, and read again"


SETTINGS = [b"A=", b"B='", b"x\n", b"\x00", b"\xff", b"#", b'"', b"export ", b"\\"]


@settings(max_examples=200)
@given(content=st.binary(max_size=60) | st.lists(st.sampled_from(SETTINGS)).map(b"".join))
def test_a_settings_file_is_read_or_refused_with_words(tmp_path_factory: Any, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.env"
    path.write_bytes(content)
    try:
        found = read_env_file(path)
    except BadInputError as error:
        assert error.remedy
    else:
        assert not any("\0" in key + value for key, value in found.items()), "nothing else can be said to another program"


XML = [
    b"<movie>",
    b"</movie>",
    b"<title>",
    b"</title>",
    b"<actor><name>A</name>",
    b"</actor>",
    b"&a;",
    b"&#0;",
    b"<!DOCTYPE m>",
    b"<![CDATA[",
]
XML += [b"<runtime>99999999", b"<year>9999</year>", b"\xff\xfe", b"\x00", b"themoviedb.org/movie/0", b"<!--", b"]]>", b"<tmdbid>\xd9\xa1"]


@settings(max_examples=300)
@given(
    content=st.lists(st.sampled_from(XML), max_size=12).map(b"".join) | st.binary(max_size=40), name=st.sampled_from(["a.nfo", "a.json"])
)
def test_a_file_beside_the_movie_is_read_or_left_out_with_words(tmp_path_factory: Any, content: bytes, name: str) -> None:
    from tmdb import sidecar
    from tmdb.fields import merge

    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    try:
        merge([sidecar.read(path), sidecar.Source("file name", {"title": "A"})])
    except sidecar.SidecarError as error:
        assert name in str(error)


LINES = ["Jaidev", "=>", "!", "\t", "00:10:00-00:20:00 ", "00:99:00-1:00:00 ", "# reviewed", "#", "\n", "\u202e", "\x00", "x" * 101, "\x85"]


@settings(max_examples=300)
@given(text=st.lists(st.sampled_from(LINES), max_size=12).map("".join) | st.text(max_size=30))
def test_a_glossary_is_read_or_refused_with_words(tmp_path_factory: Any, text: str) -> None:
    from pre_ner import glossary_file

    path = tmp_path_factory.getbasetemp() / "glossary.txt"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        found = glossary_file.read(path)
        reviewed.read(path.parent, path)
    except BadInputError as error:
        assert error.remedy
    else:
        assert all(term.text.replace("\u200c", "").replace("\u200d", "").isprintable() for term in found.terms)


PROFILES = [b"[" * 100_000, b'{"extends": "netflix", "max_ms": 1e999}', b'{"chars": {"default": NaN}}']


@settings(max_examples=100)
@given(content=st.binary(max_size=60) | st.sampled_from(PROFILES))
def test_profiles_references_and_leases_are_read_or_refused_with_words(tmp_path_factory: Any, content: bytes) -> None:
    from subtitle_gen.limits import load_profile

    folder = tmp_path_factory.getbasetemp()
    for name in ("p.json", "r.rttm", "r.srt", "r.txt", ".lease.json"):
        (folder / name).write_bytes(content)
    with pytest.raises(ReelscribeError) as refused:
        load_profile(str(folder / "p.json"))
    assert refused.value.remedy
    assert lease.holder(folder) is None
    for name in ("p.json", "r.rttm", "r.srt", "r.txt"):
        try:
            Reference.read([folder / name])
        except ReelscribeError as error:
            assert error.remedy


TTML = (
    "<?xml version='1.0'?><!DOCTYPE tt [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><tt xmlns='http://www.w3.org/ns/ttml'><body>&b;</body></tt>"
)
STRANGE_SUBTITLES = [
    TTML,
    '{"info": {}, "styles": {}, "events": [{"start": "x"}]}',
    '{"events": 5, "info": 1}',
    "[" * 100_000,
    '{"a":' * 100_000,
]


@pytest.mark.parametrize("text", [*STRANGE_SUBTITLES, "<SAMI><BODY>", "{1}{2}a", "\0", "1\n00:00:00,000 --> 00:00:0"], ids=range(9))
def test_subtitles_of_others_are_in_a_known_format_or_are_refused(tmp_path: Path, text: str) -> None:
    from pre_ner import cues
    from reelscribe.evaluate.made import read_cues

    (tmp_path / "a.srt").write_text(text)
    with pytest.raises(cues.SubtitlesError, match=r"a\.srt is not used"):
        cues.read(tmp_path / "a.srt", None)
    with pytest.raises(BadInputError, match=r"a\.srt cannot be read as subtitles"):
        read_cues(tmp_path / "a.srt")


def test_cues_beyond_any_film_are_left_out() -> None:
    from reelscribe import subtitles

    found = subtitles.parsed("WEBVTT\n\n9999:00:00.000 --> 9999:00:01.000\nfar\n\n00:01.000 --> 00:02.000\nnear\n")
    assert [event.text for event in found] == ["near"]


# -- links, pipes, names ------------------------------------------------------------------------------------------------

PLANTED = ["logs", "metadata", "manifests/02_tmdb.json", "logs/02_tmdb.log", "metadata/tmdb.json", ".lease.json", ".lease.lock", "job.env"]


@pytest.mark.parametrize("name", PLANTED)
def test_a_link_out_of_the_movie_directory_is_refused_before_anything_is_written(movie_dir: Path, tmp_path: Path, name: str) -> None:
    """In this process; a stage, with every kind of file, is among the tries below."""
    from reelscribe import jobs

    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (movie_dir / name).parent.mkdir(exist_ok=True)
    (movie_dir / name).symlink_to(outside if "." not in name else outside / "kept")
    movie = tmp_path / "A Movie.mkv"
    movie.write_bytes(b"movie")
    with pytest.raises(BadInputError, match=rf"'{name}' in A_Movie is a link that leads out of it") as refused:
        jobs.open_movie(movie, movie_dir.parent, os.getpid())
    assert "delete it" in refused.value.remedy
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text() == "kept"


def test_links_within_the_movie_directory_and_the_directory_as_a_link_are_all_right(movie_dir: Path, tmp_path: Path) -> None:
    (movie_dir / "logs").mkdir()
    (movie_dir / "latest").symlink_to("logs")
    refuse_strangers(movie_dir)
    (tmp_path / "link").symlink_to(movie_dir)
    refuse_strangers(tmp_path / "link")
    refuse_strangers(tmp_path / "not there yet")


@pytest.mark.parametrize("make_it", [os.mkfifo, lambda path: path.symlink_to(path.name), lambda path: path.symlink_to("nowhere")])
def test_pipes_loops_and_links_to_nowhere_are_refused(movie_dir: Path, make_it: Callable[[Path], None]) -> None:
    make_it(movie_dir / "media.json")
    with pytest.raises(BadInputError, match=r"'media\.json' in A_Movie is a"):
        refuse_strangers(movie_dir)


@pytest.mark.parametrize("name", ["../x.srt", "/etc/passwd", "a/b.srt", "..", "", "a\0b"])
def test_names_in_a_file_stay_in_their_folder(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a file"):
        Track(file=name, format="srt", language="en", title="", num_cues=0)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "", "a\0b"])
def test_a_manifest_that_names_what_is_elsewhere_is_damaged(tmp_path: Path, name: str) -> None:
    row = stage_table.find("mux")
    record = read_json(OLDER / "manifests" / "10_mux.json", manifest.Manifest).model_dump(mode="json")
    write_json(tmp_path / "manifests" / "10_mux.json", {**record, "outputs": {name: {"size": 0, "sha256": ""}}})
    assert manifest.read(tmp_path, row) is None


# -- hostile text -------------------------------------------------------------------------------------------------------

ATTACKS = [r"{\an8\p1}m", "</script><script>alert(1)</script>", "-->", "00:00:09,000", "<font", "color=red>", "\u202egnp.exe", "\x00nul"]
ATTACKS += [
    "\x1b[2J",
    "{y:i}",
    "<00:00:01.000>",
    "&lt;b&gt;",
    r"\N",
    r"\h{\r}",
    "NOTE",
    "WEBVTT",
    "Dialogue:",
    "\u2066isolate",
    "7",
]
INVISIBLE = "\x00\x1b\u202e\u2066"
# What a reader of each format would take for more than text.
MARKUP = {".vtt": ("<script", "<font", "<00:"), ".srt": ("<font", "<script", "{\\", "{y:i}")}


@pytest.fixture
def hostile(tmp_path: Path, make_movie: Callable[..., Path]) -> Movie:
    """A movie directory in which words, names and terms are attacks, in two languages."""
    movie = Movie(tmp_path)
    make_movie(tmp_path / "Hostile.mkv", seconds=1)
    words = [{"word": word, "start": 1 + n / 2, "end": 1.4 + n / 2, "speaker": "A"} for n, word in enumerate(ATTACKS)]
    said = {"id": 0, "start": 1, "end": 12, "text": " ".join(ATTACKS), "words": words, "speaker": "A"}
    stamped = {"language": "hi", "engine": "e", "model": "m", "duration": 13}
    transcript = {"segments": [said], "translation": [{**said, "source": [0, len(words) - 1]}], **stamped}
    terms = [{"text": attack, "kind": "character", "weight": 1, "source": "x"} for attack in ATTACKS]
    streams = {"streams": [{"index": 0, "kind": "video"}], "audio": {"index": 1, "reason": "", "downmix": "", "start": 0}}
    files: dict[str, tuple[type[Document], dict[str, Any]]] = {
        "corrected/transcript.json": (Transcript, transcript),
        "corrected/speakers.json": (Speakers, {"speakers": [{"label": "A", "name": "".join(ATTACKS), "total_s": 1}]}),
        "glossary/glossary.json": (Glossary, {"terms": terms, "pipeline": "x"}),
        "media.json": (Media, {"container": "matroska", "duration": 13, "num_samples": 208_000, **streams}),
    }
    for name, (kind, content) in files.items():
        write_json(movie.dir / name, kind.model_validate(content))
    return movie


def test_hostile_words_and_names_are_words_and_names_in_every_format(hostile: Movie, run_stage: RunStage) -> None:
    run_stage(
        "subtitle-gen",
        hostile.dir,
        movie=hostile.root / "Hostile.mkv",
        options=["--translate", "--bilingual", "--sdh", "--shot-changes=false"],
    )
    made = {path.name: path.read_text(encoding="utf-8") for path in (hostile.dir / "subtitles").iterdir()}
    cues = {track["file"]: track["num_cues"] for track in json.loads(made["tracks.json"])["tracks"]}
    assert len(cues) == 9, "two languages and both together, in three formats"
    for name, text in made.items():
        assert not any(c in text for c in INVISIBLE if not name.endswith(".json")), name
        assert not any(markup in text for markup in MARKUP.get(Path(name).suffix, ())), name
        if name in cues:
            assert len(pysubs2.SSAFile.from_string(text)) == cues[name], name
        if name.endswith((".srt", ".vtt")):
            assert text.count("-->") == cues[name], "an arrow belongs to the times of a cue"
        if name.endswith(".ass"):
            tags = re.findall(r"(?<!\\)\{[^}]*\}", text.split("[Events]")[1])
            assert all(re.fullmatch(r"\{\\r[\w .'-]+\}", tag) for tag in tags), tags


# -- versions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", schema_record.documents().values(), ids=lambda kind: kind.__name__)
def test_a_newer_file_is_refused_with_words_whatever_else_it_holds(tmp_path: Path, kind: type[Document]) -> None:
    (tmp_path / "newer.json").write_text(f'{{"of_its_own": 1, "schema_version": {kind.SCHEMA + 1}}}')
    with pytest.raises(NewerSchemaError, match=r"newer\.json was written by a newer reelscribe") as refused:
        read_json(tmp_path / "newer.json", kind)
    assert "update reelscribe" in refused.value.remedy
    assert refused.value.code == 3


def test_every_json_file_that_a_stage_declares_has_a_version() -> None:
    fields = [field for stage in load_contracts() for field in (*file_fields(stage.inputs), *file_fields(stage.outputs)) if field.schema]
    assert len(fields) > 20
    assert all(field.schema and field.schema.__name__ in schema_record.documents() for field in fields)


def test_a_schema_changes_with_its_version_and_a_mark_in_the_changelog() -> None:
    """tests/schema_record.py says what a change takes."""
    changed = {name for name, versions in schema_record.today().items() if schema_record.recorded().get(name) != versions}
    assert not changed, f"{', '.join(sorted(changed))}: see tests/schema_record.py"
    changelog = (TESTS.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    later = [(name, version) for name, versions in schema_record.recorded().items() for version in versions if version != "1"]
    assert [one for one in later if "schema: {} {}".format(*one) not in changelog] == []


# -- stages -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Movie:
    """A movie directory of before files had versions, on which every stage but the slowest was run again."""
    return make(tmp_path_factory.mktemp("texts") / "good", given=OLDER)


def test_an_older_movie_directory_is_read_and_made_anew(station: Movie) -> None:
    assert '"schema_version"' not in (OLDER / "corrected" / "transcript.json").read_text(encoding="utf-8")
    assert '"schema_version": 1' in (station.dir / "corrected" / "transcript.json").read_text(encoding="utf-8")
    kept, made = (read_json(folder / "transcription/transcript.json", Transcript) for folder in (OLDER, station.dir))
    assert kept == made, "what nobody made again is as it was"
    words = [word.word for segment in read_json(station.dir / "corrected/transcript.json", Transcript).segments for word in segment.words]
    assert len(words) == sum(len(segment.words) for segment in kept.segments)
    for command in ("status", "report", "corrections", "evaluate"):
        done = station.run(command)
        assert done.returncode == 0, f"{command}: {done.stderr}"


def chosen() -> list[texts.Case]:
    """A few of the tries of the long form, of readers that begin quickly."""
    picked = [case for case in texts.cases(1000, 7) if case.target.reader not in ("asr", "mux")]
    return [*picked[3:400:33], *(case for case in picked if case.damage == "a link out")][:16]


@pytest.mark.parametrize("case", chosen(), ids=str)
def test_a_damaged_text_is_taken_as_it_has_to_be(station: Movie, tmp_path: Path, case: texts.Case) -> None:
    assert texts.problems(case, station, tmp_path) == []
