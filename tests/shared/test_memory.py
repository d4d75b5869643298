"""Memory that is given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

# As diarization leaves it: of many blocks too small for a mapping of their own some stay, and pin the rest of the heap.
IN_PIECES = """
from reelscribe import memory
blocks = [b"x" * 60_000 for _ in range(3000)]
kept = blocks[::30]
del blocks
before = memory.rss_gb()
memory.trim()
print(before - memory.rss_gb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library's heap")
def test_what_is_free_between_what_is_not_goes_back_to_the_system() -> None:
    said = subprocess.run([sys.executable, "-c", IN_PIECES], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert float(said) > 0.1
