"""The subtitles that a movie has already: whose names are in them, and when.

They may be in any language. A name is known again by its spelling, or by its sound where the script is another one (राठौर, Rathore).
New names come from scripts with capitals, by how a word is written throughout the track, and from the labels of speakers ("JAI:").
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pre_ner.names import name_of
from pre_ner.scripts import LATIN, key, script_of
from pre_ner.words import CALENDAR, HONORIFICS
from reelscribe.probe import language_code
from reelscribe.schemas import Span, Term

if TYPE_CHECKING:
    from pre_ner.entities import Finder

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
SOURCE = "subtitles"
# A new name is written so at least this often: once is a slip, or somebody who does not matter.
_LEAST_OFTEN = 2
# From the weight of somebody the plot names up to a lead's.
_WEIGHT, _MORE_EACH, _MOST = 0.45, 0.02, 0.7
_MAX_WORDS = 4
_MAX_BYTES = 4 << 20
_MAX_CUES = 20_000
_GAP_S = 1.0
_MIN_SOUNDS = 2
_CLEAR_SOUNDS = 4
_MIN_LETTERS = 3
# German capitalises every noun.
_NOUNS_IN_CAPITALS = frozenset({"de", "lb"})
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
    import pysubs2

    try:
        with open(path, "rb") as f:
            content = f.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise SubtitlesError(f"{path.name} is not used: it is larger than {_MAX_BYTES >> 20} MiB")
        events = pysubs2.SSAFile.from_string(content.decode(_encoding(content))).events
    except OSError as error:
        raise SubtitlesError(f"{path.name} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SubtitlesError(f"{path.name} is not used: it is not UTF-8 text") from error
    except (pysubs2.Pysubs2Error, ValueError) as error:
        raise SubtitlesError(f"{path.name} is not used: {error or 'it holds no subtitles'}") from error
    lines = [e for e in events if not e.is_comment and e.end > e.start >= 0][:_MAX_CUES]
    cues = tuple(_cue(e.start / 1000, e.end / 1000, e.plaintext) for e in lines)
    return Track(path.name, language, cues)


def fold(word: str) -> str:
    """`word` without case, accents and possessive; the vowel signs of other scripts stay."""
    plain = word.casefold().replace("’", "'")
    plain = plain.removesuffix("'s").strip("'-")
    if script_of(plain) != LATIN:
        return plain
    return "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))


def mentions(terms: Sequence[Term], tracks: Sequence[Track]) -> list[Term]:
    """The terms, each with the times when a track says it, joined where it is said again at once."""
    index = _Index(terms)
    found: dict[int, list[Span]] = defaultdict(list)
    for track in tracks:
        for cue in track.cues:
            for number in index.named(cue):
                found[number].append(Span(start=cue.start, end=cue.end))
    return [
        term.model_copy(update={"mentions": joined([*term.mentions, *found[number]])}) if number in found else term
        for number, term in enumerate(terms)
    ]


def joined(spans: Iterable[Span]) -> list[Span]:
    """In order, one where there is no gap to speak of between two; milliseconds."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, s.end)):
        if result and span.start - result[-1].end <= _GAP_S:
            result[-1] = Span(start=result[-1].start, end=max(result[-1].end, round(span.end, 3)))
        else:
            result.append(Span(start=round(span.start, 3), end=round(span.end, 3)))
    return result


def new_names(track: Track, language: str, known: Sequence[Term], finder: Finder, is_common: Callable[[str], bool]) -> list[Term]:
    """Names in the track that no term of `known` holds. is_common: whether a folded word is too common to be news."""
    index = _Index(known)
    entities = {fold(entity.text): entity for entity in finder.find(track.text) if not entity.known}
    runs = Counter(_runs(track, is_common)) if language not in _NOUNS_IN_CAPITALS else Counter()
    # Without capitals only a trained pipeline can tell.
    runs.update({e.text: track.text.count(e.text) for e in entities.values() if script_of(e.text) != LATIN})
    labels = Counter(name.text for cue in track.cues if cue.speaker and (name := name_of(cue.speaker)))
    runs += labels
    found: dict[str, Term] = {}
    # The longest first: what is a part of a longer name is no name of its own.
    for text in sorted(runs, key=lambda run: (-len(run.split()), -runs[run], run)):
        words = [fold(word) for word in text.split()]
        parts = {fold(form) for term in found.values() for form in (term.text, *term.variants)}
        if _times(text, runs) < _LEAST_OFTEN or index.knows(words) or " ".join(words) in parts:
            continue
        entity = entities.get(" ".join(words))
        is_person = text in labels or words[0] in HONORIFICS or (entity is not None and entity.kind == "character")
        kind = "character" if is_person else entity.kind if entity else "other"
        # A name of several words that are said alone, too, is a person's.
        name = name_of(text) if is_person or any(word in runs for word in text.split()[:-1]) else None
        weight = round(min(_MOST, _WEIGHT + _MORE_EACH * max(_times(word, runs) for word in text.split())), 3)
        text, variants = (name.text, name.variants) if name else (text, ())
        kind = "character" if variants and kind == "other" else kind
        found[fold(text)] = Term(text=text, kind=kind, weight=weight, source=SOURCE, language=language, variants=list(variants))
    return sorted(found.values(), key=lambda term: (-term.weight, term.text))


