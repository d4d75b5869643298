"""Files in the movie directory: written whole or not at all, read through a schema, hashed once."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from reelscribe.errors import BadInputError, NewerSchemaError, OutOfSpaceError, ReelscribeError, StageFailedError

Model = TypeVar("Model", bound=BaseModel)
TEMPORARY_PREFIX = ".tmp-"
_BLOCK = 4 << 20
# What a disk says that is broken, write-protected or somebody else's.
_REFUSALS = (errno.EIO, errno.EACCES, errno.EPERM, errno.EROFS, errno.ESTALE, errno.EFBIG)
_DAY_S = 86400.0
_LARGEST_JSON = 256 << 20  # that of a film of 24 hours is a tenth of it
_LARGEST_CACHE = 16 << 20  # a file takes 150 bytes


def sync(descriptor: int) -> None:
    """fsync; on macOS F_FULLFSYNC, as fsync there leaves the data in the drive's cache (man 2 fsync)."""
    if sys.platform == "darwin":
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems refuse to sync a folder; the rename has happened all the same.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_full(error: OSError) -> bool:
    """Whether the disk or the quota is exhausted."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def refusal(error: OSError, path: Path) -> ReelscribeError | None:
    """What the disk's refusal to take `path` means for people; None for an error that is none."""
    if is_full(error):
        return OutOfSpaceError(f"no space left to write {path.name}", remedy=f"free some space below {path.parent} and run again")
    if error.errno in _REFUSALS:
        return StageFailedError(
            f"{path.name}: {error.strerror}", remedy=f"check the permissions of {path.parent} and its disk, and run again"
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR) and (what := _in_the_way(Path(error.filename or path))):
        return BadInputError(what, remedy="delete it, or move it away, and run again")
    return None


def _in_the_way(path: Path) -> str:
    """What lies where `path` is to be made; "" when nothing does."""
    if path.is_dir():
        return f"{path.name} is a folder where a file has to be"
    file = next((one for one in (path, *path.parents) if one.is_file()), None)
    return f"{file.name} is a file where a folder has to be" if file else ""


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn a disk's refusal to take `path` into OutOfSpaceError or StageFailedError."""
    try:
        yield
    except OSError as error:
        if refused := refusal(error, path):
            raise refused from error
        raise


def require_space(folder: Path, num_bytes: int, what: str = "") -> None:
    """Raise OutOfSpaceError when `num_bytes` more do not fit where `folder` is. what: which needs them."""
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise OutOfSpaceError(
            f"{what and f'for {what} '}{_readable(num_bytes)} are needed in {folder} and {_readable(free)} are free",
            remedy="free some space there, or choose another disk with --out",
        )


def _readable(num_bytes: int) -> str:
    return f"{round(num_bytes / 2**30, 1):g} GiB" if num_bytes >= 2**30 else f"{round(num_bytes / 2**20, 1):g} MiB"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix, for a tool to write; it becomes `path` when the block succeeds."""
    temporary = temporary_path(path.parent, path.suffix)
    try:
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with open(temporary, "rb") as f:
                sync(f.fileno())
            if path.is_dir() and not path.is_symlink():
                raise BadInputError(f"{path.name} is a folder where a file has to be", remedy="delete it, or move it away, and run again")
            temporary.replace(path)
            _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def temporary_path(folder: Path, suffix: str = "") -> Path:
    """A new name in `folder` for what is not finished; it says who writes, so that the next run knows what a killed one has left."""
    return folder / f"{TEMPORARY_PREFIX}{_here()}-{os.getpid()}-{secrets.token_hex(6)}{suffix}"


def _here() -> str:
    """This host, as part of a file's name."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def is_abandoned(temporary: Path) -> bool:
    """Whether the process that began to write it is gone: --review may be saving an edit, or another stage be at work.

    Of another host's processes nothing can be known; what they began a day ago counts as abandoned.
    """
    import psutil

    host, _, rest = temporary.name.removeprefix(TEMPORARY_PREFIX).partition("-")
    pid = rest.partition("-")[0]
    if not pid.isdecimal() or len(pid) > 9:
        return True
    try:
        written = temporary.lstat().st_mtime
        if host != _here():
            return time.time() - written > _DAY_S
        writer = psutil.Process(int(pid))
        # One that began after the last writing has only the number in common; a second, as clocks on Linux are no finer.
        return writer.status() == psutil.STATUS_ZOMBIE or writer.create_time() > written + 1
    except psutil.Error:
        return True
    except FileNotFoundError:
        return False


