"""Fetching models from the Hugging Face hub (or the mirror in HF_ENDPOINT) into MODELS_DIR, before the first stage runs.

A model is fetched into `MODELS_DIR/.partial`, where an interrupted download is continued, checked against the sizes and SHA-256 sums that
the hub gives, and only then gets its name: a folder with a model's name is whole. Only the core environment has huggingface_hub.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from reelscribe import logger, network
from reelscribe.artifacts import is_full, publish, sync, write_json
from reelscribe.errors import MissingToolError, OutOfSpaceError, ReelscribeError
from reelscribe.models import RECORD, Found, ModelNeed, choose_files, lacking, locate
from reelscribe.progress import Display
from reelscribe.settings import HubTokenOption, StageOptions, option

# Whether there is a way to the hub is found out once a run, within this time, as runs without a network must not be slow.
CONNECT_S = 2.0
# A connection that breaks in the middle of gigabytes is waited for so long.
PATIENCE_S = 60.0
_ANSWER_S = 10.0
_ATTEMPTS = 3  # in a row in which nothing arrived
_BLOCK = 4 << 20
_CHUNK = 256 << 10
_LISTING_BYTES = 64 << 20
_LISTING_S = 60.0
# A file may be large and a line slow, but not so slow that less arrives in that time.
_LEAST_BYTES = 64 << 10
_PACE_S = 60.0
_UNSAID_BYTES = 32 << 30  # of a file whose size the hub does not say
_ERROR_BYTES = 1 << 20  # what comes instead of a small file may be a page that says why


class HubOptions(StageOptions, HubTokenOption):
    """Where models come from."""

    hf_endpoint: str = option(
        "https://huggingface.co",
        env="HF_ENDPOINT",
        pattern=r"^https?://[^/@?#\s]+(/[^@?#\s]*)?$",
        affects_output=False,
        personal=True,
        help="the hub that models are fetched from, or a mirror of it",
    )


class HubGoneError(MissingToolError):
    """The hub does not answer, or not any more."""


class DamagedError(MissingToolError):
    """What arrived is not what the hub has."""


@dataclass
class Outcome:
    """found: every model that is on this machine now. missing: those that are not, each with the reason."""

    found: list[tuple[ModelNeed, Found]] = field(default_factory=list)
    missing: list[tuple[ModelNeed, ReelscribeError]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """What is missing and why, a line each."""
        return [
            f"{need.repo} ({need.purpose}) is not here: {why.message}{'; ' * bool(why.remedy)}{why.remedy}" for need, why in self.missing
        ]


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub describes it: `sha256` of a large one, `blob` (git's SHA-1) of a small one, None where it does not say."""

    name: str
    size: int | None
    sha256: str | None
    blob: str | None


@dataclass(frozen=True)
class Listing:
    """The files of a model that are wanted, at one commit."""

    need: ModelNeed
    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def num_bytes(self) -> int:
        """Together."""
        return sum(file.size or 0 for file in self.files)


# -- what a run calls ---------------------------------------------------------------------------------------------------


def provide(needs: Iterable[ModelNeed], options: HubOptions, *, parent: int | None = None) -> Outcome:
    """Look for every model and fetch those that are missing; nothing is raised, whatever may be wrong with one of them.

    parent: the process to end with.
    """
    outcome = Outcome()
    absent: list[ModelNeed] = []
    for need in dict.fromkeys(needs):
        found = locate(need, options.models_dir)
        why = None if found else _unfetchable(need, options)
        if found:
            outcome.found.append((need, found))
        elif why:
            outcome.missing.append((need, why))
        else:
            absent.append(need)
    if absent:
        _fetch_all(absent, options, outcome, parent)
    for line in outcome.lines():
        logger.get().warning("%s", line)
    return outcome


def _unfetchable(need: ModelNeed, options: HubOptions) -> ReelscribeError | None:
    """Why a model that is not here cannot be asked of the hub."""
    folder = Path(need.repo).expanduser() if need.is_folder else options.models_dir / need.key
    if folder.is_dir():
        what = ", ".join(lacking(need, folder))
        return MissingToolError(f"{folder} lacks {what}", remedy="complete that folder" + ("" if need.is_folder else " or remove it"))
    if need.is_folder:
        return MissingToolError("there is no such folder")
    if options.offline:
        return MissingToolError("OFFLINE forbids to fetch it")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return MissingToolError("HF_HUB_OFFLINE forbids to fetch it")
    return None


