"""What the two engines that run a Whisper share: prompts, fallbacks, gates, languages, segments. The network is behind an interface."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Protocol

from asr import bias, gates, languages
from asr.engines import Load
from reelscribe import wav
from reelscribe.errors import BadInputError
from reelscribe.schemas import DecodedWindow, Segment, Span, Window, Word

if TYPE_CHECKING:
    import numpy as np

Task = Literal["transcribe", "translate"]

WINDOW_S = 30.0
# Positions that its decoder has, of which what it says may take half.
CONTEXT = 448
# Whisper counts time in these.
TICK_S = 0.02
# Whisper's own (transcribe.py).
TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)
# Speech this long after the last segment is decoded once more on its own: Whisper sometimes ends early, and long talk fills its context.
_REST_S = 1.5
_MAX_RESTS = 4
# Without its prompt a window must say so much more to be believed: that it says some more is chance.
_MUCH_MORE = 1.25
_BEFORE_WORD = "\"'“¿([{-"


class Tokenizer(Protocol):
    """What faster_whisper's and mlx_whisper's tokenizers have alike."""

    sot_prev: int
    eot: int
    timestamp_begin: int

    @property
    def sot_sequence(self) -> Sequence[int]: ...
    def encode(self, text: str) -> list[int]: ...
    def decode(self, tokens: list[int]) -> str: ...
    def split_to_word_tokens(self, tokens: list[int]) -> tuple[list[str], list[list[int]]]: ...


@dataclass(frozen=True)
class Hypothesis:
    """tokens: text and timestamps, without <|endoftext|>; logprob: their mean; no_speech: a probability; full: had it room for no more?"""

    tokens: list[int]
    logprob: float
    no_speech: float
    full: bool = False


@dataclass(frozen=True)
class TimedWord:
    """A word with its leading space, of `length` tokens. start, end: seconds in its window; score: mean probability of its tokens."""

    text: str
    length: int
    start: float
    end: float
    score: float | None


class Network(Protocol):
    """A loaded Whisper. Features are what encode() gave for one window; languages: those it can tell apart, ISO 639-1."""

    languages: frozenset[str]

    def tokenizer(self, language: str, task: Task) -> Tokenizer: ...

    def encode(self, samples: Sequence[np.ndarray]) -> list[Any]:
        """Features of each, at most 30 s of them: (num_samples,) float32, 16 kHz mono."""

    def hear_languages(self, features: Sequence[Any]) -> list[dict[str, float]]:
        """The probability of each language, for each."""

    def decode(self, features: Sequence[Any], prompts: Sequence[list[int]]) -> list[Hypothesis]:
        """The best of each, without chance. prompts: up to and with the task's token; all equally long."""

    def start_sampling(self, seed: int) -> None:
        """What sample() gives from here on depends on the seed and nothing before."""

    def sample(self, features: Any, prompt: list[int], temperature: float) -> Hypothesis:
        """One by chance."""

    def times(
        self,
        features: Sequence[Any],
        tokenizer: Tokenizer,
        prompts: Sequence[list[int]],
        texts: Sequence[list[int]],
        seconds: Sequence[float],
    ) -> list[list[TimedWord]]:
        """When the words of each are said. prompts: as for decode(), each of any length; texts: tokens of text alone; seconds: how much of
        the 30 s is sound.
        """


@dataclass(frozen=True)
class Part:
    """A window, or the rest of one, to be decoded. start: on the movie's timeline."""

    window: Window
    start: float
    samples: np.ndarray
    features: Any
    language: str
    prompt: bias.Prompt

    @property
    def speech(self) -> list[Span]:
        """The window's speech that lies in this part."""
        return [Span(start=max(s.start, self.start), end=s.end) for s in self.window.speech if s.end > self.start]


@dataclass(frozen=True)
class Heard:
    """What decoding gave for a part. prompt: the one it was told; verdicts: of the gates; redone: why it was decoded again."""

    segments: list[Segment]
    hypothesis: Hypothesis
    prompt: bias.Prompt
    verdicts: list[str] = field(default_factory=list)
    temperature: float = 0.0
    redone: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(segment.text for segment in self.segments)

    @property
    def passes(self) -> bool:
        """Whether something was heard that no gate refuses."""
        return bool(self.segments) and not self.verdicts


