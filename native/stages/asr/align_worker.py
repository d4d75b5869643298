"""Aligns words to sound with whisperx.align; asr.align runs it in the environment `asr`.

    python align_worker.py [REQUEST.json]

A request (asr.align.Request as JSON) is read from the file, or one from every line of stdin; each is answered with one line on stdout
(asr.align.Answer). Talk goes to stderr. Models stay loaded until stdin ends.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# This script's own folder holds modules that could hide a library; its parent, behind everything installed, takes its place.
sys.path[:1] = []
sys.path.append(str(Path(__file__).resolve().parents[1]))

from asr.align import Aligned, Answer, Request  # noqa: E402
from asr.align_models import Model  # noqa: E402
from asr.align_units import Unit  # noqa: E402
from reelscribe import device_manager, languages, logger, process, wav  # noqa: E402

# Where an aligner does not know a letter, it takes any sound for it. Times are worth little when that is so of most.
_LEAST_KNOWN = 0.5
# Every unit has a length of its own, and oneDNN keeps what it compiled for each: some 80 MB an hour of film, for nothing.
# https://oneapi-src.github.io/oneDNN/v3.0/dev_guide_primitive_cache.html
_KEPT_PRIMITIVES = "64"


@dataclass(frozen=True)
class Loaded:
    """A model and what whisperx keeps with it. vocabulary: token by letter; blank: CTC's."""

    network: Any
    metadata: dict[str, Any]
    vocabulary: dict[str, int]
    blank: int


class Worker:
    """Answers requests; models stay in memory by name, on one device."""

    def __init__(self) -> None:
        self._started: float | None = time.monotonic()
        self._loaded: dict[str, Loaded] = {}
        self._device = ""
        self._lost = ""
        self._nltk = _nltk_data()

    def answer(self, request: Request) -> Answer:
        """Align every unit; one that cannot be aligned says why."""
        started, self._started = self._started or time.monotonic(), None
        import torch

        torch.set_num_threads(request.threads)
        device_manager.limit_mps_memory()
        self._take(request.device)
        unusable = {language: why for language, model in request.models.items() if (why := self._why_not(model))}
        startup_s = time.monotonic() - started
        units = [Aligned(error=why) if (why := unusable.get(u.language)) else self._tried(u, request) for u in request.units]
        return Answer(units=units, unusable=unusable, device=self._device, lost=self._lost, startup_s=startup_s)

    def _take(self, device: str) -> None:
        """Compute there, where that can be: what is asked for counts the first time."""
        if not self._device:
            self._device = _usable(device)
            self._lost = "" if self._device == device else "torch cannot use it here"

    def _why_not(self, model: Model) -> str:
        """Why the model cannot be loaded, on the CPU neither; "" when it is loaded, on the CPU where the device has no room."""
        try:
            self._load(model)
            return ""
        except Exception as error:  # files of a third party: anything may be wrong with them
            if _is_program(error):
                return f"{model.name} would run code of its own"
            why = _one_line(error)
        if self._device == "cpu":
            return why
        before, self._device, self._loaded = (self._device, self._loaded), "cpu", {}
        try:
            self._load(model)
        except Exception:
            self._device, self._loaded = before
            return why
        self._leave(before[0], why)
        return ""

    def _leave(self, device: str, why: str) -> None:
        logger.get().warning("%s: %s; on the CPU from now on", device, why)
        self._device, self._lost = "cpu", why

    def _tried(self, unit: Unit, request: Request) -> Aligned:
        """The unit's times, from the CPU where the device fails."""
        try:
            return self._aligned(unit, request)
        except RuntimeError as error:  # out of memory, or an operation that the device does not have
            if self._device == "cpu":
                return Aligned(error=_one_line(error))
            self._leave(self._device, _one_line(error))
        except Exception as error:  # one sentence that upsets a library must not cost the chunk
            return Aligned(error=_one_line(error))
        self._loaded.clear()
        return self._tried(unit, request)

    def _load(self, model: Model) -> Loaded:
        from whisperx.alignment import load_align_model

        if model.name not in self._loaded:
            network, metadata = load_align_model("", self._device, model_name=model.name)
            vocabulary = metadata["dictionary"]
            blank = vocabulary.get("<pad>", vocabulary.get("[pad]", 0))
            self._loaded[model.name] = Loaded(network, metadata, vocabulary, blank)
        return self._loaded[model.name]

    def _aligned(self, unit: Unit, request: Request) -> Aligned:
        """The unit's times, in whisperx's own way: CTC over its letters, words from them."""
        from whisperx.alignment import align

        model = self._load(request.models[unit.language])
        spelt = [sounded(word, model) for word in unit.words]
        letters = [letter for word in spelt for letter in word]
        if sum(letter in model.vocabulary for letter in letters) < max(1.0, _LEAST_KNOWN * len(letters)):
            return Aligned(error=f"its letters are unknown to the aligner: {' '.join(unit.words)[:40]}")
        samples = wav.read(Path(request.audio), unit.start, unit.end)
        spaced = languages.joiner(unit.language) != ""
        # Without punctuation there are no sentences to split; for whisperx, "ja" stands for text without spaces.
        metadata = {**model.metadata, "language": "en" if spaced else "ja"}
        text = (" " if spaced else "").join(filter(None, spelt))
        segment = {"start": 0.0, "end": len(samples) / wav.SAMPLE_RATE, "text": text}
        found = align([segment], model.network, metadata, samples, self._device)["word_segments"]
        pieces = text.split(" ") if spaced else list(text)
        if [word["word"] for word in found] != pieces:
            return Aligned(error=f"found no way through {len(letters)} letters in {segment['end']:.1f} s")
        times = [(unit.start + word["start"], unit.start + word["end"]) for word in found]
        return Aligned(times=list(_by_word(times, [1 if spaced and word else len(word) for word in spelt])))


