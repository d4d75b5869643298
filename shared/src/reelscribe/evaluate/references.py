"""What is true, as people write it down: text, times, speakers, names."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reelscribe.artifacts import read_bounded
from reelscribe.errors import BadInputError
from reelscribe.evaluate.made import read_cues
from reelscribe.schemas import Turn

_MAX_BYTES = 256 << 20
_NAME_LINE = re.compile(r"^(?P<name>[^:]*[^:\s])\s*(?::\s*(?P<numbers>\d+(?:\s*,\s*\d+)*))?$")


class TimedWord(BaseModel):
    """A word as it is written; `start` where it is known."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    word: str
    start: float | None = None


class Piece(BaseModel):
    """A sentence, or what else a reference is made of. Without `words`, only the first one's start may be known: the piece's."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    text: str
    start: float | None = None
    end: float | None = None
    speaker: str | None = None
    words: list[TimedWord] = []

    def timed(self) -> list[TimedWord]:
        """Every word of the text."""
        if [word.word for word in self.words] == self.text.split():
            return self.words
        return [TimedWord(word=word, start=None if i else self.start) for i, word in enumerate(self.text.split())]


class _TranscriptFile(BaseModel):
    model_config = ConfigDict(extra="ignore")

    language: str | None = None
    sentences: list[Piece] = Field(min_length=1)


@dataclass(frozen=True)
class Expected:
    """A name; `numbers`: which of its occurrences in the text are the name (from 1), all where there are none."""

    text: str
    numbers: frozenset[int] = frozenset()


@dataclass
class Reference:
    """`turns`: of an RTTM file, else the pieces that have a speaker and times. `names` is None when no list was given."""

    pieces: list[Piece] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    names: list[Expected] | None = None
    language: str | None = None

    @classmethod
    def read(cls, paths: Sequence[Path], names: Path | None = None) -> Reference:
        """Raises BadInputError when a file means nothing, or when two say the same."""
        reference = cls()
        for path in paths:
            reader = _READERS.get(path.suffix.lower())
            if reader is None:
                known = " ".join(_READERS)
                raise BadInputError(f"{path}: {path.suffix or 'a file without suffix'} is no reference", remedy=f"references are {known}")
            reader(reference, path)
        if not reference.turns:
            spoken = [p for p in reference.pieces if p.speaker and p.start is not None and p.end is not None]
            reference.turns = [Turn(start=p.start or 0.0, end=p.end or 0.0, speaker=p.speaker or "") for p in spoken]
        if names:
            reference.names = _names(names)
        return reference

    def set_pieces(self, path: Path, pieces: list[Piece]) -> None:
        """What is said."""
        if self.pieces:
            raise BadInputError(f"{path} is a second transcript", remedy="give one .json, .srt, .vtt or .txt, and an .rttm")
        if not any(piece.text.split() for piece in pieces):
            raise BadInputError(f"{path} holds no words", remedy="a reference says what is spoken in the movie")
        self.pieces = [piece for piece in pieces if piece.text.split()]


def _read_text(path: Path) -> str:
    try:
        return read_bounded(path, _MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}", remedy="check the name and the permissions") from error
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path} is not UTF-8 text", remedy="save it as UTF-8") from error


def _read_json(reference: Reference, path: Path) -> None:
    remedy = 'it holds {"sentences": [{"text": …}, …]}, as examples/station/station.json'
    try:
        content: Any = json.loads(_read_text(path))
        if isinstance(content, dict) and "segments" in content:
            content = {"sentences": content["segments"], **content}
        found = _TranscriptFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadInputError(f"{path} is no transcript: {where}: {first['msg']}", remedy=remedy) from error
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{path} is not JSON: {error}", remedy=remedy) from error
    reference.set_pieces(path, found.sentences)
    reference.language = found.language


def _read_subtitles(reference: Reference, path: Path) -> None:
    reference.set_pieces(path, [Piece(text=cue.text, start=cue.start, end=cue.end) for cue in read_cues(path)])


def _read_plain(reference: Reference, path: Path) -> None:
    reference.set_pieces(path, [Piece(text=line) for line in _read_text(path).splitlines()])


def _read_rttm(reference: Reference, path: Path) -> None:
    """NIST's format: type, recording, channel, start, duration, <NA>, <NA>, speaker, …"""
    recordings = set()
    turns = []
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        parts = line.split()
        if not parts or parts[0] != "SPEAKER":
            continue
        try:
            start, duration, speaker = float(parts[3]), float(parts[4]), parts[7]
        except (IndexError, ValueError):
            start = duration = math.nan
        if not (start >= 0 and 0 <= duration < math.inf):
            remedy = "a turn is: SPEAKER file 1 start duration <NA> <NA> name <NA> <NA>"
            raise BadInputError(f"{path}, line {number} is no turn: {line.strip()[:60]!r}", remedy=remedy)
        recordings.add(parts[1])
        turns.append(Turn(start=start, end=start + duration, speaker=speaker))
    if len(recordings) != 1:
        has = f"the turns of {len(recordings)} recordings" if recordings else "no turns"
        raise BadInputError(f"{path} has {has}", remedy="give the RTTM file of this one movie")
    if reference.turns:
        raise BadInputError(f"{path} is a second RTTM file", remedy="give one")
    reference.turns = turns


def _names(path: Path) -> list[Expected]:
    found = []
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        match = _NAME_LINE.match(entry)
        if not match or not any(c.isalnum() for c in match["name"]):
            raise BadInputError(f"{path}, line {number} is no name: {entry[:60]!r}", remedy="write a name, or a name: 1, 3")
        numbers = re.findall(r"\d+", match["numbers"] or "")
        found.append(Expected(" ".join(match["name"].split()), frozenset(map(int, numbers))))
    if not found:
        raise BadInputError(f"{path} names nobody", remedy="write a name on each line")
    return found


_READERS: dict[str, Callable[[Reference, Path], None]] = {
    ".json": _read_json,
    ".srt": _read_subtitles,
    ".vtt": _read_subtitles,
    ".txt": _read_plain,
    ".rttm": _read_rttm,
}
