"""Every engine on every machine with every wish: the right device, its compute type, and a reason that tells the truth."""

from __future__ import annotations

import ctypes
import itertools
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reelscribe import device_manager
from reelscribe.device_manager import ENGINES, Device, Machine, choose, probe, verified
from reelscribe.stage_table import Row

ANY = Row(7, "asr", ("asr",), ("mps", "cuda", "cpu"))
CPU_ONLY = Row(4, "silero-vad", ("silero-vad",), ("cpu",))
NO_DEVICE = Row(1, "demux", ("demux",), ())
MACHINES = {
    "plain": Machine(cores=4),
    "apple": Machine(mps=True, gpu_name="Apple Silicon", memory_mb=16384, cores=8),
    "new gpu": Machine(cuda=True, gpu_name="NVIDIA H200", capability=(9, 0), memory_mb=142000, cores=16),
    "old gpu": Machine(cuda=True, gpu_name="GeForce GTX 1060", capability=(6, 1), memory_mb=6144, cores=4),
}
# engine → machine → device and compute type when nothing is asked for
EXPECTED = {
    "torch": {"plain": "cpu float32", "apple": "mps float32", "new gpu": "cuda float32", "old gpu": "cuda float32"},
    "ctranslate2": {"plain": "cpu int8", "apple": "cpu int8", "new gpu": "cuda float16", "old gpu": "cuda int8"},
    "mlx": {"plain": "cpu float32", "apple": "mps float16", "new gpu": "cpu float32", "old gpu": "cpu float32"},
    "onnx": {"plain": "cpu float32", "apple": "cpu float32", "new gpu": "cpu float32", "old gpu": "cpu float32"},
    "sphinx": {"plain": "cpu float32", "apple": "cpu float32", "new gpu": "cpu float32", "old gpu": "cpu float32"},
}
CPU_COMPUTE = {"torch": "float32", "ctranslate2": "int8", "mlx": "float32", "onnx": "float32", "sphinx": "float32"}


def said(device: Device) -> str:
    return f"{device.device} {device.compute}"


def test_the_table_here_knows_every_engine() -> None:
    assert set(EXPECTED) == set(ENGINES) == set(CPU_COMPUTE)


@pytest.mark.parametrize(("engine", "machine", "wanted"), list(itertools.product(EXPECTED, MACHINES, ["auto", "mps", "cuda", "cpu"])))
def test_every_engine_on_every_machine_with_every_wish(engine: str, machine: str, wanted: str) -> None:
    chosen = choose(ANY, engine, wanted, MACHINES[machine])
    by_itself = EXPECTED[engine][machine]
    can = wanted == by_itself.split()[0]
    if wanted == "auto":
        assert said(chosen) == by_itself
    elif wanted == "cpu":
        assert said(chosen) == f"cpu {CPU_COMPUTE[engine]}"
        assert chosen.reason == "asked for"
    else:
        assert said(chosen) == by_itself
        assert chosen.reason.startswith("asked for" if can else f"{wanted} was asked for, but ")


@pytest.mark.parametrize(
    ("engine", "machine", "wanted", "reason"),
    [
        ("torch", "apple", "auto", "Apple Silicon is there"),
        ("torch", "new gpu", "auto", "NVIDIA H200 is there"),
        ("torch", "plain", "auto", "this machine has no mps; this machine has no cuda"),
        ("ctranslate2", "apple", "auto", "ctranslate2 has no mps; this machine has no cuda"),
        ("ctranslate2", "apple", "mps", "mps was asked for, but ctranslate2 has no mps"),
        ("ctranslate2", "old gpu", "auto", "GeForce GTX 1060 is there; compute capability 6.1 is poor at float16"),
        ("torch", "plain", "cuda", "cuda was asked for, but this machine has no cuda"),
    ],
)
def test_the_reason_tells_what_decided(engine: str, machine: str, wanted: str, reason: str) -> None:
    assert choose(ANY, engine, wanted, MACHINES[machine]).reason == reason


@pytest.mark.parametrize("machine", MACHINES)
def test_a_stage_stays_on_the_devices_of_its_row(machine: str) -> None:
    assert said(choose(CPU_ONLY, "torch", "auto", MACHINES[machine])) == "cpu float32"
    refused = choose(CPU_ONLY, "torch", "cuda", MACHINES[machine])
    assert said(refused) == "cpu float32"
    assert refused.reason == "cuda was asked for, but silero-vad computes on cpu"
    assert choose(NO_DEVICE, "torch", "mps", MACHINES[machine]).device == "cpu"


def test_the_order_of_the_row_decides_between_two() -> None:
    both = Machine(mps=True, cuda=True, gpu_name="both", capability=(8, 0))
    assert choose(Row(1, "x", ("x",), ("cuda", "mps", "cpu")), "torch", "auto", both).device == "cuda"
    assert choose(Row(1, "x", ("x",), ("mps", "cuda", "cpu")), "torch", "auto", both).device == "mps"
    assert choose(Row(1, "x", ("x",), ("cpu", "cuda")), "torch", "auto", both).device == "cpu"


