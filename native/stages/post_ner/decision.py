"""Whether heard words are a name of the glossary, spelt wrong: one function, one table of weights, one threshold.

A right word made wrong is worse than a name left wrong, so guards come first and each has a name; only what passes all of them
is scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from rapidfuzz.distance import OSA, Levenshtein

from post_ner.frequency import Usage
from post_ner.targets import Target
from reelscribe import sounds

# Spelling and sound decide; the others tip the scale. From spelling to weight 0 to 1, the others -1 to 1.
WEIGHTS = {
    "spelling": 0.45,  # letters in common (optimal string alignment)
    "sound": 0.38,  # phonetic codes in common
    "rarity": 0.07,  # what was heard is no word that people use, or is another spelling of a name that people bear
    "doubt": 0.05,  # the recogniser was unsure
    "weight": 0.05,  # the glossary finds the name important
    "case": 0.05,  # written like a name, where the transcript uses capitals at all
    "risky": -0.05,  # the name is a common word too, or sounds like one, and capitals do not help
    "company": 0.10,  # beside it is what goes with the name: Inspector, Jaidev
    "mentions": 0.05,  # the movie says the name elsewhere, or a subtitle track says it here
    "speaker": 0.05,  # whom it names talks before or after; against it: talks now
}
# tests/bench/correction.py --fit gives the weights of spelling, sound and rarity, and what every threshold mends and spoils; above this
# one names are lost faster than mistakes (docs/corrections.md has its table). The other weights are set by hand.
THRESHOLD = 0.70
MARGIN = 0.04  # two names this close in score: nobody knows which, so neither

# A word that people use is not a name spelt wrong. How much use is too much depends on how it was written: as a name; where nothing
# can be told from case (the first of a sentence, a transcript without capitals); as an ordinary word.
COMMON_ZIPF = {1: 2.7, 0: 2.0, -1: 1.5}
CONTENT_ZIPF = 5.0  # above: he, the, would, go … which no name is made of
NON_WORD_ZIPF = 2.0
RARE_ZIPF = 3.0
WRITTEN_ZIPF = 1.4  # somebody is called so: Vikrant, Rathod, Lorenza
SPOKEN_WEIGHT = 0.2  # below are actors and crew, whom nobody talks of
CLEAR_SPELLING = 0.8
SIMILAR_SOUND = 0.8
MIN_FUZZY_LETTERS = 4
MIN_JOINED_LETTERS = 6  # of real words
_ENDINGS = ("s", "es", "n", "an", "ian", "ians", "ish", "er", "ers", "ese", "i", "is", "ed", "ing", "ly", "y")
_PLURALS = ("s", "es", "ians")


@dataclass(frozen=True)
class Heard:
    """Words in a row, as the recogniser wrote them. `keys`: folded; `probability`: None where unknown.

    `case`: 1 as a name, -1 as an ordinary word, 0 where nobody can tell. `ordinary`: whether the words around it make it an ordinary
    word ("a blue jay", "mark the map").
    """

    keys: tuple[str, ...]
    probability: float | None
    case: int
    ordinary: bool = False
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", "".join(self.keys))


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


def decide(heard: Heard, target: Target, usage: Usage, support: Mapping[str, float]) -> Decision:
    """Whether `heard` is `target`. `support`: the features company, mentions and speaker."""
    refused = guard(heard, target, usage)
    if refused:
        return Decision(False, refused, {})
    features = {
        "spelling": OSA.normalized_similarity(heard.key, target.key),
        "sound": sound(heard.key, target.key),
        "rarity": rarity(heard.key, target.key, usage),
        "doubt": 0.5 if heard.probability is None else 1 - heard.probability,
        "weight": target.term.weight,
        "case": float(heard.case),
        "risky": float(target.risky and heard.case < 1),
        **support,
    }
    score = sum(WEIGHTS[name] * value for name, value in features.items())
    rule = "joined" if len(heard.keys) > 1 else "split" if len(target.words) > 1 else "spelling"
    return Decision(score >= THRESHOLD, rule, {**features, "score": score})


def may_join(zipfs: Sequence[float]) -> bool:
    """Whether words of such frequency in a row may be one name; most words in a row are none of a name's parts."""
    return min(zipfs) < NON_WORD_ZIPF or max(zipfs) < CONTENT_ZIPF


def worth_comparing(keys: tuple[str, ...], usage: Usage) -> bool:
    """Whether letters alone may make a name of the words; where not, only what sounds the same is looked at."""
    key = "".join(keys)
    if len(key) < MIN_FUZZY_LETTERS or _has_digit(key) or usage.zipf(key) >= max(COMMON_ZIPF.values()):
        return False
    return len(keys) == 1 or min(map(usage.zipf, keys)) < NON_WORD_ZIPF


def guard(heard: Heard, target: Target, usage: Usage) -> str | None:
    """Why `heard` must not become `target`, whatever they score; None when nothing speaks against it."""
    same = same_sound(heard.key, target.key)
    if _has_digit(heard.key):
        return "number"
    if min(len(heard.key), len(target.key)) < MIN_FUZZY_LETTERS and not same:
        return "too short"
    if _common(heard, target, usage, same=same):
        return "common word"
    if not same and OSA.distance(heard.key, target.key) > _edits_allowed(heard.key, target.key):
        return "too different"
    if _inflected(heard.key, target.key, usage):
        return "inflected"
    if _another_word(heard.key, target.key, usage):
        return "another word"
    return _guard_join(heard, target, usage, same=same) if len(heard.keys) > 1 else None


