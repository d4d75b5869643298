"""corrected/speakers.json: a name for every voice. A name the user wrote there is kept, and follows its voice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from post_ner.characters import THRESHOLD, Suggestion
from post_ner.tokens import fold
from post_ner.turns import UNKNOWN, Turns
from reelscribe.schemas import Diarization, NamedSpeaker, Segment, Speakers, Transcript


def in_order(segments: Iterable[Segment], diarization: Diarization) -> list[str]:
    """Every label, in the order of its first word; those without a word last, in the order of their first turn."""
    spoken = [segment.speaker for segment in segments if segment.speaker not in (None, UNKNOWN)]
    heard = [turn.speaker for turn in sorted(diarization.turns, key=lambda t: (t.start, t.speaker))]
    silent = [speaker.label for speaker in diarization.speakers]
    return list(dict.fromkeys(label for label in (*spoken, *heard, *silent) if label))


def named(labels: list[str], diarization: Diarization, kept: Mapping[str, str], suggested: Mapping[str, Suggestion]) -> Speakers:
    """Names for `labels`: those `kept` from the user, else a character that is sure enough, else `Speaker 1` … in the order given."""
    total_s = {speaker.label: speaker.total_s for speaker in diarization.speakers}
    return Speakers(
        speakers=[
            _named(label, f"Speaker {number}", total_s.get(label, 0.0), kept.get(label), suggested.get(label))
            for number, label in enumerate(labels, 1)
        ]
    )


def _named(label: str, numbered: str, total_s: float, kept: str | None, suggestion: Suggestion | None) -> NamedSpeaker:
    automatic = suggestion.name if suggestion and suggestion.confidence >= THRESHOLD else numbered
    return NamedSpeaker(
        label=label,
        name=kept or automatic,
        automatic=automatic,
        suggested=suggestion.name if suggestion else None,
        confidence=suggestion.confidence if suggestion else None,
        evidence=suggestion.evidence if suggestion else [],
        total_s=total_s,
    )


def words_by_voice(speakers: Speakers) -> dict[str, frozenset[str]]:
    """The folded words of every voice's name, without those that are only numbered."""
    named = (s for s in speakers.speakers if s.name == s.suggested or s.name != s.automatic)
    return {s.label: frozenset(fold(word) for word in s.name.split()) for s in named}


def kept_names(speakers: Speakers, transcript: Transcript | None, turns: Turns) -> dict[str, str]:
    """Names that the user edited, by the label which now speaks the words that the edited label spoke.

    Diarization numbers its voices anew at every run: by label alone a name could move to somebody else. A voice that has no
    majority of its words under any one label loses its name. `transcript`: the one that was written with `speakers`.
    """
    edited = {s.label: s.name.strip() for s in speakers.speakers if s.name.strip() and s.name != s.automatic}
    if transcript is None:
        return edited
    total_s: dict[str, float] = defaultdict(float)
    shared_s: dict[tuple[str, str], float] = defaultdict(float)
    for word in (word for segment in transcript.segments for word in segment.words):
        if word.speaker in edited:
            total_s[word.speaker] += word.end - word.start
            shared_s[word.speaker, turns.speaker(word)] += word.end - word.start
    kept: dict[str, str] = {}
    for (before, now), seconds in sorted(shared_s.items(), key=lambda item: (-item[1], item[0])):
        if now != UNKNOWN and now not in kept and 2 * seconds > total_s[before]:
            kept[now] = edited[before]
    return kept
