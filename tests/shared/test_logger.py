"""Talk goes to stderr and the log, results to stdout, tracebacks to the log alone, secrets nowhere."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelscribe import logger


@pytest.fixture(autouse=True)
def _clean_logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("LOG_LEVEL", raising=False)
    monkeypatch.setattr(logger, "_secrets", set())
    yield
    for handler in logger.get().handlers[:]:
        logger.get().removeHandler(handler)
        handler.close()


def test_people_read_messages_and_the_log_has_time_and_level(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = logger.set_up(tmp_path / "logs" / "03_tiny.log")
    log.debug("unsaid")
    log.info("3 tracks")
    log.warning("no default track")
    assert capsys.readouterr().err == "  3 tracks\n  warning: no default track\n"
    lines = (tmp_path / "logs" / "03_tiny.log").read_text().splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "", line) for line in lines] == ["INFO 3 tracks", "WARNING no default track"]


def test_the_log_is_appended_to_and_set_up_again_without_doubles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        logger.set_up(tmp_path / "a.log").info("once more")
    assert capsys.readouterr().err.count("once more") == 2
    assert (tmp_path / "a.log").read_text().count("once more") == 2


def test_a_traceback_is_for_the_file_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger.set_up()
    assert not logger.to_file("Traceback: nowhere to go")
    logger.set_up(tmp_path / "a.log")
    assert logger.to_file("Traceback: kept")
    assert capsys.readouterr().err == ""
    assert "Traceback: kept" in (tmp_path / "a.log").read_text()


def test_results_go_to_stdout_and_nothing_else_does(capsys: pytest.CaptureFixture[str]) -> None:
    logger.set_up().error("talk")
    logger.result("out/A_Movie")
    assert capsys.readouterr().out == "out/A_Movie\n"


@pytest.mark.parametrize(
    "spelt",
    ["a key/+", " a key/+\n", "a%20key/%2B", "a%20key%2F%2B", "a+key%2F%2B", "YSBrZXkvKw==", "b' a key/+\\n'", '{"key": " a key/+\\n"}'],
)
def test_a_secret_is_known_as_libraries_spell_it(spelt: str) -> None:
    logger.keep_secret(" a key/+\n")
    assert "***" in logger.redact(f"error: {spelt}!")
    assert "key/" not in logger.redact(spelt) and "key%2F" not in logger.redact(spelt)


def test_secrets_show_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = logger.set_up(tmp_path / "a.log")
    logger.keep_secret("hunter22")
    logger.keep_secret("")
    log.info("GET /movie?key=%s", "hunter22")
    try:
        raise ValueError("hunter22 was refused")
    except ValueError:
        log.exception("failed")
    logger.to_file("Traceback: hunter22")
    logger.result("hunter22")
    captured = capsys.readouterr()
    everything = captured.out + captured.err + (tmp_path / "a.log").read_text()
    assert "hunter22" not in everything
    assert "GET /movie?key=***" in everything


@pytest.mark.parametrize(
    ("variable", "level", "expected"),
    [
        ("", None, logging.INFO),
        ("debug", None, logging.DEBUG),
        ("WARNING", None, logging.WARNING),
        ("loud", None, logging.INFO),
        ("debug", "error", logging.ERROR),
    ],
)
def test_the_level_comes_from_the_argument_or_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str, level: str | None, expected: int
) -> None:
    monkeypatch.setenv("LOG_LEVEL", variable)
    assert logger.set_up(level=level).level == expected


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_log_on_a_full_disk_does_not_bury_the_message() -> None:
    twice = "from pathlib import Path; from reelscribe import logger; [logger.set_up(Path('/dev/full')).error(n) for n in '12']"
    done = subprocess.run([sys.executable, "-c", twice], capture_output=True, text=True, check=True)
    assert done.stderr == "  error: 1\n  error: 2\n"


def test_nothing_that_a_terminal_obeys_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "a.log"
    logger.set_up(log).info("a\tb\nc %s नमस्ते 😀 é", "\x1b]0;owned\x07\x1b[2J\r\b\x9b31m\x7f")
    seen = "a\tb\nc \\x1b]0;owned\\x07\\x1b[2J\\x0d\\x08\\x9b31m\\x7f नमस्ते 😀 é\n"
    assert capsys.readouterr().err == "  " + seen
    assert log.read_text(encoding="utf-8").endswith(seen)


def test_names_that_are_no_utf8_can_be_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger.set_up(tmp_path / "a.log").info("caf\udce9.mkv is not there")
    assert r"caf\udce9.mkv" in (tmp_path / "a.log").read_text()
