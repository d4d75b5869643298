"""The cues of every subtitle track, joined with the words they were made of: how sure each word is, and what was mended."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from reelscribe import subtitles
from reelscribe.artifacts import read_bounded
from reelscribe.errors import BadInputError
from reelscribe.report import quality
from reelscribe.report.sources import Sources
from reelscribe.schemas import Correction, QcTrack, Segment, Track, Word

DOUBTFUL = 0.5  # a word's probability below which the page shades it
_MAX_BYTES = 64 << 20
_EDGE_S = 0.05  # how far a word's middle may lie outside of its cue
_FORMATS = ("srt", "vtt", "ass")  # the one to be read where a track is there in several


@dataclass(frozen=True)
class Placed:
    """A word of the transcript, the change it was part of, and what is doubtful about its segment."""

    word: Word
    middle: float
    correction: Correction | None
    marks: tuple[str, ...]


def tracks(sources: Sources) -> list[dict[str, Any]]:
    """Every language's cues, the default track first."""
    listed = sources.tracks.tracks if sources.tracks else []
    chosen: dict[tuple[str, str], Track] = {}
    for track in sorted((t for t in listed if t.format in _FORMATS), key=lambda t: (not t.default, _FORMATS.index(t.format))):
        chosen.setdefault((track.language, track.title), track)
    made = [_from_file(sources, track) for track in chosen.values()]
    if sources.tracks and not chosen and sources.qc:
        made = [_from_qc(sources, track) for track in sources.qc.tracks]
    return [track for track in made if track]


def _from_file(sources: Sources, track: Track) -> dict[str, Any] | None:
    try:
        events = read_events(sources.dir / "subtitles" / track.file)
    except (OSError, ValueError, BadInputError) as error:
        sources.problems.append(f"{track.file} cannot be read: {error}")
        return None
    return {
        "language": track.language,
        "title": track.title,
        "file": f"subtitles/{track.file}",
        "cues": _cues(sources, track.language, events),
    }


def _from_qc(sources: Sources, track: QcTrack) -> dict[str, Any]:
    """The cues where no file with times was asked for (--formats txt)."""
    events = [(round(cue.start * 1000), round(cue.end * 1000), "\n".join(cue.lines)) for cue in track.cues]
    return {"language": track.language, "title": track.language, "file": "", "cues": _cues(sources, track.language, events)}


def _cues(sources: Sources, language: str, events: Sequence[tuple[int, int, str]]) -> list[dict[str, Any]]:
    checked = quality.of_track(sources, language)
    words = _words(sources, language)
    middles = [placed.middle for placed in words]
    cues = []
    for number, (start_ms, end_ms, text) in enumerate(events, 1):
        first = bisect_left(middles, start_ms / 1000 - _EDGE_S)
        last = bisect_left(middles, end_ms / 1000 + _EDGE_S)
        cue = {"id": number, "start": start_ms / 1000, "end": end_ms / 1000, **_joined(text, words[first:last])}
        cues.append({**cue, **checked.get(quality.key(start_ms), {"faults": []})})
    return cues


def read_events(path: Path) -> list[tuple[int, int, str]]:
    """(start_ms, end_ms, text) of every cue of a subtitle file. Raises OSError, ValueError, BadInputError."""
    found = subtitles.parsed(read_bounded(path, _MAX_BYTES).decode("utf-8"), keep_unknown_html_tags=True)
    return [(event.start, event.end, _plain(event.text)) for event in sorted(found)]


def _plain(text: str) -> str:
    r"""SubStation's line breaks as such, without its tags and what keeps players from seeing some in a text or turning its direction."""
    text = re.sub(r"(?<!\\)\{\\[^}]*\}", "", text)
    text = re.sub(r"\\[Nn]", "\n", text).replace(r"\h", "\xa0").replace(r"\{", "{").replace(r"\}", "}")
    return re.sub("[\u2060\u202a-\u202e]", "", text).strip()


# -- the words ----------------------------------------------------------------------------------------------------------


def _words(sources: Sources, language: str) -> list[Placed]:
    """The words that a track in `language` was made of, in the order of their middles."""
    transcript = sources.transcript
    if transcript is None:
        return []
    ledger = sources.corrections if sources.corrected else None
    if transcript.translation and language == "en":
        placed = _placed(transcript.translation, ledger.translation if ledger else [])
    else:
        placed = _placed(transcript.segments, ledger.corrections if ledger else [])
    return sorted(placed, key=lambda p: p.middle)


def _placed(segments: Sequence[Segment], corrections: Sequence[Correction]) -> Iterator[Placed]:
    mended = {(c.segment, n): c for c in corrections for n in range(c.first, c.last + 1)}
    for segment in segments:
        for number, word in enumerate(segment.words):
            yield Placed(word, (word.start + word.end) / 2, mended.get((segment.id, number)), tuple(segment.marks))


# -- a cue --------------------------------------------------------------------------------------------------------------


def _joined(text: str, words: Sequence[Placed]) -> dict[str, Any]:
    """`runs`: the text in pieces, each with what is to be told of it. `speakers`: labels, whoever says most first. `marks`: doubts."""
    owners = _owners(text, words)
    said = [words[n] for n in dict.fromkeys(n for n in owners if n is not None)]
    speakers = Counter[str]()
    for placed in said:
        if placed.word.speaker:
            speakers[placed.word.speaker] += len(placed.word.word)
    return {
        "runs": _runs(text, [None if n is None else words[n] for n in owners]),
        "speakers": [label for label, _ in speakers.most_common()],
        "marks": list(dict.fromkeys(mark for placed in said for mark in placed.marks)),
    }


def _owners(text: str, words: Sequence[Placed]) -> list[int | None]:
    """For every character of `text` the number of the word it belongs to.

    By letters, not by words between spaces: some scripts have none, and subtitles add hyphens and names.
    """
    letters = [n for n, c in enumerate(text) if not c.isspace()]
    spoken = [(c, n) for n, placed in enumerate(words) for c in placed.word.word if not c.isspace()]
    matcher = SequenceMatcher(None, [text[n] for n in letters], [c for c, _ in spoken], autojunk=False)
    owners: list[int | None] = [None] * len(text)
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            owners[letters[block.a + step]] = spoken[block.b + step][1]
    return owners


def _runs(text: str, owners: Sequence[Placed | None]) -> list[dict[str, Any]]:
    """The text in pieces: {"text"} and, where there is something to tell, "score", or "was" and "why" of a change."""
    runs: list[dict[str, Any]] = []
    keys: list[object] = []
    for character, key in zip(text, _between([_key(owner) for owner in owners], text), strict=True):
        if runs and key is keys[-1]:
            runs[-1]["text"] += character
            continue
        keys.append(key)
        runs.append({"text": character})
        if isinstance(key, Correction):
            runs[-1] |= {"was": key.old, "why": key.rule}
        elif isinstance(key, Placed):
            runs[-1]["score"] = key.word.score
    return runs


def _key(owner: Placed | None) -> Placed | Correction | None:
    """What a character's piece is told by: the change it is part of, the doubtful word, or nothing."""
    if owner is None:
        return None
    if owner.correction:
        return owner.correction
    return owner if owner.word.score is not None and owner.word.score < DOUBTFUL else None


def _between(keys: list[Placed | Correction | None], text: str) -> Iterator[Placed | Correction | None]:
    """`keys`, where a space inside a change of several words belongs to it."""
    for n, key in enumerate(keys):
        inside = text[n] == " " and 0 < n < len(keys) - 1 and keys[n - 1] is keys[n + 1]
        yield keys[n - 1] if inside else key
