"""Which Whisper is chosen for a name, an engine and a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr.models import ALIASES, MEMORY_MB, MLX, WHISPERX, best_device, choose_model, resolve_model
from reelscribe.device_manager import Machine
from reelscribe.errors import ExitCode, UsageError
from reelscribe.models import choose_files

PLAIN = Machine(ram_mb=16_000, cores=4)


def card(memory_mb: int) -> Machine:
    return Machine(cuda=True, memory_mb=memory_mb, ram_mb=64_000, cores=16)


def mac(memory_mb: int) -> Machine:
    return Machine(mps=True, memory_mb=memory_mb, ram_mb=memory_mb, cores=10)


@pytest.mark.parametrize(
    ("name", "engine", "repo"),
    [
        ("large-v3", "whisperx", "Systran/faster-whisper-large-v3"),
        ("large", "whisperx", "Systran/faster-whisper-large-v3"),
        ("turbo", "whisperx", "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
        ("small.en", "whisperx", "Systran/faster-whisper-small.en"),
        ("distil-large-v3", "whisperx", "Systran/faster-distil-whisper-large-v3"),
        ("turbo", "mlx", "mlx-community/whisper-large-v3-turbo"),
        ("large-v3", "mlx", "mlx-community/whisper-large-v3-mlx"),
        ("somebody/whisper-hindi-ct2", "whisperx", "somebody/whisper-hindi-ct2"),
    ],
)
def test_a_name_is_a_model_of_the_hub_in_the_engines_format(name: str, engine: str, repo: str) -> None:
    assert resolve_model(name, engine, PLAIN).repo == repo


def test_a_folder_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "small").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_model(str(tmp_path / "mine"), "whisperx", PLAIN).repo == str(tmp_path / "mine")
    assert resolve_model("mine", "whisperx", PLAIN).repo == str(tmp_path / "mine")
    assert resolve_model("./small", "mlx", PLAIN).repo == str(tmp_path / "small")
    assert resolve_model("small", "mlx", PLAIN).repo == "mlx-community/whisper-small-mlx", "a known name means the known model"
    assert resolve_model("/not/there", "mlx", PLAIN).is_folder


@pytest.mark.parametrize(("name", "engine"), [("gigantic", "whisperx"), ("large-v1", "mlx")])
def test_a_name_that_the_engine_has_not_is_refused(name: str, engine: str) -> None:
    with pytest.raises(UsageError, match=f"WHISPER_MODEL={name}: {engine} has no such model") as caught:
        resolve_model(name, engine, PLAIN)
    assert caught.value.code is ExitCode.USAGE
    assert "large-v3-turbo" in caught.value.remedy


@pytest.mark.parametrize(
    ("machine", "device", "transcribes", "translates"),
    [
        (card(24_000), "cuda", "large-v3", "large-v3"),
        (card(10_018), "cuda", "large-v3", "large-v3"),
        (card(8_192), "cuda", "large-v3-turbo", "medium"),
        (card(4_096), "cuda", "small", "small"),
        (card(24_000), "cpu", "large-v3-turbo", "medium"),
        (mac(32_768), "mps", "large-v3", "large-v3"),
        (mac(16_384), "mps", "large-v3-turbo", "medium"),
        (mac(8_192), "mps", "small", "small"),
        (Machine(ram_mb=32_000, cores=8), "cpu", "large-v3-turbo", "medium"),
        (Machine(ram_mb=24_000, cores=2), "cpu", "small", "small"),
        (Machine(ram_mb=8_000, cores=16), "cpu", "small", "small"),
        (Machine(ram_mb=2_000, cores=4), "cpu", "base", "base"),
        (Machine(ram_mb=500, cores=1), "cpu", "tiny", "tiny"),
    ],
)
def test_auto_is_the_largest_that_the_machine_can_bear(machine: Machine, device: str, transcribes: str, translates: str) -> None:
    assert choose_model(machine, device) == transcribes
    assert choose_model(machine, device, translate=True) == translates


def test_auto_asks_for_the_device_that_the_engine_would_have() -> None:
    assert best_device("whisperx", mac(16_384)) == "cpu", "CTranslate2 has no MPS"
    assert best_device("whisperx", card(8_192)) == "cuda"
    assert best_device("mlx", mac(16_384)) == "mps"
    assert best_device("mlx", PLAIN) == "cpu"
    assert resolve_model("auto", "whisperx", card(24_000)).repo == WHISPERX["large-v3"]
    assert resolve_model("auto", "whisperx", card(24_000), device="cpu").repo == WHISPERX["large-v3-turbo"]
    assert resolve_model("auto", "mlx", mac(8_192), translate=True).repo == MLX["small"]


def test_whatever_auto_chooses_both_engines_have() -> None:
    assert set(MEMORY_MB) <= set(WHISPERX) & set(MLX)
    assert set(ALIASES.values()) <= set(WHISPERX) & set(MLX)


def test_the_weights_are_taken_once_and_files_of_others_are_left() -> None:
    files = resolve_model("turbo", "mlx", PLAIN).files
    assert choose_files(files, ["config.json", "weights.npz", "weights.safetensors", "lib/python/x"])[0] == [
        "config.json",
        "weights.safetensors",
    ]
    assert choose_files(files, ["config.json", "weights.npz"]) == (["config.json", "weights.npz"], [])
    files = resolve_model("tiny", "whisperx", PLAIN).files
    assert choose_files(files, ["README.md", "config.json", "model.bin", "tokenizer.json", "vocabulary.txt"])[1] == []


@pytest.mark.parametrize(
    ("engine", "chosen"),
    [("whisperx", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer.json"]), ("mlx", ["config.json", "model.safetensors"])],
)
def test_somebodys_repository_may_have_the_weights_of_transformers(engine: str, chosen: list[str]) -> None:
    theirs = [
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "pytorch_model.bin",
        "tokenizer.json",
        "vocab.json",
    ]
    assert choose_files(resolve_model("somebody/whisper-hindi", engine, PLAIN).files, theirs) == (chosen, [])
    # What is in the engine's own format already is not converted, and OpenAI's names mean that format.
    own = ["config.json", "model.bin", "model.safetensors", "tokenizer.json", "vocabulary.json", "weights.npz"]
    assert "model.safetensors" not in choose_files(resolve_model("somebody/whisper-hindi", engine, PLAIN).files, own)[0]
    assert choose_files(resolve_model("small", engine, PLAIN).files, theirs)[1]
    # Weights in pickles are not read.
    assert (
        "safetensors"
        in choose_files(resolve_model("somebody/whisper-old", engine, PLAIN).files, ["config.json", "pytorch_model.bin"])[1][0]
    )
