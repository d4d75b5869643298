"""How common a word is, after the word lists of wordfreq: a word that people use is not a name spelt wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

Zipf = Callable[[str], float]  # Zipf scale: 3 is once in a million words, 6 once in a thousand; 0 is never seen

_SHORT_LIST_ZIPF = 1.5
_NEED_A_SEGMENTER = frozenset({"zh", "ja", "ko"})  # wordfreq wants MeCab or jieba for these


def listed(language: str) -> bool:
    """Whether there is a word list of `language`."""
    from wordfreq import available_languages

    return language in available_languages("best") and language not in _NEED_A_SEGMENTER


def zipf(language: str) -> Zipf:
    """Zipf frequency of a word in `language` or in English, whichever is higher: movies of any language mix English in.

    Of many languages only the words above 3 are listed, or none: there, any other word is taken to be in use now and then.
    """
    from wordfreq import available_languages, zipf_frequency

    languages = ["en", language] if language != "en" and listed(language) else ["en"]
    least = 0.0 if language in available_languages("large") else _SHORT_LIST_ZIPF

    @cache
    def frequency(word: str) -> float:
        return max(least, *(zipf_frequency(word, code) for code in languages))

    return frequency
