"""The plan as arguments of ffmpeg."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mux import burn
from mux.covers import Cover
from mux.plan import MP4, Plan
from mux.probed import BRANDS
from reelscribe import ffmpeg
from reelscribe.schemas import Track

# The same movie gives the same bytes: no random UIDs, no date, no version of the muxer.
_BIT_EXACT = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", "-flags:s", "+bitexact"]
_DEMUXERS = {"srt": "srt", "vtt": "webvtt", "ass": "ass"}
_CODECS = {"srt": "subrip", "vtt": "webvtt", "ass": "ass"}
# Tags that are no iTunes tags (a camera's, com.apple.quicktime.…) fit only in a list of another kind, where players look for no title;
# and FFmpeg would list the brands there, too.
_OWN_TAGS = ["-movflags", "+use_metadata_tags", *(a for name in BRANDS for a in ("-metadata", f"{name}="))]


@dataclass(frozen=True)
class Sources:
    """What the result is made of: the movie, one subtitle file for each of the plan's tracks, covers.

    `container`: the movie's. `drawing`: ffmpeg's filter that burns subtitles in, or "". `own_tags`: it has tags of its maker's own.
    """

    movie: Path
    container: str
    files: Sequence[Path] = ()
    covers: Sequence[Cover] = ()
    drawing: str = ""
    own_tags: bool = False


def arguments(plan: Plan, sources: Sources, output: Path) -> list[str]:
    """ffmpeg's arguments."""
    # AVI and MPEG program streams time only some packets; Matroska wants all of them timed.
    genpts = ["-fflags", "+genpts"] if sources.container in ("avi", "mpeg") else []
    made = ffmpeg.source(sources.movie, *genpts)
    for track, file in zip(plan.tracks, sources.files, strict=True):
        demuxer = _DEMUXERS[track.format]
        made += ffmpeg.source(file, "-f", demuxer, containers=demuxer)
    for stream in plan.streams:
        made += ["-map", f"0:{stream.index}"]
    for number in range(1, len(sources.files) + 1):
        made += ["-map", f"{number}:0"]
    made += ["-map_metadata", "0", "-map_chapters", "0", "-c", "copy", *_kept(plan, sources.drawing), *_new(plan)]
    made += [*_covers(plan, sources.covers), *(_OWN_TAGS if sources.own_tags and plan.target is MP4 else [])]
    made += [*_BIT_EXACT, *plan.target.options, "-f", plan.target.muxer, ffmpeg.address(output)]
    return made + ffmpeg.keeping_time(sources.container)


def _kept(plan: Plan, drawing: str) -> list[str]:
    """Every flag is said: left to itself ffmpeg makes the first of several tracks a default. Every title, too: MP4's it does not copy."""
    made = []
    for number, stream in enumerate(plan.streams):
        made += [f"-disposition:{number}", "+".join(plan.dispositions(stream)) or "0"]
        if stream.title:
            made += [f"-metadata:s:{number}", f"title={stream.title}"]
        if stream.kind == "video" and stream.index in plan.converted:
            made += burn.encoding(number, plan.converted[stream.index], drawing)
        elif stream.index in plan.converted:
            made += [f"-c:{number}", plan.converted[stream.index]]
    return made


def _new(plan: Plan) -> list[str]:
    made = []
    for number, track in enumerate(plan.tracks, len(plan.streams)):
        wanted = plan.target.codec(track)
        codec = "copy" if _CODECS[track.format] == wanted else wanted
        made += [f"-c:{number}", codec, f"-disposition:{number}", "+".join(plan.flags(track)) or "0"]
        tags = {"language": language_tag(track, plan.target.language_variant), "title": track.title}
        if plan.target.muxer == "mp4":
            tags["handler_name"] = track.title  # what VLC and QuickTime show as the track's name
        for name, value in tags.items():
            made += [f"-metadata:s:{number}", f"{name}={value}"]
    return made


def _covers(plan: Plan, covers: Sequence[Cover]) -> list[str]:
    """ffmpeg would copy a cover into MKV as a video of one picture; as an attachment it stays a cover."""
    made = []
    for number, cover in enumerate(covers, sum(s.kind == "attachment" for s in plan.streams)):
        made += ["-attach", ffmpeg.address(cover.path)]
        for name, value in (("filename", cover.filename), ("mimetype", cover.mimetype)):
            made += [f"-metadata:s:t:{number}", f"{name}={value}"]
    return made


def language_tag(track: Track, variant: str) -> str:
    """ISO 639-2 code in `variant` "B" (fre) or "T" (fra); und where there is none."""
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    try:
        return langcodes.Language.get(track.language).to_alpha3(variant)
    except (LookupError, LanguageTagError):
        return "und"
