"""What ffmpeg may take for a movie: memory, computing time, time on the clock, the size of what it writes.

A few bytes can promise an index of gigabytes or a movie of years; a player that is wrong about them takes what it is told to.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reelscribe import confine

_MIB = 1 << 20
_CORES = os.cpu_count() or 1
# A stereo track takes 200 MiB of addresses. Each thread adds its stack, and what the GNU C library reserves for it: up to 64 MiB.
MEMORY = (4096 + 64 * _CORES) * _MIB
# The thinnest sound in use, silence in FLAC at 8 kHz: nothing lasts longer than this many bytes a second allow.
_BYTES_PER_S = 25


@dataclass(frozen=True)
class Limits:
    """memory: bytes of address space. cpu_s: seconds of computing, all threads together. clock_s: seconds on the clock, of which a slow
    disk and a busy machine take their share. file_size: bytes of each file that is written."""

    memory: int = MEMORY
    cpu_s: int = 600
    clock_s: int = 6000
    file_size: int = 64 * _MIB

    def command(self, program: str, arguments: Sequence[str]) -> list[str]:
        """The command line that runs `program` within these limits."""
        kept = [str(n) for n in (self.memory, self.cpu_s, self.file_size)]
        return [sys.executable, "-I", "-S", confine.__file__, *kept, program, *arguments]


def believable(size: int, duration: float) -> float:
    """`duration`, in seconds, as a header says it, or what a file of `size` bytes can last at most; that where the header says nothing."""
    longest = size / _BYTES_PER_S
    return min(duration, longest) if duration > 0 else longest


def reading(size: int, duration: float) -> Limits:
    """For decoding the sound of a movie of `size` bytes, or its subtitles: hundreds of times faster than it plays, on any machine."""
    cpu_s = round(60 + believable(size, duration) / 5 + size / (4 * _MIB))
    return Limits(cpu_s=cpu_s, clock_s=600 + 10 * cpu_s)


def copying(size: int, duration: float) -> Limits:
    """For copying streams of `size` bytes; they may be packed, and the copy is not."""
    one = reading(size, duration)
    return Limits(cpu_s=one.cpu_s, clock_s=one.clock_s, file_size=2 * size + 64 * _MIB)


def encoding(size: int, duration: float, pixels: int) -> Limits:
    """For looking at pictures of `pixels`, drawing on them, encoding them: at a hundredth of the speed it plays at, with all cores.

    x264 and x265 hold dozens of pictures and have more threads than there are cores, each with pictures of its own.
    """
    clock_s = round(600 + 100 * believable(size, duration))
    memory = MEMORY + 192 * _MIB * _CORES + 1024 * pixels
    return Limits(memory, clock_s * _CORES, clock_s, 16 * size + 1024 * _MIB)


@contextmanager
def memory_kept(more: int = MEMORY) -> Iterator[None]:
    """The block may take `more` bytes than this process has; asking for more fails. On Linux, which says what a process has."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = int(pages.read_text(encoding="ascii").split()[0]) * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (wanted if soft == resource.RLIM_INFINITY else min(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
