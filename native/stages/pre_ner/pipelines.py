"""Trained spaCy pipelines on this machine: in MODELS_DIR as folders, or installed as packages into this stage's environment.

Found by looking at files, so that every environment (and a bare interpreter) finds the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from reelscribe.stage_table import NATIVE

_SITE_PACKAGES = "venvs/pre-ner/lib/python*/site-packages"
# Of several for one language the most able; what does not load (a missing dependency) is passed over.
_SIZES = ("trf", "lg", "md", "sm")
ANY_LANGUAGE = "xx"


@dataclass(frozen=True)
class Trained:
    """A pipeline with a trained entity recogniser; `name` and `version` as spaCy's packages are called."""

    language: str
    name: str
    version: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def rank(self) -> tuple[int, str, str]:
        """The best first."""
        size = self.name.rsplit("_", 1)[-1]
        return (_SIZES.index(size) if size in _SIZES else len(_SIZES), self.name, str(self.folder))


def installed(models_dir: Path) -> list[Trained]:
    """All of them, the best first."""
    metas = [*models_dir.glob("*/meta.json"), *models_dir.glob("*/*/meta.json")]
    for site in NATIVE.glob(_SITE_PACKAGES):
        metas += _packaged(site, site.stat().st_mtime_ns)
    found = (_trained(meta) for meta in metas if (meta.parent / "config.cfg").is_file())
    return sorted((t for t in found if t), key=lambda t: t.rank)


@lru_cache
def _packaged(site: Path, changed_ns: int) -> tuple[Path, ...]:
    """Looked for once until something is installed: there are a hundred packages, and a run asks for them nine times, which took 0.15 s."""
    return tuple(site.glob("*/*/meta.json"))


def _trained(meta: Path) -> Trained | None:
    try:
        said = json.loads(meta.read_text(encoding="utf-8"))
        if "ner" not in said["pipeline"]:
            return None
        return Trained(said["lang"], f"{said['lang']}_{said['name']}", said["version"], meta.parent)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def for_language(language: str, trained: list[Trained]) -> list[Trained]:
    """Those that can read `language`, the best first: its own, then those for any language."""
    return [t for wanted in (language, ANY_LANGUAGE) for t in trained if t.language == wanted]
