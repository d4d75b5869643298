"""Every text that reelscribe reads, damaged: artifacts, manifests, settings, files beside the movie, decisions, checkpoints, caches.

A small movie directory is made once by all ten stages. Each try is a copy of it in which one file is damaged in one way; then what reads
that file is run. It is clean when it takes no more than a minute of a processor (five minutes on the clock, as the machine may be busy),
ends with the exit code that is documented for it, says what is wrong on one screen, with a remedy and without a traceback, leaves every
other file as it was and nothing half-written; when what cannot be read is refused, made again as it was, or said to be left out; and
when every JSON file that it wrote can be read again.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from _text_damage import EVERY, HOPELESS, NEWER, PLACES
from _text_movie import DIR, NAME, Movie, make
from common import Tally, main, tries

from reelscribe.artifacts import read_json
from reelscribe.errors import ReelscribeError
from reelscribe.stage import file_fields, load_contracts

LIMIT_S = 300
PROCESSOR_S = 60
SCREEN_LINES = 25
_UNFORESEEN = re.compile(r"Traceback \(most recent|the traceback is in|a mistake in reelscribe|\b[A-Z]\w+(?:Error|Exception): ")
_STAGES = {stage.name: stage for stage in load_contracts()}

Fate = Literal["refused", "redone", "said", "left out"]


@dataclass(frozen=True)
class Target:
    """A file, by its path from the movie's folder, and what reads it.

    fate: what becomes of a file of which nothing can be read. code: of its refusal. free: a text in which nearly everything is allowed.
    """

    file: str
    reader: str
    fate: Fate = "refused"
    options: tuple[str, ...] = ()
    code: int = 3
    free: bool = False

    def __str__(self) -> str:
        return f"{self.file.removeprefix(DIR + '/')}, {' '.join((self.reader, *self.options))}"

    @property
    def inside(self) -> bool:
        """Whether it is in the movie directory."""
        return self.file.startswith(DIR)


def _read_by(file: str, *readers: str, fate: Fate = "refused", options: tuple[str, ...] = ()) -> Iterator[Target]:
    for reader in readers:
        yield Target(f"{DIR}/{file}", reader, fate, options)


_SHOWN = ["media.json", "metadata/tmdb.json", "vad/silero.json", "diarization/diarization.json", "transcription/plan.json"]
_SHOWN += ["transcription/chunks/chunk_0000.json", "corrected/transcript.json", "corrected/corrections.json", "corrected/speakers.json"]
_SHOWN += ["subtitles/tracks.json", "subtitles/qc.json", "subtitles/shots.json", "manifests/07_asr.json"]
TARGETS = [
    *_read_by("media.json", "pre-ner", "asr", "subtitle-gen", "mux"),
    *_read_by("metadata/tmdb.json", "pre-ner", "post-ner"),
    *_read_by("glossary/glossary.json", "asr", "post-ner", "subtitle-gen"),
    *_read_by("glossary/bias_windows.json", "asr"),
    *_read_by("vad/silero.json", "asr", "evaluate"),
    *_read_by("vad/pyannote.json", "asr"),
    *_read_by("diarization/diarization.json", "post-ner", "evaluate"),
    *_read_by("transcription/transcript.json", "post-ner"),
    *_read_by("transcription/chunks/chunk_0000.json", "asr", fate="redone", options=("--log-level=warning",)),
    *_read_by("corrected/transcript.json", "subtitle-gen", "corrections", "evaluate"),
    *_read_by("corrected/corrections.json", "post-ner", "corrections"),
    *_read_by("corrected/speakers.json", "subtitle-gen", "evaluate"),
    *_read_by("corrected/speakers.json", "post-ner", options=("--force",)),
    *_read_by("corrected/reviewed.json", "post-ner", "corrections"),
    *_read_by("corrected/edits.json", "post-ner"),
    *_read_by("corrected/edited.json", "post-ner"),
    *_read_by("subtitles/tracks.json", "mux", "evaluate"),
    *_read_by("subtitles/shots.json", "subtitle-gen", fate="redone", options=("--audience=children",)),
    *[target for file in _SHOWN for target in _read_by(file, "report", fate="left out")],
    *_read_by("manifests/02_tmdb.json", "tmdb", "status", fate="redone"),
    *_read_by("manifests/08_post-ner.json", "post-ner", "status", fate="redone"),
    *_read_by("manifests/09_subtitle-gen.json", "subtitle-gen", fate="redone"),
    *_read_by("manifests/10_mux.json", "mux", "report", fate="left out"),
    *_read_by("manifests/hashes.json", "post-ner", fate="left out"),
    *_read_by(".lease.json", "post-ner", fate="left out"),
    *[Target(f"{DIR}/job.env", reader, free=True) for reader in ("status", "tmdb")],
    Target("my.env", "pre-ner", options=("--env", "my.env"), free=True),
    Target(f"{NAME}.nfo", "tmdb", "said", free=True),
    Target("movie.json", "tmdb", "said"),
    Target("glossary.txt", "pre-ner", free=True),
    Target("glossary.txt", "post-ner", free=True),
    Target(f"{NAME}.en.srt", "pre-ner", "said", free=True),
    Target("profile.json", "subtitle-gen", options=("--profile", "profile.json"), code=2),
    Target("truth.json", "evaluate"),
    Target(f"{DIR}/metadata/cache/*.json", "tmdb", "left out", options=("--force",)),
]


# -- a try --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A file, a way to damage it, and the source of its details."""

    target: Target
    damage: str
    seed: str

    def __str__(self) -> str:
        return f"{self.target}: {self.damage}"


