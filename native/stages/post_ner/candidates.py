"""What might be a name: every word and every few words in a row, and the targets that are near in letters or in sound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from post_ner.decision import may_join, same_sound, worth_comparing
from post_ner.frequency import Usage
from post_ner.targets import Target
from post_ner.tokens import Token
from reelscribe import sounds

MAX_HEARD = 3  # words that one name may be heard as
NEAR_SPELLING = 0.55  # what is less alike is not looked at

Keys = tuple[str, ...]  # folded words in a row


class Stretch(NamedTuple):
    """Words `first` to `last` (inclusive) of a segment."""

    first: int
    last: int
    keys: Keys


def stretches(tokens: Sequence[Token]) -> Iterator[Stretch]:
    """Every word, and every two and three that nothing stands between."""
    for first in range(len(tokens)):
        keys: Keys = ()
        for last in range(first, min(first + MAX_HEARD, len(tokens))):
            if not tokens[last].key or tokens[last].several or (last > first and not touching(tokens[last - 1], tokens[last])):
                break
            keys = (*keys, tokens[last].key)
            yield Stretch(first, last, keys)


def touching(token: Token, after: Token) -> bool:
    """Whether no punctuation stands between the two."""
    return bool(token.key and after.key) and not (token.trail or token.ending or after.lead)


def near(heard: Iterable[Keys], targets: Sequence[Target], usage: Usage) -> dict[Keys, list[Target]]:
    """For everything heard, the targets that it might be; what is like none is left out."""
    found: dict[Keys, dict[int, Target]] = defaultdict(dict)
    unique = sorted(keys for keys in set(heard) if len(keys) == 1 or may_join([usage.zipf(key) for key in keys]))
    for keys, number in [*_alike_in_sound(unique, targets), *_alike_in_letters(unique, targets, usage)]:
        found[keys][number] = targets[number]
    return {keys: [near_ones[number] for number in sorted(near_ones)] for keys, near_ones in found.items()}


def _alike_in_sound(heard: Sequence[Keys], targets: Sequence[Target]) -> Iterator[tuple[Keys, int]]:
    """Pairs of the same sound."""
    by_sound: dict[str, list[int]] = defaultdict(list)
    for number, target in enumerate(targets):
        for code in _index_codes(target.key, alone=True):
            by_sound[code].append(number)
    for keys in heard:
        key = "".join(keys)
        for code in _index_codes(key, alone=len(keys) == 1):
            for number in by_sound.get(code, ()):
                if same_sound(key, targets[number].key):
                    yield keys, number


def _index_codes(key: str, *, alone: bool) -> Iterator[str]:
    """Codes that two words of the same sound share; of several in a row the quick one only, as there are so many."""
    import jellyfish

    if key.isascii():
        yield f"metaphone {jellyfish.metaphone(key)}"
    if alone or not key.isascii():
        yield f"key {sounds.key(key)}"


def _alike_in_letters(heard: Sequence[Keys], targets: Sequence[Target], usage: Usage) -> Iterator[tuple[Keys, int]]:
    """Pairs of similar spelling."""
    import numpy as np
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import cdist

    rare = [keys for keys in heard if worth_comparing(keys, usage)]
    if not rare or not targets:
        return
    spelt = ["".join(keys) for keys in rare]
    alike = cdist(spelt, [target.key for target in targets], scorer=OSA.normalized_similarity, score_cutoff=NEAR_SPELLING, dtype=np.float32)
    for row, column in np.argwhere(alike).tolist():
        yield rare[row], column
