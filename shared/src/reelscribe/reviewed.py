"""What a user decided about corrections: accepted, rejected, undone. Every later run finds it, and none decodes again for it.

A decision about a word holds wherever the word is heard, and is a line of the user's glossary file (GLOSSARY, else glossary.txt beside
the movie), behind which `# reviewed` stands:

    jay dev => Jaidev  # reviewed
    !Marwick  # reviewed
    Jaidev Rathore  # reviewed

Only post-ner reads these lines: the glossary that the decoder is told stays as it was, so what runs again is post-ner and what comes
after it. Take the comment away, and the line is an ordinary one. A decision about one place, or one that the glossary file cannot take,
is kept in the movie directory.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reelscribe import logger
from reelscribe.artifacts import atomic_write, read_bounded, read_json, write_json
from reelscribe.errors import BadInputError
from reelscribe.schemas import Correction, Glossary, Reviewed, Term

GLOSSARY_NAME = "glossary.txt"
FILE = "corrected/reviewed.json"
MARK = "# reviewed"
MAX_BYTES = 1 << 20  # of a glossary file
_MARKED = re.compile(r"\s#\s*reviewed\s*$")


def glossary_file(movie: Path, given: Path | None) -> Path | None:
    """The user's: the one `given` (also when it is not there), else glossary.txt beside the movie. Relative: to here, else to the movie."""
    if given is None:
        beside = movie.parent / GLOSSARY_NAME
        return beside if beside.is_file() else None
    here = given.absolute()
    return here if here.exists() or given.is_absolute() else movie.parent / given


def is_reviewed(line: str) -> bool:
    """Whether a line of the glossary file was written by a review."""
    return bool(_MARKED.search(line))


@dataclass(frozen=True)
class Decisions:
    """`accepted`: (wrong, right); `rejected`: words to be left alone; `terms`: names; `places`: what holds in one place only."""

    accepted: tuple[tuple[str, str], ...] = ()
    rejected: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    places: Reviewed = field(default_factory=Reviewed)


def read(movie_dir: Path, glossary: Path | None) -> Decisions:
    """Every decision there is. Raises BadInputError when a file is damaged."""
    places = in_places(movie_dir)
    entries = [*lines(glossary), *places.lines]
    pairs = (entry.split("=>", 1) for entry in entries if "=>" in entry)
    return Decisions(
        accepted=tuple(dict.fromkeys((wrong.strip(), right.strip()) for wrong, right in pairs)),
        rejected=tuple(dict.fromkeys(entry[1:].strip() for entry in entries if entry.startswith("!"))),
        terms=tuple(dict.fromkeys(entry for entry in entries if entry and "=>" not in entry and not entry.startswith("!"))),
        places=places,
    )


def with_terms(glossary: Glossary, terms: Sequence[str]) -> Glossary:
    """The glossary with names that a review added: as heavy as the user's own, and unknown to the decoder."""
    if not terms:
        return glossary
    added = [Term(text=text, kind="other", weight=1.0, source="reviewed") for text in terms]
    return glossary.model_copy(update={"terms": [*added, *glossary.terms]})


def lines(glossary: Path | None) -> list[str]:
    """What reviews wrote into the glossary file, without the mark."""
    return [_entry(line) for line in _all_lines(glossary) if is_reviewed(line)]


def in_places(movie_dir: Path) -> Reviewed:
    """What is kept in the movie directory."""
    path = movie_dir / FILE
    return read_json(path, Reviewed) if path.is_file() else Reviewed()


def digest(places: Reviewed) -> str:
    """Changes when a decision does."""
    return hashlib.sha256(places.model_dump_json().encode()).hexdigest()[:16]


class Memory:
    """Where decisions are written. `glossary`: the file that may take lines; it is made when it is not there."""

    def __init__(self, movie_dir: Path, glossary: Path) -> None:
        self._movie_dir = movie_dir
        self._glossary = glossary
        self.places = in_places(movie_dir)

    def accept(self, correction: Correction, *, everywhere: bool) -> str:
        """Keep the change, whatever is decided about others; says where that is remembered."""
        self.forget(correction)
        if everywhere:
            return self.remember(f"{correction.heard} => {correction.written}")
        self.places.accepted.append(correction)
        return self._save()

    def reject(self, correction: Correction) -> str:
        """Leave the heard words alone, wherever they are heard."""
        self.forget(correction)
        return self.remember(f"!{correction.heard}")

    def undo(self, correction: Correction) -> str:
        """Leave them alone in this place."""
        self.forget(correction)
        self.places.undone.append(correction)
        return self._save()

    def forget(self, correction: Correction) -> None:
        """Take back what was decided about it before."""
        lines = (f"{correction.heard} => {correction.written}", f"!{correction.heard}")

        def other(entry: str) -> bool:
            return entry.casefold() not in (line.casefold() for line in lines)

        before = self.places.model_copy(deep=True)
        self.places.accepted = [c for c in self.places.accepted if c.id != correction.id]
        self.places.undone = [c for c in self.places.undone if c.id != correction.id]
        self.places.lines = [line for line in self.places.lines if other(line)]
        if self.places != before:
            self._save()
        written = _all_lines(self._glossary)
        kept = [line for line in written if not is_reviewed(line) or other(_entry(line))]
        if kept != written:
            write_lines(self._glossary, kept)

    def remember(self, entry: str) -> str:
        """Write a line that reviews may write; says where it is."""
        lines = _all_lines(self._glossary)
        if any(_entry(line).casefold() == entry.casefold() for line in lines):
            return str(self._glossary)
        try:
            write_lines(self._glossary, [*lines, f"{entry}  {MARK}"])
        except OSError as error:
            logger.get().warning("%s cannot be written (%s): remembered for this movie alone", self._glossary, error.strerror)
            self.places.lines.append(entry)
            return self._save()
        return str(self._glossary)

    def lines(self) -> list[str]:
        """What reviews wrote, wherever it is kept."""
        return [*lines(self._glossary), *self.places.lines]

    def forget_line(self, entry: str) -> bool:
        """Take such a line away; False when there is none."""
        if entry in self.places.lines:
            self.places.lines.remove(entry)
            self._save()
            return True
        written = _all_lines(self._glossary)
        kept = [line for line in written if not (is_reviewed(line) and _entry(line) == entry)]
        if kept != written:
            write_lines(self._glossary, kept)
        return kept != written

    def _save(self) -> str:
        path = self._movie_dir / FILE
        write_json(path, self.places)
        return str(path)


def _all_lines(glossary: Path | None) -> list[str]:
    if glossary is None or not glossary.is_file():
        return []
    try:
        return read_bounded(glossary, MAX_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"the glossary {glossary} cannot be read: {error}", remedy="save it as UTF-8 text") from error


def _entry(line: str) -> str:
    """The line without its mark, spaces as the glossary file's reader has them."""
    return " ".join(_MARKED.sub("", line).split())


def write_lines(glossary: Path, lines: Sequence[str]) -> None:
    """Replace the glossary file; through a link, what it leads to."""
    with atomic_write(glossary.resolve()) as f:
        f.writelines(f"{line}\n" for line in lines)
