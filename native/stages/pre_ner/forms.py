"""The forms of a name beside its full one: how people call it, how recognisers write it, how it is written in the movie's scripts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from pre_ner.names import is_said_alone
from pre_ner.scripts import LATIN, SCRIPTS, Spellings, in_latin, script_of
from pre_ner.words import HONORIFICS
from reelscribe.schemas import Term

# Both are written, whichever is said.
_SHORT = {
    "dr": "Doctor", "mr": "Mister", "mrs": "Missus", "prof": "Professor", "capt": "Captain", "sgt": "Sergeant", "lt": "Lieutenant",
    "col": "Colonel", "gen": "General", "cmdr": "Commander", "st": "Saint", "rev": "Reverend", "insp": "Inspector",
}  # fmt: skip
_LONG = {long.casefold(): f"{short.capitalize()}." for short, long in _SHORT.items() if short != "insp"}
_WITH_JI = frozenset({"hi", "ur", "pa", "gu", "mr", "ne", "mai", "bho", "sd"})
_INITIALS = re.compile(r"^(?:[^\W\d_]\.)+$|^[^\W\d_]$")
_PEOPLE = ("character", "person")
_INDIAN = frozenset({"hi", "bn"})  # those of wordfreq's lists whose letters say how a word sounds
_MANY = 50_000


@dataclass(frozen=True)
class Customs:
    """How names are said and written in a movie.

    languages: those spoken. spellings: words that were written, by script. zipf: which Latin spelling is in use.
    """

    languages: Sequence[str]
    spellings: Mapping[str, Spellings]
    zipf: Callable[[str], float]


def customs(languages: Sequence[str], written: Iterable[str]) -> Customs:
    """For a movie in which `languages` are spoken. written: words of texts about it and of its subtitles."""
    from wordfreq import available_languages, top_n_list, zipf_frequency

    often = [word for word, _ in Counter(written).most_common()]
    # What nobody wrote about this movie was written elsewhere: lists hold names, too.
    listed = [word for code in languages if code in available_languages("best") and code in _INDIAN for word in top_n_list(code, _MANY)]
    by_script: dict[str, list[str]] = {}
    for word in dict.fromkeys([*often, *listed]):
        if (script := script_of(word)) in SCRIPTS:
            by_script.setdefault(script, []).append(word)
    spellings = {script: Spellings(words) for script, words in by_script.items()}
    return Customs(languages, spellings, lambda word: zipf_frequency(word, "en"))


def with_forms(term: Term, customs: Customs) -> Term:
    """The term with all its variants, the likeliest first."""
    called = list(_called(term)) if term.kind in _PEOPLE else []
    # Titles are translated, not spelt anew.
    written = [] if term.kind == "title" else list(_in_other_scripts([_untitled(term.text), *term.variants], customs))
    forms = [*term.variants, *called, *written]
    if term.kind in _PEOPLE:
        names = [form for form in (_untitled(term.text), *term.variants) if is_said_alone(form.split()[-1])]
        forms += _respectful([*names, *written], customs) + [f"{name}'s" for name in names if script_of(name) == LATIN]
    return term.model_copy(update={"variants": [form for form in dict.fromkeys(forms) if form != term.text]})


def _called(term: Term) -> Iterator[str]:
    """By title and surname, by the title's other spelling, without the title, by initials."""
    words = term.text.split()
    titles = list(takewhile(_is_title, words))
    name = words[len(titles) :]
    if not name:
        return
    if titles and len(name) > 1:
        yield " ".join(name)
        yield " ".join([*titles, name[-1]])
    other = [_other_title(title) for title in titles]
    if other != titles:
        yield " ".join([*other, *name])
        yield " ".join([*other, name[-1]])
    initials = list(takewhile(_INITIALS.match, name))
    letters = "".join(initials).replace(".", "")
    if initials and len(initials) < len(name):
        yield f"{letters} {' '.join(name[len(initials) :])}"
        yield f"{'.'.join(letters)}. {' '.join(name[len(initials) :])}"
    if len(letters) > 1:
        yield letters


def _is_title(word: str) -> bool:
    return word.casefold().rstrip(".") in HONORIFICS


def _other_title(title: str) -> str:
    plain = title.casefold().rstrip(".")
    return _SHORT.get(plain) or _LONG.get(plain) or title


def _untitled(text: str) -> str:
    """Without titles before and after it, unless nothing else is left."""
    words = text.split()
    while len(words) > 1 and _is_title(words[0]):
        words.pop(0)
    while len(words) > 1 and _is_title(words[-1]):
        words.pop()
    return " ".join(words)


def _in_other_scripts(names: Sequence[str], customs: Customs) -> Iterator[str]:
    """As the movie's other scripts have them: looked up in what was written there, and in Latin letters by rule."""
    for name in dict.fromkeys(names):
        for script, spellings in customs.spellings.items():
            if script_of(name) != script and (found := spellings.of(name)):
                yield found
        if latin := in_latin(name, customs.zipf):
            yield latin


def _respectful(names: Sequence[str], customs: Customs) -> list[str]:
    """With -ji."""
    if not _WITH_JI.intersection(customs.languages):
        return []
    endings = {LATIN: "-ji", "DEVANAGARI": " जी"}
    return [name + endings[script] for name in dict.fromkeys(names) if (script := script_of(name)) in endings]
