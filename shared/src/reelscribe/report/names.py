"""Who speaks, which names the movie has and what was mended."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reelscribe.report.sources import Sources
from reelscribe.schemas import Correction, NamedSpeaker, Term


def speakers(sources: Sources) -> list[dict[str, Any]]:
    """The voices: label, name, total_s and, where post-ner has looked for it, the character that it may be and why."""
    if sources.speakers:
        return [_voice(speaker) for speaker in sources.speakers.speakers]
    if sources.diarization:
        return [{"label": s.label, "name": s.label, "total_s": s.total_s} for s in sources.diarization.speakers]
    return []


def _voice(speaker: NamedSpeaker) -> dict[str, Any]:
    evidence = [{"kind": e.kind, "start": e.start, "text": e.text, "weight": e.weight} for e in speaker.evidence]
    voice = {"label": speaker.label, "name": speaker.name, "total_s": speaker.total_s}
    return {**voice, "suggested": speaker.suggested, "confidence": speaker.confidence, "evidence": evidence}


def glossary(sources: Sources) -> list[dict[str, Any]]:
    """The terms, the heaviest first, and how often each is in the transcript."""
    if sources.glossary is None:
        return []
    counts = _counts(sources.glossary.terms, _keys(_text(sources)))
    return [
        {"text": t.text, "kind": t.kind, "weight": t.weight, "source": t.source, "variants": t.variants, "count": count}
        for t, count in zip(sources.glossary.terms, counts, strict=True)
    ]


def corrections(sources: Sources) -> list[dict[str, Any]]:
    """Every change in the order of time; `undone` is one that the user has taken back."""
    ledger = sources.corrections
    if ledger is None:
        return []
    changes = [*((c, False) for c in [*ledger.corrections, *ledger.translation]), *((c, True) for c in ledger.undone)]
    return [_shown(c, undone) for c, undone in sorted(changes, key=lambda change: change[0].start)]


def _shown(change: Correction, undone: bool) -> dict[str, Any]:
    return {
        "id": change.id,
        "start": change.start,
        "old": change.old,
        "new": change.new,
        "rule": change.rule,
        "score": change.scores.get("score"),
        "undone": undone,
    }


def _text(sources: Sources) -> str:
    transcript = sources.transcript
    return "\n".join(segment.text for segment in transcript.segments) if transcript else ""


def _keys(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.casefold())


def _counts(terms: Iterable[Term], words: list[str]) -> list[int]:
    """How often each term is said, as it is or by a variant. One look at the text, however many terms there are."""
    places: dict[str, list[int]] = defaultdict(list)
    for n, word in enumerate(words):
        places[word].append(n)
    return [_count([_keys(form) for form in {term.text, *term.variants}], places, words) for term in terms]


def _count(forms: Iterable[list[str]], places: Mapping[str, Sequence[int]], words: Sequence[str]) -> int:
    """How often one of `forms` is said; the longest counts where one is inside another."""
    taken: set[int] = set()
    count = 0
    for keys in sorted(filter(None, forms), key=len, reverse=True):
        for n in places.get(keys[0], ()):
            here = range(n, n + len(keys))
            if words[n : n + len(keys)] == keys and taken.isdisjoint(here):
                taken.update(here)
                count += 1
    return count
