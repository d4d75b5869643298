"""Names as credits write them, and the forms in which people say them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pre_ner.words import HONORIFICS, PARTICLES, ROLES

_MIN_LETTERS = 3
_PUNCTUATION = '"“”„«»()[]{}!?:;,-–—…*'
_NOTES = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_NICKNAME = re.compile(r"[\"“”„«»]([^\"“”„«»]+)[\"“”„«»]|(?<!\w)['‘]([^'‘’]+)['’](?!\w)")
_SELF = re.compile(r"^(self|himself|herself|themselves|themself)\b", re.IGNORECASE)
_POSSESSIVE = re.compile(r"['’]s?$")


@dataclass(frozen=True)
class Name:
    """`text` as it is written in full, `variants`: its parts that are said alone."""

    text: str
    variants: tuple[str, ...] = ()


def plays_self(character: str) -> bool:
    """Whether the credit says that the actor appears as such ("Self - Host")."""
    return bool(_SELF.match(_without_notes(character)))


def characters(credit: str) -> list[Name]:
    """The names in what credits say of a role: "Jai / Inspector Rathore (voice)" holds two, "Bar Patron #2" none."""
    roles = re.split(r"\s*[/;]\s*", _without_notes(credit))
    found = [name for role in roles if not _SELF.match(role) and (name := name_of(role))]
    return list({name.text.casefold(): name for name in reversed(found)}.values())[::-1]


def name_of(role: str) -> Name | None:
    """The name in one role, or None: "Jai's Wife" → Jai, "Young Jai" → Jai, "Inspector Rathore" → both words, said "Rathore" too."""
    nicknames = [_bare(word) for quoted in _NICKNAME.findall(role) for word in "".join(quoted).split()]
    words = _NICKNAME.sub(" ", role).split(",")[0].split()
    # In "Rathore's Mother" the title belongs to somebody else, who has no name.
    whose = any(_POSSESSIVE.search(word) for word in words)
    named = [word for word in words if not _is_role(word, titles=whose)]
    names = [word for word in (*map(_bare, named), *nicknames) if is_name(word)]
    if not names:
        return None
    in_full = [word.strip(_PUNCTUATION) for word in named] if len(named) == len(words) else _trimmed([_bare(word) for word in named])
    text = " ".join(in_full) or names[0]
    return Name(text, tuple(dict.fromkeys(word for word in names if word != text and is_said_alone(word))))


def of_person(name: str) -> Name:
    """A real person's name, in which no word is a role."""
    text = " ".join(name.split())
    return Name(text, tuple(dict.fromkeys(word for part in text.split() if (word := _bare(part)) != text and is_said_alone(word))))


def is_name(word: str) -> bool:
    """Whether a word of a name is more than a title, a particle, an initial or a number."""
    plain = word.casefold()
    least = 2 if word.isascii() else 1  # Devanagari's vowel signs are no letters, and a Han character is a word
    return sum(c.isalpha() for c in word) >= least and plain.rstrip(".") not in HONORIFICS | PARTICLES and not word.endswith(".")


def is_said_alone(word: str) -> bool:
    """Whether a word of a name is called out by itself and long enough to be told from other words."""
    return is_name(word) and (not word.isascii() or sum(c.isalpha() for c in word) >= _MIN_LETTERS)


def _without_notes(credit: str) -> str:
    """Without "(voice)", "[archive footage]"."""
    while (shorter := _NOTES.sub(" ", credit)) != credit:
        credit = shorter
    return " ".join(credit.split())


def _is_role(word: str, *, titles: bool) -> bool:
    """A number or a word of a role without a name. Titles count as such only when asked: people do say "Inspector Rathore"."""
    plain = _bare(word).casefold().rstrip(".")
    return not any(c.isalpha() for c in plain) or (plain in HONORIFICS and titles) or (plain in ROLES and plain not in HONORIFICS)


def _bare(word: str) -> str:
    """Without a possessive and without punctuation around it; the dot of an abbreviation stays."""
    return _POSSESSIVE.sub("", word.strip(_PUNCTUATION)).strip("'‘’")


def _trimmed(words: list[str]) -> list[str]:
    """Without particles at either end: "Waiter at the Taj" leaves "Taj"."""
    kept = words[:]
    while kept and kept[0].casefold() in PARTICLES:
        kept.pop(0)
    while kept and kept[-1].casefold() in PARTICLES:
        kept.pop()
    return kept
