"""A server that answers as the Hugging Face hub does, on this machine, and misbehaves when it is told to.

Small files are answered at their resolve address, large ones (LFS) with a redirect to another host, as the hub does it: with
X-Repo-Commit, X-Linked-Size and X-Linked-ETag, in ranges. It speaks as seen from huggingface_hub 0.36 (file_download.py, hf_api.py).
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_a_secret_token"


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    host: str
    range: str
    authorization: str


@dataclass
class FakeHub:
    """Repositories with their files, faults, and what was asked.

    repos: content by file name by `owner/name`; content of 1000 bytes and more is LFS. gated: repositories for TOKEN's account alone.
    By file name, cut: the bytes after which its next transfer breaks off; hold: what is waited for before it does; damage: how many of the
    next transfers have a byte changed; claim: the size that is said. gone_after_cut: whether the server ends then. status: of every answer.
    """

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    cut: dict[str, int] = field(default_factory=dict)
    damage: dict[str, int] = field(default_factory=dict)
    hold: dict[str, threading.Event] = field(default_factory=dict)
    claim: dict[str, int] = field(default_factory=dict)
    status: int = 0
    gone_after_cut: bool = False
    requests: list[Request] = field(default_factory=list)

    def start(self) -> FakeHub:
        """Listen on a free port."""
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Do not listen any more."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}"

    def transfers(self, name: str) -> list[Request]:
        """The requests for a file's content."""
        return [r for r in self.requests if r.method == "GET" and r.path.endswith(f"/{name}") and not r.path.startswith("/api/")]


def digests(content: bytes) -> tuple[str, str]:
    """SHA-256 of the content, and git's SHA-1 of it."""
    return hashlib.sha256(content).hexdigest(), hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_large(content: bytes) -> bool:
    return len(content) >= 1000


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        heads = self.headers
        self.hub.requests.append(Request(self.command, path, heads.get("Host", ""), heads.get("Range", ""), heads.get("Authorization", "")))
        parts = path.strip("/").split("/")
        if self.hub.status:
            self._error(self.hub.status, "", "out of order")
        elif parts[:2] == ["api", "models"]:
            self._model(parts[2:])
        elif parts[0] == "cdn":
            self._content("/".join(parts[1:3]), "/".join(parts[3:]))
        elif len(parts) > 4 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._error(404, "", "no such page")

    def _model(self, parts: list[str]) -> None:
        repo, revision = "/".join(parts[:2]), parts[3] if parts[2:3] == ["revision"] else "main"
        files = self._files(repo)
        if files is None:
            return
        if revision not in ("main", COMMIT):
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        siblings = []
        for name, content in files.items():
            sha256, sha1 = digests(content)
            size = self.hub.claim.get(name, len(content))
            large = {"lfs": {"sha256": sha256, "size": size, "pointerSize": 130}} if is_large(content) else {}
            siblings.append({"rfilename": name, "size": size, "blobId": sha1, **large})
        body = {"_id": "1", "id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _files(self, repo: str) -> dict[str, bytes] | None:
        """The files, or None when an error was answered. Who sends no token is not told that a repository does not exist."""
        authorization = self.headers.get("Authorization", "")
        if authorization not in ("", f"Bearer {TOKEN}"):
            self._error(401, "", "Invalid credentials in Authorization header")
        elif repo in self.hub.repos:
            return self.hub.repos[repo]
        elif authorization:
            self._error(404, "RepoNotFound", "Repository not found")
        else:
            self._error(401, "", "Invalid username or password.")
        return None

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        files = self._files(repo)
        if files is None:
            return
        if repo in self.hub.gated:
            status = 403 if self.headers.get("Authorization") else 401
            self._error(status, "GatedRepo", f"Access to model {repo} is restricted and you are not in the authorized list.")
            return
        if name not in files:
            self._error(404, "EntryNotFound", "Entry not found")
            return
        content = files[name]
        sha256, sha1 = digests(content)
        if is_large(content):
            heads = {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{sha256}"', "ETag": f'"{sha1}"', "X-Xet-Hash": sha256}
            heads["Location"] = f"http://localhost:{self.hub.port}/cdn/{repo}/{name}"
            self._send(302, b"", {"X-Repo-Commit": COMMIT, **heads})
        elif self.command == "HEAD":
            self._send(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{sha1}"'})
        else:
            self._content(repo, name)

    def _content(self, repo: str, name: str) -> None:
        content = self.hub.repos[repo][name]
        if self.hub.damage.get(name, 0):
            self.hub.damage[name] -= 1
            content = bytes([content[0] ^ 1]) + content[1:]
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if first >= len(content):
            self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        ranged = "Range" in self.headers
        self.send_response(206 if ranged else 200)
        self.send_header("Content-Length", str(len(content) - first))
        if ranged:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        end = self.hub.cut.pop(name, None)
        if end is None:
            self.wfile.write(content[first:])
            return
        self.wfile.write(content[first:end])
        self.wfile.flush()
        if name in self.hub.hold:
            self.hub.hold[name].wait(60)
        if self.hub.gone_after_cut:
            self.hub.stop()
        self.close_connection = True

    def _error(self, status: int, code: str, message: str) -> None:
        heads = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self._send(status, json.dumps({"error": message}).encode(), {"Content-Type": "application/json", **heads})

    def _send(self, status: int, body: bytes, heads: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **heads}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
