"""pyannote's SpeakerDiarization with the embedded models, or as community-1 comes, on the segmentation that pyannote-vad left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pyannote.audio.core.plda import PLDA

from diarization.movie import MovieDiarization
from diarization.voice import VoiceModel
from reelscribe import trust, wav
from reelscribe.errors import BadInputError
from reelscribe.pyannote_models import EMBEDDING, SEGMENTATION, Segmentation, digest, embedded_segmentation

# tests/bench/diarization.py shows what these give and how far they may be moved.
ONSET = 0.45
MIN_CLUSTER_SIZE = 12
MIN_VOICE_S = 0.5
BATCH = 32
_CLASS = "pyannote.audio.pipelines.SpeakerDiarization"


def embedded(threshold: float) -> MovieDiarization:
    """The segmentation inside whisperx, Resemblyzer's voices, agglomerative clustering up to the cosine distance `threshold`."""
    # Agglomerative clustering has no use for a PLDA, but the pipeline insists on one.
    pipeline = MovieDiarization(
        segmentation=trust.pyannote_model(embedded_segmentation()),
        segmentation_batch_size=BATCH,
        embedding=VoiceModel(),
        embedding_exclude_overlap=True,
        embedding_batch_size=BATCH,
        clustering="AgglomerativeClustering",
        plda=PLDA.__new__(PLDA),
    )
    # With less than this of a speaker alone, what is said in overlap is taken, too. (pyannote would try out what the model can bear.)
    pipeline._embedding.min_num_samples = round(MIN_VOICE_S * wav.SAMPLE_RATE)
    return pipeline.instantiate(parameters(threshold))


def parameters(threshold: float, onset: float = ONSET) -> dict[str, Any]:
    """Of the embedded pipeline."""
    # Average linkage: unlike with centroids, what a threshold means does not change with the size of the clusters.
    clustering = {"method": "average", "threshold": threshold, "min_cluster_size": MIN_CLUSTER_SIZE}
    return {"segmentation": {"threshold": onset, "min_duration_off": 0.0}, "clustering": clustering}


def community(folder: Path, *, trusted: bool) -> MovieDiarization:
    """community-1 as it is in `folder`. Raises UntrustedError.

    pyannote's own Pipeline.from_pretrained would make and call whatever class the folder's config.yaml names.
    """
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    if config["pipeline"]["name"] != _CLASS:
        raise BadInputError(f"config.yaml describes no {_CLASS}")
    models = {
        "segmentation": trust.pyannote_model(folder / SEGMENTATION, trusted=trusted, strict=False),
        "embedding": trust.pyannote_model(folder / EMBEDDING, trusted=trusted, strict=False),
        "plda": PLDA.from_pretrained(folder / "plda"),
    }
    return MovieDiarization(**{**config["pipeline"]["params"], **models}).instantiate(config["params"])


def reuse(pipeline: MovieDiarization, segmentation: Segmentation, weights: Path) -> bool:
    """Make `pipeline` take `segmentation` for its own where it would come to the same: same `weights`, same windows."""
    inference = pipeline._segmentation
    same = (digest(weights), inference.duration, inference.step) == (segmentation.model, segmentation.duration_s, segmentation.step_s)
    pipeline.given = segmentation if same else None
    return same
