"""What asr does when the engine crashes, hangs, runs out of memory or writes garbage, and when the disk is full.

The faults are real and happen inside the real engine: a package `pocketsphinx` (or `ctranslate2`) that lies first on PYTHONPATH hands on
the real one with a decoder that breaks at a chosen call.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import jiwer
import numpy as np
import psutil
import pytest
from conftest import python_of
from test_asr import END, SENTENCES, START, station, text_of, write_inputs  # noqa: F401

from asr import decode, formats, session
from asr.checkpoints import Checkpoints, any_degraded
from asr.engines import Load
from asr.ladder import ladder, smaller_model
from reelscribe import device_manager, stage_table
from reelscribe.errors import StageFailedError
from reelscribe.models import locate
from reelscribe.schemas import Chunk, DecodedChunk, DecodedWindow, Plan, Window
from reelscribe.settings import MpsOptions
from reelscribe.stage_table import ROOT

TRANSCRIPT = Path("transcription/transcript.json")
# Two windows in the first chunk, one in the second; every one is an utterance.
TIMES = (1, 11, 71)
SMALL = ("--use-chunking=always", "--chunk-duration=60")
LARGE = ("--use-chunking=always", "--chunk-duration=120")

PACKAGE = """
import importlib, os, sys
from pathlib import Path

HERE = Path(__file__).parent
with open(HERE / "loaded", "a") as f:
    f.write(f"{os.getpid()}\\n")
sys.path.remove(str(HERE))
del sys.modules[__name__]
real = importlib.import_module(__name__)
(HERE / "environment").write_text(repr(dict(os.environ)))


def fault():
FAULT


def breaking(function):
    def breaks(*arguments, **named):
        with open(HERE / "calls", "a") as f:
            f.write("x")
        if (HERE / "calls").stat().st_size in BREAKS:
            fault()
        return function(*arguments, **named)
    return breaks


"""
# What an engine does once for a window, or for a batch.
CALLS = {
    "pocketsphinx": """
class Decoder(real.Decoder):
    start_utt = breaking(real.Decoder.start_utt)
real.Decoder = Decoder
""",
    "ctranslate2": """
class Whisper(real.models.Whisper):
    generate = breaking(real.models.Whisper.generate)
real.models.Whisper = Whisper
""",
}

SEGFAULT = "import ctypes; ctypes.string_at(0)"
HANG = """
import subprocess, time
sleeper = subprocess.Popen(["sleep", "900"])
(HERE / "sleeper").write_text(str(sleeper.pid))
time.sleep(900)
"""
OUT_OF_MEMORY = """
import resource
limit = 2 ** 20 * 2048
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
hoard = [bytearray(2 ** 26) for _ in range(1000)]
"""
GARBAGE = """
import stat
for number in range(3, 32):
    try:
        if stat.S_ISFIFO(os.fstat(number).st_mode):
            os.write(number, b"\\x00\\xff{not what was asked for\\n")
    except OSError:
        pass