def cases(count: int, seed: int) -> Iterator[Case]:
    """Every file in turn, each with every damage in turn, both in an order of chance."""
    for number, chance in tries(count, seed):
        turn, place = divmod(number, len(TARGETS))
        order = random.Random(f"{seed}/{place}").sample(sorted(EVERY), len(EVERY))
        yield Case(TARGETS[place], order[turn % len(order)], str(chance.random()))


def problems(case: Case, good: Movie, folder: Path) -> list[str]:
    """What is wrong with how the damaged file was taken; nothing is the aim."""
    movie = good.copy(folder / "movie")
    try:
        return _tried(case, movie, good)
    finally:
        shutil.rmtree(folder / "movie")


def _tried(case: Case, movie: Movie, good: Movie) -> list[str]:
    target = case.target
    path = next(movie.root.glob(target.file)) if "*" in target.file else movie.root / target.file
    if not path.exists():
        path.write_bytes(b'{"host": "elsewhere", "pid": 1, "started": 1.0, "token": "0", "heartbeat": 1.0}\n')
    EVERY[case.damage](path, random.Random(case.seed))
    before = movie.contents()
    started = time.monotonic()
    try:
        done = movie.run(target.reader, *target.options, limit_s=LIMIT_S, processor_s=PROCESSOR_S)
    except subprocess.TimeoutExpired:
        return [f"not ended after {LIMIT_S} s"]
    said = done.stderr + done.stdout
    found = [*_of_the_talk(done), *_of_the_files(case, movie, before, done.returncode)]
    found += _of_the_fate(case, movie, good, done)
    hint = f" [{done.returncode}, {time.monotonic() - started:.0f} s: {' | '.join(said.split(chr(10))[-4:])[:300]}]"
    return [problem + hint for problem in found]


def _of_the_talk(done: subprocess.CompletedProcess[str]) -> Iterator[str]:
    if done.returncode not in (0, 2, 3, 6):
        yield f"exit code {done.returncode}"
    if done.returncode and "→" not in done.stderr:
        yield "no remedy"
    if _UNFORESEEN.search(done.stderr):
        yield "an error that nobody foresaw"
    if done.returncode and (len(done.stderr.splitlines()) > SCREEN_LINES or len(done.stderr) > 6000):
        yield f"{len(done.stderr.splitlines())} lines, {len(done.stderr)} characters of talk"


def _of_the_files(case: Case, movie: Movie, before: dict[str, bytes | str], code: int) -> Iterator[str]:
    after = movie.contents()
    changed = {where for where in before.keys() | after.keys() if before.get(where) != after.get(where)}
    for where in sorted(changed):
        if not _may_change(case.target, movie, where, code):
            yield f"{where} was {'changed' if where in after else 'removed'}"
        elif where.endswith(".json") and where in after:
            yield from _unreadable(movie, where)
    yield from (f"{where} is left" for where in after if "/.tmp-" in where)


def _may_change(target: Target, movie: Movie, where: str, code: int) -> bool:
    """What the reader writes; when it refuses, its manifest alone."""
    if target.reader == "report":
        return where == f"{DIR}/report.html"
    stage = _STAGES.get(target.reader)
    if stage is None:
        return False
    if where == f"{DIR}/manifests/{stage.row.key}.json":
        return True
    own = {str(path.relative_to(movie.root)) for f in file_fields(stage.outputs) for path in f.matches(movie.dir)}
    extra = {f"{DIR}/corrected/edited.json"} if stage.name == "post-ner" else set()
    if stage.name == "tmdb" and where.startswith((f"{DIR}/metadata/cache/", "cache/")):
        return True
    return code == 0 and where in own | extra


def _unreadable(movie: Movie, where: str) -> Iterator[str]:
    """A JSON file was written that its own schema refuses."""
    path = movie.root / where
    for stage in _STAGES.values():
        for file in file_fields(stage.outputs):
            if file.schema and path in file.matches(movie.dir):
                try:
                    read_json(path, file.schema)
                except ReelscribeError as error:
                    yield f"it wrote {where}, which {error.message}"


def _of_the_fate(case: Case, movie: Movie, good: Movie, done: subprocess.CompletedProcess[str]) -> Iterator[str]:
    """Whether what cannot be read was treated as it has to be."""
    target, code = case.target, done.returncode
    in_the_way = case.damage in PLACES and case.damage != "a folder"
    if in_the_way and target.inside:
        if code != 3:
            yield "not refused"
    elif case.damage in NEWER and target.inside and target.fate != "left out" and target.reader != "status" and not target.free:
        if code != 3 or "newer reelscribe" not in done.stderr:
            yield "a newer file was not refused"
    elif case.damage in HOPELESS and not target.free:
        yield from _of_the_hopeless(case, movie, good, done)


def _of_the_hopeless(case: Case, movie: Movie, good: Movie, done: subprocess.CompletedProcess[str]) -> Iterator[str]:
    target, code = case.target, done.returncode
    if target.fate == "refused":
        if code != target.code:
            yield f"not refused with {target.code}"
    elif code:
        yield f"ended with {code}, though it can do without"
    elif target.fate == "said" and Path(target.file).name not in done.stderr:
        yield "left out without a word"
    elif target.fate == "redone" and target.reader in _STAGES:
        stage = _STAGES[target.reader]
        for path in (path for f in file_fields(stage.outputs) for path in f.matches(movie.dir)):
            twin = good.dir / path.relative_to(movie.dir)
            if not target.options and twin.read_bytes() != path.read_bytes():
                yield f"{path.name} is not what it was"


def soak(tally: Tally, count: int, seed: int) -> None:
    """The whole part."""
    with tempfile.TemporaryDirectory(prefix="texts-") as folder:
        good = make(Path(folder) / "good")
        for case in cases(count, seed):
            tally.add(str(case), problems(case, good, Path(folder)))


if __name__ == "__main__":
    sys.exit(main(soak, part="texts", what="texts damaged, then read", count=240))