def test_without_a_machine_this_one_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_manager, "probe", lambda: MACHINES["apple"])
    assert choose(ANY, "mlx").device == "mps"


# -- looking at the machine ---------------------------------------------------------------------------------------------


@pytest.fixture
def fresh_probe() -> Iterator[None]:
    """A probe that remembers nothing, before and after."""
    probe.cache_clear()
    yield
    probe.cache_clear()


class Driver:
    """Stands in for libcuda.so.1: fills what it is given as the driver's documentation says."""

    def __init__(self, init: int = 0, count: int = 1, device: int = 0) -> None:
        self.init, self.count, self.device = init, count, device

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.init

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.count
        return 0

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:  # noqa: N802
        return self.device

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:  # noqa: N802
        name.value = b"Tesla T4"
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:  # noqa: N802
        # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
        value._obj.value = {75: 7, 76: 5}[attribute]
        return 0

    def cuDeviceTotalMem_v2(self, size: Any, device: Any) -> int:  # noqa: N802
        size._obj.value = 15 * 2**30
        return 0


def with_driver(monkeypatch: pytest.MonkeyPatch, driver: Driver | None) -> Machine:
    def load(name: str) -> Driver:
        assert name == "libcuda.so.1"
        if driver is None:
            raise OSError("libcuda.so.1: cannot open shared object file")
        return driver

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", load)
    return probe()


@pytest.mark.usefixtures("fresh_probe")
def test_cuda_is_found_through_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = with_driver(monkeypatch, Driver())
    assert (machine.cuda, machine.mps, machine.gpu_name, machine.capability) == (True, False, "Tesla T4", (7, 5))
    assert machine.memory_mb == 15360
    assert machine.cores >= 1


@pytest.mark.usefixtures("fresh_probe")
@pytest.mark.parametrize("driver", [None, Driver(init=100), Driver(count=0), Driver(device=101)])
def test_a_driver_that_is_not_there_or_has_no_device_is_no_cuda(monkeypatch: pytest.MonkeyPatch, driver: Driver | None) -> None:
    machine = with_driver(monkeypatch, driver)
    assert (machine.cuda, machine.gpu_name, machine.memory_mb) == (False, "", 0)


@pytest.mark.usefixtures("fresh_probe")
@pytest.mark.parametrize(("processor", "mps"), [("arm64", True), ("x86_64", False)])
def test_mps_is_apple_silicon(monkeypatch: pytest.MonkeyPatch, processor: str, mps: bool) -> None:
    sizes = {"SC_PAGE_SIZE": 16384, "SC_PHYS_PAGES": 2**20}
    monkeypatch.setattr(os, "sysconf", lambda name: sizes[name])
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(device_manager.platform, "machine", lambda: processor)
    machine = probe()
    assert (machine.mps, machine.cuda, machine.memory_mb) == (mps, False, 16384)


@pytest.mark.gpu
@pytest.mark.usefixtures("fresh_probe")
def test_this_gpu_has_a_name_memory_and_a_capability() -> None:
    machine = probe()
    assert machine.cuda
    assert machine.gpu_name
    assert machine.memory_mb > 1000
    assert machine.capability >= (3, 0)


# -- what the environment can use ---------------------------------------------------------------------------------------


def library(**parts: Any) -> types.SimpleNamespace:
    return types.SimpleNamespace(**parts)


LIBRARIES = {
    "ctranslate2.py": "def get_cuda_device_count(): return {able:d}",
    "mlx/core.py": "class metal:\n    def is_available(): return {able}",
}


@pytest.mark.parametrize("able", [True, False])
@pytest.mark.parametrize(("kind", "device"), [("torch", "cuda"), ("torch", "mps"), ("ctranslate2", "cuda"), ("mlx", "mps")])
def test_a_device_that_the_libraries_cannot_use_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, device: str, able: bool
) -> None:
    there = library(is_available=lambda: able)
    monkeypatch.setitem(sys.modules, "torch", library(cuda=there, backends=library(mps=there)))
    for name, text in LIBRARIES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.format(able=able))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    chosen = Device(device=device, compute="float32", reason="a GPU is there")
    used = verified(chosen, ANY, kind)
    if able:
        assert used == chosen
    else:
        assert said(used) == f"cpu {CPU_COMPUTE[kind]}"
        assert used.reason == f"{device} is there, but {kind} in this environment cannot use it"
    assert not {"ctranslate2", "mlx"} & set(sys.modules)


def test_the_cpu_needs_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it would raise
    chosen = Device(device="cpu", compute="float32", reason="asked for")
    assert verified(chosen, ANY, "torch") == chosen
