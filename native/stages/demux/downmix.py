"""From the movie's channels to one: as much dialogue and as little else as the layout allows.

In surround sound the dialogue is in the centre; music and effects are around it. The centre is taken whole. Each front follows 12 dB
below it and each surround 20 dB below: enough for a voice that walks out of the picture, and for a "surround" track that is stereo
with an empty centre, yet too little to drown the centre. (ITU-R BS.775, made for listening, puts each front 3 dB below the centre.)
The subwoofer has no speech. Without a centre the fronts are taken whole: the middle of stereo, where voices are.
"""

from __future__ import annotations

from collections.abc import Sequence

_CENTRE = ("FC",)
_FRONTS = ("FL", "FR", "DL", "DR", "FLC", "FRC")
_SUBWOOFERS = ("LFE", "LFE2")
_FRONT_GAIN = 0.25
_SURROUND_GAIN = 0.1


def gains(channels: Sequence[str]) -> dict[str, float]:
    """Gain per channel, before they are scaled to the sum of 1. channels: FFmpeg's names, c0, c1, … where it has none."""
    if not any(c in _CENTRE + _FRONTS for c in channels):
        return dict.fromkeys(channels, 1.0)
    front = _FRONT_GAIN if any(c in _CENTRE for c in channels) else 1.0
    return {c: 1.0 if c in _CENTRE else front if c in _FRONTS else _SURROUND_GAIN for c in channels if c not in _SUBWOOFERS}


def expression(channels: Sequence[str]) -> str:
    """`FC+0.25*FL+0.25*FR`, for ffmpeg's pan filter and for people."""
    return "+".join(name if gain == 1 else f"{gain:g}*{name}" for name, gain in gains(channels).items())


def filters(layout: str | None, channels: Sequence[str], sample_rate: int) -> str:
    """ffmpeg's filters from `layout` (None: one without a name) to mono at `sample_rate`.

    A broadcast may change its layout on the way: everything is brought to the layout that was probed. `<` scales the gains to the
    sum of 1, so that nothing clips (https://ffmpeg.org/ffmpeg-filters.html#pan-1).
    """
    same = f"aformat=channel_layouts={layout}," if layout else ""
    return f"{same}pan=mono|c0<{expression(channels)},aresample={sample_rate}"
