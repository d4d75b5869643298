"""--sample: the first minutes of a movie's speech, and what the time they took says of the whole movie.

A sample is a run like any other, in a movie directory of its own and with AUDIO_END set. Where it ends, and how long the first stages
take for the whole movie, comes from another one in which nothing but those stages has run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reelscribe import manifest
from reelscribe.artifacts import read_json
from reelscribe.errors import UsageError
from reelscribe.manifest import Manifest
from reelscribe.schemas import Vad
from reelscribe.stage_table import find
from reelscribe.status import Entry

VAD = Path("vad") / "silero.json"
# What grows with the seconds of sound, and what with the seconds of speech; the other stages take as long for any movie.
_PER_SOUND = ("demux", "silero-vad", "pyannote-vad")
_PER_SPEECH = ("diarization", "asr", "post-ner", "subtitle-gen")
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600}
# Of the silence after the last speech so much belongs to the sample: words fade out.
_TAIL_S = 0.5


def seconds(text: str) -> float:
    """`5m`, `300s`, `300` or `1h` in seconds. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([smh]?)", text.strip().lower())
    length_s = float(match[1]) * _UNIT_S[match[2]] if match else 0.0
    if not length_s:
        raise UsageError(f"--sample {text!r} is no length of time", remedy="write minutes as 5m, seconds as 300s or 300, hours as 1h")
    return length_s


def shown(length_s: float) -> str:
    """`0:05:00`; below a minute `12.3 s`."""
    if length_s < 60:
        return f"{length_s:.1f} s"
    minutes, rest = divmod(round(length_s), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


# -- where it ends ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Extent:
    """The sample and the whole, in seconds of sound and of speech. `end` on the movie's timeline; None: the sample is the whole."""

    end: float | None
    speech_s: float
    whole_s: float
    whole_speech_s: float

    @property
    def sound_s(self) -> float:
        """Seconds of sound in the sample."""
        return self.whole_s if self.end is None else self.end


def extent(vad: Vad, length_s: float) -> Extent:
    """The sample that holds `length_s` of the speech in `vad`; it ends in the first pause after that, never within a word."""
    whole_speech_s = sum(s.end - s.start for s in vad.segments)
    speech_s = 0.0
    for segment, following in zip(vad.segments, vad.segments[1:], strict=False):
        speech_s += segment.end - segment.start
        if speech_s >= length_s:
            end = segment.end + min(_TAIL_S, (following.start - segment.end) / 2)
            return Extent(round(end, 2), speech_s, vad.duration, whole_speech_s)
    return Extent(None, whole_speech_s, vad.duration, whole_speech_s)


def extent_in(whole_dir: Path, length_s: float) -> Extent:
    """The same from the movie directory in which the whole movie's speech was found."""
    return extent(read_json(whole_dir / VAD, Vad), length_s)


# -- how long the whole will take ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """Of one stage, in seconds: for the sample, for the whole movie, and in words how the one follows from the other."""

    stage: str
    sample_s: float
    whole_s: float
    how: str


def estimates(found: Sequence[Entry], movie_dir: Path, whole_dir: Path, part: Extent) -> list[Estimate]:
    """One for each stage that has run in the sample's `movie_dir`; what has run in `whole_dir` is known and not estimated."""
    made = []
    for entry in found:
        record, whole = (manifest.read(folder, find(entry.stage)) for folder in (movie_dir, whole_dir))
        if record and record.status == "done":
            measured = whole if whole and whole.status == "done" else None
            made.append(estimate(entry.stage, record, measured, part))
    return made


def estimate(stage: str, record: Manifest, whole: Manifest | None, part: Extent) -> Estimate:
    """record: the sample's; whole: the whole movie's, where the stage has done that."""
    took_s = record.run.seconds
    if whole:
        return Estimate(stage, took_s, whole.run.seconds, "measured")
    if part.end is None:
        return Estimate(stage, took_s, took_s, "measured: the sample is the whole")
    if stage in _PER_SOUND:
        unit, here, all_of_it = "sound", part.sound_s, part.whole_s
    elif stage in _PER_SPEECH:
        unit, here, all_of_it = "speech", part.speech_s, part.whole_speech_s
    else:
        return Estimate(stage, took_s, took_s, "the same for any length")
    # Where the manifest tells it apart; elsewhere starting is counted as work, and the whole will be faster than said.
    startup_s = min(took_s, float(record.notes.get("startup_s", 0.0)))
    rate = (took_s - startup_s) / here
    begins = f"{startup_s:.1f} s to start, then " if startup_s else ""
    how = f"{begins}{rate:.3g} s for each second of {unit}"
    if record.notes.get("chunks_reused"):
        how += "; too little, as some was decoded by an earlier run"
    return Estimate(stage, took_s, startup_s + rate * all_of_it, how)


def print_estimates(made: Sequence[Estimate], part: Extent) -> None:
    """The table and its sum on stderr."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("stage", "left"), ("sample", "right"), ("whole", "right"), ("how", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for one in [*made, total(made)]:
        table.add_row(one.stage, shown(one.sample_s), shown(one.whole_s), one.how)
    console = Console(stderr=True)
    console = console if console.is_terminal else Console(stderr=True, width=140)
    console.print(table)
    console.print(
        f"Sample: {shown(part.speech_s)} of {shown(part.whole_speech_s)} of speech, up to {shown(part.sound_s)} of {shown(part.whole_s)}",
        highlight=False,
    )


def total(made: Sequence[Estimate]) -> Estimate:
    """The sum."""
    return Estimate("all", sum(e.sample_s for e in made), sum(e.whole_s for e in made), "and then mux, which copies the movie")
