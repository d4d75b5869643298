"""The engines behind one small interface. What an engine can do is known without importing what it computes with."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from asr import formats, models
from reelscribe import device_manager, stage_table
from reelscribe.device_manager import Device
from reelscribe.errors import MissingToolError, UsageError
from reelscribe.manifest import Engine
from reelscribe.models import Found, ModelNeed, locate
from reelscribe.schemas import DecodedWindow, Plan, Window
from reelscribe.settings import LanguageOption, StageOptions, TranslateOption, option

if TYPE_CHECKING:
    import numpy as np


# Apple's GPU shares its memory with everything else.
_MPS_BATCH = 8
# A CPU may take minutes for a window with weights so large (medium's in float16 are), and a batch must come to its end long before
# ASR_STALL_TIMEOUT.
_LARGE_BYTES = 10**9
_LARGE_ON_CPU_BATCH = 4


class Load(BaseModel):
    """Everything an engine needs to know to be loaded, as a worker is told it: by to_load().

    backend: its name in WHISPER_BACKEND; model: name or folder; device and compute: as device_manager decided; batch: windows decoded
    together; language: a code or auto; prompt_max_terms, hotword_max_terms: how many of a window's terms it is told at most, and how.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    backend: str
    model: str
    device: str = "cpu"
    compute: str = "float32"
    batch: int = 1
    threads: int = 1
    language: str = "auto"
    translate: bool = False
    bias: bool = True
    prompt_max_terms: int = 20
    hotword_max_terms: int = 50
    offline: bool = False
    models_dir: str = ""


class Recognizer(Protocol):
    """A loaded engine."""

    def listen(self, windows: Sequence[Window], samples: Sequence[np.ndarray]) -> None:
        """Hear which language the movie is in; called once before decode() when Load.language is auto, with languages.voters()."""

    def decode(self, windows: Sequence[Window], samples: Sequence[np.ndarray]) -> Iterable[DecodedWindow]:
        """What was heard in each window, as soon as that is known: segments with times on the movie's timeline, ids from 0 in each window.

        windows: at most Load.batch of them; samples: for each (num_samples,) float32, 16 kHz mono. What a window gives must not
        depend on what was decoded before it.
        """


@dataclass(frozen=True)
class Backend:
    """What an engine is and can do. name: as in WHISPER_BACKEND; languages: ISO 639-1, None for any; batch: the most windows it decodes
    together; module: what it is imported as; model: name or folder of its weights, for Load.
    """

    name: str
    engine: Engine
    languages: frozenset[str] | None
    translates: bool
    bias: Literal["none", "vocabulary", "prompt"]
    word_times: bool
    batch: int
    load: Callable[[Load, Plan], Recognizer]
    module: str
    model: str = ""


class EngineOptions(StageOptions, LanguageOption, TranslateOption):
    """For asr."""

    backend: Literal["auto", "mlx", "whisperx", "sphinx"] = option(
        "auto",
        env="WHISPER_BACKEND",
        help="engine; auto: mlx on Apple Silicon, whisperx elsewhere, and sphinx, a draft, when no model for them is to be had",
    )
    model: str = option(
        "auto", env="WHISPER_MODEL", help="Whisper: a name such as large-v3, owner/name on the hub, or a folder; auto: by memory and device"
    )
    allow_draft: bool = option(
        True, env="ASR_ALLOW_DRAFT", affects_output=False, help="use PocketSphinx, which gives a draft, when no better engine is there"
    )
    batch_size: int = option(
        16,
        env="ASR_BATCH_SIZE",
        ge=1,
        le=64,
        help="windows that whisperx decodes together; on MPS at most 8, with a large model on a CPU 4",
    )
    bias: bool = option(True, env="BIAS", help="let the decoder know the glossary's terms")
    bias_prompt_max: int = option(20, env="BIAS_PROMPT_MAX_TERMS", ge=0, help="how many of a window's terms are its Whisper's prompt")
    bias_hotword_max: int = option(
        50, env="BIAS_HOTWORD_MAX_TERMS", ge=0, help="how many of a window's terms its Whisper is told in all, the others as hotwords"
    )


def backends() -> dict[str, Backend]:
    """The engines by their name in WHISPER_BACKEND, the best first; each without a model yet."""
    from asr.engines import mlx, sphinx, whisperx

    return {b.name: b for b in (mlx.BACKEND, whisperx.BACKEND, sphinx.BACKEND)}


def choose(wanted: EngineOptions) -> Backend:
    """The engine and its model. Raises UsageError for what it cannot do.

    auto is mlx on Apple Silicon, or whisperx when only that one's model is here, and whisperx elsewhere; the draft when none is here and
    the draft can do what is asked for. When it cannot, it is the Whisper all the same: its model may be fetched until it runs.
    """
    known = backends()
    draft = known["sphinx"]
    if wanted.backend == "auto":
        order = ["mlx", "whisperx"] if device_manager.probe().mps else ["whisperx"]
        whispers = [with_model(known[name], wanted) for name in order]
        here = [backend for backend in whispers if model_of(backend, wanted)]
        can = wanted.allow_draft and not wanted.translate and wanted.language in ("auto", *(draft.languages or ()))
        backend = here[0] if here else draft if can else whispers[0]
    else:
        backend = draft if wanted.backend == "sphinx" else with_model(known[wanted.backend], wanted)
    name = f"{backend.engine.name} with the model {wanted.model}" if backend.model else backend.engine.name
    refuse_language(backend, wanted.language, f"MOVIE_LANGUAGE={wanted.language}")
    if wanted.translate and not backend.translates:
        remedy = (
            "leave --translate away, or choose large-v3, medium or small with WHISPER_MODEL" if backend.model else "leave --translate away"
        )
        raise UsageError(f"{name} cannot translate", remedy=remedy)
    if backend.engine.draft and not wanted.allow_draft:
        raise MissingToolError(f"{name} gives a draft, and ASR_ALLOW_DRAFT is false", remedy="allow it with ASR_ALLOW_DRAFT=true")
    return backend


