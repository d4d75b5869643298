"""How common a word is, after the word lists of wordfreq, and whether it is a name: a word that people use is not a name spelt wrong."""

from __future__ import annotations

from functools import cache
from statistics import median

_SHORT_LIST_ZIPF = 1.5
_NEED_A_SEGMENTER = frozenset({"zh", "ja", "ko"})  # wordfreq wants MeCab or jieba for these
# Languages of one script whose speakers write foreign names as they are.
_ELSEWHERE = ("de", "en", "es", "fr", "it", "nl", "pl", "pt", "sv")
_AS_COMMON_ELSEWHERE = 0.45


def listed(language: str) -> bool:
    """Whether there is a word list of `language`."""
    from wordfreq import available_languages

    return language in available_languages("best") and language not in _NEED_A_SEGMENTER


class Usage:
    """How people use words in `language`."""

    def __init__(self, language: str) -> None:
        from wordfreq import available_languages

        self._languages = ["en", language] if language != "en" and listed(language) else ["en"]
        self._own = language if listed(language) else "en"
        # Of many languages only the words above 3 are listed, or none: there, any other word is taken to be in use now and then.
        self._least = 0.0 if language in available_languages("large") else _SHORT_LIST_ZIPF
        self.zipf = cache(self._zipf)
        self.is_name = cache(self._is_name)

    def _zipf(self, word: str) -> float:
        """Zipf scale (3 is once in a million words, 6 once in a thousand, 0 never seen), in the language or in English.

        The higher of both: movies of any language mix English in.
        """
        from wordfreq import zipf_frequency

        return max(self._least, *(zipf_frequency(word, code) for code in self._languages))

    def _is_name(self, word: str) -> bool:
        """Whether `word` is as common in other languages as in this one, which names are and other words are not.

        Steven, Catherine and Jay are (half of the other languages within 0.45), mark, penny, will and station are not. A few words that
        all the world shares, such as hotel, pass too.
        """
        from wordfreq import zipf_frequency

        own = zipf_frequency(word, self._own)
        elsewhere = (zipf_frequency(word, code, "small") for code in _ELSEWHERE if code != self._own)
        return own > 0 and median(elsewhere) - own >= -_AS_COMMON_ELSEWHERE
