"""Talk: stderr for people, `logs/NN_name.log` for later. Secrets never reach either."""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

NAME = "reelscribe"
_FILE_ONLY = "reelscribe_file_only"
_secrets: set[str] = set()
# What a terminal obeys; names and tags of movies may hold any of it. Line ends and tabs stay.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


def get() -> logging.Logger:
    """The one logger of reelscribe."""
    return logging.getLogger(NAME)


def keep_secret(value: str) -> None:
    """Replace `value` by *** in everything logged from now on, also as libraries write it in addresses, headers, JSON and errors."""
    for said in {value, value.strip()} - {""}:
        data = said.encode(errors="surrogateescape")
        _secrets.update((said, repr(said)[1:-1], json.dumps(said)[1:-1]))
        _secrets.update((quote(data), quote(data, safe=""), quote_plus(data)))
        _secrets.update((base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()))


def redact(text: str) -> str:
    """`text` without secrets; the longest first, as one spelling may begin with another."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def plain(text: str) -> str:
    """`text` with the characters written out (\\x1b) that would move a terminal's cursor, colour it or give it a title."""
    return text.translate(_CONTROLS)


def result(text: str) -> None:
    """What a command was asked for: the only thing that goes to stdout."""
    sys.stdout.write(redact(text) + "\n")
    sys.stdout.flush()


def to_file(text: str) -> bool:
    """Log `text` to the stage's log file only: for tracebacks, which help nobody on the screen. False when there is no such file."""
    get().error(text, extra={_FILE_ONLY: True})
    return any(isinstance(handler, logging.FileHandler) for handler in get().handlers)


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return plain(redact(super().format(record)))


class _ForPeople(_Redacting):
    """The message alone; a warning or an error says that it is one."""

    def format(self, record: logging.LogRecord) -> str:
        mark = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        return "  " + mark + super().format(record)


class _Screen(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever sys.stderr is now: a progress bar puts itself in front of it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def set_up(log_file: Path | None = None, *, level: str | None = None) -> logging.Logger:
    """Talk to stderr and, when given, append to `log_file`. Level from `level` or LOG_LEVEL, INFO when that is no level."""
    logging.raiseExceptions = False  # on a full disk the log cannot be written; that must not bury the line that says so
    logger = get()
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        with suppress(OSError):
            handler.close()
    logger.propagate = False
    wanted = logging.getLevelName((level or os.environ.get("LOG_LEVEL", "")).upper())
    logger.setLevel(wanted if isinstance(wanted, int) else logging.INFO)
    screen = _Screen()
    screen.addFilter(lambda record: not hasattr(record, _FILE_ONLY))
    screen.setFormatter(_ForPeople("%(message)s"))
    logger.addHandler(screen)
    if log_file:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        keep = logging.FileHandler(log_file, encoding="utf-8", errors="backslashreplace")
        formatter = _Redacting("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
        keep.setFormatter(formatter)
        logger.addHandler(keep)
    return logger
