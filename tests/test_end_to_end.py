"""The example from its movie file to its subtitled movie, with the real stages, judged by what was really said and shown."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import jiwer
import pysubs2
import pytest
from conftest import python_of
from pyannote.core import Annotation, Segment, Timeline
from pyannote.database.util import load_rttm
from pyannote.metrics.diarization import DiarizationErrorRate

from reelscribe import stage_table
from reelscribe.schemas import Transcript
from reelscribe.stage_table import NATIVE, ROOT

EXAMPLE = ROOT / "examples" / "station.mp4"
TRUTH: dict[str, Any] = json.loads((ROOT / "examples" / "station" / "station.json").read_text(encoding="utf-8"))
# A subtitle may come up to half a second before its words, with the shot they are in, and stay half a second after them, or until a shot
# ends soon after that (Netflix timed text); the detectors' own edges are a tenth of a second wide.
EARLY_S, LATE_S = 0.1 + 12 / 24, 0.1 + 0.5 + 10 / 24

pytestmark = pytest.mark.timeout(900)


class Station:
    """The finished run of the README's first command."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.first = self.pipeline(str(EXAMPLE))
        self.dir = folder / "out" / "station"

    def pipeline(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run pipeline.sh to its end."""
        command = [str(NATIVE / "pipeline.sh"), *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)

    @property
    def result(self) -> Path:
        """The subtitled movie, as stdout names it."""
        return Path(self.first.stdout.splitlines()[-1])

    def cues(self) -> list[pysubs2.SSAEvent]:
        """The cues of the SRT file."""
        return list(pysubs2.load(str(self.dir / "subtitles" / "station.en.srt")))

    def scores(self, movie_dir: Path) -> dict[str, Any]:
        """What reelscribe.evaluate measures of `movie_dir` against the example's truth."""
        truth = ROOT / "examples" / "station"
        references = [f"--reference={truth / name}" for name in ("station.json", "station.rttm")]
        command = [str(python_of("core")), "-m", "reelscribe.evaluate", str(movie_dir), *references, f"--names={truth / 'names.txt'}"]
        done = subprocess.run([*command, "--json"], env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        scores: dict[str, Any] = json.loads(done.stdout)["scores"]
        return scores

    def products(self) -> dict[str, bytes]:
        """What must be the same bytes after every run."""
        patterns = ("transcription/*.json", "corrected/*.json", "subtitles/*", "*.subtitled.*")
        return {str(p.relative_to(self.dir)): p.read_bytes() for pattern in patterns for p in sorted(self.dir.glob(pattern))}


def transcript_of(movie_dir: Path) -> Transcript:
    """The corrected transcript."""
    return Transcript.model_validate_json((movie_dir / "corrected" / "transcript.json").read_bytes())


def shown(scores: dict[str, Any]) -> str:
    """In a line."""
    return ", ".join(f"{key} {score['value']} {score['unit']}" for key, score in scores.items())


def plain(text: str) -> str:
    """Lower case without punctuation, as words are scored."""
    return str(jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip()])(text))


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory, child_environment: dict[str, str]) -> Station:
    """The example, subtitled once for all tests here."""
    return Station(tmp_path_factory.mktemp("station"), child_environment)


def test_the_first_command_of_the_readme(station: Station) -> None:
    assert station.first.returncode == 0, station.first.stderr
    assert station.first.stdout == f"{station.dir / 'station.subtitled.mp4'}\n"
    assert station.result.is_file()
    for row in stage_table.load():
        record = json.loads((station.dir / "manifests" / f"{row.key}.json").read_text())
        assert record["status"] == "done"
        assert re.search(rf"^{row.name} +done ", station.first.stderr, re.MULTILINE), "it is in the summary"


def test_the_movie_has_a_subtitle_track_with_its_language(station: Station) -> None:
    with av.open(str(EXAMPLE)) as before, av.open(str(station.result)) as after:
        kinds = [stream.type for stream in after.streams]
        assert kinds == [stream.type for stream in before.streams if stream.type != "data"] + ["subtitle"]
        subtitle = after.streams.subtitles[0]
        assert subtitle.language == "eng"
        texts = [bytes(packet)[2:].decode() for packet in after.demux(subtitle) if packet.size > 2]
    assert [text.split() for text in texts] == [cue.plaintext.split() for cue in station.cues()]


def test_cues_are_shown_while_somebody_speaks(station: Station) -> None:
    allowed = Timeline([Segment(s["start"] - EARLY_S, s["end"] + LATE_S) for s in TRUTH["sentences"]]).support()
    cues = [Segment(cue.start / 1000, cue.end / 1000) for cue in station.cues()]
    outside = [str(cue) for cue in cues if not any(cue in stretch for stretch in allowed)]
    assert outside == []


def test_whatever_is_said_has_a_cue(station: Station) -> None:
    shown = Timeline([Segment(cue.start / 1000, cue.end / 1000) for cue in station.cues()])
    for sentence in TRUTH["sentences"]:
        said = Segment(sentence["start"], sentence["end"])
        covered = shown.crop(said).support().duration() / said.duration
        assert covered > 0.75, f"{sentence['text']}: a cue is shown for {covered:.0%} of it"


