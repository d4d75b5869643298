"""Where a text may be parted: a price for every place between two words, from 0 (the end of a sentence) to NEVER (inside a name)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Any

import regex

from reelscribe.languages import joiner
from subtitle_gen import phrases
from subtitle_gen.words import Spoken

SENTENCE, CLAUSE, SEGMENT, BEFORE_LINK, ANYWHERE, AFTER_LINK, ATTACHED = 0.0, 0.15, 0.2, 0.3, 0.45, 0.75, 0.85
MAYBE_NAME = 1.5  # two words in capitals that no glossary knows
TORN = 2.0  # inside of a word of a script without spaces
NEVER = 6.0  # inside of a name; article and noun; number and unit

_SENTENCE = regex.compile(r"[.?!…。？！।॥؟۔][\p{Pf}\p{Pe}\p{Po}]*$")
_CLAUSE = regex.compile(r"[,;:،、，；：—–-][\p{Pf}\p{Pe}\p{Po}]*$")
_TITLE = regex.compile(r"^(mr|mrs|ms|dr|prof|st|sr|sra|mme|mlle|hr|fr|insp|capt|lt|sgt|col|gen|no|डॉ|श्री|श्रीमती)\.$", regex.IGNORECASE)
_NUMBER = regex.compile(r"^[\p{Ps}\p{Pi}\p{Sc}]*[+−-]?\p{N}[\p{N}.,:/]*$")
_CAPITAL = regex.compile(r"^[\p{Pi}\p{Ps}\p{Po}]*\p{Lu}\p{L}*\p{Ll}")
_EDGES = regex.compile(r"^[^\p{L}\p{N}]+|(?:['’]s)?[^\p{L}\p{M}\p{N}]*$")
# Kinsoku (JIS X 4051): what no line begins with, and what none ends with.
_NO_BEGINNING = regex.compile(r"^[\p{Pe}\p{Pf}\p{Po}\p{Pd}ーゝゞヽヾ々〻ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶㇰ-ㇿ゛゜]")
_NO_ENDING = regex.compile(r"[\p{Ps}\p{Pi}\p{Sc}]$")
# Nouns begin with capitals as names do.
_CAPITAL_NOUNS = frozenset({"de", "lb"})


def prices(words: Sequence[Spoken], names: Sequence[str] = ()) -> list[float]:
    """(len(words) + 1,) the price of parting before word k; 0 at both ends. names: those of the movie, which are never parted."""
    if not words:
        return [0.0]
    found = [0.0, *(_price(a, b) for a, b in pairwise(words)), 0.0]
    first = 0
    for language, run in groupby(words, key=lambda word: word.language):
        count = len(list(run))
        if not joiner(language):
            found[first + 1 : first + count] = _unspaced(words[first : first + count], language)
        first += count
    for k in _pairs_of_names(words):
        found[k] = max(found[k], ATTACHED)
    for k in _inside_names(words, names):
        found[k] = NEVER
    return found


def _price(word: Spoken, following: Spoken) -> float:
    """Of parting between two words of a script with spaces."""
    rules = _rules(word.language)
    if _TITLE.search(word.text):
        return NEVER
    if _SENTENCE.search(word.text):
        return SENTENCE
    if _CLAUSE.search(word.text):
        return CLAUSE
    plain, next_plain = folded(word.text), folded(following.text)
    if plain in rules["articles"]:
        return NEVER
    if _NUMBER.search(word.text) or plain in rules["numerals"]:
        return BEFORE_LINK if next_plain in rules["links"] else NEVER
    if following.opens:
        return SEGMENT
    capitals = bool(_CAPITAL.search(word.text))
    if capitals and _NUMBER.search(following.text):
        return NEVER  # Platform 4
    if capitals and not rules["capitals"] and _CAPITAL.search(following.text):
        return MAYBE_NAME
    if plain in rules["leaning"] or next_plain in rules["trailing"]:
        return ATTACHED
    if plain in rules["links"]:
        return AFTER_LINK
    return BEFORE_LINK if next_plain in rules["links"] else ANYWHERE


@lru_cache
def _rules(language: str) -> dict[str, frozenset[str]]:
    tables = {"articles": phrases.ARTICLES, "numerals": phrases.NUMERALS, "links": phrases.LINKS}
    tables |= {"leaning": phrases.LEANING, "trailing": phrases.TRAILING}
    found = {name: phrases.of(table, language) for name, table in tables.items()}
    return found | {"capitals": _CAPITAL_NOUNS & {language}}


@lru_cache(maxsize=65536)
def folded(text: str) -> str:
    """`text` without case, the punctuation around it, and a possessive."""
    return _EDGES.sub("", text.casefold())


def _pairs_of_names(words: Sequence[Spoken]) -> Iterator[int]:
    """The places around `and` in "Jai and Kathryn"."""
    for k in range(1, len(words) - 1):
        before, word, after = (words[n].text for n in (k - 1, k, k + 1))
        if word in phrases.COORDINATORS and _CAPITAL.search(before) and _CAPITAL.search(after) and before[-1].isalpha():
            yield from (k, k + 1)


# -- names --------------------------------------------------------------------------------------------------------------


def _inside_names(words: Sequence[Spoken], names: Sequence[str]) -> Iterator[int]:
    """The places inside of a name of two words or more (of characters, in a script without spaces)."""
    known: dict[str, list[list[str]]] = defaultdict(list)
    unspaced = any(not joiner(word.language) for word in words)
    for name in names:
        for parts in filter(lambda parts: len(parts) > 1, [name.split(), *([list(name.replace(" ", ""))] if unspaced else [])]):
            keys = [folded(part) for part in parts]
            known[keys[0]].append(keys)
    if not known:
        return
    keys = [folded(word.text) for word in words]
    for at, key in enumerate(keys):
        for parts in known.get(key, ()) if key else ():
            if keys[at : at + len(parts)] == parts:
                yield from range(at + 1, at + len(parts))


# -- scripts without spaces ---------------------------------------------------------------------------------------------


def _unspaced(words: Sequence[Spoken], language: str) -> list[float]:
    """(len(words) - 1,) by BudouX's phrases and kinsoku; a segment at a time."""
    edges = {0}
    starts = [k for k, word in enumerate(words) if word.opens or k == 0]
    for first, last in pairwise([*starts, len(words)]):
        edges |= {first + k for k in _phrase_starts([word.text for word in words[first:last]], language)}
        edges.add(last)
    return [_unspaced_price(a, b, k in edges) for k, (a, b) in enumerate(pairwise(words), 1)]


