"""Which engine and which Whisper asr takes: by the machine, by what is on it, by what is asked for."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asr import engines, formats, models
from asr.engines import EngineOptions
from asr.ladder import smaller_needs
from reelscribe import device_manager
from reelscribe.device_manager import Device, Machine
from reelscribe.errors import MissingToolError, UsageError
from reelscribe.stage_table import NATIVE

MAC = Machine(mps=True, memory_mb=32_000, ram_mb=32_000, cores=10)
PC = Machine(ram_mb=16_000, cores=4)
GPU = Machine(cuda=True, memory_mb=24_000, ram_mb=32_000, cores=16, capability=(8, 6))


@pytest.fixture
def machine(monkeypatch):
    """Stands in for another machine."""
    return lambda it: monkeypatch.setattr(device_manager, "probe", lambda: it)


@pytest.fixture
def put_model(tmp_path):
    """Puts what looks like a model into MODELS_DIR."""

    def put(repo, **config):
        folder = tmp_path / repo.replace("/", "--")
        folder.mkdir()
        for name in ("model.bin", "tokenizer.json", "vocabulary.json", "weights.safetensors"):
            (folder / name).touch()
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return put


@pytest.fixture
def chosen(tmp_path):
    """The engine's name and its model."""

    def choose(**options):
        found = engines.choose(EngineOptions(models_dir=tmp_path, **options))
        return found.name, found.model

    return choose


def test_apple_silicon_takes_mlx_and_everything_else_whisperx(machine, put_model, chosen):
    for repo in ("mlx-community/whisper-large-v3-mlx", "Systran/faster-whisper-large-v3", "Systran/faster-whisper-small"):
        put_model(repo)
    machine(MAC)
    assert chosen() == ("mlx", "large-v3")
    assert engines.choose(EngineOptions(models_dir=Path("/nowhere"), backend="mlx")).engine.environment == "asr-mlx"
    machine(GPU)
    assert chosen() == ("whisperx", "large-v3")
    machine(PC)
    assert chosen() == ("whisperx", "small")


def test_without_a_model_it_is_the_draft_if_that_can_do_it(machine, chosen):
    machine(PC)
    assert chosen() == ("sphinx", "")
    assert chosen(language="en") == ("sphinx", "")
    # It may be fetched yet: what is missing is said when the stage runs.
    for asked in ({"language": "hi"}, {"allow_draft": False}):
        assert chosen(**asked) == ("whisperx", "small")
    assert chosen(translate=True) == ("whisperx", "medium")


def test_a_whisper_that_is_here_is_better_than_a_draft(machine, put_model, chosen):
    put_model("Systran/faster-whisper-tiny")
    machine(GPU)
    assert chosen() == ("whisperx", "tiny")
    # The one that suits the machine is fetched all the same.
    assert [need.repo for need in engines.needs(EngineOptions(models_dir=Path("/nowhere")))] == [models.WHISPERX["large-v3"]]


def test_what_is_fetched_is_what_the_engine_reads(machine):
    machine(MAC)
    options = {"models_dir": Path("/nowhere")}
    assert [need.repo for need in engines.needs(EngineOptions(**options))] == [models.MLX["large-v3"]]
    assert [need.repo for need in engines.needs(EngineOptions(backend="whisperx", model="small", **options))] == [models.WHISPERX["small"]]
    assert engines.needs(EngineOptions(backend="sphinx", **options)) == []


def test_the_model_to_fall_back_to_is_fetched_too(machine):
    machine(GPU)

    def smaller(**options):
        return [need.repo for need in smaller_needs(EngineOptions(models_dir=Path("/nowhere"), **options))]

    assert smaller() == [models.WHISPERX["medium"]]
    assert smaller(backend="mlx", model="small") == [models.MLX["base"]]
    assert smaller(model="tiny") == smaller(model="/my/own") == smaller(backend="sphinx") == []


@pytest.mark.parametrize(
    ("config", "translates"),
    [
        ({"vocab_size": 51865, "encoder_layers": 32, "decoder_layers": 32}, True),
        ({"n_vocab": 51866, "n_audio_layer": 32, "n_text_layer": 4}, False),  # turbo
        ({"vocab_size": 51865, "encoder_layers": 24, "decoder_layers": 2}, False),  # distilled
        ({"vocab_size": 51864, "encoder_layers": 12, "decoder_layers": 12}, False),  # English only
        ({}, True),
    ],
)
def test_a_folder_is_known_by_its_dimensions(machine, put_model, config, translates):
    machine(PC)
    folder = put_model("my/model", **config)
    options = EngineOptions(backend="whisperx", model=str(folder), translate=True, models_dir=Path("/nowhere"))
    if translates:
        assert engines.choose(options).translates
    else:
        with pytest.raises(UsageError, match="cannot translate"):
            engines.choose(options)