def _fetch_all(absent: Sequence[ModelNeed], options: HubOptions, outcome: Outcome, parent: int | None) -> None:
    """Ask for all, announce them with their sizes, fetch one after the other."""
    hub = Hub(options)
    listings: list[Listing] = []
    gone = hub.unreachable()
    for need in absent:
        try:
            if gone:
                raise gone
            listings.append(hub.listing(need))
        except Exception as error:
            gone = error if isinstance(error, HubGoneError) else gone
            outcome.missing.append((need, _as_reelscribe_error(error)))
    for listing in listings:
        logger.get().info(
            "fetching %s (%s, %s) from %s into %s",
            listing.need.repo,
            listing.need.purpose,
            in_words(listing.num_bytes),
            hub.host,
            options.models_dir,
        )
    with _Watch(options.models_dir, listings, parent):
        for listing in listings:
            try:
                if gone:
                    raise gone
                outcome.found.append((listing.need, _fetch(listing, hub, options.models_dir)))
            except Exception as error:
                gone = error if isinstance(error, HubGoneError) else gone
                outcome.missing.append((listing.need, _as_reelscribe_error(error)))


def _as_reelscribe_error(error: Exception) -> ReelscribeError:
    """A server and a client of third parties: anything may be wrong with them, and none of it may end a run."""
    if isinstance(error, ReelscribeError):
        return error
    logger.get().debug("", exc_info=error)
    return MissingToolError(f"{type(error).__name__}: {error}".splitlines()[0])


def in_words(num_bytes: int) -> str:
    """A size in the decimal units that the hub uses: `3.1 GB`."""
    unit, name = next(((u, n) for u, n in ((1e9, "GB"), (1e6, "MB")) if num_bytes >= u), (1e3, "kB"))
    return f"{num_bytes / unit:.1f} {name}"


# -- one model ----------------------------------------------------------------------------------------------------------


def _fetch(listing: Listing, hub: Hub, models_dir: Path) -> Found:
    """Fetch, check, and give the folder its name. Raises ReelscribeError."""
    target, partial = models_dir / listing.need.key, _partial(models_dir, listing.need)
    with _write_errors(models_dir), _turn(partial, listing.need):
        found = locate(listing.need, models_dir)
        if found:
            return found
        _require_space(listing, partial)
        for file in listing.files:
            _fetch_file(listing, file, hub, partial)
        _tidy(listing, partial)
        publish(partial, target)
    logger.get().info("%s is there", listing.need.repo)
    return Found(target, listing.commit)


