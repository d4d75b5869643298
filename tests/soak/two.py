"""Two at once: many processes want one movie directory, many movies run side by side, and environments are built meanwhile.

A try is a race: processes that wait for one moment take a directory that is free, or held by somebody who lives, was killed a moment ago,
lost his process id to another, was not heard of, or left a damaged lease. Exactly one gets it, none where the holder lives; the others
are told who has it. At the end ten movies at once, while two set-ups build the same environment anew, must make the
bytes that each makes alone, and six processes share the cache of tmdb's answers.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from _film import differences, files_of
from common import NATIVE, ROOT, Tally, child_environment, main, python_of, tries

QUICK = ("demux", "tmdb", "pre-ner", "silero-vad")
STATES = ("free", "killed", "reused", "unheard", "damaged", "held")
MOVIES = 10
RACERS = 6
# So long until all racers have read the line that says when it begins.
_START_S = 0.08

RACER = """
import os, sys, time
from pathlib import Path
from reelscribe import lease
from reelscribe.errors import BusyError
lease._machine(), lease._started(os.getpid())
print("ready", flush=True)
for line in sys.stdin:
    what, moment, folder = line.rstrip("\\n").split(" ", 2)
    if what == "release":
        lease.release(Path(folder), token)
        print("released", flush=True)
        continue
    while time.time() < float(moment): pass
    try:
        token = lease.acquire(Path(folder))
        print("mine", token, flush=True)
    except BusyError as error:
        print("busy", error.message, "|", error.remedy, flush=True)
    except Exception as error:
        print("error", type(error).__name__, error, flush=True)
