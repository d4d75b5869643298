"""Subtitle files of others, read by pysubs2: in the formats that we know."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from reelscribe.schemas import LONGEST_S

if TYPE_CHECKING:
    from pysubs2 import SSAFile

# pysubs2 would also read its own JSON, whatever that holds, and XML, in which strangers may declare entities.
_KNOWN = ("srt", "vtt", "ass", "ssa")


def parsed(text: str, **how: Any) -> SSAFile:
    """The cues in `text`, none for an empty one, and none beyond any film. `how`: options of pysubs2. Raises ValueError."""
    import pysubs2
    from pysubs2.formats import autodetect_format

    if not text.strip():
        return pysubs2.SSAFile()
    try:
        form = autodetect_format(text)
        if form not in _KNOWN:
            raise ValueError("it holds no subtitles in a known format")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about fields of ASS that nobody here uses
            found = pysubs2.SSAFile.from_string(text, form, **how)
    except pysubs2.Pysubs2Error as error:
        raise ValueError(str(error) or "it holds no subtitles") from error
    # WebVTT counts up to 9999 hours.
    found.events = [event for event in found.events if max(abs(event.start), abs(event.end)) <= 1000 * LONGEST_S]
    return found
