"""This pipeline's stages beside what people run instead: the same machine, sound and weights, everything in turn, round after round.

    tests/bench/run.sh [--minutes N] [--runs N] [--only GROUP,…] [--json FILE] [--markdown]

Each is a process from its start to its end, on one thread. The weights are those that are in the repository and in packages: the tiny
Whisper and aligner of the tests, the segmentation inside whisperx, Resemblyzer's voices, Silero. The film is asr_film.py's. The tables give
medians with the least and the most; a ratio is of one round to the first row of its table. All of ours together are the same runs, added
up. --json writes every number, --markdown the tables into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import Distribution, distributions
from pathlib import Path
from statistics import median

import imageio_ffmpeg
from measure import DOCUMENT, Cost, Run, environment, replace_part, run, spread, table

from reelscribe import stage_table
from reelscribe.stage_table import NATIVE, ROOT

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
FIXTURES = ROOT / "tests" / "fixtures"
PEERS = Path(__file__).with_name("peers.py")
BATCH = "16"
LIBRARIES = ("whisperx", "whisper-ctranslate2", "faster-whisper", "ctranslate2", "mlx-whisper", "pyannote-audio", "silero-vad")
# The whisperx command line ends with words that have times and speakers; so do these stages.
WHOLE = ("silero-vad", "pyannote-vad", "diarization", "asr", "post-ner", "subtitle-gen")


@dataclass(frozen=True)
class Row:
    """Something to run, or (`parts`) rows already run, one after the other."""

    name: str
    label: str
    command: Callable[[Bench], list[object]] | None = None
    parts: tuple[str, ...] = ()
    prepared: bool = False  # it needs what `peers.py prepare` makes


@dataclass
class Bench:
    """Where things are. found: the runs of every row, in order."""

    scratch: Path
    minutes: float
    found: dict[str, list[Run]] = field(default_factory=dict)

    @property
    def film(self) -> Path:
        """The movie directory."""
        return self.scratch / "film"

    @property
    def movie(self) -> Path:
        """A movie with that sound."""
        return self.scratch / "film.mkv"

    @property
    def audio(self) -> Path:
        """The sound that everybody is given."""
        return self.film / "audio" / "audio.wav"

    def converted(self, kind: str) -> Path:
        """The fixture Whisper in the format of an engine, as the stage has converted it."""
        (folder,) = (self.scratch / "models" / "converted").glob(f"*-{kind}")
        return folder

    def environment(self) -> dict[str, str]:
        """For us and for them."""
        found = environment(self.scratch, 1)
        path = f"{self.scratch / 'peers' / 'bin'}:{NATIVE / 'venvs' / 'bench' / 'bin'}:{found['PATH']}"
        return {**found, "PATH": path, "NLTK_DATA": str(self.scratch / "peers" / "nltk_data"), "HF_HUB_OFFLINE": "1"}

    def prepare(self, *, peers: bool = False) -> None:
        """The film, and what the peers need that has to be made."""
        film = [python("asr"), Path(__file__).with_name("asr_film.py"), self.film, self.minutes]
        run("the film", film, self.environment())
        picture = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=24", "-i", self.audio, "-shortest", "-c:a", "aac"]
        run("the movie", [FFMPEG, "-loglevel", "error", *picture, "-c:v", "mpeg4", "-q:v", "5", self.movie], self.environment())
        if peers:
            run("what the others need", [python("bench"), "-W", "ignore", PEERS, "prepare", self.scratch / "peers"], self.environment())

    def measure(self, rows: Iterable[Row]) -> None:
        """One round."""
        for row in rows:
            if row.command:
                self.found.setdefault(row.name, []).append(run(row.name, row.command(self), self.environment()))
            else:
                self.found.setdefault(row.name, []).append(together([self.found[name][-1] for name in row.parts]))


def together(runs: Sequence[Run]) -> Run:
    """One after the other: times add up, memory does not."""
    return Run(sum((r.cost for r in runs), Cost(0, 0)), "", max(r.peak_mb for r in runs))


def python(environment: str) -> Path:
    """An environment's interpreter."""
    return NATIVE / "venvs" / environment / "bin" / "python"


# -- what is run --------------------------------------------------------------------------------------------------------


