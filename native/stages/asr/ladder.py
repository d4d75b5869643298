"""What is tried when decoding a chunk fails: every step asks less of the machine than the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asr import formats
from asr.engines import EngineOptions, Load, best, need_of
from reelscribe.device_manager import ENGINES
from reelscribe.models import ModelNeed, locate
from reelscribe.schemas import Chunk, Window

# One process decodes at least so much: loading a model for less takes longer than decoding.
_LEAST_PART_S = 60.0
_SMALLER_COMPUTE = {("ctranslate2", "float32"): "int8", ("ctranslate2", "float16"): "int8"}
_SMALLER_MODEL = {
    **dict.fromkeys(("large", "large-v1", "large-v2", "large-v3"), "medium"),
    **dict.fromkeys(("large-v3-turbo", "turbo", "medium"), "small"),
    **{"small": "base", "base": "tiny", "medium.en": "small.en", "small.en": "base.en", "base.en": "tiny.en"},
}


@dataclass(frozen=True)
class Effort:
    """How a chunk is decoded. part_s: how much one process decodes at most, None for any amount; degraded: what is less than full."""

    load: Load
    part_s: float | None = None
    degraded: tuple[str, ...] = ()

    def parts(self, batches: Sequence[Sequence[int]], windows: Sequence[Window]) -> list[list[list[int]]]:
        """`batches` in what one process decodes: no batch larger than Load.batch, no part longer than `part_s`, if that can be."""
        most = max(1, self.load.batch)
        parts: list[list[list[int]]] = []
        for batch in (list(b[first : first + most]) for b in batches for first in range(0, len(b), most)):
            if not parts or (self.part_s and windows[batch[-1]].end - windows[parts[-1][0][0]].start > self.part_s):
                parts.append([])
            parts[-1].append(batch)
        return parts


def smaller_model(load: Load) -> str:
    """The next smaller one that is on this machine; the one of `load` where there is none. A folder has no smaller one."""
    name = _SMALLER_MODEL.get(load.model)
    while name:
        need = formats.need(name, load.backend, device=load.device, translate=load.translate)
        if locate(need, Path(load.models_dir)):
            return name
        name = _SMALLER_MODEL.get(name)
    return load.model


def smaller_needs(wanted: EngineOptions) -> list[ModelNeed]:
    """The next smaller one, to be fetched so that it is there when it is needed."""
    backend = best(wanted)
    name = _SMALLER_MODEL.get(backend.model) if backend else None
    need = need_of(replace(backend, model=name)) if backend and name else None
    return [need] if need else []


def ladder(load: Load, kind: str, chunk: Chunk, model: str) -> list[Effort]:
    """`load` in full and what is tried after it, each with all steps before it; a step that gives nothing repeats the effort before.

    kind: a key of device_manager.ENGINES; model: what to try last.
    """
    efforts = [Effort(load)]

    def step(gives: bool, label: str, *, part_s: float | None = None, **changes: object) -> None:
        last = efforts[-1]
        less = Effort(last.load.model_copy(update=changes), part_s or last.part_s, (*last.degraded, label))
        efforts.append(less if gives else last)

    batch = max((len(batch) for batch in chunk.batches), default=1)
    step(batch > 1, f"batch {batch} → {batch // 2}", batch=batch // 2)
    length = chunk.end - chunk.start
    part_s = max(_LEAST_PART_S, length / 2)
    step(length > part_s, f"chunk {length:.0f} s → {part_s:.0f} s", part_s=part_s)
    compute = _SMALLER_COMPUTE.get((kind, load.compute), load.compute)
    step(compute != load.compute, f"{load.compute} → {compute}", compute=compute)
    step(load.device != "cpu", f"{load.device} → cpu", device="cpu", compute=ENGINES[kind]["cpu"])
    step(model != load.model, f"model {load.model} → {model}", model=model)
    return efforts
