"""Which voice is which character: what people call each other, and how they call themselves.

Every piece of evidence is a log odds for or against "this voice is that character". They add up; a voice's confidence is the smaller of
two probabilities: that it is this character and no other (or nobody), and that this character is this voice and no other (or silent).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from post_ner import addressing
from post_ner.tokens import fold, parse
from post_ner.turns import UNKNOWN
from reelscribe.schemas import CastMember, Evidence, Glossary, Segment, Term

# Log odds. An introduction is all but proof; after a question put to somebody by name, mostly they answer; whoever talks before a
# "Thank you, Jai" was mostly Jai; nobody calls himself. Set by hand: docs/corrections.md says what they do on the example.
WEIGHTS = {
    "introduces": 3.5,  # "I am Aditi", "my name is Aditi"
    "answers": 1.9,  # talks next after a question to the character
    "is spoken to": 1.2,  # talks next after being called by name
    "was spoken to": 0.8,  # talked just before
    "calls": -2.5,  # calls the character by name
    "speaks of": -1.0,  # says the name in passing
    "billing": 0.3,  # talks as much as the character is important: first and first, second and second
    "voice": 0.7,  # pitch and the gender of the cast agree
    "other voice": -2.0,  # they disagree
}
THRESHOLD = 0.7
_MOST_OF_A_KIND = 4.0  # many mentions are not independent: a kind of evidence counts this many times at most
_UNPUNCTUATED = 0.5  # share of a call's weight where no commas show that it is one
_NOBODY = 0.0  # log odds of being no character that is named, or of not talking at all


@dataclass(frozen=True)
class Character:
    """`keys`: the folded words that mean nobody else."""

    name: str
    keys: frozenset[str]


@dataclass(frozen=True)
class Suggestion:
    """The likeliest character of a voice."""

    name: str
    confidence: float
    evidence: list[Evidence]


@dataclass(frozen=True)
class _Found:
    label: str
    evidence: Evidence


def of_glossary(glossary: Glossary) -> list[Character]:
    """The characters, the most important first. A word that two of them share (a surname, Inspector) tells neither."""
    terms = sorted((t for t in glossary.terms if t.kind == "character"), key=lambda t: -t.weight)
    keys = [_keys(term) for term in terms]
    shared = {key for i, one in enumerate(keys) for other in keys[i + 1 :] for key in one & other}
    return [Character(term.text, own - shared) for term, own in zip(terms, keys, strict=True) if own - shared]


def genders_of(characters: Sequence[Character], cast: Sequence[CastMember]) -> dict[str, str]:
    """By the character's name "female" or "male", where the cast says it of whoever plays it."""
    found: dict[str, str] = {}
    for character in characters:
        of_it = {m.gender for m in cast if not character.keys.isdisjoint(fold(word) for word in m.character.split())}
        if len(of_it) == 1 and (gender := of_it.pop()) in ("female", "male"):
            found[character.name] = str(gender)
    return found


def _keys(term: Term) -> frozenset[str]:
    return frozenset(key for text in (term.text, *term.variants) for word in text.split() if len(key := fold(word)) >= 2)


def suggest(
    segments: Sequence[Segment],
    characters: Sequence[Character],
    *,
    language: str,
    talk_s: Mapping[str, float],
    settled: Mapping[str, str],
    voices: Mapping[str, tuple[str, float]] | None = None,
    genders: Mapping[str, str] | None = None,
) -> dict[str, Suggestion]:
    """The likeliest character of every voice that has one.

    talk_s: seconds by voice. settled: names that the user wrote, by voice; who is named there is nobody else. voices: by voice, the gender
    it sounds like and its pitch in Hz. genders: of characters, where the cast says so.
    """
    taken = {fold(word) for name in settled.values() for word in name.split()}
    open_characters = [c for c in characters if c.keys.isdisjoint(taken)]
    labels = [label for label in talk_s if label not in settled and label != UNKNOWN]
    found = [
        *_said(segments, open_characters, language),
        *_billing(labels, open_characters, talk_s),
        *_by_voice(labels, open_characters, voices or {}, genders or {}),
    ]
    return dict(_decided(labels, open_characters, found))


