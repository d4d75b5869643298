"""What every part of tests/soak.sh shares: its command line, its tally, and children that know nothing of this machine's shell.

A part is tests/soak/<part>.py, whose docstring says what it does:

    def soak(tally: Tally, count: int, seed: int) -> None:
        for number, chance in tries(count, seed):
            tally.add(f"try {number}", problems_of(chance))

    if __name__ == "__main__":
        sys.exit(main(soak, part="kill", what="killed, then run again", count=120))

Files beginning with an underscore, and this one, are no parts. As a program this file prints the summary of what parts have left:

    python tests/soak/common.py REPORT.json… [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

# Behind everything installed: a part may be called like a library.
HERE = str(Path(__file__).parent)
sys.path[:] = [*(folder for folder in sys.path if folder != HERE), HERE]

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "native"
# What a child process may know of the machine it runs on: no setting of the developer's shell reaches it.
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")


@dataclass
class Tally:
    """What a part has tried. `failures`: a line or more each, beginning with what was tried."""

    part: str
    what: str
    tried: int = 0
    clean: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, name: str, problems: Sequence[str]) -> None:
        """Count one try; each of its `problems` is said at once, as a run may take hours."""
        self.tried += 1
        self.clean += not problems
        for problem in problems:
            self.failures.append(f"{name}: {problem}")
            print(self.failures[-1], flush=True)

    def __str__(self) -> str:
        return f"{self.part}: {self.tried} tried, {self.clean} clean"


def main(soak: Callable[[Tally, int, int], None], *, part: str, what: str, count: int, arguments: Sequence[str] | None = None) -> int:
    """The command line of a part: `count` tries with a seed; 0 if something was tried and all of it is clean."""
    module = sys.modules[soak.__module__]
    parser = argparse.ArgumentParser(description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=count, help=f"how many tries (default: {count})")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same choices (default: 1)")
    parser.add_argument("--json", type=Path, help="where the numbers and the failures go")
    args = parser.parse_args(arguments)
    tally, started = Tally(part, what), time.monotonic()
    try:
        soak(tally, args.count, args.seed)
    finally:
        tally.seconds = round(time.monotonic() - started, 1)
        if args.json:
            args.json.write_text(json.dumps(asdict(tally), indent=1) + "\n", encoding="utf-8")
        print(tally, flush=True)
    return 0 if tally.tried and tally.clean == tally.tried else 1


def tries(count: int, seed: int) -> Iterator[tuple[int, random.Random]]:
    """Numbers from 0, each with its own source of chance, so that try 57 is the same whatever the tries before it drew."""
    for number in range(count):
        yield number, random.Random(f"{seed}/{number}")


def child_environment(home: Path) -> dict[str, str]:
    """Environment for child processes: a home of its own (no caches, no models), offline, one thread, nothing of the developer's shell."""
    home.mkdir(parents=True, exist_ok=True)
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return passed_on | {"HOME": str(home), "OFFLINE": "true", "OMP_NUM_THREADS": "1"}


def python_of(environment: str) -> Path:
    """The interpreter of native/venvs/<environment>."""
    python = NATIVE / "venvs" / environment / "bin" / "python"
    if not python.exists():
        sys.exit(f"the environment {environment} is not built: native/setup_venvs.sh {environment}")
    return python


# -- summary ------------------------------------------------------------------------------------------------------------


def table(tallies: Sequence[Tally]) -> str:
    """The parts as a table of Markdown."""
    lines = ["| part | what | tried | clean | minutes |", "| --- | --- | ---: | ---: | ---: |"]
    lines += [f"| {t.part} | {t.what} | {t.tried} | {t.clean} | {t.seconds / 60:.1f} |" for t in tallies]
    return "\n".join(lines)


def summarize(arguments: Sequence[str] | None = None) -> int:
    """The summary of several parts, to stdout and as JSON; 0 if all is clean."""
    parser = argparse.ArgumentParser(description="Print the summary of what parts of tests/soak.sh have left.")
    parser.add_argument("reports", nargs="+", type=Path, help="what --json of the parts wrote")
    parser.add_argument("--json", type=Path, help="where the parts' numbers and failures go, as a list")
    args = parser.parse_args(arguments)
    tallies = [Tally(**json.loads(path.read_text(encoding="utf-8"))) for path in args.reports]
    if args.json:
        args.json.write_text(json.dumps([asdict(t) for t in tallies], indent=1) + "\n", encoding="utf-8")
    print(table(tallies))
    return 0 if all(t.tried and t.clean == t.tried for t in tallies) else 1


if __name__ == "__main__":
    sys.exit(summarize())
