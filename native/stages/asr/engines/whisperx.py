"""Whisper on CTranslate2, as WhisperX and faster-whisper run it; here every window of a batch has its own prompt.

The batched pipelines of both take one prompt for all and have neither gates nor fallbacks, so generate() is called directly:
https://opennmt.net/CTranslate2/python/ctranslate2.models.Whisper.html
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr import formats
from asr.engines import Backend, Load
from asr.engines.whisper import CONTEXT, WINDOW_S, Hypothesis, Task, TimedWord, Tokenizer, Whisper
from reelscribe import wav
from reelscribe.manifest import Engine
from reelscribe.schemas import Plan

if TYPE_CHECKING:
    import numpy as np

BEAM = 5
_TICKS_PER_S = 50


class CTranslate2Network:
    """See Network. Features: (1500, d_model), on the CPU, so that any of them can be decoded together."""

    def __init__(self, folder: Path, load: Load) -> None:
        from faster_whisper import WhisperModel

        self._folder = str(folder)
        self._device = {"device": load.device, "compute_type": load.compute}
        self._threads = load.threads
        self._model: Any = WhisperModel(self._folder, local_files_only=True, cpu_threads=self._threads, **self._device)
        self._used = False
        self.languages = frozenset(self._model.supported_languages)
        self.tokenizer = cache(self._tokenizer)

    def _reopen(self) -> None:
        """The weights alone, with new threads; the tokenizer would take longer than a small model."""
        import ctranslate2

        self._model.model = None  # it must go first: two may not fit
        self._model.model = ctranslate2.models.Whisper(self._folder, intra_threads=self._threads, **self._device)
        self._used = False

    def _tokenizer(self, language: str, task: Task) -> Tokenizer:
        from faster_whisper.tokenizer import Tokenizer as FasterWhisperTokenizer

        many = self._model.model.is_multilingual
        found: Tokenizer = FasterWhisperTokenizer(self._model.hf_tokenizer, many, task=task, language=language)
        return found

    def encode(self, samples: Sequence[np.ndarray]) -> list[Any]:
        """See Network."""
        import numpy as np

        extractor = self._model.feature_extractor
        frames = extractor.nb_max_frames
        length = round(WINDOW_S * wav.SAMPLE_RATE)
        mels = [extractor(np.pad(x[:length], (0, max(0, length - len(x)))))[:, :frames] for x in samples]
        encoded = self._model.model.encode(_view(np.stack(mels)), to_cpu=True)
        return list(np.asarray(encoded))

    def hear_languages(self, features: Sequence[Any]) -> list[dict[str, float]]:
        """See Network."""
        found = self._model.model.detect_language(_stacked(features))
        return [{token[2:-2]: probability for token, probability in window} for window in found]

    def decode(self, features: Sequence[Any], prompts: Sequence[list[int]]) -> list[Hypothesis]:
        """See Network."""
        return self._generate(features, prompts, beam_size=BEAM)

    def start_sampling(self, seed: int) -> None:
        """See Network. CTranslate2 seeds a generator when a model's thread first draws; for another seed there must be another thread."""
        import ctranslate2

        if self._used:
            self._reopen()
        ctranslate2.set_random_seed(seed)

    def sample(self, features: Any, prompt: list[int], temperature: float) -> Hypothesis:
        """See Network. The best of five, as Whisper does it."""
        self._used = True
        chance = {"beam_size": 1, "num_hypotheses": BEAM, "sampling_topk": 0, "sampling_temperature": temperature}
        return self._generate([features], [prompt], **chance)[0]

    def _generate(self, features: Sequence[Any], prompts: Sequence[list[int]], **search: Any) -> list[Hypothesis]:
        results = self._model.model.generate(
            _stacked(features), prompts, max_length=CONTEXT, return_scores=True, return_no_speech_prob=True, suppress_tokens=[-1], **search
        )
        room = min(CONTEXT // 2, CONTEXT - len(prompts[0]))
        found = []
        for result in results:
            tokens = list(result.sequences_ids[0])
            # A score is the mean without <|endoftext|>, Whisper's logprob with it.
            logprob = result.scores[0] * len(tokens) / (len(tokens) + 1)
            found.append(Hypothesis(tokens, logprob, result.no_speech_prob, full=len(tokens) >= room - 1))
        return found

    def times(
        self,
        features: Sequence[Any],
        tokenizer: Tokenizer,
        prompts: Sequence[list[int]],
        texts: Sequence[list[int]],
        seconds: Sequence[float],
    ) -> list[list[TimedWord]]:
        """See Network. CTranslate2 takes one prompt for a call."""
        found: dict[int, list[TimedWord]] = {}
        for prompt in dict.fromkeys(map(tuple, prompts)):
            these = [number for number, other in enumerate(prompts) if tuple(other) == prompt]
            frames = [min(self._model.feature_extractor.nb_max_frames, max(2, round(seconds[n] * 2 * _TICKS_PER_S))) for n in these]
            aligned = self._model.model.align(_stacked([features[n] for n in these]), list(prompt), [list(texts[n]) for n in these], frames)
            found.update((n, _timed(list(texts[n]), alignment, tokenizer)) for n, alignment in zip(these, aligned, strict=True))
        return [found[number] for number in range(len(texts))]


def _timed(text: list[int], alignment: Any, tokenizer: Tokenizer) -> list[TimedWord]:
    """Words of `text` with the times at which the alignment comes to their first token and leaves their last."""
    starts: dict[int, int] = {}
    for token, tick in alignment.alignments:
        starts.setdefault(token, tick)
    last = alignment.alignments[-1][1] if alignment.alignments else 0
    words, tokens = tokenizer.split_to_word_tokens([*text, tokenizer.eot])
    timed, at = [], 0
    for word, these in zip(words[:-1], tokens[:-1], strict=True):
        end = at + len(these)
        probabilities = alignment.text_token_probs[at:end]
        start_tick, end_tick = starts.get(at, last), starts.get(end, last)
        score = sum(probabilities) / max(1, len(probabilities))
        timed.append(TimedWord(word, len(these), start_tick / _TICKS_PER_S, end_tick / _TICKS_PER_S, score))
        at = end
    return timed


def _stacked(features: Sequence[Any]) -> Any:
    import numpy as np

    return _view(np.stack(features))


def _view(values: np.ndarray) -> Any:
    import ctranslate2
    import numpy as np

    return ctranslate2.StorageView.from_array(np.ascontiguousarray(values))


def load(load: Load, plan: Plan) -> Whisper:
    """The model that `load` names."""
    return Whisper(load, CTranslate2Network(formats.ready(load), load))


BACKEND = Backend(
    name="whisperx",
    engine=Engine(name="WhisperX", kind="ctranslate2", packages=("ctranslate2", "faster-whisper")),
    languages=None,
    translates=True,
    bias="prompt",
    word_times=True,
    batch=64,
    load=load,
    module="faster_whisper",
)
