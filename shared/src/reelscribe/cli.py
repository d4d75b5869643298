"""What pipeline.sh asks the core environment. Not for people: they have native/pipeline.sh.

Every command prints its answer on stdout for bash to read and talks on stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from reelscribe import disk, doctor, hub, jobs, lease, logger, models, orchestrate, sample, stage_table, status
from reelscribe.command_line import command, names
from reelscribe.errors import ExitCode, MissingToolError, UsageError
from reelscribe.stage import load_contract, load_contracts
from reelscribe.stage_table import NATIVE


def _job(args: argparse.Namespace) -> tuple[Path | None, Path, dict[str, str]]:
    """The resumed movie directory or None, the movie, and what the job keeps. Everything that can be refused is refused here."""
    resumed, kept = _kept(args)
    jobs.environments(load_contracts(), Path(), kept)
    return resumed, jobs.movie_of(resumed) if resumed else Path(args.movie), kept


def _kept(args: argparse.Namespace) -> tuple[Path | None, dict[str, str]]:
    """The resumed movie directory or None, and what the job keeps."""
    kept = jobs.job_settings(args.set, _env_file(args))
    resumed = jobs.existing(Path(args.resume), Path(args.out)) if args.resume else None
    return resumed, {**jobs.kept_settings(resumed), **kept} if resumed else kept


def _env_file(args: argparse.Namespace) -> Path | None:
    return Path(args.env) if args.env else None


def fetch(args: argparse.Namespace) -> None:
    """The movies meant by the names given, NUL after each; then what is needed is fetched, and a line tells each model that is missing.

    Raises MissingToolError for a folder: somebody named it, and would rather hear of it now than find a draft in the morning.
    """
    movies = jobs.movies(args.movies)
    outcome = _provide(args)
    for need, why in outcome.missing:
        if need.is_folder:
            raise MissingToolError(f"{need.repo} ({need.purpose}): {why.message}", remedy=why.remedy or "correct the path of the model")
    sys.stdout.write("".join(f"{movie}\0" for movie in movies))
    for line in outcome.lines():
        logger.result(logger.plain(line))


def prefetch(args: argparse.Namespace) -> int:
    """--prefetch: the same; the folders, or JSON."""
    outcome = _provide(args)
    if args.json:
        there = [{"repo": n.repo, "purpose": n.purpose, "folder": str(f.folder), "revision": f.revision} for n, f in outcome.found]
        absent = [{"repo": n.repo, "purpose": n.purpose, "why": str(why)} for n, why in outcome.missing]
        logger.result(json.dumps({"models": there, "missing": absent}, ensure_ascii=False))
    else:
        for folder in dict.fromkeys(found.folder for _, found in outcome.found):
            logger.result(str(folder))
    return outcome.missing[0][1].code if outcome.missing else ExitCode.DONE


def _provide(args: argparse.Namespace) -> hub.Outcome:
    needs, options = jobs.model_needs(map(load_contract, _selected(args)), _kept(args)[1], _env_file(args))
    return hub.provide(needs, options, parent=args.parent)


def run(args: argparse.Namespace) -> int:
    """One movie: its stages, its report, its summary; the result's path, or JSON, on stdout; with --quiet the movie directory instead."""
    rows = _selected(args)
    movie_dir, token = _open(args)
    try:
        _say(str(movie_dir))
        disk.require_run(rows, jobs.movie_of(movie_dir), movie_dir)
        code = orchestrate.run_movie(
            movie_dir,
            token,
            rows,
            parent=args.parent,
            at_once=args.jobs,
            env_file=_env_file(args),
            force=args.force,
            order=None if args.seed is None else random.Random(args.seed),
        )
    finally:
        lease.release(movie_dir, token)
    if args.quiet:
        logger.result(str(movie_dir))
        return code
    _show(movie_dir, args)
    page = movie_dir / "report.html"
    if page.is_file():
        _say(f"report: {page}")
    if code:
        _say(f"go on with: {shlex.quote(str(NATIVE / 'resume-pipeline.sh'))} {shlex.quote(str(movie_dir))}")
    return code


