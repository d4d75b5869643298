"""TMDB's answers, as far as we use them (https://developer.themoviedb.org/reference), and the fields they fill."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from tmdb.fields import Source, year_of

SOURCE = "TMDB"
ENGLISH = "en"  # what TMDB answers in when it is asked for no other
APPENDED = "credits,keywords,alternative_titles,translations"
# The order is ours: who is most likely to be named first.
JOBS = ("Director", "Writer", "Screenplay", "Story", "Novel", "Dialogue", "Original Music Composer", "Producer")
_GENDERS = {1: "female", 2: "male", 3: "other"}


class Answer(BaseModel):
    """Base of all answers."""

    @property
    def worth_keeping(self) -> bool:
        """Whether it may go into the cache: a movie that is missing today may be there tomorrow."""
        return True


class Result(BaseModel):
    """One movie of a search."""

    id: int
    title: str = ""
    original_title: str | None = None
    original_language: str | None = None
    release_date: str | None = None


class SearchAnswer(Answer):
    """/search/movie"""

    results: list[Result]

    @property
    def worth_keeping(self) -> bool:
        return bool(self.results)


class FindAnswer(Answer):
    """/find/{imdb_id}"""

    movie_results: list[Result]

    @property
    def worth_keeping(self) -> bool:
        return bool(self.movie_results)


class _Named(BaseModel):
    name: str


class _Actor(BaseModel):
    name: str
    character: str | None = None
    order: int = 0
    gender: int | None = None


class _Crew(BaseModel):
    name: str
    job: str = ""


class _Credits(BaseModel):
    cast: list[_Actor] = []
    crew: list[_Crew] = []


class _Keywords(BaseModel):
    keywords: list[_Named] = []


class _Title(BaseModel):
    title: str


class _Titles(BaseModel):
    titles: list[_Title] = []


class _Translated(BaseModel):
    title: str | None = None
    overview: str | None = None


class _Translation(BaseModel):
    iso_639_1: str
    data: _Translated = _Translated()


class _Translations(BaseModel):
    translations: list[_Translation] = []


class MovieAnswer(Answer):
    """/movie/{id} with credits, keywords, alternative titles and translations appended"""

    id: int
    title: str
    original_title: str | None = None
    original_language: str | None = None
    release_date: str | None = None
    runtime: float | None = None
    overview: str | None = None
    imdb_id: str | None = None
    belongs_to_collection: _Named | None = None
    genres: list[_Named] = []
    credits: _Credits = _Credits()
    keywords: _Keywords = _Keywords()
    alternative_titles: _Titles = _Titles()
    translations: _Translations = _Translations()

    @property
    def titles(self) -> list[str]:
        """All titles, each once, the main one first."""
        translated = [t.data.title or "" for t in self.translations.translations]
        others = [t.title for t in self.alternative_titles.titles]
        return [t for t in dict.fromkeys([self.title, self.original_title or "", *others, *translated]) if t]

    def overviews(self, languages: Iterable[str]) -> dict[str, str]:
        """The plot in those of `languages` (ISO 639-1) that there are; of several countries' the first."""
        told = {t.iso_639_1: t.data.overview for t in reversed(self.translations.translations) if t.data.overview}
        told |= {ENGLISH: self.overview} if self.overview else {}
        return {language: told[language] for language in dict.fromkeys(languages) if language in told}


def source(movie: MovieAnswer, subtitle_language: str | None) -> Source:
    """The fields of Metadata; texts in English, the original language and that of the subtitles."""
    overviews = movie.overviews(code for code in (ENGLISH, movie.original_language, subtitle_language) if code)
    cast = sorted(movie.credits.cast, key=lambda actor: actor.order)
    crew = sorted((c for c in movie.credits.crew if c.job in JOBS), key=lambda c: JOBS.index(c.job))
    fields: dict[str, Any] = {
        "title": movie.title,
        "original_title": movie.original_title,
        "alternative_titles": [t for t in movie.titles if t not in (movie.title, movie.original_title)],
        "year": year_of(movie.release_date),
        "runtime_min": movie.runtime or None,
        "original_language": movie.original_language,
        "overview": movie.overview,
        "overviews": overviews,
        "tmdb_id": movie.id,
        "imdb_id": movie.imdb_id,
        "collection": movie.belongs_to_collection.name if movie.belongs_to_collection else None,
        "genres": [g.name for g in movie.genres],
        "keywords": [k.name for k in movie.keywords.keywords],
        "cast": [
            {"name": a.name, "character": a.character or "", "order": n, "gender": _GENDERS.get(a.gender or 0)} for n, a in enumerate(cast)
        ],
        "crew": [{"name": c.name, "job": c.job} for c in crew],
    }
    return Source(SOURCE, fields)
