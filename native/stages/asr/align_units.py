"""What is aligned together: segments that share stretches of speech, over the sound of those stretches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from asr.speech import PAD_S
from reelscribe.schemas import Segment, Span, Window

# (start, end) of a word; None where there was nothing to align.
Time = tuple[float, float] | None

# How far an engine's times are believed to be off. It is also how far words can be drawn away when the engine left out their neighbours.
MARGIN_S = 0.5
# Stretches are padded: a segment that overlaps one by no more than this only touches it.
_TOUCH_S = PAD_S + 0.1


class Unit(BaseModel):
    """Words and where their sound is; `segments`: how many of the words each segment of the window has, by its number."""

    start: float
    end: float
    language: str
    words: list[str]
    window: int
    segments: list[tuple[int, int]]

    def shared_out(self, times: Sequence[Time]) -> Iterator[tuple[tuple[int, int], list[Time]]]:
        """((window, segment), times of its words) of every segment."""
        first = 0
        for segment, count in self.segments:
            yield (self.window, segment), list(times[first : first + count])
            first += count


def make_units(window: Window, segments: Sequence[Segment], language: str) -> list[Unit]:
    """The units of a window: neighbouring segments as long as no pause is between them, as their own limits are no place to cut sound.

    A unit begins and ends with the speech it is in, but not far from where its engine heard it. `language` is that of segments that name
    none. Segments that lie outside speech or have no words are in no unit.
    """
    units: list[Unit] = []
    reached, said_until = -1, 0.0
    for segment in segments:
        heard = _heard(segment, window.speech)
        if not heard or not segment.words:
            continue
        spoken = segment.language or language
        follows = units and heard[0] <= reached and segment.start - said_until <= 2 * MARGIN_S
        if follows and units[-1].language == spoken:
            unit = units[-1]
        else:
            start = max(window.speech[heard[0]].start, segment.start - MARGIN_S)
            if units and start < units[-1].end:
                # Sound belongs to one unit: two languages in one breath are parted where the engine hears the second.
                start = units[-1].end = max(units[-1].start, min(segment.start, units[-1].end))
            unit = Unit(start=start, end=start, language=spoken, words=[], window=window.id, segments=[])
            units.append(unit)
        unit.words += [word.word for word in segment.words]
        unit.segments.append((segment.id, len(segment.words)))
        reached, said_until = max(reached, heard[-1]), max(said_until, segment.end)
        unit.end = max(unit.end, min(window.speech[reached].end, said_until + MARGIN_S))
    return [unit for unit in units if unit.end > unit.start]


def _heard(segment: Segment, speech: Sequence[Span]) -> list[int]:
    """The numbers of the stretches of `speech` that the segment is in."""
    least = min(_TOUCH_S, (segment.end - segment.start) / 2)
    return [n for n, s in enumerate(speech) if min(segment.end, s.end) - max(segment.start, s.start) >= least]