class Whisper:
    """A Recognizer on a Network. Raises BadInputError when the model does not know the language that was given."""

    def __init__(self, load: Load, network: Network) -> None:
        if load.language not in ("auto", *network.languages):
            raise BadInputError(
                f"this Whisper does not know the language {load.language!r}", remedy="give another with --language, or another model"
            )
        self._load = load
        self._network = network
        self._voted = load.language
        encode = lru_cache(maxsize=4096)(network.tokenizer(self._some_language(), "transcribe").encode)
        self._encode = encode

    def _some_language(self) -> str:
        return self._load.language if self._load.language in self._network.languages else "en"

    # -- languages -------------------------------------------------------------------------------------------------------

    def listen(self, windows: Sequence[Window], samples: Sequence[np.ndarray]) -> None:
        """See Recognizer."""
        if len(self._network.languages) == 1:
            return
        heard = [p for x in samples for p in self._network.hear_languages(self._network.encode([x]))]
        self._voted = next(iter(languages.vote(windows, heard)), "en")

    def _languages(self, features: Sequence[Any]) -> list[dict[str, float]]:
        """Nothing for each when the language was given, or when the model knows but one."""
        if self._load.language != "auto" or len(self._network.languages) == 1:
            return [{} for _ in features]
        return self._network.hear_languages(features)

    # -- windows ---------------------------------------------------------------------------------------------------------

    def decode(self, windows: Sequence[Window], samples: Sequence[np.ndarray]) -> Iterator[DecodedWindow]:
        """See Recognizer. What a batch can do together comes first, then one window after the other is settled."""
        features = self._network.encode(samples)
        heard = self._languages(features)
        parts = []
        for window, x, f, probabilities in zip(windows, samples, features, heard, strict=True):
            language = languages.of_window(probabilities, self._voted if self._voted != "auto" else self._some_language())
            parts.append(Part(window, window.start, x, f, language, self._prompt(window)))
        transcribed = self._first(parts, "transcribe")
        # What is spoken in English already is its own translation.
        foreign = [part for part in parts if part.language != "en"] if self._load.translate else []
        translated = dict(zip((part.window.id for part in foreign), self._first(foreign, "translate"), strict=True))
        for part, first, probabilities in zip(parts, transcribed, heard, strict=True):
            found = self._hear(part, first, "transcribe")
            english = found if self._load.translate else None
            if part.window.id in translated:
                english = self._hear(part, translated[part.window.id], "translate")
            yield self._decoded(part, found, english, probabilities)

    def _prompt(self, window: Window) -> bias.Prompt:
        """What the window is told. Where nobody speaks, a prompt is what would be heard."""
        if not self._load.bias or not window.speech:
            return bias.Prompt()
        most = {"prompt_max": self._load.prompt_max_terms, "hotword_max": self._load.hotword_max_terms}
        return bias.fit(window.terms, self._encode, **most)

    def _decoded(
        self, part: Part, found: Sequence[Heard], translated: Sequence[Heard] | None, probabilities: dict[str, float]
    ) -> DecodedWindow:
        first = found[0]
        segments = _numbered(found, part, part.language)
        likeliest = sorted(probabilities.items(), key=lambda item: -item[1])[:3]
        return DecodedWindow(
            window=part.window.id,
            segments=segments,
            translation=None if translated is None else link(_numbered(translated, part, "en"), segments),
            language=part.language,
            languages={language: round(p, 3) for language, p in likeliest if p >= 0.0005},
            terms=list(first.prompt.terms),
            redone=list(dict.fromkeys(why for heard in found for why in heard.redone)),
            marks=list(dict.fromkeys(mark for heard in found for mark in heard.verdicts)),
            scores={"logprob": first.hypothesis.logprob, "no_speech": first.hypothesis.no_speech, "temperature": first.temperature},
        )

    # -- one task for a batch --------------------------------------------------------------------------------------------

    def _hear(self, part: Part, first: Heard, task: Task) -> list[Heard]:
        """What a part gave; more than one where its rest was decoded too."""
        return self._with_rests(part, self._settled(part, first, task), task)

    def _first(self, parts: Sequence[Part], task: Task) -> list[Heard]:
        """Beam search for all. Prompts must be equally long in one call, so those that are go together."""
        prompts = [self._tokens(part, part.prompt, task) for part in parts]
        found: dict[int, Hypothesis] = {}
        for length in sorted({len(prompt) for prompt in prompts}):
            these = [number for number, prompt in enumerate(prompts) if len(prompt) == length]
            decoded = self._network.decode([parts[n].features for n in these], [prompts[n] for n in these])
            found.update(zip(these, decoded, strict=True))
        return self._judged(parts, [found[number] for number in range(len(parts))], task)

    def _tokens(self, part: Part, prompt: bias.Prompt, task: Task) -> list[int]:
        tokenizer = self._network.tokenizer(part.language, task)
        return [*([tokenizer.sot_prev, *prompt.tokens] if prompt.tokens else []), *tokenizer.sot_sequence]

    def _settled(self, part: Part, heard: Heard, task: Task) -> Heard:
        """`heard`, or what was heard better: without the prompt where it is echoed, and by chance where a gate refuses it."""
        misled = ("echo",) if "echo" in heard.verdicts else () if heard.segments else ("nothing heard",)
        if misled and heard.prompt.terms:
            part = replace(part, prompt=bias.Prompt())
            heard = replace(self._first([part], task)[0], redone=misled)
        elif heard.prompt.terms and gates.lost(heard.segments, part.speech):
            heard = self._fuller(part, heard, task)
        if not heard.verdicts or gates.FINAL.issuperset(heard.verdicts):
            return heard
        tried = [heard]
        self._network.start_sampling(part.window.id + 1)
        for temperature in TEMPERATURES:
            hypothesis = self._network.sample(part.features, self._tokens(part, part.prompt, task), temperature)
            tried.append(replace(self._judged([part], [hypothesis], task)[0], temperature=temperature))
            if tried[-1].passes:
                break
        if part.prompt.tokens and not tried[-1].passes:
            # It may be the prompt that misleads.
            tried.append(self._first([replace(part, prompt=bias.Prompt())], task)[0])
        # If all are bad, one that says something is kept, and marked: nothing that may have been said is dropped.
        best = min(tried, key=lambda h: (not h.segments, len(h.verdicts), not h.prompt.terms, -h.hypothesis.logprob))
        return replace(best, redone=(*heard.redone, *heard.verdicts))

    def _fuller(self, part: Part, heard: Heard, task: Task) -> Heard:
        """`heard`, or what is heard without the prompt where that is much more and not worse."""
        other = self._first([replace(part, prompt=bias.Prompt())], task)[0]
        more = gates.letters(other.text) >= _MUCH_MORE * gates.letters(heard.text)
        return replace(other, redone=("talk lost",)) if more and len(other.verdicts) <= len(heard.verdicts) else heard

    def _with_rests(self, part: Part, heard: Heard, task: Task) -> list[Heard]:
        """`heard` and what was decoded after its end, while speech is left there."""
        found = [heard]
        for _ in range(_MAX_RESTS):
            rest = self._rest(part, found[-1])
            if rest is None:
                break
            again = self._first([rest], task)[0]
            # It was not heard at first: only what no gate refuses counts. Where there was no room for it, it is heard as any other.
            if found[-1].hypothesis.full:
                again = self._settled(rest, again, task)
            elif again.verdicts:
                break
            if not again.segments:
                break
            part = rest
            found.append(replace(again, redone=(*again.redone, "rest")))
        return found

    def _rest(self, part: Part, heard: Heard) -> Part | None:
        """What of `part` lies after the last segment, when there is speech."""
        if not heard.segments:
            return None
        end = heard.segments[-1].end
        if sum(max(0.0, s.end - max(s.start, end)) for s in part.speech) < _REST_S or end - part.start < 1.0:
            return None
        samples = part.samples[round((end - part.start) * wav.SAMPLE_RATE) :]
        return replace(part, start=end, samples=samples, features=self._network.encode([samples])[0])

    # -- from tokens to segments -----------------------------------------------------------------------------------------

    def _judged(self, parts: Sequence[Part], hypotheses: Sequence[Hypothesis], task: Task) -> list[Heard]:
        """Segments with words, and the verdicts."""
        sliced = [self._slices(part, hypothesis, task) for part, hypothesis in zip(parts, hypotheses, strict=True)]
        words = self._words(parts, sliced, task)
        judged = []
        for part, hypothesis, slices, timed in zip(parts, hypotheses, sliced, words, strict=True):
            tokenizer = self._network.tokenizer(part.language, task)
            segments = list(to_segments(slices, timed, tokenizer, part))
            text = " ".join(segment.text for segment in segments)
            verdicts = ["echo"] if bias.is_echo(text, part.prompt) else []
            verdicts += gates.of_text(text, hypothesis.logprob, hypothesis.no_speech, part.speech)
            own = [gates.of_segment(segment, part.speech) for segment in segments]
            marked = [s.model_copy(update={"marks": list(dict.fromkeys(verdicts + more))}) for s, more in zip(segments, own, strict=True)]
            grave = [verdict for found in own for verdict in found if verdict not in gates.MARK_ONLY]
            judged.append(Heard(marked, hypothesis, part.prompt, list(dict.fromkeys(verdicts + grave))))
        return judged

    def _slices(self, part: Part, hypothesis: Hypothesis, task: Task) -> list[Slice]:
        tokenizer = self._network.tokenizer(part.language, task)
        slices = split(hypothesis.tokens, tokenizer.timestamp_begin, len(part.samples) / wav.SAMPLE_RATE)
        # What did not end for want of room is heard again with its rest.
        return slices[:-1] if hypothesis.full and len(slices) > 1 and not slices[-1].closed else slices

    def _words(self, parts: Sequence[Part], sliced: Sequence[list[Slice]], task: Task) -> list[list[TimedWord]]:
        """Aligned together where the language is the same. English text is never aligned to foreign speech: its words share its time."""
        found: list[list[TimedWord]] = [[] for _ in parts]
        if task == "translate":
            return [list(self._spread(part, slices)) for part, slices in zip(parts, sliced, strict=True)]
        for language in sorted({part.language for part in parts}):
            these = [n for n, part in enumerate(parts) if part.language == language and sliced[n]]
            if not these:
                continue
            texts = [[token for piece in sliced[n] for token in piece.tokens] for n in these]
            prompts = [self._told(parts[n], text) for n, text in zip(these, texts, strict=True)]
            seconds = [len(parts[n].samples) / wav.SAMPLE_RATE for n in these]
            tokenizer = self._network.tokenizer(language, "transcribe")
            timed = self._network.times([parts[n].features for n in these], tokenizer, prompts, texts, seconds)
            for number, words in zip(these, timed, strict=True):
                found[number] = words
        return found

    def _told(self, part: Part, text: Sequence[int]) -> list[int]:
        """What the decoder was told before `text`: a name that only the prompt made likely is unlikely without. If both have room."""
        prompt = self._tokens(part, part.prompt, "transcribe")
        # <|notimestamps|> and <|endoftext|> stand around the text.
        return prompt if len(prompt) + len(text) + 2 <= CONTEXT else self._tokens(part, bias.Prompt(), "transcribe")

    def _spread(self, part: Part, slices: Sequence[Slice]) -> Iterator[TimedWord]:
        tokenizer = self._network.tokenizer(part.language, "translate")
        for piece in slices:
            texts, tokens = tokenizer.split_to_word_tokens([*piece.tokens, tokenizer.eot])
            total = sum(map(len, texts[:-1])) or 1
            at = piece.start
            for text, these in zip(texts[:-1], tokens[:-1], strict=True):
                end = at + (piece.end - piece.start) * len(text) / total
                yield TimedWord(text, len(these), at, end, None)
                at = end