@contextmanager
def _turn(partial: Path, need: ModelNeed) -> Iterator[None]:
    """One run at a time fetches a model."""
    from filelock import FileLock, Timeout

    partial.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(partial.with_name(partial.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.get().info("another run is fetching %s: waiting for it", need.repo)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _partial(models_dir: Path, need: ModelNeed) -> Path:
    return models_dir / ".partial" / need.key


def _fetch_file(listing: Listing, file: RemoteFile, hub: Hub, partial: Path) -> None:
    """Until it is whole: a broken connection is waited for, a damaged file fetched once more."""
    idle = damaged = 0
    while True:
        before = _size(partial)
        path = partial / file.name
        try:
            hub.download(listing, file, partial)
            if _is_whole(path, file):
                return
            raise DamagedError(f"{file.name} arrives damaged", remedy="try again later, or another hub with HF_ENDPOINT")
        except HubGoneError:
            idle = 0 if _size(partial) - before >= _LEAST_BYTES else idle + 1
            if idle == _ATTEMPTS or not hub.comes_back():
                raise
            logger.get().info("the connection to %s broke at %s: going on", hub.host, in_words(_size(partial)))
        except DamagedError as error:
            damaged += 1
            path.unlink(missing_ok=True)
            for incomplete in partial.rglob("*.incomplete"):
                incomplete.unlink()
            if damaged == 2:
                raise
            logger.get().warning("%s: %s; once more", listing.need.repo, error.message)


def _is_whole(path: Path, file: RemoteFile) -> bool:
    """Whether the file is the one that the hub described; it is on the disk then."""
    size = path.stat().st_size
    if file.size not in (None, size):
        return False
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(b"blob %d\0" % size)
    with open(path, "rb") as f:
        while block := f.read(_BLOCK):
            digest.update(block)
        sync(f.fileno())
    return digest.hexdigest() == (file.sha256 or file.blob or digest.hexdigest())


def _tidy(listing: Listing, partial: Path) -> None:
    """Leave what was asked for and a record of where it is from."""
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    names = {file.name for file in listing.files}
    for path in partial.rglob("*"):
        if path.is_file() and str(path.relative_to(partial)) not in names:
            path.unlink()
    record = {"repo": listing.need.repo, "commit": listing.commit, "sha256": {f.name: f.sha256 for f in listing.files if f.sha256}}
    write_json(partial / RECORD, record)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _require_space(listing: Listing, partial: Path) -> None:
    lacking_bytes = listing.num_bytes - _size(partial) - shutil.disk_usage(partial.parent).free
    if lacking_bytes > 0:
        raise OutOfSpaceError(
            f"{in_words(lacking_bytes)} more are needed on that disk", remedy="free some, or name another folder in MODELS_DIR"
        )


@contextmanager
def _write_errors(models_dir: Path) -> Iterator[None]:
    """Name what goes wrong with MODELS_DIR."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise OutOfSpaceError(f"no space left in {models_dir}", remedy="free some, or name another folder in MODELS_DIR") from error
        raise MissingToolError(f"{models_dir} cannot be used: {error.strerror or error}", remedy="correct MODELS_DIR") from error


# -- the hub ------------------------------------------------------------------------------------------------------------


class Hub:
    """The hub through its own client, with errors in words."""

    def __init__(self, options: HubOptions) -> None:
        self._endpoint = options.hf_endpoint.rstrip("/")
        parts = urlsplit(self._endpoint)
        self.host = parts.netloc.rpartition("@")[2]
        token = options.hf_token.get_secret_value().strip() if options.hf_token else ""
        if not re.fullmatch(r"[!-~]*", token):
            logger.get().warning("HF_TOKEN holds characters that no token has, and is not used")
            token = ""
        if token and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            logger.get().warning("HF_TOKEN is not sent to %s, as that is not encrypted", self._endpoint)
            token = ""
        # False, not None: that would be the token that `hf auth login` has left, which nobody gave to us.
        self._token: str | bool = token or False
        from reelscribe.transport import Limits

        self._limits = Limits(_LISTING_BYTES, head_s=3 * _ANSWER_S, body_s=_LISTING_S)
        self._client = _client(self)

    def session(self) -> Any:
        """What the client asks with: everything that this hub and those it sends us to answer is within limits."""
        import requests

        from reelscribe.transport import Bounded

        session = requests.Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, Bounded(self._limits))
        return session

    def unreachable(self) -> HubGoneError | None:
        """Why there is no way to the hub, or to the proxy before it, within CONNECT_S: a name server alone may be silent for longer."""
        from requests.utils import get_environ_proxies, select_proxy

        way = select_proxy(self._endpoint, get_environ_proxies(self._endpoint)) or self._endpoint
        parts = urlsplit(way if "://" in way else f"http://{way}")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        silent = f"no answer within {CONNECT_S:g} s"
        why: list[str] = []

        def connect() -> None:
            try:
                socket.create_connection((parts.hostname or "", port), timeout=CONNECT_S).close()
                why.append("")
            except TimeoutError:
                why.append(silent)
            except OSError as error:
                why.append(error.strerror or str(error))

        thread = threading.Thread(target=connect, daemon=True)
        thread.start()
        thread.join(CONNECT_S)
        reason = why[0] if why else silent
        return HubGoneError(f"{parts.hostname} cannot be reached ({reason.lower()})") if reason else None

    def comes_back(self) -> bool:
        """Wait for the hub as long as patience lasts."""
        end = time.monotonic() + PATIENCE_S
        while self.unreachable():
            if time.monotonic() > end:
                return False
            time.sleep(min(2.0, PATIENCE_S))
        return True

    def _allow(self, max_bytes: int, body_s: float, piece: int | None = None) -> None:
        self._limits.max_bytes, self._limits.body_s, self._limits.piece = max_bytes, body_s, piece

    def listing(self, need: ModelNeed) -> Listing:
        """The files that `need` means, with sizes and digests. Raises ReelscribeError."""
        self._allow(_LISTING_BYTES, _LISTING_S)
        with self._in_words(need):
            info = self._client.HfApi(endpoint=self._endpoint, token=self._token).model_info(
                need.repo, revision=need.revision, files_metadata=True, timeout=_ANSWER_S
            )
        remote = {s.rfilename: RemoteFile(s.rfilename, s.size, s.lfs.sha256 if s.lfs else None, s.blob_id) for s in info.siblings or []}
        if any(".." in PurePosixPath(name).parts or name.startswith("/") for name in remote):
            raise MissingToolError(f"{need.page} holds file names that leave their folder")
        chosen, absent = choose_files(need.files, remote)
        if absent:
            raise MissingToolError(f"{need.page} has no {', '.join(absent)}", remedy="name a model of the right kind")
        extras, _ = choose_files(need.extras, remote)
        return Listing(need, info.sha or "", tuple(remote[name] for name in dict.fromkeys([*chosen, *extras])))

    def download(self, listing: Listing, file: RemoteFile, folder: Path) -> None:
        """Fetch one file into `folder`, from where an earlier attempt ended. Raises ReelscribeError."""
        self._allow(_UNSAID_BYTES if file.size is None else max(file.size, _ERROR_BYTES), _PACE_S, piece=_LEAST_BYTES)
        with self._in_words(listing.need):
            self._client.hf_hub_download(
                listing.need.repo,
                file.name,
                revision=listing.commit or listing.need.revision,  # a mirror may not say the commit
                local_dir=folder,
                endpoint=self._endpoint,
                token=self._token,
                etag_timeout=_ANSWER_S,
            )

    @contextmanager
    def _in_words(self, need: ModelNeed) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # every error of requests and of the client is one
            raise self._explained(need, error) from error
        except ValueError as error:  # a name that is none
            raise MissingToolError(str(error).splitlines()[0]) from error

    def _explained(self, need: ModelNeed, error: OSError) -> Exception:
        """The error for people. An OSError of the disk stays what it is."""
        import requests
        from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

        from reelscribe.transport import TooLargeError, TooSlowError

        # The client hides what happened behind "not in the cache, either".
        cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
        answer: Any = getattr(cause, "response", None)
        status = answer.status_code if answer is not None else 0
        if status in (401, 403):
            if "Invalid credentials" in answer.headers.get("X-Error-Message", ""):
                return MissingToolError(f"{self.host} does not know the token in HF_TOKEN", remedy="make a new one there")
            if isinstance(cause, GatedRepoError) or need.gated or status == 403:
                account = "the account of HF_TOKEN" if self._token else "an account, and set HF_TOKEN to a token of it"
                return MissingToolError("its terms have to be accepted first", remedy=f"do so at {need.page} with {account}")
            return MissingToolError(f"{self.host} has no such model for us", remedy=f"look at {need.page}; a private model needs HF_TOKEN")
        if status == 404:
            at = f" at revision {need.revision}" if need.revision else ""
            return MissingToolError(f"{self.host} has no such model{at}", remedy=f"look at {need.page}")
        if isinstance(cause, TooSlowError):
            return HubGoneError(f"{self.host} sends next to nothing ({cause})", remedy="run again to go on from there")
        if status == 416 or isinstance(cause, TooLargeError) or "Consistency check failed" in str(cause):
            return DamagedError("a file arrives with the wrong size", remedy="try again later, or another hub with HF_ENDPOINT")
        if status and status != 429 and status < 500:
            return MissingToolError(f"{self.host} answers {status}")
        if isinstance(cause, requests.exceptions.SSLError):
            return HubGoneError(f"the certificate of {self.host} is not trusted here", remedy="REQUESTS_CA_BUNDLE names others to trust")
        if status or isinstance(cause, requests.RequestException):
            return HubGoneError(
                f"{self.host} {f'answers {status}' if status else 'stopped answering'}", remedy="run again to go on from there"
            )
        return error


def _client(hub: Hub) -> Any:
    """The module huggingface_hub, asking as `hub` says; what it reads when it is imported is set before."""
    network.set_up(offline=False)
    os.environ.update(HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_VERBOSITY="error")
    import huggingface_hub
    from huggingface_hub import constants

    # Of a block that breaks off nothing is kept, and ten megabytes, as it comes, never get through a poor line.
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK
    huggingface_hub.configure_http_backend(hub.session)
    return huggingface_hub


class _Watch:
    """Twice a second: how far the fetching is, and whether the parent still lives."""

    def __init__(self, models_dir: Path, listings: Sequence[Listing], parent: int | None) -> None:
        self._models_dir = models_dir
        self._listings = listings
        self._parent = parent
        self._display = Display("models")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._display.close()

    def _watch(self) -> None:
        total = sum(listing.num_bytes for listing in self._listings)
        while not self._over.wait(0.5):
            if self._parent and os.getppid() != self._parent:
                os._exit(130)
            done = sum(min(_size(self._folder(listing)), listing.num_bytes) for listing in self._listings)
            if total:
                self._display.show(done / total, f"{in_words(done)} of {in_words(total)}")

    def _folder(self, listing: Listing) -> Path:
        finished = self._models_dir / listing.need.key
        return finished if finished.is_dir() else _partial(self._models_dir, listing.need)
