"""What a movie directory holds that can be measured; what is missing is named, not an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from reelscribe import subtitles
from reelscribe.artifacts import read_bounded, read_json
from reelscribe.errors import BadInputError
from reelscribe.schemas import Corrections, Diarization, Span, Speakers, Tracks, Transcript, Vad

_MAX_BYTES = 64 << 20
Model = TypeVar("Model", bound=BaseModel)


class Cue(Span):
    """A subtitle, in seconds."""

    text: str


@dataclass
class Made:
    """`speech`: what the detectors heard, by file. `missing`: files of a complete movie directory that are not there."""

    transcript: Transcript | None = None
    corrections: Corrections | None = None
    diarization: Diarization | None = None
    speakers: Speakers | None = None
    speech: list[Span] = field(default_factory=list)
    cues: list[Cue] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, movie_dir: Path) -> Made:
        """Raises BadInputError when a file is damaged."""
        made = cls()

        def there(name: str, model: type[Model]) -> Model | None:
            if (movie_dir / name).is_file():
                return read_json(movie_dir / name, model)
            made.missing.append(name)
            return None

        made.transcript = there("corrected/transcript.json", Transcript)
        made.corrections = there("corrected/corrections.json", Corrections)
        made.speakers = there("corrected/speakers.json", Speakers)
        made.diarization = there("diarization/diarization.json", Diarization)
        for name in ("vad/silero.json", "vad/pyannote.json"):
            detected = there(name, Vad)
            made.speech += detected.segments if detected else []
        made.cues = made._read_cues(movie_dir / "subtitles", there)
        return made

    def _read_cues(self, folder: Path, there: Callable[[str, type[Tracks]], Tracks | None]) -> list[Cue]:
        """Of the track in the language that is spoken; of the first one where that is not known."""
        tracks = there("subtitles/tracks.json", Tracks)
        written = [track for track in tracks.tracks if track.format == "srt"] if tracks else []
        spoken = [track for track in written if self.transcript and track.language == self.transcript.language]
        return read_cues(folder / (spoken or written)[0].file) if written else []


def read_cues(path: Path) -> list[Cue]:
    """The cues of a subtitle file, in order, without their markup. Raises BadInputError."""
    try:
        found = subtitles.parsed(read_bounded(path, _MAX_BYTES).decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} cannot be read as subtitles: {error}", remedy="give a SubRip or WebVTT file in UTF-8") from error
    cues = [Cue(start=e.start / 1000, end=e.end / 1000, text=" ".join(e.plaintext.split())) for e in found if not e.is_comment]
    return sorted((cue for cue in cues if cue.text), key=lambda cue: (cue.start, cue.end))
