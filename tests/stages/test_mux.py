"""mux: everything is kept, the new track is found, and nothing half-done ever has the result's name."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import pytest
from mux_movies import (
    CODECS,
    PICTURE,
    SRT,
    TONE,
    attachments,
    cues,
    decoded,
    make,
    media,
    packets,
    prepare,
    result_of,
    sounding,
    stream,
    times,
    track,
)

from mux import command, plan, probed, verify
from reelscribe import probe
from reelscribe.artifacts import movie_identity, write_json
from reelscribe.schemas import Contents, Stream
from reelscribe.stage_table import NATIVE

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """full.mkv and full.mp4: picture, two audio tracks that begin late, a default subtitle track, chapters, a cover and (MKV) a font."""
    folder = tmp_path_factory.mktemp("movies")
    (folder / "old.srt").write_text("1\n00:00:00,500 --> 00:00:01,500\nAlt\n", encoding="utf-8")
    (folder / "a.ttf").write_bytes(b"no font")
    chapters = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={}\nEND={}\ntitle={}\n"
    (folder / "tags").write_text(
        ";FFMETADATA1\ntitle=Ein Film\nartist=Die Regie\ndate=2020\n" + chapters.format(0, 1500, "Ä") + chapters.format(1500, 3000, "B")
    )
    cover = make(folder / "cover.png", "-f", "lavfi", "-i", "color=red:size=32x32", "-frames:v", "1")
    inputs = [*PICTURE, "-itsoffset", "0.5", *TONE, "-i", str(folder / "old.srt"), "-i", str(folder / "tags"), "-i", str(cover)]
    maps = ["-map", "0", "-map", "1", "-map", "1", "-map", "2", "-map_metadata", "3", "-map_chapters", "3", "-t", "3"]
    audio = ["-c:a", "aac", "-metadata:s:a:0", "language=ger", "-metadata:s:a:1", "language=eng", "-metadata:s:a:1", "title=Commentary"]
    flags = ["-disposition:a:1", "comment", "-disposition:s:0", "default+forced", "-c:v", "libx264", "-bf", "2"]
    font = ["-attach", str(folder / "a.ttf"), "-metadata:s:t:0", "mimetype=application/x-truetype-font"]
    picture = ["-attach", str(cover), "-metadata:s:t:1", "mimetype=image/png", "-metadata:s:t:1", "filename=cover.png"]
    make(folder / "full.mkv", *inputs, *maps, *audio, *flags, "-c:s", "srt", *font, *picture)
    make(
        folder / "full.mp4",
        *inputs,
        *maps,
        *audio,
        *flags,
        "-c:s",
        "mov_text",
        "-map",
        "4",
        "-c:v:1",
        "copy",
        "-disposition:v:1",
        "attached_pic",
    )
    return folder


# -- everything is kept -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_everything_is_kept_and_the_new_track_is_the_default(movies: Path, movie_dir: Path, run_stage: Run, suffix: str) -> None:
    movie = movies / f"full{suffix}"
    before = movie.read_bytes()
    prepare(movie_dir, movie, track(language="fr", title="Français · brouillon"))
    done = run_stage("mux", movie_dir, movie=movie)
    result = result_of(movie_dir)
    assert done.stdout.split() == [str(result)]
    assert result.name == f"A_Movie.subtitled{suffix}"

    old, new = packets(movie), packets(result)
    for kind in ("video", "audio", "cover"):
        assert new[kind] == old[kind], kind
    assert new["subtitle"][:-1] == old["subtitle"]

    was, contents = probe.contents(movie), probe.contents(result)
    assert contents.chapters == was.chapters
    assert contents.fps == was.fps
    assert times(result) == times(movie)
    assert [s.title for s in contents.of_kind("audio")] == [None, "Commentary"]
    assert [s.dispositions for s in contents.of_kind("audio")] == [s.dispositions for s in was.of_kind("audio")]
    assert [s.language for s in contents.of_kind("audio")] == ["de", "en"]
    assert [s.start for s in contents.of_kind("audio")] == [s.start for s in was.of_kind("audio")]
    assert attachments(result) == attachments(movie)
    assert len(attachments(result)) == (1 if suffix == ".mkv" else 0)
    existing, made = contents.of_kind("subtitle")
    assert (existing.default, "forced" in existing.dispositions) == (False, "forced" in was.of_kind("subtitle")[0].dispositions)
    assert (made.default, made.language, made.title) == (True, "fr", "Français · brouillon")
    with av.open(str(result)) as container:
        tags = {name.lower(): value for name, value in container.metadata.items()}
        assert (tags["title"], tags["artist"], tags["date"]) == ("Ein Film", "Die Regie", "2020")
        # each container wants its own of ISO 639-2's two codes
        assert container.streams.subtitles[-1].language == ("fre" if suffix == ".mkv" else "fra")
    assert cues(result)[0] == (0.5, 1.5, "Hello <i>there</i>" if suffix == ".mkv" else "Hello there")
    assert cues(result)[1] == (1.75, 2.5, "नमस्ते")
    assert "left out" not in done.stderr
    assert movie.read_bytes() == before


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_the_same_movie_gives_the_same_bytes(movies: Path, movie_dir: Path, run_stage: Run, suffix: str) -> None:
    def digest() -> str:
        run_stage("mux", movie_dir, movie=movies / f"full{suffix}", options=["--force"])
        return hashlib.sha256(result_of(movie_dir).read_bytes()).hexdigest()

    prepare(movie_dir, movies / f"full{suffix}", track())
    assert digest() == digest()


def test_a_recording_becomes_mkv_and_its_cues_stay_in_time(movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    """The clock of a transport stream begins anywhere, and what MKV cannot hold is named."""
    data = ["-f", "data", "-i", str(movie_dir / "data")]
    (movie_dir / "data").write_bytes(bytes(1000))
    inputs = [*PICTURE, "-itsoffset", "0.5", *TONE, *data, "-map", "0", "-map", "1", "-map", "2", "-t", "3"]
    output = ["-c:v", "mpeg2video", "-bf", "2", "-c:a", "ac3", "-c:d", "copy", "-output_ts_offset", "3600", "-f", "mpegts"]
    movie = make(tmp_path / "recording.ts", *inputs, *output)
    prepare(movie_dir, movie, track())
    done = run_stage("mux", movie_dir, movie=movie)
    assert "the result is MKV: mpegts holds no such subtitles" in done.stderr
    assert "MKV cannot hold data stream 2 (unknown codec): it is left out" in done.stderr
    result = result_of(movie_dir)
    assert [cue[:2] for cue in cues(result)] == [(0.5, 1.5), (1.75, 2.5)]
    contents = probe.contents(result)
    assert contents.of_kind("video")[0].start == pytest.approx(0, abs=0.002)
    assert contents.of_kind("audio")[0].start == pytest.approx(0.5, abs=0.01)


def joined(folder: Path) -> Path:
    """Two recordings in one file: the clock begins anew in the middle."""
    output = ["-t", "3", "-c:v", "mpeg2video", "-bf", "2", "-c:a", "ac3", "-f", "mpegts"]
    part = make(folder / "part.ts", *PICTURE, "-itsoffset", "0.4", *TONE, "-map", "0", "-map", "1", *output).read_bytes()
    (folder / "joined.ts").write_bytes(part + part)
    return folder / "joined.ts"


def begun_late(folder: Path) -> Path:
    """Neither picture nor sound at 0, and the picture first."""
    output = ["-t", "3", "-c:v", "libx264", "-bf", "2", "-c:a", "libopus", "-output_ts_offset", "1.5"]
    return make(folder / "late.mkv", *PICTURE, "-itsoffset", "0.4", *TONE, "-map", "0", "-map", "1", *output)


def data_first(folder: Path) -> Path:
    """The first stream of a recording is one that MKV cannot hold."""
    (folder / "data").write_bytes(bytes(1000))
    late = ["-itsoffset", "0.3", *PICTURE, "-itsoffset", "0.6", *TONE, "-f", "data", "-i", str(folder / "data")]
    output = ["-t", "3", "-c:v", "mpeg2video", "-c:a", "ac3", "-c:d", "copy", "-f", "mpegts"]
    return make(folder / "data.ts", *late, "-map", "0", "-map", "1", "-map", "2", *output)


@pytest.mark.parametrize("recipe", [joined, begun_late, data_first])
def test_the_sound_of_the_result_is_where_the_stages_heard_it(
    recipe: Callable[[Path], Path], movie_dir: Path, tmp_path: Path, run_stage: Run
) -> None:
    movie = recipe(tmp_path)
    prepare(movie_dir, movie, track())
    run_stage("demux", movie_dir, movie=movie)
    run_stage("mux", movie_dir, movie=movie)
    run_stage("demux", tmp_path / "again", movie=result_of(movie_dir))
    heard, again = (sounding(folder / "audio" / "audio.wav") for folder in (movie_dir, tmp_path / "again"))
    early = heard.index(True) - again.index(True)  # tenths of a second; the result may begin with its first stream that is left
    assert heard[heard.index(True) :] == again[again.index(True) :]
    assert heard.index(True) > 0
    assert cues(result_of(movie_dir))[0][0] == pytest.approx(0.5 - early / 10, abs=0.06)


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("old.avi", ("-c:v", "mpeg4", "-bf", "2", "-c:a", "libmp3lame")),
        ("old.wmv", ("-c:v", "wmv2", "-c:a", "wmav2")),
    ],
)
def test_other_containers_become_mkv(movie_dir: Path, tmp_path: Path, run_stage: Run, name: str, codecs: Sequence[str]) -> None:
    movie = make(tmp_path / name, *PICTURE, *TONE, "-t", "3", *codecs)
    prepare(movie_dir, movie, track())
    done = run_stage("mux", movie_dir, movie=movie)
    assert "the result is MKV" in done.stderr
    assert packets(result_of(movie_dir))["video"] == packets(movie)["video"]
    assert decoded(result_of(movie_dir), "v:0", "a:0") == decoded(movie, "v:0", "a:0")
    assert [cue[:2] for cue in cues(result_of(movie_dir))] == [(0.5, 1.5), (1.75, 2.5)]


def test_a_quicktime_movie_that_mp4_cannot_hold_becomes_mkv_with_all_it_has(movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    (tmp_path / "old.srt").write_text(SRT, encoding="utf-8")
    (tmp_path / "tags").write_text(";FFMETADATA1\ntitle=Film\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1500\ntitle=Ä\n", encoding="utf-8")
    inputs = [*PICTURE, *TONE, "-i", str(tmp_path / "old.srt"), "-i", str(tmp_path / "tags"), "-map", "0", "-map", "1", "-map", "2"]
    options = ["-t", "3", "-map_metadata", "3", "-map_chapters", "3", "-metadata:s:a:0", "title=Ton", "-timecode", "01:00:00:00"]
    movie = make(tmp_path / "camera.mov", *inputs, *options, "-c:v", "prores", "-c:a", "pcm_s16le", "-c:s", "mov_text")
    prepare(movie_dir, movie, track(language="hi"))
    done = run_stage("mux", movie_dir, movie=movie)
    assert "the result is MKV: MP4 cannot hold prores" in done.stderr
    assert "left out" not in done.stderr
    result = result_of(movie_dir)
    contents = probe.contents(result)
    assert [s.codec for s in contents.streams] == ["prores", "pcm_s16le", "subrip", "subrip"]
    assert [s.language for s in contents.of_kind("subtitle")] == [None, "hi"]
    assert [s.title for s in contents.of_kind("audio")] == ["Ton"]
    assert [(c.start, c.title) for c in contents.chapters] == [(0, "Ä")]
    assert decoded(result, "v:0", "a:0") == decoded(movie, "v:0", "a:0")


def test_the_cover_of_an_mp4_that_becomes_mkv_is_an_attachment(movies: Path, movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    maps = [
        "-map",
        "0",
        "-map",
        "1",
        "-map",
        "2",
        "-c:v:0",
        "libx264",
        "-c:a",
        "pcm_s16le",
        "-c:v:1",
        "copy",
        "-disposition:v:1",
        "attached_pic",
    ]
    movie = make(tmp_path / "pcm.mp4", *PICTURE, *TONE, "-i", str(movies / "cover.png"), "-t", "3", *maps)
    prepare(movie_dir, movie, track())
    run_stage("mux", movie_dir, movie=movie)
    assert packets(result_of(movie_dir))["cover"] == packets(movie)["cover"]
    assert b"cover.png" in result_of(movie_dir).read_bytes()


@pytest.mark.parametrize(
    ("suffix", "codecs", "turn"),
    [
        (".mkv", ("-c:v", "libx264", "-bf", "2", "-c:a", "flac"), 90),
        (".mp4", ("-c:v", "libx264", "-bf", "2", "-c:a", "aac"), 180),
        (".mov", ("-c:v", "prores", "-c:a", "pcm_s16le"), 270),
    ],
)
def test_a_variable_rate_and_a_turned_picture_stay(
    movie_dir: Path, tmp_path: Path, run_stage: Run, suffix: str, codecs: Sequence[str], turn: int
) -> None:
    """The last is of another container than its result."""
    uneven = ["-vf", "select='not(mod(n,7))+not(mod(n,3))'", "-fps_mode", "vfr"]
    plain = make(tmp_path / f"plain{suffix}", *PICTURE, *TONE, "-t", "3", *uneven, *codecs)
    movie = make(tmp_path / f"turned{suffix}", "-display_rotation", str(turn), "-i", str(plain), "-c", "copy")
    prepare(movie_dir, movie, track())
    done = run_stage("mux", movie_dir, movie=movie)
    result = result_of(movie_dir)
    assert "left out" not in done.stderr
    assert times(result) == times(movie)
    assert len({round(b - a, 3) for a, b in zip(times(movie)[0], sorted(times(movie)[0])[1:], strict=False)}) > 1
    assert probed.extras(result).rotations == probed.extras(movie).rotations
    assert set(probed.extras(result).rotations.values()) != {0}
    assert decoded(result, "v:0", "a:0") == decoded(movie, "v:0", "a:0")


def test_webm_stays_webm_with_webvtt(movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    codecs = ["-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus", "-metadata", "title=Film"]
    movie = make(tmp_path / "web.webm", *PICTURE, *TONE, "-t", "3", *codecs)
    prepare(movie_dir, movie, track(), track(file="M.en.vtt", format="vtt"), track(file="M.fr.srt", language="fr", title="Français"))
    run_stage("mux", movie_dir, movie=movie)
    result = result_of(movie_dir)
    assert result.suffix == ".webm"
    assert probed.kind(result) == "webm"
    assert packets(result)["video"] + packets(result)["audio"] == packets(movie)["video"] + packets(movie)["audio"]
    made = probe.contents(result).of_kind("subtitle")
    assert [(s.codec, s.language, s.title) for s in made] == [("webvtt", "en", "English"), ("webvtt", "fr", "Français")]
    assert cues(result)[1] == (1.75, 2.5, "नमस्ते")


def test_webm_with_what_it_should_not_hold_becomes_mkv() -> None:
    movie = media("matroska,webm", stream("video", "vp9"), AUDIO)
    made = plan.make(movie, [track()], CODECS, "webm")
    assert (made.target, made.why) == (plan.MKV, "WebM cannot hold aac")


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm"])
def test_every_new_track_has_its_language_title_and_flags(
    movies: Path, movie_dir: Path, tmp_path: Path, run_stage: Run, suffix: str
) -> None:
    """What was said, in English, and for the deaf."""
    movie = movies / f"full{suffix}"
    if suffix == ".webm":
        movie = make(tmp_path / "web.webm", *PICTURE, *TONE, "-t", "3", "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus")
    said = track(file="M.hi.srt", language="hi", title="Hindi", default=False)
    deaf = track(file="M.en.sdh.srt", title="English SDH", default=False, hearing_impaired=True)
    prepare(movie_dir, movie, said, track(), deaf)
    run_stage("mux", movie_dir, movie=movie)
    made = probe.contents(result_of(movie_dir)).of_kind("subtitle")[-3:]
    assert [(s.language, s.title) for s in made] == [("hi", "Hindi"), ("en", "English"), ("en", "English SDH")]
    assert [s.dispositions for s in made[:2]] == [[], ["default"]]
    assert made[2].dispositions == {".mkv": ["hearing_impaired"], ".mp4": ["hearing_impaired", "captions"], ".webm": ["captions"]}[suffix]
    with av.open(str(result_of(movie_dir))) as container:
        assert [s.language for s in container.streams.subtitles][-3:] == ["hin", "eng", "eng"]


@pytest.mark.parametrize(("wanted", "codec"), [("srt", "subrip"), ("ass", "ass")])
def test_mkv_takes_srt_or_ass(movies: Path, movie_dir: Path, run_stage: Run, wanted: str, codec: str) -> None:
    prepare(movie_dir, movies / "full.mkv", track(), track(file="M.en.ass", format="ass"))
    run_stage("mux", movie_dir, movie=movies / "full.mkv", options=[f"--mkv-format={wanted}"])
    made = probe.contents(result_of(movie_dir)).of_kind("subtitle")
    assert [s.codec for s in made] == ["subrip", codec]
    assert [cue[:2] for cue in cues(result_of(movie_dir))] == [(0.5, 1.5), (1.75, 2.5)]
    assert (b"Style: Ann" in result_of(movie_dir).read_bytes()) == (wanted == "ass")


def test_mp4_made_of_nothing_but_ass_has_the_text(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    prepare(movie_dir, movies / "full.mp4", track(file="M.en.ass", format="ass"))
    run_stage("mux", movie_dir, movie=movies / "full.mp4")
    assert cues(result_of(movie_dir)) == [(0.5, 1.5, "Hello there"), (1.75, 2.5, "नमस्ते")]


def test_tags_that_are_lost_are_named_and_those_of_a_camera_are_kept(movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    tags = ["-metadata", "title=Film", "-metadata", "com.apple.quicktime.model=Phone", "-movflags", "+use_metadata_tags"]
    phone = make(tmp_path / "phone.mp4", *PICTURE, *TONE, "-t", "3", "-c:v", "libx264", "-c:a", "aac", *tags)
    prepare(movie_dir, phone, track())
    assert "left out" not in run_stage("mux", movie_dir, movie=phone).stderr
    with av.open(str(result_of(movie_dir))) as container:
        assert (container.metadata["title"], container.metadata["com.apple.quicktime.model"]) == ("Film", "Phone")
        assert container.metadata["major_brand"] == "isom"

    own = ["-metadata", "mood=sad", "-movflags", "+use_metadata_tags"]
    odd = make(tmp_path / "odd.mp4", *PICTURE, *TONE, "-t", "3", "-c:v", "libx264", "-c:a", "aac", *own)
    prepare(movie_dir, odd, track())
    done = run_stage("mux", movie_dir, movie=odd)
    assert "MP4 cannot hold the tag mood: it is left out" in done.stderr


def test_a_first_cue_late_in_the_movie_waits_for_it(movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    """MP4's header waits for the first cue; a movie has thousands of packets before it."""
    output = ["-t", "300", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]
    movie = make(tmp_path / "long.mp4", "-f", "lavfi", "-i", "color=size=32x32:rate=10", *TONE, *output)
    prepare(movie_dir, movie, track())
    (movie_dir / "subtitles" / "M.en.srt").write_text("1\n00:04:50,000 --> 00:04:52,000\nLate\n", encoding="utf-8")
    run_stage("mux", movie_dir, movie=movie)
    assert cues(result_of(movie_dir)) == [(290, 292, "Late")]


