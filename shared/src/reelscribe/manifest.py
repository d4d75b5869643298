"""`manifests/NN_name.json`: what a stage did, from what, with what. Written last; only status `done` with the right fingerprint counts."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from reelscribe import logger
from reelscribe.artifacts import read_json, write_json
from reelscribe.device_manager import Device
from reelscribe.errors import BadInputError, NewerSchemaError
from reelscribe.schemas import Document
from reelscribe.stage_table import NATIVE, Row

# The note of a stage that failed on a GPU for a reason that the CPU would not mend.
NO_RETRY = "no_retry"


class Engine(BaseModel):
    """What a stage computes with.

    kind: a key of device_manager.ENGINES, or "" for a stage that computes on no device. packages: those that decide the output; their
    versions are read from the lock of `environment` (default: the stage's first). model: name and revision of the weights.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str = ""
    packages: tuple[str, ...] = ()
    model: str = ""
    environment: str = ""
    draft: bool = False


class OptionRecord(BaseModel):
    """A resolved value and the layer it came from."""

    value: Any
    source: str


class FileRecord(BaseModel):
    """An output: its size in bytes and SHA-256 (of a movie: of its size and three blocks, artifacts.movie_identity)."""

    size: int
    sha256: str


class Run(BaseModel):
    """Circumstances of a run, none of which count for the fingerprint. `peak_rss_mb`: of the stage and its largest child."""

    started: str
    seconds: float = 0.0
    peak_rss_mb: int = 0
    host: str = ""
    code: str = ""
    lock: str = ""


class Manifest(Document):
    """A stage's record. `fingerprint` covers inputs, options that affect the output, revision, schemas, engine and facts."""

    stage: str
    revision: int
    status: Literal["running", "done", "failed"]
    fingerprint: str
    inputs: dict[str, str] = Field(default_factory=dict)
    facts: dict[str, str] = Field(default_factory=dict)
    options: dict[str, OptionRecord] = Field(default_factory=dict)
    engine: dict[str, Any] = Field(default_factory=dict)
    device: Device | None = None
    fallbacks: list[str] = Field(default_factory=list)
    notes: dict[str, Any] = Field(default_factory=dict)
    outputs: dict[str, FileRecord] = Field(default_factory=dict)
    error: str | None = None
    exit_code: int | None = None
    run: Run

    @field_validator("outputs")
    @classmethod
    def _inside(cls, outputs: dict[str, FileRecord]) -> dict[str, FileRecord]:
        """They are shown, served and removed by these names."""
        for name in outputs:
            if not name or "\0" in name or name.startswith("/") or ".." in name.split("/"):
                raise ValueError("no path in the movie directory")
        return outputs


def path_of(movie_dir: Path, row: Row) -> Path:
    """Where the manifest of the stage `row` lies."""
    return movie_dir / "manifests" / f"{row.key}.json"


def read(movie_dir: Path, row: Row) -> Manifest | None:
    """The stage's manifest; None when there is none or it is damaged (which means: run again).

    Raises NewerSchemaError when a newer reelscribe wrote it: its outputs may mean something we do not know.
    """
    try:
        return read_json(path_of(movie_dir, row), Manifest)
    except NewerSchemaError:
        raise
    except BadInputError:
        return None


def write(movie_dir: Path, row: Row, manifest: Manifest) -> None:
    """Store the manifest, replacing the one before; a secret that got into a note or an error does not get into the file."""
    write_json(path_of(movie_dir, row), _redacted(manifest.model_dump(mode="json", exclude_none=True)))


def _redacted(value: Any) -> Any:
    """The same JSON value with every text redacted, and readable again: the name of a file may hold bytes that are no UTF-8."""
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    return logger.redact(value).encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def fingerprint(parts: dict[str, Any]) -> str:
    """One digest of everything that decides a stage's output."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


@lru_cache
def locked_versions(environment: str) -> dict[str, str]:
    """Package → version(s) in `requirements/<environment>.txt`; a universal lock may hold several, joined by commas."""
    versions: dict[str, list[str]] = {}
    lock = NATIVE / "requirements" / f"{environment}.txt"
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE):
        versions.setdefault(name.lower(), []).append(version)
    return {name: ",".join(found) for name, found in versions.items()}


def text_digest(*paths: Path) -> str:
    """Short digest of source files, for the record only."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()[:16]