def stage(name: str, *options: str, variant: str = "", env: str = "", label: str = "") -> Row:
    """One of ours, run again from nothing."""
    row = stage_table.find(name)
    more = ["--device=cpu"] if row.devices else []
    more += ["--threads=1"] if name in ("silero-vad", "pyannote-vad", "diarization", "asr") else []

    def command(bench: Bench) -> list[object]:
        models = [f"--models-dir={bench.scratch / 'models'}"] if name in ("pyannote-vad", "diarization", "asr") else []
        begin = [python(env or row.environments[0]), row.script, "--input", bench.movie, f"--movie-dir={bench.film}", "--force"]
        return [*begin, *more, *models, *options]

    return Row(name + variant, label or f"stage {name}", command)


def asr(backend: str, alignment: str, variant: str, label: str) -> Row:
    """asr with the fixture Whisper."""
    options = [f"--backend={backend}", f"--model={FIXTURES / 'whisper'}", "--language=en", f"--batch-size={BATCH}"]
    options += [f"--alignment-backend={alignment}", f"--alignment-model={FIXTURES / 'aligner'}"]
    return stage("asr", *options, variant=variant, env="asr-mlx" if backend == "mlx" else "asr", label=label)


def peer(name: str, label: str, given: Callable[[Bench], list[object]] = lambda bench: [], *, prepared: bool = False) -> Row:
    """One of peers.py."""
    command = [python("bench"), "-W", "ignore", PEERS, name]
    return Row(f"bare {name}", label, lambda bench: [*command, bench.audio, *given(bench)], prepared=prepared)


def ffmpeg(bench: Bench) -> list[object]:
    """The sound of the movie as the stages want it."""
    wav = ["-vn", "-ac", "1", "-ar", "16000", "-c:a", "pcm_s16le", bench.scratch / "bare.wav"]
    return [FFMPEG, "-nostdin", "-loglevel", "error", "-y", "-i", bench.movie, *wav]


def whisperx(*options: str) -> Callable[[Bench], list[object]]:
    """The command line of whisperx, with words aligned."""

    def command(bench: Bench) -> list[object]:
        # The voices are Resemblyzer's behind an adapter of ours.
        begin = ["env", f"PYTHONPATH={NATIVE / 'stages'}", NATIVE / "venvs" / "bench" / "bin" / "whisperx"]
        tool = [*begin, bench.audio, "--output_dir", bench.scratch / "whisperx"]
        model = ["--model", bench.converted("ctranslate2"), "--align_model", FIXTURES / "aligner", "--language", "en"]
        how = ["--device", "cpu", "--compute_type", "int8", "--batch_size", BATCH, "--threads", "1"]
        more = ["--diarize_model", bench.scratch / "peers" / "diarization"] if "--diarize" in options else []
        return [*tool, *model, *how, *options, *more]

    return command


def whisper_ctranslate2(bench: Bench) -> list[object]:
    """Its batched way, with word times."""
    tool = [NATIVE / "venvs" / "bench" / "bin" / "whisper-ctranslate2", bench.audio, "--output_dir", bench.scratch / "ct2"]
    model = ["--model_directory", bench.converted("ctranslate2"), "--language", "en", "--word_timestamps", "True"]
    how = ["--device", "cpu", "--compute_type", "int8", "--batched", "True", "--batch_size", BATCH, "--threads", "1"]
    return [*tool, *model, *how, "--vad_filter", "True"]


# The first row of a group is what the others are compared to.
GROUPS: dict[str, list[Row]] = {
    "Sound of the movie": [
        Row("bare ffmpeg", "bare ffmpeg", ffmpeg),
        stage("demux"),
    ],
    "Speech by Silero": [
        peer("silero", "bare Silero (torch)"),
        peer("silero-onnx", "bare Silero (`onnx=True`)"),
        stage("silero-vad"),
    ],
    "Who speaks when": [
        peer("pyannote", "bare pyannote diarization", lambda bench: [bench.scratch / "peers"], prepared=True),
        stage("pyannote-vad"),
        stage("diarization"),
        Row("pyannote-vad + diarization", "both stages", parts=("pyannote-vad", "diarization")),
    ],
    "Words with times by Whisper": [
        peer("faster-whisper", "bare faster-whisper, batched", lambda bench: [bench.converted("ctranslate2")]),
        Row("whisper-ctranslate2", "`whisper-ctranslate2 --batched`", whisper_ctranslate2),
        asr("whisperx", "none", " unaligned", "stage asr, `ALIGNMENT_BACKEND=none`"),
    ],
    "Words on MLX": [
        peer("mlx-whisper", "bare mlx-whisper, on the CPU", lambda bench: [bench.converted("mlx")]),
        asr("mlx", "none", " mlx", "stage asr, `ASR_BACKEND=mlx`, `ALIGNMENT_BACKEND=none`"),
    ],
    "Words aligned": [
        Row("whisperx", "`whisperx`", whisperx(), prepared=True),
        asr("whisperx", "whisperx", "", "stage asr, told where speech is"),
        Row("asr with speech", "stages silero-vad, pyannote-vad, asr", parts=("silero-vad", "pyannote-vad", "asr")),
    ],
    "Aligned words with speakers": [
        Row("whisperx --diarize", "`whisperx --diarize`", whisperx("--diarize"), prepared=True),
        stage("post-ner"),
        stage("subtitle-gen"),
        Row("all", f"{', '.join(WHOLE)}, one after the other", parts=WHOLE),
    ],
}


