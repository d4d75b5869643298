"""What a movie's subtitles are made of: its words in each language, its shot changes, its limits."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reelscribe import ffmpeg
from reelscribe.artifacts import movie_identity, read_json, write_json
from reelscribe.errors import NewerSchemaError, ReelscribeError
from reelscribe.schemas import Glossary, Media, Segment, Shots, Speakers, Transcript
from reelscribe.wav import SAMPLE_RATE
from subtitle_gen import shots
from subtitle_gen.cues import Cue, Planner
from subtitle_gen.limits import Profile, for_movie, load_profile
from subtitle_gen.timing import Timing
from subtitle_gen.words import ended, spoken

# Marks of a segment that say nothing against its words.
_OF_TIMES = frozenset({"engine-times"})


@dataclass(frozen=True)
class Made:
    """The cues of one language. `segments`: all, the hidden ones too. `translation`: whether it is English for what was said otherwise."""

    language: str
    segments: list[Segment]
    planner: Planner
    cues: list[Cue]
    translation: bool


@dataclass(frozen=True)
class Job:
    """A movie whose subtitles are to be made. `shots`: their changes in seconds; None where not known or not wanted."""

    options: Any
    transcript: Transcript
    media: Media
    names: dict[str, str]
    glossary: Glossary
    profile: Profile
    shots: list[float] | None

    @classmethod
    def of(cls, ctx: Any) -> Job:
        """Everything read; shot changes found, unless an earlier run has."""
        profile = load_profile(ctx.options.profile)
        media = read_json(ctx.inputs.media, Media)
        return cls(
            options=ctx.options,
            transcript=read_json(ctx.inputs.transcript, Transcript),
            media=media,
            names={speaker.label: speaker.name for speaker in read_json(ctx.inputs.speakers, Speakers).speakers},
            glossary=read_json(ctx.inputs.glossary, Glossary),
            profile=profile,
            shots=_shots(ctx, media) if ctx.options.shot_changes and profile.shots else None,
        )

    @property
    def cuts(self) -> list[float]:
        """The shot changes that are known."""
        return self.shots or []

    def languages(self) -> Iterator[tuple[str, list[Segment], bool]]:
        """(language, segments, whether it is a translation) of each track, the one that is spoken first."""
        import langcodes

        said, asked = self.transcript, self.options.language
        language = langcodes.standardize_tag(said.language if asked == "auto" else asked)
        if self.options.translate and said.translation is None:
            language = "en"  # asr was asked for English, and no other language was spoken
        if self.options.translate and said.translation is not None and langcodes.get(language).language == "en":
            yield "en", said.translation, False  # most was said in English and stands in it as it was said
            return
        yield language, said.segments, False
        if self.options.translate and said.translation is not None:
            yield "en", said.translation, True

    def track(self, language: str, segments: list[Segment], translation: bool) -> Made:
        """The cheapest cues for the segments."""
        picture = shots.picture(self.media)
        limits = for_movie(
            self.profile,
            language,
            self.media.fps,
            first_picture=picture.start if picture else 0.0,
            children=self.options.audience == "children",
            sdh=self.options.sdh,
        )
        clock = limits.clock
        timing = Timing(limits, sorted({clock.nearest(cut) for cut in self.cuts}), clock.floor(round(1000 * self.media.duration)) or None)
        hidden = {segment.id for segment in self.hidden(segments)}
        words = ended(spoken(segments, self.names, language, limits, hidden=hidden), timing.end)
        planner = Planner(words, limits, timing, names=self.known_names, labels=self.options.sdh)
        return Made(language, segments, planner, planner.cues(), translation)

    def hidden(self, segments: Sequence[Segment]) -> list[Segment]:
        """The segments that are not to be shown."""
        return [segment for segment in segments if self.options.quarantined == "hide" and set(segment.marks) - _OF_TIMES]

    @cached_property
    def known_names(self) -> list[str]:
        """What is never parted: the glossary's terms and the speakers."""
        terms = (name for term in self.glossary.terms for name in (term.text, *term.variants))
        return list(dict.fromkeys([*terms, *self.names.values()]))


def _shots(ctx: Any, media: Media) -> list[float] | None:
    """Shot changes in seconds, kept for later runs; None where they cannot be known, which is said."""
    stream = shots.picture(media)
    if stream is None:
        ctx.log.info("there is no picture: no shot changes to keep off")
        return None
    end = media.num_samples / SAMPLE_RATE  # of a sample (--sample) only what can be heard
    key = f"{movie_identity(ctx.movie)} stream {stream.index} to {end:.3f} s {shots.DETECTOR}"
    kept = _kept(ctx, key)
    if kept is None:
        ctx.log.info("looking for shot changes: every picture is decoded once; SHOT_CHANGES=false does without")
        try:
            executable = ffmpeg.find(ctx.options.ffmpeg)
            found = shots.cuts(
                executable, ctx.movie, stream, media.container, end, ctx.threads, lambda time: ctx.progress.update(time, end)
            )
        except ReelscribeError as error:
            if isinstance(error, ffmpeg.FfmpegError) and error.status in (-signal.SIGKILL, -signal.SIGTERM):
                raise  # somebody ended it, and that says nothing about the movie: with the next run it may be found
            ctx.fallback(f"shot changes are not known, cues may come and go near them: {error.message}")
            return None
        kept = Shots(key=key, cuts=found)
    write_json(ctx.outputs.shots, kept)
    ctx.log.info("shot changes: %d", len(kept.cuts))
    return kept.cuts


def _kept(ctx: Any, key: str) -> Shots | None:
    """What an earlier run found in the same movie."""
    if ctx.forced or not ctx.outputs.shots.is_file():
        return None
    try:
        found = read_json(ctx.outputs.shots, Shots)
    except NewerSchemaError:
        raise
    except ReelscribeError:
        return None
    return found if found.key == key else None