def _has_digit(key: str) -> bool:
    return any(letter.isdigit() for letter in key)


def _common(heard: Heard, target: Target, usage: Usage, *, same: bool) -> bool:
    """Whether people use what was heard; a name that people bear (Steven) may be another spelling of a character's (Stephen)."""
    if heard.key == target.key or usage.zipf(heard.key) < COMMON_ZIPF[heard.case]:
        return False
    borne = heard.case == 1 or (heard.case == 0 and usage.is_name(heard.key))
    return heard.ordinary or not (same and borne and target.term.weight >= SPOKEN_WEIGHT)


def _edits_allowed(heard: str, target: str) -> int:
    """One edit in a short name, two in a middling one, three in a long one; one more where it sounds nearly the same."""
    letters = min(len(heard), len(target))
    edits = 1 if letters <= 5 else 2 if letters <= 8 else 3
    return edits + (letters >= 5 and sound(heard, target) >= SIMILAR_SOUND)


def _inflected(heard: str, target: str, usage: Usage) -> bool:
    """Whether `heard` is the target with an ending, misspelt or not: Khans, Rathors, Indian, Londoner are words of their own."""
    if heard.endswith("s") and not target.endswith("s") and same_sound(heard[:-1], target) and not same_sound(heard, target):
        return True
    ending = heard[len(target) :]
    return heard.startswith(target) and ending in (_ENDINGS if usage.zipf(heard) > 0 else _PLURALS)


def _another_word(heard: str, target: str, usage: Usage) -> bool:
    """Whether `heard` begins otherwise, or is in use and sounds or ends otherwise: Simran is not Imran, Rathod not Rathore."""
    codes = zip(_codes(heard), _codes(target), strict=True)
    if all(_initial(a) != _initial(b) for a, b in codes):
        return True
    if usage.zipf(heard) < WRITTEN_ZIPF:
        return False
    return sound(heard, target) < SIMILAR_SOUND or _another_gender(heard, target)


def _another_gender(heard: str, target: str) -> bool:
    """Whether one of the two ends on a or o and the other does not: Giulia and Giulio, Manisha and Manish."""
    ends = [word[-1:] if word[-1:] in "ao" else "" for word in (heard, target)]
    return ends[0] != ends[1]


def _initial(code: str) -> str:
    """The first sound of a phonetic code; one vowel is as good as another, and few ears tell Vikram from Wikram."""
    first = code[:1].upper()
    return "A" if first in "AEIOUY" else first.replace("W", "V")


def _guard_join(heard: Heard, target: Target, usage: Usage, *, same: bool) -> str | None:
    """Several words become one name only when they do so clearly, and none of them is that name without the others."""
    if len(target.words) > 1:
        return "several words already"
    together = OSA.normalized_similarity(heard.key, target.key)
    if max(OSA.normalized_similarity(key, target.key) for key in heard.keys) >= together:
        return "one of them is nearer"
    zipfs = [usage.zipf(key) for key in heard.keys]
    if not may_join(zipfs):
        return "common word"
    if min(zipfs) < NON_WORD_ZIPF:
        return "common word" if max(zipfs) >= CONTENT_ZIPF and together < CLEAR_SPELLING else None
    return None if same and len(heard.key) >= MIN_JOINED_LETTERS else "real words"


def rarity(heard: str, target: str, usage: Usage) -> float:
    """1 for what nobody writes, down to 0 for a word of RARE_ZIPF; 1 for Steven, too, where Stephen is meant."""
    if usage.zipf(heard) >= NON_WORD_ZIPF and same_sound(heard, target) and usage.is_name(heard):
        return 1.0
    return 1 - min(1.0, usage.zipf(heard) / RARE_ZIPF)


@lru_cache(maxsize=1 << 16)
def sound(one: str, other: str) -> float:
    """How alike two folded words sound, 0 to 1: the mean over the phonetic codes."""
    codes = [Levenshtein.normalized_similarity(a, b) for a, b in zip(_codes(one), _codes(other), strict=True)]
    return sum(codes) / len(codes)


def same_sound(one: str, other: str) -> bool:
    """Whether hardly anybody could hear a difference: the same key, or the same consonants to English ears and nearly the same key.

    Nearly: Catherine is Kathryn, but Byron is not Baron and Julie not Julia, so the first and the last vowel must be the same.
    """
    (metaphone, key), (other_metaphone, other_key) = _codes(one), _codes(other)
    if key == other_key:
        return True
    near = metaphone == other_metaphone and Levenshtein.normalized_similarity(key, other_key) >= SIMILAR_SOUND
    return near and _outer_vowels(key) == _outer_vowels(other_key)


def _outer_vowels(key: str) -> str:
    vowels = [letter for letter in key if letter in "aeiouE"]
    return "".join(vowels[:1] + vowels[-1:])


@lru_cache(maxsize=1 << 15)
def _codes(word: str) -> tuple[str, str]:
    """Metaphone, for English ears, and sounds.key, for how Indian and European names are spelt; where the first is none, twice the key."""
    key = sounds.key(word)
    if not word.isascii():
        return key, key
    import jellyfish

    return jellyfish.metaphone(word), key
