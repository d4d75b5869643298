"""Which of TMDB's movies is this one: a score from title, year, runtime and language, and the courage to say "none"."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from reelscribe import schemas

# A title alone, with nothing against it, gives 0.8; an exact title that is off in year and runtime gives 0.63.
WEIGHTS = {"title": 0.6, "year": 0.2, "runtime": 0.15, "language": 0.05}
UNKNOWN = 0.5
ACCEPT = 0.75
MARGIN = 0.05
# Not quite the same title is never as good as the same one; another number in it (a sequel) is hardly good at all.
SIMILAR_AT_MOST = 0.9
OTHER_NUMBER = 0.5
_ROMAN = {"ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8", "ix": "9"}


@dataclass(frozen=True)
class Wanted:
    """What is known of the file. `titles`: the likeliest first; `language`: ISO 639-1."""

    titles: tuple[str, ...]
    year: int | None = None
    runtime_min: float | None = None
    language: str | None = None


@dataclass(frozen=True)
class Candidate:
    """A movie of TMDB."""

    tmdb_id: int
    titles: tuple[str, ...]
    year: int | None = None
    runtime_min: float | None = None
    language: str | None = None

    def __str__(self) -> str:
        return f"{self.titles[0]!r} ({self.year or 'no year'}, id {self.tmdb_id})"


@dataclass(frozen=True)
class Scored:
    """A candidate, its score from 0 to 1 and what that is made of."""

    candidate: Candidate
    score: float
    parts: dict[str, float]

    @property
    def recorded(self) -> schemas.Candidate:
        """For the metadata."""
        parts = {name: round(part, 3) for name, part in self.parts.items()}
        found = self.candidate
        return schemas.Candidate(id=found.tmdb_id, title=found.titles[0], year=found.year, score=round(self.score, 3), parts=parts)


def rank(wanted: Wanted, candidates: list[Candidate]) -> list[Scored]:
    """The best first; of equals the one with the lower id."""
    scored = [_score(wanted, candidate) for candidate in candidates]
    return sorted(scored, key=lambda s: (-s.score, s.candidate.tmdb_id))


def doubt(ranked: list[Scored]) -> str:
    """Why the best of `ranked` is not to be used; empty when it is."""
    best = ranked[0]
    if best.score < ACCEPT:
        return f"the nearest is {best.candidate} with a score of {best.score:.2f}, below {ACCEPT}"
    if len(ranked) > 1 and best.score - ranked[1].score < MARGIN:
        return f"{best.candidate} ({best.score:.2f}) and {ranked[1].candidate} ({ranked[1].score:.2f}) are equally likely"
    return ""


def _score(wanted: Wanted, candidate: Candidate) -> Scored:
    parts = {
        "title": max((similarity(a, b) for a in wanted.titles for b in candidate.titles), default=0.0),
        "year": _year(wanted.year, candidate.year),
        "runtime": _runtime(wanted.runtime_min, candidate.runtime_min),
        "language": UNKNOWN if not (wanted.language and candidate.language) else float(wanted.language == candidate.language),
    }
    return Scored(candidate, sum(WEIGHTS[name] * part for name, part in parts.items()), parts)


def similarity(a: str, b: str) -> float:
    """0 to 1; 1 only for titles that differ in nothing but case, accents and punctuation."""
    from rapidfuzz import fuzz

    a, b = _fold(a), _fold(b)
    if not a or not b:
        return 0.0
    if a == b:
        return 1.0
    similar = min(SIMILAR_AT_MOST, max(fuzz.ratio(a, b), fuzz.token_sort_ratio(a, b)) / 100)
    return similar if _numbers(a) == _numbers(b) else min(OTHER_NUMBER, similar)


def _fold(title: str) -> str:
    """Lower case, no accents, single spaces, Roman numerals as digits."""
    plain = unicodedata.normalize("NFKD", title.casefold().replace("&", " and ")).replace("'", "").replace("’", "")
    kept = "".join(c if c.isalnum() else "" if unicodedata.combining(c) else " " for c in plain)
    return " ".join(_ROMAN.get(word, word) for word in kept.split())


def _numbers(folded: str) -> list[str]:
    return sorted(word for word in folded.split() if word.isdigit())


def _year(wanted: int | None, found: int | None) -> float:
    """Festivals and releases are a year apart; more is another movie."""
    if wanted is None or found is None:
        return UNKNOWN
    return {0: 1.0, 1: 0.7}.get(abs(wanted - found), 0.0)


def _runtime(wanted: float | None, found: float | None) -> float:
    """1 up to 6 % apart (PAL runs 4 % faster), 0 from 25 % on."""
    if not wanted or not found:
        return UNKNOWN
    apart = abs(wanted - found) / max(wanted, found)
    return min(1.0, max(0.0, (0.25 - apart) / (0.25 - 0.06)))
