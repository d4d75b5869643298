"""Words as they are written, taken apart for comparing and put together again."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import regex

# Letters with their marks: the vowel signs of Indic scripts are marks, and \w leaves them out.
_LETTER = r"[\p{L}\p{M}\p{N}]"
_OTHERS = rf"(?:(?!{_LETTER}).)*"
_PARTS = regex.compile(rf"^(?P<lead>{_OTHERS})(?P<core>.*?)(?P<possessive>['’][sS])?(?P<trail>{_OTHERS})$", regex.DOTALL)
_LATIN_MARKS = regex.compile(r"[\u0300-\u036f]")
_NOT_LETTERS = regex.compile(r"[^\p{L}\p{M}\p{N}]")


def fold(text: str) -> str:
    """`text` for comparing: no case, accents, hyphens, apostrophes or spaces."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return _NOT_LETTERS.sub("", unicodedata.normalize("NFC", _LATIN_MARKS.sub("", decomposed)))


@dataclass(frozen=True)
class Token:
    """A written word: `"Jaidev's,` is lead `"`, core `Jaidev`, possessive `'s`, trail `,`; `key` is the folded core."""

    lead: str
    core: str
    possessive: str
    trail: str
    key: str


@lru_cache(maxsize=1 << 16)
def parse(word: str) -> Token:
    """`word` in its parts; without a letter or digit the core is empty."""
    match = _PARTS.match(word)
    assert match, "the pattern takes any text"
    lead, core, possessive, trail = (match[name] or "" for name in ("lead", "core", "possessive", "trail"))
    return Token(lead, core, possessive, trail, fold(core))
