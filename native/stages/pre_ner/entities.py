"""Names in running text, by spaCy: a trained pipeline where there is one, else rules over what the metadata already names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pre_ner.names import Name, name_of
from pre_ner.pipelines import ANY_LANGUAGE, Trained, for_language
from pre_ner.words import CALENDAR, HONORIFICS, ORGANISATIONS, PLACES
from reelscribe.schemas import TermKind

if TYPE_CHECKING:
    from spacy.language import Language

ENGLISH = "en"
_MAX_WORDS = 6
# In running text almost every second word is a stop word of its language; in another language hardly any is.
_LEAST_STOP_WORDS = 0.2
_CAPITALS = "CAPITALS"
_BEFORE_A_PLACE = ["in", "near"]
# Labels of spaCy's English (OntoNotes) and other pipelines (WikiNER); dates, numbers and the like are no names.
_KINDS: dict[str, TermKind] = {
    "PERSON": "character",
    "PER": "character",
    "GPE": "place",
    "LOC": "place",
    "FAC": "place",
    "ORG": "organisation",
    "NORP": "other",
    "EVENT": "other",
    "PRODUCT": "other",
    "MISC": "other",
    _CAPITALS: "other",
}
_NAME_WORD = {"IS_TITLE": True, "IS_STOP": False, "LENGTH": {">=": 2}, "LOWER": {"NOT_IN": sorted(CALENDAR)}}
_TITLE_WORD = {"IS_TITLE": True, "LOWER": {"IN": sorted(HONORIFICS | {f"{word}." for word in HONORIFICS})}}


@dataclass(frozen=True)
class Entity:
    """A name that was found. `known`: the id of the known name it is, else None."""

    text: str
    kind: TermKind
    variants: tuple[str, ...] = ()
    known: str | None = None


class Finder:
    """Finds names in texts of one language; `pipeline` says by what."""

    def __init__(self, nlp: Language, pipeline: str, refused: list[str]) -> None:
        self._nlp = nlp
        self.pipeline = pipeline
        self.refused = refused

    def find(self, text: str, *, capitals: bool = True) -> list[Entity]:
        """Each name once, in order. `capitals`: words count as names for being written with a capital; not in headings, where all are."""
        if text.isupper():
            return []
        doc = self._nlp(text)
        inside = {token.lower for ent in doc.ents for token in ent if not _begins_sentence(token)}
        found: dict[str, Entity] = {}
        for ent in doc.ents:
            lone_beginning = len(ent) == 1 and _begins_sentence(ent[0]) and ent[0].lower not in inside
            if ent.label_ == _CAPITALS and (lone_beginning or not capitals):
                continue
            entity = _entity(ent)
            if entity:
                found.setdefault(entity.text.casefold(), entity)
        return list(found.values())


class Finders:
    """A Finder for each language that is met, all of which know the names `known`."""

    def __init__(self, known: Iterable[Name], trained: list[Trained]) -> None:
        self._patterns = [{"label": "PERSON", "pattern": form, "id": name.text} for name in known for form in (name.text, *name.variants)]
        self._trained = trained
        self._made: dict[str, Finder] = {}

    def of(self, text: str, language: str | None = None) -> Finder:
        """For texts in `language`; where that is not known, whatever `text` seems to be in."""
        code = language or self.language(text)
        if code not in self._made:
            self._made[code] = _finder(code, self._patterns, self._trained)
        return self._made[code]

    def language(self, text: str) -> str:
        """What `text` seems to be in."""
        return language_of(text, {t.language for t in self._trained})

    @property
    def pipelines(self) -> list[str]:
        """What was used, each once."""
        return list(dict.fromkeys(finder.pipeline for finder in self._made.values()))

    @property
    def refused(self) -> list[str]:
        """What should have been used and could not, each once."""
        return list(dict.fromkeys(reason for finder in self._made.values() for reason in finder.refused))


def _finder(language: str, patterns: list[dict[str, Any]], trained: list[Trained]) -> Finder:
    """The language's own trained pipeline, else one for any language, else rules."""
    import spacy

    refused = []
    for choice in for_language(language, trained):
        try:
            nlp = spacy.load(choice.folder)
        except (OSError, ValueError, ImportError) as error:
            refused.append(f"{choice} does not load ({str(error).splitlines()[0][:120]})")
            continue
        _add_ruler(nlp, "known", patterns, before="ner")
        return Finder(nlp, str(choice), refused)
    nlp = _blank(language)
    nlp.add_pipe("sentencizer")
    _add_ruler(nlp, "known", patterns)
    if language == ENGLISH:
        _add_ruler(nlp, "rules", list(_english_rules()))
        _add_ruler(nlp, "capitals", list(_capitals()))
    return Finder(nlp, f"blank {nlp.lang} + entity_ruler", refused)


