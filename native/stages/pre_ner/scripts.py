"""Names from one script to the other: Indian scripts ↔ Latin letters as people write them (अदिति ↔ Aditi, not aditi with signs).

indic-transliteration gives the letters (ISO 15919); Hindi leaves unspoken many an a that is written, and people write no diacritics.
The way back has no rule (is Rathore's first a long?): it is looked up, in words that were really written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache

from reelscribe import sounds

# The scripts of indic-transliteration by their name in Unicode.
_SCHEMES = {
    name: name.lower() for name in ("DEVANAGARI", "BENGALI", "GUJARATI", "GURMUKHI", "KANNADA", "MALAYALAM", "ORIYA", "TAMIL", "TELUGU")
}
# Scripts whose languages leave the written a unspoken as Hindi does.
_UNSPOKEN_A = frozenset({"DEVANAGARI", "GUJARATI", "GURMUKHI"})
SCRIPTS = frozenset(_SCHEMES)
LATIN = "LATIN"
_VOWELS = "aāiīuūeēoōôêæ"
_CONSONANT = rf"(?:[^{_VOWELS}h]h?|h)"
# An a is unspoken at the end, unless a cluster that is hard to end on stands before it (Mitra, Krishna, but Anand) …
_FINAL_A = re.compile(rf"(?<=[^{_VOWELS}])a$")
_HARD_CLUSTER = re.compile(rf"[^{_VOWELS}hṁmnṇñṅ]h?[^{_VOWELS}h]h?$|[mnṇṁ][dtḍṭ]h?[rvy]$")
# … and between two syllables that are complete without it: manamohan, manmohan (Ohala, Aspects of Hindi Phonology, 1983).
_MEDIAL_A = re.compile(rf"(?<=[{_VOWELS}])({_CONSONANT})a(?={_CONSONANT}[{_VOWELS}])")
_LETTERS = [("r̥", "ri"), ("jñ", "gy"), ("ṁh", "ngh"), ("k͟h", "kh"), ("ġ", "gh"), ("ś", "sh"), ("ṣ", "sh"), ("ch", "chh"), ("m̐", "n")]
_OPEN_ENDS = "aeiouyhw"
_BEFORE_LIPS = re.compile(r"ṁ(?=[pbm])")


def script_of(word: str) -> str:
    """The script of a word's first letter, as Unicode calls it: "LATIN", "DEVANAGARI", …; empty when it has no letter."""
    letter = next((c for c in word if c.isalpha()), "")
    return unicodedata.name(letter, "").split(" ")[0] if letter else ""


def key(word: str) -> str:
    """How a word of any of these scripts sounds (sounds.key); empty for other scripts."""
    return sounds.key(romanised(word)) if script_of(word) in _SCHEMES else sounds.key(word) if script_of(word) == LATIN else ""


def in_latin(name: str, zipf: Callable[[str], float]) -> str | None:
    """`name` of an Indian script as people would write it; None in other scripts. zipf: which of the possible spellings is in use."""
    words = [_best_spelling(word, zipf) for word in name.split() if script_of(word) in _SCHEMES]
    return " ".join(word[:1].upper() + word[1:] for word in words) if words and len(words) == len(name.split()) else None


@lru_cache(maxsize=1 << 16)
def romanised(word: str) -> str:
    """A word of an Indian script in plain Latin letters, every vowel short: राठौर is rathaur."""
    return _plain(_spoken(word))


def _best_spelling(word: str, zipf: Callable[[str], float]) -> str:
    """Of Dipak and Deepak, Javahar and Jawahar the one that is in use."""
    spellings = [_spoken(word)]
    for sign, written in (("ī(?!$)", "ee"), ("ū(?!$)", "oo"), ("v", "w")):
        spellings += [re.sub(sign, written, spelling) for spelling in spellings]
    return max(map(_plain, spellings), key=zipf)


def _spoken(word: str) -> str:
    """ISO 15919 without the a that nobody speaks."""
    from indic_transliteration import sanscript

    script = script_of(word)
    letters = unicodedata.normalize("NFC", sanscript.transliterate(word, _SCHEMES[script], sanscript.ISO))
    if script not in _UNSPOKEN_A:
        return letters
    ending = _FINAL_A.sub("", letters)
    if len(letters) > 2 and ending != letters and not _HARD_CLUSTER.search(ending):
        letters = ending
    # From the right, as every a that goes completes the syllable before it.
    while found := list(_MEDIAL_A.finditer(letters)):
        at = found[-1].end(1)
        letters = letters[:at] + letters[at + 1 :]
    return letters


def _plain(letters: str) -> str:
    """ISO 15919 in the letters a to z."""
    for sign, plain in _LETTERS:
        letters = letters.replace(sign, plain)
    letters = _BEFORE_LIPS.sub("m", letters).replace("ṁ", "n")
    letters = re.sub(r"c(?!h)", "ch", letters)
    return "".join(c for c in unicodedata.normalize("NFKD", letters) if c.isascii() and c.isalpha())


class Spellings:
    """Words that were written in one script, by their sound."""

    def __init__(self, words: Iterable[str]) -> None:
        """words: the likeliest first."""
        self._by_sound: dict[str, list[str]] = {}
        for word in words:
            if heard := key(word):
                self._by_sound.setdefault(heard, []).append(word)

    def of(self, name: str) -> str | None:
        """`name`, every word of it, as it is written there; None when one of them is not."""
        words = [self._of_word(word) for word in name.split()]
        return " ".join(word for word in words if word) if words and all(words) else None

    def _of_word(self, word: str) -> str | None:
        """Of several that sound so the likeliest; a name written with a final a has a long one (Shukla: शुक्ला, not शुक्ल)."""
        sound = key(word)
        if len(sound) < 2:  # initials
            return None
        closed = word[-1].casefold() not in _OPEN_ENDS
        found = [c for c in self._by_sound.get(sound, ()) if not (closed and _spoken(c)[-1] in _VOWELS)]  # Gill is not गीले
        return min(found, key=lambda c: word.endswith("a") != _spoken(c).endswith("ā"), default=None)
