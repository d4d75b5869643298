"""A server on this machine that answers every request in one wrong way, for whoever asks TMDB, the hub or anybody else."""

from __future__ import annotations

import contextlib
import gzip
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BOMB_MB = 64
_MEGABYTE = gzip.compress(bytes(1 << 20))  # such members one after the other are a file, too


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Not on the test's stderr."""

    def do_GET(self) -> None:
        owner = self.server.owner
        owner.seen.append((self.path, self.headers.get("Authorization", "")))
        self.close_connection = True
        with contextlib.suppress(OSError):
            BEHAVIOURS[owner.behaviour](self)

    do_HEAD = do_GET  # noqa: N815

    def reply(self, status: int, body: bytes = b"{}", **heads: str) -> None:
        """A whole answer; underscores in the names of headers stand for dashes."""
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), "Connection": "close", **heads}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def begin(self, **heads: str) -> None:
        """The headers of an answer without a length."""
        self.send_response(200)
        for name, value in {"Connection": "close", **heads}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def drip(self, piece: bytes) -> None:
        """Every moment a little, until the test is over."""
        while not self.server.owner.over.wait(0.05):
            self.wfile.write(piece)
            self.wfile.flush()

    @property
    def key(self) -> str:
        return self.headers.get("Authorization", "")


def _echo(handler: _Handler) -> None:
    """What a debugging proxy does: everything that it was sent, in the body and in headers."""
    body = json.dumps({"results": [], "siblings": [], "id": "x/y", "sent": handler.key}).encode()
    handler.reply(200, body, X_Error_Message=handler.key, WWW_Authenticate=handler.key, X_Request_Id=handler.key)


def _refuse_and_echo(handler: _Handler) -> None:
    handler.reply(401, json.dumps({"error": f"unknown key {handler.key}"}).encode(), X_Error_Message=f"Invalid {handler.key}")


def _cut(handler: _Handler) -> None:
    handler.begin(Content_Length="1000")
    handler.wfile.write(b"{")


def _endless(handler: _Handler) -> None:
    handler.begin()
    while not handler.server.owner.over.is_set():
        handler.wfile.write(b" " * (1 << 20))


def _bomb(handler: _Handler) -> None:
    handler.reply(200, _MEGABYTE * BOMB_MB, Content_Encoding="gzip")


def _slow_body(handler: _Handler) -> None:
    handler.begin(Content_Length="1000000")
    handler.drip(b" ")


def _slow_headers(handler: _Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    handler.drip(b"x")


BEHAVIOURS: dict[str, Callable[[_Handler], object]] = {
    "wrong key": _refuse_and_echo,
    "forbidden": lambda h: h.reply(403),
    "absent": lambda h: h.reply(404),
    "too many": lambda h: h.reply(429, Retry_After="0"),
    "out of order": lambda h: h.reply(500, b"<html>"),
    "garbage": lambda h: h.reply(200, bytes(range(256)) * 4),
    "echo": _echo,
    "elsewhere": lambda h: h.reply(302, b"", Location=h.server.owner.elsewhere + h.path),
    "cut": _cut,
    "endless": _endless,
    "bomb": _bomb,
    "silent": lambda h: h.server.owner.over.wait(60),
    "slow body": _slow_body,
    "slow headers": _slow_headers,
}


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    owner: HostileServer


@dataclass
class HostileServer:
    """Answers as BEHAVIOURS[behaviour] does. elsewhere: where it redirects to. certificate: PEM with certificate and key, for TLS.

    seen: path and Authorization of every request.
    """

    behaviour: str = "absent"
    elsewhere: str = ""
    certificate: Path | None = None
    seen: list[tuple[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> HostileServer:
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.owner = self
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._listener.socket = context.wrap_socket(self._listener.socket, server_side=True)
        threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._listener.shutdown()
        self._listener.server_close()

    @property
    def url(self) -> str:
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self._listener.server_port}"