"""


class Racer:
    """A process that takes movie directories when it is told to."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [str(python_of("core")), "-c", RACER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self.hear()

    def tell(self, what: str, folder: Path, moment: float = 0) -> None:
        """A line."""
        assert self.process.stdin
        self.process.stdin.write(f"{what} {moment:.4f} {folder}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        """A line."""
        assert self.process.stdout
        return self.process.stdout.readline().rstrip("\n")

    def kill(self) -> None:
        """SIGKILL, and gone."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def racers(number: int) -> Iterator[list[Racer]]:
    """So many processes."""
    started = [Racer() for _ in range(number)]
    try:
        yield started
    finally:
        for racer in started:
            racer.kill()


# -- races --------------------------------------------------------------------------------------------------------------


def races(tally: Tally, folder: Path, count: int, seed: int) -> None:
    """`count` races, each for a directory of its own."""
    with racers(RACERS) as running:
        for number, chance in tries(count, seed):
            state = chance.choice(STATES)
            tally.add(f"race {number} ({state})", list(race(running, folder / str(number), state, chance)))
            shutil.rmtree(folder / str(number))


def race(running: list[Racer], movie_dir: Path, state: str, chance: random.Random) -> Iterator[str]:
    """What is wrong with how one race ends."""
    movie_dir.mkdir(parents=True)
    holder = prepare(running, movie_dir, state, chance)
    moment = time.time() + _START_S
    chosen = running[1:] if holder else running
    for racer in chosen:
        racer.tell("take", movie_dir, moment)
    heard = [racer.hear() for racer in chosen]
    winners = [racer for racer, line in zip(chosen, heard, strict=True) if line.startswith("mine ")]
    if len(winners) != (0 if holder else 1):
        yield f"{len(winners)} have it: {heard}"
        return
    owner = holder or winners[0]
    lease = json.loads((movie_dir / ".lease.json").read_text(encoding="utf-8"))
    if lease["pid"] != owner.process.pid:
        yield f"the lease is that of {lease['pid']}"
    for line in heard:
        told = (f"process {owner.process.pid} on {socket.gethostname()} since ", f"ps -o pid,etime,args -p {owner.process.pid}")
        if not line.startswith("mine ") and not (line.startswith("busy ") and all(part in line for part in told)):
            yield f"told: {line}"
    owner.tell("release", movie_dir)
    owner.hear()
    yield from (f"{path.name} stays" for path in movie_dir.iterdir() if path.name not in (".lease.lock", ".lease.work"))


def prepare(running: list[Racer], movie_dir: Path, state: str, chance: random.Random) -> Racer | None:
    """Bring the directory into `state`; the racer that holds it and lives."""
    if state in ("held", "killed"):
        running[0].tell("take", movie_dir)
        running[0].hear()
    if state == "held":
        return running[0]
    if state == "killed":
        running[0].kill()
        running[0] = Racer()
    elsewhere = {"host": "elsewhere", "pid": 1, "started": 0, "token": "x", "heartbeat": time.time() - 121}
    lease = {
        "reused": json.dumps({**elsewhere, "host": socket.gethostname(), "pid": os.getpid(), "heartbeat": time.time()}),
        "unheard": json.dumps(elsewhere),
        "damaged": chance.choice(["", "{", "[]", "\0" * 20, "[" * 100_000, '{"host": 1, "heartbeat": 1e999}', json.dumps(elsewhere)[:40]]),
    }.get(state)
    if lease is not None:
        (movie_dir / ".lease.json").write_text(lease, encoding="utf-8")
    return None


# -- many movies --------------------------------------------------------------------------------------------------------


class Checkout:
    """A copy of the checkout whose environments can be built anew without harm to the real ones, and movies of seconds."""

    def __init__(self, root: Path, stages: Sequence[str]) -> None:
        self.root, self.native, self.stages = root, root / "tree" / "native", stages
        for name in ("shared", "native/stages", "native/requirements", "native/config"):
            shutil.copytree(ROOT / name, root / "tree" / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for file in NATIVE.glob("*.*"):
            shutil.copy(file, self.native / file.name)
        (self.native / "venvs").mkdir()
        for environment in (NATIVE / "venvs").iterdir():
            if not environment.name.startswith((".busy", ".new", ".old", ".lock")):
                (self.native / "venvs" / environment.name).symlink_to(environment)
        (root / "settings.env").write_text("WHISPER_BACKEND=sphinx\nALIGNMENT_BACKEND=none\n", encoding="utf-8")
        self.environment = child_environment(root / "home") | {"PYTHONPATH": str(root / "tree" / "shared" / "src")}

    def movie(self, number: int, seconds: float = 5) -> Path:
        """Another part of the example under another name."""
        find = [str(python_of("demux")), "-c", "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"]
        tool = subprocess.run(find, check=True, capture_output=True, text=True).stdout.strip()
        movie = self.root / f"movie{number}.mp4"
        part = ["-ss", str(5 * number), "-i", str(ROOT / "examples" / "station.mp4"), "-t", str(seconds), "-c", "copy"]
        subprocess.run([tool, "-nostdin", "-loglevel", "error", "-y", *part, "-fflags", "+bitexact", str(movie)], check=True)
        return movie

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """A script of the copy, in a group of its own."""
        return subprocess.Popen(
            [str(self.native / script), *arguments],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, movie: Path, out: str) -> subprocess.Popen[str]:
        """The pipeline, begun."""
        only = ["--only", ",".join(self.stages)] if self.stages else []
        return self.start("pipeline.sh", "--env", str(self.root / "settings.env"), "--out", str(self.root / out), *only, str(movie))


def ended(process: subprocess.Popen[str], limit_s: float = 3600) -> tuple[int, str]:
    """Its exit code and what it said; ended with its children past the limit."""
    try:
        _, said = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return 124, process.communicate()[1]
    return process.returncode, said


def movies_at_once(tally: Tally, root: Path, number: int, stages: Sequence[str] = (), *, building: str = "") -> None:
    """`number` movies alone, then all at once, while two set-ups build the environment `building` anew."""
    checkout = Checkout(root, stages)
    movies = [checkout.movie(n) for n in range(number)]
    alone = {movie: ended(checkout.run(movie, "alone")) for movie in movies}
    begun = [checkout.start("setup_venvs.sh", "--force", building) for _ in range(2)] if building else []
    together = {movie: checkout.run(movie, "together") for movie in movies}
    for n, setting_up in enumerate(begun):
        code, said = ended(setting_up)
        tally.add(f"set-up {n} of {building}", [f"ended with {code}: {said[-300:]}"] if code else [])
    for movie, process in together.items():
        code, said = ended(process)
        problems = [f"ended with {c}: {s[-500:]}" for c, s in (alone[movie], (code, said)) if c]
        if not problems:
            problems = list(differences(root / "together" / movie.stem, files_of(root / "alone" / movie.stem)))
            problems += [f"{path.name} stays" for path in (root / "together" / movie.stem).rglob(".tmp-*")]
        tally.add(f"{movie.stem} among {number}", problems)


# -- shared caches ------------------------------------------------------------------------------------------------------

CACHE = """
import sys
from datetime import timedelta
from pathlib import Path
sys.path.append(sys.argv[1])
from tmdb.cache import AnswerCache
cache = AnswerCache([Path(sys.argv[2])], timedelta(days=1))
for n in range(int(sys.argv[3])):
    request = f"https://example.org/movie/{n % 3}"
    cache.put(request, {"request": request, "filler": "x" * 20_000})
    answer = cache.get(request)
    if answer is None or answer["request"] != request or len(answer["filler"]) != 20_000:
        sys.exit(f"read {str(answer)[:80]}")
"""


def shared_cache(tally: Tally, folder: Path, count: int) -> None:
    """Six processes write and read the same three answers, `count` times each."""
    command = [str(python_of("tmdb")), "-c", CACHE, str(NATIVE / "stages"), str(folder), str(count)]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    for number, process in enumerate(started):
        _, said = process.communicate()
        tally.add(f"cache, process {number}", [said.strip()[-300:] or "failed"] if process.returncode else [])
    left = [path.name for path in folder.iterdir() if not path.name.endswith(".json") or path.name.startswith(".")]
    tally.add("cache, what stays", [f"{name} stays" for name in left])


def soak(tally: Tally, count: int, seed: int) -> None:
    """The long form."""
    with tempfile.TemporaryDirectory(prefix="reelscribe-two-") as name:
        folder = Path(name).resolve()
        races(tally, folder, count, seed)
        shared_cache(tally, folder / "cache", max(1, count // 5))
        if count >= 50:
            movies_at_once(tally, folder / "movies", MOVIES, building="tmdb")


if __name__ == "__main__":
    sys.exit(main(soak, part="two", what="races, shared caches, movies at once", count=500))
