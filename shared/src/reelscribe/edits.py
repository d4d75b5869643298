"""What a user wrote over the words of a cue: kept in corrected/edits.json, followed by post-ner at its end, in every later run.

An edit stands on the words that were *heard* there, not on those that were shown: names may be mended otherwise tomorrow, and the edit
still wins. When something else is heard there since (another model, decoded anew), the edit is stale: it stays in the file, is reported,
and changes nothing. Words that an edit leaves as they are keep their times; new ones share the time of those in whose place they stand.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path

from pydantic import Field

from reelscribe import logger
from reelscribe.artifacts import read_json, write_json
from reelscribe.languages import joiner
from reelscribe.schemas import Artifact, Correction, Corrections, Document, Seconds, Segment, Transcript, Word

FILE = "corrected/edits.json"
FOLLOWED = "corrected/edited.json"
_NEAR_S = 1.0  # how far words that are heard again may have moved
_INSIDE, _OUTSIDE = 0.75, 0.25  # shares of a word's time; between them an edge goes through the word
_MOMENT_S = 0.001  # times are stored with 3 decimals
# Scripts without spaces: a Latin word, a number, else a character with its marks.
_UNIT = re.compile(r"[0-9A-Za-z\u00c0-\u024f]+(?:['’.,:%-]*[0-9A-Za-z\u00c0-\u024f%])*|\S")


class Edit(Artifact):
    """`text` in the place of `was`: the words from `start` to `end`, beneath which `heard` begins at `heard_start`.

    `english`: of the translation, not of what was said.
    """

    id: str
    english: bool = False
    start: Seconds
    end: Seconds
    heard: list[str]
    heard_start: Seconds
    was: str
    text: str


class Rename(Artifact):
    """A voice's new `name`, not yet in corrected/speakers.json; `was`: the one it is to replace. "": the automatic one."""

    label: str
    was: str
    name: str


class Edits(Document):
    """The user's edits in the order they were made; each is made in what the ones before it left."""

    edits: list[Edit] = Field(default_factory=list)
    names: list[Rename] = Field(default_factory=list)


class Followed(Document):
    """What post-ner made of the edits: their digest, and the ids of those that no longer fit what is heard."""

    digest: str
    stale: list[str] = Field(default_factory=list)


def read(movie_dir: Path) -> Edits:
    """The user's edits. Raises BadInputError when the file is damaged."""
    path = movie_dir / FILE
    return read_json(path, Edits) if path.is_file() else Edits()


def write(movie_dir: Path, edits: Edits) -> None:
    """Keep them."""
    write_json(movie_dir / FILE, edits)


def followed(movie_dir: Path) -> Followed:
    """What the last run of post-ner followed."""
    path = movie_dir / FOLLOWED
    return read_json(path, Followed) if path.is_file() else Followed(digest=_digest([]))


def since(movie_dir: Path) -> bool:
    """Whether edits were made, or taken back, since post-ner has run."""
    return followed(movie_dir).digest != _digest(read(movie_dir).edits)


def _digest(edits: Sequence[Edit]) -> str:
    return hashlib.sha256("\n".join(edit.model_dump_json() for edit in edits).encode()).hexdigest()[:16]


# -- for post-ner -------------------------------------------------------------------------------------------------------


def follow(
    movie_dir: Path, heard: Transcript, segments: list[Segment], english: list[Segment] | None, ledger: Corrections
) -> tuple[list[Segment], list[Segment] | None, Corrections]:
    """The segments, their translation and the ledger as the user's edits leave them; heard: what asr made."""
    made = read(movie_dir).edits
    if not made and not (movie_dir / FOLLOWED).is_file():
        return segments, english, ledger
    said = Track.of(heard.segments, segments, heard.language)
    stale = [edit for edit in made if not edit.english and not said.follow(edit)]
    corrections, undone = said.moved(ledger.corrections), said.moved(ledger.undone)
    translation, shown = ledger.translation, english
    if english is not None:
        translated = Track.of(heard.translation or [], said.relinked(english), "en")
        stale += [edit for edit in made if edit.english and not translated.follow(edit)]
        translation, shown = translated.moved(ledger.translation), translated.segments()
    else:
        stale += [edit for edit in made if edit.english]
    for edit in stale:
        logger.get().warning("an edit no longer fits what is heard at %.1f s and is not made: %r", edit.start, edit.text)
    if made:
        logger.get().info("edits of cues: %d, not made: %d", len(made), len(stale))
    write_json(movie_dir / FOLLOWED, Followed(digest=_digest(made), stale=[edit.id for edit in stale]))
    changed = {"corrections": corrections, "undone": undone, "translation": translation}
    return said.segments(), shown, ledger.model_copy(update=changed)


# -- words in their places ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Placed:
    """A word in the segment with that index. `origin`: its number before any edit, or that of the word in whose place it stands.

    `whole`: whether it is still the word it was.
    """

    word: Word
    segment: int
    origin: int
    whole: bool = True


