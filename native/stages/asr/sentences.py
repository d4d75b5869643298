"""Words without case or punctuation, as PocketSphinx gives them, made readable."""

from __future__ import annotations

from collections.abc import Sequence

from reelscribe.schemas import Segment, Word

# A pause this long ends a sentence: within one, readers and actors pause for less.
PAUSE_S = 0.5


def to_segments(words: Sequence[Word], window: int) -> list[Segment]:
    """`words` in segments that end at pauses.

    Each begins with a capital and ends with a full stop. That is a guess from the pauses alone: the recognizer hears no punctuation.
    """
    groups: list[list[Word]] = []
    for word in words:
        if groups and word.start - groups[-1][-1].end < PAUSE_S:
            groups[-1].append(word)
        else:
            groups.append([word])
    return [_segment(number, group, window) for number, group in enumerate(groups)]


def _segment(number: int, words: list[Word], window: int) -> Segment:
    written = [_cased(word.word) for word in words]
    written[0] = written[0][:1].upper() + written[0][1:]
    written[-1] += "."
    spelt = [word.model_copy(update={"word": text}) for word, text in zip(words, written, strict=True)]
    return Segment(id=number, start=words[0].start, end=words[-1].end, text=" ".join(written), words=spelt, window=window, language="en")


def _cased(word: str) -> str:
    """`word`, with the one pronoun that English capitalizes."""
    return "I" + word[1:] if word == "i" or word.startswith("i'") else word
