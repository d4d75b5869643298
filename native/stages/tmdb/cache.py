"""TMDB's answers on disk: in the movie directory, so that it stays whole offline, and per user, for the next run of any movie."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from reelscribe.artifacts import read_bounded, write_json
from reelscribe.errors import BadInputError, OutOfSpaceError
from tmdb.fields import parsed

_MAX_BYTES = 16 << 20


class AnswerCache:
    """Looks in `folders` in order, the movie directory's first; what is older than `max_age` is deleted when met (TMDB's terms allow six
    months). Of what is found the folders before it get a copy, never those behind: a movie directory may be somebody else's, and what it
    says of a movie must not become the user's own answer for all movies to come.
    """

    def __init__(self, folders: list[Path], max_age: timedelta) -> None:
        self._folders = folders
        self._max_age = max_age

    def get(self, request: str) -> Any | None:
        """The answer to `request` (an address without any secret), or None."""
        for number, folder in enumerate(self._folders):
            entry = self._entry(_path(folder, request), request)
            if entry:
                self._store(request, entry, self._folders[:number])
                return entry["answer"]
        return None

    def put(self, request: str, answer: Any) -> None:
        """Keep `answer` in every folder."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._store(request, {"request": request, "fetched": now, "answer": answer}, self._folders)

    def _entry(self, path: Path, request: str) -> dict[str, Any] | None:
        try:
            entry = parsed(read_bounded(path, _MAX_BYTES))
            age = datetime.now(timezone.utc) - datetime.fromisoformat(entry["fetched"])
            usable = entry["request"] == request and "answer" in entry
        except (OSError, BadInputError, ValueError, KeyError, TypeError, RecursionError):
            return None
        if timedelta(days=-1) <= age <= self._max_age:
            return entry if usable else None
        with suppress(OSError):
            path.unlink()
        return None

    def _store(self, request: str, entry: dict[str, Any], folders: list[Path]) -> None:
        for folder in folders:
            # A cache that cannot be written (a home that is read-only or full, a text that is none) must not stop anything.
            with suppress(OSError, OutOfSpaceError, ValueError, RecursionError):
                write_json(_path(folder, request), entry)


def _path(folder: Path, request: str) -> Path:
    return folder / f"{hashlib.sha256(request.encode()).hexdigest()[:32]}.json"
