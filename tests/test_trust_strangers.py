"""A movie directory that came from somebody else: what lies in it is neither run nor trusted, and leads nowhere else."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from reelscribe import jobs, lease, pyannote_models
from reelscribe.artifacts import refuse_strangers
from reelscribe.errors import BadInputError
from reelscribe.settings import layers, resolve, settings_of
from reelscribe.stage import load_contracts
from reelscribe.stage_table import NATIVE

Run = Callable[..., subprocess.CompletedProcess[str]]

# Of Python's library, what our commands import before and after our own modules. Whoever imports it from elsewhere leaves a note.
LIBRARY = ("argparse", "fcntl", "json", "platform", "random", "runpy", "secrets", "shlex", "socket", "wave")
NOTE = "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\nraise SystemExit(77)\n"


# -- the current folder -------------------------------------------------------------------------------------------------


@pytest.fixture
def planted(movie_dir: Path) -> Path:
    """The movie directory, with modules that are called as Python's own, and a package as ours."""
    for name in LIBRARY:
        (movie_dir / f"{name}.py").write_text(NOTE)
    (movie_dir / "reelscribe").mkdir()
    (movie_dir / "reelscribe" / "__init__.py").write_text(NOTE)
    return movie_dir


@pytest.mark.parametrize(
    "command",
    [
        ["pipeline.sh", "--status", "."],
        ["pipeline.sh", "--corrections", "."],
        ["pipeline.sh", "--review", ".", "--no-browser"],
        ["pipeline.sh", "--to", "tmdb", "../../film.mkv"],
        ["workflow/run.sh", "--profile", "none", "../../film.mkv"],
    ],
    ids=" ".join,
)
def test_python_files_in_the_current_folder_are_not_run(planted: Path, make_movie, child_environment, command: list[str]) -> None:
    make_movie(planted.parents[1] / "film.mkv", seconds=1)
    script, *options = command
    done = subprocess.run(
        [str(NATIVE / script), *options], cwd=planted, env=child_environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert not [path.name for path in planted.rglob("*.ran")], done.stderr
    assert done.returncode == (0 if "tmdb" in command else 2 if "none" in command else 3), done.stderr


# -- its settings -------------------------------------------------------------------------------------------------------

PERSONAL = {"FFMPEG": "./mine", "TRUST_MODEL": "true", "HF_ENDPOINT": "https://example.org", "TMDB_URL": "https://example.org"}


def write_job(movie_dir: Path, movie: Path, **said: str) -> None:
    lines = {"MOVIE": str(movie), **said}
    (movie_dir / "job.env").write_text("".join(f"{name}='{value}'\n" for name, value in lines.items()))


@pytest.fixture
def pipeline(tmp_path: Path, child_environment: dict[str, str]) -> Run:
    """Run pipeline.sh to its end in tmp_path."""

    def run(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        command, environment = [str(NATIVE / "pipeline.sh"), *map(str, arguments)], child_environment | more
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False)

    return run


def test_what_is_run_or_trusted_or_told_a_key_is_said_by_the_user_alone(movie_dir: Path) -> None:
    found = {s.env for stage in load_contracts() for s in settings_of(stage.name, stage.options) if s.personal}
    assert found == set(PERSONAL)
    write_job(movie_dir, movie_dir / "film.mkv", **PERSONAL, SDH="true")
    assert jobs.kept_settings(movie_dir) == {"SDH": "true"}
    for stage in load_contracts():
        _, sources = resolve(stage.name, stage.options, layers({}, None, movie_dir, {}))
        assert not [s.env for s in settings_of(stage.name, stage.options) if s.personal and sources[s.field] != "default"]


@pytest.mark.parametrize("command", [["--status"], ["--dry-run", "--resume"], ["--to", "demux", "--resume"]], ids=" ".join)
def test_a_program_that_a_movie_directory_names_is_not_run(pipeline: Run, movie_dir: Path, make_movie, command: list[str]) -> None:
    movie = make_movie(movie_dir.parents[1] / "film.mkv", seconds=1)
    program = movie_dir / "mine"
    program.write_text('#!/bin/sh\ntouch "$0.ran"\n')
    program.chmod(0o755)
    write_job(movie_dir, movie, FFMPEG="./mine")
    done = pipeline(*command, movie_dir)
    assert not (movie_dir / "mine.ran").exists()
    assert done.returncode == 0, done.stderr
    assert "job.env says FFMPEG, which is not taken from a movie directory" in done.stderr


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """Its address, and the keys that it was told."""
    told: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.append(str(self.headers.get("Authorization")))
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}", told
        serving.shutdown()


