"""What native/workflow holds: heartbeats from the first movie that it opens, and which jobs are to have a GPU."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from reelscribe import device_manager, hub, jobs, lease, stage_table
from reelscribe.device_manager import Machine
from reelscribe.library import Library, Movie, by_key, may_use_gpu
from reelscribe.models import ModelNeed
from reelscribe.stage import load_contract


def library(tmp_path: Path, *, last: str = "demux") -> Library:
    """Of the stages up to `last`."""
    rows = stage_table.load()
    return Library(tmp_path / "out", rows[: [row.name for row in rows].index(last) + 1], {}, None, here=True)


def test_heartbeats_begin_with_the_first_movie_that_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at hundreds of movies and building environments take longer than a heartbeat counts."""
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.05)
    (tmp_path / "A.mp4").write_bytes(b"a movie")
    with library(tmp_path).held([str(tmp_path / "A.mp4")]):
        held = tmp_path / "out" / "A" / ".lease.json"
        first = json.loads(held.read_text())["heartbeat"]
        deadline = time.monotonic() + 30
        while json.loads(held.read_text())["heartbeat"] == first:
            assert time.monotonic() < deadline, "nobody beats"
            time.sleep(0.02)
    assert not held.exists()


def test_who_is_refused_is_not_held(tmp_path: Path) -> None:
    movie = tmp_path / "A.mp4"
    movie.write_bytes(b"a movie")
    (tmp_path / "out" / "A" / "manifests").mkdir(parents=True)
    (tmp_path / "out" / "A" / "manifests" / "01_demux.json").write_text('{"schema_version": 999}')
    mine = library(tmp_path)
    with mine.held([str(movie)]):
        assert not mine.movies
        assert "newer reelscribe" in str(mine.refused[str(movie)])
        assert lease.holder(tmp_path / "out" / "A") is None


def test_models_that_a_movie_directory_names_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    movie, begun = tmp_path / "A.mp4", tmp_path / "out" / "A"
    movie.write_bytes(b"a movie")
    begun.mkdir(parents=True)
    jobs.write_job(begun, movie, {"WHISPER_BACKEND": "whisperx", "WHISPER_MODEL": "medium"})
    wanted: list[str] = []

    def provide(needs: list[ModelNeed], options: object, *, parent: int) -> hub.Outcome:
        wanted.extend(need.repo for need in needs)
        return hub.Outcome([], [])

    monkeypatch.setattr(hub, "provide", provide)
    mine = library(tmp_path, last="asr")
    with mine.held([str(begun)]):
        assert list(mine.movies) == [str(begun)], mine.refused
    assert any("medium" in repo for repo in wanted), wanted


def test_every_movie_has_a_key_of_its_own() -> None:
    folders = ("/a/Film", "/b/Film", "/c/Film-2", "/d/My {odd} 'Film'")
    keys = by_key([Movie(Path("m.mp4"), Path(folder), "") for folder in folders])
    assert list(keys) == ["Film", "Film-2", "Film-2-2", "My_odd_Film"]


@pytest.mark.parametrize("here", [True, False])
def test_an_aligner_wants_the_gpu_that_its_engine_cannot_use(here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """CTranslate2 has no MPS, and PocketSphinx no GPU at all; wav2vec2 has both."""
    monkeypatch.setattr(device_manager, "probe", lambda: Machine(mps=True, cores=8, ram_mb=16000))
    asr = load_contract(stage_table.find("asr"))
    for backend in ("whisperx", "sphinx"):
        for alignment, device, wants in (
            ("whisperx", "auto", True),
            ("none", "auto", backend == "whisperx" and not here),
            ("whisperx", "cpu", False),
        ):
            options = asr.options(backend=backend, alignment_backend=alignment, device=device)
            assert may_use_gpu(asr, options, here) is wants, (backend, alignment, device)
