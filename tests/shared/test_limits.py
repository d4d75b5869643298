"""limits: what a program may take, and how it ends when it takes more."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reelscribe import limits
from reelscribe.limits import Limits

MIB = 1 << 20
linux = sys.platform == "linux"  # macOS keeps no limit of memory, and none of a process's own


def run(program: str, **allowed: int) -> subprocess.CompletedProcess[str]:
    """A program in Python, within limits."""
    command = Limits(**allowed).command(sys.executable, ["-c", program])
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_program_within_its_limits_is_as_it_was(tmp_path: Path) -> None:
    done = run("import sys; print('out'); print(sys.argv, file=sys.stderr); sys.exit(7)")
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert "['-c']" in done.stderr


def test_memory_beyond_the_limit_is_refused() -> None:
    program = f"bytearray({600 * MIB}); print('taken')"
    assert run(program, memory=1024 * MIB).stdout == "taken\n"
    if linux:
        assert "MemoryError" in run(program, memory=400 * MIB).stderr


def test_computing_beyond_the_limit_ends_it() -> None:
    assert run("while True: pass", cpu_s=1).returncode in (-signal.SIGKILL, -signal.SIGXCPU)


def test_a_file_beyond_the_limit_ends_it_and_leaves_no_core(tmp_path: Path) -> None:
    program = (
        f"import signal, resource; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open({str(tmp_path / 'f')!r}, 'wb').write(bytes({MIB}))"
    )
    assert run(program, file_size=MIB).returncode == 0
    assert run(program, file_size=MIB // 2).returncode == -signal.SIGXFSZ
    assert (tmp_path / "f").stat().st_size == MIB // 2
    assert run("import resource; print(resource.getrlimit(resource.RLIMIT_CORE))").stdout == "(0, 0)\n"


@pytest.mark.parametrize("name", ["SIGPIPE", "SIGXFSZ"])
def test_signals_that_python_ignores_reach_the_program(name: str) -> None:
    assert (
        subprocess.run(Limits().command("sh", ["-c", f"kill -{name[3:]} $$; echo alive"]), check=False).returncode == -signal.Signals[name]
    )


def test_a_lower_limit_that_is_there_stays() -> None:
    inner = Limits(cpu_s=500).command(sys.executable, ["-c", "import resource; print(resource.getrlimit(resource.RLIMIT_CPU))"])
    outer = Limits(cpu_s=50).command(inner[0], inner[1:])
    assert subprocess.run(outer, capture_output=True, text=True, check=True).stdout == "(50, 50)\n"


@pytest.mark.parametrize(
    ("size", "duration", "seconds"),
    [(8 << 30, 7200.0, 7200), (100_000, 1e9, 4000), (100_000, 0.0, 4000), (100_000, -5.0, 4000), (100_000, 3.0, 3)],
    ids=["a movie", "a lie", "nothing said", "nonsense", "a clip"],
)
def test_a_file_lasts_no_longer_than_its_size_allows(size: int, duration: float, seconds: float) -> None:
    assert limits.believable(size, duration) == seconds


def test_a_longer_movie_may_take_longer_and_a_small_one_not_long() -> None:
    film, clip, lie = limits.reading(50 << 30, 10800), limits.reading(100_000, 3), limits.reading(100_000, 1e9)
    assert film.cpu_s > 4 * 3600 > 100 > clip.cpu_s
    assert lie.cpu_s < 900
    assert limits.copying(50 << 30, 10800).file_size > 50 << 30
    assert limits.copying(100_000, 3).file_size < 100 * MIB
    assert limits.encoding(8 << 30, 7200, 3840 * 2160).memory > 11 << 30


def test_a_block_may_not_take_any_memory() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with limits.memory_kept(200 * MIB):
        bytearray(100 * MIB)
        if linux:
            with pytest.raises(MemoryError):
                bytearray(400 * MIB)
    bytearray(400 * MIB)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
