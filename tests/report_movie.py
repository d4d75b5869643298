"""Movie directories for the tests of report.html, written as the stages write them, with any text in any place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reelscribe import manifest, stage_table
from reelscribe.artifacts import atomic_write, write_json
from reelscribe.device_manager import Device
from reelscribe.manifest import FileRecord, Manifest, OptionRecord, Run


@dataclass(frozen=True)
class Line:
    """A sentence that is one segment and one cue. `scores`: of its first words. `was`: of its first word, before it was mended."""

    text: str
    start: float
    end: float
    speaker: str = "SPEAKER_00"
    scores: tuple[float, ...] = ()
    was: str = ""
    marks: tuple[str, ...] = ()


LINES = (
    Line("Where were you tonight, Stephen?", 1.0, 3.0, scores=(0.9, 0.9, 0.9, 0.31, 0.9)),
    Line("Kathryn followed\nthe last train.", 4.0, 6.0, "SPEAKER_01", was="Catherine"),
    Line("Nobody saw the inspector.", 7.0, 8.0, "SPEAKER_00", marks=("too fast",)),
    Line("I will meet Jai at midnight.", 9.0, 11.0, "SPEAKER_01"),
)


@dataclass
class Movie:
    """What is told of the movie; every text may be hostile."""

    lines: Sequence[Line] = LINES
    duration: float = 12.0
    title: str = "The Night Train"
    director: str = "A. Director"
    names: dict[str, str] = field(default_factory=lambda: {"SPEAKER_00": "Karl", "SPEAKER_01": "Sarah"})
    terms: Sequence[str] = ("Kathryn", "Inspector Karl", "Jai")
    chapter: str = "At the station"
    fallback: str = "this machine has no GPU"
    draft: bool = False
    degraded: Sequence[str] = ()
    faults: Sequence[tuple[int, str, float, float]] = ()  # cue, rule, value, limit
    hidden: str = ""
    failed: str = ""
    english: str = ""  # a second track, of one cue: its first line in English
    source: Path | None = None
    result: str = ""


def write(folder: Path, movie: Movie) -> Path:
    """Write every file that the report reads into `folder`, which is returned."""
    stamped = {"duration": movie.duration}
    spans = [{"start": line.start, "end": line.end, "score": 0.95} for line in movie.lines]
    turns = [{"start": line.start, "end": line.end, "speaker": line.speaker} for line in movie.lines]
    transcript = {"language": "en", "engine": "WhisperX", "model": "tiny", "draft": movie.draft, **stamped}
    media: dict[str, Any] = {"container": "webm", "fps": "24/1", "streams": [{"index": 0, "kind": "video"}], "num_samples": 1, **stamped}
    media["audio"] = {"index": 1, "reason": "the only one", "downmix": "mono", "start": 0}
    media["chapters"] = [{"start": 0, "end": movie.duration / 2, "title": movie.chapter}]
    crew = [{"name": movie.director, "job": "Director"}]
    chunk = {"id": 0, "start": 0, "end": movie.duration, "windows": [0]}
    terms = [{"text": text, "kind": "character", "weight": 0.9, "source": "cast"} for text in movie.terms]
    files: dict[str, Any] = {
        "media.json": media,
        "metadata/tmdb.json": {"title": movie.title, "year": 1998, "crew": crew},
        "glossary/glossary.json": {"terms": terms, "pipeline": "blank"},
        "vad/silero.json": {"segments": spans, "model": "silero", **stamped},
        "vad/pyannote.json": {"segments": spans, "model": "pyannote", **stamped},
        "diarization/diarization.json": {"turns": turns, "exclusive": turns, "speakers": [], "model": "pyannote", **stamped},
        "transcription/plan.json": {"speech": spans, "windows": [], "chunks": [chunk], "terms": [], **stamped},
        "transcription/chunks/chunk_0000.json": {"id": 0, "fingerprint": "", "degraded": list(movie.degraded), "windows": []},
        "corrected/transcript.json": {"segments": [segment(n, line) for n, line in enumerate(movie.lines)], **transcript},
        "corrected/corrections.json": {"corrections": changes(movie.lines), "threshold": 0.8},
        "corrected/speakers.json": {"speakers": [voice(label, name) for label, name in movie.names.items()]},
        "subtitles/shots.json": {"key": "", "cuts": [3.5, 6.5]},
        "subtitles/qc.json": quality(movie),
        "subtitles/tracks.json": {"tracks": [track(form, len(movie.lines)) for form in ("srt", "vtt")]},
    }
    for name, content in files.items():
        write_json(folder / name, content)
    with atomic_write(folder / "subtitles" / "A_Movie.en.srt") as f:
        f.write(srt(movie.lines))
    if movie.english:
        add_translation(folder, movie)
    write_manifests(folder, movie)
    if movie.source:
        quoted = str(movie.source).replace("\\", "\\\\").replace('"', '\\"')
        (folder / "job.env").write_text(f'MOVIE="{quoted}"\n')
    return folder


def voice(label: str, name: str) -> dict[str, Any]:
    """A named speaker, and why it is that name."""
    evidence = {"kind": "addressed", "name": name, "start": 1.5, "text": name, "weight": 1.2}
    return {"label": label, "name": name, "total_s": 4.0, "suggested": name, "confidence": 0.6, "evidence": [evidence]}


def quality(movie: Movie) -> dict[str, Any]:
    """qc.json of the movie's cues, which are its lines."""
    cues = [
        {"id": n, "start": x.start, "end": x.end, "lines": x.text.split("\n"), "speakers": [x.speaker], "words": [0, 0], "cps": 16.0}
        for n, x in enumerate(movie.lines, 1)
    ]
    violations = [{"cue": cue, "rule": rule, "value": value, "limit": limit} for cue, rule, value, limit in movie.faults]
    hidden = [{"start": 11.0, "end": 11.5, "language": "en", "text": movie.hidden, "marks": ["silence"]}] if movie.hidden else []
    track = {"language": "en", "limits": {}, "cues": cues, "violations": violations}
    return {"profile": "netflix", "fps": "24/1", "shots": True, "tracks": [track], "hidden": hidden}


