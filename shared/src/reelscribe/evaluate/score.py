"""One number and what it is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Score:
    """`value` in `unit` ("%", "ms", "/1000 words"), None where there was nothing to measure it on; `of`: that, in words."""

    key: str
    label: str
    value: float | None
    unit: str
    of: str
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """For people."""
        if self.value is None:
            return "–"
        decimals = 0 if self.unit == "ms" else 1
        return f"{self.value:.{decimals}f} {self.unit}"


def percent(key: str, label: str, part: float, whole: float, of: str, **detail: Any) -> Score:
    """`part` of `whole`; nothing where there is no whole."""
    value = round(100 * part / whole, 3) if whole else None
    return Score(key, label, value, "%", of, {"part": round(part, 3), "whole": round(whole, 3), **detail})


def as_table(scores: Sequence[Score]) -> str:
    """Markdown."""
    rows = [(score.label, score.shown, score.of) for score in scores]
    widths = [max(len(row[i]) for row in [*rows, ("measure", "value", "of")]) for i in range(3)]
    lines = [("measure", "value", "of"), tuple("-" * width for width in widths), *rows]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines)
