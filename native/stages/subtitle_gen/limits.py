"""The numbers a cue has to keep: a profile (a JSON file, ours or the user's), made concrete for one language and one movie.

Times are counted in ticks: frames of the movie where the profile asks for whole frames, milliseconds elsewhere.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from reelscribe.artifacts import read_bounded
from reelscribe.errors import UsageError

FOLDER = Path(__file__).with_name("profiles")
DEFAULT_FPS = Fraction(24)
_MAX_BYTES = 1 << 20
# In these a line's limit counts full-width characters, and what is half as wide as half a one (Netflix timed text: ja, ko, zh).
_WIDE = frozenset({"ja", "ko", "zh", "yue"})


class Shots(BaseModel):
    """How times keep off shot changes, in frames at 24 pictures a second, scaled to the movie's rate.

    `to_cut`: a cue that would begin at most so many before a cut begins with it. `clear`: nothing else begins or ends nearer than that,
    except for a cue that ends with the last shot.
    """

    model_config = ConfigDict(extra="forbid")
    to_cut: int = Field(ge=0)
    clear: int = Field(ge=1)


class Profile(BaseModel):
    """A set of limits. `chars` (of a line) and `cps…` (characters a second) by language, with a `default`; two speakers get a `dash` each.

    A cue outlasts its speech by `tail_ms`; gaps under `chain_ms` are closed to `gap_frames`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: str = ""
    max_lines: int = Field(2, ge=1, le=2)
    chars: dict[str, float]
    cps: dict[str, float]
    cps_children: dict[str, float]
    cps_sdh: dict[str, float] = {}
    min_ms: int = Field(ge=1)
    max_ms: int = Field(ge=1000)
    tail_ms: int = Field(ge=0)
    chain_ms: int = Field(ge=0)
    gap_frames: int = Field(ge=0)
    whole_frames: bool
    shots: Shots | None
    dash: str = "-"

    @field_validator("chars", "cps", "cps_children")
    @classmethod
    def _for_every_language(cls, value: dict[str, float]) -> dict[str, float]:
        if "default" not in value or min(value.values()) <= 0:
            raise ValueError("it takes a number above 0 for each language, and one for `default`")
        return value


def profile_file(name: str) -> Path:
    """Where the profile `name` lies: one of ours, or the user's file."""
    ours = FOLDER / f"{name}.json"
    return ours if "/" not in name and ours.is_file() else Path(name).expanduser()


def load_profile(name: str) -> Profile:
    """Raises UsageError when there is no such profile, or when it is not one."""
    known = ", ".join(sorted(path.stem for path in FOLDER.glob("*.json")))
    remedy = f"SUBTITLE_PROFILE takes {known}, or a JSON file like native/stages/subtitle_gen/profiles/netflix.json"
    try:
        return Profile.model_validate(_content(name, ()))
    except OSError as error:
        raise UsageError(f"the subtitle profile {name} cannot be read: {error.strerror}", remedy=remedy) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"the subtitle profile {name}: {where}: {first['msg']}", remedy=remedy) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"the subtitle profile {name}: {error}", remedy=remedy) from error


def _content(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    """The file's keys over those of the profile it extends."""
    if name in seen:
        raise ValueError("it extends itself")
    found = json.loads(read_bounded(profile_file(name), _MAX_BYTES))
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    base = found.pop("extends", None)
    return {**(_content(str(base), (*seen, name)) if base else {}), **found}


@dataclass(frozen=True)
class Clock:
    """`rate`: ticks in a second. `offset_us`: the time of tick 0, where the first picture comes a little late."""

    rate: Fraction
    offset_us: int = 0

    def floor(self, ms: int) -> int:
        """The last tick that is not after `ms`."""
        return (1000 * ms - self.offset_us) * self.rate.numerator // (1_000_000 * self.rate.denominator)

    def ceil(self, ms: int) -> int:
        """The first tick that is not before `ms`."""
        return -((self.offset_us - 1000 * ms) * self.rate.numerator // (1_000_000 * self.rate.denominator))

    def nearest(self, seconds: float) -> int:
        """The tick next to a time, as containers round the times of pictures."""
        return round((seconds - self.offset_us / 1e6) * self.rate)

    def ms(self, tick: int) -> int:
        """Never after the frame that begins there: a millisecond late, and a player waits for the next frame."""
        return (self.offset_us * self.rate.numerator + 1_000_000 * tick * self.rate.denominator) // (1000 * self.rate.numerator)


@dataclass(frozen=True)
class Limits:
    """What a cue of one language keeps in one movie; `min_shown` to `clear` in ticks of `clock`, 0 where the profile ignores cuts.

    `max_chars` and `cps` count graphemes; where `wide`, full-width ones, and others half.
    """

    clock: Clock
    max_chars: float
    cps: float
    max_lines: int
    min_shown: int
    max_shown: int
    tail: int
    chain: int
    gap: int
    to_cut: int
    clear: int
    dash: str
    wide: bool

    @cached_property
    def ticks_per_char(self) -> float:
        """How long a character has to be shown to be read."""
        return float(self.clock.rate) / self.cps


def for_movie(
    profile: Profile, language: str, fps: str | None, *, first_picture: float = 0.0, children: bool = False, sdh: bool = False
) -> Limits:
    """The limits for subtitles in `language` (ISO 639 code) of a movie with `fps` pictures a second (a fraction in text), if any.

    first_picture: when it comes, in seconds.
    """
    rate = parse_fps(fps)
    framed = profile.whole_frames and rate is not None
    clock = Clock(rate if framed and rate else Fraction(1000))
    speeds = profile.cps_children if children else {**profile.cps, **(profile.cps_sdh if sdh else {})}
    shots = profile.shots or Shots.model_construct(to_cut=0, clear=0)

    def scaled(frames: int) -> int:
        return round(frames / DEFAULT_FPS * clock.rate)

    return Limits(
        clock=replace(clock, offset_us=_offset_us(first_picture, clock.rate)) if framed else clock,
        max_chars=_of(profile.chars, language),
        cps=_of(speeds, language),
        max_lines=profile.max_lines,
        min_shown=clock.ceil(profile.min_ms),
        max_shown=clock.floor(profile.max_ms),
        tail=clock.floor(profile.tail_ms),
        chain=clock.ceil(profile.chain_ms),
        gap=math.ceil(profile.gap_frames / (rate or DEFAULT_FPS) * clock.rate),
        to_cut=scaled(shots.to_cut),
        clear=scaled(shots.clear),
        dash=profile.dash,
        wide=language in _WIDE,
    )


def _offset_us(first_picture: float, rate: Fraction) -> int:
    """How far the pictures are off the grid that begins at 0; half a millisecond less than said, as it is said in whole ones."""
    return (round(first_picture * 1e6) - 500) % round(1e6 / rate) if first_picture else 0


def _of(numbers: dict[str, float], language: str) -> float:
    return numbers.get(language, numbers["default"])


def parse_fps(fps: str | None) -> Fraction | None:
    """`fps` as a number; None where it is unknown or, as a variable rate's time base can be, no rate of pictures at all."""
    try:
        rate = Fraction(fps or 0)
    except (ValueError, ZeroDivisionError):
        return None
    return rate if 10 <= rate <= 240 else None
