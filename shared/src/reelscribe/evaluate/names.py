"""Are the names right, and what did the correction of names do: see docs/quality.md for what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reelscribe.errors import BadInputError
from reelscribe.evaluate.align import Alignment, Token, core_of, heard, said, tokens
from reelscribe.evaluate.made import Made
from reelscribe.evaluate.references import Expected, Reference
from reelscribe.evaluate.score import Score, percent
from reelscribe.schemas import Correction, Segment, Transcript


@dataclass(frozen=True)
class Place:
    """Tokens `first` to `last` (inclusive) are `name`."""

    name: str
    first: int
    last: int


def scores(made: Made, reference: Reference) -> list[Score]:
    """Recall and precision where a list of names was given; corrections where there is a ledger."""
    assert made.transcript
    true = said(reference.pieces)
    after = heard(made.transcript.segments)
    places = expected(true, reference.names) if reference.names else None
    found: list[Score] = []
    if reference.names and places is not None:
        found += _named(true, after, places, reference.names, "", "")
    if made.corrections:
        changes = made.corrections.corrections
        before = unmended(made.transcript, changes)
        if reference.names and places is not None:
            found += _named(true, before, places, reference.names, "_uncorrected", " before correction")
        found += _corrections(true, before, tagged(made.transcript, changes), changes, places)
    return found


# -- names ----------------------------------------------------------------------------------------------------------------


def expected(true: Sequence[Token], names: Sequence[Expected]) -> list[Place]:
    """Where the reference has which name. Raises BadInputError when it has not the occurrence that was told."""
    wanted: list[Place] = []
    for name, places in find(true, names):
        if max(name.numbers, default=0) > len(places) or 0 in name.numbers:
            raise BadInputError(
                f"{name.text} is {len(places)} times in the reference, not at {', '.join(map(str, sorted(name.numbers)))}",
                remedy="occurrences of a name count from 1, written exactly so",
            )
        wanted += [place for number, place in enumerate(places, start=1) if not name.numbers or number in name.numbers]
    return sorted(wanted, key=lambda place: place.first)


def find(row: Sequence[Token], names: Sequence[Expected]) -> Iterator[tuple[Expected, list[Place]]]:
    """Each name with its places, written exactly so; a word belongs to the longest name only."""
    taken: set[int] = set()
    for name in sorted(names, key=lambda n: -len(n.text.split())):
        cores = [core_of(word) for word in name.text.split()]
        places = []
        for first in range(len(row) - len(cores) + 1):
            span = range(first, first + len(cores))
            if taken.isdisjoint(span) and all(row[i].core == core for i, core in zip(span, cores, strict=True)):
                taken.update(span)
                places.append(Place(name.text, first, span[-1]))
        yield name, places


def _named(
    true: Sequence[Token], row: Sequence[Token], places: Sequence[Place], names: Sequence[Expected], key: str, label: str
) -> list[Score]:
    """Recall: of the names that are said, those that stand there spelt so. Precision: of the names written, those that are said there."""
    aligned = Alignment.of(true, row)
    lost = [place for place in places if not _is_there(place, true, row, aligned)]
    right = len(places) - len(lost)
    written = sum(len(found) for _, found in find(row, names))
    misses = Counter((place.name, _in_place(place, row, aligned)) for place in lost)
    missed = [{"name": name, "heard": instead, "times": times} for (name, instead), times in misses.most_common()]
    return [
        percent(f"name_recall{key}", f"name recall{label}", right, len(places), f"{len(places)} names said", missed=missed),
        percent(f"name_precision{key}", f"name precision{label}", right, written, f"{written} names written"),
    ]


def _is_there(place: Place, true: Sequence[Token], row: Sequence[Token], aligned: Alignment) -> bool:
    at = [aligned.to_heard[i] for i in range(place.first, place.last + 1)]
    if at[0] is None or at != list(range(at[0], at[0] + len(at))):
        return False
    return all(j is not None and row[j].core == true[i].core for i, j in enumerate(at, start=place.first))


def _in_place(place: Place, row: Sequence[Token], aligned: Alignment) -> str:
    """What was written instead."""
    at = (aligned.to_heard[i] for i in range(place.first, place.last + 1))
    return " ".join(row[j].core for j in at if j is not None)


# -- corrections ----------------------------------------------------------------------------------------------------------


def tagged(transcript: Transcript, changes: Sequence[Correction]) -> list[Token]:
    """The transcript's words; those of a correction have its number. Raises BadInputError when the ledger is of another transcript."""
    return _rewritten(transcript.segments, changes, old=False)


