"""Kill reelscribe with SIGKILL at random moments, run it again, and look whether anything is lost or left.

A try is a stage or a whole run of a film of seconds. Stages run alone, under their supervisor or under pipeline.sh, with their outputs
there or not. After a while chosen by chance, scaled to what the same run takes here undisturbed, one of its processes is killed: the
orchestrator, the supervisor, the stage, its worker (a decoder, an aligner, ffmpeg) or one of their helpers. Then the same command runs
again, often before the processes of the killed one have noticed. What must hold after that is in _film.py: every file is that of
an undisturbed run, manifests and remembered hashes are true, nothing temporary and no process is left, reelscribe itself sees all done.

A worker that is killed under a stage is the stage's affair: it decodes again with less, says so, and --retry-degraded brings it back.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from _film import Film, Running, false_claims, files_of, finish, make_film, run, start, whole
from common import Tally, main, python_of, tries

from reelscribe import stage_table
from reelscribe.manifest import path_of

# How often each is tried. What imports PyTorch takes half a minute on a busy machine, and so does a whole run.
WEIGHTS = {
    **dict.fromkeys(("demux", "tmdb", "pre-ner", "silero-vad", "post-ner", "subtitle-gen", "mux"), 9),
    "asr": 14,
    "pyannote-vad": 4,
    "diarization": 4,
    "whole run": 15,
}
WAYS = ("alone", "supervised", "orchestrated")
# So long a process may take to notice that the one it belongs to is gone; the machine may be busy.
_NOTICED_S = 30


@dataclass
class Try:
    """What is run, how, and what is there before. forced: --force, with everything there; else the stage's outputs are missing."""

    target: str
    way: str
    forced: bool
    movie_dir: Path

    def command(self, film: Film, *, force: bool = False) -> list[str]:
        """The command line; a rerun forces nothing."""
        more = ["--force"] if force else []
        if self.target == "whole run":
            return film.whole_run(self.movie_dir.parent, *more)
        row = stage_table.find(self.target)
        environment, folder = row.environments[0], str(self.movie_dir)
        if self.way == "orchestrated":
            return film.pipeline("--resume", folder, "--only", row.name, *more)
        if self.way == "alone":
            return [str(python_of(environment)), str(row.script), "--movie-dir", folder, *more]
        # The supervisor asks for the number of its parent, which is a shell, as in pipeline.sh.
        supervise = [str(python_of("core")), "-m", "reelscribe.supervise", "--movie-dir", folder, "--stage", row.name]
        return ["/bin/sh", "-c", '"$@" --parent $$; exit $?', "sh", *supervise, "--environment", environment, *more]

    def __str__(self) -> str:
        return f"{self.target} {self.way}{' --force' if self.forced else ''}"


@dataclass
class Kills:
    """A film and what is known of its runs: the files that are wanted, how long each command takes undisturbed, who was killed."""

    film: Film
    wanted: dict[str, str]
    seconds: dict[str, float] = field(default_factory=dict)
    victims: Counter[str] = field(default_factory=Counter)

    def prepare(self, name: str, target: str, way: str, forced: bool) -> Try:
        """A movie directory in which something is to do."""
        if target == "whole run":
            way = "orchestrated"
        if target == "whole run" and not forced:
            return Try(target, way, forced, self.film.root / name / self.film.movie.stem)
        movie_dir = self.film.copy(name)
        if not forced:
            forget_stage(movie_dir, target)
        return Try(target, way, forced, movie_dir)

    def undisturbed_s(self, one: Try) -> float:
        """How long such a run takes when nobody kills it."""
        key = f"{one.target} {one.way}"
        if key not in self.seconds:
            measured = self.prepare("measured", one.target, one.way, False)
            started = time.monotonic()
            code, said = run(self.film, measured.command(self.film))
            self.seconds[key] = time.monotonic() - started
            problems = [f"ends with {code}:\n{said}"] if code else whole(self.film, measured.movie_dir, self.wanted)
            self.film.forget(measured.movie_dir)
            if problems:
                raise SystemExit(f"{key}, undisturbed: {problems}")
        return self.seconds[key]


def forget_stage(movie_dir: Path, name: str) -> None:
    """As if the stage had never run: its manifest and its outputs are gone."""
    manifest = path_of(movie_dir, stage_table.find(name))
    for output in json.loads(manifest.read_text(encoding="utf-8"))["outputs"]:
        (movie_dir / output).unlink()
    manifest.unlink()


# -- victims ------------------------------------------------------------------------------------------------------------


def role_of(process: psutil.Process, family: dict[int, psutil.Process]) -> str:
    """What the process is to the run: orchestrator, supervisor, stage, worker or helper (whatever else there is)."""
    command = process.cmdline()
    parent = family.get(process.ppid())
    if parent and parent.cmdline() == command:
        return "helper"  # the forked watcher of a stage, a subshell
    text = " ".join(command)
    if "reelscribe.supervise" in text and "sh" not in Path(command[0]).name:
        return "supervisor"
    if "reelscribe.cli run" in text or any(part.endswith("/pipeline.sh") for part in command):
        return "orchestrator"
    scripts = {row.script.name for row in stage_table.load()}
    if any(Path(part).name in scripts for part in command):
        return "stage"
    return "worker" if parent and _below_stage(parent, scripts) else "helper"


