"""The review's server: what it does for its own page, and that nobody and nothing else gets anything from it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import report_movie
from report_movie import LINES, Line, Movie

from reelscribe import edits, lease, report, reviewed
from reelscribe.artifacts import read_json, write_json
from reelscribe.edits import Edit
from reelscribe.errors import BusyError
from reelscribe.review import files, page
from reelscribe.review.__main__ import _alone, main
from reelscribe.review.desk import Desk, with_edit
from reelscribe.review.rerun import Reruns
from reelscribe.review.server import Server
from reelscribe.schemas import Speakers
from reelscribe.stage_table import NATIVE

FILM = bytes(range(256)) * 40
SECOND = "Kathryn followed the last train."


def make_dir(folder: Path, film: Path, *lines: Line) -> Path:
    """A movie directory as post-ner and subtitle-gen leave it."""
    lines = lines or LINES
    report_movie.write(folder, Movie(source=film, lines=lines, result="A_Movie.subtitled.webm"))
    shown = json.loads((folder / "corrected/transcript.json").read_text())
    write_json(folder / "transcription/transcript.json", shown)
    quality, first = json.loads((folder / "subtitles/qc.json").read_text()), 0
    for cue, line in zip(quality["tracks"][0]["cues"], lines, strict=True):
        cue["words"] = [first, first + len(line.text.split()) - 1]
        first = cue["words"][1] + 1
    write_json(folder / "subtitles/qc.json", quality)
    (folder / "A_Movie.subtitled.webm").write_bytes(FILM)
    (folder / "audio").mkdir()
    (folder / "audio/audio.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture
def movie_dir(movie_dir: Path) -> Path:
    film = movie_dir.parent.parent / "A Movie.webm"
    film.write_bytes(b"the movie itself")
    return make_dir(movie_dir, film)


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A running review, and a browser of a few lines."""

    def __init__(self, movie_dir: Path, pipeline: Path, quiet_s: float = 60.0) -> None:
        self.dir = movie_dir
        self.desk = Desk(movie_dir)
        self.reruns = Reruns(movie_dir, self.desk, pipeline=pipeline, quiet_s=quiet_s)
        self.server = Server(movie_dir, self.desk, self.reruns)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        self.port = self.server.server_port
        self.origin = f"http://127.0.0.1:{self.port}"

    def close(self) -> bool:
        self.server.shutdown()
        self.server.server_close()
        return self.reruns.close()

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str | None] | None = None) -> Answer:
        """`path` is below the token, unless it begins with a slash. A header that is None is left out."""
        given = {"Host": f"127.0.0.1:{self.port}", **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(
                method, path if path.startswith("/") else f"/{self.server.token}/{path}", skip_host=True, skip_accept_encoding=True
            )
            for name, value in given.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None and "Content-Length" not in given:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def do(self, content: object, **headers: str | None) -> Answer:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        ours = {"Origin": self.origin, "Content-Type": "application/json"}
        return self.ask("POST", "do", body, {**ours, **{name.replace("_", "-"): value for name, value in headers.items()}})

    def text(self, was: str, text: str, start: float = 4.0, end: float = 6.0, **headers: str | None) -> Answer:
        return self.do({"do": "text", "english": False, "start": start, "end": end, "was": was, "text": text}, **headers)

    def raw(self, request: bytes) -> bytes:
        """What comes back for these bytes, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: s.recv(65536), b""))

    def until(self, **wanted: object) -> dict[str, Any]:
        """Wait for what the state says."""
        for _ in range(200):
            told = self.reruns.tell()
            if wanted.items() <= told.items():
                return told
            time.sleep(0.05)
        pytest.fail(f"never {wanted}: {told}")

    def edits(self) -> list[str]:
        return [edit.text for edit in edits.read(self.dir).edits]


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """In the place of pipeline.sh: writes down its options and ends as the file `code` says."""
    script = tmp_path / "pipeline.sh"
    script.write_text(
        '#!/bin/sh\nhere=${0%/*}\necho "$2 $3" >>"$here/ran"\n[ ! -e "$here/slow" ] || sleep 0.5\n'
        '[ ! -e "$here/code" ] || { echo "error: it broke" >&2; exit "$(cat "$here/code")"; }\n'
    )
    script.chmod(0o755)
    return script


def ran(pipeline: Path) -> list[str]:
    """What the pipeline was called with."""
    record = pipeline.parent / "ran"
    return record.read_text().splitlines() if record.exists() else []


@pytest.fixture
def served(movie_dir: Path, pipeline: Path) -> Iterator[Served]:
    one = Served(movie_dir, pipeline)
    yield one
    one.close()


# -- who may ask --------------------------------------------------------------------------------------------------------


def test_only_this_machine_is_listened_to(served: Served) -> None:
    assert served.server.server_address == ("127.0.0.1", served.port)
    assert len(served.server.token) >= 43  # 256 bits


@pytest.mark.parametrize(
    "path", ["/", "/data", "/state", "/do", "/media/0.webm", "/favicon.ico", "//", "/x/", "/%2e%2e/", "/{half}/", "/{TOKEN}/"]
)
def test_without_the_token_nothing_is_there(served: Served, path: str) -> None:
    token = served.server.token
    asked = path.replace("{half}", token[:-1]).replace("{TOKEN}", token.swapcase())
    for method in ("GET", "HEAD", "POST"):
        answer = served.ask(method, asked)
        assert answer.status == 404
        assert token.encode() not in answer.body


@pytest.mark.parametrize(
    "host",
    [None, "evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""],
)
def test_a_foreign_name_for_this_host_is_refused(served: Served, host: str | None) -> None:
    named = host.replace("{port}", str(served.port)) if host is not None else None
    answer = served.ask("GET", "", headers={"Host": named})
    assert answer.status == 421
    assert served.ask("GET", "", headers={"Host": f"localhost:{served.port}"}).status == 200


def test_two_hosts_are_refused(served: Served) -> None:
    host = f"Host: 127.0.0.1:{served.port}\r\n"
    answer = served.raw(f"GET /{served.server.token}/ HTTP/1.1\r\n{host}Host: evil.example\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 421")
    absolute = served.raw(f"GET http://evil.example/{served.server.token}/ HTTP/1.1\r\n{host}\r\n".encode())
    assert absolute.startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    "origin",
    [None, "null", "http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1", "http://127.0.0.1:1", "http://localhost:{port}"],
)
def test_a_foreign_page_changes_nothing(served: Served, origin: str | None) -> None:
    named = origin.replace("{port}", str(served.port)) if origin else None
    assert served.text(SECOND, "Owned.", Origin=named).status == 403
    assert served.edits() == []


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_changes_nothing(served: Served, kind: str | None) -> None:
    assert served.text(SECOND, "Owned.", Content_Type=kind).status == 415
    assert served.text(SECOND, "Owned.", Sec_Fetch_Site="cross-site").status == 403
    assert served.edits() == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"])
def test_other_methods_are_unknown(served: Served, method: str) -> None:
    answer = served.ask(method, "do", b"{}", {"Origin": served.origin, "Content-Type": "application/json"})
    assert answer.status == 501
    assert not any(name.lower().startswith("access-control") for name in answer.headers)


def test_reading_is_not_writing(served: Served) -> None:
    assert served.ask("GET", "do").status == 405
    for path in ("", "data", "state", "media/0.webm"):
        assert served.ask("POST", path, b"{}", {"Origin": served.origin, "Content-Type": "application/json"}).status == 405


# -- what may be read ---------------------------------------------------------------------------------------------------

ELSEWHERE = [
    "job.env",
    "logs/pipeline.log",
    "report.html",
    "corrected/edits.json",
    "subtitles/",
    "subtitles",
    "media/",
    "media/0",
    "media/-1.webm",
    "media/00.webm",
    "media/0.webm/",
    "media/0.webm%00",
    "media/9.webm",
    "subtitles/tracks.json",
    "subtitles/A_Movie.en.srt",
    "A_Movie.subtitled.webm",
    "../A%20Movie.webm",
    "media/../job.env",
    "media/..%2fjob.env",
    "media/%2e%2e/job.env",
    "media/....//job.env",
    "media\\..\\job.env",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "file:///etc/passwd",
    "media/0.webm;/etc/passwd",
]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_no_other_path_leads_anywhere(served: Served, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = served.ask(method, path)
        assert answer.status == 404
        assert b"MOVIE" not in answer.body
    raw = served.raw(f"GET /{served.server.token}/{path} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode())
    assert raw.split(b" ", 2)[1] == b"404" or raw.startswith(b"HTTP/1.1 400")


def test_links_and_names_that_lead_out_are_not_served(movie_dir: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.webm"
    secret.write_bytes(b"secret")
    (tmp_path / "secret.srt").write_bytes(b"secret")
    write_json(
        movie_dir / "subtitles/tracks.json",
        {
            "tracks": [
                {**report_movie.track("srt", 1), "file": name}
                for name in ("../../../secret.srt", str(tmp_path / "secret.srt"), "l.srt", "../job.env")
            ]
        },
    )
    (movie_dir / "subtitles/l.srt").symlink_to(tmp_path / "secret.srt")
    (movie_dir / "A_Movie.subtitled.webm").unlink()
    (movie_dir / "A_Movie.subtitled.webm").symlink_to(secret)
    (movie_dir / "audio/audio.wav").unlink()
    (movie_dir / "audio/audio.wav").symlink_to(secret)
    found = files.allowed(movie_dir)
    assert [(name, one.path.name) for name, one in found.items()] == [("media/0.webm", "A Movie.webm")]  # the one that job.env names
    (movie_dir / "job.env").write_text("MOVIE='/etc/passwd'\n")
    assert files.allowed(movie_dir) == {}


def test_a_link_or_a_pipe_put_in_a_files_place_is_not_opened(movie_dir: Path, tmp_path: Path) -> None:
    link, pipe = tmp_path / "link.webm", tmp_path / "pipe.webm"
    link.symlink_to(movie_dir / "job.env")
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path):
        with pytest.raises(OSError):
            files.opened(path)


def test_the_page_and_its_data(served: Served) -> None:
    answer = served.ask("GET", "")
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Python" not in answer.headers["Server"]
    assert served.server.token.encode() not in answer.body
    assert served.ask("HEAD", "").body == b""
    data = served.ask("GET", "data").json
    assert data["videos"] == ["./media/0.webm", "./media/1.webm", "./media/2.wav"]
    assert data["tracks"][0]["cues"][1]["edit"] == {"start": 4.0, "end": 6.0, "english": False, "text": SECOND}
    assert served.ask("GET", "media/1.webm").body == b"the movie itself"
    assert served.ask("GET", "subtitles/0.srt").body.startswith(b"1\n")
    assert served.ask("GET", "state").json["state"] == "idle"


def test_a_movie_that_is_gone_can_still_be_looked_at(served: Served) -> None:
    (served.dir.parent.parent / "A Movie.webm").unlink()
    data = served.ask("GET", "data").json
    assert data["videos"] == ["./media/0.webm", "./media/1.wav"]
    answer = served.do({"do": "line", "line": "Karl"})
    assert answer.status == 409
    assert "is not there" in answer.json["error"]


def test_words_that_are_newer_than_the_cues_are_not_offered(served: Served) -> None:
    path = served.dir / "corrected/transcript.json"
    shown = json.loads(path.read_text())
    shown["segments"][0]["words"].append({**shown["segments"][0]["words"][-1], "word": "again"})
    write_json(path, shown)
    cues = served.ask("GET", "data").json["tracks"][0]["cues"]
    assert [("edit" in cue) for cue in cues] == [True, False, False, False]


def test_the_report_that_is_a_file_cannot_edit(served: Served) -> None:
    text = report.write(served.dir).read_text()
    assert "connect-src 'none'" in text
    assert "startReview" not in text and "./do" not in text
    assert "startReview" in page.page(page.collect(served.dir, served.desk, served.reruns.tell()))


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        (None, 200, 0, 10239),
        ("bytes=0-", 200, 0, 10239),
        ("bytes=0-0", 206, 0, 0),
        ("bytes=100-199", 206, 100, 199),
        ("bytes=10000-99999", 206, 10000, 10239),
        ("bytes=-1", 206, 10239, 10239),
        ("bytes=-99999", 200, 0, 10239),
        ("bytes=10239-", 206, 10239, 10239),
        ("bytes=10240-", 416, 0, -1),
        ("bytes=-0", 416, 0, -1),
        # What means nothing means all.
        ("bytes=5-1", 200, 0, 10239),
        ("bytes=-", 200, 0, 10239),
        ("bytes=a-b", 200, 0, 10239),
        ("bytes=0-1,4-5", 200, 0, 10239),
        ("bytes=١-٢", 200, 0, 10239),
        ("chunks=0-1", 200, 0, 10239),
        (f"bytes=0-{'9' * 30}", 200, 0, 10239),
    ],
)
def test_parts_of_the_movie(served: Served, asked: str | None, status: int, first: int, last: int) -> None:
    headers = {"Range": asked.encode().decode("latin-1") if asked else None}
    whole, head = served.ask("GET", "media/0.webm", headers=headers), served.ask("HEAD", "media/0.webm", headers=headers)
    assert (whole.status, whole.body) == (status, FILM[first : last + 1])
    assert (head.status, head.body) == (status, b"")
    assert whole.headers["Content-Length"] == head.headers["Content-Length"] == str(last + 1 - first)
    assert whole.headers["Accept-Ranges"] == "bytes"
    expected = {206: f"bytes {first}-{last}/10240", 416: "bytes */10240"}.get(status)
    assert whole.headers.get("Content-Range") == expected
    assert whole.headers["Content-Type"] == "video/webm"


def test_a_part_of_a_movie_that_was_made_anew_is_all_of_it(served: Served) -> None:
    tag = served.ask("HEAD", "media/0.webm").headers["ETag"]
    assert served.ask("GET", "media/0.webm", headers={"Range": "bytes=0-1", "If-Range": tag}).status == 206
    (served.dir / "A_Movie.subtitled.webm").write_bytes(b"another")
    assert served.ask("GET", "media/0.webm", headers={"Range": "bytes=0-1", "If-Range": tag}).body == b"another"


# -- what may be said ---------------------------------------------------------------------------------------------------

GARBAGE: list[bytes] = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"{}",
    b"\xff\xfe",
    b'{"do": "unlink"}',
    b'{"do": "again", "more": 1}',
    b'{"do": "text"}',
    b'{"do": "text", "english": "no", "start": 4, "end": 6, "was": "", "text": ""}',
    b'{"do": "text", "english": false, "start": NaN, "end": 6, "was": "", "text": ""}',
    b'{"do": "text", "english": false, "start": 1e400, "end": 6, "was": "", "text": ""}',
    b'{"do": "text", "english": false, "start": -1, "end": 6, "was": "", "text": ""}',
    b'{"do": "text", "english": false, "start": 4, "end": 6, "was": "", "text": 5}',
    b'{"do": "name", "label": "SPEAKER_00", "name": "a\\u0000b"}',
    b'{"do": "name", "label": "SPEAKER_00", "name": "\\ud800"}',
    b'{"do": "name", "label": "SPEAKER_00", "name": "' + b"x" * 101 + b'"}',
    b'{"do": "take back", "id": ["1"]}',
    b"[" * 20000,
]


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_refused_and_changes_nothing(served: Served, body: bytes, pipeline: Path) -> None:
    answer = served.do(body)
    assert answer.status == 422
    assert answer.json["error"]
    assert not (served.dir / edits.FILE).exists()
    assert ran(pipeline) == []


def test_no_body_is_too_large_to_be_refused(served: Served) -> None:
    for length, status in (("65537", 413), ("9" * 400, 413), ("-1", 411), ("1e3", 411), ("", 411), ("٣", 411)):
        value = length.encode().decode("latin-1")
        assert served.do(b"", Content_Length=value).status == status, length
    assert served.do(b"", Transfer_Encoding="chunked", Content_Length="0").status == 411
    head = f"POST /{served.server.token}/do HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nOrigin: {served.origin}\r\n"
    twice = head + "Content-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"
    assert served.raw(twice.encode()).startswith(b"HTTP/1.1 411")
    broken = head + "Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{}"
    assert served.raw(broken.encode()) == b""


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + b"a" * 70000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
)
def test_what_is_no_http_is_no_trouble(served: Served, request_bytes: bytes) -> None:
    assert served.server.token.encode() not in served.raw(request_bytes)
    assert served.ask("GET", "state").status == 200


def test_too_many_connections_are_turned_away_and_later_ones_served(served: Served) -> None:
    held = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(40)]
    time.sleep(0.3)
    turned_away = [s for s in held if _is_closed(s)]
    assert len(turned_away) == 8
    for s in held:
        s.close()
    time.sleep(0.3)
    assert served.ask("GET", "state").status == 200


def _is_closed(s: socket.socket) -> bool:
    s.setblocking(False)
    try:
        return s.recv(1) == b""
    except BlockingIOError:
        return False


# -- edits --------------------------------------------------------------------------------------------------------------


def test_an_edit_is_kept_and_the_stages_run(served: Served, pipeline: Path) -> None:
    answer = served.text(SECOND, "Kathryn took  the\nlast <b>train</b> & won.")
    assert answer.status == 200
    assert [(e["was"], e["text"], e["stale"]) for e in answer.json["edits"]] == [
        (SECOND, "Kathryn took the last <b>train</b> & won.", False)
    ]
    served.until(version=1, pending=False)
    assert ran(pipeline) == ["--from=post-ner --to=subtitle-gen"]


def test_new_characters_are_kept_and_marks_from_a_subtitle_file_are_not(served: Served) -> None:
    england, shaking, arabic = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\U0001fae8", "أين هو؟"
    assert served.text(SECOND, f"\ufeff\u202b{arabic}\u202c <\u2060{england} {shaking}").status == 200
    assert served.edits() == [f"{arabic} <{england} {shaking}"]
    assert served.text(SECOND, "a\x1bb").json["error"] == "text: there are control characters in it"


def test_written_again_it_is_one_edit_and_back_it_is_none(served: Served) -> None:
    assert served.text(SECOND, "First.").status == 200
    assert served.text("First.", "Second.").status == 200  # the page shows what no run has followed yet
    assert served.text(SECOND, "Third.").status == 200  # loaded anew, it shows what the files have
    assert served.edits() == ["Third."]
    assert served.text("Third.", SECOND).status == 200
    assert served.edits() == []


def test_what_the_page_does_not_show_any_more_is_not_written_over(served: Served) -> None:
    assert served.text("Something else.", "New.").status == 409
    assert served.text(SECOND, "New.", start=4.5).status == 409
    assert served.text(SECOND, "New.", start=400, end=401).status == 409
    assert served.edits() == []


def test_many_at_once_are_all_kept(served: Served) -> None:
    spoken = [" ".join(line.text.split()) for line in LINES]
    answers: list[int] = []

    def write(n: int) -> None:
        line = LINES[n % 4]
        answers.append(served.text(spoken[n % 4], f"{n % 4} written", line.start, line.end).status)
        answers.append(served.do({"do": "line", "line": f"Name{chr(97 + n)}"}).status)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 24
    assert sorted(served.edits()) == ["0 written", "1 written", "2 written", "3 written"]
    assert len(served.ask("GET", "state").json["lines"]) == 12


def test_taken_back(served: Served) -> None:
    number = served.text(SECOND, "New.").json["edits"][0]["id"]
    assert served.do({"do": "take back", "id": number}).json["edits"] == []
    assert served.do({"do": "take back", "id": number}).status == 409


def test_an_edit_stands_on_what_was_heard(served: Served) -> None:
    served.text(SECOND, "New.")
    (edit,) = edits.read(served.dir).edits
    assert (edit.heard, edit.heard_start) == (SECOND.split(), 4.0)


def test_two_speakers_keep_their_lines(movie_dir: Path, pipeline: Path) -> None:
    shown = json.loads((movie_dir / "corrected/transcript.json").read_text())
    for word in shown["segments"][1]["words"][2:]:
        word["speaker"] = "SPEAKER_00"
    write_json(movie_dir / "corrected/transcript.json", shown)
    served = Served(movie_dir, pipeline)
    was = served.ask("GET", "data").json["tracks"][0]["cues"][1]["edit"]["text"]
    assert was == "Kathryn followed\nthe last train."
    assert served.text(was, "Kathryn followed the last train.").status == 422
    assert served.text(was, "Kathryn followed\nthe last tram.").status == 200
    (edit,) = edits.read(movie_dir).edits
    assert (edit.was, edit.text, edit.start) == ("the last train.", "the last tram.", 4.8)
    served.close()


def translate(folder: Path) -> None:
    """Makes the movie French, with English under every segment."""
    for name in ("transcription/transcript.json", "corrected/transcript.json"):
        shown = json.loads((folder / name).read_text())
        english = [
            {**s, "text": "in English", "words": [{**w, "word": f"e{n}"} for n, w in enumerate(s["words"])]} for s in shown["segments"]
        ]
        write_json(folder / name, {**shown, "language": "fr", "translation": english})
    quality = json.loads((folder / "subtitles/qc.json").read_text())
    (track,) = quality["tracks"]
    write_json(folder / "subtitles/qc.json", {**quality, "tracks": [{**track, "language": "fr"}, {**track, "language": "en"}]})
    texts = [" ".join(f"e{n}" for n in range(len(line.text.split()))) for line in LINES]
    lines = [Line(text, line.start, line.end) for text, line in zip(texts, LINES, strict=True)]
    (folder / "subtitles/A_Movie.fr.srt").write_text(report_movie.srt(LINES))
    (folder / "subtitles/A_Movie.en.srt").write_text(report_movie.srt(lines))
    french = {**report_movie.track("srt", 4), "language": "fr", "title": "French", "file": "A_Movie.fr.srt"}
    write_json(folder / "subtitles/tracks.json", {"tracks": [french, report_movie.track("srt", 4)]})


def test_the_english_of_a_foreign_movie_is_edited_apart(movie_dir: Path, pipeline: Path) -> None:
    translate(movie_dir)
    served = Served(movie_dir, pipeline)
    tracks = {track["language"]: track["cues"] for track in served.ask("GET", "data").json["tracks"]}
    assert [tracks[language][1]["edit"]["english"] for language in ("fr", "en")] == [False, True]
    cue = tracks["en"][1]["edit"]
    assert (
        served.do({"do": "text", "english": True, "start": cue["start"], "end": cue["end"], "was": cue["text"], "text": "New."}).status
        == 200
    )
    (edit,) = edits.read(movie_dir).edits
    assert (edit.english, edit.heard) == (True, cue["text"].split())
    served.close()


def test_an_edit_within_another_or_beside_it_takes_nothing_away() -> None:
    def edit(number: str, start: float, end: float, text: str = "x", *, english: bool = False) -> Edit:
        return Edit(id=number, start=start, end=end, heard=["a"], heard_start=start, was=number, text=text, english=english)

    whole, inner, across, translated = edit("w", 0, 4), edit("i", 1, 2), edit("a", 3, 6), edit("t", 0, 4, english=True)
    assert with_edit([inner, translated], whole) == [translated, whole]
    assert with_edit([whole], inner) == [whole, inner]
    assert with_edit([whole, across], edit("n", 0, 4)) == [whole, across, edit("n", 0, 4)]  # `across` stands on what `whole` wrote
    assert with_edit([whole], edit("n", 0, 4)) == [edit("n", 0, 4).model_copy(update={"was": "w"})]
    assert with_edit([whole], edit("n", 0, 4, "w")) == []


# -- names, glossary ----------------------------------------------------------------------------------------------------


def test_a_voice_gets_its_name_before_the_stages_run(served: Served, pipeline: Path) -> None:
    assert served.do({"do": "name", "label": "SPEAKER_01", "name": " Inspector  <Karl> "}).json["names"] == {
        "SPEAKER_01": "Inspector <Karl>"
    }
    served.until(version=1)
    assert [s.name for s in read_json(served.dir / "corrected/speakers.json", Speakers).speakers] == ["Karl", "Inspector <Karl>"]
    assert served.ask("GET", "state").json["names"] == {}
    assert served.do({"do": "name", "label": "SPEAKER_99", "name": "Nobody"}).status == 409


def test_a_name_for_a_voice_that_is_another_by_now_goes_to_nobody(movie_dir: Path) -> None:
    desk = Desk(movie_dir)
    desk.take(b'{"do": "name", "label": "SPEAKER_01", "name": "Aditi"}')
    other = {"speakers": [report_movie.voice("SPEAKER_01", "Somebody else")]}
    write_json(movie_dir / "corrected/speakers.json", other)
    assert desk.write_names() == ["Aditi"]
    assert [s.name for s in read_json(movie_dir / "corrected/speakers.json", Speakers).speakers] == ["Somebody else"]


def test_lines_of_the_glossary_are_marked_as_a_reviews(served: Served) -> None:
    glossary = served.dir.parent.parent / "glossary.txt"
    glossary.write_text("Mine\n")
    for line in ("Jaidev Rathore", "jay dev => Jaidev", "!Marwick"):
        assert served.do({"do": "line", "line": line}).status == 200
    assert glossary.read_text() == "Mine\nJaidev Rathore  # reviewed\njay dev => Jaidev  # reviewed\n!Marwick  # reviewed\n"
    decided = reviewed.read(served.dir, glossary)
    assert (decided.terms, decided.accepted, decided.rejected) == (("Jaidev Rathore",), (("jay dev", "Jaidev"),), ("Marwick",))
    assert served.do({"do": "forget", "line": "!Marwick"}).status == 200
    assert served.do({"do": "forget", "line": "Mine"}).status == 409  # the user's own
    assert served.ask("GET", "state").json["lines"] == ["Jaidev Rathore", "jay dev => Jaidev"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "!",
        "=>",
        "a =>",
        "=> b",
        "a => b => c",
        "a => a",
        "!a => b",
        "a # b",
        "# reviewed",
        "00:10:00-00:20:00 x",
        "...",
        "x" * 101,
        "a\nb\u0000",
    ],
)
def test_lines_that_the_glossary_would_not_take(served: Served, line: str) -> None:
    assert served.do({"do": "line", "line": line}).status == 422
    assert not (served.dir.parent.parent / "glossary.txt").exists()


def test_a_line_cannot_bring_another_with_it(served: Served) -> None:
    answer = served.do({"do": "line", "line": "Karl\n!Everything\r\nx"})
    assert answer.json["lines"] == ["Karl !Everything x"]
    assert served.do({"do": "line", "line": "jay => Jai"}).status == 200
    assert served.do({"do": "line", "line": "JAY => Jaidev"}).status == 422


# -- the stages that follow ---------------------------------------------------------------------------------------------


def test_what_is_written_while_they_run_runs_again(served: Served, pipeline: Path) -> None:
    (pipeline.parent / "slow").touch()
    served.text(SECOND, "First.")
    served.until(state="subtitles")
    served.text("First.", "Second.")
    told = served.until(version=2)
    assert told["pending"] is False
    assert len(ran(pipeline)) == 2  # one at a time, and not one for each


def test_the_movie_is_written_when_the_user_pauses(movie_dir: Path, pipeline: Path) -> None:
    served = Served(movie_dir, pipeline, quiet_s=0.3)
    served.text(SECOND, "New.")
    served.until(version=2, behind=False)
    assert ran(pipeline) == ["--from=post-ner --to=subtitle-gen", "--from=mux --to=mux"]
    assert served.close()


def test_a_review_that_ends_says_that_the_movie_is_behind(served: Served) -> None:
    served.text(SECOND, "New.")
    served.until(version=1, behind=True)
    assert not served.reruns.close()


def test_a_failure_is_told_and_tried_again_on_request(served: Served, pipeline: Path) -> None:
    (pipeline.parent / "code").write_text("6")
    served.text(SECOND, "New.")
    told = served.until(state="failed")
    assert told["message"] == "pipeline.sh ended with code 6: it broke"
    assert told["pending"] is True
    (pipeline.parent / "code").unlink()
    assert served.do({"do": "again"}).status == 200
    served.until(state="idle", pending=False)
    assert served.edits() == ["New."]


def test_a_busy_movie_keeps_the_edits_and_follows_later(served: Served, pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reelscribe.review.rerun.BUSY_S", 0.1)
    token = lease.acquire(served.dir)
    (pipeline.parent / "code").write_text("7")
    assert served.text(SECOND, "New.").status == 200
    assert served.do({"do": "name", "label": "SPEAKER_01", "name": "Aditi"}).status == 200
    told = served.until(state="waiting")
    assert str(os.getpid()) in told["message"] and "kept" in told["message"]
    assert served.edits() == ["New."]
    assert "Aditi" not in (served.dir / "corrected/speakers.json").read_text()  # the other run may be writing it
    lease.release(served.dir, token)
    (pipeline.parent / "code").unlink()
    served.until(state="idle", pending=False)
    assert "Aditi" in (served.dir / "corrected/speakers.json").read_text()


def test_edits_that_no_run_has_followed_are_when_a_review_begins(movie_dir: Path, pipeline: Path) -> None:
    Desk(movie_dir).take(json.dumps({"do": "text", "english": False, "start": 4, "end": 6, "was": SECOND, "text": "New."}).encode())
    served = Served(movie_dir, pipeline)
    served.until(version=1)
    served.close()


# -- the command --------------------------------------------------------------------------------------------------------


def test_one_review_at_a_time(movie_dir: Path) -> None:
    with _alone(movie_dir), pytest.raises(BusyError), _alone(movie_dir):
        pass
    with _alone(movie_dir):
        pass


@pytest.mark.parametrize("port", ["-1", "65536", "x", "80 "])
def test_a_port_that_is_none(movie_dir: Path, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(movie_dir), f"--port={port}"])
    assert "is no port" in capsys.readouterr().err


def test_a_port_that_is_taken_and_a_movie_without_words(movie_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main([str(movie_dir), f"--port={taken.getsockname()[1]}"]) == 2
    (movie_dir / "corrected/transcript.json").unlink()
    assert main([str(movie_dir)]) == 3
    assert "run the stage post-ner first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--port", "1", "film.mp4"], 2, "--port and --no-browser go with --review DIR"),
        (["--no-browser", "--status", "x"], 2, "--port and --no-browser go with --review DIR"),
        (["--review", "x", "film.mp4"], 2, "take one directory and no further movie"),
        (["--review", "nowhere"], 3, "nowhere has no movie directory yet"),
    ],
)
def test_options_of_the_pipeline(tmp_path: Path, options: list[str], code: int, said: str) -> None:
    done = subprocess.run([str(NATIVE / "pipeline.sh"), *options], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
