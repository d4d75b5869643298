"""tests/bench/asr.py runs, and docs/performance.md has a place for what it measures. No number is judged here."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import pairwise

import pytest
from conftest import python_of

from reelscribe.stage_table import ROOT

BENCH = ROOT / "tests" / "bench" / "asr.py"
DOCUMENT = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


@pytest.fixture
def run_bench(tmp_path, child_environment):
    """Half a minute of film, once; gives the numbers and the tables."""

    def run(*options):
        sizes = ["--minutes=0.5", "--repeat=1", "--lengths=0.5", f"--json={tmp_path / 'found.json'}"]
        command = [python_of("asr"), BENCH, *sizes, *options]
        done = subprocess.run(command, check=True, env=child_environment, stdout=subprocess.PIPE, text=True)
        return json.loads((tmp_path / "found.json").read_text()), done.stdout

    return run


def heads(text):
    """The first cells of all tables that are in a part of `text`."""
    lines = text.splitlines()
    return [line.split("|")[1].strip() for line, below in pairwise(lines) if below.startswith("| ---")]


def test_bias(run_bench):
    found, said = run_bench("--only=bias")
    assert found["bias"].keys() == {"off", "few", "many", "off, first", "few, first", "many, first"}
    assert all(cost["cpu"] > 0 and cost["wall"] > 0 for (cost,) in found["bias"].values())
    assert len(heads(said)) == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_everything_has_its_place_in_the_document(run_bench):
    found, said = run_bench()
    every = re.findall(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", DOCUMENT, re.DOTALL)
    kept = [(part, content) for part, content in every if part in found]  # other benches have theirs there, too
    assert [part for part, _ in kept] == list(found)
    assert heads(said) == [head for _, content in kept for head in heads(content)]
    for part in found:
        assert DOCUMENT.count(f"<!-- {part} -->\n") == DOCUMENT.count(f"\n<!-- /{part} -->") == 1
    assert found["overhead"]["words"]["unbiased"] > 20
    assert found["chunks"]["same_words"] is True
    (film,) = found["memory"]
    assert film["peaks_mb"].keys() >= {"07_asr.py", "worker.py", "align_worker.py"}
    assert film["peak_mb"] >= max(film["peaks_mb"].values()) > 0