def test_who_speaks_when(station: Station, measured: Callable[[str], None]) -> None:
    reference: Annotation = load_rttm(ROOT / "examples" / "station" / "station.rttm")["station"]
    (hypothesis,) = load_rttm(station.dir / "diarization" / "diarization.rttm").values()
    whole = Timeline([Segment(0, TRUTH["duration"])])
    # pyannote's collar is the whole width around a boundary: 0.25 leaves out less than md-eval's 0.25 on either side.
    error = DiarizationErrorRate(collar=0.25)(reference, hypothesis, uem=whole)
    measured(f"examples/station.mp4: DER {error:.1%} (collar 0.25 s, overlap scored), {len(hypothesis.labels())} voices of 3")
    assert error <= 0.20


def test_the_example_is_measured_against_its_references(station: Station, measured: Callable[[str], None]) -> None:
    """docs/quality.md has the command."""
    scores = station.scores(station.dir)
    truth = ROOT / "examples" / "station"
    (hypothesis,) = load_rttm(station.dir / "diarization" / "diarization.rttm").values()
    whole = Timeline([Segment(0, TRUTH["duration"])])
    error = DiarizationErrorRate(collar=0.25)(load_rttm(truth / "station.rttm")["station"], hypothesis, uem=whole)
    assert scores["der_collar"]["value"] == pytest.approx(100 * error, abs=0.1)
    assert scores["name_recall"]["whole"] == sum(len(re.findall("Jai|Karl|Kathryn|Sarah|Stephen", s["text"])) for s in TRUTH["sentences"])
    assert scores["speech_shown"]["value"] > 75
    measured(f"examples/station.mp4, PocketSphinx: {shown(scores)}")


def test_the_words_are_scored(station: Station, measured: Callable[[str], None]) -> None:
    transcript = transcript_of(station.dir)
    said, heard = plain(" ".join(s["text"] for s in TRUTH["sentences"])), plain(" ".join(s.text for s in transcript.segments))
    measured(f"examples/station.mp4: WER {jiwer.wer(said, heard):.1%} ({transcript.engine}, {len(said.split())} words)")
    assert transcript.draft, "without a model it is a draft, and says so"
    assert abs(len(heard.split()) / len(said.split()) - 1) < 0.3


def test_the_command_with_the_tiny_whisper(station: Station, measured: Callable[[str], None], tmp_path: Path) -> None:
    shutil.copytree(station.dir, tmp_path / "out" / "station")
    done = station.pipeline("--out", str(tmp_path / "out"), "--env", str(ROOT / "examples" / "station.env"), str(EXAMPLE))
    assert done.returncode == 0, done.stderr
    transcript = transcript_of(tmp_path / "out" / "station")
    said, heard = plain(" ".join(s["text"] for s in TRUTH["sentences"])), plain(" ".join(s.text for s in transcript.segments))
    error = jiwer.wer(said, heard)
    measured(f"examples/station.mp4: WER {error:.1%} (the tiny Whisper, with bias and alignment)")
    measured(f"examples/station.mp4, the tiny Whisper: {shown(station.scores(tmp_path / 'out' / 'station'))}")
    assert not transcript.draft
    assert error <= 0.10


def test_nothing_is_done_twice(station: Station) -> None:
    before = station.products()
    again = station.pipeline(str(EXAMPLE))
    assert again.returncode == 0
    assert again.stdout == station.first.stdout
    assert again.stderr.count("up to date") == len(stage_table.load())
    assert station.products() == before


def test_the_same_bytes_come_out_again(station: Station) -> None:
    before = station.products()
    assert {"transcription/transcript.json", "corrected/corrections.json", "subtitles/station.en.srt", "station.subtitled.mp4"} <= set(
        before
    )
    again = station.pipeline("--resume", str(station.dir), "--only", "asr,post-ner,subtitle-gen,mux", "--force")
    assert again.returncode == 0, again.stderr
    assert [name for name, content in station.products().items() if content != before[name]] == []


def test_one_after_the_other_or_side_by_side_in_any_order_the_bytes_are_the_same(station: Station, tmp_path: Path) -> None:
    """The tiny Whisper and the aligner: what could differ with the threads that other stages leave it."""
    made = {}
    for name, how in {"in order": ["--jobs=1"], "side by side": ["--jobs=4", "--seed=7"], "otherwise": ["--jobs=4", "--seed=8"]}.items():
        command = [str(python_of("core")), "-m", "reelscribe.cli", "run", "--movie", str(EXAMPLE), "--out", str(tmp_path / name), *how]
        command += ["--env", str(ROOT / "examples" / "station.env")]
        done = subprocess.run(command, cwd=tmp_path, env=station.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        made[name] = outputs(tmp_path / name / "station")
    assert {"audio/audio.wav", "vad/segmentation.npz", "diarization/diarization.rttm", "station.subtitled.mp4"} <= set(made["in order"])
    for name in ("side by side", "otherwise"):
        assert set(made[name]) == set(made["in order"])
        assert [file for file, content in made[name].items() if content != made["in order"][file]] == []


def outputs(movie_dir: Path) -> dict[str, bytes]:
    """Everything that the manifests name."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (movie_dir / "manifests").glob("[0-9]*.json")]
    assert len(records) == len(stage_table.load())
    return {name: (movie_dir / name).read_bytes() for record in records for name in record["outputs"]}


def test_the_doctor_tries_every_stage_and_says_why(station: Station) -> None:
    done = station.pipeline("--doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    reports = json.loads(done.stdout)
    assert [report["stage"] for report in reports] == [row.name for row in stage_table.load()]
    for report in reports:
        assert report["ok"] is True
        assert report["environment"] in stage_table.find(report["stage"]).environments
        assert report["engine"]
        assert report["device"] in ("mps", "cuda", "cpu")
        assert report["reason"]
        assert report["result"]