def _unspaced_price(word: Spoken, following: Spoken, at_edge: bool) -> float:
    if _NO_ENDING.search(word.text) or (_NO_BEGINNING.search(following.text) and not following.space):
        return NEVER
    if _SENTENCE.search(word.text):
        return SENTENCE
    if _CLAUSE.search(word.text):
        return CLAUSE
    if following.opens:
        return SEGMENT
    if _NUMBER.search(word.text):
        return NEVER
    return ANYWHERE if at_edge else TORN


def _phrase_starts(units: Sequence[str], language: str) -> set[int]:
    """Numbers of the units that a phrase begins with; where there is no model, all do."""
    parser = _parser(language)
    if parser is None:
        return set(range(len(units)))
    offsets, position = {}, 0
    for number, unit in enumerate(units):
        offsets[position] = number
        position += len(unit)
    found, position = set(), 0
    for phrase in parser.parse("".join(units)):
        found.add(offsets.get(position, -1))
        position += len(phrase)
    return found


@lru_cache
def _parser(language: str) -> Any:
    import budoux

    load = {
        "ja": budoux.load_default_japanese_parser,
        "zh": budoux.load_default_simplified_chinese_parser,
        "yue": budoux.load_default_traditional_chinese_parser,
        "th": budoux.load_default_thai_parser,
    }.get(language)
    return load() if load else None
