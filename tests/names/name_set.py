"""The name test-set: who is named (names.tsv) in which sentences (sentences.tsv, names in brackets), in two halves.

Whoever tunes anything looks at the half `tuning` alone; the half `held-out` has other names and other sentences.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CAST = HERE.parent / "data" / "cast.tsv"
HALVES = ("tuning", "held-out")
_MARKED = re.compile(r"\[(.+?)\]")


@dataclass(frozen=True)
class Name:
    """`name` as the film spells it, `spoken` as espeak-ng is told to say it, `credit`: the character's line in the cast.

    `kind`: Indian, European, or "word" (an English word too). `fixture`: what the fixture Whisper was trained to spell so when its prompt
    does ("English" speech, "Hindi" speech), or "no".
    """

    name: str
    spoken: str
    kind: str
    half: str
    credit: str
    fixture: str


@dataclass(frozen=True)
class Sentence:
    """`text` as it is written, `spoken` as it is said, in as many words; `names` in their order."""

    half: str
    voice: str
    text: str
    spoken: str
    names: tuple[str, ...]


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a file with tabs between its columns."""
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f, delimiter="\t"))


def names(half: str) -> list[Name]:
    """Those of one half."""
    return [Name(**row) for row in table(HERE / "names.tsv") if row["half"] == half]


def sentences(half: str) -> list[Sentence]:
    """Those of one half, in order."""
    said = {name.name: name.spoken for name in names(half)}
    return [
        Sentence(
            half,
            row["voice"],
            _MARKED.sub(r"\1", row["text"]),
            _MARKED.sub(lambda m: said[m[1]], row["text"]),
            tuple(_MARKED.findall(row["text"])),
        )
        for row in table(HERE / "sentences.tsv")
        if row["half"] == half
    ]


def misheard(half: str) -> dict[str, list[str]]:
    """How a recogniser that does not know a name of this half may write it, three ways each."""
    known = {name.name for name in names(half)}
    return {row["name"]: row["written"].split(";") for row in table(HERE / "misheard.tsv") if row["name"] in known}


def credits() -> list[str]:
    """The 300 of tests/data/cast.tsv."""
    return [row["credit"] for row in table(CAST)]


def cast(half: str) -> list[dict[str, str | int]]:
    """The cast of the movie of one half, as movie.json has it: every character, played by somebody whose name is not said in it."""
    roles = list(dict.fromkeys(name.credit for name in names(half)))
    said = {word for name in names(half) for word in name.credit.split()}
    actors = [credit for credit in credits() if len(credit.split()) == 2 and not said.intersection(credit.split())]
    return [{"name": actor, "character": role, "order": order} for order, (role, actor) in enumerate(zip(roles, actors[::7], strict=False))]