def _below_stage(parent: psutil.Process, scripts: Iterable[str]) -> bool:
    return any(Path(part).name in scripts for part in parent.cmdline())


def kill_one(running: Running, chance: random.Random) -> str:
    """Kill one process of the run; its role, or "" when none is left."""
    roles: dict[str, list[psutil.Process]] = {}
    family = {process.pid: process for process in running.family()}
    for process in family.values():
        try:
            roles.setdefault(role_of(process, family), []).append(process)
        except (psutil.Error, IndexError):
            continue
    if not roles:
        return ""
    role = chance.choice(sorted(roles))
    victim = chance.choice(sorted(roles[role], key=lambda process: process.pid))
    try:
        victim.kill()
    except psutil.NoSuchProcess:
        return ""
    return role


# -- tries --------------------------------------------------------------------------------------------------------------


def interrupt(kills: Kills, one: Try, chance: random.Random) -> tuple[str, list[str]]:
    """Start the run, kill one of its processes and wait as long as the next run would. Who was killed ("": it was over), and problems."""
    moment_s = chance.uniform(0, kills.undisturbed_s(one))
    running = start(kills.film, one.command(kills.film, force=one.forced))
    with suppress(subprocess.TimeoutExpired):
        running.process.wait(moment_s)
    victim = kill_one(running, chance) if running.process.poll() is None else ""
    code, said = finish(running)
    problems = []
    if "Traceback (most recent call last)" in said:
        problems.append(f"a traceback after the {victim} was killed:\n{said}")
    if code not in (0, 2, 3, 4, 5, 6, 7, 130, *range(129, 160)):
        problems.append(f"exit code {code}, which is none of the documented ones, after the {victim} was killed:\n{said}")
    if chance.random() < 0.5:
        # Often the next run comes before the last of the killed one have noticed.
        if left := running.gone_within(_NOTICED_S):
            problems.append(f"{', '.join(left)} is there {_NOTICED_S} s after the {victim} was killed")
        if one.movie_dir.exists():
            problems += [f"after the {victim} was killed, {claim}" for claim in false_claims(one.movie_dir, kills.film.movie)]
    return victim, problems


def redo(kills: Kills, one: Try, victim: str) -> list[str]:
    """Run again, plainly, and say what is wrong then."""
    again = start(kills.film, one.command(kills.film))
    code, said = finish(again)
    if code:
        return [f"run again after the {victim} was killed, it ends with {code}:\n{said}"]
    if degraded(one.movie_dir):
        if victim != "worker":
            return [f"a chunk is degraded though the {victim} was killed"]
        code, said = run(kills.film, one.command(kills.film), ASR_RETRY_DEGRADED="true")
        if code:
            return [f"run again for degraded chunks, it ends with {code}:\n{said}"]
    left = again.gone_within(_NOTICED_S)
    problems = [f"{', '.join(left)} stays"] if left else []
    return [f"after the {victim} was killed, {problem}" for problem in [*problems, *whole(kills.film, one.movie_dir, kills.wanted)]]


def degraded(movie_dir: Path) -> bool:
    """Whether a chunk was decoded with less than full quality, or its words not aligned."""
    chunks = (movie_dir / "transcription" / "chunks").glob("chunk_*.json")
    return any(json.loads(chunk.read_text(encoding="utf-8"))["degraded"] for chunk in chunks)


def attempt(kills: Kills, number: int, chance: random.Random, targets: Sequence[str]) -> tuple[str, list[str]]:
    """One try, started anew until the kill came in time: its name, and its problems."""
    target = chance.choices(targets, [WEIGHTS[target] for target in targets])[0]
    way, forced = chance.choice(WAYS), chance.random() < 0.5
    for turn in range(10):
        one = kills.prepare(f"try-{number}-{turn}", target, way, forced)
        victim, problems = interrupt(kills, one, chance)
        if victim:
            kills.victims[victim] += 1
            problems = problems or redo(kills, one, victim)
        if victim or problems:
            kills.film.empty_scratch()
            if not problems:
                kills.film.forget(one.movie_dir)
            return f"try {number}, {one}", problems
        kills.film.forget(one.movie_dir)
    return f"try {number}, {target}", ["was over ten times before it was to be killed"]


def kill_many(tally: Tally, film: Film, count: int, seed: int) -> str:
    """`count` kills of the film's stages and of whole runs; who was killed how often."""
    kills = Kills(film, files_of(film.reference))
    targets = [target for target in WEIGHTS if not film.stages or target in (*film.stages, "whole run")]
    for number, chance in tries(count, seed):
        tally.add(*attempt(kills, number, chance, targets))
    return "killed: " + ", ".join(f"{role} {times}" for role, times in sorted(kills.victims.items()))


def soak(tally: Tally, count: int, seed: int) -> None:
    """See kill_many(); movie directories in which something was wrong are kept."""
    root = Path(tempfile.mkdtemp(prefix="soak-kill-"))
    print(kill_many(tally, make_film(root), count, seed))
    if tally.failures:
        print(f"kept: {root}")
    else:
        shutil.rmtree(root)


if __name__ == "__main__":
    sys.exit(main(soak, part="kill", what="a process killed at a random moment, then run again", count=120))
