"""ffmpeg: the system's when it is new enough, else the one that imageio-ffmpeg carries.

It never reads anything but files and pipes, no list of other files, and always works within limits.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

from reelscribe import logger
from reelscribe.errors import BadInputError, MissingToolError, OutOfSpaceError, StageFailedError
from reelscribe.limits import Limits

_OLDEST = 5
PROTOCOLS = "file,pipe"
# What may be read as a movie: files that hold their streams themselves. Playlists (hls, dash, concat), scripts and picture sequences
# name other files or hosts (https://ffmpeg.org/ffmpeg-formats.html), text and pictures are no movies.
CONTAINERS = (
    "3gp,aac,ac3,aiff,amr,ape,asf,asf_o,avi,caf,dts,dtshd,dv,eac3,flac,flv,gxf,live_flv,lxf,matroska,mov,mp3,mp4,mpeg,mpegts,mpegvideo,"
    "mxf,nsv,nut,nuv,ogg,pva,rm,roq,smk,swf,truehd,tta,vivo,w64,wav,webm,wtv,wv"
)
# For what is made to be tried out, and takes a moment.
_SHORT = Limits()
_LINE = 300  # characters of a line that ffmpeg says: tags and names in it may have any length
# Those with FFmpeg's flag AVFMT_TS_DISCONT.
_JUMPING = frozenset(["mpegts", "mpeg", "ogg", "live_flv"])


class FfmpegError(StageFailedError):
    """ffmpeg failed with exit `status` (negative: the signal that ended it); `said`: the first of its last words."""

    def __init__(self, status: int, lines: Sequence[str]) -> None:
        ended = signal.Signals(-status).name if status < 0 else f"code {status}"
        super().__init__(
            "\n    ".join([f"ffmpeg ended with {ended}", *lines[-8:]]), remedy="another ffmpeg may do: give its path in FFMPEG"
        )
        self.status = status
        self.said = lines[0] if lines else "it said nothing"


class LimitError(BadInputError):
    """ffmpeg took more than any sound movie needs; `what`: more of what."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"ffmpeg was stopped: it {what}, more than such a movie can need",
            remedy="it is damaged, or made to do harm: give another copy of the movie",
        )


def find(setting: str = "auto") -> str:
    """Path of the ffmpeg to use. `setting`: "auto" or a path. Raises MissingToolError."""
    if setting != "auto":
        if _major(setting) is None:
            raise MissingToolError(f"{setting} is no ffmpeg that runs", remedy="correct FFMPEG, or leave it at auto")
        return setting
    if system := _system():
        return system
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise MissingToolError("there is no ffmpeg", remedy="install ffmpeg, or run native/setup_venvs.sh") from error
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def described(setting: str = "auto") -> str:
    """What `find` will find, for an engine's name: the version, or that it is the embedded one (whose version is in the lock)."""
    executable = _system() if setting == "auto" else setting
    return version(executable) if executable else "embedded ffmpeg"


def version(executable: str) -> str:
    """`ffmpeg 7.1`, for the record."""
    match = re.search(r"version (\S+)", _banner(executable))
    return f"ffmpeg {match.group(1) if match else 'unknown'}"


def address(path: Path) -> str:
    """`path` as FFmpeg's programs and libraries take it: neither a leading dash nor a colon is read as something else."""
    return f"file:{path.absolute()}"


def source(path: Path, *options: str, containers: str = CONTAINERS) -> list[str]:
    """Arguments for reading `path`; `options` are further input options, `containers` the formats it may have."""
    # The whitelist is per input: https://ffmpeg.org/ffmpeg-protocols.html#Protocol-Options
    return ["-protocol_whitelist", PROTOCOLS, "-format_whitelist", containers, *options, "-i", address(path)]


def keeping_time(container: str) -> list[str]:
    """Arguments of one more output, all streams to nowhere, where `container` (as PyAV names it) may have a clock that jumps.

    There ffmpeg takes the earliest of the streams *in use* as time 0 and mends jumps by what it sees of them. With this output a command
    that uses one stream and a command that uses all have the same time.
    """
    jumps = _JUMPING.intersection(container.split(","))
    return ["-map", "0", "-copy_unknown", "-c", "copy", "-f", "null", "-"] if jumps else []


