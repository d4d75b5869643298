"""The stage contract: what a stage declares, and what a stage's run() is given.

A stage script declares Options, Inputs and Outputs, writes `engine`, `run` and `check`, and ends with

    STAGE = Stage(name="demux", revision=1, options=Options, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check)
    if __name__ == "__main__":
        main(STAGE)

Heavy imports stay inside `run`, `check` and the stage's helpers, so that every contract loads with pydantic alone.
"""

from __future__ import annotations

import glob
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from logging import Logger
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from reelscribe import device_manager, logger, stage_table
from reelscribe.device_manager import Device
from reelscribe.errors import MissingInputError
from reelscribe.manifest import Engine
from reelscribe.models import ModelNeed
from reelscribe.progress import Progress
from reelscribe.schemas import Document
from reelscribe.settings import StageOptions
from reelscribe.stage_table import NATIVE, Row

__all__ = ["Context", "Engine", "ModelNeed", "Stage", "StageFiles", "artifact", "load_contract", "load_contracts", "main", "movie_file"]

_MOVIE = "<movie>"


class StageFiles(BaseModel):
    """Base of a stage's Inputs and Outputs; its fields are made by artifact() or movie_file()."""

    model_config = ConfigDict(frozen=True, defer_build=True)


def artifact(pattern: str, *, schema: type[Document] | None = None, movie: bool = False) -> Any:
    """A file of the movie directory; `schema` is the model of a JSON file. `movie`: it is as large as one, and known by blocks of it.

    `{name}` in `pattern` stands for the movie directory's name. A pattern with * is any number of files: the field is then a
    `tuple[Path, ...]`, and a stage names what it made with Context.add_output(). A field of type `Path | None` may be missing.
    """
    return Field(default=(), json_schema_extra={"artifact": pattern, "schema": schema, "sampled": movie})  # type: ignore[dict-item]


def movie_file() -> Any:
    """The movie itself, as an input."""
    return artifact(_MOVIE, movie=True)


@dataclass(frozen=True)
class FileField:
    """One declared input or output."""

    field: str
    pattern: str
    optional: bool
    schema: type[Document] | None
    sampled: bool

    @property
    def is_movie(self) -> bool:
        """Whether this is the movie itself."""
        return self.pattern == _MOVIE

    @property
    def many(self) -> bool:
        """Whether any number of files may match."""
        return "*" in self.pattern

    def path(self, movie_dir: Path) -> Path:
        """Where the file lies; only for a field that is neither the movie nor a pattern."""
        return movie_dir / self.pattern.replace("{name}", movie_dir.name)

    def matches(self, movie_dir: Path) -> list[Path]:
        """The files that are there, sorted."""
        pattern = self.pattern.replace("{name}", glob.escape(movie_dir.name))
        return sorted(p for p in movie_dir.glob(pattern) if p.is_file() and not p.name.startswith("."))


def file_fields(model: type[StageFiles]) -> list[FileField]:
    """The declared files of an Inputs or Outputs class."""
    found = []
    for name, info in model.model_fields.items():
        extra: Any = info.json_schema_extra
        optional = type(None) in getattr(info.annotation, "__args__", ())
        found.append(FileField(name, extra["artifact"], optional, extra["schema"], extra["sampled"]))
    return found


Options = TypeVar("Options", bound=StageOptions)
Inputs = TypeVar("Inputs", bound=StageFiles)
Outputs = TypeVar("Outputs", bound=StageFiles)


def _no_facts(movie: Path, options: Any) -> dict[str, str | Path | None]:
    return {}


def _no_models(options: Any) -> list[ModelNeed]:
    return []


def _no_helper(options: Any) -> str:
    return ""


def _good_enough(movie_dir: Path, options: Any) -> bool:
    return False


