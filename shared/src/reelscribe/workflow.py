"""Many movies on many machines: holds their directories while native/workflow/Snakefile runs their stages as jobs.

    python -m reelscribe.workflow run [OPTION…] MOVIE…      what native/workflow/run.sh starts
    python -m reelscribe.workflow finish …                  what the Snakefile does when a movie's last stage is done

Which stages run is found out here, from the manifests; Snakemake only knows which of them wait for which. This process holds every movie's
lease and keeps its heartbeat going, and each job inherits it through the token.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from reelscribe import device_manager, hub, jobs, lease, logger, settings, stage_table, status
from reelscribe.artifacts import write_json
from reelscribe.command_line import command, names
from reelscribe.errors import ExitCode, MissingToolError, ReelscribeError, StageFailedError, UsageError
from reelscribe.snakemake_process import Snakemake
from reelscribe.stage import Stage, load_contract
from reelscribe.stage_table import NATIVE, Row
from reelscribe.supervise import PipelineOptions

WORKFLOW = NATIVE / "workflow"
_TICK_S = 0.2


@dataclass
class Movie:
    """A movie of this run. running: the stages that are not up to date; gpu: those of them that may compute on one."""

    movie: Path
    movie_dir: Path
    token: str
    running: list[str] = field(default_factory=list)
    gpu: list[str] = field(default_factory=list)


# -- before ---------------------------------------------------------------------------------------------------------------


def provide(rows: Sequence[Row], kept: dict[str, str], env_file: Path | None) -> None:
    """Fetch the models that are missing. Raises MissingToolError for a folder that somebody named and that is not there."""
    needs, options = jobs.model_needs(map(load_contract, rows), kept, env_file)
    for need, why in hub.provide(needs, options, parent=os.getpid()).missing:
        if need.is_folder:
            raise MissingToolError(f"{need.repo} ({need.purpose}): {why.message}", remedy=why.remedy or "correct the path of the model")


def opened(name: str, out: Path, kept: dict[str, str]) -> Movie:
    """The movie `name`, or that of the movie directory `name`, held by this process, with its settings kept. Raises BusyError."""
    if (Path(name) / "job.env").is_file():
        movie_dir = jobs.existing(Path(name), out)
        movie, kept = jobs.movie_of(movie_dir), {**jobs.kept_settings(movie_dir), **kept}
        token = lease.acquire(movie_dir)
    else:
        movie = Path(name)
        movie_dir, token = jobs.open_movie(movie, out, os.getpid())
    try:
        jobs.write_job(movie_dir, movie, kept)
        (movie_dir / "logs").mkdir(exist_ok=True)
    except BaseException:
        lease.release(movie_dir, token)
        raise
    return Movie(movie, movie_dir, token)


def look_at(found: Movie, rows: Sequence[Row], here: bool) -> None:
    """Find out what is to be done. here: the jobs run on this machine."""
    decided = status.would_run(status.entries(found.movie_dir, found.movie), [row.name for row in rows], force=False)
    found.running = [entry.stage for entry, action in decided if action != "up to date"]
    for name in found.running:
        stage = load_contract(stage_table.find(name))
        if may_use_gpu(stage, jobs.options_of(stage, found.movie_dir)[0], here):
            found.gpu.append(name)


def may_use_gpu(stage: Stage[Any, Any, Any], options: Any, here: bool) -> bool:
    """Whether a job of `stage` is to have a GPU: where its table and DEVICE allow it; on this machine, only if it has one."""
    kind = stage.engine(options).kind
    if not (kind and stage.row.gpu) or options.device == "cpu" or set(device_manager.ENGINES[kind]) == {"cpu"}:
        return False
    device = stage.choose_device(options) if here else None
    return device is None or device.device != "cpu"


# -- while jobs run -------------------------------------------------------------------------------------------------------


@contextmanager
def beating(movies: Sequence[Movie]) -> Iterator[None]:
    """Keep every heartbeat going. What was given back by its last job has none any more."""

    def once() -> bool:
        for found in movies:
            with suppress(Exception):
                lease.beat(found.movie_dir, found.token)
        return True

    with lease.repeating(once):
        yield


def new_folder(out: Path) -> Path:
    """A folder for this run's flags and Slurm's logs."""
    (out / "_workflow").mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=out / "_workflow"))


def remove_folder(folder: Path, failed: bool) -> None:
    """Remove it. Where jobs failed it stays as long as Slurm's logs may say why."""
    if not (failed and any(folder.glob(".snakemake/slurm_logs/**/*.log"))):
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.parent.rmdir()


