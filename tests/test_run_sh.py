"""tests/run.sh and the rules of conftest.py: everything runs, what failed is said, skips are not hidden.

The real script and the real conftest in a small checkout; the tools are stand-ins that note that they ran and fail when told to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reelscribe.stage_table import ROOT

TOOLS = ("shellcheck", "shfmt", "ruff", "mypy", "bats")
TOOL = '#!/usr/bin/env bash\necho "${0##*/} $*" >>"$NOTES"\ncase " $FAIL " in *" ${0##*/} "*) exit 1 ;; esac\n'
SETUP = """#!/usr/bin/env bash
if [ "$1" = --list ]; then
  echo "core: current"
  echo "demux: it is missing"
  echo "dev: current"
else
  echo "setup_venvs $*" >>"$NOTES"
  case " $FAIL " in *" setup "*) exit 6 ;; esac
fi
"""
TESTS = """
import os
import pytest

def test_fine(measured): measured("WER 12.3 %")

def test_bad(): assert not os.environ.get("BAD")

@pytest.mark.slow
def test_slow(): assert False
"""
SKIPS = """
import pytest

def test_skips(): pytest.skip("no tool: apt install tool")

@pytest.mark.skipif(True, reason="a mark that skips")
def test_marked(): pass

@pytest.mark.gpu
def test_allowed(): pytest.skip("no GPU")

@pytest.mark.xfail(strict=True)
def test_known_bug(): assert False
"""
WHOLE_MODULE = "import pytest\npytest.importorskip('no_such_module_anywhere')\ndef test_x(): pass\n"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git repository with run.sh, conftest.py and stand-ins for what they call."""
    tree = tmp_path / "a checkout"
    binaries = tree / "native" / "venvs" / "dev" / "bin"
    for folder in (binaries, tree / "tests" / "bats", tree / "tests" / "stages", tree / ".ci", tree / "native" / "stages"):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tree)
    shutil.copy(ROOT / ".ci" / "run", tree / ".ci")
    for name in ("run.sh", "conftest.py"):
        shutil.copy(ROOT / "tests" / name, tree / "tests")
    (tree / "tests" / "test_it.py").write_text(TESTS)
    (tree / "tests" / "stages" / "test_stage.py").write_text("def test_stage(): pass\n")
    (tree / "tests" / "bats" / "a.bats").write_text("#!/usr/bin/env bats\n")
    (tree / "tool").write_text("#!/bin/bash\n")
    (tree / "notes.txt").write_text("#!/bin/bash is in this text\n")
    (tree / ".gitignore").write_text("/native/venvs/\n__pycache__/\n")
    executables = {tree / "native" / "setup_venvs.sh": SETUP, **{binaries / name: TOOL for name in TOOLS}}
    executables |= {binaries / name: TOOL for name in ("chromium", "apt-get")}
    executables[binaries / "python"] = f'#!/usr/bin/env bash\nexec "{sys.executable}" "$@"\n'
    for path, text in executables.items():
        path.write_text(text)
        path.chmod(0o755)
    subprocess.run(["git", "init", "--quiet", tree], check=True)
    return tree