"""


@pytest.fixture
def inputs(write_inputs, station):  # noqa: F811
    """A sentence of the example at each of TIMES."""
    part = station[round(START * 16000) : round(END * 16000)]
    samples = np.zeros(16000 * 80)
    for at in TIMES:
        samples[at * 16000 : at * 16000 + len(part)] = part
    write_inputs(samples, [(at, at + END - START) for at in TIMES], terms=[["Sarah"]] * 6)


@pytest.fixture
def break_engine(tmp_path):
    """Writes the package whose decoder does `fault` at the calls `at` (from 1), counted over all runs; gives its folder."""

    def write(fault: str, at=(2,), package="pocketsphinx") -> Path:
        folder = tmp_path / "faults"
        folder.mkdir(exist_ok=True)
        body = "\n".join("    " + line for line in fault.strip().splitlines())
        text = PACKAGE.replace("FAULT", body).replace("BREAKS", repr(at)) + CALLS[package]
        (folder / f"{package}.py").write_text(text)
        return folder

    return write


_undisturbed: dict[tuple[str, ...], dict[str, bytes]] = {}


@pytest.fixture
def undisturbed(run_stage, movie_dir, inputs):
    """What a run with the given options writes when nothing is wrong; nothing of it is left behind."""

    def run(options) -> dict[str, bytes]:
        if options not in _undisturbed:
            run_stage("asr", movie_dir, options=options)
            _undisturbed[options] = written(movie_dir)
            for path in [*movie_dir.glob("transcription/**/*.json"), *movie_dir.glob("manifests/*.json")]:
                path.unlink()
        return _undisturbed[options]

    return run


def written(movie_dir) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in movie_dir.glob("transcription/**/*.json")}


def manifest(movie_dir):
    return json.loads((movie_dir / "manifests" / "07_asr.json").read_text())


def chunk_record(movie_dir, number):
    return DecodedChunk.model_validate_json((movie_dir / f"transcription/chunks/chunk_{number:04d}.json").read_bytes())


def gone(pid: int, within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


# -- faults of the worker -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "options", "said"),
    [
        pytest.param(SEGFAULT, (), r"crashed \(SIGSEGV\)", id="segfault"),
        pytest.param("os.kill(os.getpid(), 9)", (), r"crashed \(SIGKILL: .*memory\)", id="killed"),
        pytest.param("os._exit(0)", (), r"crashed \(code 0\)", id="gone"),
        pytest.param(HANG, ("--stall-timeout=20",), "decoded nothing for 20 s", id="hang"),
        pytest.param(OUT_OF_MEMORY, (), "ran out of memory", id="memory"),
        pytest.param("raise RuntimeError('CUDA failed\\n at 0x0')", (), "failed: RuntimeError: CUDA failed", id="exception"),
        pytest.param(GARBAGE, (), "wrote garbage: .*", id="garbage"),
    ],
)
def test_a_worker_that_fails_costs_a_retry_and_no_byte(run_stage, movie_dir, undisturbed, break_engine, fault, options, said):
    expected = undisturbed(SMALL)
    folder = break_engine(fault)
    done = run_stage("asr", movie_dir, options=[*SMALL, *options], env={"PYTHONPATH": str(folder)})
    assert re.search(rf"warning: chunk 0 \(1–14 s\): the worker {said}; once more\n", done.stderr), done.stderr
    assert written(movie_dir) == expected
    (retry,) = manifest(movie_dir)["notes"]["retries"]
    assert re.search(said, retry)
    workers = [int(line) for line in (folder / "loaded").read_text().split()]
    assert len(workers) == 2 and all(gone(pid) for pid in workers)
    # The window that was decoded before the fault is not decoded again.
    assert (folder / "calls").stat().st_size == 4
    if (folder / "sleeper").exists():
        assert gone(int((folder / "sleeper").read_text()))


@pytest.mark.parametrize("fault", ["import atexit; atexit.register(os.abort)", "os.write(1, b'library banner\\n'); print('more')"])
def test_what_does_no_harm_is_no_failure(run_stage, movie_dir, undisturbed, break_engine, fault):
    expected = undisturbed(SMALL)
    folder = break_engine(fault, at=(1,))
    done = run_stage("asr", movie_dir, options=SMALL, env={"PYTHONPATH": str(folder), "LOG_LEVEL": "debug"})
    assert written(movie_dir) == expected
    assert "retries" not in manifest(movie_dir)["notes"]
    assert ("SIGABRT" in done.stderr) == ("abort" in fault)
    assert done.stdout.split() == sorted(str(movie_dir / path) for path in manifest(movie_dir)["outputs"])


def test_a_worker_that_always_fails_fails_the_stage_and_costs_nothing_that_was_done(run_stage, movie_dir, undisturbed, break_engine):
    expected = undisturbed(SMALL)
    env = {"PYTHONPATH": str(break_engine(SEGFAULT, at=range(3, 99)))}
    done = run_stage("asr", movie_dir, options=[*SMALL, "--max-retries=1"], env=env, check=False)
    assert done.returncode == 6
    assert "chunk 1 (71–74 s) could not be decoded: the worker crashed (SIGSEGV), after 1 retries" in done.stderr
    assert "Traceback" not in done.stderr and "Current thread" not in done.stderr
    assert "Current thread" in (movie_dir / "logs" / "07_asr.log").read_text()
    assert not (movie_dir / TRANSCRIPT).exists()
    run_stage("asr", movie_dir, options=SMALL)
    assert manifest(movie_dir)["notes"]["chunks_reused"] == 1
    assert written(movie_dir) == expected


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("raise OSError(28, 'No space left on device')", 5, "no space left"),
        (
            "from reelscribe.errors import MissingToolError; raise MissingToolError('no model', remedy='get one')",
            4,
            "no model\n  → get one",
        ),
    ],
)
def test_what_no_retry_helps_against_is_not_retried(run_stage, movie_dir, inputs, break_engine, fault, code, said):
    done = run_stage("asr", movie_dir, options=SMALL, env={"PYTHONPATH": str(break_engine(fault, at=(1,)))}, check=False)
    assert done.returncode == code
    assert said in done.stderr and "once more" not in done.stderr and "Traceback" not in done.stderr


def test_what_was_decoded_with_less_is_marked_and_can_be_done_again(run_stage, movie_dir, undisturbed, break_engine):
    expected = undisturbed(LARGE)
    done = run_stage("asr", movie_dir, options=LARGE, env={"PYTHONPATH": str(break_engine(SEGFAULT))})
    assert "crashed (SIGSEGV); once more with chunk 73 s → 60 s" in done.stderr
    assert chunk_record(movie_dir, 0).degraded == ["chunk 73 s → 60 s (crashed (SIGSEGV))"]
    assert any("decoded with less: chunk 73 s → 60 s" in fallback for fallback in manifest(movie_dir)["fallbacks"])
    assert (movie_dir / TRANSCRIPT).read_bytes() == expected["transcript.json"]

    assert "up to date" in run_stage("asr", movie_dir, options=LARGE).stderr
    (movie_dir / TRANSCRIPT).unlink()
    run_stage("asr", movie_dir, options=LARGE)
    assert any("decoded with less" in fallback for fallback in manifest(movie_dir)["fallbacks"])

    run_stage("asr", movie_dir, options=[*LARGE, "--retry-degraded"])
    assert written(movie_dir) == expected
    assert not any("decoded with less" in fallback for fallback in manifest(movie_dir)["fallbacks"])
    assert "up to date" in run_stage("asr", movie_dir, options=[*LARGE, "--retry-degraded"]).stderr


def test_the_whole_run_has_a_limit(run_stage, movie_dir, inputs, break_engine):
    folder = break_engine(HANG, at=(1,))
    done = run_stage("asr", movie_dir, options=[*SMALL, "--timeout=8"], env={"PYTHONPATH": str(folder)}, check=False)
    assert done.returncode == 6
    assert "decoding took longer than ASR_TIMEOUT=8 s and came to 0:00:00" in done.stderr
    assert all(gone(int(pid)) for name in ("loaded", "sleeper") if (folder / name).exists() for pid in (folder / name).read_text().split())


def test_whisper_in_half_the_batch_says_the_same(run_stage, movie_dir, write_inputs, station, break_engine):  # noqa: F811
    """A real crash of CTranslate2, and no engine in the stage's own process."""
    write_inputs(station, [(s["start"], s["end"]) for s in SENTENCES])
    options = ["--backend=whisperx", f"--model={ROOT / 'tests' / 'fixtures' / 'whisper'}", "--language=en", "--batch-size=4"]
    options += ["--alignment-backend=none", f"--models-dir={movie_dir.parent / 'models'}"]
    done = run_stage("asr", movie_dir, options=options, env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = set(re.findall(r"\| +(\w+)$", done.stderr, re.MULTILINE))
    assert "pydantic" in imported and not imported & {"ctranslate2", "faster_whisper", "torch", "transformers", "pocketsphinx", "mlx"}
    expected, text = written(movie_dir), text_of(movie_dir)

    env = {"PYTHONPATH": str(break_engine(SEGFAULT, at=(1,), package="ctranslate2"))}
    done = run_stage("asr", movie_dir, options=[*options, "--force"], env=env)
    assert re.search(r"crashed \(SIGSEGV\); once more with batch \d → \d", done.stderr)
    assert chunk_record(movie_dir, 0).degraded
    assert {window.window for window in chunk_record(movie_dir, 0).windows} == set(range(manifest(movie_dir)["notes"]["windows"]))
    assert jiwer.wer(text, text_of(movie_dir)) <= 0.02

    run_stage("asr", movie_dir, options=[*options, "--retry-degraded"])
    assert written(movie_dir) == expected


# -- the stage itself ends, the disk fills ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_worker_and_its_children_end_with_the_stage(movie_dir, inputs, break_engine, child_environment, number):
    folder = break_engine(HANG, at=(1,))
    command = [python_of("asr"), stage_table.find("asr").script, "--movie-dir", movie_dir]
    environment = {**child_environment, "PYTHONPATH": str(folder)}
    running = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not (folder / "sleeper").exists() or not (folder / "sleeper").read_text():
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(number)
    code = running.wait(timeout=30)
    assert code == (130 if number == signal.SIGTERM else -9)
    (worker_pid,) = map(int, (folder / "loaded").read_text().split())
    assert worker_pid != running.pid
    assert gone(worker_pid) and gone(int((folder / "sleeper").read_text()))


@pytest.fixture
def small_disk(movie_dir, tmp_path):
    """Makes the disk under the checkpoints hold two of them: a tmpfs where that is allowed, a failing fsync where not.

    Gives the environment to run in and a function that frees space.
    """
    chunks = movie_dir / "transcription" / "chunks"
    chunks.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(chunks)]
    if os.geteuid() == 0 and sys.platform == "linux" and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        yield {}, lambda: subprocess.run(["mount", "-o", "remount,size=1m", str(chunks)], check=True)
        subprocess.run(["umount", str(chunks)], check=True)
        return
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import errno, glob, os\nreal = os.fsync\n"
        f"def fsync(fd):\n    if len(glob.glob({str(chunks)!r} + '/chunk_*')) > 1: raise OSError(errno.ENOSPC, 'full')\n    real(fd)\n"
        "os.fsync = fsync\n"
    )
    yield {"PYTHONPATH": str(hook)}, (hook / "sitecustomize.py").unlink


