"""The movies of one run of native/workflow: which are meant, which directories it holds, and what is to be done in each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reelscribe import device_manager, hub, jobs, lease, logger, stage_table, status
from reelscribe.errors import BadInputError, MissingToolError, ReelscribeError, UsageError
from reelscribe.stage import Stage, load_contract
from reelscribe.stage_table import Row


@dataclass
class Movie:
    """A movie that this process holds. running: the stages that are not up to date; gpu: those of them that may compute on one."""

    movie: Path
    movie_dir: Path
    token: str
    running: list[str] = field(default_factory=list)
    gpu: list[str] = field(default_factory=list)


# -- which are meant ------------------------------------------------------------------------------------------------------


def named(given: Sequence[str], listing: Path | None) -> list[str]:
    """The paths of the movies and movie directories that are given and listed, absolute, each once, in order.

    Raises BadInputError for what is not there, UsageError when there is none.
    """
    found: dict[str, None] = {}
    for name in [*given, *(_listed(listing) if listing else [])]:
        found.update(dict.fromkeys([str(Path(name).resolve())] if _is_movie_dir(name) else map(str, jobs.movies([name]))))
    if not found:
        raise UsageError("which movies?", remedy="name movies, folders or movie directories, or a file that lists some with --list")
    return list(found)


def _listed(path: Path) -> list[str]:
    """The lines of a list, comments and empty ones aside. Raises BadInputError."""
    try:
        # utf-8-sig: some editors put a byte order mark in front, which would become part of the first name.
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInputError(f"the list {path} cannot be read: {error.strerror}", remedy="check the path given with --list") from error
    except UnicodeDecodeError as error:
        raise BadInputError(f"the list {path} is not UTF-8 text", remedy="write a movie on a line as plain text") from error
    # Not splitlines(): names may hold what that takes for the end of a line.
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _is_movie_dir(name: str) -> bool:
    with suppress(OSError):
        return (Path(name) / "job.env").is_file()
    return False


# -- held ---------------------------------------------------------------------------------------------------------------


@dataclass
class Library:
    """The movies of a run by the paths they were given as, and why others are refused.

    out: where new directories are made; kept: what the command line says; here: jobs run on this machine.
    """

    out: Path
    rows: Sequence[Row]
    kept: dict[str, str]
    env_file: Path | None
    here: bool
    movies: dict[str, Movie] = field(default_factory=dict)
    refused: dict[str, ReelscribeError] = field(default_factory=dict)
    _provided: list[dict[str, str]] = field(default_factory=list)

    def provide(self, kept: dict[str, str]) -> None:
        """Fetch the models that are missing. Raises MissingToolError for a folder that somebody named and that is not there."""
        if kept in self._provided:
            return
        needs, options = jobs.model_needs(map(load_contract, self.rows), kept, self.env_file)
        for need, why in hub.provide(needs, options, parent=os.getpid()).missing:
            if need.is_folder:
                raise MissingToolError(f"{need.repo} ({need.purpose}): {why.message}", remedy=why.remedy or "correct the path of the model")
        self._provided.append(kept)

    @contextmanager
    def held(self, names: Sequence[str]) -> Iterator[None]:
        """Open the movies and keep the heartbeats of all that could be had going, until the block ends and they are given back."""
        try:
            with lease.repeating(self._beat):
                for name in names:
                    try:
                        self._open(name)
                    except ReelscribeError as error:
                        self.refused[name] = error
                yield
        finally:
            for found in self.movies.values():
                lease.release(found.movie_dir, found.token)

    def _beat(self) -> bool:
        """What was given back by its last job has no heartbeat any more."""
        for found in list(self.movies.values()):
            with suppress(Exception):
                lease.beat(found.movie_dir, found.token)
        return True

    def _open(self, name: str) -> None:
        """Take the movie, or that of the movie directory, keep its settings and find out what is to be done. Raises ReelscribeError."""
        path, kept = Path(name), self.kept
        begun = _is_movie_dir(name)
        movie_dir = jobs.existing(path, self.out) if begun else jobs.locate(path, self.out)
        if same := next((m for m in self.movies.values() if m.movie_dir.resolve() == movie_dir.resolve()), None):
            logger.get().info("%s is %s once more", name, same.movie)
            return
        if begun:
            path, kept = jobs.movie_of(movie_dir), {**jobs.kept_settings(movie_dir), **kept}
            self.provide(kept)
            found = Movie(path, movie_dir, lease.acquire(movie_dir))
        else:
            found = Movie(path, *jobs.open_movie(path, self.out, os.getpid()))
        try:
            jobs.write_job(found.movie_dir, found.movie, kept)
            (found.movie_dir / "logs").mkdir(exist_ok=True)
            self._look_at(found)
        except BaseException:
            lease.release(found.movie_dir, found.token)
            raise
        self.movies[name] = found

    def _look_at(self, found: Movie) -> None:
        """Find out what is to be done."""
        decided = status.would_run(status.entries(found.movie_dir, found.movie), [row.name for row in self.rows], force=False)
        found.running = [entry.stage for entry, action in decided if action != "up to date"]
        for name in found.running:
            stage = load_contract(stage_table.find(name))
            if may_use_gpu(stage, jobs.options_of(stage, found.movie_dir)[0], self.here):
                found.gpu.append(name)


def may_use_gpu(stage: Stage[Any, Any, Any], options: Any, here: bool) -> bool:
    """Whether a job of `stage` is to have a GPU: where its table and DEVICE allow it; on this machine, only if it has one."""
    if here:
        return stage.uses_gpu(options)
    can = any(set(device_manager.ENGINES[kind]) != {"cpu"} for kind in stage.kinds(options))
    return bool(can and stage.row.gpu and options.device != "cpu")


def by_key(movies: Sequence[Movie]) -> dict[str, Movie]:
    """Each under a name of its own that a path, Snakemake's wildcards and a shell can bear: directories may have the same one."""
    keys: dict[str, Movie] = {}
    for found in movies:
        name = key = jobs.folder_name(Path(found.movie_dir.name))
        number = 1
        while key in keys:
            number += 1
            key = f"{name}-{number}"
        keys[key] = found
    return keys
