"""The movie taken apart: what it holds, the dialogue as 16 kHz mono PCM, and the subtitles it has already.

Chooses the audio track (the one asked for; else no commentary, the movie's language, the default, most channels), mixes it to mono
with the centre in front and puts it on the movie's own timeline: sample 0 of audio/audio.wav is the movie's time 0.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

from demux import downmix, subtitles, timeline, tracks
from reelscribe import ffmpeg, limits, probe
from reelscribe.artifacts import atomic_path, require_space, write_json
from reelscribe.device_manager import Device
from reelscribe.errors import BadInputError
from reelscribe.schemas import AudioTrack, Contents, Media, Stream
from reelscribe.settings import FfmpegOption, LanguageOption, StageOptions, option
from reelscribe.stage import Context, Engine, Stage, StageFiles, artifact, main, movie_file
from reelscribe.wav import SAMPLE_RATE

PACKAGES = ("av", "imageio-ffmpeg")


class Options(StageOptions, LanguageOption, FfmpegOption):
    audio_track: str = option(
        "auto",
        env="AUDIO_TRACK",
        pattern=r"^(auto|[1-9][0-9]{0,2}|[a-z]{2,3})$",
        help="audio track to transcribe: its number as players count them (1 is the first), its language code, or auto",
    )
    audio_end: float = option(
        0.0,
        env="AUDIO_END",
        unit="s",
        ge=0,
        allow_inf_nan=False,
        help="leave out the sound from this time of the movie on, as --sample does; 0: leave out none",
    )


class Inputs(StageFiles):
    movie: Path = movie_file()


class Outputs(StageFiles):
    audio: Path = artifact("audio/audio.wav")
    media: Path = artifact("media.json", schema=Media)
    subtitles: tuple[Path, ...] = artifact("metadata/subtitles/*.srt")


def engine(options: Options) -> Engine:
    return Engine(name=ffmpeg.described(options.ffmpeg), packages=PACKAGES)


def run(ctx: Context[Options, Inputs, Outputs]) -> None:
    contents = probe.contents(ctx.movie)
    track, reason = choose_track(ctx, contents)
    if probe.is_encrypted(ctx.movie, track.index):
        raise BadInputError("the movie is encrypted", remedy="give a copy without copy protection")
    require_space(ctx.movie_dir, round(believable(ctx.movie, contents.duration) * SAMPLE_RATE * 2))
    with atomic_path(ctx.outputs.audio) as wav:
        placed = extract(ctx, contents, track, wav)
        end = placed.num_samples / SAMPLE_RATE
        refuse_silence_and_cuts(ctx, contents, end)
    audio = AudioTrack(
        index=track.index, reason=reason, downmix=mix_of(track)[1], start=placed.offset / SAMPLE_RATE, language=track.language
    )
    media = Media(**{**dict(contents), "duration": max(contents.duration, end)}, audio=audio, num_samples=placed.num_samples)
    extract_subtitles(ctx, contents)
    write_json(ctx.outputs.media, media)


def believable(movie: Path, duration: float) -> float:
    """`duration` in seconds, or less where a file of the movie's size cannot last so long."""
    return limits.believable(movie.stat().st_size, duration)


def most_samples(movie: Path) -> int:
    """How long the sound may become, whatever the movie says of itself."""
    return min(timeline.MOST_SAMPLES, round((believable(movie, 0) + 60) * SAMPLE_RATE))


def choose_track(ctx: Context[Options, Inputs, Outputs], contents: Contents) -> tuple[Stream, str]:
    """The audio stream and why it was chosen, said aloud."""
    options = ctx.options
    wanted = options.audio_track if options.audio_track.isdecimal() else language_or_auto(options.audio_track)
    language = language_or_auto(options.language)
    track, reason = tracks.choose(contents.streams, wanted, language)
    audio = contents.of_kind("audio")
    ctx.log.info("audio track %d of %d (%s): %s", audio.index(track) + 1, len(audio), tracks.shown(track), reason)
    if language != "auto" and track.language not in (language, None):
        ctx.fallback(f"the movie's language is said to be {language}, but the audio track is marked as {track.language}")
    return track, reason


def language_or_auto(setting: str) -> str:
    """`eng` and `en` are one language."""
    return "auto" if setting == "auto" else probe.language_code(setting) or setting


def extract(ctx: Context[Options, Inputs, Outputs], contents: Contents, track: Stream, wav: Path) -> timeline.Placed:
    """Decode the track to `wav`. Raises BadInputError when it cannot be decoded."""
    executable = ffmpeg.find(ctx.options.ffmpeg)
    ctx.note("ffmpeg", ffmpeg.version(executable))
    try:
        with closing(decoded(executable, ctx.movie, track, contents)) as packets:
            end = round(ctx.options.audio_end * SAMPLE_RATE) or None
            sound = counted(ctx, packets, contents.duration)
            placed = timeline.place(sound, wav, believable(ctx.movie, contents.duration), end, most=most_samples(ctx.movie))
    except ffmpeg.FfmpegError as error:
        if error.status < 0:  # killed, which is not the movie's fault
            raise
        raise BadInputError(
            f"the audio track ({track.codec}) cannot be decoded: {error.said}",
            remedy="it is damaged or protected: choose another with AUDIO_TRACK, or give another copy of the movie",
        ) from error
    for name in ("filled", "dropped"):
        ctx.note(f"{name}_s", getattr(placed, name) / SAMPLE_RATE)
    if placed.filled >= SAMPLE_RATE / 10:
        ctx.log.info("%.1f s of the sound are missing inside the track; silence stands for them", placed.filled / SAMPLE_RATE)
    return placed


