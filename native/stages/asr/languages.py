"""Which language is spoken: voted over several windows of speech, and another in a window that is sure to be in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reelscribe.schemas import DecodedWindow, Plan, Window

Probabilities = Mapping[str, float]

# As many as vote: enough that a song or a line in another language is outvoted.
_VOTERS = 9
# A window is in another language than the movie only when the model is this sure of it, and this sure that it is not the movie's.
_SURE = 0.9
_SURE_NOT = 0.05


def voters(plan: Plan) -> list[Window]:
    """The windows that vote: of each of a few equal parts of the movie's windows, the one with most speech."""
    count = min(_VOTERS, len(plan.windows))
    parts = [plan.windows[len(plan.windows) * n // count : len(plan.windows) * (n + 1) // count] for n in range(count)]
    return [max(part, key=speech_s) for part in parts]


def speech_s(window: Window) -> float:
    """Seconds of speech in `window`."""
    return round(sum(s.end - s.start for s in window.speech), 3)


def vote(windows: Sequence[Window], heard: Sequence[Probabilities]) -> dict[str, float]:
    """The share of each language, the first the winner: every window's probabilities, weighed with its seconds of speech."""
    total = sum(speech_s(window) for window in windows) or 1.0
    shares: dict[str, float] = {}
    for window, probabilities in zip(windows, heard, strict=True):
        for language, probability in probabilities.items():
            shares[language] = shares.get(language, 0.0) + probability * speech_s(window) / total
    ranked = sorted(shares.items(), key=lambda item: (-round(item[1], 3), item[0]))
    return {language: round(share, 3) for language, share in ranked if share >= 0.0005}


def of_window(heard: Probabilities, voted: str) -> str:
    """The language of a window: the movie's, unless it is surely another."""
    best = max(heard, key=lambda language: heard[language], default=voted)
    return best if heard.get(best, 0.0) >= _SURE and heard.get(voted, 0.0) <= _SURE_NOT else voted


def recount(plan: Plan, decoded: Sequence[DecodedWindow]) -> dict[str, float]:
    """The vote once more, from what the decoded windows keep; empty when the language was given."""
    heard = {window.window: window.languages for window in decoded}
    return vote(asked, [heard.get(window.id, {}) for window in asked]) if (asked := voters(plan)) and any(heard.values()) else {}


def spoken(decoded: Sequence[DecodedWindow], plan: Plan) -> str | None:
    """The language of most of the speech."""
    seconds: dict[str, float] = {}
    for window in decoded:
        if window.language:
            seconds[window.language] = seconds.get(window.language, 0.0) + speech_s(plan.windows[window.window])
    return max(sorted(seconds), key=lambda language: round(seconds[language], 3), default=None)
