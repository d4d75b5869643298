"""python -m reelscribe.review DIR: serve the report of a movie on this machine, for its cues, names and glossary to be edited.

The address, which holds a secret, goes to stdout; whoever knows it may read the movie and change its subtitles. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import threading
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path
from types import FrameType

from reelscribe import jobs, logger
from reelscribe.command_line import command
from reelscribe.errors import BusyError, MissingInputError, UsageError
from reelscribe.review.desk import SHOWN, Desk
from reelscribe.review.rerun import Reruns
from reelscribe.review.server import Server

_LOCK = ".review.lock"
_LINK = ".review.html"


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = _parser().parse_args(arguments)
    movie_dir = jobs.existing(Path(args.movie_dir), Path(args.out))
    if not (movie_dir / SHOWN).is_file():
        raise MissingInputError(SHOWN, "post-ner")
    with _alone(movie_dir):
        serve(movie_dir, port=args.port, browser=not args.no_browser)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reelscribe.review", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("movie_dir", metavar="DIR", help="a movie directory, or the movie")
    parser.add_argument("--out", default="out", help="where movie directories are, when DIR is a movie")
    parser.add_argument("--port", type=_port, default=0, metavar="N", help="0, the default: any that is free")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text} is no port")
    return int(text)


def serve(movie_dir: Path, *, port: int, browser: bool) -> None:
    """Until this process is told to end. Raises UsageError when the port is taken."""
    desk = Desk(movie_dir)
    reruns = Reruns(movie_dir, desk)
    try:
        server = Server(movie_dir, desk, reruns, port=port)
    except OSError as error:
        reruns.close()
        raise UsageError(f"port {port} cannot be used: {error.strerror}", remedy="choose another --port, or none") from error
    # On stdout once; what is logged from now on does not have it.
    logger.result(server.url)
    logger.keep_secret(server.token)
    logger.get().info("reviewing %s; the address is a secret, and good until this ends (Ctrl-C)", movie_dir.name)
    with server, _told_to_end(server), _shown(movie_dir, server.url, wanted=browser and sys.stdout.isatty()):
        server.serve_forever()
    if not reruns.close():
        logger.get().warning("the subtitled movie lacks the last edits, which are kept: native/pipeline.sh --resume %s", movie_dir)


@contextmanager
def _told_to_end(server: Server) -> Iterator[None]:
    """Ctrl-C and TERM end the server, not what it is doing."""

    def end(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown(movie_dir: Path, url: str, *, wanted: bool) -> Iterator[None]:
    """The page in the user's browser, where there is one."""
    if not (wanted and (sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))):
        yield
        return
    # A command line is there for every user of the machine to see, so the browser gets the address from a file that only we can read.
    link = movie_dir / _LINK
    with suppress(OSError):
        link.unlink(missing_ok=True)
        with os.fdopen(os.open(link, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
            f.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={escape(url)}">\n')
        webbrowser.open(link.as_uri())
    try:
        yield
    finally:
        link.unlink(missing_ok=True)


@contextmanager
def _alone(movie_dir: Path) -> Iterator[None]:
    """One review of a movie at a time: two would write over each other's edits."""
    with open(movie_dir / _LOCK, "a") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BusyError(f"{movie_dir.name} is being reviewed already", remedy="use that review, or end it first") from error
        yield


if __name__ == "__main__":
    sys.exit(main())
