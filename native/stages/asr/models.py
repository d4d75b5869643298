"""Which Whisper: a name, or this machine's memory and speed, to a model of the hub in the engine's own format."""

from __future__ import annotations

from pathlib import Path

from reelscribe.device_manager import Machine
from reelscribe.errors import UsageError
from reelscribe.models import ModelNeed, is_path

PURPOSE = "speech recognition"

# As faster_whisper.utils names them; it is repeated here because faster_whisper takes a second to import, and core has it not.
WHISPERX = {
    "tiny": "Systran/faster-whisper-tiny",
    "tiny.en": "Systran/faster-whisper-tiny.en",
    "base": "Systran/faster-whisper-base",
    "base.en": "Systran/faster-whisper-base.en",
    "small": "Systran/faster-whisper-small",
    "small.en": "Systran/faster-whisper-small.en",
    "medium": "Systran/faster-whisper-medium",
    "medium.en": "Systran/faster-whisper-medium.en",
    "large-v1": "Systran/faster-whisper-large-v1",
    "large-v2": "Systran/faster-whisper-large-v2",
    "large-v3": "Systran/faster-whisper-large-v3",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
}
# https://huggingface.co/collections/mlx-community/whisper-663256f9964fbb1177db93dc
MLX = {
    "tiny": "mlx-community/whisper-tiny-mlx",
    "tiny.en": "mlx-community/whisper-tiny.en-mlx",
    "base": "mlx-community/whisper-base-mlx",
    "base.en": "mlx-community/whisper-base.en-mlx",
    "small": "mlx-community/whisper-small-mlx",
    "small.en": "mlx-community/whisper-small.en-mlx",
    "medium": "mlx-community/whisper-medium-mlx",
    "medium.en": "mlx-community/whisper-medium.en-mlx",
    "large-v2": "mlx-community/whisper-large-v2-mlx",
    "large-v3": "mlx-community/whisper-large-v3-mlx",
    "large-v3-turbo": "mlx-community/whisper-large-v3-turbo",
    "distil-large-v3": "mlx-community/distil-whisper-large-v3",
}
REPOS = {"whisperx": WHISPERX, "mlx": MLX}
ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}
# What each engine cannot do without, and what it takes where there is (large-v3 hears 128 mel bands and says so in the latter).
FILES = {
    "whisperx": (("config.json", "model.bin", "tokenizer.json", "vocabulary.*"), ("preprocessor_config.json",)),
    "mlx": (("config.json", "weights.safetensors|weights.npz"), ()),
}
# Of a folder or of somebody's repository: that, or what asr.formats makes it of, which is what transformers writes.
OWN_FILES = {
    "whisperx": (
        ("config.json", "model.bin|model.safetensors", "tokenizer.json", "vocabulary.*|tokenizer.json"),
        ("preprocessor_config.json", "generation_config.json"),
    ),
    "mlx": (("config.json", "weights.safetensors|weights.npz|model.safetensors"), ("generation_config.json",)),
}

# Memory that a model takes, in MB: OpenAI's figures for GPUs (https://github.com/openai/whisper#available-models-and-languages), a
# twentieth less, as a card sold with 10 GB reports less. Batches of 16 in float16, and int8 on CPUs, stay within them.
MEMORY_MB = {"large-v3": 9500, "large-v3-turbo": 5700, "medium": 4750, "small": 1900, "base": 950, "tiny": 950}
# Cores from which on a CPU is quicker than the film with the model, transcribing or translating.
CORES = {"large-v3-turbo": 8, "medium": 4}
# turbo was not trained to translate.
GPU = {False: ("large-v3", "large-v3-turbo", "medium", "small", "base", "tiny"), True: ("large-v3", "medium", "small", "base", "tiny")}
CPU = {False: ("large-v3-turbo", "small", "base", "tiny"), True: ("medium", "small", "base", "tiny")}


def resolve_model(name: str, engine: str, machine: Machine, *, device: str | None = None, translate: bool = False) -> ModelNeed:
    """The model meant by `name` (of OpenAI, `owner/name` on the hub, a folder, or auto) for `engine` (whisperx or mlx).

    device: where it will compute; None for the best that engine and machine have. Raises UsageError for a name that there is not.
    """
    repo = _repo(name, engine, machine, device or best_device(engine, machine), translate)
    files, extras = (FILES if repo in REPOS[engine].values() else OWN_FILES)[engine]
    return ModelNeed(repo=repo, purpose=PURPOSE, files=files, extras=extras)


def best_device(engine: str, machine: Machine) -> str:
    """Where `engine` computes unless it is told otherwise."""
    if engine == "mlx":
        return "mps" if machine.mps else "cpu"
    return "cuda" if machine.cuda else "cpu"


def choose_model(machine: Machine, device: str, *, translate: bool = False) -> str:
    """The largest model that this machine has the memory, and on a CPU the speed, for."""
    room_mb = machine.memory_mb if device == "cuda" else machine.ram_mb // 2  # the other half is the system's and the user's
    order = (CPU if device == "cpu" else GPU)[translate]
    for name in order:
        if MEMORY_MB[name] <= room_mb and (device != "cpu" or CORES.get(name, 1) <= machine.cores):
            return name
    return order[-1]


def ranked(preferred: str, *, translate: bool = False) -> list[str]:
    """What serves instead of `preferred` where that is missing, the best first: itself, the smaller ones, then the larger ones."""
    order = GPU[translate]
    at = order.index(preferred)
    return [*order[at:], *reversed(order[:at])]


def _repo(name: str, engine: str, machine: Machine, device: str, translate: bool) -> str:
    known = REPOS[engine]
    if name == "auto":
        return known[choose_model(machine, device, translate=translate)]
    if ALIASES.get(name, name) in known:
        return known[ALIASES.get(name, name)]
    folder = Path(name).expanduser()
    if is_path(name) or folder.is_dir():
        return str(folder.absolute())
    if "/" in name:
        return name
    names = ", ".join([*known, *ALIASES])
    raise UsageError(f"WHISPER_MODEL={name}: {engine} has no such model", remedy=f"use auto, a folder, owner/name on the hub, or: {names}")
