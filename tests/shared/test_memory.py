"""Memory that is given back."""

from __future__ import annotations

import sys

import pytest

from reelscribe import memory


@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library's heap")
def test_what_is_free_between_what_is_not_goes_back_to_the_system() -> None:
    """As diarization leaves it: of many blocks too small for a mapping of their own some stay, and pin the rest of the heap."""
    blocks = [bytes(60_000) for _ in range(3000)]
    kept = blocks[::30]
    del blocks
    before = memory.rss_gb()
    memory.trim()
    assert before - memory.rss_gb() > 0.1
    assert len(kept) == 100
