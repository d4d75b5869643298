"""What the glossary wants written: every name, every part of one, as something a heard word can be compared with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from post_ner.frequency import Zipf
from post_ner.tokens import fold, parse
from reelscribe.schemas import Glossary, Term

MIN_LETTERS = 3
# Parts of longer names that are everyday words ("The Secret Station", "Inspector Rathore") are no names by themselves.
_EVERYDAY_PART = {"person": 5.0, "character": 4.0}
_EVERYDAY_OTHER = 3.0


@dataclass(frozen=True)
class Target:
    """`words` is how it is written, `key` the folded letters of all of them; `zipf` of the rarest word."""

    key: str
    words: tuple[str, ...]
    term: Term
    zipf: float


def from_glossary(glossary: Glossary, zipf: Zipf) -> list[Target]:
    """Single words and whole two-word names, each once, from the heaviest term that has it; the heaviest first."""
    forbidden = {fold(text) for text in glossary.never}
    found: dict[tuple[object, ...], Target] = {}
    for term in sorted(glossary.terms, key=lambda t: -t.weight):
        for words in _forms(term, zipf):
            target = Target(fold("".join(words)), words, term, min(zipf(word) for word in words))
            if len(target.key) >= MIN_LETTERS and not target.key.isdigit() and target.key not in forbidden:
                found.setdefault((words, term.start, term.end), target)
    return list(found.values())


def _forms(term: Term, zipf: Zipf) -> Iterable[tuple[str, ...]]:
    everyday = _EVERYDAY_PART.get(term.kind, _EVERYDAY_OTHER)
    for text in (term.text, *term.variants):
        words = tuple(core for word in text.split() if (core := parse(word).core))
        if len(words) in (1, 2):
            yield words
        if len(words) > 1:
            yield from ((word,) for word in words if zipf(word) < everyday)
