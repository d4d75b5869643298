"""Title, year and ids from the movie's file name, as people and media managers write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tmdb.fields import Source

SOURCE = "file name"


def read(movie: Path) -> Source:
    """Always has a title: the name itself when nothing in it looks like one."""
    guess = _guess(movie.name)
    year = guess.get("year")
    title = _title(guess)
    # "1917.mkv" is a title, not a year.
    fields = {"title": title or movie.stem or movie.name, "year": year if title else None}
    return Source(SOURCE, {**fields, "tmdb_id": guess.get("tmdb_id"), "imdb_id": guess.get("imdb_id")})


def is_episode(movie: Path) -> bool:
    """Whether the name looks like an episode of a series (Show.S01E02)."""
    return _guess(movie.name).get("type") == "episode"


def _guess(name: str) -> dict[str, Any]:
    from guessit import guessit
    from guessit.api import GuessitException

    try:
        return dict(guessit(name, {"single_value": True}))
    except GuessitException:  # guessit's word for its own bugs
        return {}


def _title(guess: dict[str, Any]) -> str:
    """guessit splits "Mission Impossible - Fallout" and "Movie - Part 2"; both halves are the title."""
    title = str(guess.get("title") or "")
    alternative = str(guess.get("alternative_title") or "")
    if title and alternative and not alternative.isdigit():
        title = f"{title} - {alternative}"
    return f"{title} Part {guess['part']}" if title and guess.get("part") else title
