"""What subtitle-gen costs, and which limits its cues break.

    native/venvs/dev/bin/python tests/bench/cues.py [--quick]

The film is the example's sentences in ever new order, as fast as they are spoken there, with pauses of 0.2 to 4 s. The stage runs as users
run it, in a process of its own; CPU seconds are of that process, its start included. `example`: what is said in examples/station.mp4, with
its shot changes. `generated`: hypothesis makes up transcripts with every kind of haste, overlap and pause, which no film has so many of;
in each the words of the cues are compared with those of the transcript.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import imageio_ffmpeg
from hypothesis import HealthCheck, given, settings

from reelscribe import probe
from reelscribe.artifacts import read_json, write_json
from reelscribe.schemas import AudioTrack, Glossary, Media, NamedSpeaker, Qc, Segment, Speakers, Transcript, Word
from reelscribe.stage_table import NATIVE, ROOT, find

sys.path[:0] = [str(NATIVE / "stages"), str(ROOT / "tests" / "stages")]

EXAMPLE = ROOT / "examples" / "station.mp4"
TRUTH = json.loads((ROOT / "examples" / "station" / "station.json").read_text(encoding="utf-8"))
SIZES = (2_500, 20_000)
PROFILES = ("netflix", "bbc", "relaxed")


# -- transcripts --------------------------------------------------------------------------------------------------------


def sentence_of(said: dict[str, object], start: float, number: int) -> Segment:
    """A sentence of the example, from `start` on; words that have no time get their share."""
    texts = str(said["text"]).split()
    pace = (float(str(said["end"])) - float(str(said["start"]))) / len(texts)
    speaker = str(said["speaker"])
    words = [Word(word=text, start=start + n * pace, end=start + (n + 1) * pace, speaker=speaker) for n, text in enumerate(texts)]
    return Segment(id=number, start=start, end=words[-1].end, text=str(said["text"]), words=words, speaker=speaker)


def film(num_words: int) -> Iterator[Segment]:
    """So many words of talk."""
    chance, now, written = random.Random(1), 0.0, 0
    while written < num_words:
        segment = sentence_of(chance.choice(TRUTH["sentences"]), now, written)
        written += len(segment.words)
        now = segment.end + chance.choice([0.2, 0.3, 0.5, 0.8, 1.5, 4.0])
        yield segment


def put(movie_dir: Path, segments: Sequence[Segment], media: Media) -> None:
    """The stage's inputs."""
    write_json(movie_dir / "media.json", media)
    transcript = Transcript(segments=list(segments), language="en", engine="bench", model="bench", duration=media.duration)
    write_json(movie_dir / "corrected/transcript.json", transcript)
    names = sorted({segment.speaker or "" for segment in segments})
    write_json(movie_dir / "corrected/speakers.json", Speakers(speakers=[NamedSpeaker(label=n, name=n, total_s=0) for n in names]))
    write_json(movie_dir / "glossary/glossary.json", Glossary(terms=[], pipeline="bench"))


def sound_alone(duration: float) -> Media:
    """A movie without a picture."""
    audio = AudioTrack(index=0, reason="bench", downmix="mono", start=0.0)
    return Media(container="matroska", duration=duration, fps="24", streams=[], audio=audio, num_samples=round(duration * 16000))


# -- measuring ----------------------------------------------------------------------------------------------------------


def run_stage(movie_dir: Path, movie: Path, *options: str) -> tuple[float, float]:
    """(wall, CPU) seconds of the stage, ffmpeg's included."""
    row = find("subtitle-gen")
    python = NATIVE / "venvs" / row.environments[0] / "bin" / "python"
    command = [str(python), str(row.script), "--input", str(movie), "--movie-dir", str(movie_dir), "--force", *options]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def costs(folder: Path) -> None:
    """A row for each size of film, all formats."""
    print("| words | cues | wall s | CPU s |\n| --- | --- | --- | --- |")
    for size in SIZES:
        movie_dir, movie = folder / f"film{size}", folder / "none.mkv"
        movie.write_bytes(b"sound")
        segments = list(film(size))
        put(movie_dir, segments, sound_alone(segments[-1].end + 5))
        wall, cpu = run_stage(movie_dir, movie)
        (track,) = read_json(movie_dir / "subtitles/qc.json", Qc).tracks
        print(f"| {sum(len(s.words) for s in segments):,} | {len(track.cues):,} | {wall:.1f} | {cpu:.1f} |")


