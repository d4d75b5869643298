"""mux --burn-in: the letters are in the picture when they should be, and everything else is copied."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from mux_movies import CODECS, TONE, make, media, packets, prepare, result_of, stream, track

from mux import burn, plan
from reelscribe import probe
from reelscribe.stage_table import NATIVE

Run = Callable[..., "subprocess.CompletedProcess[str]"]
BLACK = ("-f", "lavfi", "-i", "color=black:size=320x180:rate=25")
SHOWN = ((0.6, True), (1.4, True), (0.3, False), (1.65, False), (1.9, True), (2.8, False))  # as the files' two cues have it


@pytest.fixture
def burn_in(movie_dir: Path, tmp_path: Path, run_stage: Run) -> Run:
    """Run mux --burn-in with one font and no other, on a movie directory that `prepare` has filled; `text` becomes that of its cues."""
    font = next(NATIVE.glob("venvs/*/lib/*/site-packages/matplotlib/mpl-data/fonts/ttf/DejaVuSans.ttf"))
    environment = {"FONTCONFIG_FILE": str(only(font.parent, tmp_path))}

    def run(movie: Path, folder: Path = movie_dir, text: str = "Hello", **more: object) -> subprocess.CompletedProcess[str]:
        for file in (folder / "subtitles").glob("*.[sa]*"):
            if file.suffix != ".json":
                file.write_text(file.read_text(encoding="utf-8").replace("नमस्ते", text), encoding="utf-8")
        return run_stage("mux", folder, movie=movie, options=["--burn-in"], **{"env": environment, **more})

    return run


def only(fonts: Path, folder: Path) -> Path:
    """fontconfig's settings that know of no other fonts."""
    path = folder / "fonts.conf"
    path.write_text(f"<fontconfig><dir>{fonts}</dir><cachedir>{folder}/cache</cachedir></fontconfig>", encoding="utf-8")
    return path


