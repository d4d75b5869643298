"""The engines behind one small interface. What an engine can do is known without importing what it computes with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from reelscribe.errors import MissingToolError, UsageError
from reelscribe.manifest import Engine
from reelscribe.schemas import DecodedWindow, Plan, Window

if TYPE_CHECKING:
    import numpy as np


class Load(BaseModel):
    """Everything an engine needs to know to be loaded, as a worker is told it.

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

    def decode(self, windows: Sequence[Window], samples: Sequence[np.ndarray]) -> list[DecodedWindow]:
        """What was heard in each window: segments with times on the movie's timeline, ids from 0 in each window.

        windows: at most Load.batch of them; samples: for each (num_samples,) float32, 16 kHz mono. What a window gives must not
        depend on what was decoded before it.
        """


@dataclass(frozen=True)
class Backend:
    """What an engine is and can do. languages: ISO 639-1, None for any; batch: the most windows it decodes together."""

    engine: Engine
    languages: frozenset[str] | None
    translates: bool
    bias: Literal["none", "vocabulary", "prompt"]
    word_times: bool
    batch: int
    load: Callable[[Load, Plan], Recognizer]


def backends() -> dict[str, Backend]:
    """The engines that there are by their name in WHISPER_BACKEND, the best first."""
    from asr.engines import sphinx

    return {"sphinx": sphinx.BACKEND}


def choose(wanted: str, *, language: str, translate: bool, allow_draft: bool) -> Backend:
    """The engine for what is `wanted` ("auto" or a name). Raises UsageError for what it cannot do, MissingToolError for no draft."""
    known = backends()
    if wanted not in ("auto", *known):
        raise UsageError(
            f"WHISPER_BACKEND={wanted}: this version has no such engine yet",
            remedy=f"use auto, or one of: {', '.join(known)}",
        )
    backend = next(iter(known.values())) if wanted == "auto" else known[wanted]
    name = backend.engine.name
    if backend.engine.draft and not allow_draft:
        raise MissingToolError(
            f"the only engine that is there, {name}, gives a draft, and ASR_ALLOW_DRAFT is false",
            remedy="allow it with ASR_ALLOW_DRAFT=true",
        )
    refuse_language(backend, language, f"MOVIE_LANGUAGE={language}")
    if translate and not backend.translates:
        raise UsageError(f"{name} cannot translate", remedy="leave --translate away")
    return backend


def refuse_language(backend: Backend, language: str, said_by: str) -> None:
    """Raises UsageError when `language` (a code, or auto) is known and the engine does not know it."""
    if backend.languages is not None and language not in ("auto", *backend.languages):
        only = ", ".join(sorted(backend.languages))
        raise UsageError(
            f"{said_by}, but {backend.engine.name} understands only: {only}", remedy=f"give --language {only} if that is what is spoken"
        )