def test_a_movie_without_speech_is_copied_and_that_is_said(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    prepare(movie_dir, movies / "full.mkv", track(num_cues=0))
    done = run_stage("mux", movie_dir, movie=movies / "full.mkv")
    assert "there are no cues: the movie is copied without a new subtitle track" in done.stderr
    before, after = (probe.contents(path) for path in (movies / "full.mkv", result_of(movie_dir)))
    assert [(s.kind, s.codec, s.dispositions) for s in after.streams] == [(s.kind, s.codec, s.dispositions) for s in before.streams]


def test_no_subtitle_files_at_all_are_another_reason(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    prepare(movie_dir, movies / "full.mkv")
    done = run_stage("mux", movie_dir, movie=movies / "full.mkv")
    assert "there are no SRT, WebVTT or ASS files: the movie is copied without a new subtitle track" in done.stderr


def test_the_manifest_knows_the_result_by_its_identity_and_sees_an_edit(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    prepare(movie_dir, movies / "full.mkv", track())
    run_stage("mux", movie_dir, movie=movies / "full.mkv")
    result = result_of(movie_dir)
    manifest = json.loads((movie_dir / "manifests" / "10_mux.json").read_text(encoding="utf-8"))
    assert manifest["outputs"][result.name]["sha256"] == movie_identity(result)
    with open(result, "ab") as f:
        f.write(b"x")
    assert f"{result.name} was edited since; the edit is kept" in run_stage("mux", movie_dir, movie=movies / "full.mkv").stderr


def test_two_languages_and_one_of_two_formats(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    english = [track(), track(file="M.en.vtt", format="vtt")]
    hindi = track(file="M.hi.vtt", format="vtt", language="hi", title="हिन्दी", default=False)
    prepare(movie_dir, movies / "full.mkv", *english, hindi)
    run_stage("mux", movie_dir, movie=movies / "full.mkv")
    made = probe.contents(result_of(movie_dir)).of_kind("subtitle")[1:]
    assert [(s.language, s.title, s.codec, s.default) for s in made] == [
        ("en", "English", "subrip", True),
        ("hi", "हिन्दी", "subrip", False),
    ]
    assert [cue[:2] for cue in cues(result_of(movie_dir))] == [(0.5, 1.5), (1.75, 2.5)]


def test_any_file_name_and_title(movies: Path, tmp_path: Path, run_stage: Run) -> None:
    name = "-a'b\"c; $HOME\n😀 %d [x],y=z\\"
    movie, movie_dir = tmp_path / f"{name}.mkv", tmp_path / "out" / name
    os.link(movies / "full.mkv", movie)
    prepare(movie_dir, movie, track(file=f"{name}.en.srt", title=name))
    run_stage("mux", movie_dir, options=[f"--input={movie.name}"])
    result = movie_dir / f"{name}.subtitled.mkv"
    assert probe.contents(result).of_kind("subtitle")[-1].title == name
    assert len(cues(result)) == 2


# -- nothing half-done --------------------------------------------------------------------------------------------------


def test_a_failure_leaves_the_old_result_and_nothing_else(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    prepare(movie_dir, movies / "full.mkv", track())
    run_stage("mux", movie_dir, movie=movies / "full.mkv")
    result = result_of(movie_dir)
    before, names = result.read_bytes(), sorted(path.name for path in movie_dir.iterdir())
    media = json.loads((movie_dir / "media.json").read_text(encoding="utf-8"))
    media["streams"].append({"index": 99, "kind": "audio", "codec": "aac"})
    write_json(movie_dir / "media.json", media)
    done = run_stage("mux", movie_dir, movie=movies / "full.mkv", check=False)
    assert done.returncode == 3
    assert "media.json does not describe full.mkv" in done.stderr
    assert result.read_bytes() == before
    assert sorted(path.name for path in movie_dir.iterdir()) == names


def test_a_result_that_is_not_as_planned_never_gets_its_name(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    prepare(movie_dir, movies / "full.mkv", track())
    media = json.loads((movie_dir / "media.json").read_text(encoding="utf-8"))
    write_json(movie_dir / "media.json", {**media, "duration": 60.0})
    done = run_stage("mux", movie_dir, movie=movies / "full.mkv", check=False)
    assert done.returncode == 6
    assert "the muxed movie is not as planned: it lasts 3.0 s instead of 60.0 s" in done.stderr
    assert not list(movie_dir.glob("*.mkv")) + list(movie_dir.glob(".tmp-*"))


def test_a_media_json_of_another_movie_is_refused(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    """It says which streams are copied: a false one made a copy of the subtitles alone."""
    prepare(movie_dir, movies / "full.mkv", track())
    media = json.loads((movie_dir / "media.json").read_text(encoding="utf-8"))
    write_json(movie_dir / "media.json", {**media, "streams": [s for s in media["streams"] if s["kind"] == "subtitle"]})
    done = run_stage("mux", movie_dir, movie=movies / "full.mkv", check=False)
    assert done.returncode == 3
    assert "media.json does not describe full.mkv\n  → run the stage demux again" in done.stderr
    assert not list(movie_dir.glob("*.mkv"))


def test_a_thousand_lost_tags_are_said_in_a_few_lines(movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    tags = [text for n in range(1000) for text in ("-metadata", f"tag{n}=x")]
    movie = make(
        tmp_path / "tags.mov", *PICTURE, *TONE, "-t", "1", "-c:v", "mpeg4", "-c:a", "aac", "-movflags", "+use_metadata_tags", *tags
    )
    prepare(movie_dir, movie, track())
    said = run_stage("mux", movie_dir, movie=movie).stderr
    assert "cannot hold 992 more such: they are left out" in said
    assert len(said.splitlines()) < 16


def fake_ffmpeg(folder: Path, does: str) -> Path:
    """An ffmpeg that names itself and, when it should work, does something else."""
    path = folder / "ffmpeg"
    path.write_text(f'#!/bin/sh\n[ "$1" = -version ] && echo "ffmpeg version 9.9" && exit\n{does}\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def test_an_ffmpeg_that_crashes_is_named(movies: Path, movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    prepare(movie_dir, movies / "full.mkv", track())
    crashing = fake_ffmpeg(tmp_path, "kill -SEGV $$")
    done = run_stage("mux", movie_dir, movie=movies / "full.mkv", env={"FFMPEG": str(crashing)}, check=False)
    assert done.returncode == 6
    assert "ffmpeg ended with SIGSEGV" in done.stderr
    assert not list(movie_dir.glob("*.mkv"))


def test_an_interrupted_stage_takes_ffmpeg_with_it(movies: Path, movie_dir: Path, tmp_path: Path) -> None:
    prepare(movie_dir, movies / "full.mkv", track())
    hanging = fake_ffmpeg(tmp_path, f"echo $$ > '{tmp_path}/pid'\nexec sleep 60")
    python, script = NATIVE / "venvs" / "mux" / "bin" / "python", NATIVE / "stages" / "10_mux.py"
    command = [python, script, "--movie-dir", movie_dir, "--input", movies / "full.mkv", "--ffmpeg", hanging]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stage:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert stage.poll() is None
            time.sleep(0.05)
        stage.terminate()
        _, said = stage.communicate(timeout=20)
    assert stage.returncode == 130
    assert "interrupted" in said
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert not list(movie_dir.glob(".tmp-*"))


def test_a_movie_that_does_not_fit_is_refused_before_it_is_copied(movies: Path, movie_dir: Path, tmp_path: Path, run_stage: Run) -> None:
    prepare(movie_dir, movies / "full.mkv", track())
    movie = tmp_path / "huge.mkv"
    movie.write_bytes((movies / "full.mkv").read_bytes())
    os.truncate(movie, 8 << 40)  # a hole: it takes no space
    done = run_stage("mux", movie_dir, movie=movie, check=False)
    assert done.returncode == 5
    assert "GiB are needed in" in done.stderr
    assert not list(movie_dir.glob("*.mkv"))


def test_the_movie_itself_is_never_the_result(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    movie = movie_dir / "A_Movie.subtitled.mkv"
    movie.write_bytes((movies / "full.mkv").read_bytes())
    prepare(movie_dir, movie, track())
    done = run_stage("mux", movie_dir, movie=movie, check=False)
    assert done.returncode == 2
    assert movie.read_bytes() == (movies / "full.mkv").read_bytes()


def test_a_subtitle_file_that_is_gone_is_missed(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    prepare(movie_dir, movies / "full.mkv", track())
    (movie_dir / "subtitles" / "M.en.srt").unlink()
    done = run_stage("mux", movie_dir, movie=movies / "full.mkv", check=False)
    assert done.returncode == 3
    assert "subtitles/M.en.srt is missing" in done.stderr


def test_another_container_replaces_the_result_of_the_one_before(movies: Path, movie_dir: Path, run_stage: Run) -> None:
    for suffix in (".mkv", ".mp4"):
        prepare(movie_dir, movies / f"full{suffix}", track())
        run_stage("mux", movie_dir, movie=movies / f"full{suffix}")
    assert result_of(movie_dir).suffix == ".mp4"


def test_the_doctor_makes_both_containers(run_stage: Run) -> None:
    report = json.loads(run_stage("mux", None, options=["--check"]).stdout)
    assert report["ok"]
    assert report["result"].startswith("MKV with subrip and MP4 with mov_text by ffmpeg")


# -- the plan -----------------------------------------------------------------------------------------------------------

VIDEO, AUDIO = stream("video", "h264"), stream("audio", "aac")


@pytest.mark.parametrize(
    ("container", "streams", "target", "why"),
    [
        ("matroska,webm", [VIDEO, AUDIO], plan.MKV, ""),
        ("mov,mp4,m4a,3gp,3g2,mj2", [VIDEO, AUDIO], plan.MP4, ""),
        ("mov,mp4,m4a,3gp,3g2,mj2", [stream("video", "prores"), AUDIO], plan.MKV, "MP4 cannot hold prores, or not for every player"),
        ("mov,mp4,m4a,3gp,3g2,mj2", [VIDEO, stream("audio", "pcm_s16le")], plan.MKV, "MP4 cannot hold pcm_s16le, or not for every player"),
        ("avi", [VIDEO, AUDIO], plan.MKV, "avi holds no such subtitles"),
    ],
)
def test_the_movie_asks_for_its_container(container: str, streams: list[Stream], target: plan.Target, why: str) -> None:
    made = plan.make(media(container, *streams), [track()], CODECS)
    assert (made.target, made.why) == (target, why)


def test_what_mkv_cannot_hold_is_named() -> None:
    streams = [
        VIDEO,
        AUDIO,
        stream("subtitle", "", language="de", title="Videotext"),
        stream("subtitle", "dvb_subtitle"),
        stream("data", "klv"),
    ]
    made = plan.make(media("mpegts", *streams), [track()], CODECS)
    assert [s.index for s in made.streams] == [0, 1, 3]
    assert made.left_out == ["subtitle track 2 (unknown codec, de, Videotext)", "data stream 4 (klv)"]


@pytest.mark.parametrize(
    ("data", "chapters", "left_out"),
    [
        (stream("data", timecode="01:00:00:00"), 0, []),
        (stream("data"), 1, []),
        (stream("data"), 0, ["data stream 2 (unknown codec)"]),
    ],
)
def test_timecode_and_chapters_of_mp4_are_made_anew_and_other_data_is_not(data: Stream, chapters: int, left_out: list[str]) -> None:
    movie = media("mov,mp4", VIDEO, AUDIO, data, chapters=chapters)
    assert plan.make(movie, [], CODECS).left_out == left_out


def test_a_default_subtitle_keeps_its_other_flags() -> None:
    old = stream("subtitle", "subrip", dispositions=["default", "forced", "hearing_impaired"])
    made = plan.make(media("matroska,webm", VIDEO, AUDIO, old), [track()], CODECS)
    assert made.dispositions(made.streams[2]) == ["forced", "hearing_impaired"]
    beside = plan.make(media("matroska,webm", VIDEO, AUDIO, old), [track(default=False)], CODECS)
    assert beside.dispositions(beside.streams[2]) == old.dispositions


@pytest.mark.parametrize(
    ("language", "mkv", "mp4"),
    [
        ("en", "eng", "eng"),
        ("fr", "fre", "fra"),
        ("hi", "hin", "hin"),
        ("zh", "chi", "zho"),
        ("haw", "haw", "haw"),
        ("und", "und", "und"),
        ("xx", "und", "und"),
    ],
)
def test_the_language_tag_is_iso_639_2(language: str, mkv: str, mp4: str) -> None:
    tags = [command.language_tag(track(language=language), target.language_variant) for target in (plan.MKV, plan.MP4)]
    assert tags == [mkv, mp4]


# -- the check of the result --------------------------------------------------------------------------------------------

NEW = stream("subtitle", "subrip", language="en", title="English", dispositions=["default"])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, ""),
        ({"streams": [VIDEO, NEW]}, "audio: none instead of aac"),
        ({"streams": [VIDEO, VIDEO, AUDIO, NEW]}, "video: h264, h264 instead of h264"),
        ({"streams": [VIDEO, AUDIO]}, "subtitle: none instead of subrip"),
        ({"streams": [VIDEO, AUDIO, NEW.model_copy(update={"language": "de"})]}, "language: de instead of en"),
        ({"streams": [VIDEO, AUDIO, NEW.model_copy(update={"dispositions": []})]}, "flags: none instead of default"),
        ({"streams": [VIDEO, AUDIO, NEW.model_copy(update={"title": "German"})]}, "title: German instead of English"),
        ({"duration": 3.0}, "it lasts 3.0 s instead of 10.0 s"),
        ({"chapters": []}, "0 chapters instead of 1"),
    ],
)
def test_every_fault_of_the_result_is_found(change: dict[str, Any], fault: str) -> None:
    movie = media("matroska,webm", VIDEO, AUDIO, chapters=1)
    made = plan.make(movie, [track()], CODECS)
    good = Contents(container="matroska,webm", duration=10.5, streams=[VIDEO, AUDIO, NEW], chapters=movie.chapters)
    faults = verify.faults(made, movie, good.model_copy(update=change))
    assert bool(faults) == bool(fault)
    assert fault in "; ".join(faults)
