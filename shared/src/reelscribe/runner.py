"""One stage from its command line to its manifest; every stage goes through here, whoever started it."""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any

from reelscribe import device_manager, disk, environments, fallback, lease, logger, manifest, memory, network, process, settings, trust
from reelscribe.artifacts import HashCache, refusal, refuse_strangers, refuse_unreachable, remove_abandoned, scratch_folder
from reelscribe.device_manager import Device
from reelscribe.errors import BadInputError, ExitCode, ReelscribeError, StageFailedError, UsageError
from reelscribe.manifest import Engine, FileRecord, Manifest, OptionRecord, Run
from reelscribe.progress import Progress
from reelscribe.settings import MpsOptions, StageOptions
from reelscribe.stage import Context, Stage, file_fields, resolve_inputs, resolve_outputs
from reelscribe.stage_table import NATIVE

# Snakemake sets these to what a job asked for, shells to anything; sums can differ in their last bits with the number of threads.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
RETRY_VARIABLE = "REELSCRIBE_DEVICE_RETRY"
AnyStage = Stage[Any, Any, Any]


def run_command_line(stage: AnyStage, arguments: Sequence[str]) -> int:
    """Run `stage` and return the exit code. Errors are said on stderr and in the stage's log, never thrown."""
    process.die_with_parent()
    logger.set_up()
    # An interrupt must also unwind when only TERM is sent, so that temporary files go and the manifest says what happened.
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        args = _parser(stage).parse_args(list(arguments))
        movie_dir = Path(args.movie_dir).resolve() if args.movie_dir else None
        if movie_dir:
            refuse_strangers(movie_dir)
        declared = settings.settings_of(stage.name, stage.options)
        said = {s.env: value for s in declared if (value := getattr(args, s.field, None)) is not None}
        found = settings.layers(said, Path(args.env) if args.env else None, movie_dir)
        options, sources = settings.resolve(stage.name, stage.options, found)
        _prepare_process(stage, options)
        if args.check:
            return _check(stage, options)
        if movie_dir is None:
            raise UsageError("--movie-dir is missing", remedy=f"{stage.row.script.name} --input MOVIE --movie-dir DIR")
        movie = _movie(args.input, movie_dir, needed=_needs_movie(stage))
        job = Job(stage, movie, movie_dir, options, sources)
        logger.set_up(movie_dir / "logs" / f"{stage.row.key}.log", level=options.log_level)
        with lease.held(movie_dir), environments.in_use(stage.row.environments):
            if args.part:
                job.part(args.part)
                return ExitCode.DONE
            record = job.run(force=args.force)
        if args.json:
            logger.result(json.dumps(record.model_dump(mode="json"), ensure_ascii=False))
        else:
            logger.result("\n".join(str(movie_dir / name) for name in record.outputs))
        return ExitCode.DONE
    except ReelscribeError as error:
        logger.get().error("%s: %s", stage.name, error)
        return error.code
    except KeyboardInterrupt:
        logger.get().error("%s: interrupted; run again to go on", stage.name)
        return ExitCode.INTERRUPTED
    except Exception as unforeseen:
        failure = _as_reelscribe_error(unforeseen)
        logger.get().error("%s: %s", stage.name, failure)
        return getattr(failure, "code", ExitCode.FAILED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


# -- command line -------------------------------------------------------------------------------------------------------


def _parser(stage: AnyStage) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=stage.row.script.name,
        description=(sys.modules[stage.run.__module__].__doc__ or "").strip(),
        epilog=_files_help(stage),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--input", metavar="MOVIE", help="the movie file (default: the one in DIR/job.env)")
    parser.add_argument("--movie-dir", metavar="DIR", help="the movie directory that stages share")
    parser.add_argument("--env", metavar="FILE", help="settings file of KEY=VALUE lines")
    parser.add_argument("--force", action="store_true", help="run even when up to date")
    parser.add_argument("--json", action="store_true", help="print the manifest instead of the outputs' paths")
    if stage.part:
        parser.add_argument("--part", metavar="NAME", help=(stage.part.__doc__ or "").strip())
    else:
        parser.set_defaults(part=None)
    parser.add_argument("--check", action="store_true", help="try this stage's engine with a moment of real work and say how it went")
    group = parser.add_argument_group("settings (command line > --env > DIR/job.env > environment > .env.pipeline)")
    known = settings.settings_of(stage.name, stage.options)
    # A command line is there for every user of the machine to see (ps), so a secret has no flag.
    secrets = [f"{s.help} [{s.env}, in the environment or a settings file only]" for s in known if s.secret]
    group.description = "\n".join(secrets) or None
    for setting in (s for s in known if not s.secret):
        default = "none" if setting.default is None else settings.shown(setting.default)
        unit = f" {setting.unit}" if setting.unit else ""
        text = f"{setting.help} [{settings.choices(setting)}; default {default}{unit}; {setting.env}]"
        flag = {"nargs": "?", "const": "true"} if isinstance(setting.default, bool) else {}
        group.add_argument(setting.flag, dest=setting.field, metavar="VALUE", help=text.replace("%", "%%"), **flag)  # type: ignore[arg-type]
    return parser


def _files_help(stage: AnyStage) -> str:
    lines = []
    for title, model in (("reads", stage.inputs), ("writes", stage.outputs)):
        names = [f.pattern.replace("{name}", "<Movie_Name>") + (" (if there)" if f.optional else "") for f in file_fields(model)]
        lines.append(f"{title}: " + ", ".join(names))
    codes = ", ".join(f"{code.value} {code.name.lower().replace('_', ' ')}" for code in ExitCode)
    return "\n".join([*lines, f"exit codes: {codes}"])


def _needs_movie(stage: AnyStage) -> bool:
    return any(f.is_movie for f in file_fields(stage.inputs))


def _movie(given: str | None, movie_dir: Path, *, needed: bool) -> Path:
    """The movie from the command line or job.env; a stage that does not read it runs without."""
    job = movie_dir / "job.env"
    name = given or (settings.read_env_file(job).get("MOVIE") if job.exists() else None)
    if name is None:
        if needed:
            raise UsageError("which movie?", remedy="give it with --input MOVIE")
        return movie_dir / "unknown"
    movie = Path(name).absolute()
    if needed:
        refuse_unreachable(movie)
    if needed and not movie.is_file():
        what = "is a folder" if movie.is_dir() else "is not there" if not movie.exists() else "is no regular file"
        raise BadInputError(f"{movie} {what}", remedy="give the path of a movie file with --input")
    return movie


def _prepare_process(stage: AnyStage, options: StageOptions) -> None:
    """Environment variables that libraries read when they are imported."""
    threads = str(device_manager.threads(stage.row, options.threads))
    os.environ.update(dict.fromkeys(_THREADS, threads))
    os.environ.update(TOKENIZERS_PARALLELISM="false", **trust.DATA_ONLY)
    # PyTorch's oneDNN keeps code and memory for 1,024 sizes of input, and diarization has a new size in every batch.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
    if isinstance(options, MpsOptions):
        os.environ.update(options.mps_environment())
    network.set_up(offline=options.offline)
    secrets = [s.env for s in settings.settings_of(stage.name, stage.options) if s.secret]
    for name in secrets:  # the options have them; neither libraries nor children need to
        os.environ.pop(name, None)
    if secrets:  # a crash must not write memory that holds a key
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


# -- device -------------------------------------------------------------------------------------------------------------


def _device(stage: AnyStage, options: StageOptions) -> Device:
    chosen = stage.choose_device(options)
    if chosen is None:
        return Device(device="cpu", compute="", reason="no computing on a device")
    chosen = device_manager.verified(chosen, stage.row, stage.engine(options).kind)
    retried = os.environ.get(RETRY_VARIABLE)
    return chosen.model_copy(update={"reason": f"retried after {retried}"}) if retried else chosen


def _check(stage: AnyStage, options: StageOptions) -> int:
    """`--check`: JSON on stdout with engine, device and what the inference gave."""
    started = time.monotonic()
    outcome: dict[str, Any] = {"stage": stage.name}
    try:
        engine = stage.engine(options)
        device = _device(stage, options)
        outcome |= {"engine": engine.name, "model": engine.model, **device.model_dump()}
        outcome |= {"ok": True, "result": stage.check(options, device)}
    except ReelscribeError as error:
        outcome |= {"ok": False, "result": str(error)}
    except Exception as error:
        outcome |= {"ok": False, "result": f"{type(error).__name__}: {error}"}
    logger.result(json.dumps({**outcome, "seconds": round(time.monotonic() - started, 1)}))
    return ExitCode.DONE if outcome["ok"] else ExitCode.FAILED


# -- the job ------------------------------------------------------------------------------------------------------------


@dataclass
class Job:
    """One stage for one movie: knows whether it is up to date and runs it."""

    stage: AnyStage
    movie: Path
    movie_dir: Path
    options: Any
    sources: dict[str, str]

    def __post_init__(self) -> None:
        self.engine: Engine = self.stage.engine(self.options)
        self.environment = self.stage.environment(self.options)
        self.hashes = HashCache(self.movie_dir)

    def pending(self) -> Manifest:
        """The manifest this run would have, with its fingerprint. Raises MissingInputError when an input is not there yet."""
        inputs = self._input_digests()
        facts = {name: self._fact(value) for name, value in self.stage.facts(self.movie, self.options).items()}
        affecting = {s.env: getattr(self.options, s.field) for s in self._settings() if s.affects_output and not s.secret}
        versions = {name: manifest.locked_versions(self.environment).get(name, "") for name in self.engine.packages}
        engine = {**self.engine.model_dump(exclude={"packages", "environment"}), "packages": versions}
        schemas = {file.pattern: file.schema.SCHEMA for file in file_fields(self.stage.outputs) if file.schema}
        parts = {"inputs": inputs, "facts": facts, "options": affecting, "engine": engine, "revision": self.stage.revision}
        parts["schemas"] = schemas
        self.hashes.save()
        return Manifest(
            stage=self.stage.name,
            revision=self.stage.revision,
            status="running",
            fingerprint=manifest.fingerprint(parts),
            inputs=inputs,
            facts=facts,
            options={
                s.env: OptionRecord(value=settings.shown(getattr(self.options, s.field)), source=self.sources[s.field])
                for s in self._settings()
                if not s.secret
            },
            engine=engine,
            run=Run(started=datetime.now(timezone.utc).isoformat(timespec="seconds"), host=socket.gethostname(), **self._digests()),
        )

    def current(self, pending: Manifest) -> Manifest | None:
        """The manifest of an earlier run that is still good for `pending`, or None."""
        before = manifest.read(self.movie_dir, self.stage.row)
        if before is None or before.status != "done" or before.fingerprint != pending.fingerprint:
            return None
        if not all((self.movie_dir / name).is_file() for name in before.outputs):
            return None
        return None if self.stage.redo(self.movie_dir, self.options) else before

    def run(self, *, force: bool) -> Manifest:
        """Run unless up to date, and return the manifest. Raises ReelscribeError, KeyboardInterrupt."""
        log = logger.get()
        remove_abandoned(self.movie_dir)
        record = self.pending()
        before = self.current(record)
        if before and not force:
            self.report_differences(before, record)
            log.info("%s: up to date", self.stage.name)
            return before
        disk.require(self.stage.row, self.movie, self.movie_dir)
        previous = manifest.read(self.movie_dir, self.stage.row)
        record.outputs = dict(previous.outputs) if previous else {}
        record.device = device = _device(self.stage, self.options)
        earlier = self._declared()
        with self._recorded(record) as clock, scratch_folder(self.movie_dir):
            manifest.write(self.movie_dir, self.stage.row, record)
            log.info("%s: %s%s", self.stage.name, self.engine.name, f" on {device.device} ({device.reason})" if self.engine.kind else "")
            ctx = self._context(device, record)
            ctx.forced = force
            memory.cleanup()
            try:
                fallback.run(self.stage.run, self.stage.row, ctx, record)
            finally:
                ctx.progress.close()
            memory.cleanup()
            outputs = self._outputs(ctx, earlier)
            self._remove_stale(record.outputs, outputs)
            record.outputs, record.status = outputs, "done"
            clock()
            manifest.write(self.movie_dir, self.stage.row, record)
        log.info("%s: done in %.1f s", self.stage.name, record.run.seconds)
        self.hashes.save()
        return record

    def part(self, name: str) -> None:
        """Do a part of what run() will find done. Only a failure is recorded, as others are at other parts."""
        part = self.stage.part
        assert part
        remove_abandoned(self.movie_dir)
        record = self.pending()
        if self.current(record):
            logger.get().info("%s: up to date", self.stage.name)
            return
        disk.require(self.stage.row, self.movie, self.movie_dir)
        previous = manifest.read(self.movie_dir, self.stage.row)
        record.outputs = dict(previous.outputs) if previous else {}
        record.device = _device(self.stage, self.options)
        with self._recorded(record), scratch_folder(self.movie_dir):
            ctx = self._context(record.device, record)
            memory.cleanup()
            try:
                fallback.run(lambda ctx: part(ctx, name), self.stage.row, ctx, record, store=False)
            finally:
                ctx.progress.close()
        logger.get().info("%s, part %s: done", self.stage.name, name)
        self.hashes.save()

    def _settings(self) -> list[settings.Setting]:
        return settings.settings_of(self.stage.name, self.stage.options)

    def _input_digests(self) -> dict[str, str]:
        inputs = resolve_inputs(self.stage.inputs, self.movie, self.movie_dir)
        digests = {}
        for file in file_fields(self.stage.inputs):
            value = getattr(inputs, file.field)
            for path in value if isinstance(value, tuple) else [value] if value else []:
                name = "movie" if file.is_movie else str(path.relative_to(self.movie_dir))
                digests[name] = self.hashes.digest(path, movie=file.is_movie)
        return digests

    def _fact(self, value: str | Path | None) -> str:
        if isinstance(value, Path):
            return self.hashes.digest(value) if value.is_file() else "absent"
        return value or "absent"

    def _digests(self) -> dict[str, str]:
        script = self.stage.row.script
        helpers = sorted((script.parent / self.stage.name.replace("-", "_")).rglob("*.py"))
        lock = NATIVE / "requirements" / f"{self.environment}.txt"
        return {"code": manifest.text_digest(script, *helpers), "lock": manifest.text_digest(lock)}

    def report_differences(self, before: Manifest, now: Manifest) -> None:
        """Say what has changed since `before` and is no reason to run again."""
        for what in ("code", "lock"):
            if getattr(before.run, what) != getattr(now.run, what):
                logger.get().info("%s: its %s has changed since; --force runs it again", self.stage.name, what)
        for name, file in before.outputs.items():
            if self._output_digest(self.movie_dir / name) != file.sha256:
                logger.get().info("%s: %s was edited since; the edit is kept", self.stage.name, name)

    def _context(self, device: Device, record: Manifest) -> Context[Any, Any, Any]:
        context = Context(
            movie=self.movie,
            movie_dir=self.movie_dir,
            options=self.options,
            inputs=resolve_inputs(self.stage.inputs, self.movie, self.movie_dir),
            outputs=resolve_outputs(self.stage.outputs, self.movie_dir),
            engine=self.engine,
            device=device,
            threads=device_manager.threads(self.stage.row, self.options.threads),
            log=logger.get(),
            progress=Progress(self.stage.name),
            fallbacks=record.fallbacks,
            notes=record.notes,
        )
        refused = self.options.device in self.stage.row.devices and self.options.device != device.device
        unusable = (chosen := self.stage.choose_device(self.options)) is not None and chosen.device != device.device
        if self.engine.kind and (refused or unusable or os.environ.get(RETRY_VARIABLE)):
            context.fallback(f"device {device.device}: {device.reason}")
        return context

    def _declared(self) -> dict[Path, tuple[int, int]]:
        """The declared outputs that are there, each with what changes when it is written: inode and time."""
        paths = [f.path(self.movie_dir) for f in file_fields(self.stage.outputs) if not f.many]
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths if path.is_file()}

    def _outputs(self, ctx: Context[Any, Any, Any], earlier: dict[Path, tuple[int, int]]) -> dict[str, FileRecord]:
        """Every output that this run wrote. Raises StageFailedError when a required one is missing or still that of an `earlier` run."""
        written = {path for path, state in self._declared().items() if state != earlier.get(path)}
        for file in file_fields(self.stage.outputs):
            if not file.many and not file.optional and file.path(self.movie_dir) not in written:
                raise StageFailedError(f"{self.stage.name} ended without writing {file.pattern}")
        made = written | set(ctx.added)
        return {
            str(path.relative_to(self.movie_dir)): FileRecord(size=path.stat().st_size, sha256=self._output_digest(path))
            for path in sorted(made)
        }

    def _output_digest(self, path: Path) -> str:
        """SHA-256, or the identity of what is as large as a movie: reading that once more would double the time of a copy."""
        sampled = any(path in f.matches(self.movie_dir) for f in file_fields(self.stage.outputs) if f.sampled)
        return self.hashes.digest(path, movie=sampled)

    def _remove_stale(self, before: dict[str, FileRecord], now: dict[str, FileRecord]) -> None:
        """Outputs of an earlier run under other names (another language, another container)."""
        ours = {path for file in file_fields(self.stage.outputs) for path in file.matches(self.movie_dir)}
        for name in before.keys() - now.keys():
            # A damaged manifest may name anything, the user's own files too.
            if (path := self.movie_dir / name) in ours:
                path.unlink(missing_ok=True)

    @contextmanager
    def _recorded(self, record: Manifest) -> Iterator[Any]:
        """Whatever ends the run is in the manifest and in the log; gives a function that stops the clock."""
        started = time.monotonic()

        def clock() -> None:
            record.run.seconds = round(time.monotonic() - started, 3)
            record.run.peak_rss_mb = memory.peak_rss_mb()

        try:
            yield clock
        except BaseException as raised:
            error = _as_reelscribe_error(raised)
            record.status = "failed"
            record.error = logger.redact(str(error) or type(raised).__name__)
            record.exit_code = int(error.code) if isinstance(error, ReelscribeError) else int(ExitCode.INTERRUPTED)
            clock()
            with suppress(Exception):
                manifest.write(self.movie_dir, self.stage.row, record)
            raise error from raised


def _as_reelscribe_error(raised: BaseException) -> BaseException:
    """An unforeseen exception becomes a StageFailedError of one line; its traceback goes to the log file alone."""
    if isinstance(raised, (ReelscribeError, KeyboardInterrupt)):
        return raised
    if isinstance(raised, OSError):
        path = raised.filename if isinstance(raised.filename, str) else "the movie directory/a file"
        if refused := refusal(raised, Path(path)):
            return refused
    story = "".join(traceback.format_exception(raised))
    if logger.to_file(story):
        remedy = "the traceback is in the stage's log in logs/"
    else:
        logger.get().debug(story)
        remedy = "LOG_LEVEL=debug shows the traceback"
    return StageFailedError(f"{type(raised).__name__}: {raised}".splitlines()[0], remedy=remedy)
