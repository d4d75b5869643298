"""Memory of this process: said before and after, caches of the device freed."""

from __future__ import annotations

import gc
import logging
import resource
import sys
from contextlib import suppress

from reelscribe import logger


def peak_rss_mb() -> int:
    """Peak resident memory of this process or of its largest ended child, in MiB."""
    # Linux counts KiB, macOS bytes (man 2 getrusage).
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // unit


def rss_gb() -> float:
    """Resident memory of this process now, in GiB."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 2**30


def free_caches() -> None:
    """Collect garbage and give back what torch and MLX hold on the device; only libraries that are loaded are asked."""
    gc.collect()
    torch, mlx = sys.modules.get("torch"), sys.modules.get("mlx.core")
    with suppress(Exception):
        if torch and torch.cuda.is_available():
            torch.cuda.empty_cache()
    with suppress(Exception):
        if torch and torch.backends.mps.is_available():
            torch.mps.empty_cache()
    with suppress(Exception):
        if mlx:
            mlx.clear_cache()


def trim() -> None:
    """Have what is free in the heap go back to the system.

    glibc keeps it, and where the sizes that are asked for vary it falls to pieces that fit nothing. Handing back every large block at
    once (M_MMAP_THRESHOLD) takes half as long again: the system fills each new one with zeros.
    """
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def cleanup(level: int = logging.DEBUG) -> None:
    """Free caches and log what that gave."""
    before = rss_gb()
    free_caches()
    logger.get().log(level, "Memory: %.1f GB → %.1f GB (cleanup)", before, rss_gb())
