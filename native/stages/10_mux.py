"""The subtitled movie: everything the movie holds, copied, and the new subtitle tracks.

MP4 and QuickTime movies become MP4, WebM stays WebM, everything else becomes MKV. The result is read again and compared with what was
planned before it gets its name; the movie itself is never touched.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

from mux import burn, command, covers, plan, probed, verify
from mux.command import Sources
from mux.plan import Plan
from mux.probed import Extras
from reelscribe import ffmpeg, limits, probe
from reelscribe.artifacts import atomic_path, read_json, require_space
from reelscribe.device_manager import Device
from reelscribe.errors import BadInputError, MissingInputError, StageFailedError, UsageError
from reelscribe.limits import Limits
from reelscribe.schemas import Contents, Media, Track, Tracks
from reelscribe.settings import FfmpegOption, StageOptions, option
from reelscribe.stage import Context, Engine, Stage, StageFiles, artifact, main, movie_file

PACKAGES = ("av", "imageio-ffmpeg", "langcodes")
MOST_SAID = 8  # of what is left out, each by its name: a movie may have thousands of tags


class Options(StageOptions, FfmpegOption):
    burn_in: bool = option(False, env="BURN_IN", help="draw the subtitles into the picture, which is encoded anew for that")
    mkv_format: Literal["srt", "ass"] = option(
        "srt", env="MKV_SUBTITLES", help="new tracks in MKV: srt, which every player shows, or ass, with a colour for each speaker"
    )


class Inputs(StageFiles):
    movie: Path = movie_file()
    media: Path = artifact("media.json", schema=Media)
    tracks: Path = artifact("subtitles/tracks.json", schema=Tracks)
    srt: tuple[Path, ...] = artifact("subtitles/*.srt")
    vtt: tuple[Path, ...] = artifact("subtitles/*.vtt")
    ass: tuple[Path, ...] = artifact("subtitles/*.ass")


class Outputs(StageFiles):
    movie: tuple[Path, ...] = artifact("{name}.subtitled.*", movie=True)


def engine(options: Options) -> Engine:
    return Engine(name=ffmpeg.described(options.ffmpeg), packages=PACKAGES)


def run(ctx: Context[Options, Inputs, Outputs]) -> None:
    media, movie = read_json(ctx.inputs.media, Media), probed.extras(ctx.movie)
    refuse_another(ctx.movie, media)
    tracks = read_json(ctx.inputs.tracks, Tracks).tracks
    planned = make_plan(ctx.options, media, movie, tracks)
    explain(ctx, planned, missing="" if planned.tracks or planned.burnt else "cues" if tracks else "SRT, WebVTT or ASS files")
    files = [subtitle_file(ctx, track) for track in planned.tracks]
    result = ctx.movie_dir / f"{ctx.name}.subtitled{planned.target.suffix}"
    if result.resolve() == ctx.movie.resolve():
        raise UsageError(f"{result.name} is the movie itself", remedy="choose another folder with --out")
    require_space(ctx.movie_dir, space_needed(planned, ctx.movie, files))
    with atomic_path(result) as temporary:
        write(ctx, planned, media, movie, files, temporary)
        contents = probe.contents(temporary)
        refuse_faults(planned, media, contents)
        say_left_out(ctx, planned, list(probed.lost(planned, media, movie, contents, probed.extras(temporary))))
    ctx.add_output(result)


def refuse_another(movie: Path, media: Media) -> None:
    """Raise BadInputError when `media`, by which streams are chosen and the result is judged, is not what `movie` holds."""

    def streams(contents: Contents) -> list[tuple[int, str, str, bool]]:
        return [(s.index, s.kind, s.codec, s.cover) for s in contents.streams]

    there = probe.contents(movie)
    if (there.container, streams(there), len(there.chapters)) != (media.container, streams(media), len(media.chapters)):
        raise BadInputError(f"media.json does not describe {movie.name}", remedy="run the stage demux again, with --force")


def make_plan(options: Options, media: Media, movie: Extras, tracks: list[Track]) -> Plan:
    """The plan for the movie with the user's wishes."""
    picture = next((s.index for s in media.streams if s.kind == "video" and not s.cover), None)
    codec = burn.codec_for(movie.bits.get(picture, 8)) if options.burn_in and picture is not None else ""
    codecs = {target.muxer: probe.codecs_of(target.muxer) for target in plan.TARGETS}
    return plan.make(media, tracks, codecs, movie.kind, plan.Wishes(ass=options.mkv_format == "ass", burn_in=codec))