def detector(folder: Path) -> None:
    """What looking for shot changes costs, at the sizes that movies have."""
    from subtitle_gen import shots

    executable = imageio_ffmpeg.get_ffmpeg_exe()
    print("\n| picture, H.264 | bits a second | seconds of it | CPU s |\n| --- | --- | --- | --- |")
    for size, seconds, rate in (("640x360", 60, "1M"), ("1920x1080", 30, "6M")):
        movie = folder / f"{size}.mkv"
        # The example's picture, enlarged, with noise as of film: a drawing alone would decode too easily.
        filters = f"scale={size.replace('x', ':')},noise=alls=12:allf=t"
        made = [executable, "-nostdin", "-loglevel", "error", "-i", str(EXAMPLE), "-t", str(seconds), "-an", "-vf", filters]
        subprocess.run(
            [*made, "-c:v", "libx264", "-preset", "veryfast", "-b:v", rate, "-maxrate", rate, "-bufsize", rate, str(movie)], check=True
        )
        contents = probe.contents(movie)
        stream = shots.picture(contents)
        assert stream
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        shots.cuts(executable, movie, stream, contents.container, seconds, 1, lambda _: None)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"| {size} | {rate} | {seconds} | {after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.1f} |")


# -- quality ------------------------------------------------------------------------------------------------------------


def quality(folder: Path, num_generated: int) -> None:
    """Violations for every 1,000 cues, by rule."""
    rows = {f"example, {profile}": of_example(folder, profile) for profile in PROFILES}
    rows |= {f"film of {SIZES[0]:,} words, {profile}": of_film(folder, profile) for profile in PROFILES}
    rows[f"{num_generated:,} generated, netflix"] = of_generated(num_generated)
    rules = sorted({rule for _, found in rows.values() for rule in found})
    print("\n| | cues | " + " | ".join(rules) + " |\n| --- | --- |" + " --- |" * len(rules))
    for name, (cues, found) in rows.items():
        print(f"| {name} | {cues:,} | " + " | ".join(f"{1000 * found[rule] / max(1, cues):.0f}" for rule in rules) + " |")


def of_example(folder: Path, profile: str) -> tuple[int, Counter[str]]:
    """What is said in the example, with its shots."""
    movie_dir = folder / "example"
    contents = probe.contents(EXAMPLE)
    audio = AudioTrack(index=1, reason="bench", downmix="mono", start=0.0)
    media = Media(**dict(contents), audio=audio, num_samples=round(contents.duration * 16000))
    put(movie_dir, [sentence_of(said, said["start"], n) for n, said in enumerate(TRUTH["sentences"])], media)
    return counted(movie_dir, EXAMPLE, profile)


def of_film(folder: Path, profile: str) -> tuple[int, Counter[str]]:
    """The shorter film."""
    segments, movie = list(film(SIZES[0])), folder / "none.mkv"
    movie.write_bytes(b"sound")
    put(folder / "quality", segments, sound_alone(segments[-1].end + 5))
    return counted(folder / "quality", movie, profile)


def counted(movie_dir: Path, movie: Path, profile: str) -> tuple[int, Counter[str]]:
    """(cues, violations by rule) of the stage's own quality control."""
    run_stage(movie_dir, movie, f"--profile={profile}", "--formats=srt")
    (track,) = read_json(movie_dir / "subtitles/qc.json", Qc).tracks
    return len(track.cues), Counter(violation.rule for violation in track.violations)


def of_generated(number: int) -> tuple[int, Counter[str]]:
    """(cues, violations by rule); stops at a cue that overlaps, or a word that is lost or doubled."""
    from test_subtitle_gen_cues import CUTS, planner_of, segments, shown_words

    from subtitle_gen.rules import violations

    cues, found = 0, Counter[str]()

    @settings(max_examples=number, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(segments(most_words=40), CUTS)
    def one(said: list[Segment], cuts: list[float]) -> None:
        nonlocal cues
        planner = planner_of(said, "netflix", "24", cuts)
        made = planner.cues()
        assert shown_words(made, planner.limits) == [word.text for word in planner.words]
        broken = [violation.rule for violation in violations(made, planner.timing)]
        assert "overlap (s)" not in broken
        cues += len(made)
        found.update(broken)

    one()
    return cues, found


def main() -> None:
    """All tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer generated transcripts, no shot changes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs(folder)
        if not args.quick:
            detector(folder)
        quality(folder, 100 if args.quick else 2000)
    print(f"\n{os.cpu_count()} cores, load average {' '.join(f'{load:.1f}' for load in os.getloadavg())}")


if __name__ == "__main__":
    main()
