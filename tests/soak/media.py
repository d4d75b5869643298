"""Bad media: each goes through the real stage demux (and what is accepted on to mux, and a few through native/pipeline.sh).

Damaged, mislabelled, lying, odd and hostile movies, three seconds each, made from good ones (_media_cases.py). An input is clean when the
stage ends in time with a documented code and says on one screen what is wrong and what to do, without a traceback or a terminal's
escape codes; when it left neither half an output nor a temporary file nor a process, and an earlier run's outputs as they were; when
nothing that a playlist pointed at was opened; and when the sound of what was accepted is as long as it should be.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import common
import psutil
from _media_cases import ACCEPTED, REFUSED, Case, all_cases, damaged
from _media_files import SRT, good, make, tone

LIMIT_S = 240
SCREEN_LINES = 24
SCREEN_BYTES = 8000
ONE_MORE_MUX = 3  # one in so many accepted inputs goes on to mux
ONE_MORE_PIPELINE = 8  # one in so many inputs goes through native/pipeline.sh as well
# Root may read whatever the permissions say; users may not.
POWERS = "-dac_override,-dac_read_search"
ROOT_ALONE = os.geteuid() == 0 and shutil.which("setpriv")
POWERLESS = [b"setpriv", f"--bounding-set={POWERS}".encode(), f"--inh-caps={POWERS}".encode()] if ROOT_ALONE else []
TRACKS = '{"tracks": [{"file": "M.en.srt", "format": "srt", "language": "en", "title": "English", "num_cues": 2}]}\n'


# -- what must not be touched -------------------------------------------------------------------------------------------


class Canary:
    """A file that nobody may read, and a port that nobody may call."""

    def __init__(self, goods: Path) -> None:
        self.path = make(goods / "canary.ts", *tone(1000), "-c:a", "ac3")
        self.calls = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._answer, daemon=True).start()
        self.rest()
        self.path.read_bytes()
        self.seen = self.path.stat().st_atime > 0  # whether this file system tells
        self.rest()

    def rest(self) -> None:
        """An access time long ago, which the kernel renews at the first reading (man 8 mount, relatime)."""
        os.utime(self.path, (0, time.time()))
        self.calls = 0

    def problems(self) -> Iterator[str]:
        """What was touched since."""
        if self.seen and self.path.stat().st_atime > 0:
            yield "read a file that it was pointed at"
        if self.calls:
            yield "called a server that it was pointed at"
        self.rest()

    def _answer(self) -> None:
        while True:
            connection, _ = self._server.accept()
            self.calls += 1
            connection.close()


# -- one input ----------------------------------------------------------------------------------------------------------


@dataclass
class Bench:
    """Where inputs are tried: `goods` is made once, `work` is emptied after every input."""

    goods: Path
    work: Path
    canary: Canary
    environment: dict[str, str]

    @property
    def movie_dir(self) -> Path:
        return self.work / "out" / "M"

    def problems(self, case: Case, *, mux: bool, pipeline: bool) -> list[str]:
        """Everything that is wrong with what the stages make of `case`."""
        folder = self.work / "in"
        folder.mkdir(parents=True)
        try:
            movie = case.make(self.goods, folder)
            before = contents_of(folder)
            found = self._demux(case, movie, mux=mux)
            if pipeline:
                found += self._pipeline(movie)
            if contents_of(folder) != before:
                found.append("left something beside the movie, or changed it")
            return [*found, *self.canary.problems(), *self._processes()]
        finally:
            subprocess.run(["chmod", "-R", "u+rwx", str(self.work)], check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(self.work)

    def _demux(self, case: Case, movie: Path, *, mux: bool) -> list[str]:
        shutil.copytree(self.goods / "earlier", self.movie_dir)
        earlier = self._outputs()
        code, said, found = self._run("demux", movie)
        wanted = {REFUSED: (3,), ACCEPTED: (0,)}.get(case.want, (0, 3))
        if code not in wanted:
            found.append(f"code {code} instead of {' or '.join(map(str, wanted))}: {said.strip()[:300]!r}")
        if code:
            if self._outputs() != earlier:
                found.append("the outputs of an earlier run are not as they were")
            return found
        found += sound_problems(self.movie_dir / "audio" / "audio.wav", case.seconds)
        return found + self._mux(movie) if mux else found

    def _mux(self, movie: Path) -> list[str]:
        subtitles = self.movie_dir / "subtitles"
        subtitles.mkdir()
        (subtitles / "tracks.json").write_text(TRACKS, encoding="utf-8")
        (subtitles / "M.en.srt").write_text(SRT, encoding="utf-8")
        code, said, found = self._run("mux", movie)
        results = list(self.movie_dir.glob("M.subtitled.*"))
        # A copy that does not last as long as the headers said, or ends before a cue does, is refused as a failure of mux.
        fine = code in (0, 3) or (code == 6 and "not as planned" in said)
        if not fine or len(results) != (code == 0):
            found.append(f"mux: code {code}, {len(results)} results: {said.strip()[:300]!r}")
        return found

    def _run(self, stage: str, movie: Path) -> tuple[int, str, list[str]]:
        """A stage's code, what it said, and what is wrong with the way it ended."""
        script = next((common.NATIVE / "stages").glob(f"*_{stage}.py"))
        command = [common.python_of(stage), script, "--movie-dir", self.movie_dir, "--input", movie]
        code, said, found = self._call([os.fsencode(c) for c in command])
        found = [f"{stage}: {what}" for what in found]
        found += [f"{stage}: left {path.name}" for path in self.movie_dir.rglob(".tmp-*")]
        for log in (self.movie_dir / "logs").glob("*"):
            found += [f"{log.name}: {what}" for what in controls(log.read_text(encoding="utf-8", errors="replace"))]
        return code, said, found

    def _pipeline(self, movie: Path) -> list[str]:
        """native/pipeline.sh as far as demux: the same promises."""
        command = [b"native/pipeline.sh", b"--to", b"demux", b"--out", os.fsencode(self.work / "piped"), os.fsencode(movie)]
        code, said, found = self._call(command)
        if code not in (0, 3):
            found.append(f"code {code}: {said.strip()[:300]!r}")
        return [f"pipeline: {what}" for what in found]

    def _call(self, command: list[bytes]) -> tuple[int, str, list[str]]:
        try:
            done = subprocess.run(
                [*POWERLESS, *command],
                cwd=common.ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return -1, "", [f"did not end within {LIMIT_S} s"]
        said = done.stderr.decode(errors="replace")
        found = list(controls(said))
        if len(said.splitlines()) > SCREEN_LINES or len(said) > SCREEN_BYTES:
            found.append(f"said {len(said.splitlines())} lines, {len(said)} characters")
        if "Traceback" in said:
            found.append("a traceback on the screen")
        if done.returncode and "→" not in said:
            found.append(f"no remedy: {said.strip()[:300]!r}")
        return done.returncode, said, found

    def _outputs(self) -> dict[str, bytes]:
        return {name: data for name, data in contents_of(self.movie_dir).items() if not name.startswith(("logs", "manifests"))}

    def _processes(self) -> Iterator[str]:
        """Children that outlived the stage; each names a file in the folder."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if str(self.work) in line and process.status() != psutil.STATUS_ZOMBIE:
                    process.kill()
                    yield f"still running: {line[:200]}"


def contents_of(folder: Path) -> dict[str, bytes]:
    """Every file's bytes, by name; of what is no small regular file only what it is."""
    found = {}
    for path in sorted(folder.rglob("*")):
        small = path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 26 and os.access(path, os.R_OK)
        found[os.fsdecode(os.fsencode(path.relative_to(folder)))] = path.read_bytes() if small else b"special"
    return found


def controls(text: str) -> Iterator[str]:
    """Whether `text` has anything that a terminal would obey."""
    bad = sorted({c for c in text if c not in "\n\t" and (ord(c) < 32 or 127 <= ord(c) < 160)})
    if bad:
        yield f"control characters {bad}"


def sound_problems(wav: Path, seconds: float | None) -> Iterator[str]:
    """Whether `wav` is what the next stages read, and as long as the movie is."""
    with wave.open(str(wav)) as f:
        there = (f.getframerate(), f.getnchannels(), f.getsampwidth())
        length = f.getnframes() / 16000
        whole = wav.stat().st_size == 44 + f.getnframes() * 2
    if there != (16000, 1, 2) or not whole or not length:
        yield f"no good WAV: {there}, {length} s"
    if seconds is None:
        if length > 180:
            yield f"{length:.1f} s of sound out of a movie of a few seconds"
    elif abs(length - seconds) > 0.15:
        yield f"{length:.2f} s of sound instead of {seconds:.2f} s"


# -- all of them --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """A bench in a temporary folder, with the outputs of an earlier run of a good movie."""
    with tempfile.TemporaryDirectory(prefix="media-") as name:
        root = Path(name)
        goods = root / "goods"
        goods.mkdir()
        made = Bench(goods, root / "work", Canary(goods), common.child_environment(root / "home"))
        script = common.NATIVE / "stages" / "01_demux.py"
        command = [common.python_of("demux"), script, "--movie-dir", goods / "earlier", "--input", good(goods, "mkv")]
        subprocess.run(command, env=made.environment, check=True, capture_output=True)
        yield made


def chosen(count: int, seed: int, port: int) -> list[Case]:
    """`count` cases: at most half of them the fixed ones (all of them where there is room), the rest damage by chance."""
    fixed = all_cases(port)
    random.Random(seed).shuffle(fixed)
    fixed = fixed[: max(count * 2 // 3, 0)]
    by_chance = damaged(seed)
    return [*fixed, *(next(by_chance) for _ in range(count - len(fixed)))]


def soak(tally: common.Tally, count: int, seed: int) -> None:
    """Try `count` inputs."""
    with bench() as place:
        if not place.canary.seen:
            print("this file system keeps no access times: reading a canary would not be seen", file=sys.stderr)
        for number, case in enumerate(chosen(count, seed, place.canary.port)):
            mux, pipeline = number % ONE_MORE_MUX == 0, number % ONE_MORE_PIPELINE == 0
            tally.add(case.name, place.problems(case, mux=mux, pipeline=pipeline))


if __name__ == "__main__":
    sys.exit(common.main(soak, part="media", what="media: damaged, lying, odd, hostile", count=300))
