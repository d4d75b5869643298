"""The schemas of the files in a movie directory, as digests, so that a change of one is noticed: tests/data/schemas.json.

After a change: raise the class's SCHEMA, put a line with `schema: Name N` into CHANGELOG.md that says what it means for movies that are
there already, and write the record anew. While version N is in no release, N may stay.

    native/venvs/dev/bin/python tests/schema_record.py --write
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from reelscribe import edits, manifest, schemas
from reelscribe.schemas import Document

RECORD = Path(__file__).parent / "data" / "schemas.json"
_HOLD_SOME = (edits, manifest, schemas)


def documents(base: type[Document] = Document) -> dict[str, type[Document]]:
    """Every kind of file with a schema, by its class's name."""
    found: dict[str, type[Document]] = {}
    for kind in base.__subclasses__():
        if kind.__module__ in {module.__name__ for module in _HOLD_SOME}:
            found |= {kind.__name__: kind} | documents(kind)
    return dict(sorted(found.items()))


def digest(kind: type[Document]) -> str:
    """Changes with what the file may hold, not with how that is explained."""
    return hashlib.sha256(json.dumps(_bare(kind.model_json_schema()), sort_keys=True).encode()).hexdigest()[:16]


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        # "title" may also be the name of a field, which is a schema itself.
        return {key: _bare(item) for key, item in value.items() if not (key in ("title", "description") and isinstance(item, str))}
    return [_bare(item) for item in value] if isinstance(value, list) else value


def recorded() -> dict[str, dict[str, str]]:
    """Class → version → digest."""
    record: dict[str, dict[str, str]] = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    return record


def today() -> dict[str, dict[str, str]]:
    """The record as it should be: earlier versions as they were."""
    before = recorded()
    return {name: {**before.get(name, {}), str(kind.SCHEMA): digest(kind)} for name, kind in documents().items()}


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    RECORD.write_text(json.dumps(today(), indent=1) + "\n", encoding="utf-8")
