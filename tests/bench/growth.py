"""Time and memory of stages for films of any length: what a minute more costs, and how much more of memory a longer film takes.

    tests/bench/run.sh growth [--lengths 15,60,180] [--only STAGE,…] [--json FILE] [--markdown]

Once for each stage and length, from its start to its end, on one thread. The film is asr_film.py's; its words are those that asr makes of
the first quarter of an hour, said again and again (asr itself: tests/bench/asr.py --only memory). `a minute` is what a minute more takes
from one length to the next, so that starting is not in it; the last column compares that to the row before.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compare import Bench, Row, asr, python, stage
from measure import DOCUMENT, Run, replace_part, run, table

STAGES = ("silero-vad", "pyannote-vad", "diarization", "post-ner", "subtitle-gen")
TAKE_MIN = 15


def heard(scratch: Path) -> dict[str, Any]:
    """The transcript of a quarter of an hour."""
    bench = Bench(scratch, TAKE_MIN)
    bench.prepare()
    bench.measure([asr("whisperx", "none", "", "")])
    return dict(json.loads((bench.film / "transcription" / "transcript.json").read_bytes()))


def said_again(transcript: dict[str, Any], minutes: float) -> dict[str, Any]:
    """The same words every quarter of an hour, until the film is over."""
    segments: list[Any] = []
    for begin in range(0, round(60 * minutes), 60 * TAKE_MIN):
        text = json.dumps(transcript["segments"])
        segments += [later(segment, begin) for segment in json.loads(text) if segment["end"] + begin <= 60 * minutes]
    return {**transcript, "segments": [{**segment, "id": number} for number, segment in enumerate(segments)], "duration": 60 * minutes}


def later(part: Any, seconds: float) -> Any:
    """The same with every `start` and `end` in it moved."""
    if isinstance(part, list):
        return [later(item, seconds) for item in part]
    if not isinstance(part, dict):
        return part
    moved = {key: value + seconds for key, value in part.items() if key in ("start", "end") and value is not None}
    return {key: moved.get(key, later(value, seconds)) for key, value in part.items()}


def measure(scratch: Path, minutes: float, rows: list[Row], transcript: dict[str, Any]) -> dict[str, Run]:
    """All stages for one film; those that need a stage which is not asked for run that first."""
    bench = Bench(scratch / f"{minutes:g}", minutes)
    bench.scratch.mkdir()
    run("the film", [python("asr"), Path(__file__).with_name("asr_film.py"), bench.film, minutes], bench.environment())
    (bench.film / "transcription").mkdir()
    (bench.film / "transcription" / "transcript.json").write_text(json.dumps(said_again(transcript, minutes)), encoding="utf-8")
    bench.movie.symlink_to(bench.audio)
    bench.measure(rows)
    return {name: runs[0] for name, runs in bench.found.items()}


def growth(stage_name: str, lengths: list[float], found: dict[float, dict[str, Run]]) -> list[list[str]]:
    """The rows of one stage."""
    rows, rate = [], None
    for number, minutes in enumerate(lengths):
        now = found[minutes][stage_name]
        cells = [stage_name, f"{minutes:g}", f"{now.cost.wall:.1f}", f"{now.cost.cpu:.1f}", str(now.peak_mb), "", ""]
        if number:
            before, rate_before = found[lengths[number - 1]][stage_name], rate
            rate = (now.cost.cpu - before.cost.cpu) / (minutes - lengths[number - 1])
            cells[5:] = [f"{rate:.3f}", f"{rate / rate_before:.2f}" if rate_before else ""]
        rows.append(cells)
    return rows


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default="15,60,180", help="minutes (15,60,180)")
    parser.add_argument("--only", default=",".join(STAGES), help=f"stages: {','.join(STAGES)}")
    parser.add_argument("--json", type=Path, help="also write all numbers into this file")
    parser.add_argument("--markdown", action="store_true", help="also write the table into docs/performance.md")
    args = parser.parse_args()
    lengths, wanted = [float(minutes) for minutes in args.lengths.split(",")], args.only.split(",")
    if unknown := set(wanted) - set(STAGES):
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}")
    needed = STAGES[: max(map(STAGES.index, wanted)) + 1]
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as scratch:
        words = {"segments": []} if set(wanted) <= set(STAGES[:3]) else heard(Path(scratch))
        found = {minutes: measure(Path(scratch), minutes, [stage(name) for name in needed], words) for minutes in lengths}
    head = ["stage", "minutes", "wall s", "CPU s", "peak MB", "a minute, CPU s", "ratio"]
    load = " ".join(f"{x:.1f}" for x in os.getloadavg())
    text = table(head, [row for name in wanted for row in growth(name, lengths, found)])
    text = f"{text}\n\nOnce each, {os.cpu_count()} cores, one thread, no GPU, load average {load}."
    print(text, flush=True)
    if args.json:
        numbers = {f"{m:g}": {name: {**asdict(r.cost), "peak_mb": r.peak_mb} for name, r in runs.items()} for m, runs in found.items()}
        args.json.write_text(json.dumps(numbers, indent=1), encoding="utf-8")
    if args.markdown:
        DOCUMENT.write_text(replace_part(DOCUMENT.read_text(encoding="utf-8"), "growth", text), encoding="utf-8")


if __name__ == "__main__":
    main()
