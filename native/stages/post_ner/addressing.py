"""What a name in somebody's mouth says: who introduces himself, who is called and answers, who is only spoken of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from post_ner.tokens import Token
from post_ner.turns import UNKNOWN
from reelscribe.schemas import Segment

ANSWER_S = 5.0  # whoever is spoken to answers within that

# Introductions: folded words before the name, and (Hindi) behind it.
_BEFORE = {
    "en": ("i am", "im", "my name is", "my names", "this is", "call me", "they call me"),
    "hi": ("मैं", "मेरा नाम", "main", "mera naam", "mera nam"),
    "de": ("ich bin", "ich heiße", "ich heisse", "mein name ist"),
    "fr": ("je suis", "je mappelle", "mon nom est"),
    "es": ("soy", "me llamo", "mi nombre es"),
    "it": ("sono", "mi chiamo"),
    "pt": ("eu sou", "meu nome é", "me chamo"),
}
_BEHIND = {"मैं": ("हूँ", "हूं", "बोल"), "main": ("hoon", "hun", "hu", "bol")}
# Before such words somebody tells, supposes or doubts that it is so: "He said I am Jai", "If I am Jai". They reach over a comma.
_TOLD = {
    "en": "said say says told tell tells think thinks thought believe if whether that pretend pretends",
    "hi": "कि अगर कहा बोला ki agar kaha bola",
    "de": "sagt sagte wenn dass ob glaubt glaubst",
    "fr": "dit dis que",
    "es": "dijo dice que",
    "it": "dice disse detto che",
    "pt": "disse diz que",
}
_TOLD_REACH = 3  # words
_QUOTES = frozenset('"“”„«»‘')
_WEAK_INTRODUCTIONS = ("this is",)  # also of others: the weight of being spoken to


def whole_name(tokens: Sequence[Token], index: int, keys: frozenset[str]) -> tuple[int, int]:
    """First and last word of a name around `index`: Inspector Karl Rathore; keys: its folded words."""
    first = last = index
    while first > 0 and tokens[first - 1].key in keys and not tokens[first - 1].trail:
        first -= 1
    while last + 1 < len(tokens) and tokens[last + 1].key in keys and not tokens[last].trail:
        last += 1
    return first, last


def meaning(
    segments: Sequence[Segment], number: int, tokens: Sequence[Token], first: int, last: int, language: str, *, punctuated: bool
) -> Iterator[tuple[str, str, float]]:
    """(voice, kind of evidence, share of its weight) that a name at words `first` to `last` gives."""
    segment = segments[number]
    speaker = segment.speaker or UNKNOWN
    introduced = introduction(tokens, first, last, language)
    if introduced:
        yield speaker, "introduces", 1.0 if introduced not in _WEAK_INTRODUCTIONS else 0.35
        return
    if tokens[last].possessive or not _is_call(tokens, first, last, punctuated=punctuated):
        yield speaker, "speaks of", 1.0
        return
    yield speaker, "calls", 1.0
    before, after = _neighbour(segments, number, -1), _neighbour(segments, number, 1)
    # A call before the end of what the speaker says may be answered by nobody.
    if after and segments[after].speaker != speaker:
        asked = after == number + 1 and segment.text.rstrip().endswith("?")
        yield segments[after].speaker or UNKNOWN, "answers" if asked else "is spoken to", 1.0 if after == number + 1 else 0.5
    if before is not None and segments[before].speaker != speaker:
        yield segments[before].speaker or UNKNOWN, "was spoken to", 1.0 if before == number - 1 else 0.5


def introduction(tokens: Sequence[Token], first: int, last: int, language: str) -> str | None:
    """The words that introduce the name as the speaker's own; None when none do: "I am Aditi's brother", "You think I am Aditi?"."""
    if tokens[last].possessive or "?" in tokens[last].trail:
        return None
    before = " ".join(token.key for token in tokens[max(0, first - 3) : first])
    if first and tokens[first - 1].trail:
        return None
    behind = tokens[last + 1].key if last + 1 < len(tokens) and not tokens[last].trail else ""
    for phrase in (p for code in dict.fromkeys((language, "en")) for p in _BEFORE.get(code, ())):
        words = phrase.split()
        if before.split()[-len(words) :] != words:
            continue
        if phrase in _BEHIND and not behind.startswith(_BEHIND[phrase]):
            continue
        return None if _is_told(tokens, first - len(words), language) else phrase
    return None


def _is_told(tokens: Sequence[Token], first: int, language: str) -> bool:
    """Whether what begins there is somebody else's words, or said not to be so."""
    if not _QUOTES.isdisjoint(tokens[first].lead):
        return True
    told = {word for code in (language, "en") for word in _TOLD.get(code, "").split()}
    for token in reversed(tokens[max(0, first - _TOLD_REACH) : first]):
        if token.trail.startswith((".", "?", "!", "…", "।")):
            return False
        if token.key in told:
            return True
    return False


def _is_call(tokens: Sequence[Token], first: int, last: int, *, punctuated: bool) -> bool:
    """Whether somebody is called: the name stands apart by commas or is all that is said.

    Where the recogniser writes no commas, at an end of what is said together with "you".
    """
    opens = first == 0 or tokens[first - 1].trail.endswith((".", "?", "!", "…", "।", "—", "-"))
    closes = last == len(tokens) - 1 or tokens[last].trail.startswith((".", "?", "!", "…", "।"))
    if punctuated:
        apart_before = opens or tokens[first - 1].trail.endswith(",")
        return apart_before and (closes or tokens[last].trail.startswith(",")) and not _listed(tokens, first, last)
    to_you = any(token.key in ("you", "your", "तुम", "आप", "tum", "aap", "du", "sie", "tu", "vous") for token in tokens)
    return to_you and (first == 0 or last == len(tokens) - 1)


def _listed(tokens: Sequence[Token], first: int, last: int) -> bool:
    """Whether the name is one of several: "Jai, Karl and Sarah came"."""
    behind = [token.key for token in tokens[last + 1 : last + 3]]
    before = [token.key for token in tokens[max(0, first - 2) : first]]
    return bool({"and", "or", "und", "et", "y", "और"} & {*behind, *before[-1:]})


def _neighbour(segments: Sequence[Segment], number: int, step: int) -> int | None:
    """The next segment of another known voice within ANSWER_S of talk, in either direction."""
    at = number
    while 0 <= at + step < len(segments):
        gap = segments[at + step].start - segments[at].end if step > 0 else segments[at].start - segments[at + step].end
        if gap > ANSWER_S:
            return None
        at += step
        if segments[at].speaker not in (segments[number].speaker, None, UNKNOWN):
            return at
    return None
