"""What a process of ours may do on the network: no telemetry, no login that nobody gave us, and with OFFLINE nothing at all."""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import Any

# Read by libraries when they are imported, so it is set before: in runner.py for every stage and what it starts, in hub.py for core.
QUIET = {
    "DO_NOT_TRACK": "1",  # https://consoledonottrack.com
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub and what asks it: transformers, faster-whisper, mlx-whisper
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",  # the token that `hf auth login` has left is not ours
    "HF_HUB_DISABLE_XET": "1",  # like hf_transfer it asks hosts of its own, past HF_ENDPOINT
    "HF_HUB_ENABLE_HF_TRANSFER": "0",
    "PYANNOTE_METRICS_ENABLED": "0",  # pyannote/audio/telemetry: models, pipelines and the length of every movie
    "OTEL_SDK_DISABLED": "true",  # OpenTelemetry, which pyannote sends them with
}
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
_INTERNET = (socket.AF_INET, socket.AF_INET6)


def set_up(*, offline: bool) -> None:
    """For this process and its children. offline: this process connects to nobody from now on, whatever a library may try."""
    os.environ.update(QUIET)
    if offline:
        os.environ.update(_OFFLINE)
        sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """https://docs.python.org/3/library/audit_events.html"""
    if not event.startswith("socket."):
        return
    asks = event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
    sends = event in ("socket.connect", "socket.sendto", "socket.sendmsg") and arguments[0].family in _INTERNET
    if asks or sends:
        raise OSError(errno.ENETUNREACH, "OFFLINE forbids the network")
