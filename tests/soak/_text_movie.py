"""A small movie with everything around it, made once by the stages, and copies of it to be damaged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from common import NATIVE, ROOT, child_environment, python_of

sys.path[:0] = [str(ROOT / "shared" / "src")]
sys.path.append(str(NATIVE / "stages"))

from reelscribe import stage_table  # noqa: E402
from reelscribe.artifacts import movie_identity  # noqa: E402

NAME = "Station"
DIR = f"out/{NAME}"
# With the first twelve seconds of the example's sound every stage has something to do, and the slowest ends within half a minute.
_JOB = {"AUDIO_END": "12", "ASR_ENGINE": "sphinx", "TMDB_ID": "7"}
_ANSWER = {"id": 7, "title": "Station", "credits": {"cast": [{"name": "A. Player", "character": "Karl", "order": 0}], "crew": []}}
_GLOSSARY = "Kathryn\nsteven => Stephen\n!Hope\n00:00:01-00:00:09 Platform Four\n"
_SRT = "1\n00:00:01,000 --> 00:00:03,000\nWhere were you, Stephen?\n"
_CORRECTION = {"segment": 0, "first": 0, "last": 0, "start": 0, "end": 1, "old": "a", "new": "b", "heard": "a", "written": "b", "rule": "x"}
REVIEWED = {"accepted": [], "undone": [{"id": "1", **_CORRECTION, "scores": {}}], "lines": ["!Nobody"]}
EDIT = {"id": "e1", "start": 1.0, "end": 2.0, "heard": ["where"], "heard_start": 1.0, "was": "where", "text": "Where"}


@dataclass(frozen=True)
class Movie:
    """The folder with the movie and what is beside it; its movie directory is `out/Station` there."""

    root: Path

    @property
    def dir(self) -> Path:
        return self.root / DIR

    @property
    def file(self) -> Path:
        return self.root / f"{NAME}.mp4"

    def copy(self, root: Path) -> Movie:
        """Another one of the same, times of files included, so that no hash is computed anew for that."""
        shutil.copytree(self.root, root, symlinks=True)
        copied = Movie(root)
        copied.write_job()
        return copied

    def write_job(self) -> None:
        """job.env names the movie by its path."""
        job = {"MOVIE": str(self.file), "MOVIE_ID": movie_identity(self.file), **_JOB}
        (self.dir / "job.env").write_text("".join(f"{key}='{value}'\n" for key, value in job.items()), encoding="utf-8")

    def command(self, name: str, *options: str) -> list[str]:
        """A stage, or one of reelscribe's own commands, on this movie."""
        core = [str(python_of("core")), "-m"]
        reference = str(self.root / "truth.json")
        commands = {
            "status": [*core, "reelscribe.cli", "show", "--movie-dir", str(self.dir)],
            "report": [*core, "reelscribe.report", str(self.dir)],
            "corrections": [*core, "reelscribe.corrections", str(self.dir)],
            "evaluate": [*core, "reelscribe.evaluate", str(self.dir), "--reference", reference],
        }
        if name in commands:
            return [*commands[name], *options]
        row = stage_table.find(name)
        return [str(python_of(row.environments[0])), str(row.script), "--input", str(self.file), "--movie-dir", str(self.dir), *options]

    def environment(self) -> dict[str, str]:
        """Of its children."""
        return child_environment(self.root / "home") | {"TMDB_CACHE_DIR": str(self.root / "cache")}

    def run(self, name: str, *options: str, limit_s: float = 600, processor_s: int = 600) -> subprocess.CompletedProcess[str]:
        """Run it to its end; more than `processor_s` of a processor end it with SIGXCPU. Raises TimeoutExpired."""
        return subprocess.run(
            ["sh", "-c", 'ulimit -t "$0" && exec nice -n 10 "$@"', str(processor_s), *self.command(name, *options)],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit_s,
            check=False,
        )

    def contents(self) -> dict[str, bytes | str]:
        """Every file by its path: its bytes, or where it leads, or what else it is. Logs and homes are left out."""
        found: dict[str, bytes | str] = {}
        for folder, folders, names in os.walk(self.root):
            for path in (Path(folder, name) for name in (*folders, *names)):
                where = str(path.relative_to(self.root))
                if path.is_symlink():
                    found[where] = f"link to {path.readlink()}"
                elif path.is_file():
                    found[where] = path.read_bytes()
                elif not path.is_dir():
                    found[where] = "no file"
        return {where: content for where, content in found.items() if not _exempt(where)}


def _exempt(where: str) -> bool:
    return where.startswith(("home/", f"{DIR}/logs/", f"{DIR}/.lease")) or where == f"{DIR}/manifests/hashes.json"


def make(root: Path, *, given: Path | None = None) -> Movie:
    """The movie directory with everything in it. given: a movie directory whose files the slow stages need not make again."""
    root.mkdir(parents=True)
    movie = Movie(root)
    example = ROOT / "examples" / "station"
    shutil.copy(ROOT / "examples" / "station.mp4", movie.file)
    shutil.copy(example / "station.nfo", root / f"{NAME}.nfo")
    shutil.copy(example / "station.json", root / "truth.json")
    (root / "outside").mkdir()
    texts = {"movie.json": json.dumps({"keywords": ["railway"]}), "glossary.txt": _GLOSSARY, f"{NAME}.en.srt": _SRT}
    texts["my.env"] = "SDH=true\n# a comment\nBIAS_TERMS='40'\n"
    texts["profile.json"] = json.dumps({"extends": "netflix", "max_ms": 6000})
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")
    if given:
        shutil.copytree(given, movie.dir)
    movie.dir.mkdir(parents=True, exist_ok=True)
    movie.write_job()
    _write_answer(movie)
    slow = ("pyannote-vad", "diarization", "asr")
    _run_stages(movie, [row.name for row in stage_table.load() if not (given and row.name in slow)])
    # What users and reviews leave there, followed once.
    (movie.dir / "corrected" / "reviewed.json").write_text(json.dumps(REVIEWED), encoding="utf-8")
    (movie.dir / "corrected" / "edits.json").write_text(json.dumps({"edits": [EDIT], "names": []}), encoding="utf-8")
    _run_stages(movie, ["post-ner", "subtitle-gen", "mux"])
    return movie


def _run_stages(movie: Movie, names: list[str]) -> None:
    for name in names:
        done = movie.run(name)
        if done.returncode:
            sys.exit(f"{name} ended with {done.returncode}:\n{done.stderr}")


def _write_answer(movie: Movie) -> None:
    """TMDB's answer in the movie directory's cache, as if it had been asked."""
    from datetime import timedelta
    from urllib.parse import urlencode

    from tmdb.answers import APPENDED
    from tmdb.cache import AnswerCache

    request = f"https://api.themoviedb.org/3/movie/7?{urlencode({'append_to_response': APPENDED})}"  # as Client.get() spells it
    AnswerCache([movie.dir / "metadata" / "cache"], timedelta(days=180)).put(request, _ANSWER)