# -- tables -------------------------------------------------------------------------------------------------------------


def compared(title: str, rows: Sequence[Row], found: dict[str, list[Run]]) -> str:
    """A group."""
    first = found[rows[0].name]
    lines = []
    for row in rows:
        runs = found[row.name]
        wall, cpu = ([getattr(r.cost, clock) for r in runs] for clock in ("wall", "cpu"))
        ratios = [[getattr(a.cost, clock) / getattr(b.cost, clock) for a, b in zip(runs, first, strict=True)] for clock in ("wall", "cpu")]
        lines.append([row.label, *map(spread, (wall, cpu)), f"{median(r.peak_mb for r in runs):.0f}", *map(spread, ratios)])
    return table([title, "wall s", "CPU s", "peak MB", "wall ratio", "CPU ratio"], lines)


def circumstances(bench: Bench, runs: int) -> str:
    """What a number is worth without is little."""
    installed: dict[str, Distribution] = {}
    for path in (NATIVE / "venvs" / "bench" / "lib").glob("python*/site-packages"):
        installed |= {d.metadata["Name"].lower(): d for d in distributions(path=[str(path)])}
    libraries = ", ".join(f"{name} {installed[name].version}" for name in LIBRARIES if name in installed)
    load = " ".join(f"{x:.1f}" for x in os.getloadavg())
    machine = f"{os.cpu_count()} cores, one thread each, no GPU, load average {load}"
    return f"{bench.minutes:g} minutes of film, {runs} rounds, {machine}; {libraries}."


def main() -> None:
    """All groups that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="length of the film (10)")
    parser.add_argument("--runs", type=int, default=5, help="rounds (5)")
    parser.add_argument("--only", help=f"groups, by the beginning of their names: {'; '.join(GROUPS)}")
    parser.add_argument("--json", type=Path, help="also write all numbers into this file")
    parser.add_argument("--markdown", action="store_true", help="also write the tables into docs/performance.md")
    args = parser.parse_args()
    wanted = {title: rows for title, rows in GROUPS.items() if not args.only or title.startswith(tuple(args.only.split(",")))}
    if not wanted:
        parser.error(f"--only {args.only}: there is no such group")
    needed = rows_of(wanted)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        bench = Bench(Path(scratch), args.minutes)
        bench.prepare(peers=any(row.prepared for row in needed))
        bench.measure(ours_first(needed))  # not counted: what is read from the disk, compiled or converted once is there afterwards
        bench.found.clear()
        for _ in range(args.runs):
            bench.measure(needed)
        text = "\n\n".join(compared(title, rows, bench.found) for title, rows in wanted.items())
        text = f"{text}\n\n{circumstances(bench, args.runs)}"
        print(text, flush=True)
        if args.json:
            numbers = {name: [{**asdict(r.cost), "peak_mb": r.peak_mb} for r in runs] for name, runs in bench.found.items()}
            args.json.write_text(
                json.dumps({"minutes": args.minutes, "load": os.getloadavg(), "rows": numbers}, indent=1), encoding="utf-8"
            )
        if args.markdown:
            DOCUMENT.write_text(replace_part(DOCUMENT.read_text(encoding="utf-8"), "peers", text), encoding="utf-8")


def rows_of(wanted: dict[str, list[Row]]) -> list[Row]:
    """Every row once, in an order in which each stage finds what it reads; sums last."""
    rows = {row.name: row for group in wanted.values() for row in group}
    known = {row.name: row for group in GROUPS.values() for row in group}
    for name in [part for row in rows.values() for part in row.parts]:
        rows.setdefault(name, known[name])
    order = list(known)
    return sorted(rows.values(), key=lambda row: (bool(row.parts), order.index(row.name)))


def ours_first(rows: Sequence[Row]) -> list[Row]:
    """For the first round: the stage converts the models that the others are given."""
    ours = [row for row in rows if row.name.split()[0] in {r.name for r in stage_table.load()} and row.command]
    return [*ours, *(row for row in rows if row not in ours)]


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))
