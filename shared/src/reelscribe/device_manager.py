"""Which device a stage uses, with which compute type, and why.

The probe needs no torch: it asks macOS and the CUDA driver itself, so `core` can say what every stage would use.
"""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel

from reelscribe.stage_table import Row

DEVICES = ("mps", "cuda", "cpu")

# What each engine can compute on, with the compute type it is best used with there.
# CTranslate2 has no Metal backend (https://opennmt.net/CTranslate2/hardware_support.html); MLX is Metal, and CPU on Linux.
ENGINES: dict[str, dict[str, str]] = {
    "torch": {"mps": "float32", "cuda": "float32", "cpu": "float32"},
    "ctranslate2": {"cuda": "float16", "cpu": "int8"},
    "mlx": {"mps": "float16", "cpu": "float32"},
    "onnx": {"cpu": "float32"},
    "sphinx": {"cpu": "float32"},
}
# CTranslate2 computes float16 well from compute capability 7.0 on; below, int8 is faster and smaller.
_FLOAT16_CAPABILITY = (7, 0)


class Device(BaseModel):
    """A decision: `device` is mps, cuda or cpu; `compute` float16, float32 or int8; `reason` says why."""

    device: str
    compute: str
    reason: str


class Machine(BaseModel):
    """What the machine has. `capability` is CUDA's (major, minor), `memory_mb` the GPU's or, on Apple Silicon, all memory.

    ram_mb: main memory that this process may use.
    """

    mps: bool = False
    cuda: bool = False
    gpu_name: str = ""
    capability: tuple[int, int] = (0, 0)
    memory_mb: int = 0
    ram_mb: int = 0
    cores: int = 1


@lru_cache(maxsize=1)
def probe() -> Machine:
    """Look at this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if sys.platform == "darwin":
        silicon = platform.machine() == "arm64"
        memory_mb = _ram_mb()
        return Machine(mps=silicon, gpu_name="Apple Silicon" if silicon else "", memory_mb=memory_mb, ram_mb=memory_mb, cores=cores)
    return _probe_cuda(cores, _ram_mb())


def _ram_mb() -> int:
    """All memory, or the limit of the container (cgroup v2, v1)."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            total = min(total, int(Path("/sys/fs/cgroup", limit).read_text()))
    return total // 2**20


def _probe_cuda(cores: int, ram_mb: int) -> Machine:
    """Ask the CUDA driver (https://docs.nvidia.com/cuda/cuda-driver-api); no driver or no device means no CUDA."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Machine(ram_mb=ram_mb, cores=cores)
    count, device, major, minor = (ctypes.c_int() for _ in range(4))
    memory, name = ctypes.c_size_t(), ctypes.create_string_buffer(128)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return Machine(ram_mb=ram_mb, cores=cores)
    if driver.cuDeviceGet(ctypes.byref(device), 0):
        return Machine(ram_mb=ram_mb, cores=cores)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceGetAttribute(ctypes.byref(major), 75, device)
    driver.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    return Machine(
        cuda=True,
        gpu_name=name.value.decode(errors="replace"),
        capability=(major.value, minor.value),
        memory_mb=memory.value // 2**20,
        ram_mb=ram_mb,
        cores=cores,
    )


def threads(row: Row, wanted: int, machine: Machine | None = None) -> int:
    """How many threads the stage `row` has: those that were asked for, else what it makes good use of and the machine has.

    Nothing else counts, as sums may differ in their last bits with the number of threads.
    """
    return wanted or min(row.threads, (machine or probe()).cores)


def choose(row: Row, engine: str, wanted: str = "auto", machine: Machine | None = None) -> Device:
    """The device for the stage `row` with `engine` (a key of ENGINES) when the user `wanted` it ("auto" or one of DEVICES).

    A device that was asked for and cannot be had is replaced by the next one, and the reason says so.
    """
    machine = machine or probe()
    order = [*row.devices, "cpu"]
    if wanted != "auto":
        refusal = _refusal(wanted, row, engine, machine)
        if not refusal:
            return _device(wanted, engine, machine, "asked for")
        fallback = next(d for d in order if not _refusal(d, row, engine, machine))
        return _device(fallback, engine, machine, f"{wanted} was asked for, but {refusal}")
    passed_over: list[str] = []
    for device in order:
        refusal = _refusal(device, row, engine, machine)
        if not refusal:
            reason = f"{machine.gpu_name or 'a GPU'} is there" if device != "cpu" else "; ".join(passed_over) or "computes on the CPU"
            return _device(device, engine, machine, reason)
        passed_over.append(refusal)
    raise AssertionError("the CPU refuses nothing")


def verified(chosen: Device, row: Row, kind: str) -> Device:
    """`chosen`, or the next one of `row` when the stage's own environment cannot use it (a CPU build of torch, an old driver)."""
    while chosen.device != "cpu" and not _usable(chosen.device, kind):
        chosen = after(chosen, row, kind, f"{chosen.device} is there, but {kind} in this environment cannot use it")
    return chosen


def after(failed: Device, row: Row, kind: str, reason: str) -> Device:
    """The device that `row` names after the one that failed, as far as machine and engine have it; the CPU comes last."""
    machine, order = probe(), [*row.devices, "cpu"]
    following = order[order.index(failed.device) + 1 :]
    return _device(next(device for device in following if not _refusal(device, row, kind, machine)), kind, machine, reason)


# Asked in a process of their own: a stage that decodes with these keeps them out of its own, as they may crash.
_IS_USABLE = {
    "ctranslate2": "import ctranslate2, sys; sys.exit(not ctranslate2.get_cuda_device_count())",
    "mlx": "import mlx.core, sys; sys.exit(not mlx.core.metal.is_available())",
}


def _usable(device: str, kind: str) -> bool:
    """Ask the engine itself."""
    if kind == "torch":
        import torch

        return bool(torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available())
    if kind in _IS_USABLE:
        # Not in the user's folder, whose files Python would import before libraries.
        asked = subprocess.run([sys.executable, "-c", _IS_USABLE[kind]], cwd=sys.prefix, capture_output=True, check=False)
        return asked.returncode == 0
    return True


def limit_mps_memory() -> None:
    """Hold torch on Apple's GPU to MPS_ALLOC_MAX_SIZE_MB, where it is loaded: torch itself does not know that variable."""
    most, torch = os.environ.get("MPS_ALLOC_MAX_SIZE_MB"), sys.modules.get("torch")
    if most and torch and torch.backends.mps.is_available():
        recommended = torch.mps.recommended_max_memory()
        torch.mps.set_per_process_memory_fraction(min(2.0, int(most) * 2**20 / recommended))


def _refusal(device: str, row: Row, engine: str, machine: Machine) -> str:
    """Why `device` cannot be used; empty when it can. The CPU always can."""
    if device != "cpu" and device not in row.devices:
        return f"{row.name} computes on {', '.join(row.devices) or 'cpu'}"
    if device not in ENGINES[engine]:
        return f"{engine} has no {device}"
    if device != "cpu" and not getattr(machine, device):
        return f"this machine has no {device}"
    return ""


def _device(device: str, engine: str, machine: Machine, reason: str) -> Device:
    compute = ENGINES[engine][device]
    if device == "cuda" and compute == "float16" and machine.capability < _FLOAT16_CAPABILITY:
        version = ".".join(map(str, machine.capability))
        return Device(device=device, compute="int8", reason=f"{reason}; compute capability {version} is poor at float16")
    return Device(device=device, compute=compute, reason=reason)
