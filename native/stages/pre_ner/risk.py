"""Names that are also common words, or sound like one (Hope, Khan and can, Jai and jay), after wordfreq's list of the language."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from statistics import median

from pre_ner.scripts import LATIN, key, script_of

ENGLISH = "en"
_NEED_A_SEGMENTER = frozenset({"zh", "ja", "ko"})  # wordfreq wants MeCab or jieba for these
# Zipf scale: 3 is once in a million words, 6 once in a thousand.
_COMMON = 3.5
_COMMON_ALONE = 4.5  # in scripts where no other list tells names from words
_COMMON_SOUND = 4.3
_EVERYDAY = 4.8
_SHORT_LIST = 3.0  # short lists end there
# A name is as common in other languages, a word is not: of 80 names 8 stand out by more than this (Smith, Singh), of 112 names that are
# words 84 do (Hope, Rose; not Jack, Taylor).
_OTHERS = ("de", "en", "es", "fr", "it", "nl", "pl", "pt", "sv")
_OWN = 0.55
_MANY = 20_000  # words down to a Zipf frequency of about 4


class CommonWords:
    """What people say in one language."""

    def __init__(self, language: str) -> None:
        self._language = language

    def zipf(self, word: str) -> float:
        """Zipf frequency; 0 is never seen."""
        from wordfreq import zipf_frequency

        return zipf_frequency(word, self._language)

    def same_word(self, word: str) -> str | None:
        """`word` as a common word of the language; None when it is none, or a name there too."""
        from wordfreq import zipf_frequency

        if script_of(word) != self._script:
            return None
        plain = word.casefold()
        own = self.zipf(plain)
        if script_of(word) != LATIN:
            return plain if own >= _COMMON_ALONE else None
        others = [max(_SHORT_LIST, zipf_frequency(plain, code, "small")) for code in _OTHERS if code != self._language]
        return plain if own >= max(_COMMON, median(others) + _OWN) else None

    def same_sound(self, word: str) -> str | None:
        """The most common other word of the same script that sounds like `word`; it may be another name (Jai, Jay)."""
        found = self._by_sound.get(key(word), ()) if script_of(word) == self._script else ()
        return next((other for other in found if other != word.casefold()), None)

    @cached_property
    def _script(self) -> str:
        """That of its most common word; a Hindi list holds some Latin words, which are names mostly."""
        from wordfreq import top_n_list

        return script_of(top_n_list(self._language, 1)[0])

    @cached_property
    def _by_sound(self) -> dict[str, list[str]]:
        from wordfreq import top_n_list

        found: dict[str, list[str]] = {}
        for word in top_n_list(self._language, _MANY):
            if self.zipf(word) < _COMMON_SOUND:
                break
            if len(word) > 1 and script_of(word) == self._script and (sound := key(word)):
                found.setdefault(sound, []).append(word)
        return found


def lists(languages: Iterable[str]) -> list[CommonWords]:
    """The lists there are of `languages`, and the English one: every language mixes English in, and subtitles may be in English."""
    from wordfreq import available_languages

    wanted = dict.fromkeys([*languages, ENGLISH])
    return [CommonWords(code) for code in wanted if code in available_languages("best") and code not in _NEED_A_SEGMENTER]


def is_everyday(word: str, common: list[CommonWords]) -> bool:
    """Whether a word is so common (God, English, Christmas) that a capital makes it no name of this movie."""
    return any(words.zipf(word) >= _EVERYDAY and words.same_word(word) for words in common)


def risky(words: Iterable[str], common: list[CommonWords]) -> dict[str, str]:
    """Those of `words` that are common words or sound like one, each with the common word."""
    found = ((word, _as_common(word, common)) for word in dict.fromkeys(words))
    return {word: other for word, other in found if other}


def _as_common(word: str, common: list[CommonWords]) -> str | None:
    same = (other for words in common if (other := words.same_word(word)))
    alike = (other for words in common if (other := words.same_sound(word)))
    return next(same, None) or next(alike, None)
