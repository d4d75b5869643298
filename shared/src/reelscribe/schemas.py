"""The JSON files of a movie directory. Times are seconds on the movie's own timeline unless the name says otherwise.

Unknown keys are kept out of our way, not refused: another tool may add some. What a file cannot mean (a time that is no number, or longer
than any film) is refused where it is read. docs/reliability.md says what a change of a schema takes.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from reelscribe.errors import NewerSchemaError

LONGEST_S = 1_000_000  # 11 days: no WAV file is that long, and what is planned for each second of a film stays possible
_MOST_WORDS = 1_000_000
Seconds = Annotated[float, Field(ge=-LONGEST_S, le=LONGEST_S)]
Length = Annotated[float, Field(ge=0, le=LONGEST_S)]
WordNumber = Annotated[int, Field(ge=0, le=_MOST_WORDS)]


class Artifact(BaseModel):
    """Base of every JSON schema here."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, defer_build=True)


class Document(Artifact):
    """A whole file. Its class's SCHEMA is raised when it, or anything in it, changes; a file without a number is of version 1."""

    SCHEMA: ClassVar[int] = 1
    schema_version: int = Field(default=1, ge=1)

    # The first field of all: a newer file is known as one before it is found not to fit.
    @field_validator("schema_version")
    @classmethod
    def _not_newer(cls, version: int) -> int:
        if version > cls.SCHEMA:
            raise NewerSchemaError(f"a file of the kind {cls.__name__}", version, cls.SCHEMA)
        return version

    @field_serializer("schema_version")
    def _as_written(self, version: Any) -> int:
        """Whatever was read, what is written is of today's version."""
        return self.SCHEMA


class Span(Artifact):
    """A stretch of time."""

    start: Seconds
    end: Seconds


# -- media.json ---------------------------------------------------------------------------------------------------------


class Stream(Artifact):
    """One stream of the movie; `codec` as FFmpeg calls it, "" when there is no decoder for it.

    `language`: ISO 639 code, the two-letter one where there is one. `dispositions`: FFmpeg's names, such as "default" and "comment".
    `start`: its first timestamp on the movie's timeline.
    """

    index: int
    kind: Literal["video", "audio", "subtitle", "data", "attachment"]
    codec: str = ""
    language: str | None = None
    title: str | None = None
    dispositions: list[str] = []
    start: Seconds = 0.0
    duration: Length | None = None
    channels: int | None = None
    layout: str | None = None
    sample_rate: int | None = None
    width: int | None = None
    height: int | None = None
    timecode: str | None = None

    @property
    def default(self) -> bool:
        """Whether players choose it of themselves."""
        return "default" in self.dispositions

    @property
    def cover(self) -> bool:
        """Whether it is a still that goes with the movie, such as cover art."""
        return "attached_pic" in self.dispositions


class AudioTrack(Artifact):
    """The audio stream that was chosen and why; `start` is its offset, already inside audio.wav as silence."""

    index: int
    reason: str
    downmix: str
    start: Seconds
    language: str | None = None


class Chapter(Span):
    """One chapter."""

    title: str = ""


class Contents(Artifact):
    """What a movie file holds. `duration` is 0 where the container does not say; `fps` is a fraction such as "24000/1001"."""

    container: str
    duration: Length
    fps: str | None = None
    streams: list[Stream]
    chapters: list[Chapter] = []

    def of_kind(self, kind: str) -> list[Stream]:
        """The streams of one kind, in order."""
        return [s for s in self.streams if s.kind == kind]


class Media(Contents, Document):
    """What demux learnt of the movie; the WAV's 0 is the movie's 0."""

    audio: AudioTrack
    sample_rate: int = Field(default=16000, ge=1)
    num_samples: int = Field(ge=0, le=16000 * LONGEST_S)


# -- metadata/tmdb.json -------------------------------------------------------------------------------------------------


class CastMember(Artifact):
    """An actor and the character played, in the order of billing."""

    name: str
    character: str = ""
    order: int = 0
    gender: Literal["female", "male", "other"] | None = None


class CrewMember(Artifact):
    """Somebody behind the camera."""

    name: str
    job: str


class Candidate(Artifact):
    """A movie of TMDB that was found in a search: its score (0 to 1) and what that is made of."""

    id: int
    title: str
    year: int | None = None
    score: float
    parts: dict[str, float]


class Metadata(Document):
    """What is known of the movie; `sources` says for each field where it came from.

    `overviews`: by language (ISO 639-1), in those that help. `candidates`: whom the search found, the best first, used or not.
    """

    title: str
    original_title: str | None = None
    alternative_titles: list[str] = []
    year: int | None = None
    runtime_min: float | None = None
    original_language: str | None = None
    overview: str | None = None
    overviews: dict[str, str] = {}
    tmdb_id: int | None = None
    imdb_id: str | None = None
    collection: str | None = None
    genres: list[str] = []
    keywords: list[str] = []
    cast: list[CastMember] = []
    crew: list[CrewMember] = []
    sources: dict[str, str] = {}
    candidates: list[Candidate] = []


