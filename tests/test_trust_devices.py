"""Devices that fail: whatever a GPU raises, the stage goes on on the next one of its row, said and recorded; a bug does not go round.

The machine is stood in for; what is raised are the libraries' own words, from a tiny stage through the shared runner, and from the real
stages through the real libraries, which find no driver.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelscribe.stage_table import NATIVE, ROOT

STAGE = '''
"""Fails on the devices it is told to fail on."""
import os, signal
from pathlib import Path
from reelscribe.artifacts import atomic_write
from reelscribe.errors import BadInputError, StageFailedError
from reelscribe.settings import StageOptions
from reelscribe.stage import Engine, Stage, StageFiles, artifact, main

class OutOfMemoryError(RuntimeError):
    """torch.OutOfMemoryError."""

def refused(text):
    return BadInputError(text)

def failed(text):
    return StageFailedError(text)

class Inputs(StageFiles):
    pass

class Outputs(StageFiles):
    made: Path = artifact("made.txt")

def engine(options):
    return Engine(name="tiny", kind=os.environ.get("KIND", "torch"))

def run(ctx):
    with open(ctx.movie_dir / "runs.txt", "a") as f:
        f.write(ctx.device.device + " " + ctx.device.compute + "\\n")
    name, _, text = os.environ.get("ON_" + ctx.device.device.upper(), "").partition(": ")
    if name.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, name))
    if name == "late":
        ctx.note("no_retry", "its time was up")
        raise StageFailedError(text)
    if name:
        raise (globals().get(name) or getattr(__builtins__, name))(text)
    with atomic_write(ctx.outputs.made) as f:
        f.write("made")

def check(options, device):
    return "fine"

STAGE = Stage(name="tiny", revision=1, options=StageOptions, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check)
if __name__ == "__main__":
    main(STAGE)
'''
# Comes before the stage: machines, and libraries that can use them.
SITE = """
import os
from reelscribe import device_manager
from reelscribe.device_manager import Machine
MACHINES = {
    "plain": Machine(),
    "nvidia": Machine(cuda=True, gpu_name="Test GPU", capability=(8, 0)),
    "apple": Machine(mps=True, gpu_name="Apple Silicon"),
    "both": Machine(mps=True, cuda=True, gpu_name="Test GPU", capability=(8, 0)),
}
if "MACHINE" in os.environ:
    device_manager.probe = lambda: MACHINES[os.environ["MACHINE"]]