@pytest.fixture
def run(checkout: Path, tmp_path: Path) -> Run:
    """Run a script of the checkout from elsewhere."""

    def start(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "CI_STRICT", "FAILED_CHECKS"))}
        notes = {"NOTES": str(tmp_path / "notes"), "FAIL": "", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [str(checkout / script), *arguments]
        return subprocess.run(command, cwd="/", env={**clean, **notes, **environment}, capture_output=True, text=True, check=False)

    return start


@pytest.fixture
def notes(tmp_path: Path) -> Callable[[], list[str]]:
    """What the stand-ins noted."""
    return lambda: (tmp_path / "notes").read_text().splitlines()


def closing_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.splitlines()[-1]


def test_everything_is_built_checked_and_tested(run: Run, notes: Callable[[], list[str]]) -> None:
    done = run("tests/run.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    assert notes() == [
        "setup_venvs core demux dev",
        "shellcheck -x .ci/run native/setup_venvs.sh tests/bats/a.bats tests/run.sh tool",
        "shfmt -d -i 2 -ci .ci/run native/setup_venvs.sh tests/bats/a.bats tests/run.sh tool",
        "ruff check .",
        "ruff format --check .",
        "mypy --config-file pyproject.toml shared/src",
        "bats --print-output-on-failure tests/bats/a.bats",
    ]
    assert " 3 passed in" in closing_line(done)
    assert "WER 12.3 %" in done.stdout.splitlines()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_failed_check_stops_nothing_and_is_said_before_the_closing_line(run: Run, notes: Callable[[], list[str]], tool: str) -> None:
    done = run("tests/run.sh", FAIL=tool)
    assert done.returncode == 1
    assert len(notes()) == 7
    assert "3 passed" in closing_line(done)
    failed = {"ruff": "FAILED ruff check, ruff format"}.get(tool, f"FAILED {tool}")
    assert failed in done.stdout.splitlines()


def test_a_failed_test_fails_the_run(run: Run) -> None:
    done = run("tests/run.sh", BAD="1")
    assert done.returncode == 1
    assert "1 failed, 2 passed" in closing_line(done)


def test_without_environments_there_are_no_tests(run: Run) -> None:
    done = run("tests/run.sh", FAIL="setup")
    assert done.returncode == 1
    assert "an environment could not be built" in done.stderr
    assert done.stdout == ""


def test_fast_leaves_out_stages_and_bats(run: Run, notes: Callable[[], list[str]]) -> None:
    done = run("tests/run.sh", "--fast")
    assert notes()[0] == "setup_venvs dev core"
    assert not any(line.startswith("bats") for line in notes())
    assert " 2 passed in" in closing_line(done)


def test_the_rest_of_the_command_line_is_pytests(run: Run) -> None:
    assert " 1 passed in" in closing_line(run("tests/run.sh", "--fast", "-k", "fine or slow"))
    assert " 1 failed in" in closing_line(run("tests/run.sh", "--fast", "-m", "slow"))


def test_skips_are_fine_by_themselves(run: Run, checkout: Path) -> None:
    (checkout / "tests" / "test_it.py").write_text(SKIPS)
    (checkout / "tests" / "test_module.py").write_text(WHOLE_MODULE)
    done = run("tests/run.sh", "--fast")
    assert done.returncode == 0
    assert "4 skipped, 1 xfailed" in closing_line(done)
    assert "no tool: apt install tool" in done.stdout


def test_under_ci_a_skip_that_the_machine_does_not_explain_fails(run: Run, checkout: Path) -> None:
    (checkout / "tests" / "test_it.py").write_text(SKIPS)
    done = run(".ci/run", "--fast")
    assert done.returncode == 1
    assert "1 failed, 1 skipped, 1 xfailed, 1 error" in closing_line(done)
    assert "CI_STRICT: skipped without one of the marks gpu, mps, shared, cluster" in done.stdout
    assert "no tool: apt install tool" in done.stdout


def test_under_ci_a_module_that_skips_itself_fails(run: Run, checkout: Path) -> None:
    (checkout / "tests" / "test_it.py").write_text(WHOLE_MODULE)
    done = run(".ci/run", "--fast")
    assert done.returncode != 0
    assert "1 error" in closing_line(done)


def test_under_ci_a_browser_that_is_not_there_fails(run: Run, checkout: Path) -> None:
    text = 'import pytest\n@pytest.mark.browser\ndef test_page(): pytest.skip("no Chromium")\n'
    (checkout / "tests" / "test_it.py").write_text(text)
    assert "1 skipped" in closing_line(run("tests/run.sh", "--fast"))
    assert run(".ci/run", "--fast").returncode == 1


@pytest.mark.parametrize("user", ["0", "1000"])
def test_chromium_is_fetched_where_root_can_have_it_by_apt(
    run: Run, checkout: Path, tmp_path: Path, notes: Callable[[], list[str]], user: str
) -> None:
    binaries = checkout / "native" / "venvs" / "dev" / "bin"
    (binaries / "chromium").unlink()
    (binaries / "id").write_text(f"#!/bin/sh\necho {user}\n")
    (binaries / "id").chmod(0o755)
    done = run("tests/run.sh", "--fast", PATH=str(without_browsers(tmp_path / "commands")), FAIL="apt-get")
    wanted = Path("/etc/debian_version").exists() and user == "0"
    assert ("apt-get update -qq" in notes()) == wanted
    assert ("FAILED Chromium" in done.stdout) == wanted
    assert "2 passed" in closing_line(done)


def without_browsers(folder: Path) -> Path:
    """A folder with every command of this machine but its browsers."""
    folder.mkdir()
    for path in (p for place in os.environ["PATH"].split(os.pathsep) if Path(place).is_dir() for p in Path(place).iterdir()):
        if "chrom" not in path.name and not os.path.lexists(folder / path.name):
            (folder / path.name).symlink_to(path)
    return folder


def test_recordings_that_are_not_there_are_an_allowed_skip(run: Run, checkout: Path) -> None:
    text = f"""
import conftest
from pathlib import Path
conftest.SHARED = Path({str(checkout / "nowhere")!r})
def test_words(shared_media): assert False
"""
    (checkout / "tests" / "test_it.py").write_text(text)
    done = run(".ci/run", "--fast")
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in closing_line(done)
    assert "the recordings in ../shared/media are not beside this checkout" in done.stdout
