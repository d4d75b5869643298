"""Files are whole or absent, JSON is stable and schema-checked, hashes are computed once."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from pydantic import BaseModel

from reelscribe import artifacts
from reelscribe.artifacts import HashCache, atomic_path, atomic_write, file_digest, movie_identity, read_json, write_json
from reelscribe.errors import BadInputError, ExitCode, OutOfSpaceError, StageFailedError


class Words(BaseModel):
    """A schema."""

    words: list[str]
    score: float | None = None


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# -- writing ------------------------------------------------------------------------------------------------------------


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.srt"
    with atomic_write(path) as f:
        f.write("1\n")
        assert not path.exists()
    assert path.read_bytes() == b"1\n"
    assert names(path.parent) == ["a.srt"]


def test_an_exception_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as f:
        f.write("half of the new")
        f.flush()
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_data_is_synced_before_the_rename_and_the_folder_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        happened.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else f"{os.fstat(descriptor).st_size} bytes")
        real_sync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        happened.append("replace")
        return real_replace(self, target)

    monkeypatch.setattr(artifacts.sys, "platform", "linux")
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    with atomic_write(tmp_path / "a.bin", "wb") as f:
        f.write(b"12345")
    assert happened == ["5 bytes", "replace", "folder"]


def test_a_reader_sees_the_old_or_the_new_file_and_never_half(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    contents = {letter * 200_000 for letter in "ab"}
    path.write_text("a" * 200_000)
    done = threading.Event()

    def write() -> None:
        for letter in "ba" * 20:
            with atomic_write(path) as f:
                f.write(letter * 200_000)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_text())
    writer.join()
    assert seen <= contents


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_an_error_of_its_own_that_keeps_the_old_file(tmp_path: Path, code: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OutOfSpaceError, match=r"no space left to write a\.txt") as caught, atomic_write(path):
        raise OSError(code, os.strerror(code))
    assert caught.value.code is ExitCode.NO_SPACE == 5
    assert str(tmp_path) in caught.value.remedy
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_disk_that_fills_up_while_syncing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(artifacts, "sync", full)
    with pytest.raises(OutOfSpaceError), atomic_write(tmp_path / "a.txt") as f:
        f.write("x")
    assert names(tmp_path) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EROFS])
def test_a_disk_that_refuses_is_named_with_a_remedy(tmp_path: Path, number: int) -> None:
    said = rf"a.txt: {os.strerror(number)}\n  → check the permissions of"
    with pytest.raises(StageFailedError, match=said) as caught, atomic_write(tmp_path / "a.txt"):
        raise OSError(number, os.strerror(number))
    assert caught.value.code is ExitCode.FAILED
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.txt"):
        (tmp_path / "b.txt").read_text()


def test_what_a_process_that_is_gone_has_left_is_abandoned(tmp_path: Path) -> None:
    mine = artifacts.temporary_path(tmp_path, ".json")
    mine.touch()
    assert not artifacts.is_abandoned(mine)
    assert not artifacts.is_abandoned(tmp_path / mine.name.replace(".json", ".txt")), "it was renamed a moment ago"
    os.utime(mine, (0, 0))
    assert artifacts.is_abandoned(mine), "our number, but we began later"
    ended = subprocess.Popen(["true"])
    gone = tmp_path / mine.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-")
    gone.touch()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert artifacts.is_abandoned(gone), "a zombie writes no more"
    ended.wait()
    assert artifacts.is_abandoned(gone)
    for name in (".tmp-1.json", ".tmp-abc", ".tmp-x-99999999999999-y"):
        (tmp_path / name).touch()
        assert artifacts.is_abandoned(tmp_path / name)


def test_of_another_hosts_processes_only_the_age_is_known(tmp_path: Path) -> None:
    other = tmp_path / ".tmp-ffffff-1-abc.json"
    other.touch()
    assert not artifacts.is_abandoned(other)
    os.utime(other, (0, 0))
    assert artifacts.is_abandoned(other)


def test_temporary_files_of_libraries_and_children_lie_in_the_movie_directory(tmp_path: Path) -> None:
    before = tempfile.gettempdir(), os.environ.get("TMPDIR")
    with artifacts.scratch_folder(tmp_path):
        (folder,) = tmp_path.iterdir()
        assert folder.name.startswith(artifacts.TEMPORARY_PREFIX)
        made = subprocess.check_output([sys.executable, "-c", "import tempfile; print(tempfile.mkdtemp())"], text=True)
        assert Path(made.strip()).parent == folder
        with tempfile.NamedTemporaryFile() as f:
            assert Path(f.name).parent == folder
    assert list(tmp_path.iterdir()) == []
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == before


def test_a_tool_gets_a_path_with_the_suffix_in_the_same_folder(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "movie.mkv") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".mkv"
        assert temporary.name.startswith(artifacts.TEMPORARY_PREFIX)
        temporary.write_bytes(b"muxed")
    assert (tmp_path / "movie.mkv").read_bytes() == b"muxed"


def test_a_tool_that_wrote_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "movie.mkv"):
        pass


# -- JSON ---------------------------------------------------------------------------------------------------------------


def test_json_is_stable_readable_and_has_three_decimals(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": 1.23456, "a": [0.1 + 0.2, (1, 2)], "name": "Māyā 🎬"})
    assert path.read_text(encoding="utf-8") == '{\n "b": 1.235,\n "a": [\n  0.3,\n  [\n   1,\n   2\n  ]\n ],\n "name": "Māyā 🎬"\n}\n'


def test_the_last_bits_of_a_score_never_show(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", [-1e-9, 1e-9])
    assert json.loads((tmp_path / "a.json").read_text()) == [0.0, 0.0]
    assert "-" not in (tmp_path / "a.json").read_text()


def test_a_model_is_written_without_what_it_has_not(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", Words(words=["one"]))
    assert json.loads((tmp_path / "a.json").read_text()) == {"words": ["one"]}
    assert read_json(tmp_path / "a.json", Words) == Words(words=["one"])


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_json_number_is_refused_and_nothing_is_written(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"score": number})
    assert names(tmp_path) == []


def test_a_file_name_that_is_no_utf8_survives(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mkv")
    write_json(tmp_path / "a.json", {name: 1})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {name: 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"words": ["one", 2]}', r"a\.json is damaged: words\.1: Input should be a valid string"),
        (b'{"words": ["one"', r"a\.json is damaged: the file: Invalid JSON"),
        (b"\xff\xfe", r"a\.json is damaged: the file"),
        (b"", r"a\.json is damaged: the file"),
        (b"[]", r"a\.json is damaged: the file"),
    ],
)
def test_a_damaged_file_is_named_with_the_place_and_the_remedy(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadInputError, match=said) as caught:
        read_json(tmp_path / "a.json", Words)
    assert caught.value.code is ExitCode.BAD_INPUT == 3
    assert caught.value.remedy == "delete it and run the stage that makes it again"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(BadInputError, match="cannot be read: Is a directory"):
        read_json(tmp_path / "a.json", Words)


# -- identities ---------------------------------------------------------------------------------------------------------


def test_the_digest_is_sha256_of_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, B.1
    assert file_digest(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("position", [0, 20 << 20, (40 << 20) - 1])
def test_a_movie_is_known_by_its_start_middle_end_and_size(tmp_path: Path, position: int) -> None:
    movie = tmp_path / "movie.mkv"
    with open(movie, "wb") as f:
        f.truncate(40 << 20)
    before = movie_identity(movie)
    with open(movie, "r+b") as f:
        f.seek(position)
        f.write(b"x")
    changed = movie_identity(movie)
    os.truncate(movie, (40 << 20) + 1)
    assert len({before, changed, movie_identity(movie)}) == 3


@pytest.mark.parametrize("size", [0, 1, 5 << 20])
def test_a_small_or_empty_movie_has_an_identity_too(tmp_path: Path, size: int) -> None:
    movie, same, longer = (tmp_path / name for name in ("a", "b", "c"))
    movie.write_bytes(b"x" * size)
    same.write_bytes(b"x" * size)
    longer.write_bytes(b"x" * (size + 1))
    assert movie_identity(movie) == movie_identity(same) != movie_identity(longer)


def test_a_movie_that_cannot_be_read_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read: Is a directory") as caught:
        movie_identity(tmp_path)
    assert caught.value.remedy


def test_a_file_is_hashed_once_until_size_mtime_or_inode_change(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    first = HashCache(tmp_path)
    old = first.digest(path)
    first.save()

    path.write_text("new")
    os.utime(path, ns=times)
    assert HashCache(tmp_path).digest(path) == old, "same size, time and inode: the stored digest is used"

    os.utime(path, ns=(times[0], times[1] + 1))
    assert HashCache(tmp_path).digest(path) == file_digest(path) != old, "another time"

    os.utime(path, ns=times)
    with atomic_write(path) as f:
        f.write("two")
    os.utime(path, ns=times)
    assert HashCache(tmp_path).digest(path) == file_digest(path) != old, "another inode"

    path.write_text("three")
    os.utime(path, ns=times)
    assert HashCache(tmp_path).digest(path) == file_digest(path), "another size"


def test_the_cache_tells_movies_by_their_identity(tmp_path: Path) -> None:
    movie = tmp_path / "else" / "movie.mkv"
    movie.parent.mkdir()
    movie.write_bytes(b"movie")
    assert HashCache(tmp_path / "dir").digest(movie, movie=True) == movie_identity(movie) != file_digest(movie)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"a.txt": 3}', '{"a.txt": [1, 2, 3]}', '{"a.txt": null}', '{"b.txt": [Infinity, 2, 3, "d"]}']
)
def test_a_damaged_cache_is_no_cache(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "hashes.json").write_text(content)
    cache = HashCache(tmp_path)
    assert cache.digest(tmp_path / "a.txt") == file_digest(tmp_path / "a.txt")
    cache.save()
    assert json.loads((tmp_path / "manifests" / "hashes.json").read_text()).keys() == {"a.txt"}


def test_a_cache_that_cannot_be_kept_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("x")
    cache = HashCache(tmp_path)
    cache.digest(tmp_path / "a.txt")
    (tmp_path / "manifests").write_text("a file where the folder should be")
    cache.save()
    assert names(tmp_path) == ["a.txt", "manifests"]
