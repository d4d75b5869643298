"""Words side by side: which heard word stands for which of the reference."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex
from rapidfuzz.distance import Levenshtein

from reelscribe.evaluate.references import Piece
from reelscribe.schemas import Segment

_EDGES = regex.compile(r"^[^\p{L}\p{M}\p{N}]+|(?:['’][sS])?[^\p{L}\p{M}\p{N}]*$")
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
        """The fewest substitutions, deletions and insertions, as for WER."""
        to_heard: list[int | None] = [None] * len(said)
        to_said: list[int | None] = [None] * len(heard)
        for step in Levenshtein.opcodes([t.key for t in said], [t.key for t in heard]):
            if step.tag in ("equal", "replace"):
                for i, j in zip(range(step.src_start, step.src_end), range(step.dest_start, step.dest_end), strict=True):
                    to_heard[i], to_said[j] = j, i
        return cls(to_heard, to_said)

    def equal(self, said: Sequence[Token], heard: Sequence[Token]) -> list[tuple[Token, Token]]:
        """Pairs of the same word."""
        return [(said[i], heard[j]) for i, j in enumerate(self.to_heard) if j is not None and said[i].key == heard[j].key]
