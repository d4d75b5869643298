"""Tools are run without shell and stdin, their failures are told, and no process outlives the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from reelscribe import process
from reelscribe.errors import ExitCode, MissingToolError, OutOfSpaceError, StageFailedError
from reelscribe.process import run_tool


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def test_the_answer_of_a_tool_is_its_stdout() -> None:
    assert run_tool(python("import sys; print('ok', len(sys.stdin.read())); print('talk', file=sys.stderr)")) == "ok 0\n"


def test_arguments_meet_no_shell(tmp_path: Path) -> None:
    name = 'it\'s; a "$HOME" `date` *'
    assert run_tool([*python("import sys; print(sys.argv[1])"), name]) == name + "\n"


def test_output_that_is_no_utf8_is_no_error() -> None:
    assert run_tool(python(r"import sys; sys.stdout.buffer.write(b'caf\xe9')")) == "caf\ufffd"


def test_a_failure_tells_the_code_and_the_last_lines() -> None:
    with pytest.raises(StageFailedError) as caught:
        run_tool(python("import sys; [print('line', n, file=sys.stderr) for n in range(20)]; sys.exit(3)"))
    assert "ended with code 3:\n    line 15\n    line 16" in caught.value.message
    assert "line 14" not in caught.value.message
    assert caught.value.code is ExitCode.FAILED


def test_a_crash_tells_the_signal() -> None:
    with pytest.raises(StageFailedError, match="ended with SIGSEGV"):
        run_tool(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))


def test_a_full_disk_met_by_a_tool_has_its_own_exit_code() -> None:
    with pytest.raises(OutOfSpaceError, match="found the disk full") as caught:
        run_tool(python("import sys; sys.exit('av_interleaved_write_frame(): No space left on device')"))
    assert caught.value.code is ExitCode.NO_SPACE


def test_a_tool_that_is_not_there_or_may_not_run(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match="ffmpeg-9 cannot be run: No such file") as caught:
        run_tool([tmp_path / "ffmpeg-9"])
    assert caught.value.code is ExitCode.MISSING
    (tmp_path / "ffmpeg-9").write_text("no program")
    with pytest.raises(MissingToolError, match="ffmpeg-9 cannot be run: Permission denied"):
        run_tool([tmp_path / "ffmpeg-9"])


def test_a_tool_that_hangs_is_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    hang = f"import os, pathlib, time; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(60)"
    with pytest.raises(StageFailedError, match="gave no result within 2 s"):
        run_tool(python(hang), timeout_s=2)
    assert not psutil.pid_exists(int(pid_file.read_text()))


# A supervisor that starts a stage in a group of its own, as reelscribe.supervise does; the stage starts a tool and then is busy
# inside native code, where no Python thread of it runs.
STAGE = """
    import ctypes, subprocess, sys
    from reelscribe import process
    process.die_with_parent()
    tool = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(tool.pid, flush=True)
    ctypes.PyDLL(None).sleep(60)  # keeps the interpreter's lock
"""
SUPERVISOR = """
    import os, subprocess, sys, time
    from reelscribe.process import ALIVE_VARIABLE
    read, write = os.pipe()
    stage = subprocess.Popen(
        [sys.executable, "-c", sys.argv[1]], start_new_session=True, pass_fds=[read], stdout=subprocess.PIPE, text=True,
        env={**os.environ, ALIVE_VARIABLE: str(read)},
    )
    os.close(read)
    print(stage.pid, stage.stdout.readline(), flush=True)
    time.sleep(60)
"""


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_supervisor_takes_the_stage_and_its_tools_with_it() -> None:
    supervisor = subprocess.Popen([*python(SUPERVISOR), textwrap.dedent(STAGE)], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout
    stage, tool = map(int, supervisor.stdout.readline().split())
    assert not gone(stage)
    assert not gone(tool)
    supervisor.send_signal(signal.SIGKILL)
    supervisor.communicate()
    deadline = time.monotonic() + 10
    while not (gone(stage) and gone(tool)) and time.monotonic() < deadline:
        time.sleep(0.05)
    survivors = [name for name, pid in (("stage", stage), ("tool", tool)) if not gone(pid)]
    for pid in (stage, tool):
        if not gone(pid):
            os.kill(pid, signal.SIGKILL)
    assert survivors == []


def test_without_a_supervisor_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(process.ALIVE_VARIABLE, raising=False)
    process.die_with_parent()
