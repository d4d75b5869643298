"""Whether a heard word (or two) is a name of the glossary, spelt wrong: one function, one table of weights, one threshold.

A right word made wrong is worse than a name left wrong, so guards come first and each has a name; only what passes all of them
is scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.distance import OSA, Levenshtein

from post_ner.frequency import Zipf
from post_ner.targets import Target

# Each feature is 0 to 1, `case` -1 to 1. Spelling and sound decide; the others tip the scale.
WEIGHTS = {
    "spelling": 0.55,  # letters in common (optimal string alignment)
    "sound": 0.25,  # phonetic codes in common
    "rarity": 0.10,  # the heard word is no word that people use
    "doubt": 0.05,  # the recogniser was unsure
    "weight": 0.05,  # the glossary finds the name important
    "case": 0.05,  # written like a name, where the transcript uses capitals at all
}
# Set by hand: over long prose without the names, nothing but other people's names may reach it, while most of what a recogniser
# could write for a name does. To be set anew when it is measured on speech.
THRESHOLD = 0.75
MARGIN = 0.04  # two names this close in score: nobody knows which, so neither

# A word that people use is not a name spelt wrong. How much use is too much depends on how it was written: as a name; where nothing
# can be told from case (the first of a sentence, a transcript without capitals); as an ordinary word.
COMMON_ZIPF = {1: 2.7, 0: 2.0, -1: 1.5}
CONTENT_ZIPF = 5.0  # above: he, the, would, go … which no name is made of
NON_WORD_ZIPF = 2.0
RARE_ZIPF = 3.0
CLEAR_SPELLING = 0.8
SAME_SOUND = 0.9
SIMILAR_SOUND = 0.8
MIN_FUZZY_LETTERS = 4
MIN_JOINED_LETTERS = 6  # of two real words
_ENDINGS = ("s", "es", "n", "an", "ian", "ians", "ish", "er", "ers", "ese", "i", "is", "ed", "ing", "ly", "y")
_PLURALS = ("s", "es", "ians")


@dataclass(frozen=True)
class Heard:
    """One word, or two in a row, as the recogniser wrote them. `keys`: folded; `probability`: None where unknown."""

    keys: tuple[str, ...]
    probability: float | None
    case: int

    @property
    def key(self) -> str:
        """All letters."""
        return "".join(self.keys)


@dataclass(frozen=True)
class Decision:
    """`rule` is what allowed or forbade it; `scores` is every feature and their sum, empty when a guard forbade."""

    accepted: bool
    rule: str
    scores: dict[str, float]

    @property
    def score(self) -> float:
        """The weighted sum."""
        return self.scores.get("score", 0.0)


def worth_trying(key: str, zipf: Zipf) -> bool:
    """Whether some target might be accepted for `key`; a quick look before anything is compared."""
    return len(key) >= MIN_FUZZY_LETTERS and not _has_digit(key) and zipf(key) < max(COMMON_ZIPF.values())


def decide(heard: Heard, target: Target, zipf: Zipf) -> Decision:
    """Whether `heard` is `target`."""
    refused = guard(heard, target, zipf)
    if refused:
        return Decision(False, refused, {})
    features = {
        "spelling": OSA.normalized_similarity(heard.key, target.key),
        "sound": sound(heard.key, target.key),
        "rarity": 1 - min(1.0, zipf(heard.key) / RARE_ZIPF),
        "doubt": 0.5 if heard.probability is None else 1 - heard.probability,
        "weight": target.term.weight,
        "case": float(heard.case),
    }
    score = sum(WEIGHTS[name] * value for name, value in features.items())
    rule = "joined" if len(heard.keys) > 1 else "split" if len(target.words) > 1 else "spelling"
    return Decision(score >= THRESHOLD, rule, {**features, "score": score})


def guard(heard: Heard, target: Target, zipf: Zipf) -> str | None:
    """Why `heard` must not become `target`, whatever they score; None when nothing speaks against it."""
    if _has_digit(heard.key):
        return "number"
    if min(len(heard.key), len(target.key)) < MIN_FUZZY_LETTERS:
        return "too short"
    if heard.key != target.key and zipf(heard.key) >= COMMON_ZIPF[heard.case]:
        return "common word"
    if OSA.distance(heard.key, target.key) > _edits_allowed(heard.key, target.key):
        return "too different"
    if _inflected(heard.key, target.key, zipf):
        return "inflected"
    if _another_word(heard.key, target.key, zipf):
        return "another word"
    return _guard_join(heard, target, zipf) if len(heard.keys) > 1 else None


def _has_digit(key: str) -> bool:
    return any(letter.isdigit() for letter in key)


def _edits_allowed(heard: str, target: str) -> int:
    """One edit in a short name, two in a middling one, three in a long one; one more (ee for i) where it sounds the same."""
    letters = min(len(heard), len(target))
    edits = 1 if letters <= 5 else 2 if letters <= 8 else 3
    return edits + (letters >= 5 and sound(heard, target) == 1)


def _inflected(heard: str, target: str, zipf: Zipf) -> bool:
    """Whether `heard` is the target with an ending: Khans, Indian, Londoner are words of their own."""
    ending = heard[len(target) :]
    return heard.startswith(target) and ending in (_ENDINGS if zipf(heard) > 0 else _PLURALS)


def _another_word(heard: str, target: str, zipf: Zipf) -> bool:
    """Whether `heard` begins otherwise, or is in use and sounds otherwise: Simran is not Imran, Cassian not Caspian."""
    codes = zip(_codes(heard), _codes(target), strict=True)
    if all(_initial(a) != _initial(b) for a, b in codes):
        return True
    return zipf(heard) >= NON_WORD_ZIPF and sound(heard, target) < SIMILAR_SOUND


def _initial(code: str) -> str:
    """The first sound of a phonetic code; one vowel is as good as another, and few ears tell Vikram from Wikram."""
    return "A" if code[:1] in "AEIOUY" else code[:1].replace("W", "V")


def _guard_join(heard: Heard, target: Target, zipf: Zipf) -> str | None:
    """Two words become one name only when they do so clearly, and neither is that name without the other."""
    if len(target.words) > 1:
        return "two words already"
    together = OSA.normalized_similarity(heard.key, target.key)
    if max(OSA.normalized_similarity(key, target.key) for key in heard.keys) >= together:
        return "one of them is nearer"
    everyday = any(zipf(key) >= CONTENT_ZIPF for key in heard.keys)
    if min(zipf(key) for key in heard.keys) < NON_WORD_ZIPF:
        return "common word" if everyday and together < CLEAR_SPELLING else None
    if everyday:
        return "common word"
    if len(heard.key) < MIN_JOINED_LETTERS or sound(heard.key, target.key) < SAME_SOUND:
        return "two real words"
    return None


@lru_cache(maxsize=1 << 16)
def sound(one: str, other: str) -> float:
    """How alike two folded words sound, 0 to 1: the mean over two phonetic codes; outside the Latin script, the spelling."""
    codes = zip(_codes(one), _codes(other), strict=True)
    return sum(Levenshtein.normalized_similarity(a, b) for a, b in codes) / 2


@lru_cache(maxsize=1 << 14)
def _codes(word: str) -> tuple[str, str]:
    """Metaphone keeps consonants alone, NYSIIS also where vowels stand: together they tell Anita from Amita and Sean from Shaw."""
    if not word.isascii():
        return word, word
    import jellyfish

    return jellyfish.metaphone(word), jellyfish.nysiis(word)
