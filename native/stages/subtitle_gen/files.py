"""Cues as SRT and WebVTT, written by pysubs2."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from subtitle_gen.cues import Cue

FORMATS = ("srt", "vtt")
_JOINER = "\u2060"  # WORD JOINER: no width, no break


def text(cues: Sequence[Cue], form: str) -> str:
    """The file's content. `form`: one of FORMATS."""
    import pysubs2

    escape = _for_vtt if form == "vtt" else _for_srt
    subtitles = pysubs2.SSAFile()
    for cue in cues:
        lines = r"\N".join(escape(line) for line in cue.lines)
        subtitles.append(pysubs2.SSAEvent(start=cue.start_ms, end=cue.end_ms, text=lines))
    # Our text holds no tags of SubStation: kept as it is, braces are not taken for some.
    return subtitles.to_string(form, keep_ssa_tags=True)


def _for_srt(line: str) -> str:
    """SRT has no way to write < as itself: an invisible character keeps players from reading a tag."""
    return re.sub(r"<(?=[a-zA-Z/])", "<" + _JOINER, _plain(line))


def _for_vtt(line: str) -> str:
    return html.escape(_plain(line), quote=False)


def _plain(line: str) -> str:
    r"""`line` without the sequences (\N, {\an8}) that pysubs2 and players take for more than text."""
    return line.replace("\\", "\\" + _JOINER)
