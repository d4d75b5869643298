"""How many names are right, with and without bias and correction: the set in tests/names through the real stages.

    native/venvs/dev/bin/python tests/bench/names.py [--half tuning|held-out]… [--engine NAME]… [--work FOLDER]

Each half is a movie of three minutes with a cast. Speech is detected once for a half (who speaks is taken from the truth, which saves
minutes); then each engine decodes it with and without bias, and post-ner corrects names or does not. `whisper` is the fixture Whisper,
which knows the words of most sentences and a quarter of the names, `whisper-5` the same one told of those alone, `misspelt` no recogniser
but tests/names/misheard.tsv. Needs libespeak-ng. What is in FOLDER already is not made again. Tables in Markdown on stdout.
"""

from __future__ import annotations

import argparse
import itertools
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from reelscribe.artifacts import write_json
from reelscribe.evaluate import names as named
from reelscribe.evaluate import text
from reelscribe.evaluate.made import Made
from reelscribe.evaluate.references import Expected, Reference
from reelscribe.evaluate.score import Score
from reelscribe.schemas import Diarization, Segment, Transcript, Word
from reelscribe.stage_table import NATIVE, ROOT

sys.path.append(str(ROOT / "tests" / "names"))
import name_set
import render

WHISPER = ["--env", str(ROOT / "examples" / "station.env")]
ENGINES = {
    "whisper": WHISPER,
    # The five first in the cast: those it was trained with.
    "whisper-5": [*WHISPER, "--set", "BIAS_PROMPT_MAX_TERMS=5", "--set", "BIAS_HOTWORD_MAX_TERMS=0"],
    "sphinx": ["--backend", "sphinx"],
}
WORD = re.compile(r"\w+")
HEADER = ("engine", "bias", "correction", "name recall", "precision", "known names", "new names", "WER", "corrections", "false /1000 words")


def pipeline(movie: Path, out: Path, *arguments: str) -> Path:
    """Run stages of pipeline.sh; the movie directory."""
    command = [str(NATIVE / "pipeline.sh"), "--out", str(out), "--set", "OFFLINE=true", "--set", "DEVICE=cpu", *arguments, str(movie)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return out / movie.stem


def going_on(movie: Path, start: Path, out: Path, *arguments: str) -> Path:
    """A copy of the movie directory in `start`, gone on with; its folder."""
    if not out.exists():
        shutil.copytree(start, out)
    pipeline(movie, out, *arguments)
    return out


def detected(half: str, work: Path) -> tuple[Path, Path]:
    """The movie, and the folder in which its speech is found; who speaks is taken from the truth."""
    movie, out = work / half / "names.mkv", work / half / "detected"
    if not (work / half / "movie.json").exists():
        render.render(half, work / half)
    movie_dir = pipeline(movie, out, "--to", "pyannote-vad")
    turns = Reference.read([work / half / "reference.rttm"]).turns
    voices = Diarization(turns=turns, exclusive=turns, speakers=[], duration=turns[-1].end, model="truth")
    write_json(movie_dir / "diarization" / "diarization.json", voices)
    return movie, out


def decoded(half: str, engine: str, work: Path) -> list[Path]:
    """The folders without and with bias."""
    movie, start = detected(half, work)
    return [
        going_on(movie, start, work / half / f"{engine}-bias-{bias}", *ENGINES[engine], *options, "--only", "asr")
        for bias, options in (("off", ["--no-bias"]), ("on", []))
    ]


def misspelt(half: str, work: Path) -> list[Path]:
    """The truth with every name written as misheard.tsv has it, one way after the other; there is no decoder that could be biased."""
    movie, start = detected(half, work)
    ways = {name: itertools.cycle(written) for name, written in name_set.misheard(half).items()}
    reference = Reference.read([work / half / "reference.json"])
    segments = []
    for number, piece in enumerate(reference.pieces):
        assert piece.start is not None and piece.end is not None
        text = WORD.sub(lambda m: next(ways[m[0]]) if m[0] in ways else m[0], piece.text)
        step = (piece.end - piece.start) / len(text.split())
        words = [
            Word(word=word, start=piece.start + i * step, end=piece.start + (i + 1) * step, score=0.5)
            for i, word in enumerate(text.split())
        ]
        segments.append(Segment(id=number, start=piece.start, end=piece.end, text=text, words=words))
    out = work / half / "misspelt"
    shutil.copytree(start, out, dirs_exist_ok=True)
    heard = Transcript(segments=segments, language="en", engine="misspelt", model="misheard.tsv", duration=segments[-1].end)
    write_json(out / movie.stem / "transcription" / "transcript.json", heard)
    return [out]


def cells(half: str, engine: str, work: Path) -> list[tuple[str, str, Path]]:
    """(bias, correction, movie directory) of the four."""
    movie = work / half / "names.mkv"
    found = []
    starts = misspelt(half, work) if engine == "misspelt" else decoded(half, engine, work)
    for bias, start in zip(("off", "on"), starts, strict=False):
        for correction, value in (("off", "false"), ("on", "true")):
            out = work / half / f"{engine}-bias-{bias}-correction-{correction}"
            folder = going_on(movie, start, out, "--set", f"CORRECT_NAMES={value}", "--only", "post-ner")
            found.append((bias, correction, folder / movie.stem))
    return found


def row(half: str, truth: Path, movie_dir: Path) -> list[str]:
    """The numbers of one cell."""
    made = Made.read(movie_dir)
    reference = Reference.read([truth / "reference.json"], truth / "names.txt")
    scores = {score.key: score for score in [*text.scores(made, reference, "en"), *named.scores(made, reference)]}
    known = {name.name for name in name_set.names(half) if name.fixture == "English"}
    assert reference.names
    groups = [[n for n in reference.names if (n.text in known) is wanted] for wanted in (True, False)]
    false = scores["false_corrections"]
    done = f"{false.detail['right']} right, {false.detail['in_vain']} in vain, {len(false.detail['false'])} false"
    return [
        scores["name_recall"].shown,
        scores["name_precision"].shown,
        *(recall(made, reference, group).shown for group in groups),
        scores["wer"].shown,
        done if false.detail["corrections"] else "–",
        f"{false.value:.1f}" if false.detail["corrections"] else "–",
    ]


def recall(made: Made, reference: Reference, group: Sequence[Expected]) -> Score:
    """Of some of the names."""
    only = Reference(pieces=reference.pieces, names=list(group))
    return next(score for score in named.scores(made, only) if score.key == "name_recall")


def say(cells: Sequence[str]) -> None:
    """A line of a table, at once."""
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """A table for each half."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=name_set.HALVES, action="append", help="default: both")
    parser.add_argument("--engine", choices=[*ENGINES, "misspelt"], action="append", help="default: all")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="where everything is kept (default: nowhere)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = (args.work or Path(scratch)).absolute()
        for half in args.half or name_set.HALVES:
            print(f"\n{half}\n")
            say(HEADER)
            say(["---"] * len(HEADER))
            for engine in args.engine or [*ENGINES, "misspelt"]:
                for bias, correction, movie_dir in cells(half, engine, work):
                    say([engine, bias, correction, *row(half, work / half, movie_dir)])


if __name__ == "__main__":
    main()
