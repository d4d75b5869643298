"""What the commands of reelscribe have in common: errors are said with their remedy and end in the documented exit code."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from reelscribe import logger
from reelscribe.artifacts import is_full
from reelscribe.errors import ExitCode, OutOfSpaceError, ReelscribeError

Given = ParamSpec("Given")


def command(main: Callable[Given, int | None]) -> Callable[Given, int]:
    """`main` with the logger set up; what it raises is said, and is its exit code. None is that of success."""

    @wraps(main)
    def answered(*given: Given.args, **more: Given.kwargs) -> int:
        logger.set_up()
        try:
            code = main(*given, **more) or ExitCode.DONE
            sys.stdout.flush()
            return code
        except ReelscribeError as error:
            logger.get().error("%s", error)
            return error.code
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _unread():
                _drop_answer()
                return 128 + signal.SIGPIPE
            if isinstance(error, OSError) and is_full(error):
                logger.get().error("%s", _full(error))
                return ExitCode.NO_SPACE
            logger.get().error("%s: %s\n  → this is a mistake in reelscribe; LOG_LEVEL=DEBUG shows where", type(error).__name__, error)
            logger.get().debug("", exc_info=True)
            return ExitCode.FAILED

    return answered


def _unread() -> bool:
    """Whether nobody reads our answer any more, as behind `| head`. Then there is nobody to tell."""
    answer = select.poll()
    answer.register(1, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in answer.poll(0))


def _drop_answer() -> None:
    """Python would try once more to write it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _full(error: OSError) -> OutOfSpaceError:
    """A disk that is full, that of the answer included: pipeline.sh reads it from a file in TMPDIR."""
    if error.filename is None:
        _drop_answer()
    return OutOfSpaceError(
        f"no space left to write {error.filename or 'what this command answers'}",
        remedy=f"free some space there, or in {os.environ.get('TMPDIR', '/tmp')}, or name another folder in TMPDIR",
    )


def names(text: str) -> list[str]:
    """`a,b` as a list, for argparse."""
    return [name for name in text.split(",") if name]
