"""How a name sounds, whatever it is spelt like: the key that Jai and Jay, Vikram and Wikram, Bhattacharya and Batacharia have in common.

Metaphone hears with English ears; this hears what writers of Indian and European names take for one another: long and short vowels
(aa/a, ee/i, oo/u), aspirates (th/t, dh/d), v/w, ph/f, doubled letters, c/k, an e or h at the end that nobody says. Coarse on purpose:
equal keys are a reason to look, not a proof.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Letters → sounds, in order. Capitals are sounds that take two letters.
_RULES = [
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"^kn", "n"), (r"^wr", "r"), (r"^ps", "s"), (r"mb$", "m"), (r"dt$", "t"),
        (r"tsch|tch|cz|(?<!s)chh?", "C"), (r"sch|s+h", "S"), (r"ph", "f"), (r"([bdgjkt])\1?h", r"\1"),
        (r"^geo", "je"), (r"gi(?=[aou])", "j"), (r"ck|qu?", "k"), (r"c(?=[eiy])", "s"), (r"c", "k"), (r"x", "ks"), (r"w(?=[aeiouy])", "v"),
        (r"a[iy]|e[iy]|ae", "E"), (r"ee|ea|ie|ii", "i"), (r"oo|ou|uu", "u"), (r"au|aw|oa(?!$)|ow|oe", "o"),
        (r"iy(?=[aeou])", "i"), (r"y(?![aeiou])", "i"),
        (r"(.)\1+", r"\1"), (r"(?<=[^aeiou])e$", ""), (r"h$|(?<=o)h(?=n)", ""),
    )
]  # fmt: skip
# Devanagari: long vowels as short, aspirates as plain, one s and one n; nukta and the marks of nasal vowels are not heard.
_DEVANAGARI = {
    ord(letter): sound
    for letters, sounds in (
        ("आईऊऐऔीूैौ", "अइउएओिुेो"), ("खघछझठढथधफभ", "कगचजतदतदपब"), ("टडणनङञशषव", "तदननननससब"), ("ाँंः़", ("",) * 5),
    )
    for letter, sound in zip(letters, sounds, strict=True)
}  # fmt: skip


@lru_cache(maxsize=1 << 16)
def key(word: str) -> str:
    """The sounds of a word in Latin letters or Devanagari; the word itself in other scripts."""
    folded = word.casefold()
    letters = "".join(c for c in unicodedata.normalize("NFKD", folded) if "a" <= c <= "z")
    if not letters:
        return re.sub(r"(.)\1+", r"\1", unicodedata.normalize("NFD", folded).translate(_DEVANAGARI))
    for pattern, sound in _RULES:
        letters = pattern.sub(sound, letters)
    return letters