@dataclass(frozen=True)
class Slice:
    """The tokens of a segment's text; start, end: seconds in the part; closed: did it say itself when it ends?"""

    tokens: list[int]
    start: float
    end: float
    closed: bool = True


def split(tokens: Sequence[int], timestamp_begin: int, seconds: float) -> list[Slice]:
    """Slices between timestamp tokens. What has no end lasts to the end of the part, which is `seconds` long.

    What lasts no time is left out, as Whisper does it (transcribe.py), and what would be said after the sound has ended.
    """
    slices: list[Slice] = []
    start, text = 0.0, []
    for token in tokens:
        if token < timestamp_begin:
            text.append(token)
            continue
        at = min(seconds, (token - timestamp_begin) * TICK_S)
        if text and at > start:
            slices.append(Slice(text, start, at))
        start, text = at, []
    if text and seconds > start:
        slices.append(Slice(text, start, seconds, closed=False))
    return slices


def to_segments(slices: Sequence[Slice], timed: Sequence[TimedWord], tokenizer: Tokenizer, part: Part) -> Iterator[Segment]:
    """Segments on the movie's timeline, each with the words whose first token is in it."""
    waiting = list(timed)
    given = wanted = 0
    for piece in slices:
        wanted += len(piece.tokens)
        mine = []
        while waiting and given < wanted:
            given += waiting[0].length
            mine.append(waiting.pop(0))
        text = " ".join(tokenizer.decode(piece.tokens).split())
        if text and any(unicodedata.category(c)[0] in "LNM" for c in text):
            words = list(placed(joined(mine), piece, part.start))
            start, end = (round(part.start + t, 3) for t in (piece.start, piece.end))
            yield Segment(id=0, start=start, end=end, text=text, words=words, window=part.window.id, language=part.language)


