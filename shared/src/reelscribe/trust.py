"""Weights that come as pickles, which are programs: run only where their hash is known or the user trusts them, else read as data.

torch.load has an unpickler that makes tensors, numbers and named classes and calls nothing else. DATA_ONLY, which runner.py gives to every
stage, holds all libraries to it, also those that ask for the other one, as pyannote does.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reelscribe.errors import MissingToolError
from reelscribe.settings import StageOptions, option

if TYPE_CHECKING:
    from pyannote.audio import Model

_FORCED = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # https://docs.pytorch.org/docs/stable/notes/serialization.html
DATA_ONLY = {_FORCED: "1"}
# SHA-256 of checkpoints that somebody of us has looked into.
PINNED = {"0b5b3216d60a2d32fc086b47ea8c67589aaeb26b7e07fcbe620d6d0b83e209ea": "the segmentation inside whisperx 3.8.6"}
_ARCHITECTURES = "pyannote.audio.models."


class TrustOption(StageOptions):
    """For the stages that read checkpoints of others."""

    trust_model: bool = option(
        False,
        env="TRUST_MODEL",
        affects_output=False,
        personal=True,
        help="run the code that a model's file may hold (a pickle): only for models from somebody you trust",
    )


class UntrustedError(MissingToolError):
    """A model's file that would run code of its own."""


def pyannote_model(weights: Path, *, trusted: bool = False, strict: bool = True) -> Model:
    """The model of a checkpoint of pyannote's. Raises UntrustedError for one that wants more than to be read.

    strict: whether it holds what its architecture has and no more, as pyannote means it.
    """
    from pyannote.audio import Model

    content = weights.read_bytes()  # read once: what was looked at is what is loaded
    if trusted or hashlib.sha256(content).hexdigest() in PINNED:
        with _code_allowed():
            return Model.from_pretrained(io.BytesIO(content), strict=strict)
    with _plain_classes():
        _require_plain(weights, content)
        return Model.from_pretrained(io.BytesIO(content), strict=strict)


def untrusted(path: Path, why: str) -> UntrustedError:
    """Refused because of what `path` wants (`why`, with its verb)."""
    return UntrustedError(
        f"{path} {why}: it could do anything as you",
        remedy="if you trust where it comes from, run again with --trust-model; else remove it",
    )


def _require_plain(weights: Path, content: bytes) -> None:
    """Also as data a checkpoint names what lightning and pyannote will import and call. Raises UntrustedError."""
    import pickle

    import torch

    try:
        checkpoint = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise untrusted(weights, "is no plain data") from error
    module = str(checkpoint["pyannote.audio"]["architecture"]["module"])
    if not module.startswith(_ARCHITECTURES):
        raise untrusted(weights, f"wants to import {module!r}")
    # lightning/pytorch/core/saving.py calls what this names.
    if any("_instantiator" in parameters for name, parameters in checkpoint.items() if "hyper_parameters" in str(name)):
        raise untrusted(weights, "names a function to call")


@contextmanager
def _code_allowed() -> Iterator[None]:
    """torch.load does what it is asked to."""
    before = os.environ.pop(_FORCED, None)
    try:
        yield
    finally:
        if before is not None:
            os.environ[_FORCED] = before


@contextmanager
def _plain_classes() -> Iterator[None]:
    """torch.load makes tensors, and of classes those that pyannote's own checkpoints hold: enumerations, records, omegaconf's lists."""
    import torch

    before = os.environ.get(_FORCED)
    os.environ[_FORCED] = "1"
    try:
        with torch.serialization.safe_globals(_classes()):
            yield
    finally:
        if before is None:
            del os.environ[_FORCED]


def _classes() -> list[Any]:
    from collections import defaultdict

    from omegaconf.base import ContainerMetadata, Metadata
    from omegaconf.listconfig import ListConfig
    from omegaconf.nodes import AnyNode
    from pyannote.audio.core.model import Introspection
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from torch.torch_version import TorchVersion

    plain = [Introspection, Problem, Resolution, Specifications, TorchVersion]
    return [*plain, AnyNode, ContainerMetadata, ListConfig, Metadata, (Any, "typing.Any"), defaultdict, dict, int, list]
