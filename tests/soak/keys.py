"""Keys that must be nowhere: runs that go well, fail and crash, with a canary as TMDB_TOKEN and HF_TOKEN.

Each try runs native/pipeline.sh in a folder of its own (home, caches, TMPDIR), against servers on this machine that misbehave. Then every
file, stdout and stderr are searched for the key, as it is and as addresses, JSON, hexadecimal and base64 spell it; while it runs, the
command lines of all processes and the environments of those that need no key. The kinds of tries:

    asked     a server that refuses, echoes the key, redirects, hangs, sends rubbish; the key from the environment or from a file
    file      a settings file of wrong permissions (refused, exit code 2, with the command that mends it) and of right ones
    crash     the stage dies of a signal, or of an exception that holds the key
    offline   a whole run in a network namespace without any interface; no process asks for a name or a connection
    whole     a whole run on a network whose servers misbehave
"""

from __future__ import annotations

import itertools
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from _canary import KEY, Ran, left_in, run
from common import NATIVE, ROOT, Tally, child_environment, main

sys.path.append(str(ROOT / "tests"))
from hostile_server import BEHAVIOURS, HostileServer

KEYS = ("TMDB_TOKEN", "HF_TOKEN")
# The hub's patience is a minute: there the slow ones are tried by tests/shared/test_transport.py alone.
SLOW = ("silent", "slow body", "slow headers")
GOOD_MODES, BAD_MODES = (0o600, 0o400), (0o644, 0o640, 0o604, 0o660, 0o606, 0o620, 0o601, 0o777)
NO_NETWORK = ("unshare", "-n") if os.geteuid() == 0 else ("unshare", "-rn")
HOOKS = Path(__file__).resolve().parent / "_hooks"
MOVIE = ROOT / "examples" / "station.mp4"
SHORT = ("--set", "AUDIO_END=15")  # quicker, and all stages have something to do


@dataclass
class Try:
    """A folder, a server that misbehaves and one that it redirects to."""

    folder: Path
    server: HostileServer
    other: HostileServer

    def environment(self, **more: str) -> dict[str, str]:
        """Of pipeline.sh, online."""
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        asked = {"TMDB_URL": f"{self.server.url}/3", "HF_ENDPOINT": self.server.url, "TMDB_TIMEOUT_S": "0.5"}
        mine = {"OFFLINE": "false", "TMPDIR": str(self.folder / "tmp"), "LOG_LEVEL": "debug", **asked}
        return child_environment(self.folder / "home") | mine | more

    def pipeline(self, *arguments: str, env: dict[str, str] | None = None, before: tuple[str, ...] = (), limit_s: float = 900) -> Ran:
        """Run native/pipeline.sh to its end."""
        return run([*before, NATIVE / "pipeline.sh", *arguments], env or self.environment(), self.folder, limit_s=limit_s)

    def settings_file(self, mode: int, name: str) -> Path:
        """A settings file with the key."""
        path = self.folder / "my keys.env"
        path.write_text(f"{name}='{KEY}'\n", encoding="utf-8")
        path.chmod(mode)
        return path

    def leaks(self, ran: Ran, *, but: tuple[Path, ...] = ()) -> list[str]:
        """What is wrong after a run: the key somewhere, or at the server that it was not meant for."""
        strayed = [f"the key went to another server: {path}" for path, key in self.other.seen if key]
        return [*ran.problems, *left_in(self.folder, but=but), *strayed]


def wanting(name: str) -> list[str]:
    """Arguments of a run that uses the key `name` and does little else."""
    return ["--only", "tmdb", str(MOVIE)] if name == "TMDB_TOKEN" else ["--prefetch", "--only", "diarization"]


def asked(try_: Try, name: str, from_file: bool, behaviour: str) -> list[str]:
    """The key reaches the server, which does `behaviour`; it stops neither run nor prefetch from saying why in a line."""
    try_.server.behaviour, try_.server.elsewhere = behaviour, try_.other.url.replace("127.0.0.1", "localhost")
    file = try_.settings_file(0o600, name) if from_file else None
    given = ["--env", str(file)] if file else []
    ran = try_.pipeline(*given, *wanting(name), env=try_.environment(**({} if file else {name: KEY})))
    problems = try_.leaks(ran, but=(file,) if file else ())
    if not any(KEY in key for _, key in try_.server.seen):
        problems.append("the server never got the key")
    expected = 0 if name == "TMDB_TOKEN" else 4
    return problems if ran.code == expected else [*problems, f"exit code {ran.code}, not {expected}: {ran.stderr[-300:]}"]


