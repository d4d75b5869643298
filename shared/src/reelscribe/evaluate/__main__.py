"""Measure a movie directory against references.

    native/venvs/core/bin/python -m reelscribe.evaluate out/Film --reference film.json --reference film.rttm --names names.txt

References, as many as there are; each makes some of the numbers possible:

    .json       {"language": "en", "sentences": [{"text", "start"?, "end"?, "speaker"?, "words"?: [{"word", "start"?}]}]}; WhisperX's
                {"segments": …} is the same
    .srt .vtt   subtitles of what is said: text with times
    .txt        text alone
    .rttm       who speaks when
    --names     a name on a line, spelt as it should be. "Hope: 1, 3" where the word is also something else: its first and third
                occurrence in the text are the name. # begins a comment

The table goes to stdout. Exit codes: 0 measured, 2 usage, 3 a reference or the movie directory cannot be used.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reelscribe import logger
from reelscribe.artifacts import refuse_strangers
from reelscribe.command_line import command
from reelscribe.errors import BadInputError, ExitCode
from reelscribe.evaluate import names, speakers, text, timing
from reelscribe.evaluate.made import Made
from reelscribe.evaluate.references import Reference
from reelscribe.evaluate.score import Score, as_table


def evaluate(made: Made, reference: Reference, *, language: str | None = None, collar: float = 0.25) -> list[Score]:
    """Everything that can be measured with these references. `collar`: seconds around a boundary of speech, both sides together."""
    language = language or reference.language or (made.transcript.language if made.transcript else "en")
    scores: list[Score] = []
    if reference.pieces and made.transcript:
        scores += text.scores(made, reference, language)
        scores += names.scores(made, reference)
    scores += speakers.scores(made, reference, collar)
    scores += timing.scores(made, reference)
    return scores


def _parser() -> argparse.ArgumentParser:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="reelscribe.evaluate", description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("movie_dir", type=Path, metavar="MOVIE_DIR")
    parser.add_argument("--reference", type=Path, action="append", default=[], metavar="FILE", required=True)
    parser.add_argument("--names", type=Path, metavar="FILE", help="the names that should be right")
    parser.add_argument("--language", metavar="CODE", help="of the reference, for what counts as the same word (default: what it says)")
    parser.add_argument(
        "--collar", type=float, default=0.25, metavar="S", help="not scored around a change of speaker, both sides together (default: 0.25)"
    )
    parser.add_argument("--json", action="store_true", help="everything, with counts and what was wrong, as JSON")
    return parser


def measure(args: argparse.Namespace) -> int:
    """Read, measure, write the answer."""
    if not args.movie_dir.is_dir():
        raise BadInputError(f"{args.movie_dir} is no movie directory", remedy="it is what pipeline.sh made: out/Film")
    if not 0 <= args.collar <= 10:
        raise BadInputError(f"a collar of {args.collar} s", remedy="seconds, from 0 to 10")
    refuse_strangers(args.movie_dir)
    made = Made.read(args.movie_dir)
    reference = Reference.read(args.reference, args.names)
    scores = evaluate(made, reference, language=args.language, collar=args.collar)
    if not scores:
        missing = ", ".join(made.missing) or "nothing"
        raise BadInputError(f"nothing can be measured: missing in {args.movie_dir}: {missing}", remedy="run the pipeline first")
    for name in made.missing:
        logger.get().warning("%s is not there: what needs it is not measured", name)
    logger.result(_as_json(args.movie_dir, scores) if args.json else as_table(scores))
    return ExitCode.DONE


def _as_json(movie_dir: Path, scores: Sequence[Score]) -> str:
    found: dict[str, Any] = {s.key: {"value": s.value, "unit": s.unit, **s.detail} for s in scores}
    return json.dumps({"movie_dir": str(movie_dir), "scores": found}, ensure_ascii=False, indent=1)


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return measure(_parser().parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
