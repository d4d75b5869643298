"""Declared files: patterns, optional ones, names with anything in them, and who makes what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelscribe.errors import MissingInputError
from reelscribe.schemas import Media
from reelscribe.stage import StageFiles, artifact, file_fields, movie_file, producer, resolve_inputs, resolve_outputs


class Inputs(StageFiles):
    """One of each kind."""

    movie: Path = movie_file()
    media: Path = artifact("media.json", schema=Media)
    extra: Path | None = artifact("extra.json")
    chunks: tuple[Path, ...] = artifact("chunks/chunk_*.json")


class Outputs(StageFiles):
    """Named after the movie."""

    srt: Path = artifact("subtitles/{name}.srt")
    others: tuple[Path, ...] = artifact("subtitles/{name}.*.vtt")


def test_what_is_declared() -> None:
    fields = {f.field: f for f in file_fields(Inputs)}
    assert list(fields) == ["movie", "media", "extra", "chunks"]
    assert [f.field for f in fields.values() if f.is_movie] == ["movie"]
    assert [f.field for f in fields.values() if f.optional] == ["extra"]
    assert [f.field for f in fields.values() if f.many] == ["chunks"]
    assert fields["media"].schema is Media


def test_inputs_are_absolute_and_what_may_be_missing_may(tmp_path: Path) -> None:
    (tmp_path / "media.json").touch()
    movie = tmp_path / "movie.mkv"
    assert resolve_inputs(Inputs, movie, tmp_path) == Inputs(movie=movie, media=tmp_path / "media.json", extra=None, chunks=())
    (tmp_path / "extra.json").touch()
    (tmp_path / "chunks").mkdir()
    for name in ("chunk_0001.json", "chunk_0000.json", ".tmp-chunk_0002.json", "other.json"):
        (tmp_path / "chunks" / name).touch()
    found = resolve_inputs(Inputs, movie, tmp_path)
    assert found.extra == tmp_path / "extra.json"
    assert [p.name for p in found.chunks] == ["chunk_0000.json", "chunk_0001.json"]


def test_a_missing_input_names_the_stage_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"media\.json is missing") as caught:
        resolve_inputs(Inputs, None, tmp_path)
    assert caught.value.remedy == "run the stage demux first"


def test_a_folder_is_no_input(tmp_path: Path) -> None:
    (tmp_path / "media.json").mkdir()
    with pytest.raises(MissingInputError):
        resolve_inputs(Inputs, None, tmp_path)


@pytest.mark.parametrize("name", ["A_Movie", "It's [2024] *?", "{name}", "映画 🎬", "100 %", "a{b"])
def test_outputs_carry_the_movies_name_whatever_it_is(tmp_path: Path, name: str) -> None:
    movie_dir = tmp_path / name
    (movie_dir / "subtitles").mkdir(parents=True)
    expected = movie_dir / "subtitles" / f"{name}.srt"
    assert resolve_outputs(Outputs, movie_dir) == Outputs(srt=expected, others=())
    mine, other = movie_dir / "subtitles" / f"{name}.en.vtt", movie_dir / "subtitles" / "Another.en.vtt"
    mine.touch()
    other.touch()
    pattern = next(f for f in file_fields(Outputs) if f.many)
    assert pattern.matches(movie_dir) == [mine]


def test_a_file_nobody_makes_is_said_to_be_so() -> None:
    assert producer("no/such.file") == "that makes it"