def test_a_server_that_a_movie_directory_names_is_told_no_key(pipeline: Run, movie_dir: Path, tmp_path: Path, server) -> None:
    address, told = server
    movie = tmp_path / "film.mkv"
    movie.write_bytes(b"looked at by nobody")
    write_job(movie_dir, movie, HF_ENDPOINT=address, TMDB_URL=f"{address}/3")
    # What is not that server is not there, either: there is no way to it through this proxy.
    keys = {"OFFLINE": "false", "HF_TOKEN": "hf_key", "TMDB_TOKEN": "tmdb-key", "HTTPS_PROXY": "http://127.0.0.1:9"}
    done = pipeline("--only", "tmdb", "--resume", movie_dir, **keys)
    pipeline("--prefetch", "--resume", movie_dir, **keys)
    assert told == [], done.stderr
    assert "job.env says TMDB_URL" in done.stderr and "job.env says HF_ENDPOINT" in done.stderr


def test_what_the_command_line_says_of_them_reaches_the_stages_of_this_run(pipeline: Run, tmp_path: Path, make_movie) -> None:
    import imageio_ffmpeg

    movie, mine = make_movie(tmp_path / "film.mkv", seconds=1), tmp_path / "mine"
    mine.write_text(f'#!/bin/sh\ntouch "$0.ran"\nexec "{imageio_ffmpeg.get_ffmpeg_exe()}" "$@"\n')
    mine.chmod(0o755)
    (tmp_path / "my.env").write_text("FFMPEG=/nowhere\n")
    done = pipeline("--to", "demux", "--env", "my.env", "--set", "FFMPEG=./mine", movie)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine.ran").exists()
    assert "FFMPEG" not in (tmp_path / "out" / "film" / "job.env").read_text()
    (tmp_path / "mine.ran").unlink()
    again = pipeline("--to", "demux", "--resume", tmp_path / "out" / "film", FFMPEG=str(mine))
    assert "demux: up to date" in again.stderr and (tmp_path / "mine.ran").exists(), "the environment may say it, too"


# -- what it says -------------------------------------------------------------------------------------------------------

COMMANDS = "\x1b]52;c;cm0=\x07\x1b[2J\x9b5m"  # to a terminal: put this into the clipboard, wipe the screen, blink


def test_what_a_movie_directory_says_moves_no_terminal(pipeline: Run, tmp_path: Path, make_movie) -> None:
    movie_dir = tmp_path / f"a{COMMANDS}b"
    movie_dir.mkdir()
    write_job(movie_dir, make_movie(tmp_path / "film.mkv", seconds=1))
    record = {"stage": "tmdb", "revision": 1, "fingerprint": "", "run": {"started": ""}, "fallbacks": [COMMANDS], "error": COMMANDS}
    word = {"id": "c1", "segment": 0, "first": 0, "last": 0, "start": 0, "end": 1, "old": "", "new": "", "rule": "x", "scores": {}}
    said = {"id": 0, "start": 0, "end": 1, "text": COMMANDS, "words": []}
    files = {
        "manifests/02_tmdb.json": {**record, "status": "failed"},
        "manifests/03_pre-ner.json": {**record, "stage": "pre-ner", "status": "done", "outputs": {COMMANDS: {"size": 0, "sha256": ""}}},
        "corrected/corrections.json": {"corrections": [{**word, "heard": COMMANDS, "written": COMMANDS}], "threshold": 0.5},
        "corrected/transcript.json": {"segments": [said], "language": "en", "engine": "", "model": "", "duration": 1},
    }
    for name, content in files.items():
        (movie_dir / name).parent.mkdir(exist_ok=True)
        (movie_dir / name).write_text(json.dumps(content))
    for command in (["--status"], ["--corrections"], ["--only", "tmdb", "--resume"]):
        done = pipeline(*command, movie_dir)
        assert done.returncode == 0, done.stderr
        assert r"\x1b]52" in done.stderr + done.stdout
        table = done.stdout if "--corrections" in command else ""
        assert not [c for c in COMMANDS if ord(c) in (7, 27, 0x9B) and c in done.stderr + table], command


# -- files where folders have to be, and the other way round ------------------------------------------------------------


@pytest.mark.parametrize("name", ["logs", "manifests", "metadata"])
def test_a_file_where_a_folder_has_to_be_is_refused_with_words(pipeline: Run, movie_dir: Path, make_movie, name: str) -> None:
    write_job(movie_dir, make_movie(movie_dir.parents[1] / "film.mkv", seconds=1))
    (movie_dir / name).write_text("in the way")
    done = pipeline("--only", "tmdb", "--resume", movie_dir)
    assert done.returncode == 3, done.stderr
    assert f"{name} is a file where a folder has to be\n  → delete it, or move it away" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["logs/pipeline.log", "logs/02_tmdb.log", "manifests/hashes.json"])
