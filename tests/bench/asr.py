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
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asr_film import NAMES, OTHERS, write_film
from measure import DOCUMENT, Cost, Run, environment, replace_part, run, spread, table

from reelscribe import stage_table
from reelscribe.stage_table import ROOT

FIXTURES = ROOT / "tests" / "fixtures"
BATCH = 16
# Lengths of the films whose memory is measured.
LENGTHS = (15, 60, 180)
# A window takes as many seconds as it is long, or more: nothing stops that model.
GEOMETRY_MIN = 2


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
        """See measure.environment."""
        return environment(self.scratch, self.threads)

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

    def decode(self, how: str, film: Path, model: Path = FIXTURES / "whisper") -> dict[str, Any]:
        """One decoding by asr_decode.py: Cost of each part, and how many words."""
        script = Path(__file__).with_name("asr_decode.py")
        command = [sys.executable, script, how, model, film, self.scratch / "models", self.threads, BATCH]
        told = json.loads(run(f"{how} {film.name}", command, self.environment()).out.splitlines()[-1])
        return {"words": told["words"]} | {name: Cost(*lap) for name, lap in told["laps"].items()}


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


def geometry(bench: Bench) -> str:
    """The same decoding by a Whisper as large as `tiny`, every window once."""
    from random_whisper import make

    film = bench.film(GEOMETRY_MIN)
    model = make(bench.scratch / "tiny", FIXTURES / "whisper")
    bench.decode("once", film, model)  # converts it
    costs: dict[str, list[Cost]] = {}
    words: dict[str, int] = {}
    for _ in range(bench.repeat):
        for how in ("batched", "once"):
            found = bench.decode(how, film, model)
            words[how] = found["words"]
            note(costs, how, found["decoding"])
    bench.found["geometry"] = {"costs": plain(costs), "words": words}
    rows = {
        f"faster-whisper, `BatchedInferencePipeline` ({words['batched']} words)": "batched",
        f"the stage ({words['once']} words)": "once",
    }
    return compared(f"224 tokens of each window in {GEOMETRY_MIN} minutes, decoding alone", costs, rows)


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


PARTS: dict[str, Callable[[Bench], str]] = {"overhead": overhead, "geometry": geometry, "chunks": chunks, "memory": memory, "bias": bias}


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


def circumstances(bench: Bench, part: str) -> str:
    """What a number is worth without is little."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("faster-whisper", "ctranslate2", "whisperx"))
    load = " ".join(f"{x:.1f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    minutes = GEOMETRY_MIN if part == "geometry" else bench.minutes
    rounds = "One round" if part == "memory" else f"{minutes:g} minutes of film, {bench.repeat} rounds"
    return (
        f"{rounds}, {os.cpu_count()} cores, no GPU used, threads: {bench.threads}, "
        f"windows in a batch: {BATCH}, int8, load average {load}; {libraries}."
    )


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
