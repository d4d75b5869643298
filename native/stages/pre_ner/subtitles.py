"""The subtitles that a movie has already: whose names are in them, and when.

They may be in any language. A name is known again by its spelling, or by its sound where the script is another one (राठौर, Rathore).
New names come from scripts with capitals, by how a word is written throughout the track, and from the labels of speakers ("JAI:").
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pre_ner.cues import Cue, Token, Track, fold, word_pattern
from pre_ner.names import name_of
from pre_ner.scripts import LATIN, key, script_of
from pre_ner.words import CALENDAR, HONORIFICS
from reelscribe.schemas import Span, Term, TermKind

if TYPE_CHECKING:
    from pre_ner.entities import Finder

SOURCE = "subtitles"
# A new name is written so at least this often: once is a slip, or somebody who does not matter.
_LEAST_OFTEN = 2
# From the weight of somebody the plot names up to a lead's.
_WEIGHT, _MORE_EACH, _MOST = 0.45, 0.02, 0.7
_MAX_WORDS = 4
_MIN_LETTERS = 3
_GAP_S = 1.0  # mentions this close are one
_MIN_SOUNDS = 2  # of a name that may be known across scripts
_CLEAR_SOUNDS = 4  # of one that may be known by its sound alone
# German capitalises every noun.
_NOUNS_IN_CAPITALS = frozenset({"de", "lb"})


def mentions(terms: Sequence[Term], tracks: Sequence[Track]) -> list[Term]:
    """The terms, each with the times when a track says it, joined where it is said again at once."""
    index = _Index(terms)
    found: dict[int, list[Span]] = defaultdict(list)
    for track in tracks:
        for cue in track.cues:
            for number in index.named(cue):
                found[number].append(Span(start=cue.start, end=cue.end))
    return [
        term.model_copy(update={"mentions": joined([*term.mentions, *found[number]])}) if number in found else term
        for number, term in enumerate(terms)
    ]


def joined(spans: Iterable[Span]) -> list[Span]:
    """In order, one where there is no gap to speak of between two; milliseconds."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, s.end)):
        if result and span.start - result[-1].end <= _GAP_S:
            result[-1] = Span(start=result[-1].start, end=max(result[-1].end, round(span.end, 3)))
        else:
            result.append(Span(start=round(span.start, 3), end=round(span.end, 3)))
    return result


def new_names(track: Track, language: str, known: Sequence[Term], finder: Finder, is_common: Callable[[str], bool]) -> list[Term]:
    """Names in the track that no term of `known` holds. is_common: whether a folded word is too common to be news."""
    index = _Index(known)
    entities = {fold(entity.text): entity for entity in finder.find(track.text) if not entity.known}
    runs = Counter(_runs(track, is_common)) if language not in _NOUNS_IN_CAPITALS else Counter()
    # Without capitals only a trained pipeline can tell.
    runs.update({e.text: track.text.count(e.text) for e in entities.values() if script_of(e.text) != LATIN})
    labels = Counter(name.text for cue in track.cues if cue.speaker and (name := name_of(cue.speaker)))
    runs += labels
    found: dict[str, Term] = {}
    # The longest first: what is a part of a longer name is no name of its own.
    for text in sorted(runs, key=lambda run: (-len(run.split()), -runs[run], run)):
        words = [fold(word) for word in text.split()]
        parts = {fold(form) for term in found.values() for form in (term.text, *term.variants)}
        if _times(text, runs) < _LEAST_OFTEN or index.knows(words) or " ".join(words) in parts:
            continue
        entity = entities.get(" ".join(words))
        # A person has a title or a label, is called one by the pipeline, or is said by a part of the name too.
        called = words[0] in HONORIFICS or text in labels or any(word in runs for word in text.split()[:-1])
        name = name_of(text) if called or (entity and entity.kind == "character") else None
        kind: TermKind = "character" if name else entity.kind if entity else "other"
        often = max(_times(word, runs) for word in text.split())
        found[text] = Term(
            text=name.text if name else text,
            kind=kind,
            weight=round(min(_MOST, _WEIGHT + _MORE_EACH * often), 3),
            source=SOURCE,
            language=language,
            variants=list(name.variants) if name else [],
        )
    return sorted(found.values(), key=lambda term: (-term.weight, term.text))


