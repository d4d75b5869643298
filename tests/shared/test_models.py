"""Where a model is on this machine: a folder by path, in MODELS_DIR, in the hub's cache; half of one is none."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from reelscribe.models import RECORD, Found, ModelNeed, choose_files, is_path, lacking, locate

NEED = ModelNeed("owner/name", "a test", files=("config.json", "model.safetensors|model.bin", "vocabulary.*"))
WHOLE = ("config.json", "model.bin", "vocabulary.txt")


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache of this test alone."""
    for name in ("HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "hf" / "hub" / "models--owner--name"


def make(folder: Path, names: Iterable[str] = WHOLE) -> Path:
    """A folder with these files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_what_is_nowhere_is_not_found(tmp_path: Path) -> None:
    assert locate(NEED, tmp_path) is None


@pytest.mark.parametrize("folder", ["owner--name", "name"])
def test_a_folder_in_models_dir_is_found(tmp_path: Path, folder: str) -> None:
    make(tmp_path / folder)
    assert locate(NEED, tmp_path) == Found(tmp_path / folder, "")


def test_the_record_of_a_fetched_model_says_its_commit(tmp_path: Path) -> None:
    folder = make(tmp_path / "owner--name")
    (folder / RECORD).write_text('{"commit": "abc"}')
    assert locate(NEED, tmp_path) == Found(folder, "abc")


@pytest.mark.parametrize("text", ["", "[]", "{}", "not JSON"])
def test_a_damaged_record_costs_the_commit_and_nothing_else(tmp_path: Path, text: str) -> None:
    folder = make(tmp_path / "owner--name")
    (folder / RECORD).write_text(text)
    assert locate(NEED, tmp_path) == Found(folder, "")


@pytest.mark.parametrize("absent", WHOLE)
def test_half_a_model_is_none(tmp_path: Path, absent: str) -> None:
    make(tmp_path / "owner--name", set(WHOLE) - {absent})
    assert locate(NEED, tmp_path) is None


def test_the_revision_that_is_asked_for_has_its_own_folder(tmp_path: Path) -> None:
    make(tmp_path / "owner--name")
    make(tmp_path / "name")
    need = ModelNeed(NEED.repo, NEED.purpose, NEED.files, revision="v2")
    assert locate(need, tmp_path) is None
    make(tmp_path / "owner--name@v2")
    assert locate(need, tmp_path) == Found(tmp_path / "owner--name@v2", "")


def test_the_snapshot_that_main_means_is_taken_from_the_hubs_cache(tmp_path: Path, hub_cache: Path) -> None:
    make(hub_cache / "snapshots" / "newer")
    make(hub_cache / "snapshots" / "older")
    make(hub_cache, ["refs/main"]).joinpath("refs/main").write_text("older\n")
    assert locate(NEED, tmp_path) == Found(hub_cache / "snapshots" / "older", "older")


def test_without_a_name_the_newest_whole_snapshot_is_taken(tmp_path: Path, hub_cache: Path) -> None:
    make(hub_cache / "snapshots" / "half", ["config.json"])
    make(hub_cache / "snapshots" / "whole")
    assert locate(NEED, tmp_path) == Found(hub_cache / "snapshots" / "whole", "whole")


def test_a_commit_is_found_in_the_hubs_cache(tmp_path: Path, hub_cache: Path) -> None:
    make(hub_cache / "snapshots" / "c0ffee")
    make(hub_cache / "snapshots" / "c0de")
    need = ModelNeed(NEED.repo, NEED.purpose, NEED.files, revision="c0ffee")
    assert locate(need, tmp_path) == Found(hub_cache / "snapshots" / "c0ffee", "c0ffee")
    assert locate(ModelNeed(NEED.repo, NEED.purpose, NEED.files, revision="another"), tmp_path) is None


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"])
def test_the_hubs_cache_is_where_its_own_variables_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("HOME", "/nowhere")
    inside = {"HF_HUB_CACHE": "", "HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub", "HOME": ".cache/huggingface/hub"}
    monkeypatch.setenv(variable, str(tmp_path / "cache"))
    snapshot = make(tmp_path / "cache" / inside[variable] / "models--owner--name" / "snapshots" / "abc")
    assert locate(NEED, tmp_path / "models") == Found(snapshot, "abc")


def test_a_folder_by_its_path_is_used_as_it_is_and_nothing_else_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = make(tmp_path / "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate(ModelNeed(str(mine), "", NEED.files), tmp_path / "models") == Found(mine, "")
    assert locate(ModelNeed("~/mine", "", NEED.files), tmp_path / "models") == Found(mine, "")
    make(tmp_path / "models" / "yours")
    assert locate(ModelNeed(str(tmp_path / "yours"), "", NEED.files), tmp_path / "models") is None


def test_files_in_folders_are_known_by_their_path(tmp_path: Path) -> None:
    need = ModelNeed("owner/name", "", files=("plda/plda.npz",))
    make(tmp_path / "owner--name", ["plda.npz"])
    assert lacking(need, tmp_path / "owner--name") == ["plda/plda.npz"]
    make(tmp_path / "owner--name", ["plda/plda.npz"])
    assert lacking(need, tmp_path / "owner--name") == []


def test_only_the_files_that_are_looked_for_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user may name a folder with half a disk below it, or one in which files come and go."""
    need = ModelNeed(str(tmp_path), "", files=("config.json", "vocabulary.*", "plda/plda.npz"))
    make(tmp_path, ["config.json", "vocabulary.txt", "plda/plda.npz"])
    make(tmp_path / "much" / "else")
    listed: list[str] = []
    really = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(str(folder)) or really(folder))
    assert lacking(need, tmp_path) == []
    assert set(listed) <= {str(tmp_path), str(tmp_path / "plda")}


def test_of_alternatives_the_first_that_there_is_is_chosen() -> None:
    assert choose_files(["a.safetensors|a.bin"], ["a.bin", "a.safetensors"]) == (["a.safetensors"], [])
    assert choose_files(["a.safetensors|a.bin"], ["a.bin"]) == (["a.bin"], [])
    assert choose_files(["a.safetensors|a.bin", "b"], ["b"]) == (["b"], ["a.safetensors or a.bin"])
    assert choose_files(["v.*"], ["v.json", "x", "v.txt"]) == (["v.json", "v.txt"], [])


@pytest.mark.parametrize(
    ("name", "path"), [("small", False), ("owner/name", False), ("/a", True), ("./a", True), ("~/a", True), ("a/b/c", True)]
)
def test_names_of_the_hub_and_paths_are_told_apart(name: str, path: bool) -> None:
    assert is_path(name) is path