def test_a_disk_that_is_full_at_a_checkpoint_is_said_and_nothing_is_lost(run_stage, movie_dir, write_inputs, station, small_disk):  # noqa: F811
    part = station[round(START * 16000) : round(END * 16000)]
    samples = np.zeros(16000 * 150)
    for at in (1, 71, 141):
        samples[at * 16000 : at * 16000 + len(part)] = part
    write_inputs(samples, [(at, at + END - START) for at in (1, 71, 141)])
    env, free = small_disk
    done = run_stage("asr", movie_dir, options=SMALL, env=env, check=False)
    assert done.returncode == 5, done.stderr
    assert "no space left to write chunk_" in done.stderr and "Traceback" not in done.stderr
    kept = {path.name: path.read_bytes() for path in movie_dir.glob("transcription/chunks/*")}
    assert kept and all(name.startswith("chunk_") and DecodedChunk.model_validate_json(content) for name, content in kept.items())
    free()
    run_stage("asr", movie_dir, options=SMALL, env=env)
    assert manifest(movie_dir)["notes"]["chunks_reused"] == len(kept)
    again = written(movie_dir)
    # The last of them may have been decoded and not aligned yet.
    decoded = [[DecodedChunk.model_validate_json(chunks[name]).decoded for name in kept] for chunks in (kept, again)]
    assert decoded[0] == decoded[1]
    run_stage("asr", movie_dir, options=[*SMALL, "--force"])
    assert written(movie_dir) == again


