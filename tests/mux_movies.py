"""Movies of three seconds that tests of mux make with ffmpeg, the files that the stages before mux leave, and what a result holds."""

from __future__ import annotations

import hashlib
import subprocess
import wave
from collections import defaultdict
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
from av.stream import Disposition

from reelscribe import probe
from reelscribe.artifacts import write_json
from reelscribe.schemas import AudioTrack, Chapter, Media, Stream, Track, Tracks

PICTURE = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25")
TONE = ("-f", "lavfi", "-i", "sine=400:sample_rate=48000")
SRT = "1\n00:00:00,500 --> 00:00:01,500\nHello <i>there</i>\n\n2\n00:00:01,750 --> 00:00:02,500\nनमस्ते\n"
ASS = """[Script Info]
ScriptType: v4.00+
PlayResX: 640
PlayResY: 480

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Alignment
Style: Ann,Arial,40,&H0000FF00,2

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.50,0:00:01.50,Ann,,0,0,0,,Hello there
Dialogue: 0,0:00:01.75,0:00:02.50,Ann,,0,0,0,,नमस्ते
"""
VTT = "WEBVTT\n\n00:00.500 --> 00:01.500\nHello there\n\n00:01.750 --> 00:02.500\nनमस्ते\n"

CODECS = {
    "mp4": frozenset(["h264", "aac", "mov_text", "pcm_s16le"]),
    "matroska": frozenset(["h264", "aac", "subrip", "dvb_subtitle"]),
    "webm": frozenset(["vp9", "opus", "webvtt"]),
}


def make(path: Path, *arguments: str) -> Path:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", *arguments, f"file:{path}"], check=True)
    return path


def track(**fields: Any) -> Track:
    return Track(**{"file": "M.en.srt", "format": "srt", "language": "en", "title": "English", "num_cues": 2, **fields})


def prepare(movie_dir: Path, movie: Path, *tracks: Track) -> None:
    """The files that the stages before mux leave."""
    contents = probe.contents(movie)
    number = next(s.index for s in contents.streams if s.kind == "audio")
    chosen = AudioTrack(index=number, reason="", downmix="", start=0)
    write_json(movie_dir / "media.json", Media(**dict(contents), audio=chosen, num_samples=0))
    write_json(movie_dir / "subtitles" / "tracks.json", Tracks(tracks=list(tracks)))
    for one in tracks:
        (movie_dir / "subtitles" / one.file).write_text({"srt": SRT, "vtt": VTT, "ass": ASS}[one.format], encoding="utf-8")


def result_of(movie_dir: Path) -> Path:
    (path,) = movie_dir.glob("*.subtitled.*")
    return path


def packets(path: Path) -> dict[str, list[str]]:
    """By kind: the digest of each stream's packets, in order; covers are their own kind."""
    found: dict[int, Any] = defaultdict(hashlib.sha256)
    with probe.opened(path) as container:
        for packet in container.demux():
            found[packet.stream_index].update(bytes(packet))
    kinds = {s.index: "cover" if s.cover else s.kind for s in probe.contents(path).streams}
    digests: dict[str, list[str]] = defaultdict(list)
    for index in sorted(found):
        digests[kinds[index]].append(found[index].hexdigest())
    return digests


def attachments(path: Path) -> list[tuple[bytes, str | None, str | None]]:
    """Content, file name and MIME type of each, without covers."""
    with probe.opened(path) as container:
        files = container.streams.attachments
        return [(bytes(s.data), s.metadata.get("filename"), s.metadata.get("mimetype")) for s in files]


def times(path: Path) -> dict[int, list[float]]:
    """By stream: when each packet is shown, in milliseconds from the beginning; without covers and subtitles."""
    found: dict[int, list[float]] = defaultdict(list)
    with probe.opened(path) as container:
        streams = [s for s in (*container.streams.video, *container.streams.audio) if not s.disposition & Disposition.attached_pic]
        for packet in container.demux(streams):
            if packet.pts is not None:
                found[packet.stream_index].append(
                    round(float(packet.pts * packet.time_base - streams[0].start_time * streams[0].time_base), 3)
                )
    return found


def decoded(path: Path, *streams: str) -> list[str]:
    """The digest of each stream's decoded pictures or samples; streams: "v:0", "a:1"."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-noautorotate", "-i", f"file:{path}"]
    outputs = [("-map", f"0:{name}", "-fps_mode", "passthrough", "-f", "hash", "-") for name in streams]
    return [subprocess.run([*command, *output], check=True, capture_output=True, text=True).stdout for output in outputs]


def cues(path: Path) -> list[tuple[float, float, str]]:
    """(start, end, text) of the last subtitle track, on the movie's timeline."""
    with av.open(f"file:{path}") as container:
        begin = (container.start_time or 0) / 1e6
        found = [p for p in container.demux(container.streams.subtitles[-1]) if p.size and p.duration]
        times = [(float(p.pts * p.time_base) - begin, float((p.pts + p.duration) * p.time_base) - begin) for p in found]
        # mov_text: two bytes of length before the text
        texts = [bytes(p)[2:] if container.format.name.startswith("mov") else bytes(p) for p in found]
    pairs = zip(times, texts, strict=True)
    return [(round(a, 3), round(b, 3), text.split(b"\0")[0].decode()) for (a, b), text in pairs if text]


def sounding(wav: Path) -> list[bool]:
    """Whether there is a sound, for each tenth of a second."""
    with wave.open(str(wav)) as f:
        samples = np.frombuffer(f.readframes(f.getnframes()), "<i2")
    whole = samples[: len(samples) // 1600 * 1600].reshape(-1, 1600)
    return [bool(sounds) for sounds in np.abs(whole[:, 400:1200].astype(int)).max(axis=1) > 300]


def media(container: str, *streams: Stream, chapters: int = 0) -> Media:
    return Media(
        container=container,
        duration=10,
        streams=[s.model_copy(update={"index": number}) for number, s in enumerate(streams)],
        chapters=[Chapter(start=0, end=1)] * chapters,
        audio=AudioTrack(index=1, reason="", downmix="", start=0),
        num_samples=0,
    )


def stream(kind: str, codec: str = "", **fields: Any) -> Stream:
    return Stream(**{"index": 0, "kind": kind, "codec": codec, **fields})
