# /// script
# requires-python = ">=3.10"
# dependencies = ["imageio-ffmpeg==0.6.0", "numpy==2.2.6", "pillow==12.0.0", "soxr==1.0.0"]
# ///
"""Make ../station.mp4 and its truth (station.json, station.rttm) from script.tsv, voices.tsv and pronounce.tsv.

Run it through ../make_station.sh. Times are seconds on the movie's timeline, measured where each sentence was placed.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import imageio_ffmpeg
import numpy as np
import soxr
from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "fixtures" / "recipe"))
from espeak import speak  # noqa: E402  (the fixture recipe owns it)

SAMPLE_RATE, FPS, WIDTH, HEIGHT = 48000, 24, 640, 360
TITLE, CHAPTERS = "The Station at Midnight", ("Sarah and Stephen", "Inspector Karl")
SENTENCE_PAUSE_S, TAIL_S = 0.35, 2.5
SPEECH_RMS, ROOM_RMS, TRAIN_RMS = 0.1, 0.001, 0.012
SHOTS = {"wide": (0, 0, 1280), "two": (210, 250, 640), "karl": (600, 280, 560)}  # left, top, width on the 1280x720 stage


@dataclass
class Sentence:
    """start, end: seconds; words: (word, start or None); samples: (num_samples,) at SAMPLE_RATE."""

    line: int
    speaker: str
    text: str
    start: float
    words: list[tuple[str, float | None]]
    samples: np.ndarray

    @property
    def end(self) -> float:
        return self.start + len(self.samples) / SAMPLE_RATE


def rows(name: str) -> list[dict[str, str]]:
    with open(HERE / name, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f, delimiter="\t"))


def perform(script: list[dict[str, str]]) -> list[Sentence]:
    """Speak the script sentence by sentence and place each one."""
    voices = {v["speaker"]: v for v in rows("voices.tsv")}
    spoken_as = {p["written"]: p["spoken"] for p in rows("pronounce.tsv")}
    sentences, now = [], 0.0
    for line, row in enumerate(script):
        voice, pause_s = voices[row["speaker"]], float(row["pause_s"])
        for text in row["text"].replace("? ", "?|").replace(". ", ".|").split("|"):
            spoken = text
            for written, said in spoken_as.items():
                spoken = spoken.replace(written, said)
            speech = speak(text, voice["voice"], int(voice["words_per_minute"]), int(voice["pitch"]), spoken)
            samples = soxr.resample(speech.samples, speech.sample_rate, SAMPLE_RATE)
            samples *= SPEECH_RMS / np.sqrt(np.mean(samples**2))
            now = round((now + pause_s) * SAMPLE_RATE) / SAMPLE_RATE
            words = [(word, None if at is None else now + at) for word, at in speech.words]
            sentences.append(Sentence(line, row["speaker"], text, now, words, samples))
            now, pause_s = sentences[-1].end, SENTENCE_PAUSE_S
    return sentences


def soundtrack(sentences: list[Sentence], duration_s: float, train: tuple[float, float]) -> np.ndarray:
    """(num_samples,) float: the speech over a quiet room and one passing train, both from a seeded brown noise."""
    audio = np.zeros(round(duration_s * SAMPLE_RATE))
    brown = np.cumsum(np.random.default_rng(24).normal(size=len(audio)))
    brown -= np.convolve(brown[::100], np.ones(200) / 200, "same").repeat(100)[: len(audio)]
    brown /= np.sqrt(np.mean(brown**2))
    t = np.arange(len(audio)) / SAMPLE_RATE
    passing = np.exp(-(((t - np.mean(train)) / (0.3 * (train[1] - train[0]))) ** 2) * 2)
    audio += brown * (ROOM_RMS + TRAIN_RMS * passing)
    for s in sentences:
        i = round(s.start * SAMPLE_RATE)
        audio[i : i + len(s.samples)] += s.samples
    return audio


def backdrop() -> Image.Image:
    """The empty platform at night, 1280x720."""
    image = Image.new("RGB", (1280, 720))
    draw = ImageDraw.Draw(image)
    for y in range(720):
        draw.line([(0, y), (1280, y)], fill=(10 + y // 40, 14 + y // 26, 38 + y // 14))
    stars = np.random.default_rng(7)
    for x, y in zip(stars.integers(0, 1280, 120), stars.integers(0, 260, 120), strict=True):
        draw.point((int(x), int(y)), fill=(190, 195, 215))
    draw.ellipse((1040, 60, 1110, 130), fill=(236, 232, 205))
    draw.polygon([(60, 330), (250, 230), (440, 330)], fill=(40, 30, 40))
    draw.rectangle((90, 330, 410, 520), fill=(58, 42, 48))
    for x in (120, 215, 310):
        draw.rectangle((x, 370, x + 62, 450), fill=(235, 190, 105))
        draw.line([(x + 31, 370), (x + 31, 450)], fill=(58, 42, 48), width=4)
    draw.rectangle((0, 500, 1280, 520), fill=(26, 26, 34))  # track bed
    draw.rectangle((0, 520, 1280, 720), fill=(66, 66, 76))  # platform
    draw.rectangle((0, 520, 1280, 530), fill=(212, 190, 90))
    glow = Image.new("RGB", image.size)
    lamps = ImageDraw.Draw(glow)
    for x in (520, 940):
        draw.rectangle((x - 4, 250, x + 4, 540), fill=(20, 20, 26))
        draw.ellipse((x - 16, 226, x + 16, 258), fill=(255, 236, 180))
        lamps.ellipse((x - 110, 130, x + 110, 350), fill=(90, 74, 40))
        lamps.ellipse((x - 190, 560, x + 190, 680), fill=(46, 40, 26))
    glow = glow.filter(ImageFilter.GaussianBlur(45))
    lit = np.asarray(image, np.uint16) + np.asarray(glow, np.uint16)
    return Image.fromarray(np.minimum(lit, 255).astype(np.uint8))


def clock(draw: ImageDraw.ImageDraw, time: float) -> None:
    """The station clock: a minute to midnight when the movie begins."""
    x, y, radius = 730, 300, 44
    draw.rectangle((x - 3, y, x + 3, 520), fill=(20, 20, 26))
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(240, 238, 225), outline=(20, 20, 26), width=5)
    hands = ((-1 / 720, 22, 6), ((time - 60) / 3600, 34, 4), (np.floor(time) / 60, 36, 2))
    for turn, length, width in hands:
        tip = (x + length * np.sin(2 * np.pi * turn), y - length * np.cos(2 * np.pi * turn))
        draw.line([(x, y), tip], fill=(150, 30, 30) if width == 2 else (30, 30, 36), width=width)


def train_cars(draw: ImageDraw.ImageDraw, left: float) -> None:
    """Three lit cars on the track, the first at x = left."""
    for car in range(3):
        x = left + car * 420
        draw.rounded_rectangle((x, 390, x + 405, 508), 16, fill=(34, 60, 74))
        draw.rectangle((x, 470, x + 405, 476), fill=(190, 60, 50))
        for window in range(5):
            draw.rectangle((x + 24 + window * 75, 410, x + 76 + window * 75, 452), fill=(248, 222, 150))


def person(draw: ImageDraw.ImageDraw, name: str, x: float, voice: float) -> None:
    """One figure standing at x; voice 0-1 moves head, arm and mouth."""
    coat, hair = {"Sarah": ((168, 48, 56), (92, 50, 26)), "Stephen": ((96, 80, 58), (60, 44, 34))}.get(
        name, ((44, 62, 122), (92, 104, 150))
    )
    y, skin = 440 - 5 * voice, (222, 178, 146)
    draw.ellipse((x - 52, 658, x + 52, 678), fill=(46, 46, 54))
    draw.rectangle((x - 24, 600, x - 6, 668), fill=(30, 28, 34))
    draw.rectangle((x + 6, 600, x + 24, 668), fill=(30, 28, 34))
    draw.rounded_rectangle((x - 38, y + 42, x + 38, 622), 22, fill=coat)
    draw.line([(x - 30, y + 70), (x - 52 - 16 * voice, y + 128 - 34 * voice)], fill=coat, width=18)
    draw.line([(x + 30, y + 70), (x + 50, y + 136)], fill=coat, width=18)
    if name == "Sarah":
        draw.ellipse((x - 36, y - 38, x + 36, y + 60), fill=hair)
    draw.ellipse((x - 28, y - 24, x + 28, y + 40), fill=skin)
    if name != "Sarah":  # a hat, a cap
        draw.rectangle((x - 26, y - 36, x + 26, y - 10), fill=hair)
        draw.rectangle((x - (42 if name == "Stephen" else 30), y - 14, x + (42 if name == "Stephen" else 30), y - 8), fill=hair)
    else:
        draw.chord((x - 32, y - 34, x + 32, y + 26), 180, 360, fill=hair)
    draw.ellipse((x - 14, y + 4, x - 8, y + 10), fill=(30, 24, 24))
    draw.ellipse((x + 8, y + 4, x + 14, y + 10), fill=(30, 24, 24))
    draw.ellipse((x - 9, y + 22, x + 9, y + 24 + 9 * voice), fill=(120, 40, 44))


def frames(sentences: list[Sentence], script: list[dict[str, str]], cuts: list[float], train: tuple[float, float],
           duration_s: float) -> Iterator[bytes]:  # fmt: skip
    """RGB frames of WIDTH x HEIGHT, FPS of them a second."""
    stage, enters = backdrop(), next(s.start for s in sentences if s.speaker == "Karl")
    titles, loudest = ImageFont.load_default(44), max(np.abs(s.samples).max() for s in sentences)
    for n in range(round(duration_s * FPS)):
        time = n / FPS
        image = stage.copy()
        draw = ImageDraw.Draw(image)
        if train[0] <= time <= train[1]:
            train_cars(draw, 1300 - (time - train[0]) / (train[1] - train[0]) * 2700)
        clock(draw, time)
        speaking = next((s for s in sentences if s.start <= time < s.end), None)
        places = {"Sarah": 440.0, "Stephen": 620.0, "Karl": 870 + 130 * max(0.0, enters - 0.4 - time) * 1.6}
        for name, x in places.items():
            voice = 0.0
            if speaking and speaking.speaker == name:
                i = int((time - speaking.start) * SAMPLE_RATE)
                voice = min(1.0, float(np.abs(speaking.samples[i : i + SAMPLE_RATE // FPS]).max(initial=0)) / loudest * 1.5)
            if x < 1340:
                person(draw, name, x, voice)
        if time < 2.4:
            draw.text((640, 120), TITLE, font=titles, fill=(240, 236, 214), anchor="mm")
        left, top, width = SHOTS[script[max(0, sum(time >= c for c in cuts) - 1)]["shot"]]
        box = (left, top, left + width, top + width * 9 // 16)
        yield image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS, box=box).tobytes()


def encode(movie: Path, audio: np.ndarray, pictures: Iterator[bytes], chapters: list[dict]) -> None:
    """H.264 and AAC in MP4, without dates or encoder names, from one thread: the same bytes each time."""
    with TemporaryDirectory() as scratch:
        sound, notes = Path(scratch, "sound.wav"), Path(scratch, "chapters.txt")
        with wave.open(str(sound), "wb") as w:
            w.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            w.writeframes((np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes())
        notes.write_text(
            f";FFMETADATA1\ntitle={TITLE}\n"
            + "".join(
                f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={round(c['start'] * 1000)}\nEND={round(c['end'] * 1000)}\ntitle={c['title']}\n"
                for c in chapters
            )
        )
        command = [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-threads", "1"),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "pipe:0"),
            *("-i", str(sound), "-i", str(notes), "-map", "0:v", "-map", "1:a", "-map_metadata", "2"),
            *("-c:v", "libx264", "-crf", "27", "-preset", "slow", "-pix_fmt", "yuv420p", "-threads", "1"),
            *("-c:a", "aac", "-b:a", "80k", "-metadata:s:a:0", "language=eng", "-movflags", "+faststart"),
            *("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", str(movie)),
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as ffmpeg:
            assert ffmpeg.stdin
            for picture in pictures:
                ffmpeg.stdin.write(picture)
            ffmpeg.stdin.close()
        if ffmpeg.returncode:
            raise SystemExit(f"ffmpeg failed with {ffmpeg.returncode}")


def write_truth(sentences: list[Sentence], cuts: list[float], chapters: list[dict], duration_s: float) -> None:
    """station.json (everything) and station.rttm (one turn a line of the script)."""
    lines = [[s for s in sentences if s.line == n] for n in range(sentences[-1].line + 1)]
    truth = {
        "title": TITLE,
        "language": "en",
        "duration": round(duration_s, 3),
        "sentences": [
            {
                "start": round(s.start, 3),
                "end": round(s.end, 3),
                "speaker": s.speaker,
                "text": s.text,
                "words": [{"word": w, "start": None if at is None else round(at, 3)} for w, at in s.words],
            }
            for s in sentences
        ],
        "cuts": [round(c, 3) for c in cuts],
        "chapters": chapters,
    }
    (HERE / "station.json").write_text(json.dumps(truth, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (HERE / "station.rttm").write_text(
        "".join(
            f"SPEAKER station 1 {line[0].start:.3f} {line[-1].end - line[0].start:.3f} <NA> <NA> {line[0].speaker} <NA> <NA>\n"
            for line in lines
        )
    )


def main() -> None:
    script = rows("script.tsv")
    sentences = perform(script)
    duration_s = np.ceil((sentences[-1].end + TAIL_S) * FPS) / FPS
    begins = [next(s.start for s in sentences if s.line == n) for n in range(len(script))]
    cuts = [0.0, *(round((b - min(0.25, float(row["pause_s"]) / 2)) * FPS) / FPS for b, row in zip(begins[1:], script[1:], strict=True))]
    enters = next(n for n, row in enumerate(script) if row["speaker"] == "Karl")  # after the train, with the second chapter
    train = (next(s for s in reversed(sentences) if s.line < enters).end - 0.3, begins[enters] + 0.2)
    real_cuts = [c for n, c in enumerate(cuts) if n and script[n]["shot"] != script[n - 1]["shot"]]
    starts = [0.0, begins[enters] - 1.0]
    chapters = [
        {"start": round(float(a), 3), "end": round(float(b), 3), "title": title}
        for a, b, title in zip(starts, [*starts[1:], duration_s], CHAPTERS, strict=True)
    ]
    encode(HERE.parent / "station.mp4", soundtrack(sentences, duration_s, train),
           frames(sentences, script, cuts, train, duration_s), chapters)  # fmt: skip
    write_truth(sentences, real_cuts, chapters, duration_s)
    sys.stdout.write(f"{HERE.parent / 'station.mp4'}\n")


if __name__ == "__main__":
    main()
