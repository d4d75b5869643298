"""What each source knows of the movie, and how the sources become one Metadata."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from reelscribe.schemas import Metadata

# Zero-width (non-)joiners belong to words of Indic scripts and of Persian; every other invisible character goes.
_JOINERS = "\u200c\u200d"
_MAX_CHARACTERS = 5000
_MAX_ITEMS = 1000  # of a cast, say


@dataclass(frozen=True)
class Source:
    """Where knowledge comes from, and the fields of Metadata it fills."""

    name: str
    fields: dict[str, Any] = field(default_factory=dict)


def merge(sources: Iterable[Source]) -> Metadata:
    """For each field the first source that knows it; `sources` of the result says which one that was."""
    values: dict[str, Any] = {}
    said_by: dict[str, str] = {}
    for source in sources:
        for name, value in tidy(source.fields).items():
            if name not in values and value not in (None, "", [], {}):
                values[name], said_by[name] = value, source.name
    return Metadata.model_validate({**values, "sources": dict(sorted(said_by.items()))})


def parsed(content: str | bytes) -> Any:
    """JSON with finite numbers, as the standard has it. Raises ValueError, RecursionError."""

    def finite(number: str) -> float:
        if not math.isfinite(value := float(number)):
            raise ValueError(f"{number} is no number")
        return value

    return json.loads(content, parse_float=finite, parse_constant=finite)


def tidy(value: Any) -> Any:
    """The same value with every text in NFC, on one line, without control or direction-changing characters; all of sane length."""
    if isinstance(value, str):
        visible = (c if c in _JOINERS or unicodedata.category(c)[0] != "C" or c.isspace() else "" for c in value[:_MAX_CHARACTERS])
        return unicodedata.normalize("NFC", " ".join("".join(visible).split()))
    if isinstance(value, dict):
        return {tidy(key): tidy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [tidy(item) for item in value[:_MAX_ITEMS]]
    return value


def year_of(text: str | None) -> int | None:
    """The year that a date such as 2006-11-24 begins with; None when it is none of cinema's."""
    digits = (text or "").strip()[:4]
    year = int(digits) if digits.isascii() and digits.isdigit() else 0
    return year if 1870 <= year <= 2200 else None
