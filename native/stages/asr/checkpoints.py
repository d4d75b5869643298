"""Decoded chunks on disk: what a killed run has finished, the next one does not decode again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from reelscribe.artifacts import read_json, write_json
from reelscribe.errors import BadInputError, NewerSchemaError
from reelscribe.manifest import fingerprint
from reelscribe.schemas import AsDecoded, Chunk, DecodedChunk, DecodedWindow, Plan


class Checkpoints:
    """`folder`/chunk_NNNN.json.

    decides: what, besides a chunk's windows and terms, decides its words; aligns: what decides their times; degraded: is that good enough?
    """

    def __init__(
        self, folder: Path, plan: Plan, decides: dict[str, Any], aligns: dict[str, Any] | None = None, *, degraded: bool = True
    ) -> None:
        self._folder = folder
        self._plan = plan
        self._decides = decides
        self._alignment = fingerprint(aligns or {})
        self._degraded = degraded

    def path(self, chunk: Chunk) -> Path:
        """Where the chunk is kept."""
        return self._folder / f"chunk_{chunk.id:04d}.json"

    def read(self, chunk: Chunk) -> DecodedChunk | None:
        """The chunk as it was decoded from just this audio with just these settings and terms; None when it was not."""
        if not self.path(chunk).exists():
            return None
        try:
            found = read_json(self.path(chunk), DecodedChunk)
        except NewerSchemaError:
            raise
        except BadInputError:
            return None
        good = found.fingerprint == self._fingerprint(chunk) and [w.window for w in found.decoded.windows] == chunk.windows
        return found if good and (self._degraded or not found.decoded.degraded) else None

    def is_aligned(self, found: DecodedChunk) -> bool:
        """Whether its words have the times that they are to have."""
        return found.alignment == self._alignment and (self._degraded or found.degraded == found.decoded.degraded)

    def write(self, chunk: Chunk, windows: Sequence[DecodedWindow], degraded: Sequence[str] = ()) -> DecodedChunk:
        """Keep the chunk as the engine gave it. `degraded`: what it was decoded with less of."""
        decoded = AsDecoded(windows=list(windows), degraded=list(degraded))
        fingerprint = self._fingerprint(chunk)
        return self._keep(
            DecodedChunk(id=chunk.id, fingerprint=fingerprint, degraded=decoded.degraded, windows=decoded.windows, decoded=decoded), chunk
        )

    def write_aligned(self, chunk: Chunk, found: DecodedChunk, windows: Sequence[DecodedWindow], failures: Sequence[str]) -> DecodedChunk:
        """Keep the chunk with the times of its words. `failures`: what kept words from being aligned."""
        changes = {"alignment": self._alignment, "windows": list(windows), "degraded": [*found.decoded.degraded, *failures]}
        return self._keep(found.model_copy(update=changes), chunk)

    def _keep(self, found: DecodedChunk, chunk: Chunk) -> DecodedChunk:
        """It is whole on disk when this returns, and given as it was stored: what was just decoded must not differ from what was read
        back, not even in rounding.
        """
        write_json(self.path(chunk), found)
        return read_json(self.path(chunk), DecodedChunk)

    def remove(self, *, every: bool) -> None:
        """Remove the chunks of an earlier plan that this one does not have, or `every` one."""
        expected = set() if every else {self.path(chunk) for chunk in self._plan.chunks}
        for path in self._folder.glob("chunk_*.json"):
            if path not in expected:
                path.unlink()

    def _fingerprint(self, chunk: Chunk) -> str:
        windows = [self._plan.windows[number] for number in chunk.windows]
        used = {text for window in windows for text in window.terms}
        terms = [term for term in self._plan.terms if term.text in used]
        dumped = {"windows": [w.model_dump() for w in windows], "terms": [t.model_dump() for t in terms]}
        # What is decoded together can move the last digit of a score, and then a word.
        dumped["batches"] = chunk.batches
        return fingerprint({**self._decides, **dumped})


def any_degraded(folder: Path) -> bool:
    """Whether a chunk in `folder` was decoded with less than full quality."""
    for path in folder.glob("chunk_*.json"):
        with suppress(BadInputError):
            if read_json(path, DecodedChunk).degraded:
                return True
    return False
