"""tmdb: against a real HTTP server on this machine that answers as TMDB documents, and against files beside the movie."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from reelscribe.stage_table import NATIVE
from tmdb import filename, match, sidecar
from tmdb.fields import Source, merge, tidy
from tmdb.match import Candidate, Wanted

CANARY = "canary-eyJhbGciOiJIUzI1NiJ9"
RunStage = Callable[..., subprocess.CompletedProcess[str]]

NIGHT_TRAIN: dict[str, Any] = {
    "id": 77,
    "title": "The Night Train",
    "original_title": "Raat Ki Rail",
    "original_language": "hi",
    "release_date": "2006-11-24",
    "runtime": 120,
    "overview": "Inspector Rathore boards a train in Mumbai.",
    "imdb_id": "tt0000077",
    "belongs_to_collection": {"id": 1, "name": "Night Train Collection"},
    "genres": [{"id": 1, "name": "Thriller"}],
    "credits": {
        "cast": [
            {"name": "Second Actor", "character": "Inspector Rathore", "order": 1, "gender": 2},
            {"name": "First Actor", "character": "Jai", "order": 0, "gender": 1},
        ],
        "crew": [{"name": "A Grip", "job": "Grip"}, {"name": "A Director", "job": "Director"}],
    },
    "keywords": {"keywords": [{"id": 1, "name": "mumbai (bombay), india"}]},
    "alternative_titles": {
        "titles": [{"iso_3166_1": "US", "title": "Night Express", "type": ""}, {"iso_3166_1": "IN", "title": "Raat Ki Rail"}]
    },
    "translations": {
        "translations": [
            {"iso_3166_1": "IN", "iso_639_1": "hi", "data": {"title": "रात की रेल", "overview": "राठौर मुंबई में रेल में चढ़ते हैं।"}},
            {"iso_3166_1": "DE", "iso_639_1": "de", "data": {"title": "Der Nachtzug", "overview": "Rathore steigt in einen Zug."}},
            {"iso_3166_1": "FR", "iso_639_1": "fr", "data": {"title": "", "overview": "Rathore prend un train."}},
            {"iso_3166_1": "CA", "iso_639_1": "fr", "data": {"title": "", "overview": "La même chose."}},
        ]
    },
}


def result_of(movie: dict[str, Any]) -> dict[str, Any]:
    """A movie as /search/movie lists it."""
    return {key: movie[key] for key in ("id", "title", "original_title", "original_language", "release_date")}


class FakeTmdb(http.server.ThreadingHTTPServer):
    """TMDB's API over `movies`; `replies` are given instead, one a request: (status, headers, body) or a function that writes."""

    daemon_threads = True

    def __init__(self, movies: list[dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.movies = movies
        self.replies: list[Any] = []
        self.always: Any = None
        self.seen: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/3"

    @property
    def paths(self) -> list[str]:
        return [urlsplit(path).path.removeprefix("/3") for path, _ in self.seen]

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        if path == "/3/search/movie":
            year = query.get("year", [None])[0]
            found = [result_of(m) for m in self.movies if year is None or m["release_date"].startswith(year)]
            return 200, {"page": 1, "results": found, "total_pages": 1, "total_results": len(found)}
        if path.startswith("/3/find/"):
            return 200, {"movie_results": [result_of(m) for m in self.movies if m["imdb_id"] == path.rsplit("/", 1)[1]]}
        movie = next((m for m in self.movies if path == f"/3/movie/{m['id']}"), None)
        if movie is None:
            return 404, {"success": False, "status_code": 34, "status_message": "The resource you requested could not be found."}
        asked_for = query.get("append_to_response", [""])[0].split(",")
        extras = ("credits", "keywords", "alternative_titles", "translations")
        return 200, {key: value for key, value in movie.items() if key not in extras or key in asked_for}


class _Handler(http.server.BaseHTTPRequestHandler):
    server: FakeTmdb

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        reply = self.server.replies.pop(0) if self.server.replies else self.server.always
        if callable(reply):
            reply(self)
            return
        if reply is None:
            split = urlsplit(self.path)
            authorized = self.headers.get("Authorization") == f"Bearer {CANARY}"
            refusal = 401, {"success": False, "status_code": 7, "status_message": "Invalid API key: You must be granted a valid key."}
            status, body = self.server.answer(split.path, parse_qs(split.query)) if authorized else refusal
            reply = status, {"Content-Type": "application/json"}, json.dumps(body).encode()
        self.write(*reply)

    def write(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Not on the test's stderr."""


@pytest.fixture
def tmdb() -> Iterator[FakeTmdb]:
    server = FakeTmdb([NIGHT_TRAIN])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "movies" / "The.Night.Train.2006.1080p.mkv"
    path.parent.mkdir()
    path.write_bytes(b"no stage but demux looks inside")
    return path


@pytest.fixture
def ask(run_stage: RunStage, tmp_path: Path, movie_dir: Path, movie: Path, tmdb: FakeTmdb) -> Callable[..., tuple[dict[str, Any], str]]:
    """Run the stage with a key; gives the metadata and stderr, after searching everything written and said for the key."""

    def run(*options: str, **env: str) -> tuple[dict[str, Any], str]:
        settings = {"OFFLINE": "false", "TMDB_TOKEN": CANARY, "TMDB_URL": tmdb.url, "TMDB_CACHE_DIR": str(tmp_path / "cache"), **env}
        done = run_stage("tmdb", movie_dir, movie=movie, env=settings, options=options)
        written = [p for p in tmp_path.rglob("*") if p.is_file()]
        leaks = [str(p) for p in written if CANARY.encode() in p.read_bytes()]
        assert len(written) > 3 and not leaks
        assert CANARY not in done.stdout + done.stderr
        assert not any(CANARY in path for path, _ in tmdb.seen)
        return json.loads((movie_dir / "metadata" / "tmdb.json").read_text(encoding="utf-8")), done.stderr

    return run


# -- TMDB answers ---------------------------------------------------------------------------------------------------------


def test_the_movie_is_found_by_the_title_and_year_in_its_file_name(ask: Any, tmdb: FakeTmdb, movie_dir: Path) -> None:
    metadata, said = ask()
    assert metadata["title"] == "The Night Train"
    assert (metadata["year"], metadata["runtime_min"], metadata["tmdb_id"], metadata["original_language"]) == (2006, 120.0, 77, "hi")
    assert metadata["cast"] == [
        {"name": "First Actor", "character": "Jai", "order": 0, "gender": "female"},
        {"name": "Second Actor", "character": "Inspector Rathore", "order": 1, "gender": "male"},
    ]
    assert metadata["crew"] == [{"name": "A Director", "job": "Director"}]
    assert metadata["alternative_titles"] == ["Night Express", "रात की रेल", "Der Nachtzug"]
    assert metadata["collection"] == "Night Train Collection"
    assert metadata["keywords"] == ["mumbai (bombay), india"]
    assert set(metadata["sources"].values()) == {"TMDB"}
    assert "warning" not in said
    assert tmdb.paths == ["/search/movie", "/movie/77"]
    assert {key for _, key in tmdb.seen} == {f"Bearer {CANARY}"}
    (candidate,) = metadata["candidates"]
    assert (candidate["id"], candidate["title"], candidate["year"]) == (77, "The Night Train", 2006)
    assert candidate["parts"] == {"title": 1.0, "year": 1.0, "runtime": 0.5, "language": 0.5}
    assert candidate["score"] == 0.9  # 0.6 + 0.2 + 0.15 / 2 + 0.05 / 2
    manifest = json.loads((movie_dir / "manifests" / "02_tmdb.json").read_text(encoding="utf-8"))
    assert manifest["fallbacks"] == []


@pytest.mark.parametrize(("options", "languages"), [((), ["en", "hi"]), (("--language=fr",), ["en", "hi", "fr"])])
def test_the_plot_is_kept_in_the_languages_that_help(ask: Any, tmdb: FakeTmdb, options: tuple[str, ...], languages: list[str]) -> None:
    """English, the original language, the language of the subtitles; not all of the world's."""
    metadata, _ = ask(*options)
    assert list(metadata["overviews"]) == languages
    assert metadata["overview"] == metadata["overviews"]["en"] == NIGHT_TRAIN["overview"]
    assert metadata["overviews"]["hi"].startswith("राठौर")
    assert metadata["overviews"].get("fr", "Rathore prend un train.") == "Rathore prend un train."
    assert tmdb.paths == ["/search/movie", "/movie/77"]  # no request more


def test_without_an_english_plot_there_is_still_the_original_one(ask: Any, tmdb: FakeTmdb) -> None:
    tmdb.movies = [{**NIGHT_TRAIN, "overview": ""}]
    metadata, _ = ask()
    assert ("overview" in metadata, list(metadata["overviews"])) == (False, ["hi"])


def test_an_id_needs_no_search(ask: Any, tmdb: FakeTmdb) -> None:
    assert ask("--tmdb-id=77")[0]["title"] == "The Night Train"
    assert tmdb.paths == ["/movie/77"]


def test_an_unknown_id_is_said(ask: Any) -> None:
    metadata, said = ask("--tmdb-id=4")
    assert "TMDB has no movie/4: the movie is described by file name" in said
    assert (metadata["title"], metadata["tmdb_id"], metadata["sources"]["tmdb_id"]) == ("The Night Train", 4, "TMDB_ID")


def test_the_id_given_to_the_pipeline_reaches_the_stage_and_is_kept(
    tmdb: FakeTmdb, tmp_path: Path, movie: Path, child_environment: dict[str, str]
) -> None:
    out = tmp_path / "out"
    settings = {"OFFLINE": "false", "TMDB_TOKEN": CANARY, "TMDB_URL": tmdb.url, "TMDB_CACHE_DIR": str(tmp_path / "cache")}

    def pipeline(*arguments: str) -> Path:
        command = [str(NATIVE / "pipeline.sh"), "--out", str(out), "--only", "tmdb", *arguments]
        done = subprocess.run(command, env=child_environment | settings, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        assert CANARY not in done.stdout + done.stderr
        return next(out.iterdir())

    movie_dir = pipeline("--tmdb-id", "77", str(movie))
    assert json.loads((movie_dir / "metadata/tmdb.json").read_text(encoding="utf-8"))["title"] == "The Night Train"
    assert "TMDB_ID='77'" in (movie_dir / "job.env").read_text(encoding="utf-8")
    pipeline("--force", "--resume", str(movie_dir))
    assert set(tmdb.paths) == {"/movie/77"}, "and no search"


def test_the_id_in_the_nfo_is_used_and_a_dead_one_leads_to_a_search(ask: Any, tmdb: FakeTmdb, movie: Path) -> None:
    nfo = movie.with_suffix(".nfo")
    nfo.write_text('<movie><title>Something else</title><uniqueid type="tmdb">77</uniqueid></movie>', encoding="utf-8")
    assert ask()[0]["title"] == "The Night Train"
    assert tmdb.paths == ["/movie/77"]
    tmdb.seen.clear()
    nfo.write_text('<movie><title>The Night Train</title><uniqueid type="tmdb">5</uniqueid></movie>', encoding="utf-8")
    metadata, said = ask()
    assert "TMDB has no movie/5, as The.Night.Train.2006.1080p.nfo says; searching by title" in said
    assert (metadata["tmdb_id"], tmdb.paths) == (77, ["/movie/5", "/search/movie"])  # the page of 77 was in the cache


def test_an_imdb_id_is_looked_up(ask: Any, tmdb: FakeTmdb, movie: Path) -> None:
    movie.with_suffix(".nfo").write_text("https://www.imdb.com/title/tt0000077/\n", encoding="utf-8")
    assert ask()[0]["tmdb_id"] == 77
    assert tmdb.paths == ["/find/tt0000077", "/movie/77"]


def test_tmdb_wins_per_field_and_the_nfo_fills_the_rest(ask: Any, tmdb: FakeTmdb, movie: Path) -> None:
    tmdb.movies = [{**NIGHT_TRAIN, "credits": {"cast": [], "crew": []}, "overview": None, "runtime": 0}]
    movie.with_suffix(".nfo").write_text(
        "<movie><title>Night Train</title><plot>Told by a friend.</plot><runtime>118</runtime>"
        "<actor><name>My Actor</name><role>My Role</role></actor></movie>",
        encoding="utf-8",
    )
    metadata, _ = ask()
    assert metadata["title"] == "The Night Train"
    assert metadata["overview"] == "Told by a friend."
    assert metadata["cast"] == [{"name": "My Actor", "character": "My Role", "order": 0}]
    assert {metadata["sources"][f] for f in ("title", "year", "tmdb_id")} == {"TMDB"}
    assert {metadata["sources"][f] for f in ("overview", "cast", "runtime_min")} == {"The.Night.Train.2006.1080p.nfo"}


# -- doubt ----------------------------------------------------------------------------------------------------------------


def test_two_movies_of_one_name_are_told_apart_by_the_length_of_the_file(ask: Any, tmdb: FakeTmdb, movie: Path, movie_dir: Path) -> None:
    tmdb.movies = [{**NIGHT_TRAIN, "id": 1, "runtime": 95}, NIGHT_TRAIN]
    metadata, said = ask()
    assert "are equally likely; --tmdb-id ID settles it: the movie is described by file name" in said
    assert "cast" not in metadata["sources"]
    assert [(c["id"], c["score"]) for c in metadata["candidates"]] == [(1, 0.9), (77, 0.9)]
    media = {"container": "mkv", "duration": 121 * 60, "streams": [], "num_samples": 0}
    media["audio"] = {"index": 0, "reason": "", "downmix": "", "start": 0}
    (movie_dir / "media.json").write_text(json.dumps(media), encoding="utf-8")
    metadata, _ = ask()
    assert metadata["tmdb_id"] == 77
    assert [(c["id"], c["parts"]["runtime"]) for c in metadata["candidates"]] == [(77, 1.0), (1, 0.185)]
    assert ask("--tmdb-id=1", "--force")[0]["runtime_min"] == 95  # whoever knows better is believed


def test_those_that_cannot_win_are_kept_too_and_cost_no_request(ask: Any, tmdb: FakeTmdb) -> None:
    tmdb.movies = [{**NIGHT_TRAIN, "id": 5, "title": "Bus", "original_title": "Bus"}, NIGHT_TRAIN]
    metadata, _ = ask()
    assert [c["id"] for c in metadata["candidates"]] == [77, 5]
    assert metadata["candidates"][1]["score"] < 0.6
    assert tmdb.paths == ["/search/movie", "/movie/77"]


def test_the_original_title_is_searched_when_the_other_finds_nothing(ask: Any, tmdb: FakeTmdb, movie: Path) -> None:
    movie.with_suffix(".nfo").write_text(
        "<movie><title>My own name for it</title><originaltitle>Raat Ki Rail</originaltitle><year>2006</year></movie>", encoding="utf-8"
    )
    found = tmdb.answer
    tmdb.answer = lambda path, query: found(path, query) if query.get("query") != ["My own name for it"] else (200, {"results": []})  # type: ignore[method-assign]
    assert ask()[0]["tmdb_id"] == 77


def test_a_movie_that_is_only_similar_is_not_used(ask: Any, tmdb: FakeTmdb) -> None:
    tmdb.movies = [{**NIGHT_TRAIN, "title": "The Night Plane", "original_title": "The Night Plane", "release_date": "1999-01-01"}]
    metadata, said = ask()
    assert "no sure match at TMDB: the nearest is 'The Night Plane' (1999, id 77) with a score of" in said
    assert set(metadata["sources"].values()) == {"file name"}


def test_nothing_found_is_said(ask: Any, tmdb: FakeTmdb) -> None:
    tmdb.movies = []
    assert "TMDB finds nothing: the movie is described by file name" in ask()[1]


@pytest.mark.parametrize(
    ("wanted", "candidates", "expected"),
    [
        (Wanted(("Dhoom 2",), 2006), [Candidate(1, ("Dhoom",), 2006), Candidate(2, ("Dhoom: 2",), 2006)], 2),
        (Wanted(("Dhoom II",), 2006), [Candidate(2, ("Dhoom 2",), 2006)], 2),
        (Wanted(("Dhoom 3",), 2013), [Candidate(2, ("Dhoom 2",), 2013)], None),  # another number is another movie
        (Wanted(("amelie",), 2001), [Candidate(1, ("Amélie",), 2001)], 1),
        (Wanted(("Alien",), None), [Candidate(1, ("Aliens",), 1986), Candidate(2, ("Alien",), 1979)], 2),
        (Wanted(("Don",), None), [Candidate(1, ("Don",), 1978), Candidate(2, ("Don",), 2006)], None),
        (Wanted(("Don",), 2006), [Candidate(1, ("Don",), 1978), Candidate(2, ("Don",), 2006)], 2),
        (Wanted(("Don",), 2005), [Candidate(2, ("Don",), 2006)], 2),
        (Wanted(("Don",), 2001), [Candidate(2, ("Don",), 2006)], None),
        (Wanted(("Station",), None, runtime_min=1), [Candidate(1, ("Station",), 2014, 96)], None),  # a home video of that name
        (Wanted(("Station",), None, runtime_min=94), [Candidate(1, ("Station",), 2014, 96)], 1),
        (Wanted(("धूम",), 2004), [Candidate(1, ("Dhoom", "धूम"), 2004)], 1),
        (Wanted(("Don",), None, None, "hi"), [Candidate(1, ("Don",), 2006, None, "hi"), Candidate(2, ("Don",), 2006, None, "en")], 1),
    ],
)
def test_the_match_is_sure_or_none(wanted: Wanted, candidates: list[Candidate], expected: int | None) -> None:
    ranked = match.rank(wanted, candidates)
    assert (None if match.doubt(ranked) else ranked[0].candidate.tmdb_id) == expected


# -- the cache ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["metadata/cache of the movie directory", "the user's"])
def test_either_cache_alone_answers_offline(ask: Any, tmdb: FakeTmdb, tmp_path: Path, movie_dir: Path, kept: str) -> None:
    online, _ = ask()
    tmdb.seen.clear()
    gone = tmp_path / "cache" if kept.startswith("metadata") else movie_dir / "metadata" / "cache"
    for path in [*gone.glob("*"), movie_dir / "metadata" / "tmdb.json"]:
        path.unlink()
    metadata, said = ask("--offline")
    assert metadata == online
    assert "warning" not in said
    assert tmdb.seen == []


def test_answers_of_a_movie_directory_do_not_become_the_users(ask: Any, tmp_path: Path, movie_dir: Path) -> None:
    """The directory may be somebody else's, and the user's cache answers for all movies."""
    ask()
    for path in (tmp_path / "cache").glob("*"):
        path.unlink()
    ask("--offline", "--force")
    assert list((movie_dir / "metadata" / "cache").glob("*.json"))
    assert not list((tmp_path / "cache").glob("*"))


def test_answers_older_than_six_months_are_deleted_and_asked_for_again(ask: Any, tmdb: FakeTmdb, tmp_path: Path, movie_dir: Path) -> None:
    ask()
    cached = [*(tmp_path / "cache").glob("*.json"), *(movie_dir / "metadata" / "cache").glob("*.json")]
    assert len(cached) == 4
    for path in cached:
        path.write_text(path.read_text(encoding="utf-8").replace('"fetched": "2', '"fetched": "1'), encoding="utf-8")  # a millennium ago
    assert "OFFLINE, and TMDB's answer is not in the cache" in ask("--offline")[1]
    ask("--force")
    assert len(tmdb.seen) == 4


def test_a_damaged_cache_is_no_obstacle(ask: Any, tmp_path: Path, movie_dir: Path) -> None:
    ask()
    for path in [*(tmp_path / "cache").glob("*.json"), *(movie_dir / "metadata" / "cache").glob("*.json")]:
        path.write_text('{"request": ', encoding="utf-8")
    assert ask("--force")[0]["tmdb_id"] == 77


def test_the_output_is_the_same_again(ask: Any, movie_dir: Path) -> None:
    ask()
    first = (movie_dir / "metadata" / "tmdb.json").read_bytes()
    assert "up to date" in ask()[1]
    ask("--force")
    assert (movie_dir / "metadata" / "tmdb.json").read_bytes() == first


# -- TMDB does not answer -------------------------------------------------------------------------------------------------


def test_it_waits_as_long_as_tmdb_asks(ask: Any, tmdb: FakeTmdb) -> None:
    tmdb.replies = [(429, {"Retry-After": "1"}, b"{}"), (429, {"Retry-After": "Mon, 01 Jan 2001 00:00:00 GMT"}, b"{}")]
    metadata, said = ask()
    assert metadata["tmdb_id"] == 77
    assert "TMDB asks to wait (too many requests); trying again in 1.0 s" in said
    assert "trying again in 0.0 s" in said
    assert tmdb.paths == ["/search/movie"] * 3 + ["/movie/77"]


def endless(handler: _Handler) -> None:
    """A body without end."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" " * (1 << 20))
    except OSError:
        pass


def trickling(handler: _Handler) -> None:
    """A byte now and then: no single read times out."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.05)
    except OSError:
        pass


def silent(handler: _Handler) -> None:
    """No answer at all, for longer than the stage waits."""
    time.sleep(1.0)


def echoing(handler: _Handler) -> None:
    """A server (or a proxy's error page) that repeats what it was sent."""
    handler.write(200, {}, json.dumps({"results": [], "you_sent": handler.headers["Authorization"]}).encode())


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param((401, {}, b"{}"), "TMDB refuses the key in TMDB_TOKEN", id="wrong key"),
        pytest.param((429, {"Retry-After": "7200"}, b"{}"), "TMDB asks to come back in 7200 s", id="told to wait for hours"),
        pytest.param((503, {}, b"<html>"), "TMDB has a problem of its own (HTTP 503)", id="always 503"),
        pytest.param((418, {}, b""), "TMDB gives no answer (HTTP 418)", id="another status"),
        pytest.param((200, {}, b"<html>Log in to this hotel's network</html>"), "is not what its documentation promises", id="HTML"),
        pytest.param((200, {}, b'{"results": {"id": "x"}}'), "is not what its documentation promises", id="another shape"),
        pytest.param((200, {}, b'{"results": [], "page": NaN}'), "is not what its documentation promises", id="not a number"),
        pytest.param((200, {}, b"[" * 100_000), "is not what its documentation promises", id="deep nesting"),
        pytest.param((200, {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08"), "is not what its documentation promises", id="compressed"),
        pytest.param(endless, "TMDB's answer is larger than 8 MiB", id="endless"),
        pytest.param(trickling, "TMDB's answer was not complete after 1.5 s", id="trickling"),
        pytest.param(silent, "TMDB gave no answer within 0.5 s", id="silent"),
        pytest.param(echoing, "TMDB's answer repeats the key and is not used", id="echoing the key"),
    ],
)
def test_a_failing_tmdb_is_said_and_stops_nothing(ask: Any, tmdb: FakeTmdb, reply: Any, expected: str) -> None:
    tmdb.always = reply
    metadata, said = ask("--tmdb-timeout-s=0.5")
    assert f"{expected}: the movie is described by file name" in said
    assert (metadata["title"], metadata["year"]) == ("The Night Train", 2006)


def test_half_characters_in_an_answer_or_a_file_stop_nothing(ask: Any, tmdb: FakeTmdb, movie: Path) -> None:
    tmdb.movies = [{**NIGHT_TRAIN, "title": "The Night \ud800Train", "overview": "\udfff", "keywords": {"keywords": [{"name": "\ud83d"}]}}]
    (movie.parent / "movie.json").write_text('{"overviews": {"\\ud800": "plot"}}', encoding="utf-8")
    metadata, said = ask()
    assert metadata["title"] == metadata["candidates"][0]["title"] == "The Night Train"
    assert "warning" not in said


def test_nobody_listening_is_said_and_stops_nothing(ask: Any) -> None:
    metadata, said = ask(TMDB_URL="http://127.0.0.1:9/3")
    assert "TMDB cannot be reached: the movie is described by file name; --only tmdb --force asks TMDB again" in said
    assert metadata["title"] == "The Night Train"


def test_the_key_is_not_carried_elsewhere(ask: Any, tmdb: FakeTmdb) -> None:
    elsewhere = FakeTmdb([NIGHT_TRAIN])
    thread = threading.Thread(target=elsewhere.serve_forever, daemon=True)
    thread.start()
    tmdb.always = (302, {"Location": f"{elsewhere.url}/search/movie?query=x"}, b"")
    said = ask()[1]
    elsewhere.shutdown()
    elsewhere.server_close()
    thread.join()
    assert "TMDB redirects to another place, which is not followed (HTTP 302)" in said
    assert elsewhere.seen == []


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("0123456789abcdef0123456789abcdef", "the longer API Read Access Token is needed"),
        ("two words", "TMDB_TOKEN holds characters that no key has"),
        ("line\r\nX-Injected: 1", "TMDB_TOKEN holds characters that no key has"),
    ],
)
def test_a_wrong_key_is_explained_and_not_shown(ask: Any, movie_dir: Path, key: str, expected: str) -> None:
    said = ask(TMDB_TOKEN=key)[1]
    assert expected in said
    written = "".join(p.read_text(encoding="utf-8") for p in movie_dir.rglob("*") if p.is_file())
    assert key not in said + written and "X-Injected" not in said + written


@pytest.mark.parametrize(
    "url", ["http://example.org/3", "http://127.0.0.1.example.org/3", "https://me:secret@example.org/3", "file:///etc"]
)
def test_the_key_only_travels_encrypted_or_inside_this_machine(run_stage: RunStage, movie_dir: Path, movie: Path, url: str) -> None:
    done = run_stage("tmdb", movie_dir, movie=movie, env={"TMDB_URL": url}, check=False)
    assert done.returncode == 2
    assert "TMDB_URL takes text: address of TMDB's API; https, or http on this machine" in done.stderr


def test_the_key_cannot_be_given_on_the_command_line(run_stage: RunStage, movie_dir: Path, movie: Path) -> None:
    assert run_stage("tmdb", movie_dir, movie=movie, options=["--tmdb-token=x"], check=False).returncode == 2
    said = " ".join(run_stage("tmdb", None, options=["--help"]).stdout.split())
    assert "[TMDB_TOKEN, in the environment or a settings file only]" in said


def test_check_asks_tmdb_about_the_key(run_stage: RunStage, tmdb: FakeTmdb) -> None:
    tmdb.always = (200, {}, b'{"success": true, "status_code": 1, "status_message": "Success."}')
    env = {"OFFLINE": "false", "TMDB_TOKEN": CANARY, "TMDB_URL": tmdb.url}
    outcome = json.loads(run_stage("tmdb", None, env=env, options=["--check"]).stdout)
    assert outcome["ok"] and outcome["result"] == "file names: Dhoom 2 (2006); TMDB accepts the key"
    assert tmdb.paths == ["/authentication"]
    tmdb.always = None
    outcome = json.loads(run_stage("tmdb", None, env={**env, "TMDB_TOKEN": "wrong"}, options=["--check"]).stdout)
    assert outcome["result"].endswith("; TMDB refuses the key in TMDB_TOKEN")


# -- without TMDB ---------------------------------------------------------------------------------------------------------

KODI = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<movie>
  <title>The Night Train</title><originaltitle>Raat Ki Rail</originaltitle><premiered>2006-11-24</premiered><runtime>118 min</runtime>
  <plot>A   plot on
  two lines &amp; more.</plot><genre>Thriller</genre><genre>Crime</genre><tag>train</tag><set><name>Night Train</name></set>
  <uniqueid type="imdb" default="true">tt0000077</uniqueid><uniqueid type="tmdb">77</uniqueid>
  <director>A Director</director><credits>A Writer</credits><writer>A Writer</writer>
  <actor><name>Second</name><role>Rathore</role><order>1</order></actor>
  <actor><name>First</name><role>Jai</role><order>0</order></actor>
  <actor><name>A Director</name><role>Director</role><type>Director</type></actor>
  <actor><name>A Composer</name><role></role><type>Composer</type></actor>
  <localtitle>Nachtzug</localtitle><style>noir</style><outline>A plot on two lines</outline>
</movie>
https://www.themoviedb.org/movie/77-the-night-train
"""


def test_without_a_key_the_nfo_describes_the_movie(run_stage: RunStage, movie_dir: Path, movie: Path) -> None:
    movie.with_suffix(".nfo").write_text(KODI, encoding="utf-8")
    (movie.parent / "movie.nfo").write_text("<movie><title>Of the whole folder</title></movie>", encoding="utf-8")
    done = run_stage("tmdb", movie_dir, movie=movie, env={"OFFLINE": "false"})
    assert "no TMDB_TOKEN: the movie is described by The.Night.Train.2006.1080p.nfo and file name" in done.stderr
    metadata = json.loads((movie_dir / "metadata" / "tmdb.json").read_text(encoding="utf-8"))
    assert metadata == {
        "schema_version": 1,
        "title": "The Night Train",
        "original_title": "Raat Ki Rail",
        "alternative_titles": ["Nachtzug"],
        "year": 2006,
        "runtime_min": 118.0,
        "overview": "A plot on two lines & more. A plot on two lines",
        "overviews": {},
        "tmdb_id": 77,
        "imdb_id": "tt0000077",
        "collection": "Night Train",
        "genres": ["Thriller", "Crime"],
        "keywords": ["train", "noir"],
        "cast": [{"name": "First", "character": "Jai", "order": 0}, {"name": "Second", "character": "Rathore", "order": 1}],
        "crew": [
            {"name": "A Director", "job": "Director"},
            {"name": "A Writer", "job": "Writer"},
            {"name": "A Composer", "job": "Composer"},
        ],
        "candidates": [],
        "sources": dict.fromkeys(metadata["sources"], "The.Night.Train.2006.1080p.nfo"),
    }
    movie.with_suffix(".nfo").write_text("<movie><title>Another</title></movie>", encoding="utf-8")
    assert "Another (2006), 0 in the cast" in run_stage("tmdb", movie_dir, movie=movie).stderr


def test_movie_json_is_read_too(run_stage: RunStage, movie_dir: Path, movie: Path) -> None:
    (movie.parent / "movie.json").write_text('{"cast": [{"name": "First", "character": "Jai"}], "year": 2007}', encoding="utf-8")
    run_stage("tmdb", movie_dir, movie=movie)
    metadata = json.loads((movie_dir / "metadata" / "tmdb.json").read_text(encoding="utf-8"))
    assert (metadata["title"], metadata["year"], metadata["cast"][0]["character"]) == ("The Night Train", 2007, "Jai")
    assert metadata["sources"] == {"cast": "movie.json", "title": "file name", "year": "movie.json"}


BILLION_LAUGHS = '<!DOCTYPE m [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><movie><title>&b;</title></movie>'
READS_A_FILE = '<!DOCTYPE m [<!ENTITY f SYSTEM "file:///etc/hostname">]><movie><title>&f;</title></movie>'


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("movie.nfo", BILLION_LAUGHS, "movie.nfo is refused: it declares a document type or entities"),
        ("movie.nfo", READS_A_FILE, "movie.nfo is refused: it declares a document type or entities"),
        ("movie.nfo", "<movie><title>Cut", "movie.nfo is not used: it is not well-formed XML"),
        ("movie.nfo", "<tvshow><title>X</title></tvshow>", "movie.nfo is not used: it describes <tvshow>, not a <movie>"),
        ("movie.nfo", "Ripped by somebody\n", "movie.nfo is not used: it is neither Kodi's XML nor names the movie's page"),
        ("movie.nfo", "<movie>" + " " * (2 << 20) + "</movie>", "movie.nfo is not used: it is larger than 2 MiB"),
        ("movie.nfo", "<movie>" * 50_000, "movie.nfo is not used: it is not well-formed XML"),
        ("movie.json", "[1, 2]", "movie.json is not used: it holds no JSON object"),
        ("movie.json", '{"title": ', "movie.json is not used: it is not JSON"),
        ("movie.json", "[" * 100_000, "movie.json is not used: it is not JSON"),
        ("movie.json", '{"cast": "Jai"}', "movie.json is not used: cast: Input should be a valid list"),
        ("movie.json", '{"runtime_min": NaN}', "movie.json is not used: it is not JSON (NaN is no number)"),
        ("movie.json", '{"runtime_min": 1e999}', "movie.json is not used: it is not JSON (1e999 is no number)"),
        ("movie.json", '{"runtime_min": -5}', "movie.json is not used: runtime_min: '-5.0' cannot be"),
        ("movie.json", '{"year": 12}', "movie.json is not used: year: '12' cannot be"),
        ("movie.json", '{"tmdb_id": -1}', "movie.json is not used: tmdb_id: '-1' cannot be"),
        ("movie.json", '{"imdb_id": "../../account"}', "movie.json is not used: imdb_id: '../../account' cannot be"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_line(tmp_path: Path, name: str, content: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(sidecar.SidecarError) as refused:
        sidecar.read(path)
    assert str(refused.value).startswith(expected)


def test_a_hostile_nfo_is_said_and_stops_nothing(run_stage: RunStage, movie_dir: Path, movie: Path) -> None:
    movie.with_suffix(".nfo").write_text(READS_A_FILE, encoding="utf-8")
    done = run_stage("tmdb", movie_dir, movie=movie)
    assert "warning: The.Night.Train.2006.1080p.nfo is refused: it declares a document type or entities" in done.stderr
    assert '"title": "The Night Train"' in (movie_dir / "metadata" / "tmdb.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xef\xbb\xbf<movie><title>With a byte order mark</title></movie>", {"title": "With a byte order mark"}),
        ("<?xml version='1.0' encoding='UTF-16'?><movie><title>Wide</title></movie>".encode("utf-16"), {"title": "Wide"}),
        (b"<?xml version='1.0' encoding='ISO-8859-1'?><movie><title>Am\xe9lie</title></movie>", {"title": "Amélie"}),
        (b"<movie><title>T</title><id>tt0000077</id></movie>", {"title": "T", "imdb_id": "tt0000077"}),
        (
            b"<movie><name>T</name><fileinfo><streamdetails><video><durationinseconds>6000</durationinseconds></video>"
            b"</streamdetails></fileinfo><outline>Jai runs.</outline></movie>",
            {"title": "T", "runtime_min": 100.0, "overview": "Jai runs."},
        ),
        (b"<movie><title>T</title><set>Old style</set></movie>", {"title": "T", "collection": "Old style"}),
        (b"<movie><title>T</title><year>24</year><runtime>long</runtime><uniqueid type='tmdb'>x</uniqueid></movie>", {"title": "T"}),
        (b"\xc9\xcd\xcd a release \xcd\xcd\xbb http://www.imdb.com/title/tt0000077 ", {"imdb_id": "tt0000077"}),
    ],
)
def test_nfo_files_as_they_are_found(tmp_path: Path, content: bytes, expected: dict[str, Any]) -> None:
    path = tmp_path / "movie.nfo"
    path.write_bytes(content)
    assert {k: v for k, v in sidecar.read(path).fields.items() if v} == expected


@pytest.mark.parametrize(
    ("name", "title", "year"),
    [
        ("Dhoom.2.2006.1080p.BluRay.x264.mkv", "Dhoom 2", 2006),
        ("Blade.Runner.2049.2017.mkv", "Blade Runner 2049", 2017),
        ("Mission Impossible - Fallout (2018).mkv", "Mission Impossible - Fallout", 2018),
        ("Movie - Part 2.mkv", "Movie Part 2", None),
        ("1917.mkv", "1917", None),
        ("station.mp4", "station", None),
        ("धूम 2 (2006).mkv", "धूम 2", 2006),
        ("-.mkv", "-", None),
        (".mkv", ".mkv", None),
    ],
)
def test_every_file_name_gives_a_title(name: str, title: str, year: int | None) -> None:
    fields = filename.read(Path(name)).fields
    assert (fields["title"], fields["year"]) == (title, year)


def test_ids_in_the_file_name_are_seen() -> None:
    assert filename.read(Path("Amélie (2001) {tmdb-194}.mkv")).fields["tmdb_id"] == 194
    assert filename.is_episode(Path("Show.S01E02.mkv"))


def test_the_first_source_that_knows_wins_and_is_named() -> None:
    merged = merge([Source("a", {"title": "", "cast": []}), Source("b", {"title": "B", "year": 2001}), Source("c", {"title": "C"})])
    assert (merged.title, merged.year, merged.sources) == ("B", 2001, {"title": "b", "year": "b"})


def test_texts_are_tidied() -> None:
    assert tidy("e\u0301 \n x\u202e\x00\u200by") == "é xy"
    assert tidy("क\u094d\u200dष") == "क\u094d\u200dष"  # a joiner is part of the word
    assert tidy({"\ud800a": list(range(5000))}) == {"a": list(range(1000))}
