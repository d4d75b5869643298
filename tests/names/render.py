"""Render one half of the name test-set: a movie (sound only), what is known of it, and its truth.

    native/venvs/dev/bin/python tests/names/render.py tuning|held-out FOLDER

Writes names.mkv, movie.json, names.txt (the names to be found), reference.json (sentences, words and their times) and reference.rttm.
Needs libespeak-ng, as examples/make_station.sh does. Times are seconds on the movie's timeline, measured where each sentence was placed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import wave
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "fixtures" / "recipe")]
import name_set  # noqa: E402
from espeak import speak  # noqa: E402  (the fixture recipe owns it)

# espeak-ng's voice, words per minute, pitch: those of the example, that diarization tells apart.
VOICES = {"A": ("en-us+f3", 150, 68), "B": ("en-us+m7", 150, 68), "C": ("en-us+m1", 146, 30)}
LEAD_S, PAUSE_S, TAIL_S = 1.0, 0.7, 1.0
SPEECH_RMS, ROOM_RMS = 0.1, 0.001


@dataclass(frozen=True)
class Placed:
    """A sentence on the timeline. samples: (num_samples,); words: (as written, start in seconds or None)."""

    sentence: name_set.Sentence
    start: float
    end: float
    words: list[tuple[str, float | None]]
    samples: np.ndarray


def perform(half: str) -> tuple[list[Placed], int]:
    """Every sentence spoken in its place, and the sample rate."""
    placed: list[Placed] = []
    now, rate = LEAD_S, 0
    for sentence in name_set.sentences(half):
        voice, words_per_minute, pitch = VOICES[sentence.voice]
        speech = speak(sentence.text, voice, words_per_minute, pitch, sentence.spoken)
        samples = speech.samples * (SPEECH_RMS / np.sqrt(np.mean(speech.samples**2)))
        rate = speech.sample_rate
        now = round(now * rate) / rate
        words = [(word, None if at is None else now + at) for word, at in speech.words]
        placed.append(Placed(sentence, now, now + len(samples) / rate, words, samples))
        now = placed[-1].end + PAUSE_S
    return placed, rate


def write_movie(path: Path, placed: list[Placed], rate: int) -> None:
    """The sentences in a quiet room (seeded noise), as PCM in Matroska."""
    audio = np.random.default_rng(24).normal(0, ROOM_RMS, round((placed[-1].end + TAIL_S) * rate))
    for p in placed:
        first = round(p.start * rate)
        audio[first : first + len(p.samples)] += p.samples
    sound = path.with_suffix(".wav")
    with wave.open(str(sound), "wb") as f:
        f.setparams((1, 2, rate, 0, "NONE", ""))
        f.writeframes((np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes())
    tool = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", "-i", f"file:{sound}"]
    subprocess.run([*tool, "-c:a", "copy", "-metadata:s:a:0", "language=eng", "-fflags", "+bitexact", f"file:{path}"], check=True)
    sound.unlink()


def write_truth(folder: Path, half: str, placed: list[Placed]) -> None:
    """reference.json, reference.rttm, names.txt."""
    lines = [
        {
            "start": round(p.start, 3),
            "end": round(p.end, 3),
            "speaker": p.sentence.voice,
            "text": p.sentence.text,
            "words": [{"word": word, "start": None if at is None else round(at, 3)} for word, at in p.words],
        }
        for p in placed
    ]
    (folder / "reference.json").write_text(json.dumps({"language": "en", "sentences": lines}, indent=1) + "\n", encoding="utf-8")
    turns = [f"SPEAKER names 1 {p.start:.3f} {p.end - p.start:.3f} <NA> <NA> {p.sentence.voice} <NA> <NA>\n" for p in placed]
    (folder / "reference.rttm").write_text("".join(turns), encoding="utf-8")
    (folder / "names.txt").write_text("".join(f"{name.name}\n" for name in name_set.names(half)), encoding="utf-8")


def render(half: str, folder: Path) -> Path:
    """The movie's path."""
    folder.mkdir(parents=True, exist_ok=True)
    movie = folder / "names.mkv"
    placed, rate = perform(half)
    write_movie(movie, placed, rate)
    write_truth(folder, half, placed)
    known = {"title": "The Names", "original_language": "en", "cast": name_set.cast(half)}
    (folder / "movie.json").write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return movie


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("half", choices=name_set.HALVES)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    sys.stdout.write(f"{render(arguments.half, arguments.folder)}\n")