def explain(ctx: Context[Options, Inputs, Outputs], planned: Plan, missing: str) -> None:
    """What the result will be, and what it will lack. missing: that without which there is no new track, or ""."""
    if planned.why:
        ctx.log.info("the result is %s: %s", planned.target.name, planned.why)
    for track in planned.tracks:
        ctx.log.info("%s: new subtitle track %s (%s)", planned.target.name, track.title, track.language)
    if planned.burnt:
        codec = next(planned.converted[s.index] for s in planned.streams if s.kind == "video" and s.index in planned.converted)
        ctx.log.info("burnt in: %s (%s); the picture is encoded anew: %s", planned.burnt.title, planned.burnt.file, burn.described(codec))
        ctx.note("burnt_in", {"file": planned.burnt.file, "encoder": burn.described(codec)})
    elif ctx.options.burn_in:
        ctx.fallback("nothing is burnt in: there is no picture, or there are no cues")
    if planned.burnt and planned.imposed:
        ctx.fallback("an MP4 shows one of its subtitle tracks, over what is burnt in: switch it off in the player")
    if missing:
        ctx.fallback(f"there are no {missing}: the movie is copied without a new subtitle track")
    say_left_out(ctx, planned, planned.left_out)


def say_left_out(ctx: Context[Options, Inputs, Outputs], planned: Plan, names: list[str]) -> None:
    for name in names[:MOST_SAID]:
        ctx.fallback(f"{planned.target.name} cannot hold {name}: it is left out")
    if more := names[MOST_SAID:]:
        ctx.fallback(f"{planned.target.name} cannot hold {len(more)} more such: they are left out")


def subtitle_file(ctx: Context[Options, Inputs, Outputs], track: Track) -> Path:
    for path in (*ctx.inputs.srt, *ctx.inputs.vtt, *ctx.inputs.ass):
        if path.name == track.file:
            return path
    raise MissingInputError(f"subtitles/{track.file}", "subtitle-gen")


def space_needed(planned: Plan, movie: Path, files: list[Path]) -> int:
    """Bytes: all that goes in, and 2 % for a container with a larger index. A picture encoded anew may well take twice as many."""
    return round((2 if planned.burnt else 1.02) * sum(path.stat().st_size for path in (movie, *files)))


def write(ctx: Context[Options, Inputs, Outputs], planned: Plan, media: Media, movie: Extras, files: list[Path], output: Path) -> None:
    executable = ffmpeg.find(ctx.options.ffmpeg)
    ctx.note("ffmpeg", ffmpeg.version(executable))
    with tempfile.TemporaryDirectory() as folder:
        sources = Sources(
            ctx.movie,
            media.container,
            files,
            covers.extract(ctx.movie, planned.covers, Path(folder)),
            drawing(ctx, planned, executable, media.duration),
            own_tags=any(name.startswith("com.") for name in movie.tags),
        )
        arguments = command.arguments(planned, sources, output)
        allowed = limits_of(planned, ctx.movie, files, media.duration)
        ffmpeg.run(executable, arguments, limits=allowed, on_time=lambda done: ctx.progress.update(done, media.duration))


def limits_of(planned: Plan, movie: Path, files: list[Path], duration: float) -> Limits:
    """What ffmpeg may take to write the result."""
    size = sum(path.stat().st_size for path in (movie, *files))
    if not planned.burnt:
        return limits.copying(size, duration)
    pictures = [s for s in planned.streams if s.index in planned.converted and s.kind == "video"]
    return limits.encoding(size, duration, max((s.width or 0) * (s.height or 0) for s in pictures))


def drawing(ctx: Context[Options, Inputs, Outputs], planned: Plan, executable: str, duration: float) -> str:
    """ffmpeg's filter that burns in what is to be burnt, tried out; "" for nothing."""
    if not planned.burnt:
        return ""
    file = subtitle_file(ctx, planned.burnt)
    burn.require_fonts(executable, file, duration)
    return burn.drawing(file)


def refuse_faults(planned: Plan, media: Media, result: Contents) -> None:
    """Raise StageFailedError when the result is not what was planned."""
    if found := verify.faults(planned, media, result):
        raise StageFailedError(
            "the muxed movie is not as planned: " + "; ".join(found),
            remedy="unless a cue ends after the movie does, please report this with logs/10_mux.log",
        )


def check(options: Options, device: Device) -> str:
    executable = ffmpeg.find(options.ffmpeg)
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        srt, movie = folder / "check.srt", folder / "check.mkv"
        srt.write_text("1\n00:00:00,000 --> 00:00:00,500\nHello\n", encoding="utf-8")
        ffmpeg.run(executable, ["-f", "lavfi", "-i", "sine=duration=0.5", "-c:a", "aac", ffmpeg.address(movie)])
        contents = probe.contents(movie)
        for target in (plan.MKV, plan.MP4):
            track = Track(file=srt.name, format="srt", language="en", title="English", num_cues=1)
            planned = Plan(target, "", streams=contents.streams, tracks=[track])
            output = folder / f"result{target.suffix}"
            ffmpeg.run(executable, command.arguments(planned, Sources(movie, contents.container, [srt]), output))
            results.append(f"{target.name} with {probe.contents(output).of_kind('subtitle')[0].codec}")
    return f"{' and '.join(results)} by {ffmpeg.version(executable)}"


STAGE = Stage(name="mux", revision=2, options=Options, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check)

if __name__ == "__main__":
    main(STAGE)