def with_model(backend: Backend, wanted: EngineOptions) -> Backend:
    """The engine with the model that is meant, and what that model can do. Raises UsageError for a name that there is not.

    auto: the preferred one, or while that is not here the next smaller one that is, or a larger one.
    """
    name = preferred_model(backend, wanted)
    if wanted.model == "auto":
        ranked = models.ranked(name, translate=wanted.translate)
        name = next((one for one in ranked if locate(_need(one, backend), wanted.models_dir)), name)
    need = _need(name, backend)
    found = locate(need, wanted.models_dir)
    can = formats.abilities(need, found)
    label = Path(need.repo).name if need.is_folder else f"{need.repo}@{found.revision}" if found and found.revision else need.repo
    return replace(
        backend,
        engine=backend.engine.model_copy(update={"model": label}),
        languages=None if can.multilingual else frozenset({"en"}),
        translates=can.translates,
        model=need.repo if need.is_folder else name,
    )


def preferred_model(backend: Backend, wanted: EngineOptions) -> str:
    """What WHISPER_MODEL says, or the best for this machine."""
    if wanted.model != "auto":
        return wanted.model
    device = device_manager.choose(stage_table.find("asr"), backend.engine.kind, wanted.device).device
    return models.choose_model(device_manager.probe(), device, translate=wanted.translate)


def _need(model: str, backend: Backend) -> ModelNeed:
    return models.resolve_model(model, backend.name, device_manager.probe())


def best(wanted: EngineOptions) -> Backend | None:
    """The engine that would be chosen if its model were here, with that model; None for one that has its own."""
    if wanted.backend == "sphinx":
        return None
    name = ("mlx" if device_manager.probe().mps else "whisperx") if wanted.backend == "auto" else wanted.backend
    backend = backends()[name]
    return replace(backend, model=preferred_model(backend, wanted))


def needs(wanted: EngineOptions) -> list[ModelNeed]:
    """The model to fetch. Raises UsageError for what it cannot do, as choose(): better before gigabytes are fetched than after."""
    choose(wanted)
    backend = best(wanted)
    return [_need(backend.model, backend)] if backend else []


def need_of(backend: Backend) -> ModelNeed | None:
    """The model that an engine wants; None for one that has its own."""
    return _need(backend.model, backend) if backend.model else None


def model_of(backend: Backend, wanted: EngineOptions) -> Found | None:
    """Where the engine's model is on this machine."""
    need = need_of(backend)
    return locate(need, wanted.models_dir) if need else None


def refuse_language(backend: Backend, language: str, said_by: str) -> None:
    """Raises UsageError when `language` (a code, or auto) is known and the engine does not know it."""
    if backend.languages is not None and language not in ("auto", *backend.languages):
        only = ", ".join(sorted(backend.languages))
        raise UsageError(
            f"{said_by}, but {backend.engine.name} understands only: {only}", remedy=f"give --language {only} if that is what is spoken"
        )


def to_load(backend: Backend, options: EngineOptions, device: Device, threads: int) -> Load:
    """The engine as a worker is told it."""
    return Load(
        backend=backend.name,
        model=backend.model,
        device=device.device,
        compute=device.compute,
        batch=batch_size(backend, options, device),
        threads=threads,
        language=options.language,
        translate=options.translate,
        bias=options.bias,
        prompt_max_terms=options.bias_prompt_max,
        hotword_max_terms=options.bias_hotword_max,
        offline=options.offline,
        models_dir=str(options.models_dir),
    )


def batch_size(backend: Backend, options: EngineOptions, device: Device) -> int:
    """How many windows are decoded together."""
    most = {"mps": _MPS_BATCH, "cpu": _LARGE_ON_CPU_BATCH if _is_large(backend, options) else backend.batch}
    return min(options.batch_size, backend.batch, most.get(device.device, backend.batch))


def _is_large(backend: Backend, options: EngineOptions) -> bool:
    found = model_of(backend, options)
    return found is not None and sum(path.stat().st_size for path in formats.weights(found.folder)) > _LARGE_BYTES


def weights(backend: Backend, options: EngineOptions) -> dict[str, str | Path | None]:
    """What says which weights they are: the commit that the hub names, or the files."""
    found = model_of(backend, options)
    if not found:
        return {}
    return {"model": found.revision} if found.revision else {f"model/{path.name}": path for path in formats.weights(found.folder)}


def require(backend: Backend, options: EngineOptions) -> None:
    """Raises UsageError or MissingToolError when the engine is not in this environment, or its model not on this machine."""
    if importlib.util.find_spec(backend.module) is None:
        environment = backend.engine.environment or stage_table.find("asr").environments[0]
        raise MissingToolError(
            f"{backend.engine.name} is not in this environment", remedy=f"run the stage with native/venvs/{environment}/bin/python"
        )
    need = need_of(backend)
    if need:
        formats.require(need, options.models_dir, backend.name)
