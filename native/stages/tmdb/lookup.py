"""From what is known of the file to TMDB's page of the movie."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

from tmdb.answers import APPENDED, FindAnswer, MovieAnswer, Result, SearchAnswer
from tmdb.client import Client, NotFoundError
from tmdb.fields import year_of
from tmdb.match import MARGIN, WEIGHTS, Candidate, Scored, Wanted, doubt, rank

_MAX_LOOKED_AT = 4


@dataclass
class Lookup:
    """`movie` when it was found beyond doubt, else `why_not`; `ranked`: the candidates of a search, the best first."""

    movie: MovieAnswer | None = None
    why_not: str = ""
    ranked: list[Scored] = field(default_factory=list)


def by_id(client: Client, tmdb_id: int) -> MovieAnswer:
    """The movie with this id. Raises TmdbError."""
    return client.get(f"/movie/{tmdb_id}", MovieAnswer, append_to_response=APPENDED)


def by_imdb_id(client: Client, imdb_id: str) -> MovieAnswer:
    """The movie with this id at IMDb. Raises TmdbError."""
    found = client.get(f"/find/{imdb_id}", FindAnswer, external_source="imdb_id").movie_results
    if not found:
        raise NotFoundError(f"TMDB has no movie {imdb_id}")
    return by_id(client, found[0].id)


def by_title(client: Client, wanted: Wanted) -> Lookup:
    """Search by each title with the year, then without it: it may be wrong by one, and doubt may be due to it. Raises TmdbError."""
    lookup = Lookup(why_not="TMDB finds nothing")
    for title, year in product(wanted.titles, dict.fromkeys((wanted.year, None))):
        params = {"query": title, **({"year": str(year)} if year else {})}
        results = client.get("/search/movie", SearchAnswer, **params).results
        if not results:
            continue
        lookup = _choose(client, wanted, results)
        if lookup.movie:
            break
    return lookup


def _choose(client: Client, wanted: Wanted, results: list[Result]) -> Lookup:
    """Runtime and alternative titles are only on a movie's own page: fetch those that could still win by them."""
    first = rank(wanted, [_of_result(r) for r in {r.id: r for r in results}.values()])
    within = WEIGHTS["runtime"] + MARGIN
    near = [s.candidate for s in first if s.score >= first[0].score - within][:_MAX_LOOKED_AT]
    pages = {c.tmdb_id: by_id(client, c.tmdb_id) for c in near}
    ranked = rank(wanted, [_of_page(pages[c.tmdb_id]) for c in near])
    why_not = doubt(ranked)
    ranked += [s for s in first if s.candidate.tmdb_id not in pages]
    if why_not:
        return Lookup(why_not=f"no sure match at TMDB: {why_not}; --tmdb-id ID settles it", ranked=ranked)
    return Lookup(movie=pages[ranked[0].candidate.tmdb_id], ranked=ranked)


def _of_result(result: Result) -> Candidate:
    titles = tuple(t for t in dict.fromkeys((result.title, result.original_title or "")) if t) or ("",)
    return Candidate(result.id, titles, year_of(result.release_date), None, result.original_language)


def _of_page(page: MovieAnswer) -> Candidate:
    return Candidate(page.id, tuple(page.titles) or ("",), year_of(page.release_date), page.runtime, page.original_language)