def _say(line: str) -> None:
    sys.stderr.write(logger.plain(logger.redact(line)) + "\n")


def open_job(args: argparse.Namespace) -> None:
    """Two lines: the lease's token, the movie directory, for who runs the stages himself."""
    movie_dir, token = _open(args)
    logger.result(f"{token}\n{movie_dir}")


def stages(args: argparse.Namespace) -> None:
    """A line a selected stage: name, tab, environment, tab, the helper's environment or nothing."""
    for stage, environment, helper in jobs.environments(map(load_contract, _selected(args)), Path(args.movie_dir)):
        logger.result(f"{stage.name}\t{environment}\t{helper}")


def close(args: argparse.Namespace) -> None:
    """Give the movie directory back."""
    lease.release(Path(args.movie_dir), args.token)


def _open(args: argparse.Namespace) -> tuple[Path, str]:
    """The movie directory and its lease's token. With --resume the job is kept and what is said now is added."""
    resumed, movie, kept = _job(args)
    if resumed:
        movie_dir, token = resumed, lease.acquire(resumed, args.parent)
    else:
        out = Path(args.out).absolute()
        if "\n" in str(out):
            raise UsageError("the name of the --out folder contains a line break", remedy="choose another folder")
        movie_dir, token = jobs.open_movie(movie, out, args.parent)
    try:
        jobs.write_job(movie_dir, movie, kept)
        os.environ.update(jobs.personal(kept))
    except BaseException:
        lease.release(movie_dir, token)
        raise
    return movie_dir, token


def _selected(args: argparse.Namespace) -> list[stage_table.Row]:
    names = [*args.only, *args.skip, *filter(None, (args.first, args.last))]
    for name in names:
        stage_table.find(name)
    rows = status.select(stage_table.load(), first=args.first, last=args.last, only=args.only, skip=args.skip)
    if not rows:
        raise UsageError("no stage is left to run", remedy="--from comes before --to; --only and --skip must leave something")
    return rows


def show(args: argparse.Namespace) -> None:
    """The table of a movie directory on stderr; the result's path, or JSON, on stdout."""
    _show(jobs.existing(Path(args.movie_dir), Path(args.out)), args)


def _show(movie_dir: Path, args: argparse.Namespace) -> None:
    found = status.entries(movie_dir, jobs.movie_of(movie_dir))
    if args.json:
        logger.result(json.dumps(status.as_json(movie_dir, found), ensure_ascii=False))
        return
    status.print_table(str(movie_dir), found)
    last = args.last or stage_table.load()[-1].name
    for path in status.result_of(movie_dir, stage_table.find(last)):
        logger.result(str(path))


def sample_length(args: argparse.Namespace) -> None:
    """The length of a sample in one spelling, which names its folder: `300s`."""
    logger.result(f"{sample.seconds(args.length):.10g}s")


def sample_end(args: argparse.Namespace) -> None:
    """Where the sample ends, for AUDIO_END; nothing when it is the whole movie."""
    part = sample.extent_in(Path(args.whole), sample.seconds(args.length))
    if part.end is not None:
        logger.get().info("the sample ends at %s of %s", sample.shown(part.end), sample.shown(part.whole_s))
        logger.result(str(part.end))
    else:
        logger.get().info("there is no more speech than %s: the sample is the whole movie", sample.shown(part.speech_s))


def show_sample(args: argparse.Namespace) -> None:
    """The table of a sample and the estimate for the whole on stderr; the subtitles' path, or JSON, on stdout."""
    movie_dir, whole_dir = Path(args.movie_dir), Path(args.whole)
    found = status.entries(movie_dir, jobs.movie_of(movie_dir))
    part = sample.extent_in(whole_dir, sample.seconds(args.length))
    made = sample.estimates(found, movie_dir, whole_dir, part)
    subtitles = [p for p in status.result_of(movie_dir, stage_table.find(args.last)) if p.suffix == ".srt"]
    if args.json:
        estimate = {**asdict(part), "stages": [asdict(e) for e in made], "total": asdict(sample.total(made))}
        result = next(map(str, subtitles), None)
        logger.result(json.dumps({**status.as_json(movie_dir, found), "result": result, "sample": estimate}, ensure_ascii=False))
        return
    status.print_table(str(movie_dir), found)
    sample.print_estimates(made, part)
    for path in subtitles:
        logger.result(str(path))


