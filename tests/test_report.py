"""What report.html is told: cues joined with their words, corrections, holes, stages; and that no text gets out of its place."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import report_movie
from report_movie import Line, Movie

from reelscribe import report
from reelscribe.artifacts import write_json
from reelscribe.errors import BadInputError
from reelscribe.report import data, timeline
from reelscribe.report.sources import Sources, address

HOSTILE = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=1><!-- {{data}} ]]>\u2028'\"&"


def collected(movie_dir: Path) -> dict[str, Any]:
    return data.collect(Sources(movie_dir))


def embedded(page: Path) -> dict[str, Any]:
    """The data as the page's script reads it."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    content: dict[str, Any] = json.loads(found[1])
    return content


# -- cues ---------------------------------------------------------------------------------------------------------------


def runs(movie_dir: Path, *lines: Line) -> list[dict[str, Any]]:
    """The pieces of the first cue of a movie of these lines."""
    report_movie.write(movie_dir, Movie(lines=lines))
    found: list[dict[str, Any]] = collected(movie_dir)["tracks"][0]["cues"][0]["runs"]
    return found


def test_a_doubtful_word_is_told_with_its_score(movie_dir: Path) -> None:
    line = Line("Where were you tonight, Stephen?", 1, 3, scores=(0.9, 0.5, 0.9, 0.31, 0.9))
    assert runs(movie_dir, line) == [{"text": "Where were you "}, {"text": "tonight,", "score": 0.31}, {"text": " Stephen?"}]


def test_a_mended_word_is_told_with_what_was_heard(movie_dir: Path) -> None:
    line = Line("Kathryn followed.", 1, 3, was="Catherine")
    assert runs(movie_dir, line) == [{"text": "Kathryn", "was": "Catherine", "why": "spelling"}, {"text": " followed."}]


def test_a_name_mended_over_several_words_is_one_change(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie(lines=[Line("Inspector Rathore came.", 1, 3, was="x")]))
    path = movie_dir / "corrected" / "corrections.json"
    ledger = json.loads(path.read_text())
    ledger["corrections"][0] |= {"last": 1, "old": "inspect a rat or", "new": "Inspector Rathore"}
    write_json(path, ledger)
    first = collected(movie_dir)["tracks"][0]["cues"][0]["runs"][0]
    assert first == {"text": "Inspector Rathore", "was": "inspect a rat or", "why": "spelling"}


def test_words_are_found_where_the_script_has_no_spaces(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie(lines=[Line("私 は 駅 に", 1, 3, scores=(0.9, 0.9, 0.2, 0.9))]))
    path = movie_dir / "subtitles" / "A_Movie.en.srt"
    path.write_text(path.read_text().replace("私 は 駅 に", "私は\n駅に"))
    assert collected(movie_dir)["tracks"][0]["cues"][0]["runs"] == [{"text": "私は\n"}, {"text": "駅", "score": 0.2}, {"text": "に"}]


def test_hyphens_of_two_speakers_belong_to_nobody(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie(lines=[Line("Is it you?", 1, 2), Line("It is.", 2, 3, "SPEAKER_01", scores=(0.1, 0.9))]))
    (movie_dir / "subtitles" / "A_Movie.en.srt").write_text("1\n00:00:01,000 --> 00:00:03,000\n- Is it you?\n- It is.\n")
    cue = collected(movie_dir)["tracks"][0]["cues"][0]
    assert cue["speakers"] == ["SPEAKER_00", "SPEAKER_01"]
    assert cue["runs"] == [{"text": "- Is it you?\n- "}, {"text": "It", "score": 0.1}, {"text": " is."}]


def test_tags_and_joiners_of_subtitle_files_are_not_shown(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie(lines=[Line("a <b> & c", 1, 3)]))
    cues = collected(movie_dir)["tracks"][0]["cues"]
    assert [run["text"] for run in cues[0]["runs"]] == ["a <b> & c"]


