"""Errors carry the message, the remedy and the exit code; the codes are stable interface."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from reelscribe import errors
from reelscribe.errors import ExitCode, MissingInputError, ReelscribeError


def test_the_exit_codes_never_change() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "USAGE": 2,
        "BAD_INPUT": 3,
        "MISSING": 4,
        "NO_SPACE": 5,
        "FAILED": 6,
        "BUSY": 7,
        "INTERRUPTED": 130,
    }


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("UsageError", 2),
        ("BadInputError", 3),
        ("MissingToolError", 4),
        ("OutOfSpaceError", 5),
        ("StageFailedError", 6),
        ("BusyError", 7),
    ],
)
def test_each_error_has_its_code(name: str, code: int) -> None:
    error = getattr(errors, name)("it is wrong", remedy="mend it")
    assert isinstance(error, ReelscribeError)
    assert error.code == code
    assert str(error) == "it is wrong\n  → mend it"


def test_an_error_without_a_remedy_is_one_line() -> None:
    assert str(ReelscribeError("it is wrong")) == "it is wrong"


def test_a_missing_input_names_the_stage_that_makes_it() -> None:
    error = MissingInputError("audio/audio.wav", "demux")
    assert (error.path, error.producer, error.code) == ("audio/audio.wav", "demux", 3)
    assert str(error) == "audio/audio.wav is missing\n  → run the stage demux first"


@pytest.mark.parametrize("answer", ["short", "long" * 100_000])
def test_an_answer_that_nobody_reads_is_no_mistake(answer: str) -> None:
    """As behind `| head`."""
    script = f"import sys\nfrom reelscribe.command_line import command\nsys.exit(command(lambda: print({answer[:4]!r} * {len(answer)}))())"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
