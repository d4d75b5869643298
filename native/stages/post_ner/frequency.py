"""How common a word is, after the word lists of wordfreq: a word that people use is not a name spelt wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

Zipf = Callable[[str], float]  # Zipf scale: 3 is once in a million words, 6 once in a thousand; 0 is never seen

_NEED_A_SEGMENTER = frozenset({"zh", "ja", "ko"})  # wordfreq wants MeCab or jieba for these


def listed(language: str) -> bool:
    """Whether there is a word list of `language`."""
    from wordfreq import available_languages

    return language in available_languages("best") and language not in _NEED_A_SEGMENTER


def zipf(language: str) -> Zipf:
    """Zipf frequency of a word in `language` or in English, whichever is higher: movies of any language mix English in."""
    from wordfreq import zipf_frequency

    languages = ["en", language] if language != "en" and listed(language) else ["en"]

    @cache
    def frequency(word: str) -> float:
        return max(zipf_frequency(word, code) for code in languages)

    return frequency
