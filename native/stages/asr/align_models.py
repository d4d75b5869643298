"""Which model aligns a language, and where on this machine it is."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel

from reelscribe.errors import MissingToolError

# WhisperX's own choice (whisperx/alignment.py); it is repeated here because whisperx takes seconds to import.
DEFAULTS = {
    "en": "WAV2VEC2_ASR_BASE_960H",
    "fr": "VOXPOPULI_ASR_BASE_10K_FR",
    "de": "VOXPOPULI_ASR_BASE_10K_DE",
    "es": "VOXPOPULI_ASR_BASE_10K_ES",
    "it": "VOXPOPULI_ASR_BASE_10K_IT",
    "ja": "jonatasgrosman/wav2vec2-large-xlsr-53-japanese",
    "zh": "jonatasgrosman/wav2vec2-large-xlsr-53-chinese-zh-cn",
    "nl": "jonatasgrosman/wav2vec2-large-xlsr-53-dutch",
    "uk": "Yehor/wav2vec2-xls-r-300m-uk-with-small-lm",
    "pt": "jonatasgrosman/wav2vec2-large-xlsr-53-portuguese",
    "ar": "jonatasgrosman/wav2vec2-large-xlsr-53-arabic",
    "cs": "comodoro/wav2vec2-xls-r-300m-cs-250",
    "ru": "jonatasgrosman/wav2vec2-large-xlsr-53-russian",
    "pl": "jonatasgrosman/wav2vec2-large-xlsr-53-polish",
    "hu": "jonatasgrosman/wav2vec2-large-xlsr-53-hungarian",
    "fi": "jonatasgrosman/wav2vec2-large-xlsr-53-finnish",
    "fa": "jonatasgrosman/wav2vec2-large-xlsr-53-persian",
    "el": "jonatasgrosman/wav2vec2-large-xlsr-53-greek",
    "tr": "mpoyraz/wav2vec2-xls-r-300m-cv7-turkish",
    "da": "saattrupdan/wav2vec2-xls-r-300m-ftspeech",
    "he": "imvladikon/wav2vec2-xls-r-300m-hebrew",
    "vi": "nguyenvulebinh/wav2vec2-base-vi-vlsp2020",
    "ko": "kresnik/wav2vec2-large-xlsr-korean",
    "ur": "kingabzpro/wav2vec2-large-xls-r-300m-Urdu",
    "te": "anuragshas/wav2vec2-large-xlsr-53-telugu",
    "hi": "theainerd/Wav2Vec2-large-xlsr-hindi",
    "ca": "softcatala/wav2vec2-large-xlsr-catala",
    "ml": "gvs/wav2vec2-large-xlsr-malayalam",
    "no": "NbAiLab/nb-wav2vec2-1b-bokmaal-v2",
    "nn": "NbAiLab/nb-wav2vec2-1b-nynorsk",
    "sk": "comodoro/wav2vec2-xls-r-300m-sk-cv8",
    "sl": "anton-l/wav2vec2-large-xlsr-53-slovenian",
    "hr": "classla/wav2vec2-xls-r-parlaspeech-hr",
    "ro": "gigant/romanian-wav2vec2",
    "eu": "stefan-it/wav2vec2-large-xlsr-53-basque",
    "gl": "ifrz/wav2vec2-large-xlsr-galician",
    "ka": "xsway/wav2vec2-large-xlsr-georgian",
    "lv": "jimregan/wav2vec2-large-xlsr-latvian-cv",
    "tl": "Khalsuu/filipino-wav2vec2-l-xls-r-300m-official",
    "sv": "KBLab/wav2vec2-large-voxrex-swedish",
    "id": "cahya/wav2vec2-large-xlsr-indonesian",
}
# Bundles of torchaudio and the file each is fetched as (https://download.pytorch.org/torchaudio/models/…).
BUNDLES = {
    "WAV2VEC2_ASR_BASE_960H": "wav2vec2_fairseq_base_ls960_asr_ls960.pth",
    "VOXPOPULI_ASR_BASE_10K_FR": "wav2vec2_voxpopuli_base_10k_asr_fr.pt",
    "VOXPOPULI_ASR_BASE_10K_DE": "wav2vec2_voxpopuli_base_10k_asr_de.pt",
    "VOXPOPULI_ASR_BASE_10K_ES": "wav2vec2_voxpopuli_base_10k_asr_es.pt",
    "VOXPOPULI_ASR_BASE_10K_IT": "wav2vec2_voxpopuli_base_10k_asr_it.pt",
}
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


class Model(BaseModel):
    """What whisperx.load_align_model is given. name: a folder, a name on the hub or a bundle of torchaudio.

    folder: where the bundle's file lies. here: False when it has to be fetched. weights: of a folder that the user keeps, whose name
    does not tell what is in it.
    """

    name: str
    folder: str | None = None
    here: bool = False
    weights: Path | None = None


def find_model(wanted: str, language: str, models_dir: Path, *, offline: bool) -> Model:
    """The model for `language` when the user `wanted` it ("auto", or a folder or name): here, or to be fetched when that may be.

    Raises MissingToolError.
    """
    name = DEFAULTS.get(language) if wanted == "auto" else wanted
    if name is None:
        raise MissingToolError(f"there is no aligner for the language {language}", remedy="name a wav2vec2 model for it in ALIGNMENT_MODEL")
    model = _bundle(name, models_dir) if name in BUNDLES else _folder(name, models_dir)
    if not model.here and (offline or _is_path(name)):
        why = "holds no wav2vec2 model" if Path(name).expanduser().is_dir() else "is not on this machine"
        where = "" if _is_path(name) else f", neither in {models_dir} nor in a cache"
        raise MissingToolError(f"the aligner {name} {why}{where}", remedy=_remedy(name))
    return model


def _remedy(name: str) -> str:
    return (
        "correct ALIGNMENT_MODEL"
        if _is_path(name)
        else "run once without OFFLINE, or name a folder with a wav2vec2 model in ALIGNMENT_MODEL"
    )


def _is_path(name: str) -> bool:
    """Whether this can only be a folder: names on the hub are `model` or `owner/model`."""
    return name.startswith(("/", ".", "~")) or name.count("/") > 1 or Path(name).is_dir()


def _bundle(name: str, models_dir: Path) -> Model:
    """A bundle of torchaudio, whose file may have been put into MODELS_DIR or fetched by anything that uses torch."""
    cache = os.environ.get("TORCH_HOME") or str(_cache() / "torch")
    for folder in (models_dir, Path(cache).expanduser() / "hub" / "checkpoints"):
        if (folder / BUNDLES[name]).is_file():
            return Model(name=name, folder=str(folder), here=True)
    return Model(name=name)


def _folder(name: str, models_dir: Path) -> Model:
    """A model as transformers stores it: in the folder that is named, in MODELS_DIR, or in the hub's cache."""
    for folder in (Path(name).expanduser(), models_dir / name.split("/")[-1]):
        if weights := _weights(folder):
            return Model(name=str(folder.absolute()), here=True, weights=weights)
    cached = next(filter(_weights, _snapshots(name)), None)
    return Model(name=str(cached), here=True) if cached else Model(name=name)


def _weights(folder: Path) -> Path | None:
    """The weights of a model that is whole."""
    if not (folder / "config.json").is_file():
        return None
    return next((folder / file for file in _WEIGHTS if (folder / file).is_file()), None)


def _snapshots(name: str) -> list[Path]:
    """What the hub's cache has of a model, the newest first (https://huggingface.co/docs/huggingface_hub/guides/manage-cache)."""
    home = os.environ.get("HF_HOME") or str(_cache() / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or str(Path(home) / "hub")).expanduser()
    found = (cache / f"models--{name.replace('/', '--')}" / "snapshots").glob("*")
    return sorted(found, key=lambda snapshot: snapshot.stat().st_mtime, reverse=True)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
