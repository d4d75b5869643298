"""The segmentation model, slid over the movie once: who of up to a few voices speaks in which frame of every window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyannote.audio import Inference

from reelscribe import trust, wav
from reelscribe.device_manager import Device
from reelscribe.progress import Progress
from reelscribe.pyannote_models import Segmentation, digest

# A tenth of the window, as pyannote's own pipelines have it: every moment is seen in ten contexts.
STEP = 0.1
# What a few windows need, the allocator of a CPU's memory keeps; what many need it gets from the system anew each time: a third more time.
CPU_BATCH = 4
GPU_BATCH = 32


@dataclass(frozen=True)
class Segmenter:
    """The loaded model and the digest of its weights."""

    inference: Any
    model: str

    @classmethod
    def load(cls, weights: Path, device: Device, *, trusted: bool = False) -> Segmenter:
        """weights: a checkpoint of pyannote's. Raises UntrustedError."""
        model = trust.pyannote_model(weights, trusted=trusted)
        duration_s = model.specifications.duration
        batch = CPU_BATCH if device.device == "cpu" else GPU_BATCH
        inference = Inference(model, step=STEP * duration_s, skip_aggregation=True, batch_size=batch, device=torch.device(device.device))
        return cls(inference, digest(weights))

    @property
    def frames(self) -> Any:
        """pyannote's SlidingWindow of one frame: its duration and step in seconds."""
        return self.inference.model.receptive_field

    def segment(self, audio: Path, progress: Progress) -> Segmentation:
        """Run over `audio`, a few windows in memory at a time."""
        plan = Plan.of(wav.num_samples(audio), self.inference.duration, self.inference.step)
        scores = np.empty((0,), np.float16)
        for first, windows in plan.batches(audio, self.inference.batch_size):
            found = self.infer(windows)
            if not first:  # only now it is known how many frames and voices a window has
                # One array: thousands of small ones between what torch frees let the heap of a three-hour film grow to 12 GB.
                scores = np.empty((plan.num_windows, *found.shape[1:]), np.float16)
            scores[first : first + len(found)] = found
            progress.update(first + len(windows), plan.num_windows)
        return Segmentation(scores, self.inference.duration, self.inference.step, self.model)

    def infer(self, windows: np.ndarray) -> np.ndarray:
        """(num_windows, num_samples) float32 → (num_windows, num_frames, num_speakers) float16 in 0…1."""
        scores: np.ndarray = self.inference.infer(torch.from_numpy(windows)[:, None])
        return scores.astype(np.float16)


@dataclass(frozen=True)
class Plan:
    """Windows of `length` samples every `step` samples, the last one filled up with silence."""

    length: int
    step: int
    num_windows: int

    @classmethod
    def of(cls, num_samples: int, duration_s: float, step_s: float) -> Plan:
        """The windows that cover `num_samples`; at least one."""
        length, step = round(duration_s * wav.SAMPLE_RATE), round(step_s * wav.SAMPLE_RATE)
        return cls(length, step, max(0, -(-(num_samples - length) // step)) + 1)

    def batches(self, audio: Path, batch: int) -> Iterator[tuple[int, np.ndarray]]:
        """Number of the first window and (num_windows, length) float32, at most `batch` windows at a time."""
        for first in range(0, self.num_windows, batch):
            count = min(batch, self.num_windows - first)
            start, num_samples = first * self.step, (count - 1) * self.step + self.length
            samples = wav.read(audio, start / wav.SAMPLE_RATE, (start + num_samples) / wav.SAMPLE_RATE)
            samples = np.pad(samples, (0, num_samples - len(samples)))
            yield first, np.lib.stride_tricks.sliding_window_view(samples, self.length)[:: self.step].copy()
