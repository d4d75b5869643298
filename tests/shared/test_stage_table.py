"""The table is read as written; an unknown stage is a usage error that names the known ones."""

from __future__ import annotations

import pytest

from reelscribe import stage_table
from reelscribe.errors import UsageError
from reelscribe.stage_table import NATIVE, Row


def test_the_ten_stages_in_order() -> None:
    in_order = "demux tmdb pre-ner silero-vad pyannote-vad diarization asr post-ner subtitle-gen mux"
    assert " ".join(row.name for row in stage_table.load()) == in_order
    assert [row.number for row in stage_table.load()] == list(range(1, 11))


def test_a_row_has_environments_and_devices() -> None:
    row = stage_table.find("asr")
    assert row == Row(number=7, name="asr", environments=("asr", "asr-mlx"), devices=("mps", "cuda", "cpu"))
    assert row.key == "07_asr"
    assert row.script == NATIVE / "stages" / "07_asr.py"
    assert stage_table.find("demux").devices == ()


def test_an_unknown_stage_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="there is no stage 'lyrics'") as caught:
        stage_table.find("lyrics")
    assert caught.value.remedy.endswith("subtitle-gen mux")
