"""Good movies of three seconds, made by ffmpeg, and the odd ones that are good all the same."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

SECONDS = 3.0
STATION = Path(__file__).resolve().parents[2] / "examples" / "station.mp4"
PICTURE = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25")
SRT = "1\n00:00:00,500 --> 00:00:01,500\nHello there\n\n2\n00:00:01,750 --> 00:00:02,500\nनमस्ते\n"
# What each container usually holds; raw sound and sound alone are movies, too, as far as demux goes.
GOOD = {
    "mp4": ("-c:v", "libx264", "-c:a", "aac"),
    "mkv": ("-c:v", "libx264", "-c:a", "flac"),
    "mov": ("-c:v", "mpeg4", "-c:a", "pcm_s16le"),
    "webm": ("-c:v", "libvpx", "-c:a", "libopus"),
    "avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "ts": ("-c:v", "mpeg2video", "-c:a", "ac3"),
    "mpg": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    "flv": ("-c:v", "flv1", "-c:a", "libmp3lame", "-ar", "44100"),
    "wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
    "ogv": ("-c:v", "libtheora", "-c:a", "libvorbis"),
    "wav": ("-vn", "-c:a", "pcm_s16le"),
    "flac": ("-vn", "-c:a", "flac"),
    "mp3": ("-vn", "-c:a", "libmp3lame"),
    "aac": ("-vn", "-c:a", "aac"),
}


@lru_cache
def ffmpeg() -> str:
    """The one that imageio-ffmpeg carries."""
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def tone(hz: int = 400, seconds: float = SECONDS, channels: str = "", rate: int = 48000) -> tuple[str, ...]:
    """An input of ffmpeg; `channels`: the expression of its filter pan, for more than one."""
    return ("-f", "lavfi", "-i", f"sine={hz}:sample_rate={rate}:duration={seconds}" + (f",pan={channels}" if channels else ""))


def make(path: Path, *arguments: str) -> Path:
    """`path`, made by ffmpeg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [ffmpeg(), "-nostdin", "-loglevel", "error", "-y", *arguments, "-fflags", "+bitexact", f"file:{path}"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def good(folder: Path, suffix: str) -> Path:
    """One of GOOD, made once."""
    path = folder / f"good.{suffix}"
    return path if path.exists() else make(path, *PICTURE, *tone(), "-t", str(SECONDS), *GOOD[suffix])


def station(folder: Path) -> Path:
    """Three seconds of the example, speech and all."""
    path = folder / "station.mp4"
    return path if path.exists() else make(path, "-i", f"file:{STATION}", "-t", str(SECONDS), "-c", "copy")


def tagged(folder: Path, name: str, *options: str, attached: Sequence[tuple[str, str]] = ()) -> Path:
    """An MKV with a picture, a tone and subtitles, `options` of ffmpeg; attached: (file name, MIME type) of each attachment."""
    (folder / "old.srt").write_text(SRT, encoding="utf-8")
    arguments = [*PICTURE, *tone(), "-i", f"file:{folder / 'old.srt'}", "-map", "0", "-map", "1", "-map", "2", "-t", str(SECONDS)]
    for number, (filename, mimetype) in enumerate(attached):
        content = folder / f"attached{number}"
        content.write_bytes(b"attached " * 100)
        arguments += ["-attach", f"file:{content}", f"-metadata:s:t:{number}", f"filename={filename}"]
        arguments += [f"-metadata:s:t:{number}", f"mimetype={mimetype}"]
    return make(folder / name, *arguments, "-c:v", "libx264", "-c:a", "flac", "-c:s", "srt", *options)
