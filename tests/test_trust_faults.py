"""Any change of the movie directory that fails, or before which we are killed, is said, loses nothing and is mended by the next run.

The short form of tests/soak/faults.py: some changes of the quick stages. `tests/soak.sh faults` tries every one of all stages.
"""

from __future__ import annotations

import sys

import pytest

from reelscribe.stage_table import ROOT

sys.path.append(str(ROOT / "tests" / "soak"))
import faults
from _film import make_film
from common import Tally


@pytest.mark.skipif(bool(faults.refusal()), reason=faults.refusal() or "possible")
def test_a_change_that_fails_is_said_and_loses_nothing(tmp_path, measured) -> None:
    tally = Tally("faults", "")
    film = make_film(tmp_path / "film", ("demux", "tmdb"))
    faults.fail_many(tally, film, 4, 1, ("demux", "tmdb", "supervise", "open", "report"))
    measured(str(tally))
    assert tally.tried == 5 * 5 * 4
    assert tally.failures == []


def test_a_program_that_hides_a_failure_or_half_writes_is_found(tmp_path) -> None:
    kind = faults.Kind("ENOSPC", 28, (0, 5))
    assert list(faults.wrong_end(kind, 0, "")) == []
    assert list(faults.wrong_end(kind, 5, "  error: no space\n  → free some")) == []
    assert "ends with 1" in next(faults.wrong_end(kind, 1, "Traceback (most recent call last):"))
    assert "no remedy" in next(faults.wrong_end(kind, 5, "no space"))
    assert "no message" in next(faults.wrong_end(kind, 5, "→\nTraceback (most recent call last):"))
