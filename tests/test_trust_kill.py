"""Whatever is killed, and whenever: the next run makes what an undisturbed one would have made, and nothing stays of the killed one.

The short form of tests/soak/kill.py, with the quick stages; `tests/soak.sh kill` has all of them.
"""

from __future__ import annotations

import sys

from reelscribe.stage_table import ROOT

sys.path.append(str(ROOT / "tests" / "soak"))
import kill
from _film import differences, false_claims, files_of, leftovers, make_film
from common import Tally

STAGES = ("demux", "tmdb", "pre-ner", "silero-vad")


def test_a_killed_run_is_made_whole_by_the_next(tmp_path, measured) -> None:
    tally = Tally("kill", "")
    film = make_film(tmp_path / "film", STAGES)
    measured(f"{kill.kill_many(tally, film, 8, 1)} ({tally})")
    assert tally.tried == 8
    assert tally.failures == []

    # The harness itself: it sees what is damaged.
    wanted, movie_dir = files_of(film.reference), film.copy("damaged")
    assert [*differences(movie_dir, wanted), *false_claims(movie_dir, film.movie), *leftovers(film, movie_dir)] == []
    (movie_dir / "media.json").write_text("{}")
    (movie_dir / "vad" / "silero.json").unlink()
    (movie_dir / "vad" / ".tmp-1.json").touch()
    assert sorted(differences(movie_dir, wanted)) == [
        "media.json differs",
        "vad/.tmp-1.json is not of an undisturbed run",
        "vad/silero.json is missing",
    ]
    assert "01_demux.json claims other bytes of media.json" in list(false_claims(movie_dir, film.movie))
    assert "04_silero-vad.json claims vad/silero.json, which is not there" in list(false_claims(movie_dir, film.movie))
    assert list(leftovers(film, movie_dir)) == ["vad/.tmp-1.json stays"]