# -- where it is decoded ------------------------------------------------------------------------------------------------


def test_in_one_process_the_bytes_are_the_same(run_stage, movie_dir, undisturbed, break_engine):
    expected = undisturbed(SMALL)
    folder = break_engine("pass")
    env = {"PYTHONPATH": str(folder), "ASR_USE_SUBPROCESS": "false", "LOG_LEVEL": "debug"}
    done = run_stage("asr", movie_dir, options=SMALL, env=env)
    assert written(movie_dir) == expected
    assert "decoding in process" not in done.stderr
    assert len((folder / "loaded").read_text().split()) == 1
    broken = {**env, "PYTHONPATH": str(break_engine("raise RuntimeError('look here')", at=range(99)))}
    failed = run_stage("asr", movie_dir, options=[*SMALL, "--force"], env=broken, check=False)
    assert failed.returncode == 6
    assert "look here" in failed.stderr and "once more" not in failed.stderr


def test_memory_and_the_variables_of_mps_reach_the_worker(run_stage, movie_dir, undisturbed, break_engine):
    folder = break_engine("pass")
    env = {
        "PYTHONPATH": str(folder),
        "PYTORCH_MPS_HIGH_WATERMARK_RATIO": "0.7",
        "PYTORCH_ENABLE_MPS_FALLBACK": "false",
        "MPS_ALLOC_MAX_SIZE_MB": "4096",
    }
    undisturbed(SMALL)
    done = run_stage("asr", movie_dir, options=SMALL, env=env)
    assert len(re.findall(r"Memory: \d+\.\d GB → \d+\.\d GB \(cleanup\)", done.stderr)) == 2
    found = eval((folder / "environment").read_text())
    assert found["PYTORCH_MPS_HIGH_WATERMARK_RATIO"] == found["PYTORCH_MPS_LOW_WATERMARK_RATIO"] == "0.7"
    assert (found["PYTORCH_ENABLE_MPS_FALLBACK"], found["MPS_ALLOC_MAX_SIZE_MB"]) == ("0", "4096")


