"""Subtitles drawn into the picture, for players that show none."""

from __future__ import annotations

import re
import subprocess
import unicodedata
from pathlib import Path

from reelscribe import ffmpeg, limits
from reelscribe.errors import MissingToolError

# Constant quality at which the second generation is hard to tell from the first (https://trac.ffmpeg.org/wiki/Encode/H.264: 17 or 18 is
# "visually lossless"); x265's scale lies some 4 to 6 higher.
_ENCODERS = {
    "h264": ("libx264", "-preset", "medium", "-crf", "18", "-pix_fmt", "yuv420p"),
    "hevc": ("libx265", "-preset", "medium", "-crf", "22", "-pix_fmt", "yuv420p10le", "-tag", "hvc1"),
}
_MISSING = re.compile(r"failed to find any fallback with glyph 0x([0-9A-Fa-f]+)")


def codec_for(bits: int) -> str:
    """The codec of a picture that had `bits` for a colour: H.264 plays everywhere, HEVC keeps 10 bits, and HDR with them."""
    return "hevc" if bits > 8 else "h264"


def encoding(number: int, codec: str, drawing: str) -> list[str]:
    """Arguments for output stream `number`: pictures keep their times, also at a variable rate."""
    encoder, *own = _ENCODERS[codec]
    options = ["-c", encoder, *own, "-filter", drawing, "-fps_mode", "passthrough", "-enc_time_base", "demux"]
    return [text if place % 2 else f"{text}:{number}" for place, text in enumerate(options)]


def described(codec: str) -> str:
    """The settings of the encoder, in words."""
    return " ".join(_ENCODERS[codec])


def drawing(file: Path) -> str:
    """ffmpeg's filter that draws the subtitles of `file`. Escaped twice: as an option's value and inside a filtergraph."""
    value = re.sub(r"([\\':])", r"\\\1", str(file.absolute()))
    return "subtitles=filename=" + re.sub(r"([\\'\[\],;])", r"\\\1", value)


def require_fonts(executable: str, file: Path, duration: float) -> None:
    """Draw all subtitles on a small black picture, two pictures a second. Raises MissingToolError when there is no font for a letter."""
    black = f"color=black:size=384x216:rate=2:duration={max(1.0, duration):.3f}"
    arguments = ["-loglevel", "warning", "-f", "lavfi", "-i", black, "-vf", drawing(file), "-f", "null", "-"]
    allowed = limits.encoding(file.stat().st_size, duration, 384 * 216)
    command = allowed.command(executable, ["-nostdin", "-hide_banner", *arguments])
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=allowed.clock_s)
    said = done.stderr.decode(errors="replace")
    if done.returncode:
        raise ffmpeg.FfmpegError(done.returncode, said.splitlines())
    letters = sorted({chr(int(code, 16)) for code in _MISSING.findall(said)})
    visible = [letter for letter in letters if unicodedata.category(letter) not in ("Cc", "Cf")]
    if visible or "\0" in letters:
        which = f"no font has {' '.join(visible[:10])}" if visible else "there are no fonts"
        raise MissingToolError(f"{which}: the subtitles cannot be drawn", remedy="install fonts such as Noto Sans, or leave BURN_IN off")
