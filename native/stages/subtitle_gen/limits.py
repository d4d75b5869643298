"""The numbers a cue has to keep: Netflix's timed text style guides.

https://partnerhelp.netflixstudios.com/hc/en-us/articles/215758617 (general), …/217350977 (English)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

DEFAULT_FPS = Fraction(24)
_CHARS = {"ja": 13, "ko": 16, "zh": 16, "yue": 16, "th": 35}
_CPS = {"en": 20, "hi": 22, "ar": 20, "ko": 12, "zh": 9, "yue": 9, "ja": 4}


@dataclass(frozen=True)
class Limits:
    """`max_chars`: of a line, in graphemes. `cps`: characters a second that an adult reads. `tail_ms`: how long a cue may outlast
    the speech. `gap_ms`: the least between two cues; gaps under `chain_ms` are closed to it. `dash`: before each of two speakers.
    """

    max_chars: int = 42
    cps: float = 17
    min_ms: int = 834  # 5/6 s
    max_ms: int = 7000
    tail_ms: int = 500
    chain_ms: int = 500
    gap_ms: int = 84
    dash: str = "-"


def for_movie(language: str, fps: str | None) -> Limits:
    """The limits for subtitles in `language` (ISO 639 code) of a movie with `fps` pictures a second, a fraction in text."""
    gap_ms = math.ceil(2 * 1000 / parse_fps(fps))
    return Limits(max_chars=_CHARS.get(language, Limits.max_chars), cps=_CPS.get(language, Limits.cps), gap_ms=gap_ms)


def parse_fps(fps: str | None) -> Fraction:
    """`fps` as a number; 24 where it is unknown or, as a variable rate's time base can be, no rate of pictures at all."""
    try:
        rate = Fraction(fps or DEFAULT_FPS)
    except (ValueError, ZeroDivisionError):
        return DEFAULT_FPS
    return rate if 10 <= rate <= 120 else DEFAULT_FPS
