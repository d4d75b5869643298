"""The stages that follow from an edit, run by native/pipeline.sh, one run at a time, while the page is told how far they are."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from reelscribe import lease, logger, manifest, stage_table
from reelscribe.errors import BusyError, ExitCode, ReelscribeError
from reelscribe.review.desk import Desk
from reelscribe.stage_table import NATIVE

QUIET_S = 15.0  # mux copies the whole movie: not while somebody still writes
BUSY_S = 2.0  # how often a directory that another run holds is looked at
_END_S = 20.0

State = Literal["idle", "subtitles", "movie", "waiting", "failed"]


class Reruns:
    """A thread that runs post-ner and subtitle-gen after an edit, and mux when there was none for QUIET_S."""

    def __init__(self, movie_dir: Path, desk: Desk, *, pipeline: Path = NATIVE / "pipeline.sh", quiet_s: float = QUIET_S) -> None:
        self._dir = movie_dir
        self._desk = desk
        self._pipeline = pipeline
        self._quiet_s = quiet_s
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = False
        self._edited = desk.pending()
        self._last_edit = time.monotonic()
        self._movie_behind = False
        self._version = 0
        self._state: State = "idle"
        self._message = ""
        self._thread = threading.Thread(target=self._loop, name="reruns", daemon=True)
        self._thread.start()

    def want(self) -> None:
        """Something was edited."""
        with self._changed:
            self._edited, self._last_edit = True, time.monotonic()
            if self._state == "failed":
                self._state, self._message = "idle", ""
            self._changed.notify_all()

    def tell(self) -> dict[str, Any]:
        """`version`: how often the subtitles were made anew. `pending`: whether edits are not in them yet; `behind`: in the movie."""
        with self._changed:
            told = {"version": self._version, "state": self._state, "message": self._message}
            return {**told, "pending": self._edited or self._state in ("subtitles", "waiting"), "behind": self._movie_behind}

    def close(self) -> bool:
        """End what runs. False when the subtitled movie lacks edits, or the subtitles do."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            process = self._process
        if process:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        self._thread.join(_END_S)
        return not (self._edited or self._movie_behind)

    # -- the thread -----------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._closing and not self._due():
                    self._changed.wait(0.2 if self._movie_behind else None)
                if self._closing:
                    return
                subtitles, self._edited = self._edited, False
                self._state, self._message = ("subtitles" if subtitles else "movie"), ""
            try:
                self._run("post-ner", "subtitle-gen") if subtitles else self._run("mux", "mux")
            except BusyError as error:
                self._again(subtitles, "waiting", f"{error.message}. Your changes are kept and follow when it has ended.")
            except Exception as error:
                logger.get().debug("", exc_info=True)
                told = error.message if isinstance(error, ReelscribeError) else f"{type(error).__name__}: {error}"
                self._again(subtitles, "failed", told)
            else:
                self._done(subtitles)

    def _due(self) -> bool:
        if self._state == "failed":
            return False
        return self._edited or (self._movie_behind and time.monotonic() - self._last_edit >= self._quiet_s)

    def _done(self, subtitles: bool) -> None:
        with self._changed:
            self._state = "idle"
            # A movie that was never subtitled, as of a run with --to, stays so.
            self._movie_behind = subtitles and manifest.read(self._dir, stage_table.find("mux")) is not None
            self._version += 1

    def _again(self, subtitles: bool, state: State, message: str) -> None:
        with self._changed:
            self._edited = self._edited or subtitles
            self._state, self._message = state, message
            if state == "waiting" and not self._closing:
                self._changed.wait(BUSY_S)

    def _run(self, first: str, last: str) -> None:
        """Run the stages from `first` to `last`. Raises BusyError, ReelscribeError."""
        lost = self._desk.write_names()
        if lost:
            logger.get().warning("names that fit no voice any more: %s", ", ".join(lost))
        code, said = self._call([str(self._pipeline), f"--resume={self._dir}", f"--from={first}", f"--to={last}"])
        if code == ExitCode.BUSY:
            holder = lease.holder(self._dir) or {}
            raise BusyError(f"another run ({holder.get('pid', 'just now')}) holds this movie")
        if code:
            reason = next((line.split("error: ", 1)[1] for line in said if "error: " in line), said[-1] if said else "")
            raise ReelscribeError(f"pipeline.sh ended with code {code}: {reason}")

    def _call(self, command: Sequence[str]) -> tuple[int, list[str]]:
        environment = {name: value for name, value in os.environ.items() if name != lease.TOKEN_VARIABLE}
        with self._changed:
            if self._closing:
                raise ReelscribeError("the review has ended")
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # Ctrl-C ends the review, which ends this
            )
        _, said = self._process.communicate()
        code = self._process.returncode
        self._process = None
        return code, [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
