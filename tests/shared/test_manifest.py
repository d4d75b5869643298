"""A manifest counts only when it is whole, and never holds a secret; versions come from the locks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reelscribe import logger, manifest
from reelscribe.errors import BadInputError
from reelscribe.manifest import Manifest, Run
from reelscribe.stage_table import Row

ROW = Row(3, "tiny", ("tiny",), ())


def a_manifest(**changes: Any) -> Manifest:
    return Manifest(stage="tiny", revision=1, status="done", fingerprint="f", run=Run(started="2026-11-01T12:00:00+00:00"), **changes)


def stored(movie_dir: Path, text: str) -> Path:
    path = movie_dir / "manifests" / "03_tiny.json"
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    record = a_manifest(notes={"track": 1, "why": "default flag"}, fallbacks=["device cpu: no GPU"])
    manifest.write(tmp_path, ROW, record)
    assert manifest.path_of(tmp_path, ROW) == tmp_path / "manifests" / "03_tiny.json"
    assert manifest.read(tmp_path, ROW) == record


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"schema_version": 1, "stage": "tiny"}', '{"schema_version": null}', '{"status": "perfect"}']
)
def test_a_damaged_manifest_means_run_again(tmp_path: Path, text: str) -> None:
    stored(tmp_path, text)
    assert manifest.read(tmp_path, ROW) is None


def test_no_manifest_means_run(tmp_path: Path) -> None:
    assert manifest.read(tmp_path, ROW) is None


def test_a_newer_manifest_is_left_alone(tmp_path: Path) -> None:
    stored(tmp_path, json.dumps({"schema_version": manifest.Manifest.SCHEMA + 1, "anything": "else"}))
    with pytest.raises(BadInputError, match=r"03_tiny\.json was written by a newer reelscribe") as caught:
        manifest.read(tmp_path, ROW)
    assert "update reelscribe" in caught.value.remedy


def test_secrets_are_replaced_wherever_they_got_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logger, "_secrets", set())
    logger.keep_secret("hunter22")
    logger.keep_secret("1")  # a short one must not spoil the numbers
    manifest.write(
        tmp_path, ROW, a_manifest(error="401 for hunter22", notes={"answers": [{"url": "/?key=hunter22"}]}, fallbacks=["hunter22"])
    )
    text = (tmp_path / "manifests" / "03_tiny.json").read_text()
    assert "hunter22" not in text
    assert json.loads(text)["notes"] == {"answers": [{"url": "/?key=***"}]}
    assert json.loads(text)["revision"] == 1


def test_the_fingerprint_depends_on_content_and_not_on_order() -> None:
    parts = {"inputs": {"a": "1", "b": "2"}, "options": {"BEAM": 5, "PATH": Path("x")}}
    same = {"options": {"PATH": Path("x"), "BEAM": 5}, "inputs": {"b": "2", "a": "1"}}
    other = {"inputs": {"a": "1", "b": "2"}, "options": {"BEAM": 6, "PATH": Path("x")}}
    assert manifest.fingerprint(parts) == manifest.fingerprint(same) != manifest.fingerprint(other)


def test_versions_are_those_of_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "tiny.txt").write_text(
        "# via something==1\n"
        "torch==2.8.0 ; sys_platform == 'linux' \\\n    --hash=sha256:aa\n"
        "torch==2.8.1; sys_platform == 'darwin' \\\n    --hash=sha256:bb\n"
        "silero-vad==6.2.0\n    # via -r tiny.in\n"
    )
    monkeypatch.setattr(manifest, "NATIVE", tmp_path)
    manifest.locked_versions.cache_clear()
    assert manifest.locked_versions("tiny") == {"torch": "2.8.0,2.8.1", "silero-vad": "6.2.0"}
    manifest.locked_versions.cache_clear()


def test_a_text_digest_changes_with_any_of_the_files(tmp_path: Path) -> None:
    one, two, missing = (tmp_path / name for name in ("1.py", "2.py", "3.py"))
    one.write_text("a")
    two.write_text("b")
    before = manifest.text_digest(one, two, missing)
    assert len(before) == 16
    two.write_text("c")
    assert manifest.text_digest(one, two, missing) != before


def test_a_file_name_that_is_no_utf8_does_not_make_the_manifest_unreadable(tmp_path: Path) -> None:
    manifest.write(tmp_path, ROW, a_manifest(facts={"file name": "a"}).model_copy(update={"facts": {"file name": "caf\udce9.mkv"}}))
    found = manifest.read(tmp_path, ROW)
    assert found
    assert found.facts == {"file name": r"caf\udce9.mkv"}