def play(movies: Sequence[Movie], args: argparse.Namespace, out: Path) -> int:
    """Run Snakemake over the movies to its end; its exit code, or 130."""
    kept = jobs.job_settings(args.set, args.env)
    options, _ = settings.resolve("pipeline", PipelineOptions, settings.layers(kept, None, None))
    folder = new_folder(out)
    told = {
        "movies": {m.movie_dir.name: {"dir": str(m.movie_dir), "token": m.token, "run": m.running, "gpu": m.gpu} for m in movies},
        "chunks_per_job": options.chunks_per_job,
        "env": str(args.env.absolute()) if args.env else "",
        "said": jobs.personal(kept),
    }
    write_json(folder / "config.json", told)
    snakemake = Snakemake(folder, profile_of(args.profile), args.snakemake)

    def stop(number: int, frame: FrameType | None) -> None:
        snakemake.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with beating(movies):
        code = snakemake.wait()
    remove_folder(folder, failed=code != 0)
    return code


def profile_of(name: str) -> Path:
    """The folder of a profile: one of native/workflow/profiles, or the user's own. Raises UsageError."""
    for folder in (WORKFLOW / "profiles" / name, Path(name).absolute()):
        if (folder / "config.yaml").is_file():
            return folder
    known = ", ".join(sorted(p.name for p in (WORKFLOW / "profiles").iterdir()))
    raise UsageError(f"there is no profile {name!r}", remedy=f"give one of {known}, or a folder with a config.yaml")


# -- afterwards -----------------------------------------------------------------------------------------------------------


def write_report(movie_dir: Path) -> None:
    """report.html. A movie without one is subtitled all the same."""
    from reelscribe import report

    try:
        report.write(movie_dir)
    except Exception as error:
        logger.get().error("%s: report.html could not be written: %s", movie_dir.name, error)


def outcome(found: Movie, rows: Sequence[Row]) -> tuple[int, str]:
    """How the movie ended: the exit code of its first stage that is not done, and why it is not; 0 and the state for one that is."""
    entries = [e for e in status.entries(found.movie_dir, found.movie) if e.stage in [row.name for row in rows]]
    failed = [e for e in entries if e.state == "failed"]
    if failed:
        return failed[0].exit_code or ExitCode.FAILED, f"{failed[0].stage}: {failed[0].why}"
    missing = [e.stage for e in entries if e.state != "done"]
    return (ExitCode.FAILED, f"{missing[0]} was not run") if missing else (ExitCode.DONE, "done")


def summarize(movies: Sequence[Movie], rows: Sequence[Row], refused: dict[str, ReelscribeError], as_json: bool) -> int:
    """Say how each movie ended; result paths, or JSON, on stdout. The first exit code that is not 0."""
    codes: list[int] = [error.code for error in refused.values()]
    failures = [f"{name}: {error}" for name, error in refused.items()]
    for found in movies:
        code, why = outcome(found, rows)
        codes.append(code)
        if as_json:
            told = status.as_json(found.movie_dir, status.entries(found.movie_dir, found.movie))
            logger.result(json.dumps({**told, "exit_code": code}, ensure_ascii=False))
        elif not code:
            for path in status.result_of(found.movie_dir, rows[-1]):
                logger.result(str(path))
        if code:
            failures.append(f"{found.movie}: {why}\n  → go on with the same command, or: native/pipeline.sh --status {found.movie_dir}")
    logger.get().info("%d movies, %d failed", len(codes), sum(map(bool, codes)))
    for line in failures:
        logger.get().error("%s", line)
    return next((code for code in codes if code), ExitCode.DONE)


