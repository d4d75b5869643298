"""How a name may be spoken: guesses in ARPAbet, good enough for a recognizer to notice the name.

A name is read as the dictionary has it or as two of its words put together (dash + wood), and letter by letter with the rules of
English, of most other languages, and of Hindi, for the writing does not tell where a name comes from. The libraries that do this better
fetch a model or need a compiler, and a draft is not worth either.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

Lookup = Callable[[str], str | None]
Rules = list[tuple[re.Pattern[str], list[str]]]

# Parts shorter than this read like anything.
_MIN_PART = 3


def _rules(*pairs: tuple[str, str]) -> Rules:
    return [(re.compile(pattern), phones.split()) for pattern, phones in pairs]


# Letters → phones, the first that matches at a place wins. ^ and $ are the ends of the word.
_ENGLISH = _rules(
    ("tch", "CH"), ("sch", "SH"), ("chr", "K R"), ("ch", "CH"), ("sh", "SH"), ("zh", "ZH"), ("th", "TH"), ("ph", "F"),
    ("^gh", "G"), ("igh", "AY"), ("gh", ""), ("kh", "K"), ("bh", "B"), ("dh", "D"), ("wh", "W"), ("^kn", "N"), ("^wr", "R"),
    ("ck", "K"), ("cc(?=[ei])", "K S"), ("c(?=[eiy])", "S"), ("c", "K"), ("dge", "JH"), ("g(?=[ei])", "JH"), ("gn$", "N"),
    ("ng$", "NG"), ("nk", "NG K"), ("qu", "K W"), ("q", "K"), ("^x", "Z"), ("x", "K S"), ("tion", "SH AH N"), ("sion", "ZH AH N"),
    ("([bdfgklmnprstvz])(?=\\1)", ""), ("s(?<=[aeiou]s)(?=[aeiou])", "Z"), ("mb$", "M"),
    ("augh", "AO"), ("ough", "AO"), ("eigh", "EY"), ("aa", "AA"), ("ai", "EY"), ("ay", "EY"), ("au", "AO"), ("aw", "AO"),
    ("an$", "AH N"), ("on$", "AH N"), ("en$", "AH N"), ("a(?=r)", "AA"), ("a$", "AH"), ("a(?=[bcdfgklmnpqstvz]e$)", "EY"), ("a", "AE"),
    ("ee", "IY"), ("ea(?=r)", "IH"), ("ea", "IY"), ("ei", "AY"), ("ey$", "IY"), ("ey", "EY"), ("eau", "OW"), ("eu", "UW"), ("ew", "UW"),
    ("er", "ER"), ("e(?=[bcdfgklmnpqstvz]e$)", "IY"),
    ("(?<=[aeiouy][bcdfghjklmnpqrstvwxz])e$", ""), ("(?<=[bcdfghjklmnpqrstvwxz]{2})e$", ""),
    ("(?<=[aeiouy][bcdfghklmnprtvwz])e(?=s$)", ""), ("^e$", "IY"), ("e", "EH"),
    ("ie$", "IY"), ("ie", "IY"), ("ir(?![aeiou])", "ER"),
    ("i(?=[bcdfgklmnpqstvz]e$)", "AY"), ("i$", "IY"), ("i(?=[aou])", "IY"), ("i", "IH"),
    ("oo", "UW"), ("oa", "OW"), ("ow$", "OW"), ("ow", "AW"), ("ou", "AW"), ("oi", "OY"), ("oy", "OY"), ("o(?=r)", "AO"),
    ("o(?=[bcdfgklmnpqstvz]e$)", "OW"), ("o$", "OW"), ("o", "AA"),
    ("ur(?![aeiou])", "ER"), ("ue$", "UW"), ("u(?=[bcdfgklmnpqrstvz][aeio])", "UW"), ("u$", "UW"), ("u", "AH"),
    ("^y", "Y"), ("y(?=[aeiou])", "Y"), ("y$", "IY"), ("y", "IH"),
    ("b", "B"), ("d", "D"), ("f", "F"), ("g", "G"), ("h(?=[aeiouy])", "HH"), ("h", ""), ("j", "JH"), ("k", "K"), ("l", "L"), ("m", "M"),
    ("n", "N"), ("p", "P"), ("r", "R"), ("s", "S"), ("t", "T"), ("v", "V"), ("w", "W"), ("z", "Z"),
)  # fmt: skip
# Vowels as most languages read them: Ravi is R AA V IY. The rest as in English.
_ELSEWHERE = _rules(
    ("ai", "AY"), ("au", "AW"), ("aa", "AA"), ("a$", "AH"), ("a", "AA"), ("ee", "IY"), ("ei", "EY"), ("ie", "IY"), ("e$", "EY"),
    ("e", "EH"), ("ii?", "IY"), ("oo", "UW"), ("ou", "UW"), ("o", "OW"), ("u", "UW"), ("y(?=[aeiou])", "Y"), ("y", "IY"),
    ("th", "T"), ("w", "V"), ("c(?=[ei])", "CH"), ("z", "Z"),
)  # fmt: skip
# Hindi's short a: Lakshmi is L AH K SH M IY.
_HINDI = _rules(("aa", "AA"), ("a", "AH"))
_READINGS = (_ENGLISH, _ELSEWHERE + _ENGLISH, _HINDI + _ELSEWHERE + _ENGLISH)


def pronounce(word: str, lookup: Lookup) -> list[str]:
    """The ways in which `word` may be spoken, the likeliest first: ARPAbet phones separated by spaces. None when it has no Latin letters.

    lookup: the dictionary.
    """
    letters = plain_letters(word)
    guesses = [lookup(letters) or _compound(letters, lookup), *(" ".join(_read(letters, rules)) for rules in _READINGS)]
    return [phones for phones in dict.fromkeys(guesses) if phones]


def plain_letters(word: str) -> str:
    """`word` in the letters a to z: "Zoë" is "zoe"."""
    return "".join(c for c in unicodedata.normalize("NFKD", word).lower() if "a" <= c <= "z")


def _compound(letters: str, lookup: Lookup) -> str | None:
    """The phones of two or three words of the dictionary that make up `letters`: of the fewest, and of those the most even."""
    best = None
    for at in range(_MIN_PART, len(letters) - _MIN_PART + 1):
        first, second = lookup(letters[:at]), lookup(letters[at:])
        if first and second:
            rank = min(at, len(letters) - at)
            if best is None or rank > best[0]:
                best = rank, f"{first} {second}"
    return best[1] if best else None


def _read(letters: str, rules: Rules) -> list[str]:
    """Phones of `letters`; the first of `rules` that matches at a place wins."""
    phones: list[str] = []
    at = 0
    while at < len(letters):
        match, found = next(((m, p) for rule, p in rules if (m := rule.match(letters, at))), (None, []))
        phones += found
        at = match.end() if match else at + 1
    return phones
