"""For tests/soak/keys.py, in PYTHONPATH: every Python says when it tries to reach the network, or dies with the key in its hands."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

_INTERNET = (2, 10, 30)  # AF_INET; AF_INET6 of Linux and macOS
_LOG = os.environ.get("HOOK_NETWORK")
_CRASH = os.environ.get("HOOK_CRASH") if any(a.endswith("02_tmdb.py") for a in sys.orig_argv) else None
_KEY = os.environ.get("TMDB_TOKEN", "")


def _reaches_out(event: str, arguments: tuple[Any, ...]) -> bool:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        return arguments[0].family in _INTERNET
    return event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not event.startswith("socket.") or not _reaches_out(event, arguments):
        return
    if _LOG:
        with open(_LOG, "a", encoding="utf-8") as f:
            f.write(f"{event} {arguments[1:]} {sys.orig_argv}\n")
    if _CRASH == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if _CRASH == "exception":
        raise RuntimeError(f"no way to {_KEY} ({_KEY!r})")


if _LOG or _CRASH:
    sys.addaudithook(_hook)
