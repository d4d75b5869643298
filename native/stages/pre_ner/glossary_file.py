"""The user's own glossary file, one entry on a line:

Jaidev Rathore                    a term
jay dev => Jaidev                 always write the right side
!Hope                             never touch this word
00:10:00-00:20:00 Chowpatty       a term that matters only there
# and comments, also behind an entry
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NoReturn

from reelscribe.artifacts import read_bounded
from reelscribe.errors import BadInputError
from reelscribe.reviewed import MAX_BYTES, is_reviewed
from reelscribe.schemas import Replacement, Term

SOURCE = "user"
WEIGHT = 1.0
_MAX_CHARACTERS = 100
_JOINERS = re.compile("[\u200c\u200d]")  # letters of Indic scripts and of Persian are joined and parted by them
_COMMENT = re.compile(r"(^|\s)#(\s.*)?$|^#.*")
_TIME = r"(?:(\d{1,2}):)?(\d{1,3}):(\d{2}(?:[.,]\d{1,3})?)"
_RANGE = re.compile(rf"{_TIME}\s*[-–]\s*{_TIME}(?:\s+|$)")
_MEANT_AS_RANGE = re.compile(r"\d+:\d\S*\s*[-–]|\d[\d:.,]*\s*[-–]\s*\d+:\d")


class UserGlossary:
    """What the file says, in its order."""

    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.replacements: list[Replacement] = []
        self.never: list[str] = []
        self.right: dict[str, str] = {}  # by the folded wrong side


def without_reviews(path: Path | None) -> str | None:
    """Digest of what the file says beside the lines that reviews of corrections wrote, which concern post-ner alone."""
    if path is None or not path.is_file():
        return None
    written = read_bounded(path, MAX_BYTES).decode("utf-8-sig", errors="replace").splitlines()
    own = [line.strip() for line in written if line.strip() and not is_reviewed(line)]
    return hashlib.sha256("\n".join(own).encode()).hexdigest() if own else None


def read(path: Path) -> UserGlossary:
    """Raises BadInputError with the line's number when a line means nothing."""
    glossary = UserGlossary()
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if is_reviewed(line):
            continue
        entry = " ".join(_COMMENT.sub("", line.strip()).split())
        if entry:
            _Line(path, number).add(entry, glossary)
    return glossary


def _text(path: Path) -> str:
    remedy = "GLOSSARY names a text file with a term on each line"
    if not path.is_file():
        raise BadInputError(f"the glossary {path} {'is no file' if path.exists() else 'is not there'}", remedy=remedy)
    try:
        return read_bounded(path, MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise BadInputError(f"the glossary {path} cannot be read: {error.strerror}", remedy="check the file's permissions") from error
    except UnicodeDecodeError as error:
        raise BadInputError(f"the glossary {path} is not UTF-8 text", remedy="save it as UTF-8") from error


class _Line:
    """One line of the file, for parsing and for complaints."""

    def __init__(self, path: Path, number: int) -> None:
        self._where = f"{path.name}, line {number}"

    def add(self, entry: str, glossary: UserGlossary) -> None:
        """Put what `entry` says into `glossary`."""
        start, end, rest = self._time_range(entry)
        if rest.startswith("!"):
            self._refuse_time(start, "a word to leave alone")
            if "=>" in rest:
                self._fail("a word to leave alone and a replacement at once", "write !never or wrong => right")
            glossary.never.append(self._checked(rest[1:]))
        elif "=>" in rest:
            self._refuse_time(start, "a replacement")
            self._add_replacement(rest, glossary)
        else:
            text = self._checked(rest)
            glossary.terms.append(Term(text=text, kind="other", weight=WEIGHT, source=SOURCE, start=start, end=end))

    def _time_range(self, entry: str) -> tuple[float | None, float | None, str]:
        """Seconds, seconds, and what follows; no range is None, None."""
        found = _RANGE.match(entry)
        if not found:
            if _MEANT_AS_RANGE.match(entry):
                self._fail(f"{entry.split()[0]!r} is no time range", "write it as 00:10:00-00:20:00, hours:minutes:seconds")
            return None, None, entry
        start, end = self._seconds(*found.groups()[:3]), self._seconds(*found.groups()[3:])
        if end <= start:
            self._fail(f"{found[0].strip()} ends before it starts", "write the earlier time first")
        return start, end, entry[found.end() :]

    def _seconds(self, hours: str | None, minutes: str, seconds: str) -> float:
        parts = float(hours or 0), float(minutes), float(seconds.replace(",", "."))
        if parts[2] >= 60 or (hours is not None and parts[1] >= 60):
            self._fail(f"{':'.join(p for p in (hours, minutes, seconds) if p)} is no time", "minutes and seconds go up to 59")
        return parts[0] * 3600 + parts[1] * 60 + parts[2]

    def _add_replacement(self, entry: str, glossary: UserGlossary) -> None:
        sides = [side.strip() for side in entry.split("=>")]
        if len(sides) != 2:
            self._fail("more than one =>", "write one replacement on a line")
        wrong, right = (self._checked(side) for side in sides)
        if wrong == right:
            self._fail(f"{wrong!r} is replaced by itself", "write wrong => right")
        known = glossary.right.setdefault(wrong.casefold(), right)
        if known != right:
            self._fail(f"{wrong!r} is already replaced by {known!r}", "keep one of the two lines")
        glossary.replacements.append(Replacement(wrong=wrong, right=right))

    def _refuse_time(self, start: float | None, what: str) -> None:
        if start is not None:
            self._fail(f"{what} cannot have a time range", "remove the times")

    def _checked(self, text: str) -> str:
        """The text of a term."""
        text = text.strip()
        if not any(c.isalnum() for c in text):
            self._fail(
                f"{text!r} is no word" if text else "a word is missing", "write: term, wrong => right, !never, or 00:10:00-00:20:00 term"
            )
        if len(text) > _MAX_CHARACTERS:
            self._fail(f"a term of {len(text)} characters", f"a term has at most {_MAX_CHARACTERS}")
        if not _JOINERS.sub("", text).isprintable():
            self._fail("control characters", "save the file as plain text")
        return text

    def _fail(self, what: str, remedy: str) -> NoReturn:
        raise BadInputError(f"{self._where}: {what}", remedy=remedy)