"""
LIBRARIES = {
    "torch.py": "class cuda:\n    is_available = staticmethod(lambda: ABLE)\n    empty_cache = staticmethod(lambda: None)\n"
    "class backends:\n    class mps:\n        is_available = staticmethod(lambda: False)\n"
    "class mps:\n    empty_cache = staticmethod(lambda: None)\nbackends.mps.is_available = staticmethod(lambda: ABLE)\n",
    "ctranslate2.py": "def get_cuda_device_count(): return int(ABLE)",
    "mlx/core.py": "class metal:\n    is_available = staticmethod(lambda: ABLE)\n",
}
# What the libraries say, word for word: PyTorch 2.8, CTranslate2 4.8, MLX 0.30.
CUDA_MEMORY = (
    "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB of which 1.21 GiB is free."
)
MPS_MEMORY = (
    "RuntimeError: MPS backend out of memory (MPS allocated: 9.05 GB, other allocations: 5.63 MB, max allowed: 9.07 GB). "
    "Tried to allocate 256.00 KB on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper limit for memory allocations."
)
MPS_OPERATION = (
    "NotImplementedError: The operator 'aten::_ctc_loss' is not currently implemented for the MPS device. If you want this op to be "
    "considered for addition please comment on https://github.com/pytorch/pytorch/issues/141287"
)
TEXTS = [
    ("nvidia", "torch", "cuda", CUDA_MEMORY),
    ("nvidia", "torch", "cuda", "RuntimeError: CUDA error: no kernel image is available for execution on the device"),
    ("nvidia", "torch", "cuda", "RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please update it."),
    ("nvidia", "torch", "cuda", "RuntimeError: cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
    ("nvidia", "torch", "cuda", "AssertionError: Torch not compiled with CUDA enabled"),
    ("nvidia", "ctranslate2", "cuda", "RuntimeError: CUDA failed with error out of memory"),
    ("nvidia", "ctranslate2", "cuda", "RuntimeError: CUDA failed with error CUDA driver version is insufficient for CUDA runtime version"),
    ("nvidia", "ctranslate2", "cuda", "RuntimeError: Library libcublas.so.12 is not found or cannot be loaded"),
    ("nvidia", "ctranslate2", "cuda", "ValueError: Requested float16 compute type, but the target device does not support it."),
    ("nvidia", "ctranslate2", "cuda", "failed: chunk 3 could not be decoded: the worker crashed (SIGABRT), after 3 retries"),
    ("apple", "torch", "mps", MPS_MEMORY),
    ("apple", "torch", "mps", MPS_OPERATION),
    ("apple", "torch", "mps", "TypeError: Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."),
    ("apple", "mlx", "mps", "RuntimeError: [metal::malloc] Attempting to allocate 9663676416 bytes which is greater than the maximum"),
]


class Tiny:
    """The stage, in a checkout of its own, whose table has one row."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.root = root
        self.dir = root / "out" / "A_Movie"
        self.environment = environment
        self.devices("mps,cuda,cpu")
        self.able()

    def devices(self, order: str) -> None:
        """What the stage table says."""
        (self.root / "native" / "stages.txt").write_text(f"01 tiny tiny {order} - 1 500 1 10\n")

    def able(self, value: bool = True) -> None:
        """Whether the libraries can use the GPU."""
        for name, text in LIBRARIES.items():
            file = self.root / "libraries" / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text.replace("ABLE", str(value)))

    def __call__(self, *options: str, code: int = 0, supervised: bool = False, **env: str) -> str:
        """Run it; its stderr."""
        stage = [sys.executable, str(self.root / "native" / "stages" / "01_tiny.py"), "--movie-dir", str(self.dir), *options]
        supervisor = [sys.executable, "-m", "reelscribe.supervise", "--movie-dir", str(self.dir), "--stage=tiny", "--environment=tiny"]
        done = subprocess.run(
            supervisor if supervised else stage, env=self.environment | env, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == code, f"{done.returncode}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stderr

    def runs(self) -> list[str]:
        """The devices it ran on, in order."""
        return [line.split()[0] for line in (self.dir / "runs.txt").read_text().splitlines()]

    def manifest(self) -> dict[str, Any]:
        """What is recorded."""
        content: dict[str, Any] = json.loads((self.dir / "manifests" / "01_tiny.json").read_text())
        return content


@pytest.fixture
def tiny(tmp_path: Path, child_environment: dict[str, str]) -> Tiny:
    """See Tiny."""
    shutil.copytree(ROOT / "shared" / "src", tmp_path / "shared" / "src")
    for folder in ("native/stages", "native/requirements", "native/config", "native/venvs", "libraries", "out"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "native" / "requirements" / "tiny.txt").touch()
    (tmp_path / "native" / "config" / ".env.pipeline").touch()
    (tmp_path / "native" / "venvs" / "tiny").symlink_to(sys.prefix)
    (tmp_path / "native" / "stages" / "01_tiny.py").write_text(SITE + STAGE)
    path = f"{tmp_path / 'shared' / 'src'}:{tmp_path / 'libraries'}"
    return Tiny(tmp_path, child_environment | {"PYTHONPATH": path})


# -- what is raised on a GPU --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("machine", "kind", "gpu", "text"), TEXTS, ids=[f"{kind}-{text[:40]}" for _, kind, _, text in TEXTS])
def test_what_fails_on_a_gpu_is_done_on_the_cpu_said_and_recorded(tiny: Tiny, machine: str, kind: str, gpu: str, text: str) -> None:
    said = tiny(MACHINE=machine, KIND=kind, **{f"ON_{gpu.upper()}": text})
    why = text.removeprefix("failed: ")
    assert tiny.runs() == [gpu, "cpu"]
    assert f"warning: device {gpu} failed: {why[:200]}" in said and "; once more on cpu" in said
    record = tiny.manifest()
    assert (record["status"], record["device"]["device"]) == ("done", "cpu")
    assert record["device"]["reason"].startswith(f"{gpu} failed: {why[:200]}")
    assert len(record["fallbacks"]) == 1 and why[:200] in record["fallbacks"][0]
    assert "Traceback" in (tiny.dir / "logs" / "01_tiny.log").read_text(), "what happened can be looked up"


@pytest.mark.parametrize(
    ("order", "expected"),
    [("mps,cuda,cpu", ["mps", "cuda", "cpu"]), ("cuda,mps,cpu", ["cuda", "mps", "cpu"]), ("cuda,cpu", ["cuda", "cpu"])],
)
def test_the_next_device_is_that_of_the_stage_table(tiny: Tiny, order: str, expected: list[str]) -> None:
    tiny.devices(order)
    tiny(MACHINE="both", ON_CUDA=CUDA_MEMORY, ON_MPS=MPS_MEMORY)
    assert tiny.runs() == expected
    assert len(tiny.manifest()["fallbacks"]) == len(expected) - 1


def test_the_compute_type_is_that_of_the_device_it_goes_on_on(tiny: Tiny) -> None:
    tiny(MACHINE="nvidia", KIND="ctranslate2", ON_CUDA="RuntimeError: CUDA failed with error out of memory")
    assert (tiny.dir / "runs.txt").read_text() == "cuda float16\ncpu int8\n"


# -- no device where one was promised -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("machine", "wanted", "used"), [("plain", "cuda", "cpu"), ("plain", "mps", "cpu"), ("apple", "cuda", "mps")])
def test_a_promised_device_that_is_not_there_is_replaced(tiny: Tiny, machine: str, wanted: str, used: str) -> None:
    said = tiny(MACHINE=machine, DEVICE=wanted)
    fallback = f"device {used}: {wanted} was asked for, but this machine has no {wanted}"
    assert f"warning: {fallback}" in said
    assert (tiny.runs(), tiny.manifest()["fallbacks"]) == ([used], [fallback])


@pytest.mark.parametrize(("machine", "kind"), [("nvidia", "torch"), ("nvidia", "ctranslate2"), ("apple", "torch"), ("apple", "mlx")])
def test_a_gpu_that_its_library_cannot_use_is_not_silently_left_idle(tiny: Tiny, machine: str, kind: str) -> None:
    """An old driver, a CPU build, a library of CUDA that is missing."""
    tiny.able(False)
    said = tiny(MACHINE=machine, KIND=kind)
    gpu = "mps" if machine == "apple" else "cuda"
    fallback = f"device cpu: {gpu} is there, but {kind} in this environment cannot use it"
    assert f"warning: {fallback}" in said
    assert (tiny.runs(), tiny.manifest()["fallbacks"]) == (["cpu"], [fallback])


# -- crashes and bugs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_crash_on_a_gpu_is_done_on_the_cpu(tiny: Tiny, name: str) -> None:
    said = tiny(MACHINE="nvidia", ON_CUDA=name, supervised=True)
    assert tiny.runs() == ["cuda", "cpu"]
    assert f"a crash on cuda ({name}); once more on the CPU" in said
    assert f"retried after a crash on cuda ({name})" in tiny.manifest()["fallbacks"][0]


@pytest.mark.parametrize("supervised", [False, True])
def test_a_bug_is_tried_once_on_each_device_and_no_more(tiny: Tiny, supervised: bool) -> None:
    bug = "KeyError: what is this"
    said = tiny(MACHINE="both", ON_MPS=bug, ON_CUDA=bug, ON_CPU=bug, code=6, supervised=supervised)
    assert tiny.runs() == ["mps", "cuda", "cpu"]
    assert "error: tiny: KeyError" in said
    assert (tiny.manifest()["status"], tiny.manifest()["device"]["device"]) == ("failed", "cpu")


@pytest.mark.parametrize("fault", ["KeyError: what is this", "RuntimeError: CUDA out of memory", "MemoryError: ", "SIGSEGV"])
def test_what_fails_on_the_cpu_fails(tiny: Tiny, fault: str) -> None:
    tiny(MACHINE="plain", ON_CPU=fault, code=139 if fault == "SIGSEGV" else 6, supervised=True)
    assert tiny.runs() == ["cpu"]


@pytest.mark.parametrize(("fault", "code"), [("refused: text.txt is rude", 3), ("late: its time is up", 6), ("KeyboardInterrupt: ", 130)])
def test_what_no_device_would_mend_is_not_tried_again(tiny: Tiny, fault: str, code: int) -> None:
    tiny(MACHINE="nvidia", ON_CUDA=fault, code=code, supervised=True)
    assert tiny.runs() == ["cuda"]


# -- the real stages ----------------------------------------------------------------------------------------------------

# The machine has CUDA and torch believes it: the first tensor that goes there finds no driver, and torch says so itself.
REAL_TORCH = """
import importlib, sys
from pathlib import Path
here = str(Path(__file__).parent)
sys.path.remove(here)
del sys.modules[__name__]
real = importlib.import_module(__name__)
sys.path.insert(0, here)
real.cuda.is_available = lambda: True
"""
# asr asks ctranslate2 in a process of its own, which is to say yes; the model is then loaded by the real one.
REAL_CTRANSLATE2 = REAL_TORCH.replace("real.cuda.is_available = lambda: True", "real.get_cuda_device_count = lambda: 1")


@pytest.fixture
def nvidia(tmp_path: Path) -> dict[str, str]:
    """Environment of a machine whose GPU has no driver."""
    folder = tmp_path / "libraries"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITE)
    (folder / "torch.py").write_text(REAL_TORCH)
    (folder / "ctranslate2.py").write_text(REAL_CTRANSLATE2)
    return {"PYTHONPATH": str(folder), "MACHINE": "nvidia"}