class Track:
    """The words of one language, in order, and the words that were heard beneath them."""

    def __init__(self, heard: list[Word], before: list[Segment], words: list[_Placed], language: str) -> None:
        self._heard = heard
        self._before = before
        self.words = words
        self._language = language
        # Plain numbers, as every edit looks at all of them: 500 edits of 18,000 words take 2 s of a processor, not 8.
        self._times = [(placed.word.start, placed.word.end) for placed in words]
        self._starts = [word.start for word in heard]
        self._touched: set[int] = set()

    @classmethod
    def of(cls, heard: Sequence[Segment], shown: list[Segment], language: str) -> Track:
        """`shown`: the segments that post-ner made of those that were `heard`."""
        pairs = [(index, word) for index, segment in enumerate(shown) for word in segment.words]
        words = [_Placed(word, index, number) for number, (index, word) in enumerate(pairs)]
        return cls([word for segment in heard for word in segment.words], shown, words, language)

    def joiner(self, placed: _Placed) -> str:
        """What stands between two words of its segment."""
        return joiner(self._before[placed.segment].language or self._language)

    def text(self, run: Sequence[_Placed]) -> str:
        """The words of a run, as they are read."""
        return self.joiner(run[0]).join(placed.word.word for placed in run) if run else ""

    def times(self, run: range) -> tuple[float, float]:
        """When the words with these numbers begin and end."""
        return self.words[run.start].word.start, self.words[run.stop - 1].word.end

    def between(self, start: float, end: float) -> range | None:
        """The numbers of the words from `start` to `end`; None when an edge goes through a word, or they do not follow each other."""
        near = [n for n, (begins, ends) in enumerate(self._times) if begins < end + _MOMENT_S and ends > start - _MOMENT_S]
        shares = [(n, _share(self.words[n].word, start, end)) for n in near]
        inside = [n for n, share in shares if share >= _INSIDE]
        cut = any(_OUTSIDE < share < _INSIDE for _, share in shares)
        if cut or not inside or inside[-1] - inside[0] + 1 != len(inside):
            return None
        return range(inside[0], inside[-1] + 1)

    def beneath(self, start: float, end: float) -> list[Word]:
        """What was heard from `start` to `end`, words at its edges too."""
        near = [n for n, word in enumerate(self._heard) if word.start < end - _MOMENT_S and word.end > start + _MOMENT_S]
        return self._heard[near[0] : near[-1] + 1] if near else []

    # -- an edit --------------------------------------------------------------------------------------------------------

    def follow(self, edit: Edit) -> bool:
        """Make the edit; False when it is stale, and nothing changes."""
        moved_s = self._moved_s(edit)
        if moved_s is None:
            return False
        span = self.between(edit.start + moved_s, edit.end + moved_s)
        if span is None:
            return False
        old = self.words[span.start : span.stop]
        self._touched |= {placed.segment for placed in old}
        new = _rewritten(old, edit.text, spaced=bool(self.joiner(old[0])))
        self.words[span.start : span.stop] = new
        self._times[span.start : span.stop] = [(placed.word.start, placed.word.end) for placed in new]
        return True

    def _moved_s(self, edit: Edit) -> float | None:
        """How much later than then the words it stands on are heard now; None when they are not."""
        count = len(edit.heard)
        near = (n for n, start in enumerate(self._starts) if abs(start - edit.heard_start) <= _NEAR_S)
        found = [self._starts[n] - edit.heard_start for n in near if [w.word for w in self._heard[n : n + count]] == edit.heard]
        return min(found, key=abs, default=None) if count else None

    # -- what is left ---------------------------------------------------------------------------------------------------

    def segments(self) -> list[Segment]:
        """The segments with their words; those that lost all of them are gone, the others keep their ids."""
        words: dict[int, list[Word]] = {index: [] for index in self._touched}
        for placed in self.words:
            if placed.segment in words:
                words[placed.segment].append(placed.word)
        return [
            _with_words(segment, words[index], joiner(segment.language or self._language)) if index in words else segment
            for index, segment in enumerate(self._before)
            if words.get(index, True)
        ]

    def moved(self, corrections: Sequence[Correction]) -> list[Correction]:
        """The ledger's lines with the numbers that their words have now, without those whose words are gone."""
        places: dict[tuple[int, int], int] = {}
        counts: dict[int, int] = {}
        firsts = _firsts(self._before)
        for placed in self.words:
            number = counts.get(placed.segment, 0)
            counts[placed.segment] = number + 1
            if placed.whole:
                places[self._before[placed.segment].id, placed.origin - firsts[placed.segment]] = number
        found = ((c, [places.get((c.segment, n)) for n in range(c.first, c.last + 1)]) for c in corrections)
        return [
            c.model_copy(update={"first": numbers[0], "last": numbers[-1]})
            for c, numbers in found
            if numbers[0] is not None and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        ]

    def relinked(self, translation: list[Segment]) -> list[Segment]:
        """Segments of the translation with the numbers that the words in their `source` have now."""
        if not self._touched or not self.words:
            return translation
        origins = [placed.origin for placed in self.words]

        def now(source: tuple[int, int]) -> tuple[int, int]:
            first = min(bisect_left(origins, source[0]), len(origins) - 1)
            return first, max(first, bisect_right(origins, source[1]) - 1)

        return [s if s.source is None else s.model_copy(update={"source": now(s.source)}) for s in translation]


