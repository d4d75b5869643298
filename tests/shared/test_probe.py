"""probe: what PyAV says of a movie, in our words."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from reelscribe import ffmpeg, limits, probe
from reelscribe.errors import BadInputError

Make = Callable[..., Path]


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("ger", "de"),
        ("deu", "de"),
        ("hin", "hi"),
        ("en-GB", "en"),
        ("zh-Hant", "zh"),
        ("haw", "haw"),
        ("und", None),
        ("mul", None),
        ("zxx", None),
        ("", None),
        (None, None),
        ("klingon tongue", None),
    ],
)
def test_a_language_is_one_code(tag: str | None, code: str | None) -> None:
    assert probe.language_code(tag) == code


@pytest.mark.parametrize(
    ("rate", "suffix", "fps"),
    [
        ("24000/1001", ".mkv", "24000/1001"),
        ("24000/1001", ".mp4", "24000/1001"),
        ("30000/1001", ".avi", "30000/1001"),
        ("25", ".mp4", "25"),
        ("60000/1001", ".mp4", "60000/1001"),
    ],
)
def test_the_frame_rate_is_a_fraction(tmp_path: Path, make_movie: Make, rate: str, suffix: str, fps: str) -> None:
    movie = make_movie(tmp_path / f"m{suffix}", seconds=3, options=("-r", rate, "-c:v", "mpeg4"))
    assert probe.contents(movie).fps == fps


def test_a_varying_frame_rate_is_its_average(tmp_path: Path, make_movie: Make) -> None:
    """A second of 24 frames, then two seconds of 12."""
    options = ("-vf", "select='lt(t,1)+not(mod(n,2))'", "-fps_mode", "vfr", "-c:v", "mpeg4")
    rate = probe.contents(make_movie(tmp_path / "m.mp4", seconds=3, options=options)).fps
    assert rate
    numerator, _, denominator = rate.partition("/")
    assert int(numerator) / int(denominator or 1) == pytest.approx(16, abs=1)


def test_sound_alone_has_no_frame_rate(tmp_path: Path, make_movie: Make) -> None:
    assert probe.contents(make_movie(tmp_path / "m.mkv", video=False)).fps is None


@pytest.mark.parametrize(("suffix", "offset"), [(".mkv", "1.5"), (".ts", "1.5"), (".mp4", "0")])
def test_duration_and_starts_count_from_the_movies_time_0(tmp_path: Path, make_movie: Make, suffix: str, offset: str) -> None:
    options = ("-output_ts_offset", offset, "-c:v", "mpeg2video", "-c:a", "ac3")
    contents = probe.contents(make_movie(tmp_path / f"m{suffix}", seconds=3, options=options))
    assert contents.duration == pytest.approx(3, abs=0.1)
    assert min(s.start for s in contents.streams) == pytest.approx(0, abs=0.001)


def test_the_end_of_the_data_is_found(tmp_path: Path, make_movie: Make) -> None:
    movie = make_movie(tmp_path / "m.mkv", seconds=8, options=("-c:v", "mpeg4", "-c:a", "pcm_s16le"))
    assert probe.end_of_data(movie, 2.0) == pytest.approx(8, abs=0.1)
    content = movie.read_bytes()
    movie.write_bytes(content[: len(content) // 2])
    assert probe.end_of_data(movie, 2.0) == pytest.approx(4, abs=0.5)


@pytest.mark.parametrize("options", [(), ("-encryption_scheme", "cenc-aes-ctr")])
def test_encryption_is_seen(tmp_path: Path, make_movie: Make, options: Sequence[str]) -> None:
    key = ("-encryption_key", "00112233445566778899aabbccddeeff", "-encryption_kid", "112233445566778899aabbccddeeff00")
    movie = make_movie(tmp_path / "m.mp4", video=False, options=(*options, *(key if options else ()), "-c:a", "aac"))
    assert probe.is_encrypted(movie, 0) == bool(options)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "m.mp4 is empty"),
        (b"text " * 100, "m.mp4 is no movie that can be read"),
        (b"\0\0\0\x14ftypisom\0\0\2\0isom" + b"\0\0\1\0mdat" + bytes(300), "m.mp4 is cut off: the index"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", "m.mp4 is no movie that can be read"),
    ],
)
def test_what_is_no_movie_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    movie = tmp_path / "m.mp4"
    movie.write_bytes(content)
    with pytest.raises(BadInputError, match=said) as caught:
        probe.contents(movie)
    assert caught.value.remedy


def test_tags_that_are_no_utf8_are_read_with_marks(tmp_path: Path, make_movie: Make) -> None:
    movie = make_movie(tmp_path / "m.mkv", options=("-metadata:s:a:0", "title=TITLE", "-metadata:s:a:0", "language=hin"))
    movie.write_bytes(movie.read_bytes().replace(b"TITLE", b"A\xff\xfeBC").replace(b"hin", b"\xff\xfe("))
    (audio,) = probe.contents(movie).of_kind("audio")
    assert (audio.title, audio.language) == ("A\ufffd\ufffdBC", None)


def test_a_title_of_any_length_is_cut(tmp_path: Path, make_movie: Make) -> None:
    (audio,) = probe.contents(make_movie(tmp_path / "m.mkv", options=("-metadata:s:a:0", "title=" + "x" * 50000))).of_kind("audio")
    assert audio.title == "x" * 250


def test_a_movie_that_asks_for_too_much_memory_is_refused(tmp_path: Path, make_movie: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        return  # macOS keeps no limit of memory
    monkeypatch.setattr(limits, "memory_kept", functools.partial(limits.memory_kept, 40 << 20))
    with pytest.raises(BadInputError, match="asks for too much memory"), probe.opened(make_movie(tmp_path / "m.mkv")) as container:
        assert container.format.name == "matroska,webm"
        bytearray(100 << 20)


@pytest.mark.parametrize("name", ["-m.mkv", "http:m.mkv", "m\n😀'\"%d.mkv"])
def test_any_name_is_opened(tmp_path: Path, make_movie: Make, name: str) -> None:
    make_movie(tmp_path / "m.mkv").rename(tmp_path / name)
    assert probe.contents(tmp_path / name).of_kind("audio")


def test_the_codecs_of_a_container_are_named_as_those_of_streams() -> None:
    assert {"h264", "aac", "mov_text", "dvd_subtitle"} <= probe.codecs_of("mp4")
    assert not {"subrip", "prores", "hdmv_pgs_subtitle"} & probe.codecs_of("mp4")
    assert {"subrip", "ass", "hdmv_pgs_subtitle", "prores", "webvtt"} <= probe.codecs_of("matroska")
    assert "mov_text" not in probe.codecs_of("matroska")


def test_the_whitelist_names_formats_that_ffmpeg_knows() -> None:
    from av.format import ContainerFormat

    unknown = []
    for name in ffmpeg.CONTAINERS.split(","):
        try:
            ContainerFormat(name, "r")
        except ValueError:
            unknown.append(name)
    assert unknown == []
