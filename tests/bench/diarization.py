"""How good diarization is with the models that the packages carry, and how far its settings may be moved.

    native/venvs/diarization/bin/python tests/bench/diarization.py [--quick] [--voices] [--long MINUTES] [--also WAV RTTM]…

Clips: pyannote's own sample and ../shared/media/meetings (30 s each). DER without collar, overlap scored. The first table has one row
per setting; the second is leave-one-clip-out: each clip with the setting that is best on the others; the last is the setting that the
stage has. Clips given with --also are only shown with that, with a collar of 0.25 s, too: nothing is chosen by them. --long MINUTES puts
the clips one after another, again and again and each time as loud as chance has it, and shows what it does to a long recording that
clustering sees only every n-th window of it.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from reelscribe import pyannote_models, stage, stage_table, wav
from reelscribe.device_manager import Device
from reelscribe.progress import Progress
from reelscribe.stage_table import NATIVE, ROOT

os.environ["PYANNOTE_METRICS_ENABLED"] = "0"  # no telemetry
sys.path[0] = str(NATIVE / "stages")  # this script is called as the package it measures
MEETINGS = ROOT.parent / "shared" / "media" / "meetings"
CPU = Device(device="cpu", compute="float32", reason="bench")
ONSETS = (0.40, 0.45, 0.50)
DISTANCES = tuple(round(0.14 + 0.02 * i, 2) for i in range(11))
Setting = tuple[float, float]  # onset, distance


def say(line: str = "") -> None:
    """A line of the report, at once."""
    sys.__stdout__.write(line + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


@dataclass
class Clip:
    """A recording with its truth; `cache` is pyannote's."""

    name: str
    audio: Path
    reference: Any
    segmentation: Any = None
    cache: dict[str, Any] = field(default_factory=dict)

    @property
    def uem(self) -> Any:
        """All of it."""
        from pyannote.core import Segment, Timeline

        return Timeline([Segment(0, wav.num_samples(self.audio) / wav.SAMPLE_RATE)])


def read_clip(audio: Path, rttm: Path, scratch: Path) -> Clip:
    """The truth is all that the RTTM file says, whatever it calls the recording. What is no WAV of 16 bits is made one in `scratch`."""
    import soundfile
    from pyannote.database.util import load_rttm

    ((_, reference),) = load_rttm(str(rttm)).items()
    samples, rate = soundfile.read(audio)
    soundfile.write(scratch / f"{rttm.stem}.wav", samples, rate, subtype="PCM_16")
    return Clip(rttm.stem, scratch / f"{rttm.stem}.wav", reference)


def tuning_clips(scratch: Path) -> list[Clip]:
    """pyannote's sample, found without importing it (it would decode it), and the meetings."""
    package = importlib.util.find_spec("pyannote.audio")
    assert package and package.submodule_search_locations
    sample = Path(package.submodule_search_locations[0]) / "sample" / "sample.wav"
    return [read_clip(audio, audio.with_suffix(".rttm"), scratch) for audio in (sample, *sorted(MEETINGS.glob("*.flac")))]


def segment(clips: Iterable[Clip]) -> None:
    """What pyannote-vad does, once for all settings."""
    from pyannote_vad.segmentation import Segmenter

    segmenter = Segmenter.load(pyannote_models.embedded_segmentation(), CPU)
    for clip in clips:
        clip.segmentation = segmenter.segment(clip.audio, Progress("segmentation"))


@lru_cache
def embedded_pipeline() -> Any:
    """Loaded once."""
    from diarization import pipelines

    return pipelines.embedded(0.5)


def diarize(clip: Clip, setting: Setting) -> Any:
    """The Annotation that the stage would write."""
    from diarization import movie, pipelines, result

    onset, distance = setting
    pipeline = embedded_pipeline().instantiate(pipelines.parameters(distance, onset))
    pipeline.training = True  # pyannote then keeps the embeddings in `clip.cache` for as long as the onset stays the same
    assert pipelines.reuse(pipeline, clip.segmentation, pyannote_models.embedded_segmentation())
    clip.cache.update(movie.audio_file(clip.audio, clip.name))
    output = pipeline(clip.cache)
    turns = result.to_diarization(output, wav.num_samples(clip.audio) / wav.SAMPLE_RATE, "").turns
    return result.to_annotation(turns, clip.name)