def _firsts(segments: Sequence[Segment]) -> list[int]:
    """The number of each segment's first word."""
    firsts = [0]
    for segment in segments:
        firsts.append(firsts[-1] + len(segment.words))
    return firsts


def _share(word: Word, start: float, end: float) -> float:
    """How much of the word's time is between `start` and `end`; a word without length is there or not."""
    length = word.end - word.start
    if length < _MOMENT_S:
        return float(start - _MOMENT_S < word.start < end + _MOMENT_S)
    return max(0.0, min(word.end, end) - max(word.start, start)) / length


def _with_words(segment: Segment, words: list[Word], between: str) -> Segment:
    text = between.join(word.word for word in words)
    start, end = min(segment.start, words[0].start), max(segment.end, words[-1].end)
    if segment.words and words[0].start > segment.words[0].start:
        start = words[0].start  # its first words are another segment's now, or nobody's
    return segment.model_copy(update={"words": words, "text": text, "start": start, "end": end})


# -- new words in the place of old ones ---------------------------------------------------------------------------------


def _rewritten(old: list[_Placed], text: str, *, spaced: bool) -> list[_Placed]:
    """`text` in the place of `old`: what is the same keeps its time, the rest shares the time of what it replaces."""
    if not spaced:
        old = [piece for placed in old for piece in _pieces(placed)]
    new = text.split() if spaced else units(text)
    made: list[_Placed] = []
    for before, after in _blocks([_key(placed.word.word) for placed in old], [_key(word) for word in new]):
        made += _shared(old[before.start : before.stop], new[after.start : after.stop])
    return made


def units(text: str) -> list[str]:
    """The words of a script without spaces between them."""
    found: list[str] = []
    for unit in _UNIT.findall(text):
        if found and unicodedata.category(unit[0])[0] == "M":
            found[-1] += unit
        else:
            found.append(unit)
    return found


def _pieces(placed: _Placed) -> list[_Placed]:
    texts = units(placed.word.word)
    return [placed] if len(texts) < 2 else [replace(one, whole=False) for one in _shared([placed], texts)]


def _key(word: str) -> str:
    """What is compared: letters and digits, or the word where it has none."""
    return "".join(c for c in word.casefold() if c.isalnum()) or word


def _blocks(old: list[str], new: list[str]) -> Iterator[tuple[range, range]]:
    """Ranges of both, in order, that take each other's place; no range of `old` is empty: what is added goes to a neighbour."""
    steps = [step for step in SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if step[0] != "equal" or step[2] > step[1]]
    found: list[list[int]] = []
    for kind, a, b, c, d in steps:
        found += [[a + n, a + n + 1, c + n, c + n + 1] for n in range(b - a)] if kind == "equal" else [[a, b, c, d]]
    merged: list[list[int]] = []
    for block in found:
        # What is added comes to the word before it; at the very beginning, to the one after it.
        if merged and (block[0] == block[1] or merged[-1][0] == merged[-1][1]):
            merged[-1][1], merged[-1][3] = block[1], block[3]
        else:
            merged.append(block)
    for a, b, c, d in merged:
        yield range(a, b), range(c, d)


def _shared(old: Sequence[_Placed], new: Sequence[str]) -> list[_Placed]:
    """`new` in the place of `old`, one for one where the numbers agree, else with shares of the time by length."""
    if len(old) == len(new):
        return [_respelt(placed, text) for placed, text in zip(old, new, strict=True)]
    start, end = old[0].word.start, old[-1].word.end
    letters = [0]
    for text in new:
        letters.append(letters[-1] + len(text))
    edges = [start + (end - start) * n / max(1, letters[-1]) for n in letters]
    made = []
    for n, text in enumerate(new):
        place = old[n * len(old) // len(new)]
        times = {"start": edges[n], "end": edges[n + 1], "engine_start": None, "engine_end": None, "score": None}
        made.append(_Placed(place.word.model_copy(update={"word": text, **times}), place.segment, place.origin, whole=False))
    return made


def _respelt(placed: _Placed, text: str) -> _Placed:
    if text == placed.word.word:
        return placed
    # What the engine thought of the old word is true of another spelling of it alone.
    score = placed.word.score if _key(text) == _key(placed.word.word) else None
    return replace(placed, word=placed.word.model_copy(update={"word": text, "score": score}), whole=False)