def _times(text: str, runs: Mapping[str, int]) -> int:
    """How often a name is said, alone or within a longer one."""
    return sum(count for run, count in runs.items() if f" {text} " in f" {run} ")


class _Index:
    """Terms by the words of their forms, as they are spelt and as they sound."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = terms
        self._spelt: dict[tuple[str, ...], set[int]] = defaultdict(set)
        self._heard: dict[tuple[str, ...], set[int]] = defaultdict(set)
        for number, term in enumerate(terms):
            for form in (term.text, *term.variants):
                words = [fold(word) for word in word_pattern().findall(form)]
                if 0 < len(words) <= _MAX_WORDS:
                    self._spelt[tuple(words)].add(number)
                    sounds = tuple(map(key, words))
                    if all(len(sound) >= _MIN_SOUNDS for sound in sounds):
                        self._heard[sounds].add(number)

    def named(self, cue: Cue) -> set[int]:
        """Numbers of the terms that the cue names."""
        found: set[int] = set()
        for first in range(len(cue.tokens)):
            for last in range(first, min(first + _MAX_WORDS, len(cue.tokens))):
                if last > first and not cue.tokens[last].close:
                    break
                span = cue.tokens[first : last + 1]
                found.update(number for number in self._of([t.spelling for t in span]) if self._meant(number, span))
        if cue.speaker:
            found.update(self._spelt.get(tuple(fold(word) for word in cue.speaker.split()), ()))
        return found

    def knows(self, words: Sequence[str]) -> bool:
        """Whether a term is called so, or sounds so."""
        return tuple(words) in self._spelt or tuple(map(key, words)) in self._heard

    def _of(self, words: Sequence[str]) -> set[int]:
        sounds = tuple(map(key, words))
        # In one script the spelling says more, unless the name is long: Jaydev is Jaidev.
        alike = script_of(words[0]) != LATIN or min(map(len, sounds)) >= _CLEAR_SOUNDS
        return self._spelt.get(tuple(words), set()) | (self._heard.get(sounds, set()) if alike else set())

    def _meant(self, number: int, span: Sequence[Token]) -> bool:
        """Whether the words are the name: where there are capitals it has one, and not only as the first of its sentence when risky."""
        if script_of(span[0].text) != LATIN or self._terms[number].text.islower():
            return True
        risky = {fold(word) for word in self._terms[number].risky}
        return all(token.capital for token in span) and not (len(span) == 1 and span[0].first and span[0].spelling in risky)


def _runs(track: Track, is_common: Callable[[str], bool]) -> Iterator[str]:
    """Names as they stand: words in a row that are names, by how they are written throughout the track."""
    within: Counter[str] = Counter()
    small: Counter[str] = Counter()
    for cue in track.cues:
        for token in cue.tokens:
            within[token.spelling] += token.capital and not token.first
            small[token.spelling] += token.text[:1].islower()

    def is_new(token: Token) -> bool:
        word = token.spelling
        letters = sum(c.isalpha() for c in word)
        return token.capital and letters >= _MIN_LETTERS and within[word] > 4 * small[word] and not is_common(word)

    def may_belong(token: Token) -> bool:
        """Titles, and any word with a capital that no sentence has given it: Marine Drive."""
        return token.spelling in HONORIFICS or not token.first or is_new(token)

    for cue in track.cues:
        named = [token.capital and token.spelling not in CALENDAR and may_belong(token) for token in cue.tokens]
        for run in _rows(cue.tokens, named):
            if len(run) <= _MAX_WORDS and any(is_new(token) and token.spelling not in HONORIFICS for token in run):
                yield " ".join(_bare(token.text) for token in run)


def _rows(tokens: Sequence[Token], named: Sequence[bool]) -> list[list[Token]]:
    """The tokens that are `named`, those together between which nothing stands."""
    rows: list[list[Token]] = []
    for before, (token, is_named) in zip([False, *named], zip(tokens, named, strict=True), strict=False):
        if is_named and before and token.close:
            rows[-1].append(token)
        elif is_named:
            rows.append([token])
    return rows


def _bare(word: str) -> str:
    """Without the possessive, and without -ji."""
    return next((word[: -len(end)] for end in ("'s", "’s", "-ji") if word.casefold().endswith(end)), word)
