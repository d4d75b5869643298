"""ffmpeg: which one is used, what it may read, and how it fails."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import imageio_ffmpeg
import psutil
import pytest

from reelscribe import ffmpeg
from reelscribe.errors import MissingToolError, OutOfSpaceError
from reelscribe.limits import Limits

EMBEDDED = imageio_ffmpeg.get_ffmpeg_exe()
TONE = ("-f", "lavfi", "-i", "sine=duration=2")


def fake(folder: Path, banner: str) -> Path:
    """A program called ffmpeg that says `banner`."""
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\necho '{banner}'\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    ("banner", "used"),
    [
        ("ffmpeg version 7.1.1 Copyright", True),
        ("ffmpeg version n6.0-12-gabc Copyright", True),
        ("ffmpeg version 5.1.9-0+deb12u1 Copyright", True),
        ("ffmpeg version N-118000-g1234 Copyright", True),
        ("ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright", False),
        ("Segmentation fault", False),
    ],
)
def test_the_systems_ffmpeg_is_used_when_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, banner: str, used: bool) -> None:
    system = fake(tmp_path, banner)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert ffmpeg.find() == (str(system) if used else EMBEDDED)
    assert ffmpeg.described() == (f"ffmpeg {banner.split()[2]}" if used else "embedded ffmpeg")


def test_the_one_asked_for_is_used_or_missed(tmp_path: Path) -> None:
    old = fake(tmp_path, "ffmpeg version 4.4")
    assert ffmpeg.find(str(old)) == str(old)
    with pytest.raises(MissingToolError, match="no ffmpeg that runs"):
        ffmpeg.find(str(tmp_path / "nothing"))


def test_progress_is_told_in_seconds(tmp_path: Path) -> None:
    told: list[float] = []
    ffmpeg.run(EMBEDDED, [*TONE, ffmpeg.address(tmp_path / "tone.wav")], on_time=told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(2, abs=0.05)


def test_a_failure_says_what_ffmpeg_said(tmp_path: Path) -> None:
    with pytest.raises(ffmpeg.FfmpegError) as caught:
        ffmpeg.run(EMBEDDED, [*ffmpeg.source(tmp_path / "nothing.mkv"), "-f", "null", "-"])
    assert caught.value.status > 0
    assert "No such file or directory" in str(caught.value)
    assert caught.value.remedy


def test_a_full_disk_is_no_fault_of_the_movie() -> None:
    if not Path("/dev/full").exists():
        return  # macOS has no such device
    with pytest.raises(OutOfSpaceError):
        ffmpeg.run(EMBEDDED, [*TONE, "-f", "wav", ffmpeg.address(Path("/dev/full"))])


@pytest.mark.parametrize(
    ("arguments", "limits", "said"),
    [
        (["-re", "-f", "lavfi", "-i", "sine", "-f", "null", "-"], Limits(clock_s=1), "worked for 1 s"),
        (["-f", "lavfi", "-i", "sine", "-f", "null", "-"], Limits(cpu_s=1), "computed for 1 s"),
        (["-f", "lavfi", "-i", "sine", "-f", "s16le", "{folder}/endless"], Limits(file_size=1 << 20), "wrote a file of 1 MiB"),
        (
            # One block: a filter that hoards and is given no more may go on for ever.
            ["-f", "lavfi", "-i", "color=size=16000x16000,format=rgba", "-frames:v", "1", "-f", "null", "-"],
            Limits(memory=600 << 20),
            "asked for 600 MiB of memory",
        ),
    ],
    ids=["clock", "computing", "file", "memory"],
)
def test_ffmpeg_takes_no_more_than_it_may(tmp_path: Path, arguments: list[str], limits: Limits, said: str) -> None:
    if "memory" in said and sys.platform == "darwin":
        return  # macOS keeps no limit of memory
    with pytest.raises(ffmpeg.LimitError, match=said) as caught:
        ffmpeg.run(EMBEDDED, [a.format(folder=tmp_path) for a in arguments], limits=limits)
    assert caught.value.code == 3
    assert caught.value.remedy


def test_a_long_line_of_ffmpeg_is_cut(tmp_path: Path) -> None:
    script = tmp_path / "ffmpeg"
    script.write_text("#!/bin/sh\nhead -c 100000 /dev/zero | tr '\\0' x >&2\nexit 3\n", encoding="utf-8")
    script.chmod(0o755)
    with pytest.raises(ffmpeg.FfmpegError) as caught:
        ffmpeg.run(str(script), [])
    assert len(str(caught.value)) < 600


def test_ffmpeg_ends_with_the_block_that_reads_it() -> None:
    endless = ["-f", "lavfi", "-i", "sine", "-f", "s16le", "pipe:1"]
    with pytest.raises(KeyError), ffmpeg.running(EMBEDDED, endless) as stdout:
        assert len(stdout.read(1000)) == 1000
        raise KeyError  # whatever goes wrong; without an end to ffmpeg the test would hang here


def test_a_lot_of_complaints_block_nothing(tmp_path: Path) -> None:
    script = tmp_path / "ffmpeg"
    script.write_text('#!/bin/sh\ni=0\nwhile [ $i -lt 20000 ]; do echo "complaint $i" >&2; i=$((i+1)); done\nexit 3\n', encoding="utf-8")
    script.chmod(0o755)
    with pytest.raises(ffmpeg.FfmpegError) as caught:
        ffmpeg.run(str(script), [])
    assert caught.value.status == 3
    assert "complaint 19999" in str(caught.value)
    assert "complaint 1\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    ["#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {other}\n"],
    ids=["HLS", "concat"],
)
@pytest.mark.parametrize("suffix", [".mkv", ".m3u8", ".txt"])
def test_a_playlist_reads_no_other_file(tmp_path: Path, content: str, suffix: str) -> None:
    other = tmp_path / "private.ts"
    ffmpeg.run(EMBEDDED, [*TONE, "-c:a", "ac3", ffmpeg.address(other)])
    playlist = tmp_path / f"movie{suffix}"
    playlist.write_text(content.format(other=other), encoding="utf-8")
    with pytest.raises(ffmpeg.FfmpegError):
        ffmpeg.run(EMBEDDED, [*ffmpeg.source(playlist), ffmpeg.address(tmp_path / "stolen.wav")])
    assert not (tmp_path / "stolen.wav").exists()


def test_only_files_and_pipes_are_read(tmp_path: Path) -> None:
    arguments = ffmpeg.source(tmp_path / "a.mkv", "-f", "srt", containers="srt")
    assert arguments[arguments.index("-protocol_whitelist") + 1] == "file,pipe"
    assert arguments[arguments.index("-format_whitelist") + 1] == "srt"
    assert arguments[-1] == f"file:{tmp_path / 'a.mkv'}"
    formats = ffmpeg.CONTAINERS.split(",")
    assert not {"hls", "dash", "concat", "image2", "tty", "sdp", "imf", "webm_dash_manifest", "dvdvideo", "vobsub"}.intersection(formats)


def test_a_relative_name_with_a_dash_or_a_colon_is_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert ffmpeg.address(Path("-http:a.mkv")) == f"file:{tmp_path}/-http:a.mkv"


@pytest.mark.parametrize(
    ("container", "jumps"), [("mpegts", True), ("mpeg", True), ("ogg", True), ("matroska,webm", False), ("mov,mp4,m4a,3gp,3g2,mj2", False)]
)
def test_a_clock_that_may_jump_is_watched(container: str, jumps: bool) -> None:
    assert bool(ffmpeg.keeping_time(container)) == jumps


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone knows how")
def test_it_ends_with_a_stage_that_is_killed_and_has_no_supervisor() -> None:
    code = f"""
        import psutil, threading
        from reelscribe import ffmpeg
        def say():
            while not (found := [c.pid for c in psutil.Process().children() if c.name().startswith("ffmpeg")]):
                pass
            print(*found, flush=True)
        threading.Thread(target=say, daemon=True).start()
        ffmpeg.run({EMBEDDED!r}, ["-re", "-f", "lavfi", "-i", "sine=duration=60", "-f", "null", "-"])
    """
    stage = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert stage.stdout
    tool = psutil.Process(int(stage.stdout.readline()))
    stage.kill()
    stage.communicate()
    deadline = time.monotonic() + 30
    while tool.is_running() and tool.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "ffmpeg works on for nobody"
        time.sleep(0.05)
