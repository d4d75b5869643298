"""The words to be shown, one after the other, in integer milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

import regex

from reelscribe.languages import joiner
from reelscribe.schemas import Segment, Speakers, Transcript, Word

STEP_MS = 20  # no two words start closer: what a decoder puts on one moment is drawn apart


@dataclass(frozen=True)
class Spoken:
    """A word as it is shown. `length`: in graphemes. `space`: whether a space parts it from the word before.

    `speaker`: the voice's name; None where nobody knows. `opens`: whether it begins a segment of the transcript.
    """

    text: str
    start_ms: int
    end_ms: int
    length: int
    space: bool
    speaker: str | None
    opens: bool


def graphemes(text: str) -> int:
    """How many characters a reader sees: a Devanagari syllable or a flag is one."""
    return len(text) if text.isascii() else len(regex.findall(r"\X", text))


def spoken(transcript: Transcript, speakers: Speakers, language: str) -> list[Spoken]:
    """The words, in `language`, in order; each starts at least STEP_MS after the one before and ends before the next one starts."""
    names = {speaker.label: speaker.name for speaker in speakers.speakers}
    space = joiner(language) != ""
    found: list[Spoken] = []
    earliest = 0
    for segment in sorted(transcript.segments, key=lambda s: s.start):
        opens = True
        for word in _timed(segment):
            text = " ".join(word.word.split())
            if not text:
                continue
            start = max(earliest, _ms(min(max(word.start, segment.start), segment.end)))
            end = max(start + STEP_MS, _ms(min(word.end, segment.end)))
            found.append(Spoken(text, start, end, graphemes(text), space, names.get(word.speaker or ""), opens))
            earliest, opens = start + STEP_MS, False
    return [_ended(word, following) for word, following in zip_longest(found, found[1:])]


def _ended(word: Spoken, following: Spoken | None) -> Spoken:
    """`word` without what it shares with the next one."""
    if following is None or word.end_ms <= following.start_ms:
        return word
    return replace(word, end_ms=following.start_ms)


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


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
