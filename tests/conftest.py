"""What every test may use: stages run as users run them, movie directories, small media, and which skips are allowed.

Marks that need something special are skipped here, with a reason, when it is not there. With CI_STRICT=1 any other skip is a failure.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from reelscribe import device_manager, stage_table
from reelscribe.stage_table import NATIVE, ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SHARED = ROOT.parent / "shared" / "media"
ALLOWED_SKIPS = ("gpu", "mps", "shared", "cluster")
# What a child process may know of the machine it runs on: no setting of the developer's shell reaches a test.
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")

# The same cases on every run, and no limit of time: a busy machine is no failure.
settings.register_profile("reelscribe", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("reelscribe")

sys.path.append(str(NATIVE / "stages"))  # behind everything installed, as reelscribe.stage does it


# -- marks and skips ----------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """`slow` is opt-in: pytest -m slow."""
    # What a script starts with & ignores Ctrl-C, and so would the children that tests stop with it.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not config.option.markexpr:
        config.option.markexpr = "not slow"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever uses `shared_media` has the mark `shared`; what takes longest in one piece comes first."""
    items.sort(key=lambda item: item.path.name != "test_end_to_end.py")
    for item in items:
        if "shared_media" in getattr(item, "fixturenames", ()):
            item.add_marker("shared")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run."""
    machine = device_manager.probe()
    missing = {
        "gpu": "" if machine.cuda else "no CUDA device on this machine",
        "mps": "" if machine.mps else "no Apple Silicon",
        "shared": "" if SHARED.is_dir() else "the recordings in ../shared/media are not beside this checkout",
    }
    for mark, reason in missing.items():
        if reason and item.get_closest_marker(mark):
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Under CI_STRICT a skip without one of the allowed marks fails."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    marked = any(item.get_closest_marker(mark) for mark in ALLOWED_SKIPS)
    if report.skipped and not hasattr(report, "wasxfail") and not marked:
        _refuse_skip(report)
    return report  # type: ignore[return-value]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """The same for a whole module that skips itself."""
    report: pytest.CollectReport = yield  # type: ignore[assignment]
    if report.skipped:
        _refuse_skip(report)
    return report  # type: ignore[return-value]


def _refuse_skip(report: Any) -> None:
    if os.environ.get("CI_STRICT") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"CI_STRICT: skipped without one of the marks {', '.join(ALLOWED_SKIPS)}: {reason}"


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says a measured number in pytest's summary: `measured("station: WER 61.2 %")`."""
    return lambda line: request.node.user_properties.append(("measured", line))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was measured, and what tests/run.sh found before pytest, so that pytest's closing line stays the last one."""
    reports = [r for found in terminalreporter.stats.values() for r in found if getattr(r, "when", "") == "call"]
    measured = [line for report in reports for name, line in report.user_properties if name == "measured"]
    if measured:
        terminalreporter.section("measured")
        terminalreporter.write_line("\n".join(measured))
    failed = os.environ.get("FAILED_CHECKS")
    if failed:
        terminalreporter.section("checks that failed before pytest")
        terminalreporter.write_line(f"FAILED {failed}", red=True)


# -- stages -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def movie_dir(tmp_path: Path) -> Path:
    """An empty movie directory."""
    folder = tmp_path / "out" / "A_Movie"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def child_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment for child processes: a home of its own (no caches, no models), offline, nothing of the developer's shell."""
    home = tmp_path_factory.mktemp("home")
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {"HOME": str(home), "OFFLINE": "true"}


@pytest.fixture
def run_stage(tmp_path: Path, child_environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """See stage_runner()."""
    return stage_runner(tmp_path, child_environment)


def stage_runner(cwd: Path, environment: Mapping[str, str], *, limit_s: float = 280) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a stage as a user does: its own environment's Python, its script, a foreign working directory.

    `env` adds settings to the environment; OFFLINE is true unless it says otherwise. `check`: a failure is the test's failure.
    `venv`: another environment than the stage's first.
    """

    def run(
        name: str,
        movie_dir: Path | None,
        *,
        movie: Path | None = None,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        check: bool = True,
        venv: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        row = stage_table.find(name)
        command = [str(python_of(venv or row.environments[0])), str(row.script)]
        command += ["--movie-dir", str(movie_dir)] if movie_dir else []
        command += ["--input", str(movie)] if movie else []
        done = subprocess.run(
            [*command, *options],
            cwd=cwd,
            env={**environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"{name} ended with {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}")
        return done

    return run


def python_of(environment: str) -> Path:
    """The interpreter of native/venvs/<environment>."""
    python = NATIVE / "venvs" / environment / "bin" / "python"
    if not python.exists():
        pytest.fail(f"the environment {environment} is not built: native/setup_venvs.sh {environment}")
    return python


# -- media --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """../shared/media, the recordings beside the checkout; a test that uses it has the mark `shared`."""
    return SHARED


@pytest.fixture(scope="session")
def make_wav() -> Callable[..., Path]:
    """Writes a 16-bit WAV: `samples` (num_samples,) or (num_samples, channels) in -1…1, default a soft 220 Hz tone of `seconds`."""

    def make(path: Path, samples: np.ndarray | None = None, *, seconds: float = 1.0, rate: int = 16000) -> Path:
        if samples is None:
            samples = 0.1 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as f:
            f.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
            f.setsampwidth(2)
            f.setframerate(rate)
            f.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        return path

    return make


@pytest.fixture(scope="session")
def make_movie() -> Callable[..., Path]:
    """Makes a tiny movie with the ffmpeg of imageio-ffmpeg.

    A 64×48 picture (unless `video` is false) and one audio track per WAV in `wavs` (default: one 220 Hz tone; `[]`: none), `seconds`
    long. `options` are ffmpeg's output options, as ("-metadata:s:a:0", "language=ger"); the container follows from the file's suffix.
    """
    import imageio_ffmpeg

    def make(
        path: Path, *, wavs: Sequence[Path] | None = None, seconds: float = 2.0, video: bool = True, options: Sequence[str] = ()
    ) -> Path:
        inputs = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=24"] if video else []
        if wavs is None:
            inputs += ["-f", "lavfi", "-i", "sine=frequency=220:sample_rate=48000"]
        for wav in wavs or ():
            inputs += ["-i", str(wav)]
        count = inputs.count("-i")
        maps = [argument for number in range(count) for argument in ("-map", str(number))]
        path.parent.mkdir(parents=True, exist_ok=True)
        tool = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y"]
        ending = ["-t", str(seconds), "-fflags", "+bitexact", *options, f"file:{path}"]
        subprocess.run([*tool, *inputs, *maps, *ending], check=True, stdin=subprocess.DEVNULL)
        return path

    return make


# -- pages --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of a file; none is a skip, which CI refuses."""
    import browser as machine

    if machine.find() is None:
        pytest.skip(machine.MISSING)
    with machine.opened() as opened:
        yield opened