@pytest.mark.parametrize(("ratio", "low"), [(0.0, None), (1.7, None), (0.5, "0.5")])
def test_the_low_watermark_is_never_above_the_high_one(monkeypatch, ratio, low):
    monkeypatch.delenv("PYTORCH_MPS_LOW_WATERMARK_RATIO", raising=False)
    found = MpsOptions(mps_high_watermark=ratio).mps_environment()
    assert found["PYTORCH_MPS_HIGH_WATERMARK_RATIO"] == str(ratio)
    assert found.get("PYTORCH_MPS_LOW_WATERMARK_RATIO") == low
    assert MpsOptions().mps_environment() == {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}


def test_torch_is_held_to_its_share_of_the_gpu(monkeypatch):
    fractions = []
    available = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: True))
    mps = SimpleNamespace(recommended_max_memory=lambda: 2**33, set_per_process_memory_fraction=fractions.append)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(backends=available, mps=mps))
    monkeypatch.delenv("MPS_ALLOC_MAX_SIZE_MB", raising=False)
    device_manager.limit_mps_memory()
    monkeypatch.setenv("MPS_ALLOC_MAX_SIZE_MB", "4096")
    device_manager.limit_mps_memory()
    assert fractions == [0.5]


# -- retries with less --------------------------------------------------------------------------------------------------


def load(**changes):
    return Load(**{"backend": "whisperx", "model": "large-v3", "device": "cuda", "compute": "float16", "batch": 8, **changes})


def planned(*sizes):
    """Chunks of batches of so many windows of 30 s."""
    windows: list[Window] = []
    chunks = []
    for number, batches in enumerate(sizes):
        made = []
        for size in batches:
            made.append([len(windows) + n for n in range(size)])
            windows += [Window(id=n, start=30.0 * n, end=30.0 * n + 30, speech=[]) for n in made[-1]]
        numbers = [n for batch in made for n in batch]
        start, end = windows[numbers[0]].start, windows[numbers[-1]].end
        chunks.append(Chunk(id=number, start=start, end=end, windows=numbers, batches=made))
    return Plan(duration=windows[-1].end, speech=[], windows=windows, chunks=chunks, terms=[])


def test_every_step_asks_less_than_the_one_before():
    (chunk,) = planned([8, 2]).chunks
    steps = ladder(load(), "ctranslate2", chunk, "medium")
    assert steps[-1].degraded == ("batch 8 → 4", "chunk 300 s → 150 s", "float16 → int8", "cuda → cpu", "model large-v3 → medium")
    assert [step.load.batch for step in steps] == [8, 4, 4, 4, 4, 4]
    assert [step.part_s for step in steps] == [None, None, 150, 150, 150, 150]
    assert steps[-1].load == load(batch=4, compute="int8", device="cpu", model="medium")


def test_what_cannot_be_less_stays():
    (chunk,) = planned([1, 1]).chunks
    steps = ladder(load(batch=1, device="cpu", compute="int8"), "ctranslate2", chunk, "large-v3")
    assert {step.degraded for step in steps} == {()}


