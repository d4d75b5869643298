"""tests/bench/run.sh and growth.py run, and docs/performance.md has a place for what they measure. No number is judged here."""

from __future__ import annotations

import json
import subprocess

import pytest

from reelscribe.stage_table import ROOT

RUN = ROOT / "tests" / "bench" / "run.sh"
DOCUMENT = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def measured(tmp_path, environment, *arguments) -> tuple[dict, str]:
    """The numbers and the tables."""
    command = [str(RUN), *arguments, f"--json={tmp_path / 'found.json'}"]
    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return json.loads((tmp_path / "found.json").read_text(encoding="utf-8")), done.stdout


def rows(text: str) -> list[str]:
    """The first cell of every line of every table."""
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]


@pytest.mark.timeout(600)
def test_one_group(tmp_path, child_environment):
    found, said = measured(tmp_path, child_environment, "--minutes=0.2", "--runs=2", "--only=Sound")
    assert found["rows"].keys() == {"bare ffmpeg", "demux"}
    for runs in found["rows"].values():
        assert len(runs) == 2
        assert all(run["wall"] > 0 and run["cpu"] > 0 and run["peak_mb"] > 0 for run in runs)
    assert rows(said) == ["Sound of the movie", "---", "bare ffmpeg", "stage demux"]
    assert "0.2 minutes of film, 2 rounds" in said


def test_a_group_that_there_is_not(tmp_path, child_environment):
    done = subprocess.run([str(RUN), "--only=Sond"], env=child_environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there is no such group" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_everything_has_its_place_in_the_document(tmp_path, child_environment):
    found, said = measured(tmp_path, child_environment, "--minutes=0.5", "--runs=1")
    assert {"whisperx --diarize", "whisper-ctranslate2", "bare mlx-whisper", "bare pyannote", "bare silero", "all"} <= found["rows"].keys()
    (kept,) = [part.partition("<!-- /peers -->")[0] for part in DOCUMENT.split("<!-- peers -->")[1:]]
    assert rows(kept) == rows(said)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_growth(tmp_path, child_environment):
    found, said = measured(tmp_path, child_environment, "growth", "--lengths=0.5,1")
    assert found["1"].keys() == {"silero-vad", "pyannote-vad", "diarization", "post-ner", "subtitle-gen"}
    (kept,) = [part.partition("<!-- /growth -->")[0] for part in DOCUMENT.split("<!-- growth -->")[1:]]
    assert rows(kept)[:1] == rows(said)[:1]