def unmended(transcript: Transcript, changes: Sequence[Correction]) -> list[Token]:
    """The same without the corrections: what they changed is there as it was."""
    return _rewritten(transcript.segments, changes, old=True)


def _rewritten(segments: Sequence[Segment], changes: Sequence[Correction], *, old: bool) -> list[Token]:
    of_segment: dict[int, list[tuple[int, Correction]]] = {}
    for number, change in enumerate(changes):
        of_segment.setdefault(change.segment, []).append((number, change))
    row: list[Token] = []
    for segment in segments:
        words, at = [word.word for word in segment.words], 0
        for number, change in sorted(of_segment.pop(segment.id, []), key=lambda pair: pair[1].first):
            if words[change.first : change.last + 1] != change.new.split():
                _refuse()
            row += tokens(words[at : change.first])
            row += tokens((change.old if old else change.new).split(), change=number)
            at = change.last + 1
        row += tokens(words[at:])
    if of_segment:
        _refuse()
    return row


def _refuse() -> None:
    raise BadInputError("corrections.json and transcript.json in corrected/ do not belong together", remedy="run post-ner again")


def _corrections(
    true: Sequence[Token], before: Sequence[Token], after: Sequence[Token], changes: Sequence[Correction], places: Sequence[Place] | None
) -> list[Score]:
    """Right, in vain, and false ones per 1,000 words said."""
    named = None if places is None else {i for place in places for i in range(place.first, place.last + 1)}
    aligned_before, aligned_after = Alignment.of(true, before), Alignment.of(true, after)
    verdicts: Counter[str] = Counter()
    false: list[dict[str, Any]] = []
    for number, change in enumerate(changes):
        was = _spoken(number, before, aligned_before)
        became = _spoken(number, after, aligned_after)
        verdict = judge(was, became, true, named)
        verdicts[verdict.split(":")[0]] += 1
        if verdict.startswith("false"):
            spoken = " ".join(true[i].core for _, i in was if i is not None)
            false.append({"id": change.id, "old": change.old, "new": change.new, "said": spoken, "why": verdict.partition(": ")[2]})
    count = len(false)
    of = f"{len(true)} words, {len(changes)} corrections: {verdicts['right']} right, {verdicts['in vain']} in vain, {count} false"
    detail = {"words": len(true), "corrections": len(changes), "right": verdicts["right"], "in_vain": verdicts["in vain"]}
    value = round(1000 * count / len(true), 3) if true else None
    return [Score("false_corrections", "false corrections", value, "/1000 words", of, {**detail, "false": false})]


Spoken = list[tuple[Token, int | None]]  # the words of a correction, each with the number of the reference's word that it stands for


def _spoken(number: int, row: Sequence[Token], aligned: Alignment) -> Spoken:
    return [(token, aligned.to_said[j]) for j, token in enumerate(row) if token.change == number]


def judge(was: Spoken, became: Spoken, true: Sequence[Token], named: set[int] | None) -> str:
    """ "right", "in vain" (a name misheard before and after, or words that nobody said), or "false: …" with the reason.

    `named`: the reference's words that are names; None when nobody said which.
    """

    def is_right(row: Spoken) -> bool:
        return bool(row) and all(i is not None and token.core == true[i].core for token, i in row)

    if is_right(became):
        return "right"
    if is_right(was):
        return "false: a right word made wrong"
    spoken = {i for _, i in was if i is not None}
    if named is not None and spoken and not spoken & named:
        return "false: no name is said there"
    return "in vain"