def _blank(language: str) -> Language:
    """spaCy's tokenizer of the language; where it has none, that for any language."""
    import spacy

    try:
        return spacy.blank(language)
    except ImportError:
        return spacy.blank(ANY_LANGUAGE)


def language_of(text: str, others: set[str]) -> str:
    """English, one of `others`, or xx: whichever's stop words the text is made of."""
    words = re.findall(r"[^\W\d_]+(?:['’]\w+)?", text.casefold())
    shares = [(_share_of_stop_words(words, code), code == ENGLISH, code) for code in sorted({ENGLISH, *others} - {ANY_LANGUAGE})]
    share, _, language = max(shares)
    return language if share >= _LEAST_STOP_WORDS else ANY_LANGUAGE


def _share_of_stop_words(words: list[str], language: str) -> float:
    try:
        stop_words = import_module(f"spacy.lang.{language}.stop_words").STOP_WORDS
    except ImportError:
        return 0.0
    return sum(word in stop_words for word in words) / max(1, len(words))


def place_of(keyword: str) -> Name | None:
    """TMDB writes places as "mumbai (bombay), india"."""
    found = re.fullmatch(r"([^(),]+?)\s*(?:\(([^(),]+)\))?\s*,\s*[^(),]+", keyword)
    return Name(found[1].title(), (found[2].strip().title(),) if found[2] else ()) if found else None


def _begins_sentence(token: Any) -> bool:
    return bool(token.is_sent_start) or (token.i > 0 and token.nbor(-1).is_quote)


def _entity(ent: Any) -> Entity | None:
    """A span of spaCy as our Entity; None when it is no name."""
    kind = _KINDS.get(ent.label_)
    if ent.ent_id_:
        return Entity(ent.ent_id_, "character", known=ent.ent_id_)
    words = [t for t in ent if not t.is_space]
    while words and (words[0].is_stop or words[0].is_punct or words[0].text in _BEFORE_A_PLACE):
        words.pop(0)
    while words and (words[-1].is_stop or words[-1].is_punct or words[-1].text in ("'s", "’s")):
        words.pop()
    text = "".join(t.text_with_ws for t in words).strip()
    if kind is None or not words or len(words) > _MAX_WORDS or sum(c.isalpha() for c in text) < 2:
        return None
    if kind != "character":
        return None if text.casefold() in HONORIFICS else Entity(text, kind)
    name = name_of(text)
    return Entity(name.text, kind, name.variants) if name else None


def _add_ruler(nlp: Language, name: str, patterns: list[dict[str, Any]], **where: str) -> None:
    """Rulers later in the pipeline leave alone what an earlier one has found."""
    if patterns:
        nlp.add_pipe("entity_ruler", name=name, config={"phrase_matcher_attr": "LOWER"}, **where).add_patterns(patterns)


def _english_rules() -> Iterator[dict[str, Any]]:
    """Names by the words around them."""
    several = {**_NAME_WORD, "OP": "+"}
    yield {"label": "PERSON", "pattern": [_TITLE_WORD, several]}
    yield {"label": "FAC", "pattern": [several, {"TEXT": {"IN": sorted(PLACES)}}]}
    yield {"label": "ORG", "pattern": [several, {"TEXT": {"IN": sorted(ORGANISATIONS)}}]}
    yield {"label": "ORG", "pattern": [{"IS_UPPER": True, "IS_ALPHA": True, "LENGTH": {">=": 2}}]}
    yield {"label": "GPE", "pattern": [{"LOWER": {"IN": _BEFORE_A_PLACE}, "IS_TITLE": False}, several]}


def _capitals() -> Iterator[dict[str, Any]]:
    """Words with a capital, also joined by hyphens."""
    yield {"label": _CAPITALS, "pattern": [{**_NAME_WORD, "OP": "+"}]}
    yield {"label": _CAPITALS, "pattern": [_NAME_WORD, {"TEXT": "-"}, {**_NAME_WORD, "OP": "+"}]}