def test_what_is_doubtful_about_a_segment_marks_its_cue(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie())
    assert [cue["marks"] for cue in collected(movie_dir)["tracks"][0]["cues"]] == [[], [], ["too fast"], []]


def test_a_broken_limit_is_told_with_its_cue(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie(faults=[(2, "gap (s)", 0.01, 0.083)], hidden="la la la"))
    page = collected(movie_dir)
    assert [cue["faults"] for cue in page["tracks"][0]["cues"]][:2] == [[], [{"rule": "gap (s)", "value": 0.01, "limit": 0.083}]]
    assert page["quality"]["hidden"] == [{"start": 11.0, "language": "en", "text": "la la la", "marks": ["silence"]}]


def test_cues_are_shown_where_no_file_has_their_times(movie_dir: Path) -> None:
    """--formats txt."""
    report_movie.write(movie_dir, Movie(lines=[Line("Where <is\nhe?", 1, 3), Line("Gone.", 4, 6)], faults=[(2, "gap (s)", 0.01, 0.083)]))
    write_json(movie_dir / "subtitles" / "tracks.json", {"tracks": []})
    (track,) = collected(movie_dir)["tracks"]
    told = [(cue["start"], cue["end"], "".join(run["text"] for run in cue["runs"]), len(cue["faults"])) for cue in track["cues"]]
    assert (track["language"], told) == ("en", [(1, 3, "Where <is\nhe?", 0), (4, 6, "Gone.", 1)])


def test_what_was_found_of_a_cue_goes_with_its_time(movie_dir: Path) -> None:
    """The first cue is gone from the file, by hand."""
    report_movie.write(movie_dir, Movie(faults=[(2, "gap (s)", 0.01, 0.083)]))
    path = movie_dir / "subtitles" / "A_Movie.en.srt"
    path.write_text(path.read_text().split("\n\n", 1)[1])
    assert [len(cue["faults"]) for cue in collected(movie_dir)["tracks"][0]["cues"]] == [1, 0, 0]


# -- timeline -----------------------------------------------------------------------------------------------------------


def test_speech_without_words_is_a_hole(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie())
    for name in ("silero", "pyannote"):
        path = movie_dir / "vad" / f"{name}.json"
        vad = json.loads(path.read_text())
        more = [{"start": 20, "end": 23.0 if name == "silero" else 24.0, "score": 0.9}, {"start": 30, "end": 30.9, "score": 0.9}]
        write_json(path, {**vad, "segments": [*vad["segments"], *more]})
    assert collected(movie_dir)["timeline"]["holes"] == [(20.0, 23.0)]


def test_one_detector_alone_finds_holes_too(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie(lines=[Line("Yes.", 1, 2)]))
    (movie_dir / "vad" / "pyannote.json").unlink()
    path = movie_dir / "vad" / "silero.json"
    write_json(path, {"segments": [{"start": 0.5, "end": 5, "score": 1}], "model": "silero", "duration": 12})
    assert collected(movie_dir)["timeline"]["holes"] == [(2.5, 5.0)]


def test_what_is_left_of_intervals() -> None:
    assert timeline.without([(0, 10), (20, 30)], [(25, 40), (2, 4), (3, 5)]) == [(0, 2), (5, 10), (20, 25)]
    assert timeline.without([(0, 10), (11, 12)], [(-1, 13)]) == []
    assert timeline.both([(0, 5), (6, 9)], [(1, 2), (4, 7)]) == [(1, 2), (4, 5), (6, 7)]


# -- names and stages ---------------------------------------------------------------------------------------------------


def test_terms_are_counted_with_their_variants(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie(lines=[Line("Karl, Inspector Karl and Karla’s inspector.", 1, 3)], terms=("Inspector Karl", "Jai")))
    path = movie_dir / "glossary" / "glossary.json"
    glossary = json.loads(path.read_text())
    glossary["terms"][0]["variants"] = ["Karl"]
    write_json(path, glossary)
    assert [(t["text"], t["count"]) for t in collected(movie_dir)["glossary"]] == [("Inspector Karl", 2), ("Jai", 0)]