def dry_run(args: argparse.Namespace) -> None:
    """What would be done, as a table or as JSON for each movie; nothing is written."""
    for movie in [None] if args.resume else jobs.movies(args.movies):
        args.movie = movie
        _dry_run(args)


def _dry_run(args: argparse.Namespace) -> None:
    resumed, movie, kept = _job(args)
    movie_dir = resumed or jobs.locate(movie, Path(args.out).absolute())
    decided = status.would_run(status.entries(movie_dir, movie, kept), [row.name for row in _selected(args)], args.force)
    needs, options = jobs.model_needs([load_contract(stage_table.find(entry.stage)) for entry, _ in decided], kept, _env_file(args))
    absent = [need for need in dict.fromkeys(needs) if not models.locate(need, options.models_dir)]
    if args.json:
        logger.result(json.dumps({"movie_dir": str(movie_dir), "stages": {entry.stage: action for entry, action in decided}}))
        return
    status.print_table(f"{movie_dir} (dry run: nothing is done)", [e for e, _ in decided], [action for _, action in decided])
    for need in absent:
        logger.get().info("%s (%s) is not here and would be %s", need.repo, need.purpose, "missing" if options.offline else "fetched first")


def examine(args: argparse.Namespace) -> int:
    """--doctor."""
    reports = []
    for report in doctor.examine():
        reports.append(report)
        if not args.json:
            doctor.print_report(report)
    if args.json:
        logger.result(json.dumps(reports, ensure_ascii=False))
    return ExitCode.DONE if all(report["ok"] for report in reports) else ExitCode.MISSING


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="reelscribe.cli", description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(name: str, function: object, *options: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name)
        one.set_defaults(function=function)
        for option in options:
            one.add_argument(option)
        return one

    running = command("run", run, "--movie", "--resume", "--env")
    opening = command("open", open_job, "--movie", "--resume", "--env")
    for one in (running, opening):
        one.add_argument("--parent", "--pid", type=int, default=os.getppid())
    command("close", close, "--movie-dir", "--token")
    listing = command("stages", stages, "--movie-dir")
    running.add_argument("--jobs", type=lambda text: 0 if text == "auto" else int(text), default=0)
    running.add_argument("--seed", type=int, help="stages that may begin do so in an order that this draws; for tests")
    running.add_argument("--quiet", action="store_true")
    dry = command("dry-run", dry_run, "--resume", "--env")
    fetching = command("fetch", fetch, "--resume", "--env")
    for one in (dry, fetching):
        one.add_argument("movies", nargs="*")
    fetching_only = command("prefetch", prefetch, "--resume", "--env")
    for one in (fetching, fetching_only):
        one.add_argument("--parent", type=int)
    for one in (running, opening, dry, fetching, fetching_only):
        one.add_argument("--out", default="out")
        one.add_argument("--set", action="append", default=[])
    for one in (running, listing, dry, fetching, fetching_only):
        one.add_argument("--from", dest="first")
        one.add_argument("--to", dest="last")
        one.add_argument("--only", type=names, default=[])
        one.add_argument("--skip", type=names, default=[])
    for one in (running, dry):
        one.add_argument("--force", action="store_true")
    for one in (running, dry, fetching_only):
        one.add_argument("--json", action="store_true")
    showing = command("show", show, "--movie-dir", "--last")
    showing.add_argument("--out", default="out")
    showing.add_argument("--json", action="store_true")
    measuring = command("sample-length", sample_length)
    ending = command("sample-end", sample_end, "--whole")
    sampled = command("show-sample", show_sample, "--whole", "--movie-dir", "--last")
    for one in (measuring, ending, sampled):
        one.add_argument("--length")
    sampled.add_argument("--json", action="store_true")
    command("doctor", examine).add_argument("--json", action="store_true")
    return parser


@command
def main(arguments: Sequence[str] | None = None) -> int | None:
    """Command line."""
    args = _parser().parse_args(arguments)
    code: int | None = args.function(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
