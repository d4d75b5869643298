"""English segments of a foreign movie: who says them, and which words they cover after names were mended."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence

from post_ner.turns import UNKNOWN
from reelscribe.schemas import Segment, Word


def words_of(segments: Sequence[Segment]) -> list[Word]:
    """As Segment.source counts them."""
    return [word for segment in segments for word in segment.words]


def with_speaker(translation: Sequence[Segment], source: Sequence[Word]) -> list[Segment]:
    """Each segment with the speaker of most of the words it covers, by time; it is one thought and is not split."""
    found = []
    for segment in translation:
        first, last = segment.source or (0, -1)
        seconds: dict[str, float] = defaultdict(float)
        for word in source[first : last + 1]:
            seconds[word.speaker or UNKNOWN] += max(word.end - word.start, 0.01)
        label = max(seconds, key=lambda speaker: seconds[speaker], default=UNKNOWN)
        words = [word.model_copy(update={"speaker": label}) for word in segment.words]
        found.append(segment.model_copy(update={"speaker": label, "words": words}))
    return found


def relinked(translation: Sequence[Segment], before: Sequence[Word], after: Sequence[Word]) -> list[Segment]:
    """Each segment with the numbers that its words have `after` mending, which may join words; both in order."""
    starts = [word.start for word in after]

    def number(old: int) -> int:
        return max(0, bisect_right(starts, before[old].start) - 1)

    return [
        s if s.source is None or not after else s.model_copy(update={"source": (number(s.source[0]), number(s.source[1]))})
        for s in translation
    ]
