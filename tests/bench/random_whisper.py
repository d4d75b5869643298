"""A Whisper of the size of `tiny` that has learnt nothing and never stops, for benches that ask for speed alone.

What it says is as long for every window as Whisper lets it be, 224 tokens, so that everybody decodes the same number of tokens. The
tokenizer and its files are those of the fixture Whisper, which are the real ones.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

_COPIED = ("generation_config.json", "preprocessor_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
# https://github.com/openai/whisper#available-models-and-languages: 39 M parameters
_LAYERS, _WIDTH, _HEADS, _INNER = 4, 384, 6, 1536
_END, _FIRST_TIME = 50257, 50364


def make(folder: Path, tokenizer: Path) -> Path:
    """Write it into `folder`, in the format of transformers. tokenizer: a Whisper's folder."""
    torch.manual_seed(0)
    sizes = {f"{part}_{name}": size for part in ("encoder", "decoder") for name, size in (("layers", _LAYERS), ("attention_heads", _HEADS))}
    inner = {"encoder_ffn_dim": _INNER, "decoder_ffn_dim": _INNER}
    model = WhisperForConditionalGeneration(WhisperConfig(vocab_size=51865, d_model=_WIDTH, **sizes, **inner))
    _never_stop(model.model.decoder)
    model.save_pretrained(folder)
    for name in _COPIED:
        shutil.copy(tokenizer / name, folder)
    return folder


def _never_stop(decoder: torch.nn.Module) -> None:
    """Give its last layer a bias that neither <|endoftext|> nor a time agrees with, and that says nothing of words.

    What that layer normalizes is no longer than sqrt(width) in any direction: twice that always decides.
    """
    direction = torch.nn.functional.normalize(torch.randn(_WIDTH), dim=0)
    with torch.no_grad():
        words = decoder.embed_tokens.weight
        words -= (words @ direction)[:, None] * direction
        words[[_END, *range(_FIRST_TIME, len(words))]] -= direction
        decoder.layer_norm.bias.copy_(2 * _WIDTH**0.5 * direction)
