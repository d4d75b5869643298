"""demux: the track that is chosen, the mix, the timeline, and what is refused."""

from __future__ import annotations

import errno
import itertools
import json
import os
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imageio_ffmpeg
import numpy as np
import psutil
import pytest

from demux import downmix, timeline, tracks
from reelscribe import probe, stage, stage_table
from reelscribe.errors import BadInputError, UsageError
from reelscribe.progress import Progress
from reelscribe.schemas import Media, Stream
from reelscribe.stage_table import NATIVE

RATE = 16000
PICTURE = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=24000/1001")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def tone(hz: int, seconds: float = 3.0, channels: str = "") -> tuple[str, ...]:
    """An input of ffmpeg; `channels`: the pan filter's expression for more than one."""
    return ("-f", "lavfi", "-i", f"sine={hz}:sample_rate=48000:duration={seconds}" + (f",pan={channels}" if channels else ""))


def make(path: Path, *arguments: str) -> Path:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", *arguments, f"file:{path}"], check=True)
    return path


def samples_of(movie_dir: Path) -> np.ndarray:
    """(num_samples,) float, -1…1; the file must be 16 kHz mono s16."""
    with wave.open(str(movie_dir / "audio" / "audio.wav")) as f:
        assert (f.getframerate(), f.getnchannels(), f.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(f.readframes(f.getnframes()), "<i2") / 32768


def media_of(movie_dir: Path) -> Media:
    return Media.model_validate_json((movie_dir / "media.json").read_bytes())


def level(samples: np.ndarray, hz: int) -> float:
    """Amplitude of a sine of `hz` in (num_samples,) `samples`."""
    phase = 2j * np.pi * hz * np.arange(len(samples)) / RATE
    return float(2 * abs(np.mean(samples * np.exp(-phase))))


def pitch(samples: np.ndarray) -> int:
    """The strongest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return round(float(spectrum.argmax()) * RATE / len(samples))


def onset(samples: np.ndarray) -> float:
    """Seconds until the first sound."""
    return float(np.argmax(np.abs(samples) > 0.01)) / RATE


def tones_of(samples: np.ndarray, *seconds: float) -> list[int]:
    """The pitch in a tenth of a second from each of `seconds` on, to 10 Hz; 0 where it is silent."""
    pieces = [samples[round(s * RATE) :][: RATE // 10] for s in seconds]
    return [round(pitch(p) / 10) * 10 if np.abs(p).max() > 0.01 else 0 for p in pieces]


# -- a movie taken apart ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a movie of two languages, chapters, a cover, a font and subtitles, as MKV."""
    folder = tmp_path_factory.mktemp("movies")
    (folder / "old.srt").write_text("1\n00:00:00,500 --> 00:00:01,500\nAlt\n", encoding="utf-8")
    (folder / "a.ttf").write_bytes(b"no font")
    chapters = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={}\nEND={}\ntitle={}\n"
    (folder / "tags").write_text(
        ";FFMETADATA1\ntitle=Two\n" + chapters.format(0, 1500, "Ä") + chapters.format(1500, 3000, "B"), encoding="utf-8"
    )
    cover = make(folder / "cover.png", "-f", "lavfi", "-i", "color=red:size=32x32", "-frames:v", "1")
    inputs = [*PICTURE, *tone(400), *tone(1000, channels="stereo|c0=c0|c1=c0"), "-i", str(folder / "old.srt"), "-i", str(folder / "tags")]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map_metadata", "4", "-map_chapters", "4", "-t", "3"]
    tags = ["-metadata:s:a:0", "language=ger", "-metadata:s:a:1", "language=hin", "-disposition:a:0", "default", "-disposition:a:1", "0"]
    font = ["-attach", str(folder / "a.ttf"), "-metadata:s:t:0", "mimetype=application/x-truetype-font"]
    picture = ["-attach", str(cover), "-metadata:s:t:1", "mimetype=image/png", "-metadata:s:t:1", "filename=cover.png"]
    make(folder / "two.mkv", *inputs, *maps, *tags, *font, *picture, "-c:v", "libx264", "-c:a", "flac", "-c:s", "srt")
    return folder


def test_media_json_says_what_the_movie_holds(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    done = run_stage("demux", movie_dir, movie=movies / "two.mkv")
    media = media_of(movie_dir)
    assert media.container == "matroska,webm"
    assert media.fps == "24000/1001"
    assert media.duration == pytest.approx(3, abs=0.1)
    assert [(c.start, c.end, c.title) for c in media.chapters] == [(0, 1.5, "Ä"), (1.5, 3, "B")]
    seen = [(s.kind, s.codec, s.language, s.default, s.cover) for s in media.streams]
    assert seen == [
        ("video", "h264", None, False, False),
        ("audio", "flac", "de", True, False),
        ("audio", "flac", "hi", False, False),
        ("subtitle", "subrip", None, False, False),
        ("attachment", "", None, False, False),
        ("video", "png", None, False, True),
    ]
    assert media.num_samples == len(samples_of(movie_dir)) == 3 * RATE
    outputs = ("audio/audio.wav", "media.json", "metadata/subtitles/03.und.srt")
    assert done.stdout.split() == [str(movie_dir / name) for name in outputs]


# -- the subtitles that are there ---------------------------------------------------------------------------------------


def cue(text: str) -> str:
    return f"1\n00:00:00,500 --> 00:00:01,500\n{text}\n"


@pytest.mark.parametrize(("suffix", "codec", "late"), [("mkv", "srt", 0), ("mkv", "ass", 0), ("mkv", "srt", 5), ("mp4", "mov_text", 0)])
def test_subtitles_in_any_language_are_kept_as_srt(
    tmp_path: Path, movie_dir: Path, run_stage: Run, suffix: str, codec: str, late: int
) -> None:
    """late: the container's clock does not begin at 0; the movie's does."""
    (tmp_path / "en.srt").write_text(cue("Jaidev, come here!"), encoding="utf-8")
    (tmp_path / "hi.srt").write_text(cue("जयदेव, इधर आओ!"), encoding="utf-8")
    inputs = [*PICTURE, *tone(400), "-i", str(tmp_path / "hi.srt"), "-i", str(tmp_path / "en.srt")]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-map", "3", "-t", "3", "-output_ts_offset", str(late)]
    tags = ["-metadata:s:s:0", "language=hin", "-metadata:s:s:1", "language=eng"]
    movie = make(tmp_path / f"movie.{suffix}", *inputs, *maps, *tags, "-c:v", "libx264", "-c:a", "aac", "-c:s", codec)
    done = run_stage("demux", movie_dir, movie=movie)
    assert "subtitles in the movie: hi, en" in done.stderr
    kept = {p.name: p.read_text(encoding="utf-8").split("\n") for p in (movie_dir / "metadata" / "subtitles").iterdir()}
    assert sorted(kept) == ["02.hi.srt", "03.en.srt"]
    times = "00:00:00,500 --> 00:00:01,500"
    assert (kept["02.hi.srt"][1], kept["03.en.srt"][1]) == (times, times)
    assert "जयदेव, इधर आओ!" in kept["02.hi.srt"][2]
    assert "Jaidev, come here!" in kept["03.en.srt"][2]


def test_subtitles_that_cannot_be_read_are_said_and_stop_nothing(movies: Path, tmp_path: Path, movie_dir: Path, run_stage: Run) -> None:
    """An ffmpeg that fails as soon as subtitles are asked for."""
    broken = tmp_path / "ffmpeg"
    broken.write_text(
        f'#!/bin/sh\ncase "$*" in *"-c:s srt"*) echo "no such decoder" >&2; exit 1 ;; esac\n'
        f'exec "{imageio_ffmpeg.get_ffmpeg_exe()}" "$@"\n',
        encoding="utf-8",
    )
    broken.chmod(0o755)
    done = run_stage("demux", movie_dir, movie=movies / "two.mkv", env={"FFMPEG": str(broken)})
    assert "warning: the subtitles that the movie has already cannot be read: no such decoder" in done.stderr
    assert not list(movie_dir.glob("metadata/subtitles/*"))
    assert media_of(movie_dir).num_samples == 3 * RATE


# -- which track --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "hz", "reason"),
    [
        ((), 400, "marked as default"),
        (("--language=hi",), 1000, "in the movie's language hi"),
        (("--audio-track=2",), 1000, "asked for; the only one"),
        (("--audio-track=hin",), 1000, "hi was asked for; the only one"),
    ],
)
def test_the_right_track_is_taken(movies: Path, movie_dir: Path, run_stage: Run, options: Sequence[str], hz: int, reason: str) -> None:
    done = run_stage("demux", movie_dir, movie=movies / "two.mkv", options=options)
    assert pitch(samples_of(movie_dir)) == hz
    assert media_of(movie_dir).audio.reason == reason
    assert reason in done.stderr


def test_a_track_that_is_not_there_is_a_usage_error_that_lists_those_that_are(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    done = run_stage("demux", movie_dir, movie=movies / "two.mkv", options=["--audio-track=3"], check=False)
    assert done.returncode == 2
    assert "AUDIO_TRACK=3: there is no such track" in done.stderr
    assert "1 (de, flac mono); 2 (hi, flac stereo)" in done.stderr


def test_a_track_in_another_language_than_the_one_said_is_a_fallback(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    run_stage("demux", movie_dir, movie=movies / "two.mkv", options=["--language=en"])
    manifest = json.loads((movie_dir / "manifests" / "01_demux.json").read_text(encoding="utf-8"))
    assert manifest["fallbacks"] == ["the movie's language is said to be en, but the audio track is marked as de"]


def test_the_same_movie_gives_the_same_bytes(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    def outputs() -> list[bytes]:
        run_stage("demux", movie_dir, movie=movies / "two.mkv", options=["--force"])
        return [(movie_dir / name).read_bytes() for name in ("audio/audio.wav", "media.json")]

    assert outputs() == outputs()


NAMES = {"signs": "-a'b\"c; $HOME\n😀 %d [x],y=z\\.mkv", "no UTF-8": "http:caf\udce9.mkv"}
if sys.platform == "darwin":
    del NAMES["no UTF-8"]  # its file system refuses such names itself


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_any_file_name_is_read(movies: Path, movie_dir: Path, tmp_path: Path, run_stage: Run, name: str) -> None:
    os.link(movies / "two.mkv", tmp_path / name)
    run_stage("demux", movie_dir, options=[f"--input={name}"])  # relative, so that it begins with its first sign
    assert pitch(samples_of(movie_dir)) == 400


# -- the timeline -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_sound_that_begins_late_begins_late_in_the_wav(movie_dir: Path, tmp_path: Path, run_stage: Run, suffix: str) -> None:
    inputs = [*PICTURE, "-itsoffset", "1.25", *tone(1000, 1.75)]
    movie = make(tmp_path / f"late{suffix}", *inputs, "-map", "0", "-map", "1", "-t", "3", "-c:v", "libx264", "-c:a", "alac")
    run_stage("demux", movie_dir, movie=movie)
    samples = samples_of(movie_dir)
    assert onset(samples) == pytest.approx(1.25, abs=0.002)
    assert not samples[: round(1.24 * RATE)].any()
    assert len(samples) == pytest.approx(3 * RATE, abs=RATE // 20)
    assert media_of(movie_dir).audio.start == pytest.approx(1.25, abs=0.002)


def test_the_container_start_is_time_0(movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    """A transport stream begins at 1.4 s and more of its own clock; players show that as 0."""
    inputs = [*PICTURE, "-itsoffset", "0.5", *tone(1000, 2.5)]
    output = ["-t", "3", "-c:v", "mpeg2video", "-c:a", "ac3", "-output_ts_offset", "3600"]
    movie = make(tmp_path / "recording.ts", *inputs, "-map", "0", "-map", "1", *output)
    run_stage("demux", movie_dir, movie=movie)
    assert onset(samples_of(movie_dir)) == pytest.approx(0.5, abs=0.05)
    assert min(s.start for s in media_of(movie_dir).streams) == 0


def test_a_gap_inside_the_track_stays_a_gap(movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    hole = ["-af", "aselect='lt(t,1)+gte(t,2)'"]
    movie = make(tmp_path / "gap.mkv", *tone(1000, 3), *hole, "-c:a", "pcm_s16le")
    done = run_stage("demux", movie_dir, movie=movie)
    assert tones_of(samples_of(movie_dir), 0.4, 0.8, 1.1, 1.5, 1.8, 2.1, 2.8) == [1000, 1000, 0, 0, 0, 1000, 1000]
    assert "1.0 s of the sound are missing inside the track" in done.stderr


def test_a_layout_that_changes_on_the_way_moves_nothing(movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    """ffmpeg's own padding (aresample=first_pts=0) puts the first part's length in as silence once more."""
    stereo = make(tmp_path / "1.ts", *tone(400, 2, "stereo|c0=c0|c1=c0"), "-c:a", "ac3")
    surround = make(tmp_path / "2.ts", *tone(1000, 2, "5.1|FC=c0"), "-c:a", "ac3", "-output_ts_offset", "2")
    movie = tmp_path / "broadcast.ts"
    movie.write_bytes(stereo.read_bytes() + surround.read_bytes())
    run_stage("demux", movie_dir, movie=movie)
    samples = samples_of(movie_dir)
    assert len(samples) == pytest.approx(4 * RATE, abs=RATE // 10)
    assert tones_of(samples, 0.2, 1.7, 2.3, 3.7) == [400, 400, 1000, 1000]


def block(value: int, num_samples: int) -> bytes:
    return np.full(num_samples, value, "<i2").tobytes()


def placed(tmp_path: Path, packets: list[tuple[int, bytes]], duration: float = 0.0) -> tuple[timeline.Placed, list[tuple[int, int]]]:
    """What `place` says, and the file as (value, how many) runs."""
    found = timeline.place(packets, tmp_path / "a.wav", duration)
    with wave.open(str(tmp_path / "a.wav")) as f:
        values = np.frombuffer(f.readframes(f.getnframes()), "<i2")
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1), len(values)]
    assert found.num_samples == len(values)
    return found, [(int(values[a]), int(b - a)) for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize(
    ("packets", "runs", "filled", "dropped"),
    [
        ([(0, block(1, 1000)), (1000, block(2, 1000))], [(1, 1000), (2, 1000)], 0, 0),
        ([(5, block(1, 1000))], [(0, 5), (1, 1000)], 0, 0),
        ([(-5, block(1, 1000))], [(1, 995)], 0, 5),
        ([(0, block(1, 1000)), (1640, block(2, 1000))], [(1, 1000), (2, 1000)], 0, 0),
        ([(0, block(1, 1000)), (1641, block(2, 1000))], [(1, 1000), (0, 641), (2, 1000)], 641, 0),
        ([(0, block(1, 1000)), (200, block(2, 1000))], [(1, 1000), (2, 200)], 0, 800),
        ([(0, block(1, 5000)), (100, block(2, 1000))], [(1, 5000)], 0, 1000),
    ],
    ids=["in order", "begins late", "begins before 0", "jitter", "gap", "overlap", "inside what is there"],
)
def test_sound_goes_where_its_timestamps_say(
    tmp_path: Path, packets: list[tuple[int, bytes]], runs: list[tuple[int, int]], filled: int, dropped: int
) -> None:
    found, made = placed(tmp_path, packets)
    assert made == runs
    assert (found.filled, found.dropped) == (filled, dropped)


def test_timestamps_beyond_the_movie_do_not_fill_the_disk(tmp_path: Path) -> None:
    _, made = placed(tmp_path, [(0, block(1, 1000)), (10**12, block(2, 1000))], duration=10)
    assert made == [(1, 1000), (2, 1000)]


@pytest.mark.parametrize("packets", [[(2**31, block(1, 10))], [(0, block(1, 1000)), (2**31, block(2, 10))]])
def test_sound_that_no_wav_holds_is_refused_before_it_is_written(tmp_path: Path, packets: list[tuple[int, bytes]]) -> None:
    with pytest.raises(BadInputError, match=r"longer than 37\.3 hours"):
        timeline.place(packets, tmp_path / "a.wav", 0.0)
    assert (tmp_path / "a.wav").stat().st_size < 10_000


@pytest.mark.parametrize(
    ("end", "runs"),
    [
        (1200, [(1, 1000), (2, 200)]),
        (1000, [(1, 1000)]),
        (2500, [(1, 1000), (2, 1000), (0, 500)]),
        (9000, [(1, 1000), (2, 1000), (0, 2000), (3, 1000)]),
    ],
    ids=["in a packet", "between two", "in a gap", "beyond"],
)
def test_what_is_before_the_end_is_the_same(tmp_path: Path, end: int, runs: list[tuple[int, int]]) -> None:
    found = timeline.place([(0, block(1, 1000)), (1000, block(2, 1000)), (4000, block(3, 1000))], tmp_path / "a.wav", 0.0, end)
    with wave.open(str(tmp_path / "a.wav")) as f:
        values = np.frombuffer(f.readframes(f.getnframes()), "<i2").tolist()
    assert [(value, len(list(run))) for value, run in itertools.groupby(values)] == runs
    assert found.num_samples == len(values)


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_audio_end_leaves_out_sound_and_nothing_else(movie_dir: Path, tmp_path: Path, run_stage: Run, suffix: str) -> None:
    movie = make(tmp_path / f"movie{suffix}", *PICTURE, *tone(1000, 20), "-t", "20", "-c:v", "mpeg2video", "-c:a", "ac3")
    run_stage("demux", movie_dir, movie=movie)
    whole, all_of_it = samples_of(movie_dir), media_of(movie_dir)
    run_stage("demux", movie_dir, movie=movie, options=["--audio-end=3.5"])
    assert np.array_equal(samples_of(movie_dir), whole[: round(3.5 * RATE)])
    assert media_of(movie_dir) == all_of_it.model_copy(update={"num_samples": round(3.5 * RATE)})
    run_stage("demux", movie_dir, movie=movie, options=["--audio-end=3600"])
    assert media_of(movie_dir) == all_of_it


# -- the mix ------------------------------------------------------------------------------------------------------------


def test_the_centre_leads_in_surround_sound(movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    """A tone of its own in each channel: the centre is four times a front, ten times a surround, and the subwoofer is not there."""
    pitches = {"FL": 500, "FR": 700, "FC": 1000, "LFE": 60, "BL": 1500, "BR": 2000}
    inputs = [argument for hz in pitches.values() for argument in tone(hz, 2)]
    merge = "[0][1][2][3][4][5]join=inputs=6:channel_layout=5.1:map=0.0-FL|1.0-FR|2.0-FC|3.0-LFE|4.0-BL|5.0-BR"
    movie = make(tmp_path / "surround.mkv", *inputs, "-filter_complex", merge, "-c:a", "pcm_s16le")
    run_stage("demux", movie_dir, movie=movie)
    samples = samples_of(movie_dir)
    loud = {name: level(samples, hz) for name, hz in pitches.items()}
    assert loud["FC"] == pytest.approx(0.125 / 1.7, rel=0.03)
    assert [round(loud["FC"] / loud[name]) for name in ("FL", "FR", "BL", "BR")] == [4, 4, 10, 10]
    assert loud["LFE"] < loud["FC"] / 500
    assert media_of(movie_dir).audio.downmix == "5.1: 0.25*FL+0.25*FR+FC+0.1*BL+0.1*BR"


def test_stereo_gives_its_middle(movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    sides = "[0][1]join=inputs=2:channel_layout=stereo:map=0.0-FL|1.0-FR"
    movie = make(tmp_path / "stereo.mkv", *tone(400, 1), *tone(1000, 1), "-filter_complex", sides, "-c:a", "pcm_s16le")
    run_stage("demux", movie_dir, movie=movie)
    assert [round(level(samples_of(movie_dir), hz), 3) for hz in (400, 1000)] == [0.062, 0.062]


def test_channels_without_a_layout_are_mixed(movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    """WAV and AVI may say how many channels there are and not which."""
    movie = make(tmp_path / "five.wav", *tone(1000, 1, "5c|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0"), "-c:a", "pcm_s16le")
    run_stage("demux", movie_dir, movie=movie)
    assert level(samples_of(movie_dir), 1000) == pytest.approx(0.125, rel=0.03)


@pytest.mark.parametrize(
    ("channels", "expression"),
    [
        (["FC"], "FC"),
        (["FL"], "FL"),
        (["FL", "FR"], "FL+FR"),
        (["FL", "FR", "LFE"], "FL+FR"),
        (["FL", "FR", "BL", "BR"], "FL+FR+0.1*BL+0.1*BR"),
        (["FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"], "0.25*FL+0.25*FR+FC+0.1*BL+0.1*BR+0.1*SL+0.1*SR"),
        (["c0", "c1", "c2"], "c0+c1+c2"),
        (["LFE"], "LFE"),
    ],
)
def test_the_mix_of_every_layout(channels: list[str], expression: str) -> None:
    assert downmix.expression(channels) == expression


# -- the choice ---------------------------------------------------------------------------------------------------------


def audio(index: int, **fields: Any) -> Stream:
    return Stream(**{"index": index, "kind": "audio", "codec": "aac", "channels": 2, "layout": "stereo", **fields})


@pytest.mark.parametrize(
    ("streams", "language", "index", "reason"),
    [
        ([audio(1)], "auto", 1, "the only one"),
        ([audio(1), audio(2)], "auto", 1, "the first of 2 alike"),
        ([audio(1), audio(2, channels=6)], "auto", 2, "most channels"),
        ([audio(1, channels=6), audio(2, dispositions=["default"])], "auto", 2, "marked as default"),
        ([audio(1, language="en", dispositions=["default"]), audio(2, language="hi")], "hi", 2, "in the movie's language hi"),
        ([audio(1, language="hi"), audio(2, language="hi", channels=6)], "hi", 2, "most channels"),
        (
            [audio(1, title="Director's Commentary", channels=6, dispositions=["default"]), audio(2)],
            "auto",
            2,
            "no commentary or description",
        ),
        ([audio(1, dispositions=["default", "visual_impaired"]), audio(2)], "auto", 2, "no commentary or description"),
        ([audio(1, title="Isolated Score"), audio(2), audio(3)], "auto", 2, "no commentary or description, the first of 2 alike"),
        ([audio(1, language="en", title="Kommentar"), audio(2, language="de")], "en", 2, "no commentary or description"),
        ([audio(1, title="Commentary 1"), audio(2, title="Commentary 2")], "auto", 1, "the first of 2 alike"),
        ([audio(1, codec="", channels=6, dispositions=["default"]), audio(2)], "auto", 2, "the only one"),
    ],
)
def test_the_first_rule_that_decides_decides(streams: list[Stream], language: str, index: int, reason: str) -> None:
    chosen, why = tracks.choose(streams, "auto", language)
    assert (chosen.index, why) == (index, reason)


def test_a_commentary_can_be_asked_for() -> None:
    streams = [Stream(index=0, kind="video"), audio(1), audio(2, title="Commentary")]
    assert tracks.choose(streams, "2", "auto")[0].index == 2


def test_of_several_tracks_in_the_language_asked_for_the_best_is_taken() -> None:
    streams = [audio(1, language="hi"), audio(2, language="en", title="Commentary"), audio(3, language="en")]
    assert tracks.choose(streams, "en", "auto") == (streams[2], "en was asked for; no commentary or description")


@pytest.mark.parametrize("title", ["Download", "Hindi 5.1", "Stereo", "Made in Adana", "Music"])
def test_an_ordinary_title_is_dialogue(title: str) -> None:
    assert tracks.is_dialogue(audio(1, title=title))


def test_a_sample_rate_that_is_a_lie_is_refused() -> None:
    assert tracks.choose([audio(1, sample_rate=4000)], "auto", "auto")[0].index == 1
    with pytest.raises(BadInputError, match="said to have 1 samples a second"):
        tracks.choose([audio(1, sample_rate=1)], "auto", "auto")


def test_a_list_of_tracks_fits_on_the_screen() -> None:
    with pytest.raises(UsageError) as caught:
        tracks.choose([audio(n, title="x" * 250) for n in range(1000)], "1001", "auto")
    assert "and 976 more" in caught.value.remedy
    assert len(caught.value.remedy) < 3000


def test_no_track_and_none_that_can_be_decoded() -> None:
    with pytest.raises(BadInputError, match="no audio track"):
        tracks.choose([Stream(index=0, kind="video", codec="h264")], "auto", "auto")
    with pytest.raises(BadInputError, match="can be decoded"):
        tracks.choose([audio(1, codec="")], "auto", "auto")
    with pytest.raises(UsageError, match="AUDIO_TRACK=fr"):
        tracks.choose([audio(1)], "fr", "auto")


# -- what is refused ----------------------------------------------------------------------------------------------------


def no_sound(folder: Path) -> Path:
    return make(folder / "silent.mp4", *PICTURE, "-t", "1", "-c:v", "libx264")


def half(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def cut_mkv(folder: Path) -> Path:
    return half(make(folder / "cut.mkv", *PICTURE, *tone(400, 8), "-t", "8", "-c:v", "mpeg4", "-c:a", "pcm_s16le"))


def cut_mp4(folder: Path) -> Path:
    return half(make(folder / "cut.mp4", *PICTURE, *tone(400, 8), "-t", "8", "-c:v", "mpeg4", "-c:a", "aac"))


def cut_streamable(folder: Path) -> Path:
    options = ("-t", "8", "-c:v", "mpeg4", "-c:a", "alac", "-movflags", "+faststart")
    return half(make(folder / "cut-index-first.mp4", *PICTURE, *tone(400, 8), *options))


def encrypted(folder: Path) -> Path:
    key = ["-encryption_key", "00112233445566778899aabbccddeeff", "-encryption_kid", "112233445566778899aabbccddeeff00"]
    return make(folder / "locked.mp4", *tone(400, 1), "-c:a", "aac", "-encryption_scheme", "cenc-aes-ctr", *key)


def written(name: str, content: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(content, encoding="utf-8")
        return folder / name

    return write


def a_folder(folder: Path) -> Path:
    (folder / "folder.mkv").mkdir()
    return folder / "folder.mkv"


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mkv")
    return folder / "pipe.mkv"


def playlist(folder: Path) -> Path:
    """A script that makes ffmpeg read another file."""
    other = make(folder / "private.mkv", *tone(400, 1), "-c:a", "flac")
    return written("script.mkv", f"ffconcat version 1.0\nfile {other}\n")(folder)


def an_empty_track(folder: Path) -> Path:
    return make(folder / "empty.avi", *PICTURE, *tone(400, 1), "-c:v", "mpeg4", "-c:a", "pcm_s16le", "-frames:a", "0", "-t", "1")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (lambda folder: folder / "nothing.mkv", "is not there"),
        (a_folder, "is a folder"),
        (a_pipe, "is no regular file"),
        (written("zero.mkv", ""), "zero.mkv is empty: it has 0 bytes"),
        (written("letter.mp4", "Dear movie,\n" * 200), "letter.mp4 is no movie that can be read"),
        (written("letter.txt", "Dear movie,\n" * 200), "letter.txt is no movie that can be read"),
        (playlist, "script.mkv is no movie that can be read (it looks like concat)"),
        (no_sound, "the movie has no audio track"),
        (an_empty_track, "the audio track is empty"),
        (cut_mkv, "cut.mkv is cut off: it says to last 8.0 s and ends at "),
        (cut_mp4, "cut.mp4 is cut off: the index"),
        (cut_streamable, "cut-index-first.mp4 is cut off: it says to last 8.0 s and ends at "),
        (encrypted, "the movie is encrypted"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_remedy(
    movie_dir: Path, tmp_path: Path, run_stage: Run, bad: Callable[[Path], Path], said: str
) -> None:
    done = run_stage("demux", movie_dir, movie=bad(tmp_path), check=False)
    assert done.returncode == 3
    assert said in done.stderr
    assert "→" in done.stderr
    assert done.stdout == ""
    assert not (movie_dir / "media.json").exists()
    assert not list((movie_dir / "audio").glob("*")) if (movie_dir / "audio").exists() else True


def test_a_disk_that_refuses_to_go_on_ends_the_stage_in_order(movies: Path, movie_dir: Path) -> None:
    """A limit on the size of files stands for the disk; ffmpeg is ended and nothing half-written stays."""
    python, script = NATIVE / "venvs" / "demux" / "bin" / "python", NATIVE / "stages" / "01_demux.py"
    limit = 'ulimit -f 80; exec "$@"'  # blocks of 512 or 1024 bytes; the sound has 96,000 bytes
    command = ["sh", "-c", limit, "sh", python, script, "--movie-dir", movie_dir, "--input", movies / "two.mkv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 6
    assert "File too large" in done.stderr
    assert "Fatal Python error" not in done.stderr
    assert list((movie_dir / "audio").iterdir()) == []


def test_ffmpeg_is_ended_before_the_error_is_dealt_with(movies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left to the garbage collector, ffmpeg's pipe was closed while the interpreter went down, which aborted it."""

    def fill_the_disk(packets: Iterator[tuple[int, bytes]], *_: Any, **__: Any) -> None:
        next(packets)
        raise OSError(errno.ENOSPC, "No space left on device")

    demux = sys.modules[stage.load_contract(stage_table.find("demux")).run.__module__]
    monkeypatch.setattr(timeline, "place", fill_the_disk)
    contents = probe.contents(movies / "two.mkv")
    ctx = SimpleNamespace(options=demux.Options(), movie=movies / "two.mkv", note=lambda *_: None, progress=Progress("demux"))
    with pytest.raises(OSError) as caught:
        demux.extract(ctx, contents, contents.of_kind("audio")[0], tmp_path / "a.wav")
    assert psutil.Process().children() == []
    assert caught.value.errno == errno.ENOSPC  # while its traceback still holds every frame


def test_an_ffmpeg_that_does_not_run_is_missing(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    done = run_stage("demux", movie_dir, movie=movies / "two.mkv", env={"FFMPEG": "/no/such/ffmpeg"}, check=False)
    assert done.returncode == 4
    assert "/no/such/ffmpeg is no ffmpeg that runs" in done.stderr


def test_the_doctor_hears_a_tone(run_stage: Run) -> None:
    report = json.loads(run_stage("demux", None, options=["--check"]).stdout)
    assert report["ok"]
    assert report["result"].startswith("0.50 s of 5.1(side) ac3 decoded to mono by ffmpeg")
