"""The movie directory as the report reads it: what is not there is None, what is damaged is None and told on the page."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from reelscribe import manifest, settings, stage_table
from reelscribe.artifacts import Model, read_json, refuse_strangers
from reelscribe.errors import BadInputError, ReelscribeError
from reelscribe.manifest import Manifest
from reelscribe.schemas import (
    Corrections,
    DecodedChunk,
    Diarization,
    Glossary,
    Media,
    Metadata,
    Plan,
    Qc,
    Shots,
    Speakers,
    Tracks,
    Transcript,
    Vad,
)
from reelscribe.stage_table import Row


class Sources:
    """Everything of `movie_dir` that the report shows. `problems`: files that could not be read, and why."""

    def __init__(self, movie_dir: Path) -> None:
        if not movie_dir.is_dir():
            raise BadInputError(f"{movie_dir} is no folder", remedy="give a movie's folder, as out/Film")
        refuse_strangers(movie_dir)
        self.dir = movie_dir.resolve()
        self.problems: list[str] = []
        self.media = self.read("media.json", Media)
        self.metadata = self.read("metadata/tmdb.json", Metadata)
        self.glossary = self.read("glossary/glossary.json", Glossary)
        self.vads = {name: self.read(f"vad/{name}.json", Vad) for name in ("silero", "pyannote")}
        self.diarization = self.read("diarization/diarization.json", Diarization)
        self.plan = self.read("transcription/plan.json", Plan)
        self.heard = self.read("transcription/transcript.json", Transcript)
        self.corrected = self.read("corrected/transcript.json", Transcript)
        self.corrections = self.read("corrected/corrections.json", Corrections)
        self.speakers = self.read("corrected/speakers.json", Speakers)
        self.tracks = self.read("subtitles/tracks.json", Tracks)
        self.qc = self.read("subtitles/qc.json", Qc)
        self.shots = self.read("subtitles/shots.json", Shots)

    def read(self, name: str, model: type[Model]) -> Model | None:
        """The file `name` as `model`."""
        path = self.dir / name
        if not path.exists():
            return None
        try:
            return read_json(path, model)
        except BadInputError as error:
            self.problems.append(error.message)
            return None

    @property
    def transcript(self) -> Transcript | None:
        """The words as they are shown, or as they were heard when they have not been mended."""
        return self.corrected or self.heard

    @cached_property
    def chunks(self) -> dict[int, DecodedChunk]:
        """The chunks that are decoded, by number."""
        found = (self.read(str(p.relative_to(self.dir)), DecodedChunk) for p in sorted(self.dir.glob("transcription/chunks/chunk_*.json")))
        return {chunk.id: chunk for chunk in found if chunk}

    @cached_property
    def manifests(self) -> list[tuple[Row, Manifest | None]]:
        """Every stage and its manifest, in order."""
        return [(row, self._manifest(row)) for row in stage_table.load()]

    def _manifest(self, row: Row) -> Manifest | None:
        try:
            return manifest.read(self.dir, row)
        except BadInputError as error:
            self.problems.append(error.message)
            return None

    def videos(self) -> list[str]:
        """What the page can play, the best first: the subtitled movie, the movie, its dialogue. Addresses relative to the report."""
        muxed = [self.dir / name for row, record in self.manifests if row.name == "mux" and record for name in record.outputs]
        original = self._job().get("MOVIE")
        candidates = [*muxed, *([Path(original)] if original else []), self.dir / "audio" / "audio.wav"]
        return [address(path, self.dir) for path in candidates if path.is_file()]

    def movie_name(self) -> str:
        """The movie's file name, or its folder's."""
        return Path(self._job().get("MOVIE") or self.dir).name

    def _job(self) -> dict[str, str]:
        try:
            return settings.read_env_file(self.dir / "job.env") if (self.dir / "job.env").exists() else {}
        except (OSError, ReelscribeError) as error:
            self.problems.append(f"job.env cannot be read: {error}")
            return {}


def address(path: Path, folder: Path) -> str:
    """`path` as a URL relative to `folder`; never one with a scheme, whatever the file is called."""
    return "./" + quote(os.path.relpath(path, folder), errors="surrogateescape")