@dataclass(frozen=True)
class Errors:
    """Seconds of each kind, of `total` seconds of speech (overlap counted twice)."""

    false_alarm: float
    missed: float
    confusion: float
    total: float
    voices: int = 0

    @property
    def rate(self) -> float:
        """DER."""
        return (self.false_alarm + self.missed + self.confusion) / self.total

    @staticmethod
    def sum(parts: Iterable[Errors]) -> Errors:
        """Of all clips together."""
        columns = zip(*((e.false_alarm, e.missed, e.confusion, e.total, e.voices) for e in parts), strict=True)
        return Errors(*(sum(column) for column in columns))


def errors(clip: Clip, hypothesis: Any, collar: float = 0.0) -> Errors:
    """Compare with the truth. pyannote's collar is the whole width, both sides together."""
    from pyannote.metrics.diarization import DiarizationErrorRate

    found = DiarizationErrorRate(collar=2 * collar, skip_overlap=False)(clip.reference, hypothesis, uem=clip.uem, detailed=True)
    values = (found[name] for name in ("false alarm", "missed detection", "confusion", "total"))
    return Errors(*values, voices=len(hypothesis.labels()))


def percent(rate: float) -> str:
    """Of a fixed width."""
    return f"{100 * rate:6.1f}"


def show_grid(clips: Sequence[Clip], table: dict[Setting, list[Errors]]) -> None:
    """One row per setting: DER over all clips, then of each."""
    say("DER in %, by onset and distance\n")
    say(f"{'onset':>6}{'dist':>6}{'all':>8}  " + " ".join(f"{clip.name:>7}" for clip in clips))
    for (onset, distance), row in table.items():
        say(f"{onset:6.2f}{distance:6.2f}{percent(Errors.sum(row).rate):>8}  " + " ".join(f"{percent(e.rate):>7}" for e in row))


def show_leave_one_out(clips: Sequence[Clip], table: dict[Setting, list[Errors]]) -> None:
    """Each clip with the setting that the others choose: on a plateau, or (for comparison) the single lowest number."""
    say("\nleave one clip out\n")
    plateaus, lowest = [], []
    for index, clip in enumerate(clips):
        others = {setting: Errors.sum(row[:index] + row[index + 1 :]).rate for setting, row in table.items()}
        onset, distance = min(others, key=lambda setting: _around(others, setting))
        plateaus.append(table[onset, distance][index])
        lowest.append(table[min(others, key=others.__getitem__)][index])
        rates = f"(others {percent(others[onset, distance])}) gives {percent(plateaus[-1].rate)}"
        say(f"{clip.name:>8}: onset {onset:.2f}, distance {distance:.2f} {rates}")
    say(f"{'all':>8}: {percent(Errors.sum(plateaus).rate)}, and {percent(Errors.sum(lowest).rate)} with the single lowest number each time")


def _around(rates: dict[Setting, float], setting: Setting) -> float:
    """The mean rate of a setting and its neighbours in distance; one at the edge of the table is never chosen."""
    onset, distance = setting
    near = [rates.get((onset, round(distance + step, 2)), 1.0) for step in (-0.04, -0.02, 0.0, 0.02, 0.04)]
    return sum(near) / len(near)


def show_setting(clips: Sequence[Clip], setting: Setting, collar: float = 0.0) -> None:
    """One row per clip."""
    onset, distance = setting
    say(f"\nonset {onset:.2f}, distance {distance:.2f}, collar {collar:g} s\n")
    say(f"{'clip':>8}{'DER':>8}{'false':>7}{'missed':>7}{'conf.':>7}{'speech':>8}{'voices':>8}{'truth':>7}")
    rows = [errors(clip, diarize(clip, setting), collar) for clip in clips]
    for clip, e in zip(clips, rows, strict=True):
        truth = len(clip.reference.labels())
        say(f"{clip.name:>8}{percent(e.rate):>8}{e.false_alarm:7.1f}{e.missed:7.1f}{e.confusion:7.1f}{e.total:8.1f}{e.voices:8d}{truth:7d}")
    if len(rows) > 1:
        e = Errors.sum(rows)
        say(f"{'all':>8}{percent(e.rate):>8}{e.false_alarm:7.1f}{e.missed:7.1f}{e.confusion:7.1f}{e.total:8.1f}")


