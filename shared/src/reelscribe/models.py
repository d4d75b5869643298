"""Models that come from the Hugging Face hub: what a stage needs, and where on this machine that is. Fetching is in hub.py.

A model is a folder: one that was named by its path, `MODELS_DIR/<owner>--<name>` (put there by hub.py), `MODELS_DIR/<name>` (put there
by hand), or a snapshot in the hub's own cache.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

RECORD = "reelscribe.json"  # in a folder that hub.py made: where its files are from


@dataclass(frozen=True)
class ModelNeed:
    """A model that a stage wants to use.

    repo: `owner/name` on the hub, or the path of a folder, which is used as it is. purpose: what it is for, in a word or two. files: what
    it cannot do without, as names or patterns; `a|b` is the first of the two that there is. extras: what is taken along where there is.
    revision: branch, tag or commit; None for the hub's newest. gated: whether its terms have to be accepted first.
    """

    repo: str
    purpose: str
    files: tuple[str, ...]
    extras: tuple[str, ...] = ()
    revision: str | None = None
    gated: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether `repo` is the path of a folder."""
        return is_path(self.repo)

    @property
    def key(self) -> str:
        """The name of its folder in MODELS_DIR; a revision that was asked for has a folder of its own."""
        return self.repo.replace("/", "--") + (f"@{self.revision}" if self.revision else "")

    @property
    def page(self) -> str:
        """Where people read about it and accept its terms."""
        return f"https://huggingface.co/{self.repo}"


@dataclass(frozen=True)
class Found:
    """A model on this machine. revision: the commit its files are of; empty for a folder that somebody made."""

    folder: Path
    revision: str = ""


def is_path(name: str) -> bool:
    """Whether `name` is meant as a path: names on the hub are `name` or `owner/name`."""
    return name.startswith(("/", ".", "~")) or name.count("/") > 1


def choose_files(patterns: Iterable[str], names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Of `names` those that `patterns` (ModelNeed.files) mean, and the patterns that none of them fits."""
    names = list(names)
    chosen: list[str] = []
    lacking: list[str] = []
    for pattern in patterns:
        fitting = [[name for name in names if fnmatch(name, one)] for one in pattern.split("|")]
        first = next(filter(None, fitting), None)
        if first is None:
            lacking.append(pattern.replace("|", " or "))
        chosen += first or []
    return chosen, lacking


def lacking(need: ModelNeed, folder: Path) -> list[str]:
    """What `folder` has not of the files of `need`."""
    return [pattern.replace("|", " or ") for pattern in need.files if not _there(pattern, folder)]


def _there(pattern: str, folder: Path) -> bool:
    """Looks where the pattern says and nowhere else: a user's folder may be a home directory, or changing."""
    return any(path.is_file() for one in pattern.split("|") for path in folder.glob(one))


def locate(need: ModelNeed, models_dir: Path) -> Found | None:
    """The model on this machine, whole, or None."""
    for folder in _candidates(need, models_dir):
        if folder.is_dir() and not lacking(need, folder):
            return Found(folder, _revision_of(folder))
    return None


def _candidates(need: ModelNeed, models_dir: Path) -> Iterator[Path]:
    if need.is_folder:
        yield Path(need.repo).expanduser().absolute()
        return
    yield models_dir / need.key
    if need.revision is None:
        yield models_dir / need.repo.split("/")[-1]
    yield from _snapshots(need)


def _snapshots(need: ModelNeed) -> Iterator[Path]:
    """What the hub's cache has of it (https://huggingface.co/docs/huggingface_hub/guides/manage-cache), what `refs` names first."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or str(Path(cache) / "huggingface")
    repo = Path(os.environ.get("HF_HUB_CACHE") or str(Path(home) / "hub")).expanduser() / f"models--{need.repo.replace('/', '--')}"
    revision = need.revision or "main"
    with suppress(OSError):
        yield repo / "snapshots" / (repo / "refs" / revision).read_text(encoding="utf-8").strip()
    yield repo / "snapshots" / revision
    if need.revision is None:
        yield from sorted((repo / "snapshots").glob("*"), key=lambda snapshot: snapshot.stat().st_mtime, reverse=True)


def _revision_of(folder: Path) -> str:
    """The commit: of our record, or by its name in the hub's cache."""
    if folder.parent.name == "snapshots":
        return folder.name
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((folder / RECORD).read_bytes())["commit"])
    return ""
