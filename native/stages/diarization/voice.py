"""Resemblyzer's speaker encoder as an embedding model of pyannote's."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from pyannote.audio import Model
from resemblyzer import VoiceEncoder, hparams
from torchaudio.transforms import MelSpectrogram

from reelscribe import wav

DIMENSION: int = hparams.model_embedding_size
# The encoder sees 1.6 s at a time, and something new of at most 1.2 s in each: closer together tells voices apart no better.
PARTIAL_FRAMES: int = hparams.partials_n_frames
MAX_HOP_FRAMES = 120
# It takes power, not its logarithm, so level and rumble matter. -15 to -18 dBFS tells voices apart better than Resemblyzer's own -30,
# which is for audio with its pauses still in; below 120 Hz there is more of the room than of the voice. Both are measured by
# tests/bench/diarization.py --voices.
LEVEL_DBFS = -18.0
HIGH_PASS_HZ = 120.0


class VoiceModel(Model):
    """Embeds what one local speaker says in a window: the mean of the embeddings of overlapping stretches of 1.6 s, evenly spread."""

    dimension = DIMENSION

    def __init__(self) -> None:
        super().__init__(sample_rate=wav.SAMPLE_RATE, num_channels=1)
        samples_per_ms = wav.SAMPLE_RATE // 1000
        self.hop = hparams.mel_window_step * samples_per_ms
        self.encoder = VoiceEncoder("cpu", verbose=False)
        # The same as Resemblyzer's wav_to_mel_spectrogram (librosa's defaults), on the model's device.
        self.mel = MelSpectrogram(
            sample_rate=wav.SAMPLE_RATE,
            n_fft=hparams.mel_window_length * samples_per_ms,
            hop_length=self.hop,
            n_mels=hparams.mel_n_channels,
            norm="slaney",
            mel_scale="slaney",
            pad_mode="constant",
        )

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """waveforms: (batch, 1, num_samples); weights: (batch, num_frames), 1 where the speaker speaks. Gives (batch, DIMENSION) of
        length 1, NaN where nobody speaks.
        """
        embeddings = waveforms.new_full((len(waveforms), DIMENSION), math.nan)
        masks = waveforms.new_ones((len(waveforms), 1)) if weights is None else weights
        # Of the few voices that a window has room for, most say nothing in it.
        heard = (masks > 0.5).any(dim=1).nonzero()[:, 0]
        if len(heard):
            spoken = map(self._spoken, _without_rumble(waveforms[heard, 0]), masks[heard])
            partials = [self._partials(samples) for samples in spoken]
            embedded = self.encoder(torch.cat(partials)).split([len(p) for p in partials])
            embeddings[heard] = F.normalize(torch.stack([e.mean(dim=0) for e in embedded]), dim=1)
        return embeddings

    @staticmethod
    def _spoken(waveform: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(num_samples,) → the samples of the frames that the mask has, put together."""
        return waveform[F.interpolate(mask[None, None], size=len(waveform), mode="nearest")[0, 0] > 0.5]

    def _partials(self, samples: torch.Tensor) -> torch.Tensor:
        """(num_samples,) → (num_partials, PARTIAL_FRAMES, channels); what is too short for one is said again until it is long enough."""
        num_frames = max(PARTIAL_FRAMES, len(samples) // self.hop)
        samples = samples.repeat(-(-num_frames * self.hop // len(samples)))[: num_frames * self.hop]
        mel = self.mel(_at_level(samples)).T
        last = num_frames - PARTIAL_FRAMES
        count = -(-last // MAX_HOP_FRAMES) + 1
        starts = [last * i // max(1, count - 1) for i in range(count)]
        return torch.stack([mel[start : start + PARTIAL_FRAMES] for start in starts])


def _without_rumble(waveforms: torch.Tensor) -> torch.Tensor:
    """(batch, num_samples), through a Butterworth high-pass of order 4 without its phase. As a spectrum, for MPS has no such filter."""
    hertz = torch.fft.rfftfreq(waveforms.shape[-1], 1 / wav.SAMPLE_RATE, device=waveforms.device)
    gain = (1 + (HIGH_PASS_HZ / hertz) ** 8).rsqrt()
    return torch.fft.irfft(torch.fft.rfft(waveforms) * gain, n=waveforms.shape[-1])


def _at_level(samples: torch.Tensor) -> torch.Tensor:
    """The samples at LEVEL_DBFS; silence stays silence."""
    rms = samples.square().mean().sqrt()
    return samples * (10 ** (LEVEL_DBFS / 20) / rms) if rms > 0 else samples
