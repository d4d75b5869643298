"""WER and CER, after what the language counts as the same."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Callable
from functools import cache

import jiwer
import regex

from reelscribe.evaluate.made import Made
from reelscribe.evaluate.references import Reference
from reelscribe.evaluate.score import Score, percent
from reelscribe.languages import joiner

# Whisper's own basic normalizer takes vowel signs, which are marks, for punctuation: everything but letters, marks and digits goes here.
_NO_WORD = regex.compile(r"[^\p{L}\p{M}\p{N}]+")
_APOSTROPHE = re.compile(r"(?<=\w)['’](?=\w)")
_NUKTA, _JOINERS = "\u093c", re.compile("[\u200c\u200d]")
_DEVANAGARI = frozenset({"hi", "mr", "ne", "sa", "kok", "mai", "bho"})


def normalizer(language: str) -> Callable[[str], str]:
    """What makes two ways of writing the same words equal."""
    if language == "en":
        return _english()
    return _devanagari if language in _DEVANAGARI else _plain


@cache
def _english() -> Callable[[str], str]:
    """OpenAI's rules, with which Whisper's own scores are made: contractions, numbers, British spelling, "uh", no punctuation."""
    # Its source has escapes that Python warns about when it compiles them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from whisper_normalizer.english import EnglishTextNormalizer

    rules: Callable[[str], str] = EnglishTextNormalizer()
    return lambda text: " ".join(rules(text).split())


def _plain(text: str) -> str:
    """One case, no punctuation, digits of any script as 0-9; accents stay. An apostrophe in a word joins it: l'ami, lami."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    return " ".join(_NO_WORD.sub(" ", _APOSTROPHE.sub("", text)).split())


def _devanagari(text: str) -> str:
    """Also without the nukta, which half of the writers leave out, and without invisible joiners."""
    bare = unicodedata.normalize("NFD", _JOINERS.sub("", text)).replace(_NUKTA, "")
    return _plain(bare)


def scores(made: Made, reference: Reference, language: str) -> list[Score]:
    """WER (not where words have no spaces between them) and CER over the whole text."""
    assert made.transcript
    normalize = normalizer(language)
    said = normalize(" ".join(piece.text for piece in reference.pieces))
    heard = normalize(" ".join(segment.text for segment in made.transcript.segments))
    if not said:
        return []
    found = []
    if joiner(language):
        words = jiwer.process_words(said, heard)
        errors = words.substitutions + words.deletions + words.insertions
        kinds = {"substitutions": words.substitutions, "deletions": words.deletions, "insertions": words.insertions}
        of = f"{len(said.split())} words: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}"
        found.append(percent("wer", "WER", errors, words.hits + words.substitutions + words.deletions, of, language=language, **kinds))
    else:
        said, heard = said.replace(" ", ""), heard.replace(" ", "")
    characters = jiwer.process_characters(said, heard)
    wrong = characters.substitutions + characters.deletions + characters.insertions
    return [*found, percent("cer", "CER", wrong, len(said), f"{len(said)} characters", language=language)]