@pytest.mark.parametrize(("device", "asked", "expected"), [("cpu", 16, 16), ("cuda", 3, 3), ("mps", 16, 8), ("mps", 4, 4)])
def test_a_batch_is_smaller_on_apples_gpu(device, asked, expected):
    backend = engines.backends()["whisperx"]
    assert engines.batch_size(backend, EngineOptions(batch_size=asked), Device(device=device, compute="", reason="")) == expected


def test_a_batch_is_smaller_where_a_window_may_take_minutes(machine, put_model, tmp_path):
    machine(PC)
    for repo, num_bytes in (("Systran/faster-whisper-medium", 1_500_000_000), ("Systran/faster-whisper-small", 480_000_000)):
        with open(put_model(repo) / "model.bin", "wb") as f:
            f.truncate(num_bytes)

    def size(device, **options):
        wanted = EngineOptions(models_dir=tmp_path, backend="whisperx", **options)
        return engines.batch_size(engines.choose(wanted), wanted, Device(device=device, compute="", reason=""))

    assert (size("cpu", model="medium"), size("cpu", model="medium", batch_size=2), size("cuda", model="medium")) == (4, 2, 16)
    assert size("cpu", model="small") == 16


def test_weights_decide_and_folders_do_not(machine, put_model, tmp_path):
    machine(PC)
    folder = put_model("Systran/faster-whisper-small")
    options = EngineOptions(models_dir=tmp_path)
    assert set(engines.weights(engines.choose(options), options)) == {
        "model/config.json",
        "model/model.bin",
        "model/tokenizer.json",
        "model/weights.safetensors",
    }
    (folder / "reelscribe.json").write_text(json.dumps({"commit": "abc"}))
    assert engines.weights(engines.choose(options), options) == {"model": "abc"}


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"model": "turbo", "translate": True}, "cannot translate"),
        ({"model": "distil-large-v3", "backend": "mlx", "translate": True}, "cannot translate"),
        ({"model": "tiny.en", "language": "hi"}, "understands only: en"),
    ],
)
def test_what_a_model_cannot_do_is_refused_before_it_is_fetched(machine, tmp_path, asked, why):
    machine(PC)
    with pytest.raises(UsageError, match=why):
        engines.needs(EngineOptions(models_dir=tmp_path, **asked))
    assert engines.needs(EngineOptions(models_dir=tmp_path, model=asked["model"], backend="whisperx"))


# -- conversion ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def transformers_folder(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text("{}")
    return folder


def test_weights_are_converted_once_and_again_when_they_change(transformers_folder, tmp_path):
    done = []

    def convert(source, target):
        done.append(source)
        (target / "model.bin").touch()

    first = formats.converted(transformers_folder, tmp_path, "ctranslate2", convert)
    assert formats.converted(transformers_folder, tmp_path, "ctranslate2", convert) == first
    assert len(done) == 1 and (first / "tokenizer.json").exists()
    (transformers_folder / "model.safetensors").write_text("other weights")
    assert formats.converted(transformers_folder, tmp_path, "ctranslate2", convert) != first


def test_a_conversion_that_fails_leaves_nothing(transformers_folder, tmp_path):
    def convert(source, target):
        (target / "model.bin").touch()
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        formats.converted(transformers_folder, tmp_path, "ctranslate2", convert)
    assert list((tmp_path / "converted").iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.append(sys.argv[1])
from asr import formats

def convert(source, target):
    (target / "model.bin").write_bytes(bytes(1000))
    os.kill(os.getpid(), signal.SIGKILL)

formats.converted(Path(sys.argv[2]), Path(sys.argv[3]), "ctranslate2", convert)
"""


def test_what_a_killed_conversion_has_left_is_gone_with_the_next(transformers_folder, tmp_path):
    """Gigabytes: Ctrl-C kills the worker that converts."""
    command = [sys.executable, "-c", KILLED, NATIVE / "stages", transformers_folder, tmp_path]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(list((tmp_path / "converted").iterdir())) == 1
    made = formats.converted(transformers_folder, tmp_path, "ctranslate2", lambda source, target: (target / "model.bin").touch())
    assert list((tmp_path / "converted").iterdir()) == [made]


@pytest.mark.parametrize("error", [ValueError("not a header\nat all"), KeyError("d_model"), OSError("no such model")])
def test_what_cannot_be_converted_is_refused_and_not_tried_again(transformers_folder, tmp_path, error):
    def convert(source, target):
        raise error

    with pytest.raises(MissingToolError, match=r"mine cannot be converted: it is damaged or no Whisper \(\w+: [^\n]+\)\n  → "):
        formats.converted(transformers_folder, tmp_path, "ctranslate2", convert)
    assert list((tmp_path / "converted").iterdir()) == []


def test_a_full_disk_during_conversion_stays_what_it_is(transformers_folder, tmp_path):
    def convert(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        formats.converted(transformers_folder, tmp_path, "ctranslate2", convert)
