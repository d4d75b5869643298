"""Which model aligns a language, and where on this machine it is."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from reelscribe import models
from reelscribe.errors import MissingToolError
from reelscribe.models import ModelNeed

# WhisperX's own choice (whisperx/alignment.py); it is repeated here because whisperx takes seconds to import. For the first five
# whisperx names bundles of torchaudio: these are the same weights, where models are fetched and kept like all others.
DEFAULTS = {
    "en": "facebook/wav2vec2-base-960h",
    "fr": "facebook/wav2vec2-base-10k-voxpopuli-ft-fr",
    "de": "facebook/wav2vec2-base-10k-voxpopuli-ft-de",
    "es": "facebook/wav2vec2-base-10k-voxpopuli-ft-es",
    "it": "facebook/wav2vec2-base-10k-voxpopuli-ft-it",
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
FILES = ("config.json", "preprocessor_config.json", "vocab.json", "model.safetensors|pytorch_model.bin")
EXTRAS = ("tokenizer_config.json", "special_tokens_map.json")


class Model(BaseModel):
    """A model's folder, as whisperx.load_align_model is given it. weights: where the user keeps it, so that its name says nothing."""

    name: str
    weights: Path | None = None


def need(wanted: str, language: str) -> ModelNeed:
    """The model for `language` when the user `wanted` it: "auto", a folder, or a name on the hub. Raises MissingToolError."""
    name = DEFAULTS.get(language) if wanted == "auto" else wanted
    if name is None:
        raise MissingToolError(f"there is no aligner for the language {language}", remedy="name a wav2vec2 model for it in ALIGNMENT_MODEL")
    if models.is_path(name) or Path(name).is_dir():
        name = str(Path(name).expanduser().absolute())
    return ModelNeed(repo=name, purpose="word times", files=FILES, extras=EXTRAS)


def find_model(wish: ModelNeed, models_dir: Path) -> Model:
    """The model on this machine. Raises MissingToolError."""
    found = models.locate(wish, models_dir)
    if found:
        own = wish.is_folder or not found.revision
        weights = next(found.folder / name for name in FILES[-1].split("|") if (found.folder / name).is_file())
        return Model(name=str(found.folder), weights=weights if own else None)
    if wish.is_folder:
        folder = Path(wish.repo)
        why = f"lacks {', '.join(models.lacking(wish, folder))}" if folder.is_dir() else "is not there"
        raise MissingToolError(f"the aligner {wish.repo} {why}", remedy="correct ALIGNMENT_MODEL")
    raise MissingToolError(
        f"the aligner {wish.repo} is neither in {models_dir} nor in the hub's cache",
        remedy="native/pipeline.sh --prefetch fetches it; ALIGNMENT_MODEL names another, which may be a folder",
    )