def extract_subtitles(ctx: Context[Options, Inputs, Outputs], contents: Contents) -> None:
    """The movie's own text subtitles, for the names in them; a movie whose subtitles cannot be read is subtitled all the same."""
    streams = subtitles.chosen(contents.streams)
    if not streams:
        return
    try:
        folder = ctx.movie_dir / "metadata" / "subtitles"
        files = subtitles.write(ffmpeg.find(ctx.options.ffmpeg), ctx.movie, contents, streams, folder)
    except (ffmpeg.FfmpegError, ffmpeg.LimitError) as error:
        if isinstance(error, ffmpeg.FfmpegError) and error.status < 0:
            raise
        ctx.fallback(f"the subtitles that the movie has already cannot be read: {getattr(error, 'said', error.message)}")
        return
    for file in files:
        ctx.add_output(file)
    ctx.log.info("subtitles in the movie: %s", ", ".join(s.language or "language unknown" for s in streams))


def decoded(executable: str, movie: Path, track: Stream, contents: Contents) -> Generator[tuple[int, bytes], None, None]:
    """(first sample on the movie's timeline, 16-bit mono PCM at 16 kHz) as ffmpeg decodes `track`."""
    import av

    # NUT, as WAV carries no timestamps. ffmpeg counts time from the container's start, which is the movie's 0.
    output = ["-c:a", "pcm_s16le", "-fflags", "+bitexact", "-avoid_negative_ts", "disabled", "-write_index", "0", "-f", "nut", "pipe:1"]
    mapped = ["-map", f"0:{track.index}", "-map_metadata", "-1", "-af", mix_of(track)[0]]  # tags may hold anything
    arguments = [*ffmpeg.source(movie), *mapped, *output, *ffmpeg.keeping_time(contents.container)]
    allowed = limits.reading(movie.stat().st_size, contents.duration)
    with ffmpeg.running(executable, arguments, limits=allowed) as stdout:
        try:
            pcm = av.open(stdout, format="nut")
        except av.FFmpegError:
            return  # nothing was decoded; if ffmpeg failed, `running` says why
        with pcm:
            for packet in pcm.demux(audio=0):
                if packet.size and packet.pts is not None and packet.time_base:
                    yield round(packet.pts * packet.time_base * SAMPLE_RATE), bytes(packet)


def mix_of(track: Stream) -> tuple[str, str]:
    """ffmpeg's filters for the track, and the mix in words."""
    import av

    count = track.channels or 1
    channels = [c.name for c in av.AudioLayout(track.layout or f"{count} channels").channels]
    named = track.layout if "NONE" not in channels and "AMBI0" not in channels else None
    channels = channels if named else [f"c{number}" for number in range(count)]
    return downmix.filters(named, channels, SAMPLE_RATE), f"{track.layout}: {downmix.expression(channels)}"


def counted(ctx: Context[Options, Inputs, Outputs], packets: Iterator[tuple[int, bytes]], duration: float) -> Iterator[tuple[int, bytes]]:
    """The packets, with progress."""
    for start, data in packets:
        ctx.progress.update(start / SAMPLE_RATE, ctx.options.audio_end or duration)
        yield start, data


def refuse_silence_and_cuts(ctx: Context[Options, Inputs, Outputs], contents: Contents, end: float) -> None:
    """Raise BadInputError when there was no sound at all, or when the file ends before its streams should. end: the sound's, in seconds."""
    if not end:
        raise BadInputError("the audio track is empty", remedy="choose another with AUDIO_TRACK, or give another copy of the movie")
    promised = promised_end(contents)
    if ctx.options.audio_end:
        promised = min(promised, ctx.options.audio_end)
    tolerance = max(1.0, 0.002 * promised)
    if promised - end <= tolerance:
        return
    there = probe.end_of_data(ctx.movie, end)
    if promised - there > tolerance:
        raise BadInputError(
            f"{ctx.movie.name} is cut off: it says to last {promised:.1f} s and ends at {there:.1f} s",
            remedy="copy or download it again; if there is no more of it, remux it (ffmpeg -i MOVIE -map 0 -c copy NEW.mkv) and use that",
        )
    ctx.log.info("the sound ends at %.0f s, the movie at %.0f s", end, promised)


def promised_end(contents: Contents) -> float:
    """When picture and sound should end, in seconds, as the headers say."""
    ends = [s.start + s.duration for s in contents.streams if s.kind in ("video", "audio") and s.duration and not s.cover]
    return max(ends, default=contents.duration)


def check(options: Options, device: Device) -> str:
    executable = ffmpeg.find(options.ffmpeg)
    with tempfile.TemporaryDirectory() as folder:
        movie, wav = Path(folder) / "check.mkv", Path(folder) / "check.wav"
        tone = ["-f", "lavfi", "-i", "sine=1000:sample_rate=48000:duration=0.5", "-af", "pan=5.1|FC=c0", "-c:a", "ac3"]
        ffmpeg.run(executable, [*tone, ffmpeg.address(movie)])
        contents = probe.contents(movie)
        track, _ = tracks.choose(contents.streams, "auto", "auto")
        with closing(decoded(executable, movie, track, contents)) as packets:
            placed = timeline.place(packets, wav, 0.0)
    return f"{placed.num_samples / SAMPLE_RATE:.2f} s of {track.layout} {track.codec} decoded to mono by {ffmpeg.version(executable)}"


STAGE = Stage(name="demux", revision=2, options=Options, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check)

if __name__ == "__main__":
    main(STAGE)
