"""A film of seconds, what an undisturbed run makes of it, and what must hold of a movie directory that had a bad time.

Byte-identical is what DESIGN's Determinism says it is: every file of the movie directory but manifests, logs, the report and the lease.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from common import NATIVE, ROOT, child_environment, python_of

from reelscribe import lease
from reelscribe.artifacts import TEMPORARY_PREFIX

CANARY = "REELSCRIBE_SOAK"
SECONDS = 12
# What loads in a moment: imports would take most of a run's time, and what is written is the same for every engine.
SETTINGS = "WHISPER_BACKEND=sphinx\nALIGNMENT_BACKEND=none\n"
_EXEMPT = ("manifests/", "logs/", "report.html", ".lease")
_BLOCK = 4 << 20
_LIMIT_S = 900


@dataclass
class Film:
    """The film, a home and a TMPDIR for its runs, and the reference: the movie directory of an undisturbed run.

    stages: what a run is made of, all if empty.
    """

    root: Path
    movie: Path
    stages: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def scratch(self) -> Path:
        """TMPDIR of every run, empty between runs."""
        return self.root / "tmp"

    @property
    def reference(self) -> Path:
        """What an undisturbed run of the pipeline made."""
        return self.root / "reference" / self.movie.stem

    def pipeline(self, *arguments: str | Path) -> list[str]:
        """The command line of pipeline.sh with this film's settings."""
        return [str(NATIVE / "pipeline.sh"), "--env", str(self.root / "settings.env"), *map(str, arguments)]

    def whole_run(self, out: Path, *more: str) -> list[str]:
        """The command line of a run that makes `out`/film."""
        only = ["--only", ",".join(self.stages)] if self.stages else []
        return self.pipeline("--out", out, *only, *more, self.movie)

    def copy(self, name: str) -> Path:
        """A movie directory of its own, like the reference."""
        movie_dir = self.root / name / self.movie.stem
        shutil.copytree(self.reference, movie_dir, symlinks=True)
        return movie_dir

    def forget(self, movie_dir: Path) -> None:
        """Remove a movie directory again."""
        shutil.rmtree(movie_dir.parent, ignore_errors=True)

    def empty_scratch(self) -> None:
        """What one try has left must not be found by the next."""
        shutil.rmtree(self.scratch)
        self.scratch.mkdir()


def make_film(root: Path, stages: Sequence[str] = ()) -> Film:
    """The first seconds of the example with its cast, and the movie directory that one undisturbed run of `stages` makes of it."""
    root.mkdir(parents=True, exist_ok=True)
    film = Film(root.resolve(), root.resolve() / "film.mp4", stages)
    film.scratch.mkdir()
    (film.root / "settings.env").write_text(SETTINGS, encoding="utf-8")
    film.environment |= child_environment(root / "home") | {"TMPDIR": str(film.scratch)}
    find = [str(python_of("demux")), "-c", "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"]
    tool = subprocess.run(find, check=True, capture_output=True, text=True).stdout.strip()
    cut = ["-i", str(ROOT / "examples" / "station.mp4"), "-t", str(SECONDS), "-c", "copy", "-fflags", "+bitexact", str(film.movie)]
    subprocess.run([tool, "-nostdin", "-loglevel", "error", *cut], check=True)
    shutil.copy(ROOT / "examples" / "station" / "station.nfo", film.movie.with_suffix(".nfo"))
    code, said = run(film, film.whole_run(film.reference.parent))
    if code:
        raise SystemExit(f"the undisturbed run ended with {code}\n{said}")
    return film


# -- runs ---------------------------------------------------------------------------------------------------------------


@dataclass
class Running:
    """A command in a process group of its own. `canary`: what all its processes have in their environment; `said`: where its talk goes."""

    process: subprocess.Popen[bytes]
    canary: str
    said: Path

    def family(self) -> list[psutil.Process]:
        """Every process that it started, whoever is its parent by now, and itself."""
        return [process for process in psutil.process_iter() if _has_canary(process, self.canary)]

    def gone_within(self, limit_s: float) -> list[str]:
        """Wait until no process of it is left; what is left after `limit_s`, and killed then."""
        deadline = time.monotonic() + limit_s
        while (left := self.family()) and time.monotonic() < deadline:
            time.sleep(0.05)
        described = [described_process(process) for process in left]
        for process in left:
            process.kill()
        return described


def _has_canary(process: psutil.Process, canary: str) -> bool:
    try:
        return process.environ().get(CANARY) == canary and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def described_process(process: psutil.Process) -> str:
    """`1234 python 07_asr.py`."""
    try:
        return f"{process.pid} {' '.join(Path(part).name for part in process.cmdline()[:2])}"
    except psutil.Error:
        return str(process.pid)


def start(film: Film, command: Sequence[str], **more: str) -> Running:
    """Start `command` with the film's environment and `more`."""
    canary = uuid.uuid4().hex
    said = film.root / f"said-{canary}"
    with open(said, "wb") as f:
        process = subprocess.Popen(
            command,
            cwd=film.root,
            env={**film.environment, CANARY: canary, **more},
            stdin=subprocess.DEVNULL,
            stdout=f,
            stderr=f,
            start_new_session=True,
        )
    return Running(process, canary, said)