def record_of(movie_dir: Path, key: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((movie_dir / "manifests" / f"{key}.json").read_text())
    return record


def skip_with_a_gpu() -> None:
    if (Path("/proc/driver/nvidia/version")).exists():
        pytest.skip("this machine's CUDA works")


@pytest.mark.timeout(900)
def test_the_voices_stages_go_on_on_the_cpu(
    run_stage: Callable[..., Any], movie_dir: Path, make_wav: Callable[..., Path], station_samples: np.ndarray, nvidia: dict[str, str]
) -> None:
    skip_with_a_gpu()
    make_wav(movie_dir / "audio" / "audio.wav", station_samples[: 16000 * 8])
    for name, key, made in (
        ("pyannote-vad", "05_pyannote-vad", "vad/pyannote.json"),
        ("diarization", "06_diarization", "diarization/diarization.json"),
    ):
        done = run_stage(name, movie_dir, env=nvidia)
        assert "device cuda failed: RuntimeError: " in done.stderr and "once more on cpu (float32)" in done.stderr
        record = record_of(movie_dir, key)
        assert (record["status"], record["device"]["device"]) == ("done", "cpu")
        assert "NVIDIA" in record["fallbacks"][0], "torch's own words"
        assert (movie_dir / made).is_file()


@pytest.mark.timeout(900)
def test_whisper_and_the_aligner_go_on_on_the_cpu(
    run_stage: Callable[..., Any],
    movie_dir: Path,
    make_wav: Callable[..., Path],
    station_samples: np.ndarray,
    nvidia: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skip_with_a_gpu()
    monkeypatch.syspath_prepend(ROOT / "tests" / "stages")
    from test_asr import SENTENCES, leave_inputs

    near = [(s["start"], s["end"]) for s in SENTENCES if s["end"] < 12]
    leave_inputs(movie_dir, make_wav, station_samples[: 16000 * 12], near, near)
    fixtures = ROOT / "tests" / "fixtures"
    options = ["--backend=whisperx", f"--model={fixtures / 'whisper'}", "--language=en", "--max-retries=1"]
    options += [f"--alignment-model={fixtures / 'aligner'}", f"--models-dir={movie_dir.parent / 'models'}"]
    done = run_stage("asr", movie_dir, options=options, env=nvidia)
    assert "device cuda failed: chunk 0 " in done.stderr and "once more on cpu (int8)" in done.stderr
    record = record_of(movie_dir, "07_asr")
    assert record["device"] == {"device": "cpu", "compute": "int8", "reason": record["device"]["reason"]}
    assert any(said.startswith("alignment cannot use cuda (RuntimeError: ") for said in record["fallbacks"])
    assert record["notes"]["words_aligned"] > 0


@pytest.fixture(scope="session")
def station_samples() -> np.ndarray:
    """The example's sound: (num_samples,) in -1…1, 16 kHz mono."""
    import imageio_ffmpeg

    tool = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-i", str(ROOT / "examples" / "station.mp4")]
    done = subprocess.run([*tool, "-vn", "-ac", "1", "-ar", "16000", "-f", "s16le", "-"], check=True, capture_output=True)
    return np.frombuffer(done.stdout, "<i2") / 32768


def test_the_table_names_the_stages_that_are_tried_here() -> None:
    rows = [line.split() for line in (NATIVE / "stages.txt").read_text().splitlines() if line[:1].isdigit()]
    assert [row[1] for row in rows if "cuda" in row[3]] == ["pyannote-vad", "diarization", "asr"]
