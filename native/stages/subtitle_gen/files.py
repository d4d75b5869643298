"""Cues as SRT, WebVTT and ASS, written by pysubs2, each with what its readers would take for markup made harmless."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

from subtitle_gen.cues import Cue
from subtitle_gen.limits import Clock

if TYPE_CHECKING:
    import pysubs2

FORMATS = ("srt", "vtt", "ass")
_JOINER = "\u2060"  # WORD JOINER: no width, no break
_CLOCK_TIME = re.compile(r"(?<=\d):(?=\d+[.,]\d)")
_EMBEDDED = ("\u202b", "\u202c")  # RIGHT-TO-LEFT EMBEDDING, POP DIRECTIONAL FORMATTING: players know them longer than isolates
_RIGHT_TO_LEFT = frozenset({"Arab", "Hebr", "Thaa", "Syrc", "Nkoo", "Adlm"})
# ASS: colours that differ in lightness as in hue, white for nobody known; the size of the picture that the styles are made for.
_COLOURS = ((255, 255, 255), (255, 232, 115), (140, 220, 255), (170, 255, 170), (255, 185, 150), (230, 180, 255), (255, 160, 190))
_PICTURE = (1920, 1080)


@dataclass(frozen=True)
class Event:
    """What is shown from `start_ms` to `end_ms`. `speakers`: a name for each line where two share it, else one for all."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    speakers: tuple[str | None, ...]


def events(cues: Sequence[Cue], clock: Clock, *, rtl: bool = False) -> list[Event]:
    """The cues, in milliseconds. rtl: whether their language is written from right to left.

    Players that take a line's direction from its first letter, or from nothing, show a full stop at the wrong end; so each line says it.
    """
    before, behind = _EMBEDDED if rtl else ("", "")
    return [
        Event(clock.ms(cue.start), clock.ms(cue.end), tuple(before + line + behind for line in cue.lines), cue.speakers) for cue in cues
    ]


def is_right_to_left(language: str) -> bool:
    """Whether `language` (ISO 639 code) is written from right to left."""
    import langcodes

    return langcodes.Language.get(language).maximize().script in _RIGHT_TO_LEFT


def text(shown: Sequence[Event], form: str) -> str:
    """The file's content. `form`: one of FORMATS."""
    import pysubs2

    subtitles = pysubs2.SSAFile()
    if form == "ass":
        _prepare_ass(subtitles, shown)
    payload = {"srt": _srt, "vtt": _vtt, "ass": _ass}[form]
    for event in shown:
        subtitles.append(_event(event, payload(event.lines, event.speakers), form))
    # Our text holds no tags of SubStation but our own: kept as it is, braces are not taken for some.
    return subtitles.to_string(form, **({"header_notice": "reelscribe"} if form == "ass" else {"keep_ssa_tags": True}))


def _event(event: Event, payload: str, form: str) -> pysubs2.SSAEvent:
    import pysubs2

    if form != "ass":
        return pysubs2.SSAEvent(start=event.start_ms, end=event.end_ms, text=payload)
    # ASS counts in hundredths; rounded up, a cue would come a frame late.
    start, end = event.start_ms // 10 * 10, event.end_ms // 10 * 10
    style = _style_name(event.speakers[0])
    return pysubs2.SSAEvent(start=start, end=max(end, start + 10), text=payload, style=style, name="" if style == "Default" else style)


def _srt(lines: Sequence[str], speakers: Sequence[str | None]) -> str:
    return r"\N".join(_for_srt(line) for line in lines)


def _for_srt(line: str) -> str:
    """SRT has no way to write <, { or --> as themselves: an invisible character keeps players from reading more into them."""
    line = re.sub(r"[<{]|--(?=>)", lambda match: match.group() + _JOINER, _plain(line))
    # A last line of digits alone would be taken for the number of the next cue.
    return line + _JOINER if line.strip().isdecimal() else line


def _vtt(lines: Sequence[str], speakers: Sequence[str | None]) -> str:
    """Each voice in a span of its own; cues of nobody known without one."""
    escaped = [html.escape(_plain(line), quote=False) for line in lines]
    if len(speakers) == 1:
        return _voice(r"\N".join(escaped), speakers[0])
    return r"\N".join(_voice(line, speaker) for line, speaker in zip(escaped, speakers, strict=True))


def _voice(payload: str, speaker: str | None) -> str:
    name = " ".join((speaker or "").split())
    return f"<v {html.escape(_plain(name), quote=False)}>{payload}</v>" if name else payload


def _plain(line: str) -> str:
    r"""`line` without the sequences (\N, {\an8}, two times in one line) that pysubs2 and players take for more than text."""
    return _CLOCK_TIME.sub(":" + _JOINER, line.replace("\\", "\\" + _JOINER))


# -- ASS ----------------------------------------------------------------------------------------------------------------


def _ass(lines: Sequence[str], speakers: Sequence[str | None]) -> str:
    r"""As FFmpeg and libass have it: \{ and \} are braces, and an invisible character parts a backslash from what follows."""
    escaped = [_plain(line).replace("{", r"\{").replace("}", r"\}") for line in lines]
    if len(speakers) == 2 and _style_name(speakers[1]) != _style_name(speakers[0]):
        escaped[1] = rf"{{\r{_style_name(speakers[1])}}}{escaped[1]}"
    return r"\N".join(escaped)


def _prepare_ass(subtitles: pysubs2.SSAFile, shown: Sequence[Event]) -> None:
    """A style for each speaker, in the order they first speak."""
    import pysubs2

    subtitles.info |= {"PlayResX": str(_PICTURE[0]), "PlayResY": str(_PICTURE[1]), "WrapStyle": "2", "ScaledBorderAndShadow": "yes"}
    names = dict.fromkeys(_style_name(speaker) for event in shown for speaker in event.speakers)
    subtitles.styles = {
        name: pysubs2.SSAStyle(
            fontname="Arial",
            fontsize=56,
            primarycolor=pysubs2.Color(*colour),
            outline=3,
            shadow=1,
            marginl=160,
            marginr=160,
            marginv=60,
            encoding=-1,  # libass: a line's direction from its letters
        )
        for name, colour in zip(["Default", *(name for name in names if name != "Default")], cycle(_COLOURS))
    }


def _style_name(speaker: str | None) -> str:
    r"""A name that may stand in a field and in {\r…}; two speakers may share it only when their names are nearly one."""
    return " ".join(re.sub(r"[^\w .'-]", " ", speaker or "").split()) or "Default"
