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
from reelscribe.process import Child, run_tool


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


# The same, but with a worker that is started as a Child by a process that is killed itself.
PARENT = """
    import sys, time
    from reelscribe.process import Child
    child = Child([sys.executable, "-c", sys.argv[1]])
    print(child.process.pid, child.process.stdout.readline().decode(), flush=True)
    time.sleep(60)
"""


def survivors(pids: dict[str, int]) -> list[str]:
    """The names of those that are still there after ten seconds, at which point they are killed."""
    deadline = time.monotonic() + 10
    while not all(map(gone, pids.values())) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [name for name, pid in pids.items() if not gone(pid)]
    for name in left:
        os.kill(pids[name], signal.SIGKILL)
    return left


@pytest.mark.parametrize("starter", [SUPERVISOR, PARENT])
def test_a_killed_process_takes_what_it_started_and_its_tools_with_it(starter: str) -> None:
    supervisor = subprocess.Popen([*python(starter), textwrap.dedent(STAGE)], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout
    stage, tool = map(int, supervisor.stdout.readline().split())
    assert not gone(stage)
    assert not gone(tool)
    supervisor.send_signal(signal.SIGKILL)
    supervisor.communicate()
    assert survivors({"stage": stage, "tool": tool}) == []


def test_a_child_is_ended_with_its_children() -> None:
    child = Child(python(STAGE))
    assert child.process.stdout
    tool = int(child.process.stdout.readline())
    assert child.end() == -signal.SIGKILL
    assert survivors({"child": child.process.pid, "tool": tool}) == []
    assert child.end() == -signal.SIGKILL


def test_a_child_that_ended_keeps_its_return_code() -> None:
    child = Child(python("import sys; sys.exit(len(sys.stdin.read()))"))
    assert child.process.stdin
    child.process.stdin.write(b"seven!!")
    child.process.stdin.close()
    child.process.wait(timeout=10)
    assert process.ending(child.end()) == "code 7"


def test_a_child_that_cannot_be_started_leaves_nothing_open(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    with pytest.raises(FileNotFoundError):
        Child([tmp_path / "nothing"])
    assert psutil.Process().num_fds() == before


def test_endings_in_words() -> None:
    assert [process.ending(code) for code in (-11, -99, 3)] == ["SIGSEGV", "code -99", "code 3"]


def test_without_a_supervisor_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(process.ALIVE_VARIABLE, raising=False)
    process.die_with_parent()
