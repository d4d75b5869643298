"""What is wrong with a decoded text. A verdict is a name; a text without one passes.

Limits that Whisper has are Whisper's own: https://github.com/openai/whisper/blob/main/whisper/transcribe.py
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from reelscribe.schemas import Segment, Span

MAX_COMPRESSION = 2.4
MIN_LOGPROB = -1.0
MAX_NO_SPEECH = 0.6
# The fastest speakers reach 30; music and noise give more, when a decoder rambles on a moment of speech.
MAX_LETTERS_PER_S = 40.0
_LEAST_S = 0.5
# A phrase of n words is heard so often in a row only from a decoder in a loop.
_MAX_REPEATS = {1: 5, 2: 4, 3: 3}
_LONGEST_PHRASE = 12
# Words this far from speech are outside it: detectors and word times are off by less.
_MARGIN_S = 0.5
# Speech so long is not without a word.
_SILENT_S = 2.0
# Slow talk has twice as many, its short pauses included.
_MIN_LETTERS_PER_S = 5.0
# About these another temperature changes nothing: silence that was taken for speech, music that was.
FINAL = frozenset({"no-speech", "nothing heard"})
# Of a single segment this is said more often of a wrong end than of wrong words, and alignment mends it: it is marked, and the rest of the
# window not decoded by chance for it.
MARK_ONLY = frozenset({"too fast"})


def of_text(text: str, logprob: float, no_speech: float, speech: Sequence[Span]) -> list[str]:
    """What is wrong with all of a window's text. logprob: mean of its tokens; no_speech: a probability; speech: in the window."""
    if not text:
        return ["nothing heard"] if no_speech <= MAX_NO_SPEECH and sum(s.end - s.start for s in speech) >= _SILENT_S else []
    if no_speech > MAX_NO_SPEECH and logprob < MIN_LOGPROB:
        return ["no-speech"]
    checks = {
        "repetitive": compression_ratio(text) > MAX_COMPRESSION,
        "loop": loops(text),
        "unsure": logprob < MIN_LOGPROB,
        "too fast": letters_per_s(text, speech) > MAX_LETTERS_PER_S,
    }
    return [name for name, failed in checks.items() if failed]


def of_segment(segment: Segment, speech: Sequence[Span]) -> list[str]:
    """What is wrong with one of its segments."""
    checks = {
        "too fast": letters_per_s(segment.text, [segment]) > MAX_LETTERS_PER_S,
        "outside speech": outside(segment, speech),
    }
    return [name for name, failed in checks.items() if failed]


def lost(segments: Sequence[Segment], speech: Sequence[Span]) -> bool:
    """Whether talk before the end of the last segment was left out: speech between segments, or far too few letters for the speech.

    That is how a decoder fails whose prompt misleads it. Slow talk, and music that was taken for speech, look the same: worth another try,
    no verdict.
    """
    if not segments:
        return False
    end = segments[-1].end
    heard = [Span(start=s.start, end=min(s.end, end)) for s in speech if s.start < end]
    if longest_gap(segments, heard) >= _SILENT_S:
        return True
    seconds = sum(s.end - s.start for s in heard)
    return seconds >= _SILENT_S and letters_per_s(" ".join(s.text for s in segments), heard) < _MIN_LETTERS_PER_S


def longest_gap(segments: Sequence[Segment], speech: Sequence[Span]) -> float:
    """The longest stretch of speech in a row, in seconds, that lies in no segment."""
    longest = 0.0
    for span in speech:
        at = span.start
        for segment in segments:
            if segment.end > at and segment.start < span.end:
                longest = max(longest, segment.start - at)
                at = segment.end
        longest = max(longest, span.end - at)
    return longest


def compression_ratio(text: str) -> float:
    """How much shorter zlib makes the text: 1 to 2 for talk.

    A letter is one byte in any script. In UTF-8 one of Devanagari is three of which two are always the same, and any talk repetitive.
    """
    numbers: dict[str, int] = {}
    content = bytes(numbers.setdefault(letter, len(numbers) % 256) for letter in text)
    return len(content) / len(zlib.compress(content))


def loops(text: str) -> bool:
    """Whether a phrase is repeated as nobody does."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return any(_repeats(words, length) >= _MAX_REPEATS.get(length, 3) for length in range(1, _LONGEST_PHRASE + 1))


def _repeats(words: Sequence[str], length: int) -> int:
    """The most times in a row that some phrase of `length` words is there."""
    same = best = 0
    for at in range(length, len(words)):
        same = same + 1 if words[at] == words[at - length] else 0
        best = max(best, same // length + 1)
    return best


def letters_per_s(text: str, speech: Sequence[Span]) -> float:
    """Letters and digits for a second of `speech`."""
    return letters(text) / max(_LEAST_S, sum(s.end - s.start for s in speech))


def letters(text: str) -> int:
    """Letters and digits."""
    return sum(c.isalnum() for c in text)


def outside(segment: Segment, speech: Sequence[Span]) -> bool:
    """Whether most of its words lie where nobody speaks."""
    away = [w for w in segment.words if not any(w.start < s.end + _MARGIN_S and w.end > s.start - _MARGIN_S for s in speech)]
    return len(away) * 2 > len(segment.words)