def add_translation(folder: Path, movie: Movie) -> None:
    """The movie is Hindi now, and its English track is what is shown first."""
    (folder / "subtitles" / "A_Movie.en.srt").rename(folder / "subtitles" / "A_Movie.hi.srt")
    (folder / "subtitles" / "A_Movie.en.srt").write_text(srt([replace(movie.lines[0], text=movie.english)]))
    hindi = {**track("srt", len(movie.lines)), "file": "A_Movie.hi.srt", "language": "hi", "title": "Hindi", "default": False}
    write_json(folder / "subtitles" / "tracks.json", {"tracks": [hindi, track("srt", 1)]})


def segment(number: int, line: Line) -> dict[str, Any]:
    """The line as the transcript has it, its words in equal parts of its time."""
    texts = line.text.split()
    part = (line.end - line.start) / len(texts)
    scores = [*line.scores, *[0.95] * len(texts)]
    words = [
        {"word": text, "start": line.start + n * part, "end": line.start + (n + 1) * part, "score": scores[n], "speaker": line.speaker}
        for n, text in enumerate(texts)
    ]
    said = " ".join(texts)
    return {"id": number, "start": line.start, "end": line.end, "text": said, "words": words, "marks": list(line.marks)}


def changes(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The ledger of the lines with a `was`."""
    return [
        {
            "id": str(n),
            "segment": n,
            "first": 0,
            "last": 0,
            "start": line.start,
            "end": line.end,
            "old": line.was,
            "new": line.text.split()[0],
            "heard": line.was,
            "written": line.text.split()[0],
            "rule": "spelling",
            "scores": {"score": 0.91},
        }
        for n, line in enumerate(lines)
        if line.was
    ]


def track(form: str, num_cues: int) -> dict[str, Any]:
    return {"file": f"A_Movie.en.{form}", "format": form, "language": "en", "title": "English (reelscribe)", "num_cues": num_cues}


def srt(lines: Sequence[Line]) -> str:
    """The cues, with < kept from being a tag as subtitle-gen does it."""
    blocks = [f"{n}\n{_stamp(x.start)} --> {_stamp(x.end)}\n{x.text.replace('<', '<⁠')}\n" for n, x in enumerate(lines, 1)]
    return "\n".join(blocks)


def _stamp(seconds: float) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3600000:02d}:{ms // 60000 % 60:02d}:{ms // 1000 % 60:02d},{ms % 1000:03d}"


def write_manifests(folder: Path, movie: Movie) -> None:
    """All stages done; with `failed`, asr failed saying that and nothing after it has run."""
    for row in stage_table.load():
        failed = bool(movie.failed) and row.name == "asr"
        outputs = {movie.result: FileRecord(size=0, sha256="")} if movie.result and row.name == "mux" else {}
        record = Manifest(
            stage=row.name,
            revision=1,
            status="failed" if failed else "done",
            fingerprint="",
            options={"DEVICE": OptionRecord(value="cpu", source="command line")},
            engine={"name": "an engine", "kind": "torch", "model": "a model"},
            device=Device(device="cpu", compute="float32", reason=movie.fallback),
            fallbacks=[movie.fallback] if row.name == "tmdb" else [],
            outputs=outputs,
            error=movie.failed if failed else None,
            run=Run(started="2026-11-20T12:00:00+00:00", seconds=2.5, peak_rss_mb=1500),
        )
        manifest.write(folder, row, record)
        if failed:
            return