# -- glossary/ ----------------------------------------------------------------------------------------------------------

TermKind = Literal["person", "character", "place", "organisation", "title", "other"]


class Term(Artifact):
    """A term of the movie: `weight` 0 to 1, `start`/`end` where it is known to matter only there.

    `variants` are other right forms of it ("Rathore", "Rathore-ji", "राठौर" of "Inspector Rathore"), to be matched as `text` is.
    `risky`: those of its words that are also common words, or sound like one, and which: {"Hope": "hope", "Khan": "can"}.
    `mentions`: when a subtitle track or a chapter's title says it; it may be said at other times too.
    """

    text: str
    kind: TermKind
    weight: float = Field(ge=0, le=1)
    source: str
    language: str | None = None
    variants: list[str] = []
    risky: dict[str, str] = {}
    mentions: list[Span] = []
    start: Seconds | None = None
    end: Seconds | None = None


class Replacement(Artifact):
    """The user's word: `wrong` is always to be written `right`."""

    wrong: str
    right: str


class Glossary(Document):
    """All terms, the heaviest first; `never` are words that correction must leave alone. `pipeline`: what found names in texts."""

    terms: list[Term]
    replacements: list[Replacement] = []
    never: list[str] = []
    pipeline: str


class BiasWindow(Span):
    """The terms (texts of the glossary, the most important first) that may be spoken between `start` and `end`."""

    terms: list[str]


class BiasWindows(Document):
    """Overlapping windows over the whole movie, every `stride_s` one of `window_s`."""

    window_s: float = Field(gt=0)
    stride_s: float = Field(gt=0)
    windows: list[BiasWindow]


# -- vad/, diarization/ -------------------------------------------------------------------------------------------------


class SpeechSegment(Span):
    """A stretch of speech and the detector's mean probability in it."""

    score: float


class Vad(Document):
    """Speech, in order and without overlap."""

    segments: list[SpeechSegment]
    duration: Length
    model: str


class Turn(Span):
    """One speaker's stretch."""

    speaker: str


class Speaker(Artifact):
    """A diarized voice: seconds of exclusive talk and its mean embedding's distance to the nearest other voice."""

    label: str
    total_s: Length
    nearest: str | None = None
    distance: float | None = None


class Diarization(Document):
    """Turns (they may overlap) and exclusive turns (they never do)."""

    turns: list[Turn]
    exclusive: list[Turn]
    speakers: list[Speaker]
    duration: Length
    model: str


# -- transcription/, corrected/ -----------------------------------------------------------------------------------------


class Word(Artifact):
    """One word as WhisperX writes it; `score` is its probability.

    `engine_start`, `engine_end`: of a word that was aligned, what the engine that decoded it said.
    """

    word: str
    start: Seconds
    end: Seconds
    engine_start: Seconds | None = None
    engine_end: Seconds | None = None
    score: float | None = None
    speaker: str | None = None


class Segment(Span):
    """A sentence or phrase. `window`: number of the window it was decoded in; `terms`: those the decoder was told.

    `redone`: why it was decoded again; `marks`: what is doubtful about it still. `source`: the first and the last word of the transcript
    that a translated segment covers, counted through all its segments.
    """

    id: int
    text: str
    words: list[Word]
    speaker: str | None = None
    window: int | None = None
    language: str | None = None
    terms: list[str] = []
    redone: list[str] = []
    marks: list[str] = []
    source: tuple[WordNumber, WordNumber] | None = None


class Window(Span):
    """The unit of decoding and bias: at most 30 s, cut in pauses. `speech`: where in it somebody talks; `terms`: texts of the plan's."""

    id: int
    speech: list[Span]
    terms: list[str] = []


class Chunk(Span):
    """The unit of checkpoint and retry: `windows` are the numbers of its windows, `batches` those that are decoded together."""

    id: int
    windows: list[int]
    batches: list[list[int]] = []


class Plan(Document):
    """What asr will decode, and with which terms, written before it begins. `speech`: what the detectors heard, together."""

    duration: Length
    speech: list[Span]
    windows: list[Window]
    chunks: list[Chunk]
    terms: list[Term]


class DecodedWindow(Artifact):
    """The segments of one window; their ids, and the words in a `source`, count from 0 in each window.

    `translation`: in English, when that was asked for. `languages`: the likeliest, when none was given. `terms`: those the decoder was told
    at first. `redone`, `marks`: as of its segments. `scores`: logprob, no_speech, temperature.
    """

    window: int
    segments: list[Segment]
    translation: list[Segment] | None = None
    language: str | None = None
    languages: dict[str, float] = {}
    terms: list[str] = []
    redone: list[str] = []
    marks: list[str] = []
    scores: dict[str, float] = {}


class AsDecoded(Artifact):
    """A chunk as the engine gave it, with its own word times. `degraded`: what it was decoded with less of."""

    windows: list[DecodedWindow]
    degraded: list[str] = []


