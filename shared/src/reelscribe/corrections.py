"""The names that post-ner mended in a movie, as a table, and what you think of them.

    python -m reelscribe.corrections DIR [--undo ID,…] [--reject ID,…] [--accept ID,…] [--forget ID,…] [--json]

--undo leaves one place as it was heard, --reject the same words wherever they are heard, --accept keeps the change whatever changes
otherwise, --forget takes such a decision back. What holds everywhere becomes a line of your glossary file, the rest stays in the movie
directory (reelscribe.reviewed). Afterwards native/pipeline.sh --resume DIR runs post-ner and what comes after it, and nothing before.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reelscribe import jobs, lease, logger, reviewed, stage_table
from reelscribe.artifacts import read_json
from reelscribe.command_line import command, names
from reelscribe.errors import BadInputError, MissingInputError
from reelscribe.schemas import Correction, Corrections, Transcript
from reelscribe.stage import load_contract

State = Literal["made", "accepted", "undone"]
_DECISIONS = ("undo", "reject", "accept", "forget")
_LEDGER = "corrected/corrections.json"
_TRANSCRIPT = "corrected/transcript.json"


@dataclass(frozen=True)
class Line:
    """A correction as the table shows it. `text`: the segment it is in, as it stands."""

    correction: Correction
    state: State
    text: str


def lines(movie_dir: Path) -> list[Line]:
    """All corrections of a movie, in order. Raises MissingInputError when post-ner has not run yet."""
    ledger, transcript = _read(movie_dir)
    spoken = {segment.id: segment.text for segment in transcript.segments}
    english = {segment.id: segment.text for segment in transcript.translation or []}
    found = [
        *(_line(c, spoken) for c in ledger.corrections),
        *(_line(c, english) for c in ledger.translation),
        *(Line(c, "undone", spoken.get(c.segment, "")) for c in ledger.undone),
    ]
    # What was undone in a translation is not in the ledger any more.
    listed = {line.correction.id for line in found}
    found += [Line(c, "undone", english.get(c.segment, "")) for c in reviewed.in_places(movie_dir).undone if c.id not in listed]
    return sorted(found, key=lambda line: (line.correction.start, line.correction.first))


def _line(correction: Correction, texts: dict[int, str]) -> Line:
    return Line(correction, "accepted" if correction.rule in ("accepted", "user") else "made", texts.get(correction.segment, ""))


def _read(movie_dir: Path) -> tuple[Corrections, Transcript]:
    for name in (_LEDGER, _TRANSCRIPT):
        if not (movie_dir / name).is_file():
            raise MissingInputError(name, "post-ner")
    return read_json(movie_dir / _LEDGER, Corrections), read_json(movie_dir / _TRANSCRIPT, Transcript)


def decide(
    movie_dir: Path, *, undo: Sequence[str] = (), reject: Sequence[str] = (), accept: Sequence[str] = (), forget: Sequence[str] = ()
) -> int:
    """Remember decisions about corrections by their ids; how many there were. Raises BadInputError for an id that is none, BusyError."""
    if not (undo or reject or accept or forget):
        return 0
    with lease.held(movie_dir):
        return _decide(movie_dir, undo, reject, accept, forget)


def _decide(movie_dir: Path, undo: Sequence[str], reject: Sequence[str], accept: Sequence[str], forget: Sequence[str]) -> int:
    """With the movie directory held: what a run at work reads does not change under it."""
    known = {line.correction.id: line.correction for line in lines(movie_dir)}
    # All ids are looked at before anything is remembered.
    undone, rejected, accepted, forgotten = ([_known(one, known) for one in ids] for ids in (undo, reject, accept, forget))
    for correction in rejected:
        _refuse_own_line(correction)
    memory = reviewed.Memory(movie_dir, glossary_of(movie_dir))
    for correction in undone:
        _say(correction, "undone here", memory.undo(correction))
    for correction in rejected:
        _say(correction, "rejected everywhere", memory.reject(correction))
    for correction in accepted:
        everywhere = not stands(correction.heard, movie_dir)
        _say(correction, "accepted everywhere" if everywhere else "accepted here", memory.accept(correction, everywhere=everywhere))
    for correction in forgotten:
        memory.forget(correction)
    return len(undone) + len(rejected) + len(accepted) + len(forgotten)


def _known(number: str, known: dict[str, Correction]) -> Correction:
    if number not in known:
        raise BadInputError(f"there is no correction {number}", remedy="the table lists them: native/pipeline.sh --corrections DIR")
    return known[number]


def _refuse_own_line(correction: Correction) -> None:
    if correction.rule == "user":
        raise BadInputError(
            f"{correction.id} is your own line {correction.heard} => {correction.written}",
            remedy="take it out of your glossary file, or use --undo for this place",
        )


def _say(correction: Correction, what: str, where: str) -> None:
    logger.get().info("%s → %s: %s (%s)", correction.heard, correction.written, what, where)


def glossary_of(movie_dir: Path) -> Path:
    """The user's glossary file for this movie, or where it would be."""
    movie = jobs.movie_of(movie_dir)
    options, _ = jobs.options_of(load_contract(stage_table.find("post-ner")), movie_dir)
    return reviewed.glossary_file(movie, options.glossary) or movie.parent / reviewed.GLOSSARY_NAME


def stands(heard: str, movie_dir: Path) -> bool:
    """Whether the words still stand somewhere: `heard => written` would then change more than this."""
    wanted = [_bare(word) for word in heard.split()]
    for segment in _read(movie_dir)[1].segments:
        words = [_bare(word.word) for word in segment.words]
        if any(words[at : at + len(wanted)] == wanted for at in range(len(words) - len(wanted) + 1)):
            return True
    return False


def _bare(word: str) -> str:
    """Letters and digits alone, as a glossary line is matched."""
    return "".join(c for c in re.sub(r"(-ji)?(['’]s)?\W*$", "", word.casefold()) if c.isalnum())


def print_table(found: Sequence[Line]) -> None:
    """The table on stdout. The ledger may be somebody else's."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"made": "", "accepted": "green", "undone": "yellow"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "time", "heard", "written", "rule", "score", "state", "line"):
        table.add_column(name, justify="right" if name == "score" else "left", overflow="fold")
    for line in found:
        c = line.correction
        score = f"{c.scores['score']:.2f}" if "score" in c.scores else ""
        cells = (c.id, _clock(c.start), c.heard, c.written, c.rule, score)
        table.add_row(*(Text(logger.plain(cell)) for cell in cells), Text(line.state, colours[line.state]), Text(logger.plain(line.text)))
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    console.print(table)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"


def as_json(found: Sequence[Line]) -> str:
    """The same for programs."""
    return json.dumps([{**line.correction.model_dump(), "state": line.state, "text": line.text} for line in found], ensure_ascii=False)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = _parser().parse_args(arguments)
    movie_dir = jobs.existing(Path(args.movie_dir), Path(args.out))
    if decide(movie_dir, **{name: [one for said in getattr(args, name) for one in said] for name in _DECISIONS}):
        return
    found = lines(movie_dir)
    if args.json:
        logger.result(as_json(found))
    else:
        print_table(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reelscribe.corrections", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("movie_dir", metavar="DIR", help="a movie directory, or the movie")
    parser.add_argument("--out", default="out", help="where movie directories are, when DIR is a movie")
    for name in _DECISIONS:
        parser.add_argument(f"--{name}", action="append", default=[], metavar="ID,…", type=names)
    parser.add_argument("--json", action="store_true", help="the table as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
