"""The glossary's terms: who and what may be named in the movie, and how likely that is (weight, 0 to 1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pre_ner import names
from pre_ner.entities import Entity, Finder, Finders, place_of
from pre_ner.names import Name
from pre_ner.subtitles import joined
from reelscribe.schemas import Chapter, Metadata, Span, Term, TermKind

# Leads are named most: from 0.9 down by billing. Actors are in the credits, not in the dialogue.
LEAD, LESS_EACH, LEAST_CHARACTER = 0.9, 0.03, 0.4
WEIGHTS: dict[str, float] = {
    "overview character": 0.5,
    "overview place": 0.5,
    "overview organisation": 0.45,
    "overview other": 0.3,
    "chapters": 0.5,
    "keywords": 0.3,
    "title": 0.3,
    "collection": 0.15,
    "cast": 0.15,
    "crew": 0.1,
    "file name": 0.1,
    "alternative titles": 0.1,
}
_FILE_NAME = "file name"
_UNNAMED_CHAPTER = re.compile(r"^\W*(?:(?:chapter|scene|part|kapitel|chapitre|cap[ií]tulo|capitolo)\W*)?[\d\W]*$", re.IGNORECASE)


def characters(metadata: Metadata) -> Iterator[Term]:
    """Everybody who is played, by billing; who appears as such (a documentary's "Self") is named by the actor's name."""
    for billing, actor in enumerate(sorted(metadata.cast, key=lambda a: a.order)):
        weight = max(LEAST_CHARACTER, LEAD - LESS_EACH * billing)
        for name in names.characters(actor.character):
            yield _term(name, "character", weight, "cast")
        if names.plays_self(actor.character):
            yield _term(names.of_person(actor.name), "person", weight, "cast")


def people(metadata: Metadata) -> Iterator[Term]:
    """Actors and makers."""
    credited = [(actor.name, "cast") for actor in metadata.cast] + [(maker.name, "crew") for maker in metadata.crew]
    for name, source in credited:
        if len(name) > 1:
            yield _term(Name(name), "person", WEIGHTS[source], source)


def titles(metadata: Metadata) -> Iterator[Term]:
    """The movie's titles; one that is only guessed from the file name counts little."""
    source = _FILE_NAME if metadata.sources.get("title") == _FILE_NAME else "title"
    yield _term(Name(metadata.title), "title", WEIGHTS[source], source)
    if metadata.original_title:
        yield _term(Name(metadata.original_title), "title", WEIGHTS["title"], "title", metadata.original_language)
    if metadata.collection:
        # TMDB calls it "Dhoom Collection".
        yield _term(Name(re.sub(r"\s+collection$", "", metadata.collection, flags=re.I)), "title", WEIGHTS["collection"], "collection")
    for title in metadata.alternative_titles:
        yield _term(Name(title), "title", WEIGHTS["alternative titles"], "alternative titles")


def from_overviews(metadata: Metadata, finders: Finders) -> Iterator[Term]:
    """Who and what the plot names, in every language it is told in."""
    texts = {text: language for language, text in metadata.overviews.items()}
    for text in dict.fromkeys(text for text in (metadata.overview, *texts) if text):
        language = texts.get(text)
        for entity in finders.of(text, language).find(text):
            if not entity.known:
                yield _term(_name(entity), entity.kind, WEIGHTS[f"overview {entity.kind}"], "overview", language)


def from_keywords(metadata: Metadata, finder: Finder) -> Iterator[Term]:
    """Names among the keywords, most of which are none ("revenge", "train robbery")."""
    for keyword in metadata.keywords:
        place = place_of(keyword)
        if place:
            yield _term(place, "place", WEIGHTS["keywords"], "keywords")
            continue
        # TMDB's are in lower case, which hides names: only what is nothing but a name counts then.
        written = keyword.title() if keyword.islower() else keyword
        for entity in finder.find(written, capitals=not keyword.islower()):
            if not entity.known and (written == keyword or entity.text == written):
                yield _term(_name(entity), entity.kind, WEIGHTS["keywords"], "keywords")


def from_chapters(chapters: Iterable[Chapter], finder: Finder) -> Iterator[Term]:
    """Names in the chapters' titles, which are likely there; known ones under their known text."""
    for chapter in chapters:
        if _UNNAMED_CHAPTER.match(chapter.title):
            continue
        for entity in finder.find(chapter.title, capitals=False):
            name = Name(entity.known) if entity.known else _name(entity)
            term = _term(name, entity.kind, WEIGHTS["chapters"], "chapters")
            yield term.model_copy(update={"mentions": [Span(start=chapter.start, end=chapter.end)]})


def merged(terms: Iterable[Term]) -> list[Term]:
    """Each term once, the heaviest first, as it was listed among equals; a time range makes it another term.

    The heaviest one's spelling and source stay, any kind is better than "other", variants and mentions add up.
    """
    groups: dict[tuple[str, float | None, float | None], list[Term]] = {}
    for term in terms:
        groups.setdefault((term.text.casefold(), term.start, term.end), []).append(term)
    return sorted((_merge(group) for group in groups.values()), key=lambda term: -term.weight)


def _merge(group: list[Term]) -> Term:
    ranked = sorted(group, key=lambda term: -term.weight)
    kind = next((term.kind for term in ranked if term.kind != "other"), "other")
    variants = dict.fromkeys(variant for term in ranked for variant in term.variants if variant != ranked[0].text)
    mentions = joined(span for term in group for span in term.mentions)
    return ranked[0].model_copy(update={"kind": kind, "variants": list(variants), "mentions": mentions})


def _name(entity: Entity) -> Name:
    return Name(entity.text, entity.variants)


def _term(name: Name, kind: TermKind, weight: float, source: str, language: str | None = None) -> Term:
    return Term(text=name.text, kind=kind, weight=weight, source=source, language=language, variants=list(name.variants))
