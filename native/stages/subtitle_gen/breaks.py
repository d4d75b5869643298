"""Where a text may be parted: a price for every place between two words, 0 (the end of a sentence) to 1 (inside a name)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import regex

from subtitle_gen.words import Spoken

SENTENCE, CLAUSE, SEGMENT, BEFORE_LINK, ANYWHERE, AFTER_LINK, ATTACHED, INSIDE = 0.0, 0.15, 0.2, 0.3, 0.45, 0.75, 0.85, 1.0

_SENTENCE = regex.compile(r"[.?!…。？！।॥؟][\p{Pf}\p{Pe}\p{Po}]*$")
_CLAUSE = regex.compile(r"[,;:،、，；：—–-][\p{Pf}\p{Pe}\p{Po}]*$")
_TITLE = regex.compile(r"^(mr|mrs|ms|dr|prof|st|sr|sra|mme|hr|fr|insp|capt|lt|sgt|col|gen)\.$", regex.IGNORECASE)
_NUMBER = regex.compile(r"\d[\d.,:]*$")
_CAPITAL = regex.compile(r"^[\p{Pi}\p{Ps}\p{Po}]*\p{Lu}\p{L}*\p{Ll}")

# Words that begin a phrase (a line may start with them, never end) and words that lean on the next one, by language.
_LINKS = {
    "en": "and but or nor so because although though while when where if unless until since that which who whose as than "
    "in on at by for from with without of to into onto over under about after before between against through during",
    "de": "und oder aber denn weil dass wenn als ob während obwohl damit wie in im an am auf bei mit von vom zu zum zur nach aus für gegen",
    "fr": "et ou mais donc car que qui quand si comme lorsque parce à de en dans sur sous avec sans pour par chez entre vers",
    "es": "y e o u pero sino que quien cuando si como porque aunque a de en con sin por para sobre entre hasta desde",
    "pt": "e ou mas que quem quando se como porque embora a de em com sem por para sobre entre até desde",
    "it": "e o ma che chi quando se come perché anche a di da in con su per tra fra verso",
}
_LEANING = {
    "en": "a an the my your his her its our their this these those some any no every each i you he she it we they "
    "is are was were am be been has have had do does did will would can could shall should may might must not very",
    "de": "der die das den dem des ein eine einen einem einer mein dein sein ihr unser euer kein diese dieser ich du er sie es wir",
    "fr": "le la les l' un une des du au aux mon ma mes ton ta tes son sa ses notre votre leur ce cet cette ces je tu il elle "
    "on nous vous ne",
    "es": "el la los las un una unos unas lo mi tu su nuestro este esta ese esa yo tú él ella no se me te nos",
    "pt": "o a os as um uma uns umas meu minha teu seu sua nosso este esta esse essa eu tu ele ela não se me",
    "it": "il lo la i gli le un uno una l' mio mia tuo suo nostro questo questa io tu lui lei noi non si mi ti ci",
}


def prices(words: Sequence[Spoken], language: str) -> list[float]:
    """(len(words) + 1,) the price of parting before word k; 0 at both ends."""
    links = frozenset(_LINKS.get(language, "").split())
    leaning = frozenset(_LEANING.get(language, "").split())
    between = [_price(a, b, links, leaning) for a, b in pairwise(words)]
    return [0.0, *between, 0.0] if words else [0.0]


def _price(word: Spoken, following: Spoken, links: frozenset[str], leaning: frozenset[str]) -> float:
    """Of parting between the two."""
    if _TITLE.search(word.text):
        return INSIDE
    if _SENTENCE.search(word.text):
        return SENTENCE
    if _CLAUSE.search(word.text):
        return CLAUSE
    if _NUMBER.search(word.text) or (_CAPITAL.search(word.text) and _CAPITAL.search(following.text)):
        return INSIDE
    if following.opens:
        return SEGMENT
    plain = word.text.casefold()
    if plain in leaning:
        return ATTACHED
    if plain in links:
        return AFTER_LINK
    return BEFORE_LINK if following.text.casefold().strip(",.") in links else ANYWHERE
