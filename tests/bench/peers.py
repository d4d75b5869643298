"""What people run instead of the pipeline, each as its documentation says, in the environment `bench`; for tests/bench/run.sh.

    peers.py prepare FOLDER               what the others are given: FOLDER/diarization, FOLDER/nltk_data, FOLDER/bin/ffmpeg
    peers.py silero|silero-onnx WAV       bare Silero
    peers.py pyannote WAV FOLDER          bare pyannote on FOLDER/diarization
    peers.py faster-whisper WAV MODEL     bare faster-whisper, batched, with the VAD that it carries
    peers.py mlx-whisper WAV MODEL        bare mlx-whisper on the CPU

One thread, English, nothing fetched. A result is only counted, so that nobody is charged for writing files.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(PYANNOTE_METRICS_ENABLED="0", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

SAMPLE_RATE = 16000
# The batch sizes are those of community-1's own config.yaml; models and thresholds are those of native/stages/diarization.
CONFIG = """\
dependencies:
  pyannote.audio: 4.0.0
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: AgglomerativeClustering
    embedding: $model/embedding
    embedding_batch_size: 32
    embedding_exclude_overlap: true
    plda: $model/plda
    segmentation: $model/segmentation
    segmentation_batch_size: 32
params:
  clustering: {{method: average, threshold: {distance}, min_cluster_size: {smallest}}}
  segmentation: {{threshold: {onset}, min_duration_off: 0.0}}
"""


def prepare(folder: Path) -> None:
    """The diarization weights of the packages in one folder as pyannote and whisperx want them, an untrained punkt, and an ffmpeg."""
    import imageio_ffmpeg
    import nltk
    import numpy as np
    from nltk.tokenize.punkt import PunktParameters, save_punkt_params

    from reelscribe.pyannote_models import embedded_segmentation, quiet

    with quiet():
        from diarization import pipelines
    models = folder / "diarization"
    for name in ("segmentation", "embedding", "plda"):
        (models / name).mkdir(parents=True, exist_ok=True)
    setting = {"distance": 0.25, "smallest": pipelines.MIN_CLUSTER_SIZE, "onset": pipelines.ONSET}
    (models / "config.yaml").write_text(CONFIG.format(**setting), encoding="utf-8")
    shutil.copyfile(embedded_segmentation(), models / "segmentation" / "pytorch_model.bin")
    _save_voice_model(models / "embedding" / "pytorch_model.bin")
    # Agglomerative clustering has no use for a PLDA, but the pipeline insists on one.
    size = 256
    np.savez(models / "plda" / "xvec_transform.npz", mean1=np.zeros(size), mean2=np.zeros(size), lda=np.eye(size))
    np.savez(models / "plda" / "plda.npz", mu=np.zeros(size), tr=np.eye(size), psi=np.linspace(2, 1, size))
    punkt = folder / "nltk_data" / "tokenizers" / "punkt_tab"
    punkt.mkdir(parents=True, exist_ok=True)
    nltk.data.path.insert(0, str(folder / "nltk_data"))
    save_punkt_params(PunktParameters(), dir=str(punkt / "english"))
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())


def _save_voice_model(path: Path) -> None:
    """Resemblyzer's voices as a checkpoint that pyannote reads."""
    import lightning
    import torch
    from pyannote.audio.core.task import Problem, Resolution, Specifications

    from diarization.voice import VoiceModel

    model = VoiceModel()
    model.specifications = Specifications(Problem.REPRESENTATION, Resolution.CHUNK, duration=5.0, classes=["voice"])
    checkpoint = {"state_dict": model.state_dict(), "hyper_parameters": {}, "pytorch-lightning_version": lightning.__version__}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)


def read(path: str) -> Any:
    """(num_samples,) float32."""
    import soundfile

    return soundfile.read(path, dtype="float32")[0]


def silero(audio: str, *, onnx: bool = False) -> int:
    """https://github.com/snakers4/silero-vad#fast-start"""
    import torch
    from silero_vad import get_speech_timestamps, load_silero_vad

    return len(get_speech_timestamps(torch.from_numpy(read(audio)), load_silero_vad(onnx=onnx), return_seconds=True))


def silero_onnx(audio: str) -> int:
    """The same with ONNX Runtime."""
    return silero(audio, onnx=True)


def pyannote(audio: str, folder: str) -> int:
    """https://huggingface.co/pyannote/speaker-diarization-community-1"""
    import torch
    from pyannote.audio import Pipeline

    torch.set_num_threads(1)
    pipeline = Pipeline.from_pretrained(Path(folder) / "diarization")
    output = pipeline({"waveform": torch.from_numpy(read(audio))[None], "sample_rate": SAMPLE_RATE, "uri": "film"})
    return len(output.speaker_diarization)


def faster_whisper(audio: str, model: str) -> int:
    """https://github.com/SYSTRAN/faster-whisper#batched-transcription"""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    loaded = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=1)
    segments, _ = BatchedInferencePipeline(loaded).transcribe(audio, batch_size=16, language="en", word_timestamps=True)
    return sum(len(segment.words or ()) for segment in segments)


def mlx_whisper(audio: str, model: str) -> int:
    """https://github.com/ml-explore/mlx-examples/tree/main/whisper"""
    import mlx.core as mx
    from mlx_whisper import transcribe

    mx.set_default_device(mx.cpu)
    said = transcribe(read(audio), path_or_hf_repo=model, language="en", word_timestamps=True, fp16=False)
    return sum(len(segment["words"]) for segment in said["segments"])


PEERS: dict[str, Callable[..., int]] = {
    "silero": silero,
    "silero-onnx": silero_onnx,
    "pyannote": pyannote,
    "faster-whisper": faster_whisper,
    "mlx-whisper": mlx_whisper,
}


def main() -> None:
    """One number: what was found."""
    # The diarization weights are Resemblyzer's behind an adapter of ours.
    sys.path[0] = str(Path(__file__).resolve().parents[2] / "native" / "stages")
    name, *given = sys.argv[1:]
    if name == "prepare":
        prepare(Path(given[0]))
    else:
        print(PEERS[name](*given))


if __name__ == "__main__":
    main()