def _usable(device: str) -> str:
    import torch

    there = (device == "cuda" and torch.cuda.is_available()) or (device == "mps" and torch.backends.mps.is_available())
    return device if there else "cpu"


def sounded(word: str, model: Loaded) -> str:
    """What of a word is heard, as the aligner spells it: letters with their marks, digits, and what else is in its vocabulary.

    Whatever is not in the vocabulary stands for any sound, and punctuation has none.
    """
    unheard = {token for token, number in model.vocabulary.items() if number == model.blank} | {"|"}
    letters = word.lower().replace("’", "'").split()
    return "".join(c for c in "".join(letters) if unicodedata.category(c)[0] in "LMN" or (c in model.vocabulary and c not in unheard))


def _by_word(times: Sequence[tuple[float, float]], counts: Iterable[int]) -> Iterable[tuple[float, float] | None]:
    """From the first piece's start to the last one's end, for words of so many pieces; None for a word of none."""
    first = 0
    for count in counts:
        yield (times[first][0], times[first + count - 1][1]) if count else None
        first += count


def _nltk_data() -> tempfile.TemporaryDirectory[str]:
    """whisperx splits sentences with NLTK's punkt and would download that: an untrained one, in a folder that lives as long as we do."""
    import nltk.data
    from nltk.tokenize.punkt import PunktParameters, save_punkt_params

    folder = tempfile.TemporaryDirectory(prefix="nltk-")
    # NLTK writes nowhere but below its own path.
    nltk.data.path.insert(0, folder.name)
    parent = Path(folder.name, "tokenizers", "punkt_tab")
    parent.mkdir(parents=True)
    save_punkt_params(PunktParameters(), dir=str(parent / "english"))
    return folder


def _is_program(error: BaseException | None) -> bool:
    """Whether weights were refused because they are more than data; whisperx and transformers hide that behind words of their own."""
    while error:
        if isinstance(error, pickle.UnpicklingError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def main() -> None:
    """Answer until there is no request left."""
    process.die_with_parent()
    # Read when torch first computes.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KEPT_PRIMITIVES)
    # Libraries print; what they print must not get into the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logger.set_up()
    worker = Worker()
    requests = [Path(sys.argv[1]).read_text(encoding="utf-8")] if sys.argv[1:] else sys.stdin
    sys.stdin = open(os.devnull)  # noqa: SIM115 — transformers asks there whether to run the code that a model brings
    for request in requests:
        answers.write(worker.answer(Request.model_validate_json(request)).model_dump_json() + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
