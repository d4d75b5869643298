"""From pyannote's output to turns, voices and RTTM."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from pyannote.core import Annotation, Segment
from scipy.spatial.distance import cdist

from reelscribe.schemas import Diarization, Speaker, Turn


def uri(name: str) -> str:
    """`name` as RTTM can hold it: its fields are separated by spaces."""
    return re.sub(r"\s+", "_", name)


def to_diarization(output: Any, duration_s: float, model: str) -> Diarization:
    """output: pyannote's DiarizeOutput. Speakers are SPEAKER_00, SPEAKER_01, … in the order they are first heard."""
    annotation = output.speaker_diarization
    before = annotation.labels()
    labels = {old: f"SPEAKER_{number:02d}" for number, old in enumerate(_by_appearance(annotation))}
    exclusive = _turns(output.exclusive_speaker_diarization, labels, duration_s)
    voices = {labels[old]: np.asarray(output.speaker_embeddings)[row] for row, old in enumerate(before)}
    return Diarization(
        turns=_turns(annotation, labels, duration_s),
        exclusive=exclusive,
        speakers=[_speaker(label, exclusive, voices) for label in labels.values()],
        duration=duration_s,
        model=model,
    )


def to_annotation(turns: list[Turn], uri: str) -> Annotation:
    """The same as pyannote has it, which writes RTTM and is what its metrics take."""
    annotation = Annotation(uri=uri)
    for number, turn in enumerate(turns):
        annotation[Segment(turn.start, turn.end), number] = turn.speaker
    return annotation


def _by_appearance(annotation: Annotation) -> list[str]:
    """The labels in the order they are first heard; of two at the same moment the one that sorts first."""
    return sorted(annotation.labels(), key=lambda label: (annotation.label_timeline(label)[0].start, str(label)))


def _turns(annotation: Annotation, labels: dict[str, str], duration_s: float) -> list[Turn]:
    """In order of time; the last window is filled up with silence, so nothing is let past the end."""
    tracks = annotation.itertracks(yield_label=True)
    turns = [Turn(start=max(0.0, s.start), end=min(duration_s, s.end), speaker=labels[label]) for s, _, label in tracks]
    return sorted((t for t in turns if t.end > t.start), key=lambda t: (t.start, t.end, t.speaker))


def _speaker(label: str, exclusive: list[Turn], voices: dict[str, np.ndarray]) -> Speaker:
    """Seconds of exclusive talk, and the nearest other voice (none where a voice was too short to be known)."""
    total_s = sum(turn.end - turn.start for turn in exclusive if turn.speaker == label)
    others = sorted(voices.keys() - {label})
    distances = cdist(voices[label][None], np.array([voices[o] for o in others]), metric="cosine")[0] if others else np.empty(0)
    known = [(float(d), other) for d, other in zip(distances, others, strict=True) if np.isfinite(d)]
    distance, nearest = min(known, default=(None, None))
    return Speaker(label=label, total_s=total_s, nearest=nearest, distance=distance)