def test_a_folder_where_a_file_has_to_be_is_refused_with_words(pipeline: Run, movie_dir: Path, make_movie, name: str) -> None:
    write_job(movie_dir, make_movie(movie_dir.parents[1] / "film.mkv", seconds=1))
    (movie_dir / name).mkdir(parents=True)
    done = pipeline("--only", "tmdb", "--resume", movie_dir)
    assert "Traceback" not in done.stderr
    if name == "manifests/hashes.json":
        assert done.returncode == 0, "a cache that cannot be written ends nothing"
        return
    assert done.returncode == 3, done.stderr
    assert f"{Path(name).name} is a folder where a file has to be\n  → delete it, or move it away" in done.stderr


# -- how much it says ---------------------------------------------------------------------------------------------------

MEMORY = 3 << 30  # of addresses, for a command that takes a tenth of that
TOO_LARGE = ['ulimit -v $0 && exec "$@"', str(MEMORY >> 10), str(NATIVE / "pipeline.sh")]


@pytest.mark.skipif(sys.platform != "linux", reason="macOS keeps no limit of memory")
@pytest.mark.parametrize("name", [".lease.json", "manifests/hashes.json"])
def test_a_giant_is_not_read(movie_dir: Path, tmp_path: Path, make_movie, child_environment, name: str) -> None:
    write_job(movie_dir, make_movie(tmp_path / "film.mkv", seconds=1))
    (movie_dir / name).parent.mkdir(exist_ok=True)
    with open(movie_dir / name, "wb") as f:
        f.truncate(MEMORY)  # a hole: it takes no room
    command = ["bash", "-c", *TOO_LARGE, "--only", "tmdb", "--resume", str(movie_dir)]
    done = subprocess.run(command, env=child_environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "said", [{"host": "a"}, {"pid": 1}, {"host": "a", "pid": "1"}, {"host": "a", "pid": 10**400}, {"host": "a\n" * 999, "pid": 1}]
)
def test_a_lease_that_names_no_holder_is_nobodys(movie_dir: Path, said: dict[str, object]) -> None:
    (movie_dir / ".lease.json").write_text(json.dumps({**said, "heartbeat": time.time()}))
    token = lease.acquire(movie_dir)
    assert lease.beat(movie_dir, token)
    lease.release(movie_dir, token)


def test_a_segmentation_that_unpacks_to_more_than_any_film_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3 GiB of zeros are 13 MiB in a file."""
    path = tmp_path / "segmentation.npz"
    pyannote_models.Segmentation(np.zeros((9000, 100, 3), np.float16), 5.0, 0.5, "x").write(path)
    assert path.stat().st_size < 20_000
    assert pyannote_models.Segmentation.read(path).scores.shape == (9000, 100, 3)
    monkeypatch.setattr(pyannote_models, "_LARGEST_SEGMENTATION", 1 << 20)
    with pytest.raises(BadInputError, match="larger than that of any film"):
        pyannote_models.Segmentation.read(path)


# -- what cannot be looked into -----------------------------------------------------------------------------------------

# Root may read anything, unless it gives up the power to.
POWERS = "-dac_override,-dac_read_search"
POWERLESS = ["setpriv", f"--bounding-set={POWERS}", f"--inh-caps={POWERS}"] if os.geteuid() == 0 else []


def test_a_folder_that_hides_what_is_in_it_is_refused(movie_dir: Path, tmp_path: Path, make_movie, child_environment) -> None:
    """It could be entered, and what we write into a log there would go where a link in it leads."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    write_job(movie_dir, make_movie(tmp_path / "film.mkv", seconds=1))
    (movie_dir / "logs").mkdir()
    for name in ("pipeline.log", "01_demux.log"):
        (movie_dir / "logs" / name).symlink_to(precious)
    (movie_dir / "logs").chmod(0o311)
    command = [*POWERLESS, str(NATIVE / "pipeline.sh"), "--to", "demux", "--resume", str(movie_dir)]
    done = subprocess.run(command, env=child_environment, capture_output=True, text=True, timeout=280, check=False)
    (movie_dir / "logs").chmod(0o755)
    assert precious.read_text() == "precious"
    assert done.returncode == 3
    assert "'logs' in A_Movie is what cannot be looked at (Permission denied)" in done.stderr


def test_a_folder_deeper_than_any_path_is_refused_with_words(movie_dir: Path) -> None:
    here = os.open(movie_dir, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=here)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    with pytest.raises(BadInputError, match=r"is what cannot be looked at \(File name too long\)"):
        refuse_strangers(movie_dir)
    subprocess.run(["rm", "-rf", str(movie_dir)], check=False)
