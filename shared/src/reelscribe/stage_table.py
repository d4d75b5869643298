"""`native/stages.txt`: the one table of stages that bash, Python, the tests and the workflow read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from reelscribe.errors import UsageError

# The package is always installed editable (native/setup_venvs.sh), so the checkout is three folders up.
ROOT = Path(__file__).resolve().parents[3]
NATIVE = ROOT / "native"


@dataclass(frozen=True)
class Row:
    """One stage: its number, its name, the environments it may run in, its devices in order of preference and the stages it needs.

    gpu: GPUs, where it computes on one; mem_mb, threads, runtime_min: what one movie takes at most.
    """

    number: int
    name: str
    environments: tuple[str, ...]
    devices: tuple[str, ...]
    needs: tuple[str, ...] = ()
    gpu: int = 0
    mem_mb: int = 1000
    threads: int = 1
    runtime_min: int = 60

    @property
    def key(self) -> str:
        """`07_asr`: the stem of the stage's script, manifest and log."""
        return f"{self.number:02d}_{self.name}"

    @property
    def script(self) -> Path:
        """The stage's script."""
        return NATIVE / "stages" / f"{self.key}.py"


@lru_cache(maxsize=1)
def load() -> tuple[Row, ...]:
    """All stages in order."""
    lines = (NATIVE / "stages.txt").read_text(encoding="utf-8").splitlines()
    return tuple(_row(line) for line in lines if line.strip() and not line.startswith("#"))


def find(name: str) -> Row:
    """The row of the stage `name`. Raises UsageError naming the stages there are."""
    for row in load():
        if row.name == name:
            return row
    raise UsageError(f"there is no stage {name!r}", remedy="the stages are: " + " ".join(r.name for r in load()))


def waits_for(row: Row, running: Collection[str]) -> list[str]:
    """Those of the stages `running` that must be done before `row`: the ones it needs, and behind those that do not run, what they need."""
    found: dict[str, None] = {}
    for need in row.needs:
        found.update(dict.fromkeys([need] if need in running else waits_for(find(need), running)))
    return list(found)


def _row(line: str) -> Row:
    number, name, environments, devices, needs, *amounts = line.split()
    gpu, mem_mb, threads, runtime_min = map(int, amounts)
    return Row(int(number), name, _names(environments), _names(devices), _names(needs), gpu, mem_mb, threads, runtime_min)


def _names(cell: str) -> tuple[str, ...]:
    return () if cell == "-" else tuple(cell.split(","))
