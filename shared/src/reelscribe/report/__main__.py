"""python -m reelscribe.report MOVIE_DIR: write its report.html; the path goes to stdout."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reelscribe import logger, report
from reelscribe.command_line import command


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m reelscribe.report", description=__doc__)
    parser.add_argument("movie_dir", metavar="MOVIE_DIR", type=Path, help="the movie's folder, as out/Film")
    logger.result(str(report.write(parser.parse_args(arguments).movie_dir)))


if __name__ == "__main__":
    sys.exit(main())
