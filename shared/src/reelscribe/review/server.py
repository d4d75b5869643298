"""HTTP on 127.0.0.1 for one browser: five paths, all below a secret one."""

from __future__ import annotations

import json
import secrets
import threading
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from reelscribe import logger
from reelscribe.errors import ReelscribeError
from reelscribe.review import files, page
from reelscribe.review.desk import Desk, OutdatedError, RefusedError
from reelscribe.review.rerun import Reruns

HOST = "127.0.0.1"
_MAX_BODY = 64 << 10
_MAX_CONNECTIONS = 32
_PATIENCE_S = 60  # a connection on which nothing happens ends
_PAUSED_S = 900  # but for a film that is paused; later it is asked for again
_SAFE = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_NOTHING = "default-src 'none'; frame-ancestors 'none'"


class Server(ThreadingHTTPServer):
    """Serves the review of `movie_dir`. Raises OSError when the port is taken."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, movie_dir: Path, desk: Desk, reruns: Reruns, *, port: int = 0) -> None:
        self.movie_dir, self.desk, self.reruns = movie_dir, desk, reruns
        self.token = secrets.token_urlsafe(32)
        self.reading = threading.Lock()
        self._free = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        super().__init__((HOST, port), Handler)
        self.hosts = (f"{HOST}:{self.server_port}", f"localhost:{self.server_port}")
        self.url = f"http://{self.hosts[0]}/{self.token}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, of which there are not too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Until the connection ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no news."""
        logger.get().debug("a connection ended", exc_info=True)


class AnswerError(Exception):
    """Ends the handling of a request with this status and a line for the user."""

    def __init__(self, status: HTTPStatus, message: str = "", **headers: str) -> None:
        super().__init__(message or status.phrase)
        self.status, self.headers = status, headers


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE_S

    def version_string(self) -> str:
        """Nothing about versions."""
        return "reelscribe"

    def log_message(self, format: str, *args: Any) -> None:
        """Never the path: it has the token."""
        logger.get().debug("review: %s %s", self.command, args[1] if len(args) > 1 else "")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server cannot read, without repeating any of it."""
        self.close_connection = True
        self._send(HTTPStatus(code), {"error": HTTPStatus(code).phrase}, **{"Connection": "close"})

    def do_GET(self) -> None:
        """A page, its data, a file."""
        self._answer(self._get)

    def do_HEAD(self) -> None:
        """The same without its content."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """A change."""
        self._answer(self._post)

    def _answer(self, handle: Any) -> None:
        try:
            handle(self._address())
        except AnswerError as answer:
            self.close_connection = True  # whatever body there is was not read
            self._send(answer.status, {"error": str(answer)}, **{"Connection": "close"}, **answer.headers)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except ReelscribeError as error:
            self._send(HTTPStatus.CONFLICT, {"error": error.message})
        except Exception as error:
            logger.get().error("review: %s: %s", type(error).__name__, error)
            logger.get().debug("", exc_info=True)
            self.close_connection = True
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "this is a mistake in reelscribe"})

    # -- who asks, and for what -----------------------------------------------------------------------------------------

    def _address(self) -> str:
        """What comes after the token in the path. Raises AnswerError to whoever may not ask."""
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            raise AnswerError(HTTPStatus.MISDIRECTED_REQUEST)
        path = self.path.partition("?")[0]
        token, slash, address = path.removeprefix("/").partition("/")
        known = compare_digest(token.encode("utf-8", "replace"), self.server.token.encode())
        if not (path.startswith("/") and slash and known):
            raise AnswerError(HTTPStatus.NOT_FOUND)
        return address

    def _body(self) -> bytes:
        """What a page of ours sent. Raises AnswerError for anything else."""
        origin = self.headers.get_all("Origin") or []
        if origin != [f"http://{self.headers['Host'].lower()}"] or self.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise AnswerError(HTTPStatus.FORBIDDEN)
        if self.headers.get_content_type() != "application/json":
            raise AnswerError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        lengths = self.headers.get_all("Content-Length") or []
        if self.headers.get("Transfer-Encoding") or len(lengths) != 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
            raise AnswerError(HTTPStatus.LENGTH_REQUIRED)
        if len(lengths[0]) > 9 or int(lengths[0]) > _MAX_BODY:
            raise AnswerError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self.rfile.read(int(lengths[0]))
        if len(body) < int(lengths[0]):
            raise ConnectionError("the request broke off")
        return body

    # -- answers --------------------------------------------------------------------------------------------------------

    def _get(self, address: str) -> None:
        server = self.server
        told = server.reruns.tell()
        if address == "":
            self._send_bytes(page.page(self._collected(told)).encode(), "text/html; charset=utf-8", page.policy())
        elif address == "data":
            self._send(HTTPStatus.OK, self._collected(told))
        elif address == "state":
            self._send(HTTPStatus.OK, page.review(server.movie_dir, server.desk, told))
        elif address == "do":
            raise AnswerError(HTTPStatus.METHOD_NOT_ALLOWED, Allow="POST")
        elif served := files.allowed(server.movie_dir).get(address) if address.startswith(("media/", "subtitles/")) else None:
            self._send_file(served)
        else:
            raise AnswerError(HTTPStatus.NOT_FOUND)

    def _collected(self, told: dict[str, Any]) -> dict[str, Any]:
        with self.server.reading:  # seconds of a processor for a long film: one at a time
            return page.collect(self.server.movie_dir, self.server.desk, told)

    def _post(self, address: str) -> None:
        if address != "do":
            raise AnswerError(HTTPStatus.METHOD_NOT_ALLOWED, Allow="GET, HEAD")
        body = self._body()
        server = self.server
        try:
            server.desk.take(body)
        except OutdatedError as error:
            self._send(HTTPStatus.CONFLICT, {"error": error.message})
            return
        except RefusedError as error:
            self._send(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": error.message})
            return
        server.reruns.want()
        self._send(HTTPStatus.OK, page.review(server.movie_dir, server.desk, server.reruns.tell()))

    def _send(self, status: HTTPStatus, content: dict[str, Any], **headers: str) -> None:
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        self._send_bytes(body, "application/json; charset=utf-8", _NOTHING, status, **headers)

    def _send_bytes(self, body: bytes, type: str, policy: str, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> None:
        self._begin(status, {"Content-Type": type, "Content-Length": str(len(body)), "Content-Security-Policy": policy, **headers})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _begin(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_SAFE, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_file(self, served: files.Served) -> None:
        try:
            f, about = files.opened(served.path)
        except OSError:
            raise AnswerError(HTTPStatus.NOT_FOUND) from None
        with f:
            unchanged = self.headers.get("If-Range", files.tag(about)) == files.tag(about)
            span = files.part(self.headers.get("Range") if unchanged else None, about.st_size)
            headers = {"Content-Type": served.type, "Content-Security-Policy": _NOTHING, "Accept-Ranges": "bytes", "ETag": files.tag(about)}
            if span is None:
                nothing = {"Content-Range": f"bytes */{about.st_size}", "Content-Length": "0"}
                self._begin(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {**headers, **nothing})
                return
            headers["Content-Length"] = str(len(span))
            partial = len(span) < about.st_size
            if partial:
                headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{about.st_size}"
            self._begin(HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK, headers)
            if self.command == "HEAD":
                return
            sent = 0
            self.connection.settimeout(_PAUSED_S)
            for block in files.blocks(f, span):
                self.wfile.write(block)
                sent += len(block)
            self.connection.settimeout(_PATIENCE_S)
            self.close_connection = self.close_connection or sent < len(span)
