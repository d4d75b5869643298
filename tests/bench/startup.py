"""What reelscribe costs before and beside the work of its stages, and what running them side by side saves.

    native/venvs/dev/bin/python tests/bench/startup.py [--minutes 10] [--rounds 5] [--only PART,…] [--markdown]

start: --status and a run that finds nothing to do. stages: each stage as a process of its own, when it finds nothing to do (interpreter,
contract, settings, fingerprint) and with --force on some seconds of film (imports, weights and hardly any work): what a film of any
length pays before the first useful work. run: native/pipeline.sh on `minutes` of film with the tiny Whisper of the tests, which makes
the share of everything else as large as it can be; `beside` is its time by the clock less that of the stages, as their manifests have it.
--markdown writes the tables into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import imageio_ffmpeg
from measure import DOCUMENT, Cost, environment, replace_part, run, spread, table

from reelscribe import manifest
from reelscribe.stage_table import NATIVE, ROOT, load

EXAMPLE = ROOT / "examples" / "station.mp4"
SETTINGS = ROOT / "examples" / "station.env"
SHORT_S = 6
HEAD = ["wall s", "CPU s"]


class Bench:
    """A folder with films and what is measured in it."""

    def __init__(self, folder: Path, rounds: int, minutes: float) -> None:
        self.folder = folder
        self.rounds = rounds
        self.minutes = minutes
        self.env = environment(folder / "home", os.cpu_count() or 1)
        del self.env["OMP_NUM_THREADS"]  # the stages know how many they want

    def film(self, seconds: float) -> Path:
        """The example, again and again."""
        path = self.folder / f"film{seconds:.0f}.mp4"
        if not path.exists():
            tool = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-stream_loop", "-1", "-i", str(EXAMPLE)]
            subprocess.run([*tool, "-map", "0:v:0", "-map", "0:a:0", "-c", "copy", "-t", str(seconds), str(path)], check=True)
        return path

    def pipeline(self, name: str, out: str, *arguments: object) -> Cost:
        """One run of pipeline.sh."""
        command = [NATIVE / "pipeline.sh", "--out", self.folder / out, "--env", SETTINGS, *arguments]
        return run(name, command, self.env).cost

    def repeated(self, once: Callable[[], Cost]) -> list[Cost]:
        """As often as was asked for."""
        return [once() for _ in range(self.rounds)]

    # -- parts ----------------------------------------------------------------------------------------------------------

    def start(self) -> str:
        """What is asked of a movie that is finished."""
        film = self.film(SHORT_S)
        self.pipeline("to have something that is finished", "short", film)
        done = self.folder / "short" / film.stem
        rows = {
            "`--status`": self.repeated(lambda: self.pipeline("status", "short", "--status", done)),
            "a run with nothing to do": self.repeated(lambda: self.pipeline("nothing to do", "short", film)),
        }
        return table(["asked of a finished movie", *HEAD], _rows(rows))

    def stages(self) -> str:
        """The start of each stage."""
        film = self.film(SHORT_S)
        self.pipeline("to have inputs for every stage", "short", film)
        done = self.folder / "short" / film.stem
        cells = []
        for row in load():
            record = json.loads(manifest.path_of(done, row).read_text(encoding="utf-8"))
            own = record["engine"].get("environment") or row.environments[0]
            command = [NATIVE / "venvs" / own / "bin" / "python", row.script, "--movie-dir", done]
            nothing = [self.one(f"{row.name}, nothing to do", command) for _ in range(self.rounds)]
            first = [self.one(f"{row.name}, {SHORT_S} s of film", [*command, "--force"]) for _ in range(self.rounds)]
            cells.append([row.name, spread([c.cpu for c in nothing]), spread([c.cpu for c in first]), spread([c.wall for c in first])])
        return table(["stage", "nothing to do: CPU s", f"{SHORT_S} s of film: CPU s", "wall s"], cells)

    def one(self, name: str, command: list[object]) -> Cost:
        """A stage as users run it."""
        return run(name, command, self.env).cost

    def run(self) -> str:
        """Whole runs, one stage after the other and side by side."""
        film = self.film(60 * self.minutes)
        cells = []
        for jobs in ("1", "auto", "4"):
            out = self.folder / f"jobs-{jobs}"
            shutil.rmtree(out, ignore_errors=True)
            cost = self.pipeline(f"--jobs {jobs}", out.name, "--jobs", jobs, film)
            stages_s = sum(_seconds(out / film.stem).values())
            beside_s = cost.wall - stages_s
            share = [f"{beside_s:.1f}", f"{100 * beside_s / stages_s:.1f} %"] if jobs == "1" else ["", ""]
            cells.append([f"`--jobs {jobs}`", f"{cost.wall:.1f}", f"{cost.cpu:.1f}", f"{stages_s:.1f}", *share])
        return table([f"{self.minutes:g} minutes of film", *HEAD, "the stages' own, s", "beside, s", "share"], cells)


def _rows(measured: Mapping[str, list[Cost]]) -> list[list[str]]:
    return [[name, spread([c.wall for c in costs]), spread([c.cpu for c in costs])] for name, costs in measured.items()]


def _seconds(movie_dir: Path) -> dict[str, float]:
    """How long each stage took, by its manifest."""
    records = {row.name: manifest.read(movie_dir, row) for row in load()}
    return {name: record.run.seconds for name, record in records.items() if record}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="start,stages,run")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), args.rounds, args.minutes)
        (bench.folder / "home").mkdir()
        for part in args.only.split(","):
            load_average = " ".join(f"{x:.1f}" for x in os.getloadavg())
            found: str = {"start": bench.start, "stages": bench.stages, "run": bench.run}[part]()
            cores = os.cpu_count()
            text = f"{found}\n\n{args.rounds if part != 'run' else 1} rounds, {cores} cores, load average when it began {load_average}."
            print(f"\n{text}\n", flush=True)
            if args.markdown:
                document = DOCUMENT.read_text(encoding="utf-8")
                DOCUMENT.write_text(replace_part(document, f"startup-{part}", text), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
