"""A Whisper's folder in the format its engine reads. Weights of Hugging Face transformers are converted once, into MODELS_DIR."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.models import resolve_model
from reelscribe import device_manager, logger
from reelscribe.artifacts import publish, remove_abandoned, sync, temporary_path
from reelscribe.errors import MissingToolError, UsageError
from reelscribe.models import Found, ModelNeed, lacking, locate

if TYPE_CHECKING:
    from asr.engines import Load

_CONVERTED = "converted"
_LONGEST_REASON = 120
_COPIED = ("tokenizer.json", "preprocessor_config.json", "generation_config.json")
# What only a folder in the engine's own format has.
_OWN_WEIGHTS = {"whisperx": ("model.bin",), "mlx": ("weights.safetensors", "weights.npz")}


def need(name: str, backend: str, *, device: str, translate: bool) -> ModelNeed:
    """The model that WHISPER_MODEL=`name` means for `backend`. Raises UsageError for a name that there is not."""
    return resolve_model(name, backend, device_manager.probe(), device=device, translate=translate)


def require(wanted: ModelNeed, models_dir: Path, backend: str) -> Found:
    """Where it is on this machine. Raises UsageError for a folder that holds no such model, MissingToolError for one that is not there."""
    found = locate(wanted, models_dir)
    if found:
        return found
    if wanted.is_folder:
        folder = Path(wanted.repo)
        missing = ", ".join(lacking(wanted, folder)) if folder.is_dir() else "the folder"
        raise UsageError(
            f"WHISPER_MODEL={wanted.repo}: no Whisper for {backend} is there (missing: {missing})",
            remedy="give a folder in this engine's format, or one with transformers' config.json, model.safetensors and tokenizer.json",
        )
    raise MissingToolError(
        f"the model {wanted.repo} is not on this machine", remedy="fetch it with native/pipeline.sh --prefetch, or put it into MODELS_DIR"
    )


def ready(load: Load) -> Path:
    """The folder of the model that `load` names, in the format of its engine; it is converted to that first, if need be."""
    models_dir = Path(load.models_dir)
    wanted = need(load.model, load.backend, device=load.device, translate=load.translate)
    folder = require(wanted, models_dir, load.backend).folder
    if any((folder / name).is_file() for name in _OWN_WEIGHTS[load.backend]):
        return folder
    kind, convert = {"whisperx": ("ctranslate2", to_ctranslate2), "mlx": ("mlx", to_mlx)}[load.backend]
    return converted(folder, models_dir, kind, convert)


def weights(folder: Path) -> list[Path]:
    """The files that decide what a model says."""
    names = ("config.json", "model.bin", "model.safetensors", "weights.safetensors", "weights.npz", "tokenizer.json")
    return [folder / name for name in names if (folder / name).is_file()]


@dataclass(frozen=True)
class Abilities:
    """What a model was trained for besides writing down English."""

    multilingual: bool
    translates: bool


def abilities(wanted: ModelNeed, found: Found | None) -> Abilities:
    """By the model's name and, where it is here, its dimensions: https://github.com/openai/whisper/blob/main/whisper/model.py

    turbo and the distilled ones, which have far fewer decoder layers than encoder layers, were not trained to translate.
    """
    config = _config(found.folder) if found else {}
    name = Path(wanted.repo).name.lower()
    words = config.get("vocab_size") or config.get("n_vocab") or (51864 if ".en" in name else 51865)
    layers = [
        config.get(key) or config.get(other) or 1
        for key, other in (("encoder_layers", "n_audio_layer"), ("decoder_layers", "n_text_layer"))
    ]
    distilled = "turbo" in name or "distil" in name or layers[1] * 4 <= layers[0]
    multilingual = words >= 51865
    return Abilities(multilingual, multilingual and not distilled)


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


# -- conversion ---------------------------------------------------------------------------------------------------------


def converted(folder: Path, models_dir: Path, kind: str, convert: Callable[[Path, Path], None]) -> Path:
    """The folder of `folder` in the format `kind`; convert(source, target) makes it when nobody has yet. Half a folder is never there."""
    target = models_dir / _CONVERTED / f"{folder.name}-{_digest(folder)[:16]}-{kind}"
    if target.is_dir():
        return target
    logger.get().info("Converting %s for %s, once", folder, kind)
    scratch = temporary_path(target.parent)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target.parent)  # Ctrl-C kills the worker that converts
        scratch.mkdir()
    except OSError as error:
        raise MissingToolError(f"{target.parent}: {error.strerror}", remedy="name a folder that can be written with MODELS_DIR") from error
    try:
        _convert(folder, scratch, convert)
        for name in _COPIED:
            if (folder / name).is_file() and not (scratch / name).exists():
                shutil.copy(folder / name, scratch / name)
        for path in filter(Path.is_file, scratch.rglob("*")):
            with open(path, "rb") as f:
                sync(f.fileno())
        try:
            publish(scratch, target)
        except OSError:
            # Another run was quicker; anything else is an error.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _convert(folder: Path, scratch: Path, convert: Callable[[Path, Path], None]) -> None:
    """Raises MissingToolError for files that are no Whisper or damaged: no retry would help."""
    try:
        convert(folder, scratch)
    except (MemoryError, RuntimeError):  # what torch says when memory is short
        raise
    except Exception as error:
        # transformers raises OSErrors of its own, without a number, for files that it cannot read.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        why = f"{type(error).__name__}: {error}".splitlines()[0][:_LONGEST_REASON]
        raise MissingToolError(
            f"{folder} cannot be converted: it is damaged or no Whisper ({why})", remedy="fetch or choose another"
        ) from error


def _digest(folder: Path) -> str:
    """Of what the files that decide look like from outside: reading gigabytes at every start would take as long as converting them."""
    states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in weights(folder)]
    return hashlib.sha256(json.dumps([str(folder.resolve()), states]).encode()).hexdigest()


def to_ctranslate2(source: Path, target: Path) -> None:
    """float16, which loses nothing of weights that are float16 and is computed in whatever type is asked for."""
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(source)).convert(str(target), quantization="float16", force=True)


_TO_MLX = (
    (".layers.", ".blocks."),
    ("self_attn_layer_norm", "attn_ln"),
    ("encoder_attn_layer_norm", "cross_attn_ln"),
    ("final_layer_norm", "mlp_ln"),
    ("encoder_attn", "cross_attn"),
    ("self_attn", "attn"),
    ("q_proj", "query"),
    ("k_proj", "key"),
    ("v_proj", "value"),
    ("out_proj", "out"),
    ("fc1", "mlp1"),
    ("fc2", "mlp2"),
    ("decoder.embed_tokens", "decoder.token_embedding"),
    ("decoder.embed_positions.weight", "decoder.positional_embedding"),
    ("encoder.layer_norm", "encoder.ln_post"),
    ("decoder.layer_norm", "decoder.ln"),
)
_DIMENSIONS = {
    "n_mels": "num_mel_bins",
    "n_audio_ctx": "max_source_positions",
    "n_audio_state": "d_model",
    "n_audio_head": "encoder_attention_heads",
    "n_audio_layer": "encoder_layers",
    "n_vocab": "vocab_size",
    "n_text_ctx": "max_target_positions",
    "n_text_state": "d_model",
    "n_text_head": "decoder_attention_heads",
    "n_text_layer": "decoder_layers",
}


def to_mlx(source: Path, target: Path) -> None:
    """mlx_whisper's names and dimensions: https://github.com/ml-explore/mlx-examples/blob/main/whisper/convert.py"""
    import mlx.core as mx

    config = json.loads((source / "config.json").read_bytes())
    (target / "config.json").write_text(json.dumps({ours: config[theirs] for ours, theirs in _DIMENSIONS.items()}))
    found: dict[str, Any] = {}
    for name, value in mx.load(str(source / "model.safetensors")).items():
        # The first is tied to the token embedding, the second is computed.
        if name == "proj_out.weight" or "encoder.embed_positions" in name:
            continue
        found[_mlx_name(name)] = value.swapaxes(1, 2) if "conv" in name and name.endswith("weight") else value
    mx.save_safetensors(str(target / "weights.safetensors"), found)


def _mlx_name(name: str) -> str:
    name = name.removeprefix("model.")
    for old, new in _TO_MLX:
        name = name.replace(old, new)
    return name
