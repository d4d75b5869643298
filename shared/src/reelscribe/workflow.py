"""Many movies on many machines: holds their directories while native/workflow/Snakefile runs their stages as jobs.

    python -m reelscribe.workflow run [OPTION…] MOVIE…      what native/workflow/run.sh starts
    python -m reelscribe.workflow finish …                  what the Snakefile does when a movie's last stage is done

Which stages run is found out here, from the manifests; Snakemake only knows which of them wait for which. This process holds every movie's
lease and keeps its heartbeat going (reelscribe.library), and each job inherits it through the token.
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
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from reelscribe import jobs, lease, logger, settings, stage_table, status
from reelscribe.artifacts import write_json
from reelscribe.command_line import command, names
from reelscribe.errors import ExitCode, StageFailedError, UsageError
from reelscribe.library import Library, Movie, by_key, named
from reelscribe.snakemake_process import Snakemake, runs_here
from reelscribe.stage import load_contract
from reelscribe.stage_table import NATIVE, Row
from reelscribe.supervise import PipelineOptions

WORKFLOW = NATIVE / "workflow"


# -- while jobs run -------------------------------------------------------------------------------------------------------


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


def config_of(movies: Sequence[Movie], chunks_per_job: int, env_file: Path | None, said: dict[str, str]) -> dict[str, Any]:
    """What the Snakefile is told. said: settings that no movie directory keeps."""
    return {
        "movies": {k: {"dir": str(m.movie_dir), "token": m.token, "run": m.running, "gpu": m.gpu} for k, m in by_key(movies).items()},
        "chunks_per_job": chunks_per_job,
        "env": str(env_file.absolute()) if env_file else "",
        "said": said,
    }


def play(config: dict[str, Any], out: Path, profile: Path, more: Sequence[str]) -> int:
    """Run Snakemake to its end; its exit code, or 130. more: options of its."""
    folder = new_folder(out)
    write_json(folder / "config.json", config)
    snakemake = Snakemake(folder, profile, more)

    def stop(number: int, frame: FrameType | None) -> None:
        snakemake.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
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


def summarize(library: Library, names: Sequence[str], as_json: bool) -> int:
    """Say how each movie ended; result paths, or JSON, on stdout. The first exit code that is not 0."""
    codes: list[int] = []
    failures: list[str] = []
    for name in names:
        if error := library.refused.get(name):
            codes.append(error.code)
            failures.append(f"{name}: {error}")
        if not (found := library.movies.get(name)):
            continue
        code, why = outcome(found, library.rows)
        codes.append(code)
        if as_json:
            told = status.as_json(found.movie_dir, status.entries(found.movie_dir, found.movie))
            logger.result(json.dumps({**told, "exit_code": code}, ensure_ascii=False))
        elif not code:
            for path in status.result_of(found.movie_dir, library.rows[-1]):
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
    profile, kept = profile_of(args.profile), jobs.job_settings(args.set, args.env)
    os.environ.update(personal := jobs.personal(kept))
    options, _ = settings.resolve("pipeline", PipelineOptions, settings.layers(kept, None, None))
    if {"-n", "--dryrun", "--dry-run"} & set(args.snakemake):
        raise UsageError(
            "Snakemake does not know what asr's plan will be", remedy="native/pipeline.sh --dry-run MOVIE… says what would run"
        )
    library = Library(Path(args.out).absolute(), selected(args), kept, args.env, runs_here(profile))
    names = named(args.movies, args.list)
    library.provide(library.kept)
    with library.held(names):
        movies = list(library.movies.values())
        build_environments(movies)
        waiting = [m for m in movies if m.running]
        logger.get().info("%d movies, %d of them with something to do", len(movies), len(waiting))
        config = config_of(waiting, options.chunks_per_job, args.env, personal)
        if waiting and play(config, library.out, profile, args.snakemake) == ExitCode.INTERRUPTED:
            return ExitCode.INTERRUPTED
        for found in waiting:
            if not (found.movie_dir / "report.html").is_file() or outcome(found, library.rows)[0]:
                write_report(found.movie_dir)
        return summarize(library, names, args.json)


def selected(args: argparse.Namespace) -> list[Row]:
    """The stages that --from, --to, --only and --skip leave. Raises UsageError."""
    for name in [*args.only, *args.skip, *filter(None, (args.first, args.last))]:
        stage_table.find(name)
    rows = status.select(stage_table.load(), first=args.first, last=args.last, only=args.only, skip=args.skip)
    if not rows:
        raise UsageError("no stage is left to run", remedy="--from comes before --to; --only and --skip must leave something")
    return rows


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