def run(executable: str, arguments: Sequence[str], *, limits: Limits = _SHORT, on_time: Callable[[float], None] | None = None) -> None:
    """Run ffmpeg to its end. `on_time` is told the seconds of output written so far.

    Raises OutOfSpaceError, LimitError, or StageFailedError with ffmpeg's last words.
    """
    with running(executable, ["-progress", "pipe:1", "-stats_period", "0.5", *arguments], limits=limits) as progress:
        for line in progress:
            key, _, value = line.decode(errors="replace").partition("=")
            if key == "out_time_us" and on_time:
                with suppress(ValueError):  # "N/A" until something is written
                    on_time(max(0, int(value)) / 1e6)


@contextmanager
def running(executable: str, arguments: Sequence[str], *, limits: Limits = _SHORT) -> Iterator[IO[bytes]]:
    """ffmpeg at work; the block reads its stdout. Raises like `run` when ffmpeg fails; ends ffmpeg when the block fails."""
    command = limits.command(executable, ["-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments])
    logger.get().debug("run: %s", subprocess.list2cmdline(command))
    late, computed_s = threading.Event(), _computed_s()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        said: deque[str] = deque(maxlen=20)
        listener = threading.Thread(target=_listen, args=(process.stderr, said), daemon=True)
        clock = threading.Timer(limits.clock_s, _stop, (process, late))
        clock.daemon = True
        try:
            listener.start()  # an interrupt may come here already, and the end of the with block would wait for ffmpeg
            clock.start()
            yield process.stdout
            process.stdout.read()
            process.wait()
        finally:
            process.kill()
            clock.cancel()
            if listener.ident:
                listener.join()
    # Without memory ffmpeg may take a stream for ended, and end well.
    if process.returncode or os.strerror(errno.ENOMEM) in "\n".join(said):
        raise _failure(process.returncode, list(said), limits, late=late.is_set(), computed_s=_computed_s() - computed_s)


def _stop(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    process.kill()


def _computed_s() -> float:
    """Seconds that ended children have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _listen(stderr: IO[bytes], said: deque[str]) -> None:
    """Keep ffmpeg's last words; a damaged movie makes it say more than anybody wants to store."""
    for line in stderr:
        text = line.decode(errors="replace").rstrip()[:_LINE]
        logger.get().debug("ffmpeg: %s", text)
        said.append(text)


def _failure(status: int, said: list[str], limits: Limits, *, late: bool, computed_s: float) -> OutOfSpaceError | LimitError | FfmpegError:
    text = "\n".join(said)
    if os.strerror(errno.ENOSPC) in text or os.strerror(errno.EDQUOT) in text:
        return OutOfSpaceError("ffmpeg found the disk full", remedy="free some space where the movie directory is and run again")
    if late:
        return LimitError(f"worked for {limits.clock_s} s")
    if computed_s >= limits.cpu_s:
        return LimitError(f"computed for {limits.cpu_s} s")
    if status == -signal.SIGXFSZ:
        return LimitError(f"wrote a file of {limits.file_size >> 20} MiB")
    if os.strerror(errno.ENOMEM) in text:
        return LimitError(f"asked for {limits.memory >> 20} MiB of memory")
    return FfmpegError(status, said)


def _system() -> str | None:
    """The system's ffmpeg, when it is new enough."""
    system = shutil.which("ffmpeg")
    return system if system and (_major(system) or 0) >= _OLDEST else None


@lru_cache
def _banner(executable: str) -> str:
    try:
        return subprocess.run(
            [executable, "-version"], capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=30
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _major(executable: str) -> int | None:
    """Major version; builds from git count as new. None when it does not run."""
    banner = _banner(executable)
    if not banner.startswith("ffmpeg version"):
        return None
    match = re.match(r"ffmpeg version n?(\d+)\.", banner)
    return int(match.group(1)) if match else 99
