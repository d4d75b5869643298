"""Fail every change of the movie directory: the first, the second, the third …, until a run ends without being hit.

A change is a write, an fsync, a rename, a link, an unlink, a mkdir or an open for writing, in the stage or a child of it (_faults.c, put
in front of the C library with LD_PRELOAD, so on Linux with a C compiler only). It fails as on a disk that stays full, once with ENOSPC, EIO
or EACCES, or its process is killed before it with SIGKILL. Every stage is tried, and the commands that write besides them: the
supervisor, the one that opens a movie directory, the report.

What must hold: the exit code is the documented one (5 for a full disk, 3 or 6 for other refusals, 0 where the change was no matter), the
message is short, has a remedy and no traceback, what was there is as it was, manifests are true; and after a plain rerun every file is that
of an undisturbed run and nothing temporary is left.

--count N tries N changes of each program and kind, chosen by --seed, instead of all.
"""

from __future__ import annotations

import errno
import json
import mmap
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from _film import Film, differences, false_claims, files_of, leftovers, make_film
from common import Tally, main, python_of

from reelscribe import stage_table
from reelscribe.manifest import path_of

HERE = Path(__file__).parent
EVERY = 1_000_000
# A screen has no more lines than this.
_SCREEN = 24
COMMANDS = ("open", "supervise", "report")
PROGRAMS = (*(row.name for row in stage_table.load()), *COMMANDS)


@dataclass(frozen=True)
class Kind:
    """How a change fails. code: errno, 0 for SIGKILL; stays: so does everything after it; forced: earlier outputs are there; ends: how."""

    name: str
    code: int
    ends: tuple[int, ...]
    stays: bool = False
    forced: bool = True


KINDS = (
    Kind("full disk", errno.ENOSPC, (0, 5), stays=True),
    Kind("ENOSPC", errno.ENOSPC, (0, 5), forced=False),
    Kind("EIO", errno.EIO, (0, 3, 6)),
    Kind("EACCES", errno.EACCES, (0, 3, 6), forced=False),
    Kind("SIGKILL", 0, (0, 6, 137)),
)


def compiler() -> str | None:
    """A C compiler of this machine."""
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def refusal() -> str:
    """Why this cannot be done here, or ""."""
    if not sys.platform.startswith("linux"):
        return "LD_PRELOAD is Linux's"
    return "" if compiler() else "there is no C compiler"


class Injector:
    """The library, and the memory that it shares with us: (count, at, error, stays, hits), see _faults.c."""

    _FORM = struct.Struct("@5l")

    def __init__(self, folder: Path) -> None:
        self.library = folder / "faults.so"
        self.state = folder / "state"
        compile_it = [str(compiler()), "-shared", "-fPIC", "-O1", "-o", str(self.library), str(HERE / "_faults.c"), "-ldl"]
        subprocess.run(compile_it, check=True)
        self.state.write_bytes(bytes(self._FORM.size))
        with open(self.state, "r+b") as f:
            self._shared = mmap.mmap(f.fileno(), self._FORM.size)

    def arm(self, kind: Kind | None, at: int = 0) -> None:
        """The change number `at` from now on, from 1, fails as `kind` says; 0: none."""
        self._shared[:] = self._FORM.pack(0, at, kind.code if kind else 0, int(kind.stays) if kind else 0, 0)

    @property
    def count(self) -> int:
        """Changes since arm()."""
        return int(self._FORM.unpack(self._shared)[0])

    @property
    def hits(self) -> int:
        """How many of them were made to fail."""
        return int(self._FORM.unpack(self._shared)[4])


