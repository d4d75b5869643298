"""What the asr stage costs beside bare faster-whisper, what chunks and bias cost, and how much memory a long film takes.

    native/venvs/asr/bin/python tests/bench/asr.py [--markdown]

Measured with the tiny Whisper of the tests on the example's sentences (asr_film.py), beside which whatever is not decoding looks large.
What is compared runs in turn, round after round; a ratio is of one round, and the tables give medians with the least and the most. CPU
seconds are of all processes together; on a busy machine they say more than the clock. --markdown also writes the tables into
docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from asr_film import NAMES, OTHERS, write_film

from reelscribe import stage_table
from reelscribe.stage_table import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
FIXTURES = ROOT / "tests" / "fixtures"
BATCH = 16
# Lengths of the films whose memory is measured.
LENGTHS = (15, 60, 180)
_POLL_S = 0.1
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR")


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock and of the processor."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.cpu - other.cpu)


@dataclass
class Run:
    """A process that ended well. words: of the transcript; peak_mb: of its whole tree at once, and of each script in it."""

    cost: Cost
    out: str
    peak_mb: int = 0
    peaks_mb: dict[str, int] = field(default_factory=dict)


@dataclass
class Bench:
    """Where things are, and what everybody is told. found: every number that was measured, for --json."""

    scratch: Path
    minutes: float
    repeat: int
    threads: int
    lengths: Sequence[float]
    found: dict[str, Any] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """A home of its own, no setting of the user's shell, as many threads as were asked for."""
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return {**passed_on, "HOME": str(self.scratch), "OFFLINE": "true", "OMP_NUM_THREADS": str(self.threads)}

    def film(self, minutes: float, terms: Sequence[str] = NAMES) -> Path:
        """A movie directory that is ready for asr."""
        folder = self.scratch / f"{minutes:g}-{len(terms)}"
        return folder if folder.is_dir() else write_film(folder, minutes, terms)

    def stage(self, film: Path, *options: str) -> Run:
        """The stage as users run it, from the beginning."""
        command = [sys.executable, stage_table.find("asr").script, f"--movie-dir={film}", "--force", "--language=en", "--device=cpu"]
        command += ["--backend=whisperx", f"--model={FIXTURES / 'whisper'}", f"--alignment-model={FIXTURES / 'aligner'}"]
        command += [f"--models-dir={self.scratch / 'models'}", f"--threads={self.threads}", f"--batch-size={BATCH}"]
        return run(f"stage {film.name} {' '.join(options)}", [*command, *options], self.environment())

    def decode(self, how: str, film: Path) -> dict[str, Any]:
        """One decoding by asr_decode.py: Cost of each part, and how many words."""
        script = Path(__file__).with_name("asr_decode.py")
        command = [sys.executable, script, how, film, self.scratch / "models", self.threads, BATCH]
        told = json.loads(run(f"{how} {film.name}", command, self.environment()).out.splitlines()[-1])
        return {"words": told["words"]} | {name: Cost(*lap) for name, lap in told["laps"].items()}