def test_a_voice_is_told_with_whose_it_may_be(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie())
    evidence = {"kind": "addressed", "name": "Karl", "start": 1.5, "text": "Karl, come!", "weight": 1.2}
    voice = {"label": "SPEAKER_00", "name": "Speaker 1", "total_s": 4, "suggested": "Karl", "confidence": 0.6, "evidence": [evidence]}
    write_json(movie_dir / "corrected" / "speakers.json", {"speakers": [voice]})
    shown = collected(movie_dir)["speakers"][0]
    assert (shown["suggested"], shown["confidence"]) == ("Karl", 0.6)
    assert shown["evidence"] == [{"kind": "addressed", "start": 1.5, "text": "Karl, come!", "weight": 1.2}]


def titles(movie_dir: Path) -> list[str]:
    return [banner["title"] for banner in collected(movie_dir)["banners"]]


def test_a_good_run_has_no_banner(movie_dir: Path) -> None:
    assert titles(report_movie.write(movie_dir, Movie())) == []


def test_draft_and_degradation_are_said(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie(draft=True, degraded=["a smaller batch"]))
    assert titles(movie_dir) == ["Draft", "Degraded"]


def test_a_failure_is_said_with_its_error(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie(failed="no space left\n  → free some"))
    first = collected(movie_dir)["banners"][0]
    assert first == {"kind": "error", "title": "The stage asr failed", "text": "no space left\n  → free some"}
    assert [stage["state"] for stage in collected(movie_dir)["stages"]][5:8] == ["done", "failed", "not run"]


def test_settings_tell_no_folder_of_the_machine(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie())
    path = movie_dir / "manifests" / "07_asr.json"
    record = json.loads(path.read_text())
    record["options"] = {
        "WHISPER_MODEL": {"value": "/models/of/mine/large-v3", "source": "job.env"},
        "DEVICE": {"value": "auto", "source": "default"},
    }
    write_json(path, record)
    assert collected(movie_dir)["stages"][6]["settings"] == {"WHISPER_MODEL": "large-v3"}