def joined(words: Sequence[TimedWord]) -> list[TimedWord]:
    """Words with the punctuation that stands before or after them."""
    found: list[TimedWord] = []
    opening: TimedWord | None = None
    for word in words:
        if opening:
            word = TimedWord(opening.text + word.text.lstrip(), opening.length + word.length, word.start, word.end, word.score)
            opening = None
        bare = word.text.strip()
        if word.text.startswith(" ") and bare and bare in _BEFORE_WORD:
            opening = word
        elif found and bare and not word.text.startswith(" ") and not any(unicodedata.category(c)[0] in "LNM" for c in bare):
            found[-1] = replace(found[-1], text=found[-1].text + bare, length=found[-1].length + word.length)
        elif bare:
            found.append(word)
    return found if not opening else [*found, opening]


def placed(words: Sequence[TimedWord], piece: Slice, offset: float) -> Iterator[Word]:
    """Words on the movie's timeline, in order and inside their segment."""
    at = piece.start
    for word in words:
        start = min(max(word.start, at), piece.end)
        at = end = min(max(word.end, start), piece.end)
        score = None if word.score is None else round(min(1.0, max(0.0, word.score)), 3)
        yield Word(word=word.text.strip(), start=round(offset + start, 3), end=round(offset + end, 3), score=score)


def _numbered(found: Sequence[Heard], part: Part, language: str) -> list[Segment]:
    """All segments of a window, with what each was decoded with."""
    segments = []
    for heard in found:
        more = {"language": language, "terms": list(heard.prompt.terms), "redone": list(heard.redone)}
        segments += [segment.model_copy(update=more) for segment in heard.segments]
    return [segment.model_copy(update={"id": number}) for number, segment in enumerate(segments)]


def link(translation: Sequence[Segment], source: Sequence[Segment]) -> list[Segment]:
    """English segments with the words of `source` that each covers: (first, last), counted through the window.

    A word belongs to the segment that it is in, or, between two, to the nearer. Both are heard in the same window and are in order.
    """
    words = [word for segment in source for word in segment.words]
    borders = [(a.end + b.start) / 2 for a, b in pairwise(translation)]
    belongs = [sum((word.start + word.end) / 2 > border for border in borders) for word in words]
    linked = []
    for number, segment in enumerate(translation):
        mine = [n for n, to in enumerate(belongs) if to == number]
        linked.append(segment.model_copy(update={"source": (mine[0], mine[-1]) if mine else None}))
    return linked