def _times(text: str, runs: Mapping[str, int]) -> int:
    """How often a name is said, alone or within a longer one."""
    return sum(count for run, count in runs.items() if f" {text} " in f" {run} ")


class _Index:
    """Terms by the words of their forms, as they are spelt and as they sound."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = terms
        self._spelt: dict[tuple[str, ...], set[int]] = defaultdict(set)
        self._heard: dict[tuple[str, ...], set[int]] = defaultdict(set)
        for number, term in enumerate(terms):
            for form in (term.text, *term.variants):
                words = [fold(word) for word in _word().findall(form)]
                if 0 < len(words) <= _MAX_WORDS:
                    self._spelt[tuple(words)].add(number)
                    sounds = tuple(map(key, words))
                    if all(len(sound) >= _MIN_SOUNDS for sound in sounds):
                        self._heard[sounds].add(number)

    def named(self, cue: Cue) -> set[int]:
        """Numbers of the terms that the cue names."""
        found: set[int] = set()
        for first in range(len(cue.tokens)):
            for last in range(first, min(first + _MAX_WORDS, len(cue.tokens))):
                if last > first and not cue.tokens[last].close:
                    break
                span = cue.tokens[first : last + 1]
                found.update(number for number in self._of([t.spelling for t in span]) if self._meant(number, span))
        if cue.speaker:
            found.update(self._spelt.get(tuple(fold(word) for word in cue.speaker.split()), ()))
        return found

    def knows(self, words: Sequence[str]) -> bool:
        """Whether a term is called so, or sounds so."""
        return tuple(words) in self._spelt or tuple(map(key, words)) in self._heard

    def _of(self, words: Sequence[str]) -> set[int]:
        sounds = tuple(map(key, words))
        # In one script the spelling says more, unless the name is long: Jaydev is Jaidev.
        alike = script_of(words[0]) != LATIN or min(map(len, sounds)) >= _CLEAR_SOUNDS
        return self._spelt.get(tuple(words), set()) | (self._heard.get(sounds, set()) if alike else set())

    def _meant(self, number: int, span: Sequence[Token]) -> bool:
        """Whether the words are the name: where there are capitals it has one, and not only as the first of its sentence when risky."""
        if script_of(span[0].text) != LATIN or self._terms[number].text.islower():
            return True
        risky = {fold(word) for word in self._terms[number].risky}
        return all(token.capital for token in span) and not (len(span) == 1 and span[0].first and span[0].spelling in risky)


def _runs(track: Track, is_common: Callable[[str], bool]) -> Iterator[str]:
    """Names as they stand: words in a row that are names, by how they are written throughout the track."""
    within: Counter[str] = Counter()
    small: Counter[str] = Counter()
    for cue in track.cues:
        for token in cue.tokens:
            within[token.spelling] += token.capital and not token.first
            small[token.spelling] += token.text[:1].islower()

    def is_name(token: Token) -> bool:
        word = token.spelling
        if not token.capital or word in CALENDAR or sum(c.isalpha() for c in word) < _MIN_LETTERS:
            return False
        return word in HONORIFICS or (within[word] > 4 * small[word] and not is_common(word))

    for cue in track.cues:
        for named, group in groupby(_rows(cue.tokens, is_name), key=lambda pair: pair[1]):
            run = [token for token, _ in group]
            if named and len(run) <= _MAX_WORDS and any(token.spelling not in HONORIFICS for token in run):
                yield " ".join(_without_possessive(token.text) for token in run)


def _rows(tokens: Sequence[Token], is_name: Callable[[Token], bool]) -> Iterator[tuple[Token, int]]:
    """Each word with the number of the name it belongs to, 0 where it is none."""
    number = 0
    inside = False
    for token in tokens:
        named = is_name(token)
        if named and not (inside and token.close):
            number += 1
        inside = named
        yield token, number if named else 0


def _without_possessive(word: str) -> str:
    return word[:-2] if word[-2:].casefold() in ("'s", "’s") else word


def _cue(start: float, end: float, text: str) -> Cue:
    import regex

    # What is in brackets is not said: (door opens), [MUSIC].
    lines = [regex.sub(r"\([^()]*\)|\[[^\[\]]*\]", " ", line).strip(" -–—♪#") for line in text.splitlines()]
    labels = [found[1] for line in lines if (found := regex.match(_LABEL, line))]
    said = " ".join(regex.sub(_LABEL, "", line) for line in lines).strip()
    speaker = " ".join(word.capitalize() for word in labels[0].split()) if labels else None
    return Cue(start, end, said, tuple(_tokens(said)), speaker)


def _tokens(text: str) -> Iterator[Token]:
    before, end = "", 0
    for found in _word().finditer(text):
        between = text[end : found.start()]
        if before.casefold() in HONORIFICS:
            between = between.removeprefix(".")  # "Dr. Mehta"
        yield Token(found[0], not end or any(c in _SENTENCE_ENDS for c in between), bool(end) and not between.strip())
        before, end = found[0], found.end()


@cache
def _word() -> Any:
    """Letters with their marks, which \\w leaves out of Indian words; hyphens and apostrophes inside."""
    import regex

    return regex.compile(r"[\p{L}\p{N}][\p{L}\p{M}\p{N}]*(?:['’-][\p{L}\p{N}][\p{L}\p{M}\p{N}]*)*")


def _encoding(content: bytes) -> str:
    return "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
