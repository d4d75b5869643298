"""Which audio track the dialogue is taken from."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from reelscribe.errors import BadInputError, UsageError
from reelscribe.schemas import Stream

_OTHER_THAN_DIALOGUE = frozenset(["comment", "visual_impaired", "descriptions", "clean_effects", "karaoke"])
_LOWEST_RATE = 2000  # telephones have 8000; a movie that is said to have 1 would last for days
_LISTED, _SHOWN = 24, 60  # tracks of a movie, characters of a title
_OTHER_TITLES = re.compile(
    r"comment|kommentar|comentari|commento|descri(pti|bed)|audiodes|\b(AD|DVS|M ?& ?E)\b|blind|sehbehindert|malvoyant"
    r"|isolated|(score|music|effects) only|music (and|&) effects|karaoke",
    re.IGNORECASE,
)


def choose(streams: list[Stream], wanted: str, language: str) -> tuple[Stream, str]:
    """The audio stream to transcribe and why.

    streams: all of the movie. wanted: "auto", a track's number as players count them (1 is the first) or a language code.
    language: the language spoken in the movie, or "auto".

    Raises BadInputError when the movie has no audio that can be decoded, UsageError when the wanted track is not there.
    """
    tracks = [s for s in streams if s.kind == "audio"]
    if not tracks:
        raise BadInputError("the movie has no audio track", remedy="subtitles are made from speech: give a movie with sound")
    candidates = [s for s in tracks if s.codec and s.channels]
    if wanted.isdecimal():
        candidates, reason = [s for s in candidates if str(tracks.index(s) + 1) == wanted], "asked for"
    elif wanted != "auto":
        candidates, reason = [s for s in candidates if s.language == wanted], f"{wanted} was asked for"
    else:
        reason = ""
    if not candidates and reason:
        raise UsageError(f"AUDIO_TRACK={wanted}: there is no such track", remedy=f"the movie's audio tracks are: {listing(tracks)}")
    if not candidates:
        raise BadInputError(
            f"no audio track can be decoded: {listing(tracks)}",
            remedy="it may be protected: give a copy without",
        )
    best, why = _best(candidates, language)
    if best.sample_rate and best.sample_rate < _LOWEST_RATE:
        raise BadInputError(
            f"the audio track is said to have {best.sample_rate} samples a second, which is no speech",
            remedy="choose another with AUDIO_TRACK",
        )
    return best, "; ".join(filter(None, [reason, why]))


def is_dialogue(track: Stream) -> bool:
    """Neither commentary nor audio description nor music alone, as far as flags and title say."""
    return not _OTHER_THAN_DIALOGUE.intersection(track.dispositions) and not _OTHER_TITLES.search(track.title or "")


def shown(track: Stream) -> str:
    """One track as people know it: `fr, ac3 5.1(side), "Director's commentary"`."""
    parts = [track.language or "language unknown", f"{track.codec or 'unknown codec'} {track.layout or ''}".strip()]
    return ", ".join([*parts, *([f'"{track.title[:_SHOWN]}"'] if track.title else [])])


def listing(tracks: list[Stream]) -> str:
    """The first tracks with their numbers."""
    named = [f"{number} ({shown(track)})" for number, track in enumerate(tracks[:_LISTED], 1)]
    return "; ".join([*named, *([f"and {len(tracks) - _LISTED} more"] if len(tracks) > _LISTED else [])])


def _best(candidates: list[Stream], language: str) -> tuple[Stream, str]:
    """The best candidate and what it has before the others: the first rule that decides rules."""
    rules: list[tuple[str, Callable[[Stream], Any]]] = [("no commentary or description", is_dialogue)]
    if language != "auto":
        rules.append((f"in the movie's language {language}", lambda s: s.language == language))
    rules += [("marked as default", lambda s: s.default), ("most channels", lambda s: s.channels or 0)]
    left, reasons = candidates, []
    for reason, value in rules:
        top = max(map(value, left))
        kept = [s for s in left if value(s) == top]
        if len(kept) < len(left):
            reasons.append(reason)
        left = kept
    if len(candidates) == 1:
        return left[0], "the only one"
    if len(left) > 1:
        reasons.append(f"the first of {len(left)} alike")
    return left[0], ", ".join(reasons)