# -- the command line -----------------------------------------------------------------------------------------------------


def run(args: argparse.Namespace) -> int:
    """All movies from their opening to their summary."""
    rows = selected(args)
    out = Path(args.out).absolute()
    here = profile_of(args.profile).name == "local"
    kept = jobs.job_settings(args.set, args.env)
    os.environ.update(jobs.personal(kept))
    names = [path for path in args.movies if (Path(path) / "job.env").is_file()]
    names += map(str, jobs.movies([n for n in [*args.movies, *listed(args.list)] if n not in names]))
    provide(rows, kept, args.env)
    movies: list[Movie] = []
    refused: dict[str, ReelscribeError] = {}
    try:
        for name in names:
            try:
                movies.append(opened(name, out, kept))
                look_at(movies[-1], rows, here)
            except ReelscribeError as error:
                refused[name] = error
        movies = [m for m in movies if str(m.movie) not in refused]
        build_environments(movies)
        waiting = [m for m in movies if m.running]
        logger.get().info("%d movies, %d of them with something to do", len(movies), len(waiting))
        code = play(waiting, args, out) if waiting else 0
        if code == ExitCode.INTERRUPTED:
            return code
        for found in waiting:
            if not (found.movie_dir / "report.html").is_file() or outcome(found, rows)[0]:
                write_report(found.movie_dir)
        return summarize(movies, rows, refused, args.json)
    finally:
        for found in movies:
            lease.release(found.movie_dir, found.token)


def selected(args: argparse.Namespace) -> list[Row]:
    """The stages that --from, --to, --only and --skip leave. Raises UsageError."""
    for name in [*args.only, *args.skip, *filter(None, (args.first, args.last))]:
        stage_table.find(name)
    rows = status.select(stage_table.load(), first=args.first, last=args.last, only=args.only, skip=args.skip)
    if not rows:
        raise UsageError("no stage is left to run", remedy="--from comes before --to; --only and --skip must leave something")
    return rows


def listed(path: Path | None) -> list[str]:
    """The movies that a file names, one on a line."""
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()] if path else []


def build_environments(movies: Sequence[Movie]) -> None:
    """Build, once and here, what the jobs of all movies need. Raises StageFailedError."""
    import subprocess

    names: dict[str, None] = {}
    for found in movies:
        stages = [load_contract(stage_table.find(name)) for name in found.running]
        for _, environment, helper in jobs.environments(stages, found.movie_dir):
            names.update(dict.fromkeys(filter(None, (environment, helper))))
    if names and subprocess.call([str(NATIVE / "setup_venvs.sh"), "--watch", str(os.getpid()), *names], stdin=subprocess.DEVNULL):
        raise StageFailedError("an environment could not be built", remedy="native/setup_venvs.sh says why")


def finish(args: argparse.Namespace) -> int:
    """The report of a movie whose stages are done; then its directory is free, whatever the other movies of the run do."""
    write_report(args.movie_dir)
    lease.release(args.movie_dir, args.token)
    return ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="reelscribe.workflow", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.set_defaults(function=run)
    running.add_argument("movies", nargs="*")
    running.add_argument("--list", type=Path)
    running.add_argument("--profile", default="local")
    running.add_argument("--out", default="out")
    running.add_argument("--set", action="append", default=[])
    running.add_argument("--env", type=Path)
    running.add_argument("--from", dest="first")
    running.add_argument("--to", dest="last")
    running.add_argument("--only", type=names, default=[])
    running.add_argument("--skip", type=names, default=[])
    running.add_argument("--json", action="store_true")
    running.add_argument("--snakemake", action="append", default=[])
    ending = commands.add_parser("finish")
    ending.set_defaults(function=finish)
    ending.add_argument("--movie-dir", type=Path, required=True)
    ending.add_argument("--token", required=True)
    return parser


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    args = _parser().parse_args(arguments)
    code: int = args.function(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
