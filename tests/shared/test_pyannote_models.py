"""What pyannote-vad and diarization agree on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reelscribe import pyannote_models
from reelscribe.errors import BadInputError
from reelscribe.manifest import Engine
from reelscribe.pyannote_models import COMMUNITY, PyannoteOptions, Segmentation

EMBEDDED = Engine(name="embedded", kind="torch")


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PyannoteOptions:
    """Neither a token nor a model."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return PyannoteOptions(models_dir=tmp_path / "models")


def put_community(folder: Path) -> None:
    for name in COMMUNITY.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_without_token_and_model_nothing_is_asked_for(options: PyannoteOptions) -> None:
    assert pyannote_models.needs(options) == []
    assert pyannote_models.engine(options, EMBEDDED) is EMBEDDED
    assert pyannote_models.facts(Path("m"), options) == {}


def test_with_a_token_community_1_is_wanted_and_until_it_is_here_the_embedded_models_count(options: PyannoteOptions) -> None:
    with_token = PyannoteOptions(models_dir=options.models_dir, hf_token="hf_x")  # type: ignore[arg-type]
    assert pyannote_models.needs(with_token) == [COMMUNITY]
    assert pyannote_models.engine(with_token, EMBEDDED) is EMBEDDED


def test_a_folder_made_by_hand_counts_with_its_content(options: PyannoteOptions) -> None:
    folder = options.models_dir / "speaker-diarization-community-1"
    put_community(folder)
    assert pyannote_models.engine(options, EMBEDDED).model == COMMUNITY.repo
    assert set(pyannote_models.facts(Path("m"), options).values()) == {folder / name for name in COMMUNITY.files}
    (folder / COMMUNITY.files[-1]).unlink()
    assert pyannote_models.engine(options, EMBEDDED) is EMBEDDED


def test_a_model_from_the_hub_counts_with_its_revision(options: PyannoteOptions, tmp_path: Path) -> None:
    put_community(tmp_path / "cache" / "models--pyannote--speaker-diarization-community-1" / "snapshots" / "c0ffee")
    assert pyannote_models.engine(options, EMBEDDED).model == f"{COMMUNITY.repo}@c0ffee"
    assert pyannote_models.facts(Path("m"), options) == {}


def test_a_segmentation_is_read_as_it_was_written_and_written_as_the_same_bytes(tmp_path: Path) -> None:
    scores = np.linspace(0, 1, 2 * 5 * 3, dtype=np.float16).reshape(2, 5, 3)
    segmentation = Segmentation(scores, duration_s=5.0, step_s=0.5, model="abc")
    segmentation.write(tmp_path / "1.npz")
    found = Segmentation.read(tmp_path / "1.npz")
    assert (found.scores == scores).all() and found.scores.dtype == np.float16
    assert (found.duration_s, found.step_s, found.model) == (5.0, 0.5, "abc")
    found.write(tmp_path / "2.npz")
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"\x93NUMPY"])
def test_a_damaged_segmentation_is_an_error_that_names_the_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "segmentation.npz"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match="pyannote-vad"):
        Segmentation.read(path)
