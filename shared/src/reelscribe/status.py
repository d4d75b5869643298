"""Where a movie stands: every stage's state from manifests and contracts, as a table for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from reelscribe import jobs, lease, logger, manifest
from reelscribe.errors import MissingInputError
from reelscribe.runner import Job
from reelscribe.stage import Stage, file_fields, load_contracts
from reelscribe.stage_table import Row

State = Literal["done", "running", "failed", "stale", "not run"]


@dataclass
class Entry:
    """One stage of one movie. `device`: device and compute type; `why`: the reason for them, or the error."""

    stage: str
    state: State
    environment: str
    device: str
    why: str
    seconds: float | None
    peak_rss_mb: int | None
    outputs: list[str]
    fallbacks: list[str]
    exit_code: int | None = None


def entries(movie_dir: Path, movie: Path, kept: Mapping[str, str] | None = None) -> list[Entry]:
    """All stages in order; `kept` as in jobs.options_of(). Raises UsageError when settings are wrong."""
    alive = lease.holder(movie_dir) is not None
    return [_entry(stage, movie, movie_dir, alive, kept) for stage in load_contracts()]


def _entry(stage: Stage[Any, Any, Any], movie: Path, movie_dir: Path, alive: bool, kept: Mapping[str, str] | None) -> Entry:
    options, sources = jobs.options_of(stage, movie_dir, kept)
    job = Job(stage, movie, movie_dir, options, sources)
    record = manifest.read(movie_dir, stage.row)
    if record is None:
        return Entry(stage.name, "not run", job.environment, "", "", None, None, [], [])
    device = f"{record.device.device} {record.device.compute}".strip() if record.device and record.engine.get("kind") else ""
    why = record.error or (record.device.reason if record.device and device else "")
    return Entry(
        stage=stage.name,
        state=_state(job, record, alive),
        environment=job.environment,
        device=device,
        why=why,
        seconds=record.run.seconds,
        peak_rss_mb=record.run.peak_rss_mb,
        outputs=list(record.outputs),
        fallbacks=record.fallbacks,
        exit_code=record.exit_code,
    )


def _state(job: Job, record: manifest.Manifest, alive: bool) -> State:
    if record.status == "running":
        return "running" if alive else "failed"
    if record.status == "failed":
        return "failed"
    try:
        return "done" if job.current(job.pending()) else "stale"
    except MissingInputError:
        return "stale"


def would_run(found: Sequence[Entry], selected: Sequence[str], force: bool) -> list[tuple[Entry, str]]:
    """For --dry-run: each selected stage of `found` and what would happen to it: "up to date" or "run" with the reason."""
    decided: list[tuple[Entry, str]] = []
    changing: dict[str, str] = {}
    for entry, stage in zip(found, load_contracts(), strict=True):
        if entry.stage not in selected:
            continue
        makers = [changing[f.pattern] for f in file_fields(stage.inputs) if f.pattern in changing]
        if force:
            action = "run (--force)"
        elif makers:
            action = f"run (after {makers[0]})"
        elif entry.state == "done":
            action = "up to date"
        else:
            action = f"run ({entry.state})"
        if action != "up to date":
            changing.update({f.pattern: stage.name for f in file_fields(stage.outputs)})
        decided.append((entry, action))
    return decided


def select(rows: Sequence[Row], *, first: str | None, last: str | None, only: Sequence[str], skip: Sequence[str]) -> list[Row]:
    """The rows that --from, --to, --only and --skip leave, in order."""
    names = [row.name for row in rows]
    begin = names.index(first) if first else 0
    end = names.index(last) + 1 if last else len(names)
    chosen = [row for row in rows[begin:end] if not only or row.name in only]
    return [row for row in chosen if row.name not in skip]


def result_of(movie_dir: Path, row: Row) -> list[Path]:
    """The outputs that the stage `row` recorded, if it is done."""
    record = manifest.read(movie_dir, row)
    return [movie_dir / name for name in record.outputs] if record and record.status == "done" else []


def as_json(movie_dir: Path, found: Sequence[Entry]) -> dict[str, Any]:
    """The same as plain data."""
    final = load_contracts()[-1]
    return {
        "movie_dir": str(movie_dir),
        "movie": str(jobs.movie_of(movie_dir)),
        "result": next((str(p) for p in result_of(movie_dir, final.row)), None),
        "stages": [asdict(entry) for entry in found],
    }


def print_table(title: str, found: Sequence[Entry], last_column: Sequence[str] | None = None) -> None:
    """The table on stderr: stage, state, device and why, seconds, peak memory, output. Manifests may be somebody else's."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def plain(text: str, style: str = "") -> Text:
        return Text(logger.plain(text), style)

    colours = {"done": "green", "failed": "red", "running": "cyan", "stale": "yellow", "not run": "dim"}
    table = Table(title=plain(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name, justify in (
        ("stage", "left"),
        ("state", "left"),
        ("device", "left"),
        ("seconds", "right"),
        ("peak MB", "right"),
        ("output", "left"),
    ):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for number, entry in enumerate(found):
        device = f"{entry.device} ({entry.why})" if entry.device and entry.state != "failed" else entry.device
        output = entry.why if entry.state == "failed" else _short(entry.outputs)
        table.add_row(
            entry.stage,
            plain(last_column[number] if last_column else entry.state, colours[entry.state]),
            plain(device),
            "" if entry.seconds is None else f"{entry.seconds:.1f}",
            str(entry.peak_rss_mb or ""),
            plain(output),
        )
    # A pipe has no width; 80 columns would fold the reasons.
    console = Console(stderr=True)
    console = console if console.is_terminal else Console(stderr=True, width=140)
    console.print(table)
    for entry in found:
        for fallback in entry.fallbacks:
            console.print(plain(f"{entry.stage}: {fallback}", "yellow"))


def _short(outputs: Sequence[str]) -> str:
    return ", ".join(outputs[:3]) + (f" and {len(outputs) - 3} more" if len(outputs) > 3 else "")
