"""python -m reelscribe.report MOVIE_DIR: write its report.html; the path goes to stdout."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reelscribe import logger, report
from reelscribe.errors import ExitCode, ReelscribeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m reelscribe.report", description=__doc__)
    parser.add_argument("movie_dir", metavar="MOVIE_DIR", type=Path, help="the movie's folder, as out/Film")
    args = parser.parse_args(arguments)
    logger.set_up()
    try:
        logger.result(str(report.write(args.movie_dir)))
    except ReelscribeError as error:
        logger.get().error("%s", error)
        return error.code
    except Exception as error:
        logger.get().error(
            "report.html: %s: %s\n  → this is a mistake in reelscribe; LOG_LEVEL=DEBUG shows where", type(error).__name__, error
        )
        logger.get().debug("", exc_info=True)
        return ExitCode.FAILED
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
