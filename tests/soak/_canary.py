"""A key that must be nowhere: what it may look like, and where to look for it while a run lasts and afterwards."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import psutil

KEY = "canary+eyJhbGci/OiJIUzI1~NiJ9=&%Q"
# Of base64 what does not hang on where in a text the key begins.
FORMS = {
    "itself": KEY,
    "its middle": KEY[8:-4],
    "in an address": quote(KEY, safe=""),
    "in a form": quote_plus(KEY),
    "in JSON": json.dumps(KEY)[1:-1],
    "in hexadecimal": KEY.encode().hex(),
    **{f"in base64 ({shift})": base64.b64encode(b" " * shift + KEY.encode())[4:-4].decode() for shift in range(3)},
}
_TICK_S = 0.02
# Processes that have no use for any key: the other stages, and what stages start.
_MUST_NOT_KNOW = re.compile(r"stages/(01|03|04|08|09|10)_|ffmpeg|ffprobe|worker\.py")


def spelt_in(text: str | bytes) -> list[str]:
    """How the key is in `text`."""
    content = text if isinstance(text, bytes) else text.encode(errors="surrogateescape")
    return [name for name, form in FORMS.items() if form.encode() in content]


def left_in(folder: Path, *, but: Sequence[Path] = ()) -> Iterator[str]:
    """Every file below `folder` (names, contents, targets of links) that holds the key, except `but`."""
    for path in folder.rglob("*"):
        told = str(path.relative_to(folder)).encode() + (str(path.readlink()).encode() if path.is_symlink() else b"")
        with suppress(OSError):
            told += path.read_bytes() if path.is_file() and path not in but else b""
        yield from (f"{path.relative_to(folder)} holds the key {how}" for how in spelt_in(told))


@dataclass
class Ran:
    """A command that has ended, and what was wrong about it."""

    code: int
    stdout: str
    stderr: str
    problems: list[str]


def run(command: Sequence[str | Path], environment: Mapping[str, str], folder: Path, *, limit_s: float = 900) -> Ran:
    """Run in `folder`; every process that it starts is looked at."""
    process = subprocess.Popen(
        [str(a) for a in command],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
    )
    over, seen = threading.Event(), set[str]()
    watch = threading.Thread(target=_watch, args=(process.pid, over, seen), daemon=True)
    watch.start()
    try:
        stdout, stderr = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        seen.add(f"no end after {limit_s:.0f} s")
    over.set()
    watch.join()
    said = [f"{name} holds the key {how}" for name, text in (("stdout", stdout), ("stderr", stderr)) for how in spelt_in(text)]
    traced = ["a traceback is on the screen"] if "Traceback (most recent" in stderr else []
    return Ran(process.returncode, stdout, stderr, [*sorted(seen), *said, *traced])


def _watch(pid: int, over: threading.Event, seen: set[str]) -> None:
    """Command lines of all processes below `pid`, and the environments of those that need no key."""
    while not over.wait(_TICK_S):
        with suppress(psutil.Error):
            for child in psutil.Process(pid).children(recursive=True):
                with suppress(psutil.Error):
                    line = " ".join(child.cmdline())
                    if spelt_in(line):
                        seen.add(f"a command line holds the key: {line[:60]}")
                    if _MUST_NOT_KNOW.search(line) and any(KEY in value for value in child.environ().values()):
                        seen.add(f"an environment holds the key: {line[:120]}")