def remove_abandoned(movie_dir: Path) -> None:
    """Remove what killed processes had not finished."""
    for path in list(movie_dir.rglob(f"{TEMPORARY_PREFIX}*")):
        if is_abandoned(path):
            with suppress(OSError):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


@contextmanager
def scratch_folder(movie_dir: Path) -> Iterator[None]:
    """TMPDIR for us and our children, in the movie directory: what stays there when we are killed, the next run removes."""
    folder = temporary_path(movie_dir)
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    with write_errors(folder):
        folder.mkdir()
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir, outer = before
        os.environ.pop("TMPDIR")
        if outer is not None:
            os.environ["TMPDIR"] = outer
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, path: Path) -> None:
    """Give a finished folder, whose files have been synced, the name `path`."""
    for inner in [*(p for p in folder.rglob("*") if p.is_dir()), folder]:
        _sync_folder(inner)
    folder.rename(path)
    _sync_folder(path.parent)


@contextmanager
def atomic_write(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """An open file that becomes `path` when the block succeeds. `mode`: "w" (UTF-8) or "wb"."""
    # File names may hold bytes that are no UTF-8, which Python carries as lone surrogates; \udce9 is how JSON writes those, too.
    text = {} if "b" in mode else {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
    with atomic_path(path) as temporary, open(temporary, mode, **text) as f:  # type: ignore[call-overload]
        yield f


def _rounded(value: Any) -> Any:
    """The same value with every float at 3 decimals: what is stored must not move with the last bits of a score."""
    if isinstance(value, float):
        return round(value, 3) + 0.0  # -0.0 becomes 0.0
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value


def write_json(path: Path, content: BaseModel | dict[str, Any] | list[Any]) -> None:
    """Store `content` as JSON, floats with 3 decimals, keys in their own order."""
    plain = content.model_dump(mode="json", exclude_none=True) if isinstance(content, BaseModel) else content
    with atomic_write(path) as f:
        json.dump(_rounded(plain), f, ensure_ascii=False, indent=1, allow_nan=False)
        f.write("\n")


def read_json(path: Path, model: type[Model]) -> Model:
    """The file as `model`. Raises BadInputError when it is not one, NewerSchemaError when it is one of a newer reelscribe."""
    try:
        return model.model_validate_json(read_bounded(path, _LARGEST_JSON))
    except NewerSchemaError as error:
        raise NewerSchemaError(path.name, error.found, error.known) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadInputError(
            f"{path.name} is damaged: {where}: {first['msg']}", remedy="delete it and run the stage that makes it again"
        ) from error
    except OSError as error:
        raise BadInputError(f"{path.name} cannot be read: {error.strerror}", remedy="check the file's permissions") from error


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file. Raises OSError, and BadInputError for a pipe or device, which nobody waits for, and for a giant."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as f:
        if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):
            raise BadInputError(f"{path.name} is no regular file", remedy="put a file in its place, or delete it")
        content = f.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise BadInputError(f"{path.name} is larger than {_readable(most_bytes)}", remedy="no file of its kind is: delete it")
    return content


def refuse_strangers(movie_dir: Path) -> None:
    """Raise BadInputError for what could make us read or write elsewhere, or wait for ever: links that lead out, pipes, devices.

    reelscribe makes none of them. The movie directory itself may be a link.
    """
    root = movie_dir.resolve()

    def refuse(path: Path, why: str) -> NoReturn:
        where = os.fsencode(path.relative_to(root)).decode(errors="backslashreplace")[:200]
        raise BadInputError(
            f"{where!r} in {movie_dir.name} is {why}",
            remedy="delete it and run again: nothing was read from it or written to it; --out puts movies on another disk",
        )

    def unlisted(error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            return
        if Path(error.filename) == root:
            raise BadInputError(
                f"{movie_dir} cannot be looked at: {error.strerror}",
                remedy="give a folder that you may read and write, or another place for movies with --out",
            )
        # What is in a folder that may be entered and not listed is there all the same, for whoever knows its name.
        refuse(Path(error.filename), f"what cannot be looked at ({error.strerror})")

    for folder, folders, names in os.walk(root, onerror=unlisted):
        for name in (*folders, *names):
            if why := _strange(Path(folder, name), root):
                refuse(Path(folder, name), why)


def _strange(path: Path, root: Path) -> str:
    """What is wrong with a path below `root`; "" when nothing is."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # a temporary file that has its name by now
        return ""
    except OSError as error:
        return f"what cannot be looked at ({error.strerror})"
    if stat.S_ISLNK(mode):
        try:
            return "" if path.resolve(strict=True).is_relative_to(root) else "a link that leads out of it"
        except (OSError, RuntimeError):  # a loop is a RuntimeError before Python 3.13
            return "a link that leads nowhere"
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "a pipe, a socket or a device"


def file_digest(path: Path) -> str:
    """SHA-256 of the whole file."""
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def refuse_unreachable(path: Path) -> None:
    """Raise BadInputError when nobody can tell what `path` is: a name too long, links in a circle, a folder that may not be entered."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise BadInputError(f"{str(path)[:200]} cannot be reached: {error.strerror}", remedy="check the path and its folders") from error


def movie_identity(path: Path) -> str:
    """Digest of the movie's size and three blocks of 4 MiB (start, middle, end): a 50 GB file is known in a moment.

    Raises BadInputError when it cannot be read.
    """
    try:
        size = path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with open(path, "rb") as f:
            for offset in (0, max(0, size // 2 - _BLOCK // 2), max(0, size - _BLOCK)):
                f.seek(offset)
                digest.update(f.read(_BLOCK))
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}", remedy="check its permissions and the disk it is on") from error
    return digest.hexdigest()


_ENTRY = [int, int, int, str]  # size, mtime, inode, digest


class HashCache:
    """Digests of a movie directory's files, remembered by size, mtime and inode in `manifests/hashes.json`."""

    def __init__(self, movie_dir: Path) -> None:
        self._root = movie_dir
        self._file = movie_dir / "manifests" / "hashes.json"
        self._learnt: dict[str, list[Any]] = {}
        self._known = self._stored()

    def _stored(self) -> dict[str, list[Any]]:
        with suppress(OSError, ValueError, RecursionError, BadInputError):
            stored = json.loads(read_bounded(self._file, _LARGEST_CACHE))
            if isinstance(stored, dict):
                # Damage is as good as nothing; kept, it might be what cannot be written again.
                return {name: entry for name, entry in stored.items() if isinstance(entry, list) and [*map(type, entry)] == _ENTRY}
        return {}

    def digest(self, path: Path, *, movie: bool = False) -> str:
        """SHA-256 of `path`, or the identity of the `movie`."""
        about = path.stat()
        name = os.path.relpath(path, self._root) if path.is_relative_to(self._root) else str(path)
        state = [about.st_size, about.st_mtime_ns, about.st_ino]
        entry = self._known.get(name)
        if entry is None or entry[:3] != state:
            entry = [*state, movie_identity(path) if movie else file_digest(path)]
            self._known[name] = self._learnt[name] = entry
        return str(entry[3])

    def save(self) -> None:
        """Keep what was learnt, beside what other stages have learnt meanwhile.

        Never needed for correctness, so a read-only directory is no error.
        """
        if self._learnt:
            with suppress(OSError, ReelscribeError):
                write_json(self._file, dict(sorted({**self._stored(), **self._learnt}.items())))
            self._learnt = {}
