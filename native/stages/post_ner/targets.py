"""What the glossary wants written: every name, every part of one, as something a heard word can be compared with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from post_ner.frequency import Usage
from post_ner.tokens import fold, parse
from reelscribe.schemas import Glossary, Term

MAX_WORDS = 3
MIN_LETTERS = 3
# Parts of longer names that are everyday words ("The Secret Station", "Inspector Rathore") are no names by themselves.
_EVERYDAY_PART = {"person": 5.0, "character": 4.0}
_EVERYDAY_OTHER = 3.0


@dataclass(frozen=True)
class Target:
    """`words` is how it is written, `key` the folded letters of all of them. `company`: folded words that are said beside it."""

    key: str
    words: tuple[str, ...]
    term: Term
    company: frozenset[str] = field(default=frozenset())

    @property
    def risky(self) -> bool:
        """Whether a word of it is a common word too, or sounds like one."""
        return any(word in self.term.risky for word in self.words)


def from_glossary(glossary: Glossary, usage: Usage) -> list[Target]:
    """Single words and whole names of up to MAX_WORDS, each once, from the heaviest term that has it; the heaviest first."""
    forbidden = {fold(text) for text in glossary.never}
    found: dict[tuple[object, ...], Target] = {}
    for term in sorted(glossary.terms, key=lambda t: -t.weight):
        around = {fold(word) for text in (term.text, *term.variants) for word in text.split()}
        for words in _forms(term, usage):
            own = {fold(word) for word in words}
            target = Target(fold("".join(words)), words, term, frozenset(around - own))
            if len(target.key) >= MIN_LETTERS and not target.key.isdigit() and target.key not in forbidden:
                found.setdefault((words, term.start, term.end), target)
    return list(found.values())


def _forms(term: Term, usage: Usage) -> Iterable[tuple[str, ...]]:
    everyday = _EVERYDAY_PART.get(term.kind, _EVERYDAY_OTHER)
    for text in (term.text, *term.variants):
        words = tuple(core for word in text.split() if (core := parse(word).core))
        if 1 <= len(words) <= MAX_WORDS:
            yield words
        if len(words) > 1:
            yield from ((word,) for word in words if usage.zipf(fold(word)) < everyday or usage.is_name(fold(word)))
