"""Errors that carry their data, the remedy and the exit code."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Stable interface of every command of reelscribe; a crash keeps its signal's code (128 + n)."""

    DONE = 0
    USAGE = 2
    BAD_INPUT = 3
    MISSING = 4
    NO_SPACE = 5
    FAILED = 6
    BUSY = 7
    INTERRUPTED = 130


class ReelscribeError(Exception):
    """What is wrong (`message`), what to do about it (`remedy`) and the process's exit `code`."""

    code = ExitCode.FAILED

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.remedy}" if self.remedy else self.message


class UsageError(ReelscribeError):
    """The command line or a setting is wrong."""

    code = ExitCode.USAGE


class BadInputError(ReelscribeError):
    """A file given by the user, or found in the movie directory, cannot be used."""

    code = ExitCode.BAD_INPUT


class MissingInputError(BadInputError):
    """A file that an earlier stage makes is not there."""

    def __init__(self, path: str, producer: str) -> None:
        super().__init__(f"{path} is missing", remedy=f"run the stage {producer} first")
        self.path = path
        self.producer = producer


class NewerSchemaError(BadInputError):
    """A file that a newer reelscribe wrote: it may mean something we do not know."""

    def __init__(self, what: str, found: int, known: int) -> None:
        super().__init__(
            f"{what} was written by a newer reelscribe (schema {found}, this one knows {known})",
            remedy="update reelscribe, or choose another folder with --out",
        )
        self.found = found
        self.known = known


class MissingToolError(ReelscribeError):
    """A program, package or model that is needed is not there."""

    code = ExitCode.MISSING


class OutOfSpaceError(ReelscribeError):
    """The disk is full."""

    code = ExitCode.NO_SPACE


class StageFailedError(ReelscribeError):
    """A stage could not do its work."""

    code = ExitCode.FAILED


class BusyError(ReelscribeError):
    """Another run holds the movie directory."""

    code = ExitCode.BUSY
