"""A movie directory that came from somebody else: what lies in it is neither run nor trusted, and leads nowhere else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reelscribe.stage_table import NATIVE

# Of Python's library, what our commands import before and after our own modules. Whoever imports it from elsewhere leaves a note.
LIBRARY = ("argparse", "fcntl", "json", "platform", "random", "runpy", "secrets", "shlex", "socket", "wave")
NOTE = "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\nraise SystemExit(77)\n"


# -- the current folder -------------------------------------------------------------------------------------------------


@pytest.fixture
def planted(movie_dir: Path) -> Path:
    """The movie directory, with modules that are called as Python's own, and a package as ours."""
    for name in LIBRARY:
        (movie_dir / f"{name}.py").write_text(NOTE)
    (movie_dir / "reelscribe").mkdir()
    (movie_dir / "reelscribe" / "__init__.py").write_text(NOTE)
    return movie_dir


@pytest.mark.parametrize(
    "command",
    [
        ["pipeline.sh", "--status", "."],
        ["pipeline.sh", "--corrections", "."],
        ["pipeline.sh", "--review", ".", "--no-browser"],
        ["pipeline.sh", "--to", "tmdb", "../../film.mkv"],
        ["workflow/run.sh", "--profile", "none", "../../film.mkv"],
    ],
    ids=" ".join,
)
def test_python_files_in_the_current_folder_are_not_run(planted: Path, make_movie, child_environment, command: list[str]) -> None:
    make_movie(planted.parents[1] / "film.mkv", seconds=1)
    script, *options = command
    done = subprocess.run(
        [str(NATIVE / script), *options], cwd=planted, env=child_environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert not [path.name for path in planted.rglob("*.ran")], done.stderr
    assert done.returncode == (0 if "tmdb" in command else 2 if "none" in command else 3), done.stderr
