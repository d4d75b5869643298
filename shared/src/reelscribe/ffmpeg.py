"""ffmpeg: the system's when it is new enough, else the one that imageio-ffmpeg carries. Never reads anything but files and pipes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from reelscribe.errors import MissingToolError

_OLDEST = 5


def find(setting: str = "auto") -> str:
    """Path of the ffmpeg to use. `setting`: "auto" or a path. Raises MissingToolError."""
    if setting != "auto":
        if _major(setting) is None:
            raise MissingToolError(f"{setting} is no ffmpeg that runs", remedy="correct FFMPEG, or leave it at auto")
        return setting
    system = shutil.which("ffmpeg")
    if system and (_major(system) or 0) >= _OLDEST:
        return system
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise MissingToolError("there is no ffmpeg", remedy="install ffmpeg, or run native/setup_venvs.sh") from error
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def version(executable: str) -> str:
    """`ffmpeg 7.1`, for the record."""
    match = re.search(r"version (\S+)", _banner(executable))
    return f"ffmpeg {match.group(1) if match else 'unknown'}"


def command(executable: str) -> list[str]:
    """The start of every command line: no questions, no network, errors only, no bits that differ from run to run."""
    # A playlist or a concat script inside a media file may name other files or hosts: https://ffmpeg.org/ffmpeg-protocols.html
    return [executable, "-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-protocol_whitelist", "file,pipe"]


def as_input(path: Path) -> str:
    """`path` as ffmpeg takes it: absolute, so that neither a leading dash nor a colon is read as something else."""
    return f"file:{path.resolve()}"


def _banner(executable: str) -> str:
    try:
        return subprocess.run([executable, "-version"], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _major(executable: str) -> int | None:
    """Major version; builds from git count as new. None when it does not run."""
    banner = _banner(executable)
    if not banner.startswith("ffmpeg version"):
        return None
    match = re.match(r"ffmpeg version n?(\d+)\.", banner)
    return int(match.group(1)) if match else 99
