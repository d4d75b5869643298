"""The words to be shown, one after the other, in ticks: what may not be parted is one, so scripts without spaces come in characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import regex

from reelscribe.languages import joiner
from reelscribe.schemas import Segment, Word
from subtitle_gen.limits import Limits

STEP_MS = 20  # no two words start closer, nor in one frame: what a decoder puts on one moment is drawn apart
# What is never torn in a script without spaces: a Latin word, a number, else what a reader sees as one character.
_UNITS = regex.compile(r"[\p{Latin}\p{N}](?:[\p{Latin}\p{N}\p{M}'’.,:%-]*[\p{Latin}\p{N}\p{M}%])?|\X")
# Of terminals, which no viewer sees, and what would turn the rest of a line around (embeddings, overrides, isolates; not LRM and RLM).
_CONTROLS = regex.compile(r"[^\P{Cc}\s]|\p{Cs}|[\u202a-\u202e\u2066-\u2069]")
_SPACED = regex.compile(r"[\p{Latin}\p{Cyrillic}\p{Greek}\p{Arabic}\p{Hebrew}\p{Devanagari}\p{Hangul}\p{N}]")


@dataclass(frozen=True)
class Spoken:
    """A word as it is shown, from the tick `start` to `end`. `length`: as Limits counts. `space`: whether one stands before it.

    `speaker`: the voice's name; None where nobody knows. `opens`: whether it begins a segment of the transcript. `number`: of the
    transcript's word, counted through its segments. `language`: of its segment. `marks`: what is doubtful about that.
    """

    text: str
    start: int
    end: int
    length: float
    space: bool
    speaker: str | None
    opens: bool
    number: int
    language: str
    marks: tuple[str, ...] = ()


def graphemes(text: str) -> list[str]:
    """The characters a reader sees: a Devanagari syllable or a flag is one."""
    return list(text) if text.isascii() else regex.findall(r"\X", text)


def measured(text: str, *, wide: bool) -> float:
    """How long `text` is: in characters, or, where `wide`, in full-width ones."""
    if not wide:
        return len(graphemes(text))
    return sum(1.0 if unicodedata.east_asian_width(character[0]) in "WF" else 0.5 for character in graphemes(text))


def spoken(
    segments: Sequence[Segment], names: Mapping[str, str], language: str, limits: Limits, *, hidden: Collection[int] = ()
) -> list[Spoken]:
    """The words in order; each starts after the one before and ends before the next one starts.

    names: of speakers, by label. language: of segments that name none. hidden: ids of segments that are left out.
    """
    step = max(1, limits.clock.floor(STEP_MS))
    found: list[Spoken] = []
    earliest = 0
    for segment, first in sorted(zip(segments, _counted(segments), strict=True), key=lambda pair: pair[0].start):
        tongue, opens = segment.language or language, True
        for number, word in enumerate(() if segment.id in hidden else _timed(segment), first):
            for text, start_ms, end_ms in _units(word, segment, tongue):
                start = max(earliest, limits.clock.floor(start_ms))
                end = max(start + 1, limits.clock.ceil(end_ms))
                space = _is_spaced(found[-1] if found else None, text, tongue, number, opens)
                speaker, length = names.get(word.speaker or ""), measured(text, wide=limits.wide)
                marks = tuple(segment.marks)
                found.append(Spoken(text, start, end, length, space, speaker, opens, number, tongue, marks))
                earliest, opens = start + step, False
    return [_ended(word, following) for word, following in zip_longest(found, found[1:])]


def ended(words: Sequence[Spoken], end: int | None) -> list[Spoken]:
    """The words; those that the movie's end (a tick, where it is known) cuts through go with it. None is lost, however late it starts."""
    return [replace(word, end=max(word.start + 1, end)) if end is not None and word.end > end else word for word in words]


def _counted(segments: Sequence[Segment]) -> Iterator[int]:
    """The number of each segment's first word."""
    number = 0
    for segment in segments:
        yield number
        number += len(segment.words)


def _units(word: Word, segment: Segment, language: str) -> Iterator[tuple[str, int, int]]:
    """(text, start_ms, end_ms) of what may stand at the end of a line: the word, or, in a script without spaces, its characters."""
    text = " ".join(_CONTROLS.sub("", word.word).split())
    units = [text] if joiner(language) else regex.findall(_UNITS, text.replace(" ", ""))
    start = round(1000 * min(max(word.start, segment.start), segment.end))
    length = max(0, round(1000 * min(word.end, segment.end)) - start)
    for number, unit in enumerate(units if text else ()):
        yield unit, start + length * number // len(units), start + length * (number + 1) // len(units)


def _is_spaced(before: Spoken | None, text: str, language: str, number: int, opens: bool) -> bool:
    """Whether a space parts `text` from the word before: in scripts without spaces only Latin words, and sentences without a full stop."""
    if before is None or joiner(language):
        return before is not None
    if opens:
        return unicodedata.category(before.text[-1])[0] != "P"
    return number != before.number and bool(_SPACED.match(text) and _SPACED.match(before.text[-1]))


def _ended(word: Spoken, following: Spoken | None) -> Spoken:
    """`word` without what it shares with the next one."""
    if following is None or word.end <= following.start:
        return word
    return replace(word, end=following.start)


def _timed(segment: Segment) -> Iterator[Word]:
    """The segment's words; where it has none, those of its text, each with a share of the time by its length."""
    if segment.words:
        yield from segment.words
        return
    words = segment.text.split()
    letters = sum(map(len, words))
    position = 0
    for text in words:
        edges = [segment.start + (segment.end - segment.start) * n / letters for n in (position, position + len(text))]
        yield Word(word=text, start=edges[0], end=edges[1], speaker=segment.speaker)
        position += len(text)
