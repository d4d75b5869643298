"""A bar on a terminal, a line a minute elsewhere, events for the supervisor."""

from __future__ import annotations

import json
import os
import pty
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from reelscribe import logger, progress
from reelscribe.progress import EVENTS_VARIABLE, Display, Progress


@pytest.fixture(autouse=True)
def _no_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EVENTS_VARIABLE, raising=False)
    monkeypatch.setattr(progress, "_REPORT_EVERY_S", 0.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time; tests move it."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    yield now


def test_a_line_a_minute_where_there_is_no_terminal(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    logger.set_up()
    report = Progress("asr")
    for second in range(150):
        clock[0] = 1000.0 + second
        report.update(second, 150, f"window {second}")
    report.close()
    assert capsys.readouterr().err == "  asr: 40 % window 60\n  asr: 80 % window 120\n"


@pytest.mark.parametrize(("done", "total", "fraction"), [(1, 4, 0.25), (5, 4, 1.0), (0, 0, 1.0)])
def test_the_supervisor_gets_events(monkeypatch: pytest.MonkeyPatch, done: float, total: float, fraction: float) -> None:
    read, write = os.pipe()
    monkeypatch.setenv(EVENTS_VARIABLE, str(write))
    Progress("asr").update(done, total, "chunk 1")
    os.close(write)
    with os.fdopen(read) as events:
        assert json.loads(events.readline()) == {"fraction": fraction, "note": "chunk 1"}


def test_events_are_not_too_many_but_the_last_always_comes(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    monkeypatch.setattr(progress, "_REPORT_EVERY_S", 0.2)
    read, write = os.pipe()
    monkeypatch.setenv(EVENTS_VARIABLE, str(write))
    report = Progress("asr")
    for step in range(1, 101):
        clock[0] += 0.01
        report.update(step, 100)
    os.close(write)
    with os.fdopen(read) as events:
        seen = [json.loads(line)["fraction"] for line in events]
    assert len(seen) <= 7
    assert seen[-1] == 1.0


def test_a_supervisor_that_has_gone_does_not_end_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setenv(EVENTS_VARIABLE, str(write))
    Progress("asr").update(1, 2)
    os.close(write)


def all_of(terminal: int) -> str:
    """Everything that was shown, once the other end is closed."""
    shown = b""
    # Linux ends with an error (EIO), macOS with nothing.
    with suppress(OSError):
        while block := os.read(terminal, 65536):
            shown += block
    os.close(terminal)
    return shown.decode()


def test_a_terminal_that_several_processes_share_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, ours = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(ours, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        display = Display("A Movie: asr", bar=False)
        display.show(0.5, "window 3")
        display.close()
    assert "asr" not in all_of(terminal)


def test_a_terminal_shows_a_bar_and_gets_its_cursor_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    terminal, ours = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(ours, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        report = Progress("asr")
        report.update(1, 2, "window 3")
        time.sleep(0.3)
        report.close()
    shown = all_of(terminal)
    hidden, back = shown.rfind("\x1b[?25l"), shown.rfind("\x1b[?25h")
    assert "asr" in shown
    assert "50 %" in shown
    assert "window 3" in shown
    assert -1 < hidden < back
