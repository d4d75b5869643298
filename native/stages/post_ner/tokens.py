"""Words as they are written, taken apart for comparing and put together again."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import regex

# Letters with their marks: the vowel signs of Indic scripts are marks, and \w leaves them out.
_LETTER = r"[\p{L}\p{M}\p{N}]"
_OTHERS = rf"(?:(?!{_LETTER}).)*"
_PARTS = regex.compile(
    rf"^(?P<lead>{_OTHERS})(?P<core>.*?)(?P<respect>-[jJ][iI])?(?P<possessive>['’][sS])?(?P<trail>{_OTHERS})$", regex.DOTALL
)
# Words written together without a space: "Rathor—he came", "wait...Jai". Hyphens, apostrophes and the dots of initials belong to one word.
_SEVERAL = regex.compile(r"[–—―…,;:?!/|&+=()\[\]\"“”„«»]|--|\.\.|[\p{L}\p{M}]{2}\.[\p{L}\p{M}]{2}")
_LATIN_MARKS = regex.compile(r"[\u0300-\u036f]")
_NOT_LETTERS = regex.compile(r"[^\p{L}\p{M}\p{N}]")


def fold(text: str) -> str:
    """`text` for comparing: no case, accents, hyphens, apostrophes or spaces."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return _NOT_LETTERS.sub("", unicodedata.normalize("NFC", _LATIN_MARKS.sub("", decomposed)))


@dataclass(frozen=True)
class Token:
    """A written word: `"Jaidev-ji's,` is lead `"`, core `Jaidev`, respect `-ji`, possessive `'s`, trail `,`; `key` is the folded core.

    `several`: whether the core is more than one word, so that none of them may take its place.
    """

    lead: str
    core: str
    respect: str
    possessive: str
    trail: str
    key: str
    several: bool

    @property
    def ending(self) -> str:
        """What belongs to the word and not to the name."""
        return self.respect + self.possessive

    @property
    def full_key(self) -> str:
        """The folded word with its ending."""
        return fold(self.core + self.ending)


@lru_cache(maxsize=1 << 16)
def parse(word: str) -> Token:
    """`word` in its parts; without a letter or digit the core is empty."""
    match = _PARTS.match(word)
    assert match, "the pattern takes any text"
    lead, core, respect, possessive, trail = (match[name] or "" for name in ("lead", "core", "respect", "possessive", "trail"))
    return Token(lead, core, respect, possessive, trail, fold(core), bool(_SEVERAL.search(core)))
