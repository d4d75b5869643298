"""Subtitle files as cues, and cues as words."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pre_ner.scripts import LATIN, script_of
from pre_ner.words import HONORIFICS
from reelscribe import subtitles
from reelscribe.probe import language_code

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
_MAX_BYTES = 4 << 20
_MAX_CUES = 20_000
_SENTENCE_ENDS = '.?!…:"“”«»'
_LABEL = r"(\p{Lu}[\p{Lu}\p{N} .'’-]+):(?=\s|$)"
_NO_LANGUAGE = frozenset({"forced", "sdh", "cc", "full", "und"})


class SubtitlesError(Exception):
    """A subtitle file cannot be used; the text says which and why."""


@dataclass(frozen=True)
class Token:
    """A word of a cue. `first`: in its sentence; `close`: nothing but a space stands before it."""

    text: str
    first: bool
    close: bool

    @property
    def capital(self) -> bool:
        """Whether it is written as names are; not where everything is in capitals."""
        return self.text[:1].isupper() and not (len(self.text) > 1 and self.text.isupper())

    @cached_property
    def spelling(self) -> str:
        """For comparing: no case, accents or possessive."""
        return fold(self.text)


@dataclass(frozen=True)
class Cue:
    """Seconds, what is said, its words, and who is said to say it."""

    start: float
    end: float
    text: str
    tokens: tuple[Token, ...]
    speaker: str | None = None


@dataclass(frozen=True)
class Track:
    """One file; `language`: as its name says, else None."""

    name: str
    language: str | None
    cues: tuple[Cue, ...]

    @cached_property
    def text(self) -> str:
        """All that is said."""
        return "\n".join(cue.text for cue in self.cues)

    @property
    def words(self) -> Iterator[str]:
        """All words, one by one."""
        return (token.text for cue in self.cues for token in cue.tokens)


def beside(movie: Path) -> list[Path]:
    """Subtitle files that belong to the movie by their name: Film.srt, Film.hi.srt."""
    there = movie.parent.iterdir() if movie.parent.is_dir() else []
    return sorted(p for p in there if p.suffix.lower() in SUFFIXES and p.name.startswith(f"{movie.stem}.") and p.is_file())


def language_in(name: str) -> str | None:
    """The language a file's name says behind the movie's: `hi.srt`, `eng.forced.srt`; in `en.hi.srt` hi is "hearing impaired"."""
    codes = (language_code(part) for part in name.lower().split(".")[:-1] if part.isalpha() and part not in _NO_LANGUAGE)
    return next((code for code in codes if code), None)


def read(path: Path, language: str | None) -> Track:
    """Raises SubtitlesError."""
    try:
        with open(path, "rb") as f:
            content = f.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise SubtitlesError(f"{path.name} is not used: it is larger than {_MAX_BYTES >> 20} MiB")
        # demux writes an empty file for a track without a single cue.
        events = subtitles.parsed(content.decode(_encoding(content))).events
    except OSError as error:
        raise SubtitlesError(f"{path.name} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SubtitlesError(f"{path.name} is not used: it is not UTF-8 text") from error
    except ValueError as error:
        raise SubtitlesError(f"{path.name} is not used: {error}") from error
    lines = [e for e in events if not e.is_comment and e.end > e.start >= 0][:_MAX_CUES]
    return Track(path.name, language, tuple(cue(e.start / 1000, e.end / 1000, e.plaintext) for e in lines))


def fold(word: str) -> str:
    """`word` without case, accents, possessive and -ji; the vowel signs of other scripts stay."""
    plain = word.casefold().replace("’", "'").removesuffix("'s").removesuffix("-ji").strip("'-")
    if script_of(plain) != LATIN:
        return plain
    return "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))


def cue(start: float, end: float, text: str) -> Cue:
    """What is said between two times, in `text` as subtitles have it."""
    import regex

    # What is in brackets is not said: (door opens), [MUSIC].
    lines = [regex.sub(r"\([^()]*\)|\[[^\[\]]*\]", " ", line).strip(" -–—♪#") for line in text.splitlines()]
    labels = [found[1] for line in lines if (found := regex.match(_LABEL, line))]
    said = " ".join(regex.sub(_LABEL, "", line) for line in lines).strip()
    speaker = " ".join(word.capitalize() for word in labels[0].split()) if labels else None
    return Cue(start, end, said, tuple(_tokens(said)), speaker)


def _tokens(text: str) -> Iterator[Token]:
    before, end = "", 0
    for found in word_pattern().finditer(text):
        between = text[end : found.start()]
        if before.casefold() in HONORIFICS:
            between = between.removeprefix(".")  # "Dr. Mehta"
        yield Token(found[0], not end or any(c in _SENTENCE_ENDS for c in between), bool(end) and not between.strip())
        before, end = found[0], found.end()


@cache
def word_pattern() -> Any:
    """Letters with their marks, which \\w leaves out of Indian words; hyphens and apostrophes inside."""
    import regex

    return regex.compile(r"[\p{L}\p{N}][\p{L}\p{M}\p{N}]*(?:['’-][\p{L}\p{N}][\p{L}\p{M}\p{N}]*)*")


def _encoding(content: bytes) -> str:
    return "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
