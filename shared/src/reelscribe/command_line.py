"""What the commands of reelscribe have in common: errors are said with their remedy and end in the documented exit code."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from reelscribe import logger
from reelscribe.errors import ExitCode, ReelscribeError

Given = ParamSpec("Given")


def command(main: Callable[Given, int | None]) -> Callable[Given, int]:
    """`main` with the logger set up; what it raises is said, and is its exit code. None is that of success."""

    @wraps(main)
    def answered(*given: Given.args, **more: Given.kwargs) -> int:
        logger.set_up()
        try:
            return main(*given, **more) or ExitCode.DONE
        except ReelscribeError as error:
            logger.get().error("%s", error)
            return error.code
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED
        except Exception as error:
            logger.get().error("%s: %s\n  → this is a mistake in reelscribe; LOG_LEVEL=DEBUG shows where", type(error).__name__, error)
            logger.get().debug("", exc_info=True)
            return ExitCode.FAILED

    return answered


def names(text: str) -> list[str]:
    """`a,b` as a list, for argparse."""
    return [name for name in text.split(",") if name]
