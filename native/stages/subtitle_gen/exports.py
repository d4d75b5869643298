"""The transcript in other forms than cues: plain text, JSON as WhisperX writes it, RTTM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from reelscribe.schemas import Segment, Transcript
from subtitle_gen.cues import Planner
from subtitle_gen.limits import Clock
from subtitle_gen.lines import joined

PAUSE_S = 0.5  # a speaker's stretch ends with a pause this long


def plain_text(planner: Planner) -> str:
    """A line for everything that somebody says in one go, after the speaker's name where it is known."""
    said = []
    for _, turn in groupby(range(len(planner.words)), key=lambda k: planner.lines.turn_of[k]):
        numbers = list(turn)
        speaker, words = planner.lines.voices[numbers[0]], [planner.words[k] for k in numbers]
        said.append((f"{speaker}: " if speaker else "") + joined(words))
    return "".join(f"{line}\n" for line in said)


def whisperx(transcript: Transcript, segments: Sequence[Segment], language: str, names: Mapping[str, str]) -> dict[str, Any]:
    """What WhisperX's own writers and readers expect: segments with words and speakers, and all words once more."""
    shown = transcript.model_copy(update={"segments": list(segments), "translation": None, "language": language})
    content = shown.model_dump(mode="json", exclude_none=True)
    for item in (*content["segments"], *(word for segment in content["segments"] for word in segment["words"])):
        if name := names.get(item.pop("speaker", "")):
            item["speaker"] = name
    return {**content, "word_segments": [word for segment in content["segments"] for word in segment["words"]]}


def rttm(planner: Planner, clock: Clock, movie: str) -> str:
    """Who speaks when, as the subtitles say it: a line for each stretch of a voice without a pause. Names have no spaces in RTTM."""
    file = "_".join(movie.split()) or "movie"
    times = ((s, clock.ms(start) / 1000, clock.ms(end) / 1000) for s, start, end in _stretches(planner, PAUSE_S * float(clock.rate)))
    return "".join(
        f"SPEAKER {file} 1 {start:.3f} {end - start:.3f} <NA> <NA> {'_'.join(speaker.split())} <NA> <NA>\n" for speaker, start, end in times
    )


def _stretches(planner: Planner, pause: float) -> Iterator[tuple[str, int, int]]:
    """(speaker, start, end) in ticks."""
    speaker, start, end = None, 0, 0
    for word, voice in zip(planner.words, planner.lines.voices, strict=True):
        if voice != speaker or word.start - end >= pause:
            if speaker:
                yield speaker, start, end
            speaker, start = voice, word.start
        end = word.end
    if speaker:
        yield speaker, start, end
