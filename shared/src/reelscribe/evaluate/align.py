"""Words side by side: which heard word stands for which of the reference."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import regex
from rapidfuzz.distance import Levenshtein

from reelscribe.evaluate.references import Piece
from reelscribe.schemas import Segment

_EDGES = regex.compile(r"^[^\p{L}\p{M}\p{N}]+|(?:['’][sS])?[^\p{L}\p{M}\p{N}]*$")
_LARGEST = 250_000  # cells: of stretches longer than some hundred wrong words in a row nobody knows which is which
_NOT_LETTERS = regex.compile(r"[^\p{L}\p{M}\p{N}]")


@dataclass(frozen=True)
class Token:
    """A word: `core` as it is written, without punctuation and possessive; `key` for comparing: in one case, letters and digits alone.

    `start`: seconds, where known. `change`: number of the correction that the word belongs to.
    """

    core: str
    key: str
    start: float | None = None
    speaker: str | None = None
    change: int | None = None


def core_of(word: str) -> str:
    """`"Jai's,` is Jai."""
    return unicodedata.normalize("NFC", _EDGES.sub("", word))


def tokens(words: Iterable[str], *, start: float | None = None, speaker: str | None = None, change: int | None = None) -> list[Token]:
    """A token for each word that has a letter or a digit; `start` is that of the first."""
    found: list[Token] = []
    for word in words:
        core = core_of(word)
        key = _NOT_LETTERS.sub("", unicodedata.normalize("NFKC", core).casefold())
        if key:
            found.append(Token(core, key, None if found else start, speaker, change))
    return found


def said(pieces: Sequence[Piece]) -> list[Token]:
    """All words of a reference."""
    return [token for piece in pieces for word in piece.timed() for token in tokens([word.word], start=word.start, speaker=piece.speaker)]


def heard(segments: Sequence[Segment]) -> list[Token]:
    """All words of a transcript."""
    return [token for s in segments for word in s.words for token in tokens([word.word], start=word.start, speaker=word.speaker)]


@dataclass(frozen=True)
class Alignment:
    """For each token of the reference the number of the heard one that stands for it, right or wrong, and the other way round; or None."""

    to_heard: list[int | None]
    to_said: list[int | None]

    @classmethod
    def of(cls, said: Sequence[Token], heard: Sequence[Token]) -> Alignment:
        """The fewest substitutions, deletions and insertions, as for WER; among equals, words that are alike stand for each other."""
        to_heard: list[int | None] = [None] * len(said)
        to_said: list[int | None] = [None] * len(heard)
        for i, j in _pairs([t.key for t in said], [t.key for t in heard]):
            to_heard[i], to_said[j] = j, i
        return cls(to_heard, to_said)

    def equal(self, said: Sequence[Token], heard: Sequence[Token]) -> list[tuple[Token, Token]]:
        """Pairs of the same word."""
        return [(said[i], heard[j]) for i, j in enumerate(self.to_heard) if j is not None and said[i].key == heard[j].key]


def _pairs(said: Sequence[str], heard: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Numbers of the words that stand for each other, in order."""
    at, other = 0, 0  # up to here everything is paired
    for step in Levenshtein.opcodes(said, heard):
        if step.tag == "equal":
            yield from _alike(said, heard, range(at, step.src_start), range(other, step.dest_start))
            yield from zip(range(step.src_start, step.src_end), range(step.dest_start, step.dest_end), strict=True)
            at, other = step.src_end, step.dest_end
    yield from _alike(said, heard, range(at, len(said)), range(other, len(heard)))


def _alike(said: Sequence[str], heard: Sequence[str], rows: range, columns: range) -> list[tuple[int, int]]:
    """Pairs within a stretch without a right word: as many as there can be, then as alike as can be. Ties: the earlier words."""
    if len(rows) * len(columns) > _LARGEST:
        return list(zip(rows, columns, strict=False))
    best: list[list[float]] = [[0.0] * (len(columns) + 1)]  # [i][j]: pairs and likeness of the first i and the first j words
    for i in rows:
        line, above = [0.0], best[-1]
        for column, j in enumerate(columns, start=1):
            line.append(max(line[-1], above[column], above[column - 1] + _worth(said[i], heard[j])))
        best.append(line)
    found, i, j = [], len(rows), len(columns)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            found.append((rows[i], columns[j]))
    return found[::-1]


def _worth(one: str, other: str) -> float:
    """Of a pair: likeness never outweighs another pair."""
    return 1 + 1e-4 * Levenshtein.normalized_similarity(one, other)