def show_voices(clips: Sequence[Clip]) -> None:
    """How well the voice model tells whether two stretches are one voice: equal error rate of all pairs within a clip."""
    from sklearn.metrics import roc_auc_score, roc_curve

    from diarization import voice

    say("\ntwo stretches of a second and more: one voice or two?\n")
    say(f"{'level':>6}{'high-pass':>10}{'EER %':>8}{'AUC':>8}")
    for level, hertz in itertools.product((-30.0, -24.0, -18.0, -15.0), (1.0, 60.0, 120.0, 180.0)):
        voice.LEVEL_DBFS, voice.HIGH_PASS_HZ = level, hertz
        distances, different = [], []
        for clip in clips:
            embeddings, speakers = voices_of(clip)
            first, second = np.triu_indices(len(speakers), 1)
            distances.append(1 - (embeddings[first] * embeddings[second]).sum(axis=1))
            different.append(speakers[first] != speakers[second])
        truth, found = np.concatenate(different), np.concatenate(distances)
        false_alarm, hit, _ = roc_curve(truth, found)
        eer = false_alarm[np.argmin(np.abs(false_alarm - (1 - hit)))]
        say(f"{level:6.0f}{hertz:10.0f}{100 * eer:8.1f}{roc_auc_score(truth, found):8.4f}")