def pictures(path: Path) -> dict[float, np.ndarray]:
    """By time, in seconds of the movie: (height, width) brightness, 0 to 255, as a player shows it."""
    with av.open(f"file:{path}") as container:
        begin = (container.start_time or 0) / 1e6
        return {
            round(frame.time - begin, 3): np.rot90(frame.to_ndarray(format="gray"), frame.rotation // 90)
            for frame in container.decode(video=0)
        }


def lettered(found: dict[float, np.ndarray], at: float) -> bool:
    """Whether there are bright letters, low in the picture, in that on the screen at the time."""
    picture = found[max(time for time in found if time <= at + 0.001)]
    height = picture.shape[0]
    assert picture[: height // 2].max() < 60
    return bool(picture[height // 2 :].max() > 200)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_letters_are_in_the_picture_at_their_times_and_the_rest_is_copied(
    movie_dir: Path, tmp_path: Path, burn_in: Run, suffix: str
) -> None:
    inputs = [*BLACK, "-itsoffset", "0.4", *TONE, "-map", "0", "-map", "1", "-map", "1", "-t", "3"]
    movie = make(tmp_path / f"black{suffix}", *inputs, "-c:v", "libx264", "-bf", "2", "-c:a", "aac", "-metadata:s:a:1", "language=fre")
    before = movie.read_bytes()
    prepare(movie_dir, movie, track(), track(file="M.hi.srt", language="hi", title="Hindi"))
    done = burn_in(movie)
    result = result_of(movie_dir)
    assert "burnt in: English (M.en.srt); the picture is encoded anew: libx264 -preset medium -crf 18" in done.stderr
    found = pictures(result)
    assert [lettered(found, at) for at, _ in SHOWN] == [shown for _, shown in SHOWN]
    assert list(found) == list(pictures(movie))
    assert packets(result)["audio"] == packets(movie)["audio"]
    contents = probe.contents(result)
    assert [s.codec for s in contents.of_kind("video")] == ["h264"]
    assert [s.language for s in contents.of_kind("audio")] == [None, "fr"]
    # the other language is there, and nobody sees it unasked
    assert [(s.language, s.default) for s in contents.of_kind("subtitle")] == [("hi", suffix == ".mp4")]
    assert ("an MP4 shows one of its subtitle tracks" in done.stderr) == (suffix == ".mp4")
    assert movie.read_bytes() == before


def test_the_times_of_a_variable_rate_and_the_upright_picture_stay(movie_dir: Path, tmp_path: Path, burn_in: Run) -> None:
    uneven = ["-vf", "select='not(mod(n,7))+not(mod(n,3))'", "-fps_mode", "vfr", "-c:v", "libx264", "-c:a", "aac"]
    plain = make(tmp_path / "plain.mp4", *BLACK, *TONE, "-t", "3", *uneven)
    movie = make(tmp_path / "turned.mp4", "-display_rotation", "90", "-i", str(plain), "-c", "copy")
    prepare(movie_dir, movie, track())
    done = burn_in(movie)
    found = pictures(result_of(movie_dir))
    assert list(found) == list(pictures(movie))
    assert next(iter(found.values())).shape == (320, 180)
    assert [lettered(found, at) for at, _ in SHOWN] == [shown for _, shown in SHOWN]
    assert "left out" not in done.stderr


def test_a_recording_with_a_clock_of_its_own_has_them_in_time(movie_dir: Path, tmp_path: Path, burn_in: Run) -> None:
    output = ["-c:v", "mpeg2video", "-bf", "2", "-c:a", "ac3", "-output_ts_offset", "3600", "-f", "mpegts"]
    movie = make(tmp_path / "recording.ts", "-itsoffset", "0.2", *BLACK, *TONE, "-t", "3", *output)
    prepare(movie_dir, movie, track())
    burn_in(movie)
    found = pictures(result_of(movie_dir))
    assert [lettered(found, at) for at, _ in SHOWN] == [shown for _, shown in SHOWN]


def test_styles_are_drawn_and_ten_bits_stay(movie_dir: Path, tmp_path: Path, burn_in: Run) -> None:
    codecs = [
        "-pix_fmt",
        "yuv420p10le",
        "-c:v",
        "libx265",
        "-x265-params",
        "log-level=error",
        "-vf",
        "setparams=color_trc=smpte2084",
        "-c:a",
        "aac",
    ]
    movie = make(tmp_path / "ten.mkv", *BLACK, *TONE, "-t", "3", *codecs)
    prepare(movie_dir, movie, track(), track(file="M.en.ass", format="ass"))
    done = burn_in(movie)
    assert "burnt in: English (M.en.ass); the picture is encoded anew: libx265" in done.stderr
    result = result_of(movie_dir)
    with av.open(str(result)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.pix_fmt, stream.codec_context.color_trc) == ("yuv420p10le", 16)
        frame = next(f for f in container.decode(stream) if f.time >= 1)
        red, green, blue = frame.to_ndarray(format="rgb24").astype(int).reshape(-1, 3).T
    assert (green - np.maximum(red, blue)).max() > 100  # Ann's colour
    assert not probe.contents(result).of_kind("subtitle")


def test_any_folder_can_be_burnt_from(tmp_path: Path, burn_in: Run) -> None:
    movie_dir = tmp_path / "out" / "a'b, [c]; d:e\\f"
    movie = make(tmp_path / "black.mkv", *BLACK, *TONE, "-t", "3", "-c:v", "libx264", "-c:a", "aac")
    prepare(movie_dir, movie, track())
    burn_in(movie, movie_dir)
    assert lettered(pictures(result_of(movie_dir)), 1.0)


def test_a_letter_without_a_font_stops_it_before_the_work(movie_dir: Path, tmp_path: Path, burn_in: Run) -> None:
    movie = make(tmp_path / "black.mkv", *BLACK, *TONE, "-t", "3", "-c:v", "libx264", "-c:a", "aac")
    prepare(movie_dir, movie, track())
    done = burn_in(movie, text="a \U0010fff0", check=False)
    assert done.returncode == 4
    assert "no font has \U0010fff0: the subtitles cannot be drawn" in done.stderr
    assert not list(movie_dir.glob("*.mkv"))


@pytest.mark.parametrize("fonts", ["none"] if sys.platform == "linux" else [])  # elsewhere the system has its own list
def test_a_machine_without_fonts_is_told(movie_dir: Path, tmp_path: Path, burn_in: Run, fonts: str) -> None:
    movie = make(tmp_path / "black.mkv", *BLACK, *TONE, "-t", "3", "-c:v", "libx264", "-c:a", "aac")
    prepare(movie_dir, movie, track())
    done = burn_in(movie, env={"FONTCONFIG_FILE": str(only(tmp_path / fonts, tmp_path))}, check=False)
    assert done.returncode == 4
    assert "there are no fonts" in done.stderr


def test_without_a_picture_it_is_said(movie_dir: Path, tmp_path: Path, burn_in: Run) -> None:
    sound = make(tmp_path / "sound.mkv", *TONE, "-t", "3", "-c:a", "aac")
    prepare(movie_dir, sound, track())
    done = burn_in(sound)
    assert "nothing is burnt in: there is no picture" in done.stderr
    assert [s.codec for s in probe.contents(result_of(movie_dir)).streams] == ["aac", "subrip"]


# -- the plan -----------------------------------------------------------------------------------------------------------


def test_what_viewers_would_see_is_burnt_from_the_best_format() -> None:
    tracks = [track(file="M.hi.ass", format="ass", language="hi", default=False), track(), track(file="M.en.ass", format="ass")]
    made = plan.make(
        media("matroska,webm", stream("video", "h264"), stream("audio", "aac")), tracks, CODECS, wishes=plan.Wishes(burn_in="h264")
    )
    assert made.burnt == tracks[2]
    assert [t.file for t in made.tracks] == ["M.hi.ass"]
    assert (made.converted, made.codecs("video")) == ({0: "h264"}, ["h264"])


def test_webm_becomes_mkv_as_it_cannot_hold_the_new_picture() -> None:
    movie = media("matroska,webm", stream("video", "vp9"), stream("audio", "opus"))
    made = plan.make(movie, [track()], CODECS, "webm", plan.Wishes(burn_in="h264"))
    assert (made.target, made.why) == (plan.MKV, "WebM cannot hold h264")


@pytest.mark.parametrize(("bits", "codec"), [(8, "h264"), (10, "hevc"), (12, "hevc")])
def test_ten_bits_ask_for_hevc(bits: int, codec: str) -> None:
    assert burn.codec_for(bits) == codec
