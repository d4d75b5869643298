"""What holds for each of the ten stages alone, in its own environment, from any folder: help, wrong use, missing inputs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reelscribe import settings, stage_table
from reelscribe.stage import file_fields, load_contract
from reelscribe.stage_table import Row

Run = Callable[..., subprocess.CompletedProcess[str]]
each_stage = pytest.mark.parametrize("row", stage_table.load(), ids=lambda row: row.name)


@each_stage
def test_help_explains_every_setting_and_file(run_stage: Run, row: Row) -> None:
    stage = load_contract(row)
    done = run_stage(row.name, None, options=["--help"])
    flat = " ".join(done.stdout.split())
    assert done.stdout.startswith(f"usage: {row.key}.py")
    for setting in settings.settings_of(row.name, stage.options):
        assert setting.env in flat
        assert " ".join(setting.help.split()) in flat
        assert setting.secret or f"{setting.flag} " in flat
    for file in [*file_fields(stage.inputs), *file_fields(stage.outputs)]:
        assert file.pattern.replace("{name}", "<Movie_Name>") in flat
    assert done.stderr == ""


@each_stage
@pytest.mark.parametrize("option", ["--threads=-1", "--device=tpu", "--no-such-option"])
def test_wrong_use_is_told_in_a_line_and_changes_nothing(run_stage: Run, movie_dir: Path, tmp_path: Path, row: Row, option: str) -> None:
    movie = tmp_path / "movie.mkv"
    movie.write_bytes(b"no movie")
    done = run_stage(row.name, movie_dir, movie=movie, options=[option], check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(movie_dir.iterdir()) == []


@each_stage
def test_a_missing_input_is_told_with_the_stage_that_makes_it(run_stage: Run, movie_dir: Path, tmp_path: Path, row: Row) -> None:
    required = [f for f in file_fields(load_contract(row).inputs) if not (f.is_movie or f.many or f.optional)]
    movie = tmp_path / "movie.mkv"
    movie.write_bytes(b"no movie")
    done = run_stage(row.name, movie_dir, movie=movie, check=False)
    assert "Traceback" not in done.stderr
    if required:
        assert done.returncode == 3
        assert f"{row.name}: {required[0].pattern} is missing\n  → run the stage " in done.stderr
        maker = done.stderr.split("run the stage ")[1].split()[0]
        assert stage_table.find(maker).number < row.number
    else:
        assert done.returncode in (0, 3)
