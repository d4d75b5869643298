"""The table is read as written; an unknown stage is a usage error that names the known ones."""

from __future__ import annotations

import pytest

from reelscribe import stage_table
from reelscribe.errors import UsageError
from reelscribe.stage import file_fields, load_contracts
from reelscribe.stage_table import NATIVE, Row


def test_the_ten_stages_in_order() -> None:
    in_order = "demux tmdb pre-ner silero-vad pyannote-vad diarization asr post-ner subtitle-gen mux"
    assert " ".join(row.name for row in stage_table.load()) == in_order
    assert [row.number for row in stage_table.load()] == list(range(1, 11))


def test_a_row_has_environments_and_devices() -> None:
    row = stage_table.find("asr")
    assert (row.number, row.name, row.environments, row.devices) == (7, "asr", ("asr", "asr-mlx"), ("mps", "cuda", "cpu"))
    assert row.key == "07_asr"
    assert row.script == NATIVE / "stages" / "07_asr.py"
    assert stage_table.find("demux").devices == ()


def test_every_row_says_what_a_movie_takes() -> None:
    for row in stage_table.load():
        assert row.gpu == ("cuda" in row.devices), row.name
        assert row.mem_mb >= 500
        assert 1 <= row.threads <= 16
        assert row.runtime_min >= 30


def closure(row: Row) -> set[str]:
    """The names of all stages that `row` needs, near and far."""
    return {name for need in row.needs for name in (need, *closure(stage_table.find(need)))}


def test_a_stage_needs_whoever_makes_its_inputs_and_nobody_after_it() -> None:
    makers = {f.pattern: stage.name for stage in load_contracts() for f in file_fields(stage.outputs)}
    for stage in load_contracts():
        assert {makers[f.pattern] for f in file_fields(stage.inputs) if f.pattern in makers} <= closure(stage.row), stage.name
        assert all(stage_table.find(name).number < stage.row.number for name in stage.row.needs), stage.name


def test_a_stage_waits_for_what_stands_behind_those_that_do_not_run() -> None:
    asr = stage_table.find("asr")
    assert stage_table.waits_for(asr, ["demux", "tmdb", "pre-ner", "asr"]) == ["pre-ner", "demux"]
    assert stage_table.waits_for(asr, ["demux", "asr"]) == ["demux"]
    assert stage_table.waits_for(asr, ["asr", "post-ner"]) == []


def test_an_unknown_stage_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="there is no stage 'lyrics'") as caught:
        stage_table.find("lyrics")
    assert caught.value.remedy.endswith("subtitle-gen mux")