def voices_of(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """(n, dimension) embeddings of a second and more that one voice speaks alone, and (n,) whose voice that truly is for ⅘ of it."""
    import torch
    from pyannote.audio.utils.signal import binarize

    from diarization import pipelines

    pipeline = embedded_pipeline()
    assert pipelines.reuse(pipeline, clip.segmentation, pyannote_models.embedded_segmentation())
    active = binarize(pipeline.get_segmentations({}), onset=pipelines.ONSET, initial_state=False).data.astype(np.float32)
    alone = (active * (active.sum(axis=-1, keepdims=True) < 2)).transpose(0, 2, 1)
    frame_s = clip.segmentation.duration_s / alone.shape[-1]
    waveforms, masks, speakers = [], [], []
    for window, tracks in enumerate(alone):
        start = window * clip.segmentation.step_s
        samples = wav.read(clip.audio, start, start + clip.segmentation.duration_s)
        samples = np.pad(samples, (0, round(clip.segmentation.duration_s * wav.SAMPLE_RATE) - len(samples)))
        for track in tracks:
            middles = start + (np.flatnonzero(track) + 0.5) * frame_s
            name = _speaker_of(clip.reference, middles) if len(middles) * frame_s >= 1 else None
            if name is not None:
                waveforms.append(samples)
                masks.append(track)
                speakers.append(name)
    if not speakers:
        return np.empty((0, 1)), np.empty(0)
    with torch.inference_mode():
        samples = torch.from_numpy(np.stack(waveforms))[:, None]
        embeddings = pipeline._embedding.model_(samples, weights=torch.from_numpy(np.stack(masks)))
    return embeddings.numpy(), np.array(speakers)


def _speaker_of(reference: Any, moments: np.ndarray) -> str | None:
    """Who speaks at ⅘ of these moments, if anybody does."""
    for label in reference.labels():
        spans = reference.label_timeline(label)
        inside = sum(((moments >= span.start) & (moments < span.end)).sum() for span in spans)
        if inside >= 0.8 * len(moments):
            return str(label)
    return None


def long_clip(clips: Sequence[Clip], minutes: float, scratch: Path) -> Clip:
    """The clips in turn until it is `minutes` long, each time by up to 12 dB softer."""
    import soundfile
    from pyannote.core import Annotation, Segment

    reference, written = Annotation(), 0
    chance = np.random.default_rng(0)
    with soundfile.SoundFile(scratch / "long.wav", "w", wav.SAMPLE_RATE, 1, "PCM_16") as f:
        for clip in itertools.cycle(clips):
            if written >= minutes * 60 * wav.SAMPLE_RATE:
                break
            start = written / wav.SAMPLE_RATE
            for number, (span, _, speaker) in enumerate(clip.reference.itertracks(yield_label=True)):
                reference[Segment(start + span.start, start + span.end), f"{written}-{number}"] = f"{clip.name}-{speaker}"
            samples = wav.read(clip.audio)
            f.write(samples * 10 ** (chance.uniform(-12, 0) / 20))
            written += len(samples)
    return Clip("long", scratch / "long.wav", reference)


def show_sampled(clip: Clip, setting: Setting) -> None:
    """DER when all voices of windows are clustered, and when only those of every n-th window are."""
    from diarization import movie

    usual, movie.MAX_CLUSTERED = movie.MAX_CLUSTERED, sys.maxsize
    diarize(clip, setting)
    num_voices = embedded_pipeline().clustering.num_voices
    say(f"\n{clip.name}: {wav.num_samples(clip.audio) / wav.SAMPLE_RATE / 60:.0f} minutes, {len(clip.reference.labels())} voices\n")
    say(f"{'every':>6}{'DER':>8}{'false':>7}{'missed':>7}{'conf.':>7}{'voices':>8}")
    for every in (1, 2, 4, 8):
        movie.MAX_CLUSTERED = -(-num_voices // every)
        e = errors(clip, diarize(clip, setting))
        say(f"{every:6d}{percent(e.rate):>8}{e.false_alarm:7.1f}{e.missed:7.1f}{e.confusion:7.1f}{e.voices:8d}")
    movie.MAX_CLUSTERED = usual


def show_speech(clips: Sequence[Clip]) -> None:
    """pyannote-vad's detection error at its own setting."""
    from pyannote.core import Annotation, Segment
    from pyannote.metrics.detection import DetectionErrorRate

    from pyannote_vad.segmentation import Segmenter
    from pyannote_vad.speech import find_speech, speech_scores

    vad = sys.modules[stage.load_contract(stage_table.find("pyannote-vad")).run.__module__]
    frames = Segmenter.load(pyannote_models.embedded_segmentation(), CPU).frames
    metric = DetectionErrorRate()
    for clip in clips:
        hypothesis = Annotation()
        duration_s = wav.num_samples(clip.audio) / wav.SAMPLE_RATE
        for found in find_speech(speech_scores(clip.segmentation, frames), duration_s, **vad.limits(vad.Options())):
            hypothesis[Segment(found.start, found.end)] = "speech"
        metric(clip.reference, hypothesis, uem=clip.uem)
    parts = ", ".join(f"{name} {metric[name]:.1f} s" for name in ("false alarm", "miss", "total"))
    say(f"\npyannote-vad: detection error {percent(abs(metric)).strip()} % ({parts})")


def main() -> None:
    """Everything, in the order of the docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--also", nargs=2, type=Path, action="append", default=[], metavar=("WAV", "RTTM"), help="another clip to show")
    parser.add_argument("--quick", action="store_true", help="only the setting that the stage has")
    parser.add_argument("--long", type=float, metavar="MINUTES", help="also a recording of that length, clustered whole and in part")
    parser.add_argument("--voices", action="store_true", help="also what level and high-pass do to the voice model")
    args = parser.parse_args()
    with pyannote_models.quiet(), tempfile.TemporaryDirectory(prefix="bench-diarization-") as scratch:
        report(args.also, Path(scratch), quick=args.quick, voices=args.voices, long=args.long)


def report(also_given: Sequence[tuple[Path, Path]], scratch: Path, *, quick: bool, voices: bool, long: float | None) -> None:
    """All tables."""
    from diarization import pipelines

    contract = stage.load_contract(stage_table.find("diarization"))
    setting = (pipelines.ONSET, contract.options().voice_distance)
    clips, also = tuning_clips(scratch), [read_clip(*pair, scratch) for pair in also_given]
    segment([*clips, *also])
    if not quick:
        table: dict[Setting, list[Errors]] = {(onset, distance): [] for onset in ONSETS for distance in DISTANCES}
        for clip in clips:
            for tried, row in table.items():
                row.append(errors(clip, diarize(clip, tried)))
        show_grid(clips, table)
        show_leave_one_out(clips, table)
    show_setting(clips, setting)
    for clip in also:
        show_setting([clip], setting)
        show_setting([clip], setting, collar=0.25)
    show_speech(clips)
    if long:
        one = long_clip(clips, long, scratch)
        segment([one])
        show_sampled(one, setting)
    if voices:
        show_voices(clips)


if __name__ == "__main__":
    main()