def run(name: str, command: Iterable[object], environment: dict[str, str]) -> Run:
    """Run it to its end, and say so. Its processor time is that of all its descendants."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as talk:
        started = time.perf_counter()
        process = subprocess.Popen([str(a) for a in command], env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=talk)
        watch = Watch(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        watch.end()
        if process.returncode:
            talk.seek(0)
            sys.exit(f"{subprocess.list2cmdline(process.args)} ended with {process.returncode}:\n{talk.read()}")
        out.seek(0)
        done = Run(Cost(wall, usage.ru_utime + usage.ru_stime), out.read(), watch.peak_mb, watch.peaks_mb)
        print(f"{done.cost.wall:6.1f} s, {done.cost.cpu:6.1f} s CPU, {done.peak_mb:5d} MB: {name}", file=sys.stderr, flush=True)
        return done


class Watch:
    """Looks at the memory of a process and its descendants until end()."""

    def __init__(self, pid: int) -> None:
        self.peak_mb = 0
        self.peaks_mb: dict[str, int] = {}
        self._root = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self._thread.start()

    def _look_on(self) -> None:
        while not self._ended.wait(_POLL_S):
            with suppress(psutil.Error):
                self._look()

    def _look(self) -> None:
        now: dict[str, int] = {}
        for process in [self._root, *self._root.children(recursive=True)]:
            with suppress(psutil.Error, IndexError):
                name = Path(process.cmdline()[1]).name
                now[name] = now.get(name, 0) + process.memory_info().rss // 2**20
        for name, mb in now.items():
            self.peaks_mb[name] = max(mb, self.peaks_mb.get(name, 0))
        self.peak_mb = max(self.peak_mb, sum(now.values()))

    def end(self) -> None:
        """No more."""
        self._ended.set()
        self._thread.join()


# -- the parts ----------------------------------------------------------------------------------------------------------


def overhead(bench: Bench) -> str:
    """The stage beside faster-whisper."""
    film = bench.film(bench.minutes)
    costs: dict[str, list[Cost]] = {}
    words: dict[str, int] = {}
    for _ in range(bench.repeat):
        for how in ("sequential", "batched", "unbiased"):
            found = bench.decode(how, film)
            words[how] = found["words"]
            note(costs, how, found["decoding"])
            note(costs, f"{how}, process", found["imports"] + found["model"] + found["decoding"])
            if "again" in found:
                note(costs, "first", found["decoding"] - found["again"])
        for alignment in ("none", "whisperx"):
            note(costs, alignment, bench.stage(film, "--bias=false", f"--alignment-backend={alignment}").cost)
    bench.found["overhead"] = {"costs": plain(costs), "words": words}
    decoding = {
        f"faster-whisper, `BatchedInferencePipeline` ({words['batched']} words)": "batched",
        f"faster-whisper, `WhisperModel.transcribe` ({words['sequential']} words)": "sequential",
        "the stage, every window once": "first",
        f"the stage, with what no gate lets pass heard again ({words['unbiased']} words)": "unbiased",
    }
    whole = {
        "faster-whisper, batched: imports, model, decoding": "batched, process",
        "the stage, `ALIGNMENT_BACKEND=none`": "none",
        "the stage, words aligned": "whisperx",
    }
    return "\n\n".join((compared("decoding alone", costs, decoding), compared("from start to end", costs, whole)))


def chunks(bench: Bench) -> str:
    """Chunk by chunk beside all in one."""
    film = bench.film(bench.minutes)
    costs: dict[str, list[Cost]] = {}
    texts: dict[str, list[str]] = {}
    for _ in range(bench.repeat):
        for how in ("never", "always"):
            note(costs, how, bench.stage(film, f"--use-chunking={how}").cost)
            texts[how] = words_of(film)
    counted = len(list((film / "transcription" / "chunks").glob("*.json")))
    same = "the same words" if texts["never"] == texts["always"] else "not quite the same words"
    bench.found["chunks"] = {"costs": plain(costs), "chunks": counted, "same_words": texts["never"] == texts["always"]}
    rows = {"whole file": "never", f"{counted} chunks of at most 300 s, {same}": "always"}
    return compared("the stage, words aligned", costs, rows)


def memory(bench: Bench) -> str:
    """The most that all processes of the stage hold at once, for films of any length."""
    rows, found = [], []
    for minutes in bench.lengths:
        done = bench.stage(bench.film(minutes))
        parts = [str(done.peaks_mb.get(name, 0)) for name in ("07_asr.py", "worker.py", "align_worker.py")]
        found.append({"minutes": minutes, **asdict(done)})
        ratio = done.peak_mb / found[0]["peak_mb"]
        rows.append([f"{minutes:g} min", str(done.peak_mb), f"{ratio:.2f}", *parts, f"{done.cost.wall:.0f}", f"{done.cost.cpu:.0f}"])
    bench.found["memory"] = found
    return table(["film", "all at once, MB", "ratio", "the stage, MB", "its decoder, MB", "its aligner, MB", "wall s", "CPU s"], rows)


def bias(bench: Bench) -> str:
    """Decoding with no terms, with a few, and with as many as a prompt holds."""
    films = {"few": bench.film(bench.minutes), "many": bench.film(bench.minutes, (*NAMES, *OTHERS))}
    costs: dict[str, list[Cost]] = {}
    for _ in range(bench.repeat):
        for name, how, film in (("off", "unbiased", "few"), ("few", "stage", "few"), ("many", "stage", "many")):
            found = bench.decode(how, films[film])
            note(costs, f"{name}, first", found["decoding"] - found["again"])
            note(costs, name, found["decoding"])
    bench.found["bias"] = plain(costs)
    named = {"no terms": "off", f"{len(NAMES)} terms": "few", f"{len(NAMES) + len(OTHERS)} terms": "many"}
    first = compared("every window once", costs, {label: f"{name}, first" for label, name in named.items()})
    return "\n\n".join((first, compared("with what no gate lets pass heard again", costs, named)))


PARTS: dict[str, Callable[[Bench], str]] = {"overhead": overhead, "chunks": chunks, "memory": memory, "bias": bias}


# -- tables -------------------------------------------------------------------------------------------------------------


def note(costs: dict[str, list[Cost]], name: str, cost: Cost) -> None:
    """One round more of `name`."""
    costs.setdefault(name, []).append(cost)


def plain(costs: dict[str, list[Cost]]) -> dict[str, list[dict[str, float]]]:
    """For JSON."""
    return {name: [asdict(cost) for cost in rounds] for name, rounds in costs.items()}


def words_of(film: Path) -> list[str]:
    """All words of the transcript."""
    found = json.loads((film / "transcription" / "transcript.json").read_text(encoding="utf-8"))
    return [word for segment in found["segments"] for word in segment["text"].split()]


def compared(title: str, costs: dict[str, list[Cost]], rows: dict[str, str]) -> str:
    """A row for each label: seconds, and ratios to the first row in the same round."""
    first = costs[next(iter(rows.values()))]
    lines = []
    for label, name in rows.items():
        wall, cpu = ([getattr(cost, clock) for cost in costs[name]] for clock in ("wall", "cpu"))
        ratios = [[getattr(a, clock) / getattr(b, clock) for a, b in zip(costs[name], first, strict=True)] for clock in ("wall", "cpu")]
        lines.append([label, *map(spread, (wall, cpu, *ratios))])
    return table([title, "wall s", "CPU s", "wall ratio", "CPU ratio"], lines)


def spread(values: Sequence[float]) -> str:
    """`1.05 (1.02–1.11)`: median, least and most."""
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """As Markdown has it."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def circumstances(bench: Bench, part: str) -> str:
    """What a number is worth without is little."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("faster-whisper", "ctranslate2", "whisperx"))
    load = " ".join(f"{x:.1f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    rounds = "One round" if part == "memory" else f"{bench.minutes:g} minutes of film, {bench.repeat} rounds"
    return (
        f"{rounds}, {os.cpu_count()} cores, no GPU used, threads: {bench.threads}, "
        f"windows in a batch: {BATCH}, int8, load average {load}; {libraries}."
    )


def replace_part(text: str, name: str, content: str) -> str:
    """The document with what stands between the markers of the part replaced."""
    before, after = f"<!-- {name} -->", f"<!-- /{name} -->"
    replaced, count = re.subn(f"{before}.*?{after}", lambda _: f"{before}\n{content}\n{after}", text, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"{DOCUMENT.name} has no place for {name}: {before} … {after}")
    return replaced


def main() -> None:
    """Every part that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15, help="length of the film whose times are taken (15)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds (3)")
    parser.add_argument("--threads", type=int, default=1, help="of everything that computes (1)")
    parser.add_argument("--lengths", default=",".join(map(str, LENGTHS)), help="minutes of the films whose memory is measured (15,60,180)")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts: {','.join(PARTS)}")
    parser.add_argument("--json", type=Path, help="also write all numbers into this file")
    parser.add_argument("--markdown", action="store_true", help="also write the tables into docs/performance.md")
    args = parser.parse_args()
    unknown = set(wanted := args.only.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="bench-asr-") as scratch:
        bench = Bench(Path(scratch), args.minutes, args.repeat, args.threads, [float(m) for m in args.lengths.split(",")])
        bench.stage(bench.film(0.5), "--alignment-backend=none")  # converts the model; what is read from the disk once is there
        for name in wanted:
            content = f"{PARTS[name](bench)}\n\n{circumstances(bench, name)}"
            print(f"\n## {name}\n\n{content}", flush=True)
            if args.markdown:
                DOCUMENT.write_text(replace_part(DOCUMENT.read_text(encoding="utf-8"), name, content), encoding="utf-8")
            if args.json:
                args.json.write_text(json.dumps(bench.found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