@dataclass(frozen=True)
class Stage(Generic[Options, Inputs, Outputs]):
    """A stage's declaration.

    revision: raised when the output changes for the same inputs. engine(options): what it will compute with, found out without heavy
    imports. run(ctx): does the work. check(options, device): a real inference of moments; returns a line that says what worked.
    facts(movie, options): what else decides the output, by name: a text, or a file (hashed; None when absent). models(options): what it
    would use if it were there; native/pipeline.sh fetches what is missing, and stages look with models.locate(). redo(movie_dir,
    options): whether to run although all is up to date. helper(options): another environment, in which it starts processes of its own;
    helper_kind(options): what those compute with, as Engine.kind says it, or "".
    part(ctx, name): does the named part of the work for a workflow, which spreads a stage over machines; run() then finds it done.
    """

    name: str
    revision: int
    options: type[Options]
    inputs: type[Inputs]
    outputs: type[Outputs]
    engine: Callable[[Options], Engine]
    run: Callable[[Context[Options, Inputs, Outputs]], None]
    check: Callable[[Options, Device], str]
    facts: Callable[[Path, Options], dict[str, str | Path | None]] = _no_facts
    models: Callable[[Options], list[ModelNeed]] = _no_models
    redo: Callable[[Path, Options], bool] = _good_enough
    helper: Callable[[Options], str] = _no_helper
    helper_kind: Callable[[Options], str] = _no_helper
    part: Callable[[Context[Options, Inputs, Outputs], str], None] | None = None

    @property
    def row(self) -> Row:
        """The stage's row in the table."""
        return stage_table.find(self.name)

    def environment(self, options: Options) -> str:
        """The environment the stage runs in with these options."""
        return self.engine(options).environment or self.row.environments[0]

    def choose_device(self, options: Options) -> Device | None:
        """The device, or None for a stage that computes on none."""
        kind = self.engine(options).kind
        return device_manager.choose(self.row, kind, options.device) if kind else None

    def kinds(self, options: Options) -> list[str]:
        """What it computes with, its helper included: keys of device_manager.ENGINES."""
        return [kind for kind in (self.engine(options).kind, self.helper_kind(options)) if kind]

    def uses_gpu(self, options: Options) -> bool:
        """Whether any of it computes on a GPU of this machine."""
        return any(device_manager.choose(self.row, kind, options.device).device != "cpu" for kind in self.kinds(options))


@dataclass
class Context(Generic[Options, Inputs, Outputs]):
    """What run() is given. Paths in `inputs` and `outputs` are absolute; `device` is the CPU for a stage that computes on none.

    `forced`: the user said --force, so nothing that was kept of an earlier run may be used.
    """

    movie: Path
    movie_dir: Path
    options: Options
    inputs: Inputs
    outputs: Outputs
    engine: Engine
    device: Device
    threads: int
    log: Logger
    progress: Progress
    fallbacks: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    added: list[Path] = field(default_factory=list)
    forced: bool = False

    @property
    def name(self) -> str:
        """`<Movie_Name>`, as files are called after it."""
        return self.movie_dir.name

    def fallback(self, what: str) -> None:
        """Something less than the best is used: said aloud and kept in the manifest."""
        self.log.warning(what)
        self.fallbacks.append(logger.redact(what))

    def note(self, name: str, value: Any) -> None:
        """A fact about this run for the manifest (JSON)."""
        self.notes[name] = value

    @contextmanager
    def starting(self) -> Iterator[None]:
        """The block (imports, loading a model) takes no longer for a longer movie; its seconds are the manifest's note `startup_s`."""
        started = time.monotonic()
        yield
        self.note("startup_s", round(time.monotonic() - started, 3))

    def add_output(self, path: Path) -> None:
        """Name a file that was made for an output declared with a pattern."""
        self.added.append(path)


def resolve_inputs(model: type[Inputs], movie: Path | None, movie_dir: Path) -> Inputs:
    """The inputs as absolute paths. Raises MissingInputError naming the stage that makes the missing one."""
    values: dict[str, Any] = {}
    for file in file_fields(model):
        if file.is_movie:
            values[file.field] = movie
        elif file.many:
            values[file.field] = tuple(file.matches(movie_dir))
        elif file.path(movie_dir).is_file():
            values[file.field] = file.path(movie_dir)
        elif file.optional:
            values[file.field] = None
        else:
            raise MissingInputError(file.pattern, producer(file.pattern))
    return model.model_validate(values)


def resolve_outputs(model: type[Outputs], movie_dir: Path) -> Outputs:
    """The outputs as absolute paths; those declared with a pattern are empty, the stage names them."""
    return model.model_validate({f.field: () if f.many else f.path(movie_dir) for f in file_fields(model)})


def producer(pattern: str) -> str:
    """The name of the stage whose Outputs declare `pattern`."""
    for contract in load_contracts():
        if any(f.pattern == pattern for f in file_fields(contract.outputs)):
            return contract.name
    return "that makes it"


@lru_cache
def load_contract(row: Row) -> Stage[Any, Any, Any]:
    """The declaration inside the stage's script, without running it."""
    folder = str(NATIVE / "stages")
    if folder not in sys.path:
        # Behind everything installed: a helper package must never hide a library of the same name.
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(f"reelscribe_stage_{row.number:02d}", row.script)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    stage: Stage[Any, Any, Any] = module.STAGE
    return stage


def load_contracts() -> list[Stage[Any, Any, Any]]:
    """The declarations of all stages, in order."""
    return [load_contract(row) for row in stage_table.load()]


def main(stage: Stage[Any, Any, Any]) -> NoReturn:
    """Run the stage as its script's command line says and exit with its code."""
    from reelscribe.runner import run_command_line

    sys.exit(run_command_line(stage, sys.argv[1:]))
