"""Any change of the movie directory that fails, or before which we are killed, is said, loses nothing and is mended by the next run.

The short form of tests/soak/faults.py: some changes of the quick stages. `tests/soak.sh faults` tries every one of all stages.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from reelscribe import stage_table
from reelscribe.stage_table import ROOT
from reelscribe.supervise import Attempt, PipelineOptions

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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_stage_goes_on_though_its_talk_cannot_be_kept(capsys) -> None:
    with open("/dev/full", "ab", buffering=0) as log:
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            log.write(b"a line")
        Attempt(stage_table.load()[0], [], {}, os.getpid(), PipelineOptions(), log)._talk(b"a line\n")
    assert capsys.readouterr().err == "a line\n"


def test_a_program_that_hides_a_failure_or_half_writes_is_found(tmp_path) -> None:
    kind = faults.Kind("ENOSPC", errno.ENOSPC, (0, 5))
    assert list(faults.wrong_end(kind, 0, "")) == []
    assert list(faults.wrong_end(kind, 5, "  error: no space\n  → free some")) == []
    assert "ends with 1" in next(faults.wrong_end(kind, 1, "Traceback (most recent call last):"))
    assert "no remedy" in next(faults.wrong_end(kind, 5, "no space"))
    assert "no message" in next(faults.wrong_end(kind, 5, "→\nTraceback (most recent call last):"))
