"""audio/audio.wav: 16 kHz mono 16-bit PCM, read in blocks so that a movie is never in memory as a whole."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from reelscribe.errors import BadInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE = 16000


def num_samples(path: Path) -> int:
    """Length of the file. Raises BadInputError when it is not what demux writes."""
    import soundfile

    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise BadInputError(f"{path.name} is no WAV file: {error}", remedy="run the stage demux again") from error
    there = (info.samplerate, info.channels, info.format, info.subtype)
    if there != (SAMPLE_RATE, 1, "WAV", "PCM_16"):
        raise BadInputError(
            f"{path.name} is {info.format} of {info.samplerate} Hz, {info.channels} channels, {info.subtype}, not 16 kHz mono of 16 bits",
            remedy="run the stage demux again",
        )
    if info.frames != (said := _said(path)):
        raise BadInputError(f"{path.name} is damaged: {info.frames} of {said} samples are there", remedy="run the stage demux again")
    return int(info.frames)


def _said(path: Path) -> int:
    """The number of samples in the header, which libsndfile mends in silence; -1 where it is one that demux never writes."""
    try:
        with wave.open(str(path)) as f:
            return int(f.getnframes())
    except (wave.Error, EOFError):
        return -1


def read(path: Path, start: float = 0.0, end: float | None = None) -> NDArray[np.float32]:
    """(num_samples,) float32 in -1…1 between `start` and `end` seconds; shorter where the file ends earlier."""
    import soundfile

    total = num_samples(path)
    first = min(total, max(0, round(start * SAMPLE_RATE)))
    last = total if end is None else min(total, max(first, round(end * SAMPLE_RATE)))
    samples: NDArray[np.float32] = soundfile.read(path, start=first, stop=last, dtype="float32")[0]
    return samples


def blocks(path: Path, block_samples: int) -> Iterator[NDArray[np.float32]]:
    """The file as (block_samples,) float32 arrays; the last one may be shorter."""
    import soundfile

    num_samples(path)
    with soundfile.SoundFile(path) as f:
        while len(block := f.read(block_samples, dtype="float32")):
            yield block
