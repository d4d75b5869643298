"""What the user may say, and where it is kept: every word is checked, written at once, and never to be lost when a run is busy."""

from __future__ import annotations

import re
import secrets
import threading
import unicodedata
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from reelscribe import corrections, edits, lease, reviewed
from reelscribe.artifacts import read_json, write_json
from reelscribe.edits import Edit, Edits, Rename, Track
from reelscribe.errors import ReelscribeError
from reelscribe.schemas import Speakers, Transcript

HEARD = "transcription/transcript.json"
SHOWN = "corrected/transcript.json"
SPEAKERS = "corrected/speakers.json"
_EDGE_S = 0.0015  # times have three decimals
_OUR_MARKS = re.compile("[\u2060\u202a-\u202e\u2066-\u2069\ufeff]")  # seen by nobody, and copied along from a subtitle file
_MEANT_AS_TIME = re.compile(r"\d+:\d")


class RefusedError(ReelscribeError):
    """What was said cannot be done; the message is for the user."""


class OutdatedError(RefusedError):
    """The page shows what is no longer there."""


# -- what can be said ---------------------------------------------------------------------------------------------------


def _readable(text: str) -> str:
    """Without control characters and halves of characters, which no subtitle may have, and what our files put around a text."""
    if any(unicodedata.category(c) in ("Cc", "Cs") and not c.isspace() for c in text):
        raise ValueError("there are control characters in it")
    return _OUR_MARKS.sub("", text)


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


_Text = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_readable)]
_Name = Annotated[str, StringConstraints(max_length=100), AfterValidator(_readable)]
_Line = Annotated[str, StringConstraints(max_length=220), AfterValidator(_readable)]
_Time = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class SetText(_Said):
    """`text` for the words from `start` to `end`, which the page shows as `was`: a line for each speaker's."""

    do: Literal["text"]
    english: bool
    start: _Time
    end: _Time
    was: Annotated[str, StringConstraints(max_length=20000)]
    text: _Text


class TakeBack(_Said):
    """An edit is to be forgotten."""

    do: Literal["take back"]
    id: Annotated[str, StringConstraints(max_length=32)]


class SetName(_Said):
    """A voice's name; "" is the automatic one."""

    do: Literal["name"]
    label: Annotated[str, StringConstraints(max_length=200)]
    name: _Name


class AddLine(_Said):
    """A line for the glossary file: a name, wrong => right, or !word."""

    do: Literal["line"]
    line: _Line


class ForgetLine(_Said):
    """Such a line is to be taken away."""

    do: Literal["forget"]
    line: Annotated[str, StringConstraints(max_length=1000)]


class Again(_Said):
    """Run again what failed."""

    do: Literal["again"]


Said = Annotated[SetText | TakeBack | SetName | AddLine | ForgetLine | Again, Field(discriminator="do")]
_SAID: TypeAdapter[SetText | TakeBack | SetName | AddLine | ForgetLine | Again] = TypeAdapter(Said)


# -- what is done -------------------------------------------------------------------------------------------------------