def file(try_: Try, name: str, mode: int) -> list[str]:
    """A file that others may read is refused with the remedy, before anything is made; one that they may not is taken."""
    path = try_.settings_file(mode, name)
    ran = try_.pipeline("--env", str(path), *wanting(name))
    problems = try_.leaks(ran, but=(path,))
    if mode in GOOD_MODES:
        return problems if any(KEY in key for _, key in try_.server.seen) else [*problems, f"{mode:04o} was not taken: {ran.stderr[-300:]}"]
    if ran.code != 2 or f"chmod 600 {shlex.quote(str(path))}" not in ran.stderr:
        problems.append(f"{mode:04o}: exit code {ran.code} and {ran.stderr[-300:]!r}")
    return [
        *problems,
        *(["the server was asked"] if try_.server.seen else []),
        *(["out/ was made"] if (try_.folder / "out").exists() else []),
    ]


def crash(try_: Try, how: str) -> list[str]:
    """The stage dies while it has the key in its hands."""
    hooked = {"PYTHONPATH": str(HOOKS), "HOOK_CRASH": how, "TMDB_TOKEN": KEY}
    cores = ("bash", "-c", 'ulimit -c unlimited 2>/dev/null; exec "$@"', "bash")
    ran = try_.pipeline(*wanting("TMDB_TOKEN"), env=try_.environment(**hooked), before=cores)
    problems = try_.leaks(ran)
    expected = 139 if how == "segfault" else 6
    return problems if ran.code == expected else [*problems, f"exit code {ran.code}, not {expected}: {ran.stderr[-300:]}"]


def offline(try_: Try) -> list[str]:
    """A whole run where there is no network at all, with keys, ends well and tries to reach nobody."""
    attempts = try_.folder / "attempts.txt"
    hooked = {"PYTHONPATH": str(HOOKS), "HOOK_NETWORK": str(attempts), **dict.fromkeys(KEYS, KEY)}
    ran = try_.pipeline(*SHORT, str(MOVIE), env=try_.environment(**hooked, OFFLINE="true"), before=NO_NETWORK)
    tried = attempts.read_text(encoding="utf-8").splitlines() if attempts.exists() else []
    problems = [*try_.leaks(ran), *(f"tried to reach somebody: {line}" for line in sorted(set(tried)))]
    made = list((try_.folder / "out").glob("*/*.subtitled.*"))
    return problems if ran.code == 0 and made else [*problems, f"exit code {ran.code}, {len(made)} movies: {ran.stderr[-500:]}"]


def whole(try_: Try, behaviour: str) -> list[str]:
    """A whole run, online, with servers of which no good comes."""
    try_.server.behaviour = behaviour
    ran = try_.pipeline(*SHORT, str(MOVIE), env=try_.environment(**dict.fromkeys(KEYS, KEY)))
    seen = try_.pipeline("--status", "out/station", env=try_.environment(**dict.fromkeys(KEYS, KEY)))
    problems = [*try_.leaks(ran), *seen.problems]
    return problems if ran.code == 0 else [*problems, f"exit code {ran.code}: {ran.stderr[-500:]}"]


def has_namespaces() -> bool:
    """Whether the kernel gives us a network namespace."""
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*NO_NETWORK, "true"], capture_output=True, check=False).returncode == 0


def all_tries() -> Iterator[tuple[str, Callable[[Try], list[str]]]]:
    """Every kind with every choice, the whole runs first."""
    if has_namespaces():
        yield "offline", offline
    for behaviour in ("echo", "wrong key"):
        yield f"whole, {behaviour}", lambda t, b=behaviour: whole(t, b)
    for how in ("segfault", "exception"):
        yield f"crash, {how}", lambda t, h=how: crash(t, h)
    for name, mode in itertools.product(KEYS, (*GOOD_MODES, *BAD_MODES)):
        yield f"file, {name}, {mode:04o}", lambda t, n=name, m=mode: file(t, n, m)
    for name, from_file, behaviour in itertools.product(KEYS, (False, True), BEHAVIOURS):
        if name == "TMDB_TOKEN" or behaviour not in SLOW:
            where = "file" if from_file else "environment"
            yield f"asked, {name} from the {where}, {behaviour}", lambda t, n=name, f=from_file, b=behaviour: asked(t, n, f, b)


def attempt(one: Callable[[Try], list[str]]) -> list[str]:
    """Try in a folder and with servers of its own."""
    with tempfile.TemporaryDirectory(prefix="keys-") as folder, HostileServer() as server, HostileServer() as other:
        return one(Try(Path(folder), server, other))


def soak(tally: Tally, count: int, seed: int) -> None:
    """All tries there are, or `count` of them by chance."""
    tries = list(all_tries())
    chosen = tries if count >= len(tries) else random.Random(seed).sample(tries, count)
    for name, one in chosen:
        tally.add(name, attempt(one))


if __name__ == "__main__":
    sys.exit(main(soak, part="keys", what="keys searched for after runs that went well, failed and crashed", count=1000))