def finish(running: Running) -> tuple[int, str]:
    """Its exit code as a shell shows it, and what it said. One that hangs is killed and raises subprocess.TimeoutExpired."""
    try:
        code = running.process.wait(_LIMIT_S)
    except subprocess.TimeoutExpired:
        running.gone_within(0)
        raise
    said = running.said.read_text(encoding="utf-8", errors="replace")
    running.said.unlink()
    return (128 - code if code < 0 else code), said


def run(film: Film, command: Sequence[str], **more: str) -> tuple[int, str]:
    """start() and finish()."""
    return finish(start(film, command, **more))


# -- what must hold -----------------------------------------------------------------------------------------------------


def files_of(movie_dir: Path) -> dict[str, str]:
    """SHA-256 of every file that must be byte-identical, by its name within the movie directory."""
    names = sorted(str(p.relative_to(movie_dir)) for p in movie_dir.rglob("*") if p.is_file() or p.is_symlink())
    return {name: _sha256(movie_dir / name) for name in names if not name.startswith(_EXEMPT)}


def differences(movie_dir: Path, wanted: dict[str, str]) -> Iterator[str]:
    """How the files of `movie_dir` differ from those `wanted` (see files_of)."""
    found = files_of(movie_dir)
    yield from (f"{name} is missing" for name in wanted.keys() - found.keys())
    yield from (f"{name} is not of an undisturbed run" for name in found.keys() - wanted.keys())
    yield from (f"{name} differs" for name in wanted.keys() & found.keys() if wanted[name] != found[name])


def false_claims(movie_dir: Path, movie: Path) -> Iterator[str]:
    """What a manifest says and what is not so: outputs of stages that are done with size and hash, and remembered hashes.

    Counted here anew, by nothing of reelscribe.
    """
    for path in sorted((movie_dir / "manifests").glob("[0-9]*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            yield f"{path.name} is no JSON"
            continue
        for name, claim in record["outputs"].items() if record["status"] == "done" else ():
            output = movie_dir / name
            if not output.is_file():
                yield f"{path.name} claims {name}, which is not there"
            elif output.stat().st_size != claim["size"] or claim["sha256"] not in _digests(output):
                yield f"{path.name} claims other bytes of {name}"
        for name, digest in record["inputs"].items() if record["status"] == "done" else ():
            source = movie if name == "movie" else movie_dir / name
            if source.is_file() and digest not in _digests(source):
                yield f"{path.name} is of another {name}"
    yield from _false_memories(movie_dir)


def _false_memories(movie_dir: Path) -> Iterator[str]:
    remembered = movie_dir / "manifests" / "hashes.json"
    known: dict[str, Any] = json.loads(remembered.read_text(encoding="utf-8")) if remembered.exists() else {}
    for name, (size, mtime_ns, inode, digest) in known.items():
        path = movie_dir / name
        if not path.is_file():
            continue
        stat = path.stat()
        if [size, mtime_ns, inode] == [stat.st_size, stat.st_mtime_ns, stat.st_ino] and digest not in _digests(path):
            yield f"hashes.json remembers other bytes of {name}"


def _digests(path: Path) -> tuple[str, str]:
    """The file's SHA-256, and a movie's identity: of its size and three blocks of 4 MiB."""
    size = path.stat().st_size
    sampled = hashlib.sha256(str(size).encode())
    with open(path, "rb") as f:
        for offset in (0, max(0, size // 2 - _BLOCK // 2), max(0, size - _BLOCK)):
            f.seek(offset)
            sampled.update(f.read(_BLOCK))
    return _sha256(path), sampled.hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()).hexdigest()


def leftovers(film: Film, movie_dir: Path) -> Iterator[str]:
    """Temporary files in the movie directory and in TMPDIR, and a lease that somebody seems to hold."""
    yield from (f"{path.relative_to(movie_dir)} stays" for path in movie_dir.rglob(f"{TEMPORARY_PREFIX}*"))
    yield from (f"{path.name} stays in TMPDIR" for path in film.scratch.iterdir())
    if held := lease.holder(movie_dir):
        yield f"the lease is held by {held.get('pid')}"
    if (movie_dir / ".lease.json").exists():
        yield "the lease was not given back"


def not_done(film: Film, movie_dir: Path) -> Iterator[str]:
    """Stages that reelscribe itself would run again, by `pipeline.sh --status`."""
    show = [str(python_of("core")), "-m", "reelscribe.cli", "show", "--json", "--movie-dir", str(movie_dir)]
    done = subprocess.run(show, cwd=film.root, env=film.environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        yield f"--status ends with {done.returncode}: {done.stderr.strip()[-300:]}"
        return
    for stage in json.loads(done.stdout)["stages"]:
        if stage["state"] != "done" and (not film.stages or stage["stage"] in film.stages):
            yield f"--status says that {stage['stage']} is {stage['state']}"


def whole(film: Film, movie_dir: Path, wanted: dict[str, str]) -> list[str]:
    """Everything that is wrong with a movie directory after its last run, the one that nothing disturbed."""
    return [
        *differences(movie_dir, wanted),
        *false_claims(movie_dir, film.movie),
        *leftovers(film, movie_dir),
        *not_done(film, movie_dir),
    ]