class Desk:
    """The user's decisions about one movie. One is kept at a time."""

    def __init__(self, movie_dir: Path) -> None:
        self._dir = movie_dir
        self._lock = threading.RLock()

    def take(self, body: bytes) -> None:
        """Do what `body` says, as JSON. Raises RefusedError, OutdatedError, ReelscribeError."""
        try:
            said = _SAID.validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where, why = ".".join(map(str, first["loc"][1:])), first["msg"].removeprefix("Value error, ")
            raise RefusedError(f"{where or 'the request'}: {why}") from error
        with self._lock:
            match said:
                case SetText():
                    self._set_text(said)
                case TakeBack():
                    self._take_back(said.id)
                case SetName():
                    self._set_name(said.label, " ".join(said.name.split()))
                case AddLine():
                    self._add_line(" ".join(said.line.split()))
                case ForgetLine():
                    self._forget_line(said.line)

    def kept(self) -> tuple[Edits, list[str]]:
        """Edits, and lines of the glossary that reviews wrote; none where the movie, which says where that is, is gone."""
        with self._lock:
            kept, lines = edits.read(self._dir), []
            with suppress(ReelscribeError):
                lines = self._memory().lines()
            return kept, lines

    def pending(self) -> bool:
        """Whether something is kept that no run has followed."""
        with self._lock:
            return edits.since(self._dir) or bool(edits.read(self._dir).names)

    def write_names(self) -> list[str]:
        """Put new names of voices where runs find them; those that could not be. Raises BusyError when a run is at work."""
        with self._lock:
            kept = edits.read(self._dir)
            if not kept.names:
                return []
            with lease.held(self._dir):
                speakers = read_json(self._dir / SPEAKERS, Speakers)
                lost = [rename.name for rename in kept.names if not _renamed(speakers, rename)]
                write_json(self._dir / SPEAKERS, speakers)
            edits.write(self._dir, kept.model_copy(update={"names": []}))
            return lost

    # -- cues -----------------------------------------------------------------------------------------------------------

    def _set_text(self, said: SetText) -> None:
        track = self._track(english=said.english)
        span = track.between(said.start, said.end)
        lines = lines_of(track, span) if span else []
        kept = edits.read(self._dir)
        seen = [text for _, text in lines]
        # What the page shows may be the user's own words, which no run has followed yet.
        saved = [_written(kept.edits, said.english, *track.times(run)) or text for run, text in lines]
        if not lines or _lines(said.was) not in (seen, saved):
            raise OutdatedError("this cue has changed since it was shown; copy what you wrote and press Esc to see it")
        new = _lines(said.text) or [""] * len(lines)
        if len(lines) == 1:
            new = [" ".join(new)]
        if len(new) != len(lines):
            raise RefusedError(f"{len(lines)} people speak in this cue: keep a line for each, or make it empty")
        changed = [(run, was, text) for (run, was), text, before in zip(lines, new, saved, strict=True) if text != before]
        for run, was, text in changed:
            start, end = track.times(run)
            heard = track.beneath(start, end)
            if not heard:
                raise RefusedError("nothing was heard here that an edit could stand on")
            beneath = {"heard": [word.word for word in heard], "heard_start": heard[0].start}
            edit = Edit(id=secrets.token_hex(4), english=said.english, start=start, end=end, was=was, text=text, **beneath)
            kept.edits = with_edit(kept.edits, edit)
        edits.write(self._dir, kept)

    def _track(self, *, english: bool) -> Track:
        heard, shown = read_json(self._dir / HEARD, Transcript), read_json(self._dir / SHOWN, Transcript)
        if english:
            return Track.of(heard.translation or [], shown.translation or [], "en")
        return Track.of(heard.segments, shown.segments, shown.language)

    def _take_back(self, number: str) -> None:
        kept = edits.read(self._dir)
        left = [edit for edit in kept.edits if edit.id != number]
        if len(left) == len(kept.edits):
            raise OutdatedError("this edit is no longer there")
        edits.write(self._dir, kept.model_copy(update={"edits": left}))

    # -- voices ---------------------------------------------------------------------------------------------------------

    def _set_name(self, label: str, name: str) -> None:
        speakers = read_json(self._dir / SPEAKERS, Speakers).speakers
        was = next((speaker.name for speaker in speakers if speaker.label == label), None)
        if was is None:
            raise OutdatedError("this voice is no longer there")
        kept = edits.read(self._dir)
        others = [rename for rename in kept.names if rename.label != label]
        edits.write(self._dir, kept.model_copy(update={"names": [*others, Rename(label=label, was=was, name=name)]}))

    # -- glossary -------------------------------------------------------------------------------------------------------

    def _memory(self) -> reviewed.Memory:
        return reviewed.Memory(self._dir, corrections.glossary_of(self._dir))

    def _add_line(self, line: str) -> None:
        memory = self._memory()
        check_line(line)
        wrong = line.partition("=>")[0].strip().casefold()
        if "=>" in line and any("=>" in one and one.partition("=>")[0].strip().casefold() == wrong for one in memory.lines()):
            raise RefusedError(f"there is a line for {wrong} already: take it away first")
        memory.remember(line)

    def _forget_line(self, line: str) -> None:
        if not self._memory().forget_line(line):
            raise OutdatedError("this line is no longer there")


def lines_of(track: Track, span: range) -> list[tuple[range, str]]:
    """The numbers and the text of each speaker's words, one after the other."""
    runs = [list(run) for _, run in groupby(span, key=lambda n: track.words[n].word.speaker)]
    return [(range(run[0], run[-1] + 1), track.text(track.words[run[0] : run[-1] + 1])) for run in runs]


def _written(made: list[Edit], english: bool, start: float, end: float) -> str | None:
    """What the user wrote for just these words."""
    same = (e.text for e in made if e.english == english and abs(e.start - start) < _EDGE_S and abs(e.end - end) < _EDGE_S)
    return next(same, None)


def _lines(text: str) -> list[str]:
    return [line for raw in text.split("\n") if (line := " ".join(raw.split()))]


def with_edit(made: list[Edit], new: Edit) -> list[Edit]:
    """The edits and a new one, without those that it wholly replaces and that no other stands on."""

    def within(one: Edit, other: Edit) -> bool:
        return one.english == other.english and other.start - _EDGE_S < one.start and one.end < other.end + _EDGE_S

    def touch(one: Edit, other: Edit) -> bool:
        return one is not other and one.english == other.english and one.start < other.end - _EDGE_S and other.start < one.end - _EDGE_S

    replaced = [e for e in made if within(e, new) and all(within(other, new) for other in made if touch(e, other))]
    left = [e for e in made if e not in replaced]
    same = next((e for e in replaced if within(new, e)), None)
    if same:
        new = new.model_copy(update={"was": same.was})
    restored = new.text == new.was and replaced in ([], [same])
    return left if restored else [*left, new]


def check_line(line: str) -> None:
    """Raise RefusedError for what the glossary file's reader would not take, or not as it is meant."""
    if "#" in line or _MEANT_AS_TIME.match(line):
        raise RefusedError("comments and times belong into the glossary file itself")
    sides = [side.strip() for side in line.split("=>")] if "=>" in line else [line.removeprefix("!").strip()]
    if len(sides) > 2 or (len(sides) == 2 and (line.startswith("!") or sides[0] == sides[1])):
        raise RefusedError("write a name, wrong => right, or !word")
    for side in sides:
        if not any(c.isalnum() for c in side):
            raise RefusedError("a word is missing: write a name, wrong => right, or !word")
        if len(side) > 100:
            raise RefusedError("a term has at most 100 characters")


def _renamed(speakers: Speakers, rename: Rename) -> bool:
    """Give the voice its name; False when it is another voice by now."""
    for speaker in speakers.speakers:
        if speaker.label == rename.label and speaker.name == rename.was:
            speaker.name = rename.name or speaker.automatic or rename.label
            return True
    return False