def test_a_smaller_model_is_one_that_is_here(tmp_path, monkeypatch):
    assert smaller_model(load(models_dir=str(tmp_path))) == "large-v3"
    need = formats.need("small", "whisperx", device="cuda", translate=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    folder = tmp_path / need.key
    folder.mkdir(parents=True)
    for name in need.files:
        (folder / name).touch()
    assert locate(need, tmp_path)
    assert smaller_model(load(models_dir=str(tmp_path))) == "small"
    assert smaller_model(load(model=str(folder), models_dir=str(tmp_path))) == str(folder)


def test_parts_keep_whole_batches_in_order():
    plan = planned([8, 2])
    steps = ladder(load(), "ctranslate2", plan.chunks[0], "large-v3")
    assert steps[0].parts(plan.chunks[0].batches, plan.windows) == [plan.chunks[0].batches]
    assert steps[2].parts(plan.chunks[0].batches, plan.windows) == [[[0, 1, 2, 3]], [[4, 5, 6, 7]], [[8, 9]]]


class Scripted:
    """Stands in for a worker. script: after how many windows the first one fails, the second one, …; the others do not."""

    script: ClassVar[list[float]] = []
    opened: ClassVar[list[Load]] = []
    asked: ClassVar[list[list[list[int]]]] = []
    leaves_out: ClassVar[set[int]] = set()
    startup_s = 0.0

    def __init__(self, setup, tick, *, stall_s):
        Scripted.opened.append(setup.load)
        self._lasts = Scripted.script.pop(0) if Scripted.script else float("inf")

    def decode(self, batches):
        Scripted.asked.append([list(batch) for batch in batches])
        for number in (n for batch in batches for n in batch):
            if self._lasts <= 0:
                raise session.WorkerFailedError("crashed (SIGSEGV)")
            self._lasts -= 1
            if number in Scripted.leaves_out:
                Scripted.leaves_out.remove(number)
            else:
                yield DecodedWindow(window=number, segments=[])

    def end(self):
        pass

    kill = end


@pytest.fixture
def decoding(monkeypatch, tmp_path):
    """Makes a Decoding of a plan with scripted workers."""
    monkeypatch.setattr(decode, "Worker", Scripted)
    monkeypatch.setattr(decode, "_PAUSE_S", 0.0)
    for name, value in (("script", []), ("opened", []), ("asked", []), ("leaves_out", set())):
        monkeypatch.setattr(Scripted, name, value)

    def make(plan, script, **options):
        Scripted.script = list(script)
        chosen = SimpleNamespace(**{name: f.default for name, f in decode.DecodingOptions.model_fields.items()} | options)
        log = SimpleNamespace(**dict.fromkeys(("debug", "info", "warning"), lambda *a: None))
        ctx = SimpleNamespace(
            options=chosen,
            inputs=SimpleNamespace(audio=tmp_path / "audio.wav"),
            engine=SimpleNamespace(kind="ctranslate2"),
            log=log,
            progress=SimpleNamespace(update=lambda *a: None),
            note=lambda *a: None,
        )
        return decode.Decoding(ctx, load(), plan, tmp_path / "plan.json", plan.chunks)

    return make


def test_a_retry_decodes_what_is_missing_in_half_the_batch(decoding):
    plan = planned([8, 2, 2])
    with decoding(plan, [9]) as working:
        windows, degraded = working.chunk(plan.chunks[0])
    assert [w.window for w in windows] == plan.chunks[0].windows
    assert degraded == ["batch 8 → 4 (crashed (SIGSEGV))"]
    assert [opened.batch for opened in Scripted.opened] == [8, 4]
    assert Scripted.asked == [plan.chunks[0].batches, [[8, 9], [10, 11]]]


def test_half_a_chunk_is_what_one_worker_decodes(decoding):
    plan = planned([8, 2])
    with decoding(plan, [0, 0]) as working:
        windows, degraded = working.chunk(plan.chunks[0])
    assert [w.window for w in windows] == plan.chunks[0].windows
    assert degraded == ["batch 8 → 4 (crashed (SIGSEGV))", "chunk 300 s → 150 s (crashed (SIGSEGV))"]
    assert Scripted.asked[2:] == [[[0, 1, 2, 3]], [[4, 5, 6, 7]], [[8, 9]]]
    assert len(Scripted.opened) == 5


def test_one_worker_serves_all_chunks_and_one_failure_is_forgotten(decoding):
    plan = planned([4], [4], [4])
    with decoding(plan, [2]) as working:
        degraded = [working.chunk(chunk)[1] for chunk in plan.chunks]
    assert [bool(d) for d in degraded] == [True, False, False]
    assert [opened.batch for opened in Scripted.opened] == [8, 2, 8]


def test_what_two_chunks_in_a_row_needed_the_next_one_begins_with(decoding):
    plan = planned([4], [4], [4], [4])
    with decoding(plan, [2, 4, 2]) as working:
        degraded = [working.chunk(chunk)[1] for chunk in plan.chunks]
    assert [opened.batch for opened in Scripted.opened] == [8, 2, 8, 2]
    assert degraded[1] == ["batch 4 → 2 (crashed (SIGSEGV))"]
    assert degraded[2] == degraded[3] == ["batch 4 → 2 (as the chunks before)"]


def test_a_hole_is_decoded_again(decoding):
    plan = planned([2, 2])
    with decoding(plan, []) as working:
        Scripted.leaves_out = {2}
        windows, degraded = working.chunk(plan.chunks[0])
    assert [w.window for w in windows] == [0, 1, 2, 3] and degraded == []
    assert Scripted.asked == [[[0, 1], [2, 3]], [[2, 3]]]
    assert len(Scripted.opened) == 1


def test_a_worker_that_fails_with_its_work_done_has_not_failed(decoding, monkeypatch):
    plan = planned([2])

    def crash_late(self, batches):
        Scripted.asked.append(batches)
        yield from (DecodedWindow(window=n, segments=[]) for batch in batches for n in batch)
        raise session.WorkerFailedError("crashed (SIGABRT)")

    monkeypatch.setattr(Scripted, "decode", crash_late)
    with decoding(plan, []) as working:
        windows, degraded = working.chunk(plan.chunks[0])
    assert [w.window for w in windows] == [0, 1] and degraded == []
    assert len(Scripted.asked) == 1


def test_retries_end(decoding):
    plan = planned([8, 2])
    with pytest.raises(StageFailedError, match="after 3 retries"), decoding(plan, [0] * 9) as working:
        working.chunk(plan.chunks[0])
    assert [(o.batch, o.compute, o.device) for o in Scripted.opened] == [
        (8, "float16", "cuda"),
        (4, "float16", "cuda"),
        (4, "float16", "cuda"),
        (4, "int8", "cuda"),
    ]


# -- the pace, the checkpoints ------------------------------------------------------------------------------------------


def test_position_speed_and_what_is_left_are_said_once_a_minute():
    now, said = [100.0], []
    pace = decode.Pace(to_do_s=3600, duration=7200, limit_s=0, say=said.append, clock=lambda: now[0])
    pace.tick()
    now[0] = 159.9
    pace.advance(Window(id=0, start=1000.0, end=1180.0, speech=[]))
    pace.tick()
    assert said == []
    for now[0] in (160.0, 161.0, 219.0, 220.0):
        pace.tick()
    assert said == [
        "At 0:19:40 of 2:00:00, 3.0 × real time, 0:19:00 left",
        "At 0:19:40 of 2:00:00, 1.5 × real time, 0:38:00 left",
    ]


def test_a_checkpoint_without_one_of_its_windows_is_none(tmp_path):
    plan = planned([2], [1])
    checkpoints = Checkpoints(tmp_path, plan, {})
    windows = [DecodedWindow(window=n, segments=[]) for n in (0, 1)]
    checkpoints.write(plan.chunks[0], windows[:1])
    assert checkpoints.read(plan.chunks[0]) is None
    checkpoints.write(plan.chunks[0], windows)
    assert checkpoints.read(plan.chunks[0]).windows == windows
    assert not any_degraded(tmp_path)
    checkpoints.write(plan.chunks[1], [DecodedWindow(window=2, segments=[])], ["cuda → cpu (crashed (SIGSEGV))"])
    assert any_degraded(tmp_path)
    assert checkpoints.read(plan.chunks[1]) is not None
    assert Checkpoints(tmp_path, plan, {}, degraded=False).read(plan.chunks[1]) is None
