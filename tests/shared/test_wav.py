"""audio.wav is read in seconds, in blocks, and refused when it is something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from reelscribe import wav
from reelscribe.errors import BadInputError


@pytest.fixture
def ramp(tmp_path: Path, make_wav: Callable[..., Path]) -> Path:
    """One second in which sample n is n / 32767."""
    return make_wav(tmp_path / "audio.wav", np.arange(16000) / 32767)


@pytest.mark.parametrize(
    ("start", "end", "first", "count"),
    [(0.0, None, 0, 16000), (0.25, 0.5, 4000, 4000), (0.9, 5.0, 14400, 1600), (-1.0, 0.5, 0, 8000), (2.0, 3.0, 0, 0), (0.5, 0.25, 0, 0)],
)
def test_a_stretch_is_read_in_seconds_and_ends_with_the_file(ramp: Path, start: float, end: float | None, first: int, count: int) -> None:
    samples = wav.read(ramp, start, end)
    assert samples.dtype == np.float32
    assert samples.shape == (count,)
    assert np.array_equal(np.round(samples * 32768), np.arange(first, first + count))


def test_blocks_are_the_file(ramp: Path) -> None:
    blocks = list(wav.blocks(ramp, 7000))
    assert [len(block) for block in blocks] == [7000, 7000, 2000]
    assert np.array_equal(np.concatenate(blocks), wav.read(ramp))
    assert wav.num_samples(ramp) == 16000


@pytest.mark.parametrize(("samples", "rate", "said"), [(np.zeros(100), 44100, "44100 Hz"), (np.zeros((100, 2)), 16000, "2 channels")])
def test_another_rate_or_stereo_is_refused(
    tmp_path: Path, make_wav: Callable[..., Path], samples: np.ndarray, rate: int, said: str
) -> None:
    path = make_wav(tmp_path / "audio.wav", samples, rate=rate)
    for read in (wav.num_samples, wav.read, lambda p: list(wav.blocks(p, 10))):
        with pytest.raises(BadInputError, match=said):
            read(path)


@pytest.mark.parametrize(
    ("form", "subtype"), [("WAV", "FLOAT"), ("WAV", "PCM_24"), ("FLAC", "PCM_16"), ("AIFF", "PCM_16"), ("WAV", "IMA_ADPCM")]
)
def test_what_demux_does_not_write_is_refused(tmp_path: Path, form: str, subtype: str) -> None:
    """A float that is no number would go on to the models."""
    soundfile.write(tmp_path / "audio.wav", np.zeros(1000), 16000, format=form, subtype=subtype)
    with pytest.raises(BadInputError, match=subtype) as caught:
        wav.read(tmp_path / "audio.wav")
    assert caught.value.remedy == "run the stage demux again"


@pytest.mark.parametrize("kept", [0, 10, 20, 44, 45, 1001, 32043])
def test_a_wav_that_is_cut_off_is_refused(ramp: Path, kept: int) -> None:
    ramp.write_bytes(ramp.read_bytes()[:kept])
    for read in (wav.num_samples, wav.read, lambda p: list(wav.blocks(p, 100))):
        with pytest.raises(BadInputError) as caught:
            read(ramp)
        assert caught.value.remedy == "run the stage demux again"


def test_a_wav_whose_header_lies_is_refused(ramp: Path) -> None:
    content = bytearray(ramp.read_bytes())
    content[40:44] = (1 << 30).to_bytes(4, "little")
    ramp.write_bytes(content)
    with pytest.raises(BadInputError, match="16000 of 536870912 samples are there"):
        wav.num_samples(ramp)


def test_what_is_no_wav_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "audio.wav").write_bytes(b"RIFF....nothing")
    with pytest.raises(BadInputError, match=r"audio\.wav is no WAV file") as caught:
        wav.num_samples(tmp_path / "audio.wav")
    assert caught.value.remedy == "run the stage demux again"
