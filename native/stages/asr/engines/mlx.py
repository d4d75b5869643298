"""Whisper on MLX, Apple's framework: Metal on Apple Silicon, and the same code on a CPU.

mlx_whisper.transcribe() prompts only the first 30 s of a call, so its decoder is called for each window:
https://github.com/ml-explore/mlx-examples/blob/main/whisper/mlx_whisper/decoding.py. It is greedy and has no beam search.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from asr import formats
from asr.engines import Backend, Load
from asr.engines.whisper import CONTEXT, WINDOW_S, Hypothesis, Task, TimedWord, Tokenizer, Whisper
from reelscribe import wav
from reelscribe.manifest import Engine
from reelscribe.schemas import Plan

if TYPE_CHECKING:
    import numpy as np

_FRAMES_PER_S = 100
# MLX would keep as much freed memory as the machine has.
_CACHE_BYTES = 512 * 2**20


class MlxNetwork:
    """See Network. Features: (1500, d_model), an array of MLX."""

    def __init__(self, folder: Path, load: Load) -> None:
        import mlx.core as mx
        from mlx_whisper import load_models, tokenizer

        # Before the model is made: MLX computes where it is told to by then.
        mx.set_default_device(mx.gpu if load.device == "mps" else mx.cpu)
        mx.set_cache_limit(_CACHE_BYTES)
        self._half = load.compute == "float16"
        self._model = load_models.load_model(str(folder), dtype=mx.float16 if self._half else mx.float32)
        self._use_alignment_heads(folder)
        many = self._model.is_multilingual
        self.languages = frozenset(list(tokenizer.LANGUAGES)[: self._model.num_languages]) if many else frozenset({"en"})
        self.tokenizer = cache(self._tokenizer)

    def _use_alignment_heads(self, folder: Path) -> None:
        """Those that transformers names; where nothing does, MLX takes all of the upper half of the layers."""
        import mlx.core as mx

        try:
            heads = json.loads((folder / "generation_config.json").read_bytes())["alignment_heads"]
        except (OSError, ValueError, KeyError):
            return
        self._model.alignment_heads = mx.array(heads)

    def _tokenizer(self, language: str, task: Task) -> Tokenizer:
        from mlx_whisper.tokenizer import get_tokenizer

        many = self._model.is_multilingual
        return cast(Tokenizer, get_tokenizer(many, num_languages=self._model.num_languages, language=language, task=task))

    def encode(self, samples: Sequence[np.ndarray]) -> list[Any]:
        """See Network. One by one, always in the same shape: MLX keeps memory for every shape it has seen."""
        import mlx.core as mx

        mx.clear_cache()
        return [self._encode(x) for x in samples]

    def _encode(self, samples: np.ndarray) -> Any:
        import mlx.core as mx
        import numpy as np
        from mlx_whisper.audio import log_mel_spectrogram

        length = round(WINDOW_S * wav.SAMPLE_RATE)
        padded = np.pad(samples[:length], (0, max(0, length - len(samples))))
        mel = log_mel_spectrogram(padded, n_mels=self._model.dims.n_mels)[: round(WINDOW_S * _FRAMES_PER_S)]
        features = self._model.encoder(mel[None].astype(mx.float16 if self._half else mx.float32))[0]
        mx.eval(features)
        return features

    def hear_languages(self, features: Sequence[Any]) -> list[dict[str, float]]:
        """See Network."""
        from mlx_whisper.decoding import detect_language

        return [dict(detect_language(self._model, f[None])[1][0]) for f in features]

    def decode(self, features: Sequence[Any], prompts: Sequence[list[int]]) -> list[Hypothesis]:
        """See Network."""
        return [self._decode(f, prompt, 0.0) for f, prompt in zip(features, prompts, strict=True)]

    def start_sampling(self, seed: int) -> None:
        """See Network."""
        import mlx.core as mx

        mx.random.seed(seed)

    def sample(self, features: Any, prompt: list[int], temperature: float) -> Hypothesis:
        """See Network."""
        return self._decode(features, prompt, temperature)

    def _decode(self, features: Any, prompt: list[int], temperature: float) -> Hypothesis:
        """prompt: <|startofprev|> and what follows it, if there is, and then the language's and the task's tokens."""
        from mlx_whisper.decoding import DecodingOptions, DecodingTask

        tokenizer: Any = self.tokenizer("en", "transcribe")
        start = prompt.index(tokenizer.sot)
        language, task = ("en", "transcribe")
        if self._model.is_multilingual:
            language = tokenizer.decode_with_timestamps([prompt[start + 1]])[2:-2]
            task = "translate" if prompt[start + 2] == tokenizer.translate else "transcribe"
        options = DecodingOptions(task=task, language=language, temperature=temperature, prompt=prompt[1:start] or None, fp16=self._half)
        decoding = DecodingTask(self._model, options)
        decoding.logit_filters.insert(0, _Forwards(tokenizer, len(prompt)))
        result: Any = decoding.run(features[None])[0]
        room = min(CONTEXT // 2, CONTEXT - len(prompt))
        tokens = [token for token in result.tokens if token != tokenizer.eot]
        return Hypothesis(tokens, float(result.avg_logprob), float(result.no_speech_prob), full=len(tokens) >= room - 1)

    def times(
        self,
        features: Sequence[Any],
        tokenizer: Tokenizer,
        prompts: Sequence[list[int]],
        texts: Sequence[list[int]],
        seconds: Sequence[float],
    ) -> list[list[TimedWord]]:
        """See Network."""
        told = [_Told(tokenizer, prompt) for prompt in prompts]
        return [self._times(f, t, list(text), s) for f, t, text, s in zip(features, told, texts, seconds, strict=True)]

    def _times(self, features: Any, tokenizer: Any, text: list[int], seconds: float) -> list[TimedWord]:
        from mlx_whisper.timing import find_alignment

        frames = min(round(WINDOW_S * _FRAMES_PER_S), max(2, round(seconds * _FRAMES_PER_S)))
        words = find_alignment(_Encoded(self._model), tokenizer, text, features, frames)
        return [TimedWord(w.word, len(w.tokens), float(w.start), float(w.end), float(w.probability)) for w in words]


class _Told:
    """A tokenizer for find_alignment(), with what the decoder was told as all that comes before the text."""

    def __init__(self, tokenizer: Tokenizer, prompt: list[int]) -> None:
        self._tokenizer = tokenizer
        self.sot_sequence = prompt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


class _Forwards:
    """A filter of logits (1, num_tokens): no timestamp before the last one, no segment without length. `begin`: tokens before the first.

    Whisper's rule; mlx_whisper 0.4.3 has it too, but takes the place of the last timestamp for its token, and then it forbids nothing.
    """

    def __init__(self, tokenizer: Any, begin: int) -> None:
        self._zero: int = tokenizer.timestamp_begin
        self._begin = begin

    def apply(self, logits: Any, tokens: Any) -> Any:
        """See mlx_whisper.decoding.LogitFilter."""
        import mlx.core as mx

        (said,) = tokens[:, self._begin :].tolist()
        last = next((token for token in reversed(said) if token >= self._zero), None)
        if last is None:
            return logits
        # A segment may begin when the one before ends, but takes time itself.
        begins = said[-1] == last and len(said) > 1 and said[-2] < self._zero
        number = mx.arange(logits.shape[-1])
        return mx.where((number >= self._zero) & (number < last + (not begins)), -mx.inf, logits)


class _Encoded:
    """A Whisper for find_alignment() that is given features instead of sound, so that it does not encode once more."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.alignment_heads = model.alignment_heads

    def forward_with_cross_qk(self, features: Any, tokens: Any) -> tuple[Any, Any]:
        logits, _, cross_qk = self._model.decoder(tokens, features)
        return logits, cross_qk


def load(load: Load, plan: Plan) -> Whisper:
    """The model that `load` names."""
    return Whisper(load, MlxNetwork(formats.ready(load), load))


BACKEND = Backend(
    name="mlx",
    engine=Engine(name="MLX Whisper", kind="mlx", packages=("mlx", "mlx-whisper"), environment="asr-mlx"),
    languages=None,
    translates=True,
    bias="prompt",
    word_times=True,
    batch=1,
    load=load,
    module="mlx_whisper",
)