class Server:
    """A program that is run in forks of one process, see _fault_server.py."""

    def __init__(self, film: Film, injector: Injector, name: str) -> None:
        self._film = film
        self.name = name
        ended = subprocess.Popen(["true"])
        ended.wait()
        self._nobody = ended.pid  # who holds what `open` opens, and is gone
        self.movie_dir = film.root / "try" / film.movie.stem
        environment = "core" if name in COMMANDS else stage_table.find(name).environments[0]
        preload = {"LD_PRELOAD": str(injector.library), "FAULT_STATE": str(injector.state), "FAULT_PREFIX": str(self.movie_dir)}
        quiet = {"PYANNOTE_METRICS_ENABLED": "0", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        self._process = subprocess.Popen(
            [str(python_of(environment)), str(HERE / "_fault_server.py"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=film.root,
            env={**film.environment, **quiet, **preload},
        )

    def run(self, *, force: bool = False) -> tuple[int, str]:
        """The program's exit code and what it said."""
        assert self._process.stdin and self._process.stdout
        said = self._film.root / "said"
        print(json.dumps({"arguments": self._arguments(force), "said": str(said)}), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name}: the server has ended")
        return int(json.loads(answer)["code"]), said.read_text(encoding="utf-8", errors="replace")

    def _arguments(self, force: bool) -> list[str]:
        folder = str(self.movie_dir)
        if self.name == "open":
            return ["open", "--resume", folder, "--pid", str(self._nobody)]
        if self.name == "report":
            return [folder]
        forced = ["--force"] if force else []
        if self.name == "supervise":
            return ["--movie-dir", folder, "--stage", "tmdb", "--environment", "tmdb", *forced]
        return ["--movie-dir", folder, *forced]

    def end(self) -> None:
        """Nothing more is asked."""
        with self._process:  # its pipes are closed, and it is waited for
            pass


@dataclass
class Sweep:
    """One program and its movie directory, as it is before each run and as it must be after the last."""

    film: Film
    injector: Injector
    server: Server
    wanted: dict[str, str]

    @property
    def stage(self) -> str:
        """The stage whose outputs are made, "" for a command that makes none."""
        return {"supervise": "tmdb", "open": "", "report": ""}.get(self.server.name, self.server.name)

    def reset(self, forced: bool) -> None:
        """The movie directory as it is before each run."""
        movie_dir = self.server.movie_dir
        shutil.rmtree(movie_dir.parent, ignore_errors=True)
        shutil.copytree(self.film.reference, movie_dir)
        if forced or not self.stage:
            return
        manifest = path_of(movie_dir, stage_table.find(self.stage))
        for output in json.loads(manifest.read_text(encoding="utf-8"))["outputs"]:
            (movie_dir / output).unlink()
        manifest.unlink()
        for folder in sorted(movie_dir.rglob("*"), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def total(self, kind: Kind) -> int:
        """How many changes an undisturbed run makes. Exits when that does not make what is wanted."""
        self.reset(kind.forced)
        self.injector.arm(None)
        code, said = self.server.run(force=kind.forced)
        if code or (problems := self._after(kind)):
            raise SystemExit(f"{self.server.name}, undisturbed: ends with {code}: {said if code else problems}")
        return self.injector.count

    def attempt(self, kind: Kind, at: int) -> list[str] | None:
        """Let the change `at` fail and run again; what is wrong, or None when there was no such change."""
        self.reset(kind.forced)
        before = files_of(self.server.movie_dir)
        self.injector.arm(kind, at)
        code, said = self.server.run(force=kind.forced)
        if not self.injector.hits:
            return None
        self.injector.arm(None)
        problems = [*wrong_end(kind, code, said), *self._damage(before)]
        again, said = self.server.run()
        return problems + ([f"run again, it ends with {again}:\n{said}"] if again else [f"run again: {p}" for p in self._after(kind)])

    def _damage(self, before: dict[str, str]) -> Iterator[str]:
        """What the failed run did to files that were there, or claims falsely."""
        movie_dir = self.server.movie_dir
        after = {name: digest for name, digest in files_of(movie_dir).items() if ".tmp-" not in name}
        yield from (f"{name} is gone" for name in before.keys() - after.keys())
        yield from (f"{name} is half written or wrong" for name, digest in after.items() if self.wanted.get(name) != digest)
        yield from false_claims(movie_dir, self.film.movie)

    def _after(self, kind: Kind) -> list[str]:
        """What is wrong after a run that nothing disturbed. What the report left unfinished, whoever opens the directory removes."""
        movie_dir = self.server.movie_dir
        found = differences(movie_dir, self.wanted)
        problems = [p for p in found if self.server.name != "report" or ".tmp-" not in p]
        problems += false_claims(movie_dir, self.film.movie)
        if self.server.name != "report":  # `open` leaves the lease to the process that it was asked for
            problems += [p for p in leftovers(self.film, movie_dir) if self.stage or "lease" not in p]
        if self.stage and json.loads(path_of(movie_dir, stage_table.find(self.stage)).read_text(encoding="utf-8"))["status"] != "done":
            problems.append(f"{self.stage} is not done")
        return problems


def wrong_end(kind: Kind, code: int, said: str) -> Iterator[str]:
    """What is wrong with how the program ended."""
    if code not in kind.ends:
        yield f"it ends with {code}, not with one of {kind.ends}:\n{said}"
    elif "Traceback" in said or len(said.splitlines()) > _SCREEN:
        yield f"that is no message for people:\n{said}"
    elif code in (3, 5, 6) and "→" not in said:
        yield f"there is no remedy:\n{said}"


@contextmanager
def sweep_of(film: Film, injector: Injector, name: str) -> Iterator[Sweep]:
    """The program `name`, ready to be tried."""
    server = Server(film, injector, name)
    try:
        yield Sweep(film, injector, server, files_of(film.reference))
    finally:
        server.end()


def places(count: int, total: int, chance: random.Random) -> Iterable[int]:
    """The numbers of the changes to try: all, until there are no more, or `count` of `total`."""
    return range(1, EVERY) if count >= total else sorted(chance.sample(range(1, total + 1), count))


def fail_many(tally: Tally, film: Film, count: int, seed: int, programs: Sequence[str] = PROGRAMS) -> None:
    """Every change (or `count` of them) of each program, in each of the KINDS of failing."""
    injector = Injector(film.root)
    for name in programs:
        with sweep_of(film, injector, name) as sweep:
            for kind in KINDS:
                before = tally.tried
                for at in places(count, sweep.total(kind), random.Random(f"{seed}/{name}/{kind.name}")):
                    problems = sweep.attempt(kind, at)
                    if problems is None:
                        break
                    tally.add(f"{name}, change {at}, {kind.name}", problems)
                print(f"{name}, {kind.name}: {tally.tried - before} changes", flush=True)


def soak(tally: Tally, count: int, seed: int) -> None:
    """See fail_many()."""
    if why := refusal():
        raise SystemExit(why)
    with tempfile.TemporaryDirectory(prefix="soak-faults-") as folder:
        fail_many(tally, make_film(Path(folder)), count, seed)


if __name__ == "__main__":
    sys.exit(main(soak, part="faults", what="a write, fsync, rename … that fails, then run again", count=EVERY))
