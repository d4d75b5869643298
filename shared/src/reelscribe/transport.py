"""requests, with servers that cannot fill memory or disk and cannot make anybody wait for ever. For the environments that have requests.

requests' own timeout is that of one read: a server that sends a byte now and then, in its headers too, is never too slow for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter

Given = TypeVar("Given")
_BLOCK = 1 << 16


class TooLargeError(requests.RequestException):
    """More arrives than was asked for."""


class TooSlowError(requests.RequestException):
    """Something arrives, but not in the time that it may take."""


@dataclass
class Limits:
    """Of one answer: bytes of its body; seconds until its headers are there, then until its body is, or each `piece` of it (bytes)."""

    max_bytes: int
    head_s: float
    body_s: float
    piece: int | None = None


class Bounded(HTTPAdapter):
    """Answers within `limits`, and as they were sent: nothing is unpacked, so a small answer stays small.

    Raises TooLargeError and TooSlowError beside what requests raises.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """See HTTPAdapter."""
        request.headers["Accept-Encoding"] = "identity"
        given_up = threading.Event()

        def ask() -> requests.Response:
            response = super(Bounded, self).send(request, *args, **options)
            if given_up.is_set():
                response.close()
            return response

        try:
            return within(self.limits.head_s, ask)
        except TimeoutError as error:
            given_up.set()
            raise requests.ReadTimeout(f"no answer within {self.limits.head_s:g} s", request=request) from error

    def build_response(self, request: requests.PreparedRequest, raw: Any) -> requests.Response:
        """See HTTPAdapter; every way to the body in requests goes through its raw stream."""
        raw.stream = lambda *_, **__: self._pieces(raw)
        return super().build_response(request, raw)

    def _pieces(self, raw: Any) -> Iterator[bytes]:
        limits, arrived, seen = self.limits, 0, 0
        end = time.monotonic() + limits.body_s
        while block := raw.read1(_BLOCK, decode_content=False):
            arrived += len(block)
            if arrived > limits.max_bytes:
                raw.close()
                raise TooLargeError(f"more than {limits.max_bytes} bytes")
            if limits.piece and arrived - seen >= limits.piece:
                seen, end = arrived, time.monotonic() + limits.body_s
            if time.monotonic() > end:
                raw.close()
                raise TooSlowError(f"{arrived - seen} bytes in {limits.body_s:g} s")
            yield block


def within(limit_s: float, function: Callable[[], Given]) -> Given:
    """What `function` gives. Raises TimeoutError when that takes longer; it goes on in a thread, which ends with this process."""
    given: list[Given] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            given.append(function())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(limit_s)
    if raised:
        raise raised[0]
    if not given:
        raise TimeoutError
    return given[0]
