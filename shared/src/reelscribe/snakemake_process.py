"""Snakemake as a child: it ends with us, and on a signal it takes its jobs back first."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from reelscribe import device_manager
from reelscribe.errors import ExitCode, MissingToolError
from reelscribe.process import ALIVE_VARIABLE
from reelscribe.stage_table import NATIVE

# die_with_parent() leaves a watcher behind that kills the group when our end of the pipe closes; then it becomes Snakemake. What a script
# starts with & ignores SIGINT, and all its children with it; Snakemake knows no other signal that takes its jobs back.
_LAUNCH = """
import runpy, signal, sys
from reelscribe.process import die_with_parent
die_with_parent()
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[0] = "snakemake"
runpy.run_module("snakemake", run_name="__main__")
"""
# Time for scancel, and for stages to end as after Ctrl-C.
_GRACE_S = 60.0
_TICK_S = 0.2


def runs_here(profile: Path) -> bool:
    """Whether jobs run on this machine: Snakemake's own executor, unless the profile names another."""
    return _says(profile, "executor") in ("", "local")


def _says(profile: Path, key: str) -> str:
    """What stands behind the key on its line of the profile; `{}` for what stands below it."""
    line = re.search(rf"^{key}[ ]*:(.*)", (profile / "config.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    return (line[1].partition("#")[0].strip(" '\"") or "{}") if line else ""


class Snakemake:
    """native/workflow/Snakefile at work in `folder`, with its config.json. more: options of snakemake's. Raises MissingToolError."""

    def __init__(self, folder: Path, profile: Path, more: Sequence[str]) -> None:
        python = NATIVE / "venvs" / "workflow" / "bin" / "python"
        if not python.with_name("snakemake").exists():
            raise MissingToolError(
                "Snakemake is not in the environment workflow: it needs Python 3.11 or later",
                remedy=f"PYTHON=python3.12 {NATIVE}/setup_venvs.sh --force workflow",
            )
        command = [str(python), "-c", _LAUNCH, "--snakefile", str(NATIVE / "workflow" / "Snakefile")]
        command += ["--directory", str(folder), "--configfile", str(folder / "config.json"), "--workflow-profile", str(profile)]
        if runs_here(profile) and not _says(profile, "resources"):
            command += ["--resources", "gpu=1", f"mem_mb={device_manager.probe().ram_mb}"]
        alive, self._alive = os.pipe()
        self._stopped_at = 0.0
        self._process = subprocess.Popen(
            [*command, *more],
            stdin=subprocess.DEVNULL,
            stdout=2,  # stdout is for results
            cwd=folder,
            start_new_session=True,
            pass_fds=(alive,),
            env={**os.environ, ALIVE_VARIABLE: str(alive), "PYTHONUNBUFFERED": "1"},
        )
        os.close(alive)

    def stop(self) -> None:
        """End it and its jobs."""
        if not self._stopped_at:
            self._stopped_at = time.monotonic()
            self._signal(signal.SIGINT)

    def wait(self) -> int:
        """Until it has ended: its exit code, 130 when it was stopped."""
        while self._process.poll() is None:
            time.sleep(_TICK_S)
            if self._stopped_at and time.monotonic() > self._stopped_at + _GRACE_S:
                self._signal(signal.SIGKILL)
        self._signal(signal.SIGKILL)
        os.close(self._alive)
        return ExitCode.INTERRUPTED if self._stopped_at else self._process.returncode

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