# -- evidence -----------------------------------------------------------------------------------------------------------


def _said(segments: Sequence[Segment], characters: Sequence[Character], language: str) -> Iterator[_Found]:
    """Introductions, calls and mentions, and who talked around them."""
    by_key = {key: character for character in characters for key in character.keys}
    rows = [[parse(word.word) for word in segment.words] for segment in segments]
    punctuated = any("," in token.trail for row in rows for token in row)
    for number, (segment, tokens) in enumerate(zip(segments, rows, strict=True)):
        for index, token in enumerate(tokens):
            character = by_key.get(token.key)
            if character is None or segment.speaker in (None, UNKNOWN):
                continue
            first, last = addressing.whole_name(tokens, index, character.keys)
            if index != first:
                continue
            for label, kind, factor in addressing.meaning(segments, number, tokens, first, last, language, punctuated=punctuated):
                start = segment.words[first].start
                weight = factor * WEIGHTS[kind] * (1.0 if punctuated or kind in ("introduces", "speaks of") else _UNPUNCTUATED)
                yield _Found(label, Evidence(kind=kind, name=character.name, start=start, text=segment.text, weight=weight))


def _billing(labels: Sequence[str], characters: Sequence[Character], talk_s: Mapping[str, float]) -> Iterator[_Found]:
    """Leads talk most."""
    ranked = sorted(labels, key=lambda label: (-talk_s[label], label))
    for label, character in zip(ranked, characters, strict=False):
        yield _Found(label, Evidence(kind="billing", name=character.name, start=0, text="", weight=WEIGHTS["billing"]))


def _by_voice(
    labels: Sequence[str], characters: Sequence[Character], voices: Mapping[str, tuple[str, float]], genders: Mapping[str, str]
) -> Iterator[_Found]:
    """Pitch and the cast's gender."""
    for label in labels:
        sounds_like, pitch_hz = voices.get(label, ("", 0.0))
        for character in characters:
            gender = genders.get(character.name)
            if sounds_like and gender in ("female", "male"):
                kind = "voice" if gender == sounds_like else "other voice"
                yield _Found(label, Evidence(kind=kind, name=character.name, start=0, text=f"{pitch_hz:.0f} Hz", weight=WEIGHTS[kind]))


# -- decision -----------------------------------------------------------------------------------------------------------


def _decided(labels: Sequence[str], characters: Sequence[Character], found: Sequence[_Found]) -> Iterator[tuple[str, Suggestion]]:
    """The likeliest character of each voice, from all evidence."""
    evidence: dict[tuple[str, str], list[Evidence]] = defaultdict(list)
    for one in found:
        evidence[one.label, one.evidence.name].append(one.evidence)
    odds = {(label, c.name): _total(evidence[label, c.name]) for label in labels for c in characters}
    for label in labels:
        ranked = sorted(characters, key=lambda c: -odds[label, c.name])
        if not ranked or not any(e.weight > 0 and e.kind not in ("billing", "voice") for e in evidence[label, ranked[0].name]):
            continue
        best = ranked[0].name
        # Most of a cast has nothing to do with a voice: only characters that something speaks for are rivals.
        among_characters = _share(odds[label, best], [value for c in characters if (value := odds[label, c.name]) > 0])
        among_voices = _share(odds[label, best], [odds[other, best] for other in labels])
        yield label, Suggestion(best, min(among_characters, among_voices), evidence[label, best])


def _total(evidence: Sequence[Evidence]) -> float:
    by_kind: dict[str, float] = defaultdict(float)
    for one in evidence:
        by_kind[one.kind] += one.weight
    return sum(
        max(-_MOST_OF_A_KIND * abs(WEIGHTS[kind]), min(_MOST_OF_A_KIND * abs(WEIGHTS[kind]), total)) for kind, total in by_kind.items()
    )


def _share(odds: float, all_odds: Sequence[float]) -> float:
    """Probability of one among several, and nobody."""
    return math.exp(odds) / (math.exp(_NOBODY) + sum(map(math.exp, all_odds)))
