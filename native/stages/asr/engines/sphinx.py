"""PocketSphinx: American English from the models inside its package. A draft: it needs no download, and errs in every fourth word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.engines import Backend, Load
from asr.pronounce import plain_letters, pronounce
from asr.sentences import to_segments
from reelscribe import wav
from reelscribe.manifest import Engine
from reelscribe.schemas import DecodedWindow, Plan, Span, Term, Window, Word

if TYPE_CHECKING:
    import numpy as np

# How much likelier than a word chosen at random a term of full weight is. Of 100, 200, 300, 1000: 300 finds 17 of the 52 names in
# tests/names (tuning) and makes up 2 (14 and 1, 15 and 1, 17 and 2, 21 and 5); 40 people (80 names) of whom nobody speaks cost no word
# net in 66 s of Sense and Sensibility and FLEURS (WER 38.4 %, as without; 39.5 % with 1000).
BOOST = 300.0
# Words said more often than this ("Will", "May") are left alone: as a name they would be heard everywhere.
_COMMON = 3e-4
_FRAMES_PER_S = 100
_FILLER = re.compile(r"[<\[+]")
_VARIANT = re.compile(r"\(\d+\)$")


def vocabulary(terms: Sequence[Term]) -> dict[str, float]:
    """The words of names in `terms`, as they are written, and the highest weight each has: {"Ilsa": 0.9, "Lund": 0.9}.

    Titles are left out: their words are capitalized, and mostly no names.
    """
    words: dict[str, float] = {}
    for term in (t for t in terms if t.kind != "title"):
        for word in re.findall(r"[^\W\d_]+", term.text):
            if word[0].isupper() and len(plain_letters(word)) > 1:
                words[word] = max(term.weight, words.get(word, 0.0))
    return words


class Sphinx:
    """One decoder for the whole plan: every term is in its dictionary from the start, the language model knows the window's own.

    So a window's words depend neither on the windows before it nor on where a resumed run begins.
    """

    def __init__(self, load: Load, plan: Plan) -> None:
        import pocketsphinx

        models = Path(pocketsphinx.get_model_path()) / "en-us"
        self._terms = {term.text: term for term in plan.terms}
        self._language_model = str(models / "en-us.lm.bin")
        self._decoder = pocketsphinx.Decoder(loglevel="FATAL", lm=None, hmm=str(models / "en-us"), dict=str(models / "cmudict-en-us.dict"))
        self._spoken = self._add_to_dictionary(vocabulary(plan.terms))
        self._search: tuple[str, ...] | None = None

    def listen(self, windows: Sequence[Window], samples: Sequence[np.ndarray]) -> None:
        """See Recognizer. It knows one language."""

    def decode(self, windows: Sequence[Window], samples: Sequence[np.ndarray]) -> list[DecodedWindow]:
        """See Recognizer."""
        return [self._decode_window(window, x) for window, x in zip(windows, samples, strict=True)]

    def _decode_window(self, window: Window, samples: np.ndarray) -> DecodedWindow:
        segments = to_segments(self._words(window, samples), window.id)
        return DecodedWindow(window=window.id, segments=segments, language="en", terms=window.terms)

    def _words(self, window: Window, samples: np.ndarray) -> list[Word]:
        self._use_terms(tuple(window.terms))
        words: list[Word] = []
        for stretch in window.speech:
            first, last = (round((t - window.start) * wav.SAMPLE_RATE) for t in (stretch.start, stretch.end))
            words += self._decode(stretch, samples[first:last])
        return words

    def _decode(self, stretch: Span, samples: np.ndarray) -> Iterator[Word]:
        decoder = self._decoder
        # The decoder goes on adapting to the voice: without this, a window would depend on those before it.
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw((samples * 32768.0).clip(-32768, 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        for segment in decoder.seg() or ():
            if not _FILLER.match(segment.word):
                yield Word(
                    word=_VARIANT.sub("", segment.word),
                    start=stretch.start + segment.start_frame / _FRAMES_PER_S,
                    end=min(stretch.end, stretch.start + (segment.end_frame + 1) / _FRAMES_PER_S),
                    score=min(1.0, segment.prob),
                )

    # -- the words of the glossary ---------------------------------------------------------------------------------------

    def _add_to_dictionary(self, words: dict[str, float]) -> set[str]:
        """Give the decoder pronunciations for each word; returns those it took."""
        taken = set()
        for word in words:
            # Written as the glossary has it, the name is a word of its own beside the dictionary's lower-case one.
            if self._decoder.lookup_word(word) is not None:
                continue
            for number, phones in enumerate(pronounce(word, self._decoder.lookup_word), start=1):
                self._decoder.add_word(word if number == 1 else f"{word}({number})", phones, False)
                taken.add(word)
        return taken

    def _use_terms(self, texts: tuple[str, ...]) -> None:
        """Decode with a language model that knows the terms `texts`, and no other."""
        if texts == self._search:
            return
        model = self._load_language_model()
        for word, weight in vocabulary([self._terms[text] for text in texts]).items():
            if word in self._spoken and self._decoder.logmath.exp(model.prob([word.lower()])) < _COMMON:
                model.add_word(word, max(1.0, BOOST * weight))
        self._decoder.add_lm("window", model)
        self._decoder.activate_search("window")
        self._search = texts

    def _load_language_model(self) -> Any:
        import pocketsphinx

        return pocketsphinx.NGramModel(self._decoder.config, self._decoder.logmath, self._language_model)


BACKEND = Backend(
    name="sphinx",
    engine=Engine(name="PocketSphinx", kind="sphinx", packages=("pocketsphinx",), model="en-us", draft=True),
    languages=frozenset({"en"}),
    translates=False,
    bias="vocabulary",
    word_times=True,
    batch=1,
    load=Sphinx,
    module="pocketsphinx",
)