def test_messages_do_not_say_whose_home_it_is(movie_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/homes/asha")
    report_movie.write(movie_dir, Movie(failed="/homes/asha/films/x.mkv is damaged"))
    path = movie_dir / "manifests" / "07_asr.json"
    record = json.loads(path.read_text())
    write_json(path, {**record, "fallbacks": ["no aligner in /homes/asha/.cache/models"]})
    page = collected(movie_dir)
    stage = page["stages"][6]
    assert (stage["error"], stage["fallbacks"]) == ("~/films/x.mkv is damaged", ["no aligner in ~/.cache/models"])
    assert "asha" not in json.dumps(page["banners"])


# -- robustness ---------------------------------------------------------------------------------------------------------


def test_an_empty_folder_has_a_report(tmp_path: Path) -> None:
    page = collected(tmp_path)
    assert page["tracks"] == page["videos"] == page["glossary"] == []
    assert page["banners"][0]["title"] == "Not finished"
    assert report.write(tmp_path) == tmp_path / "report.html"


def test_no_folder_has_none(tmp_path: Path) -> None:
    with pytest.raises(BadInputError):
        report.write(tmp_path / "nothing")


def test_every_file_may_be_missing(movie_dir: Path, tmp_path: Path) -> None:
    report_movie.write(movie_dir, Movie())
    for path in sorted(p.relative_to(movie_dir) for p in movie_dir.rglob("*") if p.is_file()):
        folder = Path(shutil.copytree(movie_dir, tmp_path / "copy"))
        (folder / path).unlink()
        report.write(folder)
        shutil.rmtree(folder)


def test_every_file_may_be_damaged_and_is_named(movie_dir: Path, tmp_path: Path) -> None:
    report_movie.write(movie_dir, Movie())
    for path in sorted(p.relative_to(movie_dir) for p in movie_dir.rglob("*.json")):
        folder = Path(shutil.copytree(movie_dir, tmp_path / "copy"))
        (folder / path).write_bytes(b'{"duration": "\xff')
        banners = json.dumps(collected(folder)["banners"])
        assert path.name in banners or path.parent.name == "manifests", path
        shutil.rmtree(folder)


def test_the_newest_schema_of_a_manifest_is_a_banner_and_no_crash(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie())
    (movie_dir / "manifests" / "10_mux.json").write_text('{"schema_version": 99}')
    assert any("newer reelscribe" in banner["text"] for banner in collected(movie_dir)["banners"])


# -- the file -----------------------------------------------------------------------------------------------------------


def hostile(**more: Any) -> Movie:
    lines = [Line(HOSTILE.replace("\u2028", " "), 1, 3, was=HOSTILE, marks=(HOSTILE,))]
    names = {"SPEAKER_00": HOSTILE}
    texts = dict.fromkeys(("title", "director", "chapter", "fallback"), HOSTILE)
    faults = [(1, HOSTILE, 1, 0)]
    return Movie(lines=lines, names=names, terms=[HOSTILE], degraded=[HOSTILE], faults=faults, hidden=HOSTILE, **texts, **more)


class Elements(HTMLParser):
    """Every element of a page, and its script's attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


def tags(page: Path) -> list[str]:
    parser = Elements()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.tags


def test_hostile_texts_add_no_element_and_arrive_as_they_are(movie_dir: Path, tmp_path: Path) -> None:
    plain = report.write(report_movie.write(tmp_path / "plain", Movie()))
    page = report.write(report_movie.write(movie_dir, hostile()))
    assert tags(page) == tags(plain)
    shown = embedded(page)
    assert shown["movie"]["title"] == shown["glossary"][0]["text"] == shown["corrections"][0]["old"] == HOSTILE
    assert "".join(run["text"] for run in shown["tracks"][0]["cues"][0]["runs"]) == HOSTILE.replace("\u2028", " ")


def test_the_address_of_a_movie_is_never_one_with_a_scheme(tmp_path: Path) -> None:
    assert address(tmp_path / "javascript:alert(1).mp4", tmp_path) == "./javascript%3Aalert%281%29.mp4"
    assert address(tmp_path / 'a "b" #1?.mp4', tmp_path) == "./a%20%22b%22%20%231%3F.mp4"
    assert address(tmp_path / "ü.mp4", tmp_path / "out") == "./../%C3%BC.mp4"


def test_the_movie_is_looked_for_where_it_may_be(movie_dir: Path, tmp_path: Path) -> None:
    source = tmp_path / "a movie.webm"
    report_movie.write(movie_dir, Movie(source=source, result="A_Movie.subtitled.mkv"))
    assert collected(movie_dir)["videos"] == []
    for path in (source, movie_dir / "A_Movie.subtitled.mkv", movie_dir / "audio" / "audio.wav"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert collected(movie_dir)["videos"] == ["./A_Movie.subtitled.mkv", "./../../a%20movie.webm", "./audio/audio.wav"]


def test_the_page_names_no_address_but_its_own(movie_dir: Path) -> None:
    text = report.write(report_movie.write(movie_dir, Movie())).read_text(encoding="utf-8")
    assert re.findall(r"https?://[^\s'\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert "default-src 'none'" in text


def test_the_same_directory_gives_the_same_bytes(movie_dir: Path) -> None:
    report_movie.write(movie_dir, Movie())
    assert report.write(movie_dir).read_bytes() == report.write(movie_dir).read_bytes()


def test_the_command_says_where_it_is(movie_dir: Path, tmp_path: Path) -> None:
    report_movie.write(movie_dir, Movie())
    command = [sys.executable, "-m", "reelscribe.report"]
    done = subprocess.run([*command, os.path.relpath(movie_dir, tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{os.path.relpath(movie_dir, tmp_path)}/report.html\n", "")
    missing = subprocess.run([*command, "nowhere"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (missing.returncode, missing.stdout) == (3, "")
    assert "nowhere is no folder" in missing.stderr
