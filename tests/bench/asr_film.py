"""A film of any length for the benches, as the stages before asr leave it: the example's sentences in ever new order.

native/venvs/asr/bin/python tests/bench/asr_film.py MOVIE_DIR MINUTES
"""

from __future__ import annotations

import json
import random
import sys
import wave
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reelscribe.stage_table import ROOT
from reelscribe.wav import SAMPLE_RATE

MOVIE = ROOT / "examples" / "station.mp4"
TRUTH = ROOT / "examples" / "station" / "station.json"
NAMES = ("Sarah", "Stephen", "Karl", "Jai", "Kathryn")
# With these a prompt is as long as it may be; nobody says them.
OTHERS = tuple(map(" ".join, product(("Mira", "Tomas", "Henrik", "Lucia", "Nikhil"), ("Solberg", "Varga", "Oduya", "Fermi", "Basu"))))
_NOISE = 0.001


def write_film(movie_dir: Path, minutes: float, terms: Sequence[str] = NAMES) -> Path:
    """What asr reads, in `movie_dir`; every bias window has all `terms`."""
    for folder in ("audio", "vad", "glossary"):
        (movie_dir / folder).mkdir(parents=True, exist_ok=True)
    heard: list[tuple[float, float]] = []
    written = 0
    with wave.open(str(movie_dir / "audio" / "audio.wav"), "wb") as f:
        f.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        for samples, said in _talk(minutes):
            if said:
                heard.append((written / SAMPLE_RATE, (written + len(samples)) / SAMPLE_RATE))
            noise = np.random.default_rng(written).normal(0, _NOISE, len(samples))
            f.writeframes((np.clip(samples + noise, -1, 1) * 32767).astype("<i2").tobytes())
            written += len(samples)
    _write_documents(movie_dir, written, heard, terms)
    return movie_dir


def _talk(minutes: float) -> Iterator[tuple[NDArray[np.float32], bool]]:
    """Sentences and pauses in turn: (num_samples,) float32, 16 kHz, and whether it is a sentence."""
    r = random.Random(0)
    sentences = _sentences()
    left = round(60 * minutes * SAMPLE_RATE)
    while True:
        for samples in r.sample(sentences, len(sentences)):
            pause_s = r.uniform(3, 8) if r.random() < 0.1 else r.uniform(0.4, 1.2)
            for part, said in ((np.zeros(round(pause_s * SAMPLE_RATE), np.float32), False), (samples, True)):
                if len(part) > left:
                    return
                left -= len(part)
                yield part, said


def _sentences() -> list[NDArray[np.float32]]:
    from faster_whisper import decode_audio

    samples = decode_audio(str(MOVIE), SAMPLE_RATE)
    truth = json.loads(TRUTH.read_text(encoding="utf-8"))["sentences"]
    return [samples[round(s["start"] * SAMPLE_RATE) : round(s["end"] * SAMPLE_RATE)] for s in truth]


def _write_documents(movie_dir: Path, num_samples: int, heard: Sequence[tuple[float, float]], terms: Sequence[str]) -> None:
    duration = num_samples / SAMPLE_RATE
    audio = {"index": 0, "reason": "the only one", "downmix": "none", "start": 0}
    vad = {"segments": [{"start": start, "end": end, "score": 0.9} for start, end in heard], "duration": duration, "model": "bench"}
    glossary = [{"text": name, "kind": "character", "weight": 0.9, "source": "bench"} for name in terms]
    windows = [{"start": at, "end": at + 45, "terms": list(terms)} for at in range(0, round(duration), 15)]
    for name, content in {
        "media.json": {"container": "wav", "duration": duration, "streams": [], "audio": audio, "num_samples": num_samples},
        "vad/silero.json": vad,
        "vad/pyannote.json": vad,
        "glossary/glossary.json": {"terms": glossary, "pipeline": "bench"},
        "glossary/bias_windows.json": {"window_s": 45, "stride_s": 15, "windows": windows},
    }.items():
        (movie_dir / name).write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    write_film(Path(sys.argv[1]), float(sys.argv[2]))