class DecodedChunk(Document):
    """A checkpoint: good for as long as `fingerprint` is that of the chunk to be decoded, and `alignment` that of how it is aligned.

    `degraded`: what it was decoded with less of, and aligned; `decoded`: it before that, so that it can be aligned in another way.
    """

    id: int
    fingerprint: str
    alignment: str = ""
    degraded: list[str] = []
    windows: list[DecodedWindow]
    decoded: AsDecoded = AsDecoded(windows=[])


class Transcript(Document):
    """All segments in order; readable by WhisperX's own tools. `translation`: the same in English, when that was asked for."""

    segments: list[Segment]
    translation: list[Segment] | None = None
    language: str
    engine: str
    model: str
    draft: bool = False
    duration: Length


class Correction(Artifact):
    """One mended name: words `first` to `last` (inclusive) of `segment`, what they were, what they are, and why.

    `id`: of this change in this place, the same in every run that hears the same. `heard`, `written`: without punctuation.
    """

    id: str
    segment: int
    first: WordNumber
    last: WordNumber
    start: Seconds
    end: Seconds
    old: str
    new: str
    heard: str
    written: str
    rule: str
    scores: dict[str, float]


class Corrections(Document):
    """The ledger of everything post-ner changed.

    `undone`: what it would have changed, had the user not decided otherwise; words `first` to `last` are those that stayed.
    `translation`: changes of the translation's segments. `reviewed`: digest of the user's decisions that were followed.
    """

    corrections: list[Correction]
    undone: list[Correction] = []
    translation: list[Correction] = []
    threshold: float
    reviewed: str = ""


class Reviewed(Document):
    """Decisions about corrections that hold in this movie only: in one place, or `lines` that the glossary file could not take."""

    accepted: list[Correction] = []
    undone: list[Correction] = []
    lines: list[str] = []


class Evidence(Artifact):
    """Why a voice may be a character's: `kind` of evidence, when, the words, and its log odds for (or against) that character."""

    kind: str
    name: str
    start: Seconds
    text: str
    weight: float


_LONGEST_NAME = 100
_JOINERS = "\u200c\u200d"  # part of words in Indic scripts and in Persian


class NamedSpeaker(Artifact):
    """A diarized voice and the name shown for it: the `automatic` one, until somebody edits it.

    `automatic` is the character `suggested` where `confidence` (0 to 1) is high enough, else "Speaker 1"; `evidence` is of that character.
    """

    label: str
    name: str
    automatic: str | None = None
    suggested: str | None = None
    confidence: float | None = None
    evidence: list[Evidence] = []
    total_s: Length

    @field_validator("name")
    @classmethod
    def _on_one_line(cls, name: str) -> str:
        """It is written by hand, and into subtitles, which a line break or a control character would cut in two."""
        visible = (c for c in name if c.isspace() or c in _JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
        return " ".join("".join(visible).split())[:_LONGEST_NAME]


class Speakers(Document):
    """The voices of the movie."""

    speakers: list[NamedSpeaker]


# -- subtitles/ ---------------------------------------------------------------------------------------------------------


class Track(Artifact):
    """A subtitle file (name relative to `subtitles/`), for mux. `hearing_impaired`: it names speakers for those who cannot hear them."""

    file: str
    format: Literal["srt", "vtt", "ass"]
    language: str
    title: str
    default: bool = True
    hearing_impaired: bool = False
    num_cues: int

    @field_validator("file")
    @classmethod
    def _beside(cls, name: str) -> str:
        """It is opened by its name: one in another folder is none of ours."""
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise ValueError("no name of a file in subtitles/")
        return name


class Tracks(Document):
    """Every subtitle file of the movie."""

    tracks: list[Track]


class Shots(Document):
    """Shot changes: `cuts` are the times of the first picture of each shot but the first. `key`: of the movie and the detector."""

    key: str
    cuts: list[Seconds]


class Violation(Artifact):
    """A rule that a cue breaks: by its number (from 1), with the value and the limit in the rule's unit."""

    cue: int
    rule: str
    value: float
    limit: float


class QcCue(Span):
    """A cue as the files have it. `words`: the first and the last of the transcript's (or its translation's), as Segment.source counts.

    `speakers`: one for each line where two share it. `cps`: characters a second. `marks`: what is doubtful about its words. `source`: the
    cues of the spoken language, by number, that a translation's cue says in English.
    """

    id: int
    lines: list[str]
    speakers: list[str | None]
    words: tuple[WordNumber, WordNumber]
    cps: float
    marks: list[str] = []
    source: list[int] = []


class QcTrack(Artifact):
    """The cues of one language and what could not be kept. `limits`: as the profile gives them for language and movie."""

    language: str
    limits: dict[str, float]
    cues: list[QcCue]
    violations: list[Violation]


class Hidden(Span):
    """A segment that is not shown, and why."""

    language: str
    text: str
    marks: list[str]


class Qc(Document):
    """Quality control of the subtitles. `shots`: whether shot changes were known."""

    profile: str
    fps: str | None = None
    shots: bool
    tracks: list[QcTrack]
    hidden: list[Hidden] = []
