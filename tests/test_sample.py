"""--sample with fake stages: what is run where, what is said of the whole, what is refused. With the real stages: at the end, `slow`.

The fakes stand for demux, silero-vad, asr, subtitle-gen and mux; pipeline.sh, the core commands and the supervisor are the real ones.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pysubs2
import pytest

from reelscribe import sample
from reelscribe.errors import UsageError
from reelscribe.manifest import Manifest, Run
from reelscribe.sample import Estimate, Extent
from reelscribe.schemas import SpeechSegment, Vad
from reelscribe.stage_table import NATIVE, ROOT

TABLE = """\
01 demux        core -   -            0 500 1 10
02 silero-vad   core cpu demux        0 500 1 10
03 asr          core -   silero-vad   0 500 1 10
04 subtitle-gen core -   asr          0 500 1 10
05 mux          core -   subtitle-gen 0 500 1 10
"""

STAGE = '''
"""Stage {name} of the tests."""
import json, time
from pathlib import Path
from reelscribe.artifacts import atomic_write
from reelscribe.schemas import Vad
from reelscribe.settings import StageOptions, option
from reelscribe.stage import Engine, Stage, StageFiles, artifact, main, movie_file

class Options(StageOptions):
    audio_end: float = option(0.0, env="AUDIO_END", help="where to stop")
    fault: bool = option(False, env="FAULT", affects_output=False, help="whether to fail")

class Inputs(StageFiles):
    source: Path = {source}

class Outputs(StageFiles):
    made: {made}

def engine(options):
    return Engine(name="fake")

def run(ctx):
    with open(ctx.movie_dir / "runs.txt", "a") as f:
        f.write("{name}\\n")
    {work}

def check(options, device):
    return "fine"

STAGE = Stage(name="{name}", revision=1, options=Options, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check)
if __name__ == "__main__":
    main(STAGE)
'''
# Ten seconds in every twenty somebody speaks, for 100 s: the movie's bytes say nothing about it.
VAD = {"segments": [{"start": 20.0 * n, "end": 20.0 * n + 10, "score": 1.0} for n in range(5)], "duration": 100.0, "model": "fake"}
COPY = "with atomic_write(ctx.outputs.made) as f:\n        f.write(ctx.inputs.source.read_text())"
FAKES = {
    "demux": (
        "movie_file()",
        'Path = artifact("sound.txt")',
        "with atomic_write(ctx.outputs.made) as f:\n        f.write(str(ctx.options.audio_end))",
    ),
    "silero-vad": (
        'artifact("sound.txt")',
        'Path = artifact("vad/silero.json", schema=Vad)',
        f"with atomic_write(ctx.outputs.made) as f:\n        f.write({json.dumps(VAD)!r})",
    ),
    "asr": (
        'artifact("sound.txt")',
        'Path = artifact("words.txt")',
        f'with ctx.starting():\n        time.sleep(0.2)\n    if ctx.options.fault:\n        raise RuntimeError("on purpose")\n    {COPY}',
    ),
    "subtitle-gen": (
        'artifact("words.txt")',
        'tuple[Path, ...] = artifact("subtitles/{name}.*.srt")',
        'path = ctx.movie_dir / "subtitles" / f"{ctx.name}.en.srt"\n    path.parent.mkdir(exist_ok=True)\n'
        "    path.write_text(ctx.inputs.source.read_text())\n    ctx.add_output(path)",
    ),
    "mux": ('artifact("words.txt")', 'Path = artifact("movie.txt")', COPY),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the orchestrator consists of, with five fake stages and the real core environment."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "shared" / "src", tree / "shared" / "src")
    native = tree / "native"
    for folder in ("stages", "venvs"):
        (native / folder).mkdir(parents=True)
    (native / "venvs" / "core").symlink_to(NATIVE / "venvs" / "core")
    shutil.copytree(NATIVE / "requirements", native / "requirements")
    shutil.copy(NATIVE / "pipeline.sh", native / "pipeline.sh")
    (native / "setup_venvs.sh").write_text("#!/bin/sh\n")
    (native / "setup_venvs.sh").chmod(0o755)
    (native / "stages.txt").write_text(TABLE)
    for number, (name, (source, made, work)) in enumerate(FAKES.items(), 1):
        script = STAGE
        for key, text in {"{source}": source, "{made}": made, "{work}": work}.items():
            script = script.replace(key, text)
        (native / "stages" / f"{number:02d}_{name}.py").write_text(script.replace('"{name}', f'"{name}').replace("e {name}", f"e {name}"))
    return tree


@pytest.fixture
def pipeline(tree: Path, child_environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run pipeline.sh to its end in tmp_path, where there is a movie."""
    (tmp_path / "A Movie.mp4").write_bytes(b"a movie")
    environment = child_environment | {"PYTHONPATH": str(tree / "shared" / "src")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(tree / "native" / "pipeline.sh"), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)

    return run


def files(folder: Path) -> dict[str, bytes]:
    """What lies in `folder`."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def runs(folder: Path) -> list[str]:
    return (folder / "runs.txt").read_text().splitlines()


# -- a sample -----------------------------------------------------------------------------------------------------------


def test_a_sample_makes_subtitles_up_to_a_pause_and_estimates_the_whole(pipeline, tmp_path) -> None:
    done = pipeline("--sample", "15s", "A Movie.mp4")
    assert done.returncode == 0, done.stderr
    samples = tmp_path / "out" / "_samples"
    assert done.stdout == f"{samples}/15s/A_Movie/subtitles/A_Movie.en.srt\n"
    assert Path(done.stdout.strip()).read_text() == "30.5", "the 15th second of speech is at 25 s, the pause begins at 30 s"
    assert runs(samples / "whole" / "A_Movie") == ["demux", "silero-vad"]
    assert runs(samples / "15s" / "A_Movie") == ["demux", "silero-vad", "asr", "subtitle-gen"]
    assert "Sample: 20.0 s of 50.0 s of speech, up to 30.5 s of 0:01:40" in done.stderr
    table = [line.split() for line in done.stderr[done.stderr.index("stage         sample") :].splitlines()]
    assert [row[0] for row in table[1:6]] == ["demux", "silero-vad", "asr", "subtitle-gen", "all"]
    assert "and then mux, which copies the movie" in done.stderr


def test_as_json_it_is_a_line_with_the_measured_and_the_estimated(pipeline, tmp_path) -> None:
    done = pipeline("--json", "--sample=15", "A Movie.mp4")
    report = json.loads(done.stdout)
    assert report["result"] == f"{tmp_path}/out/_samples/15s/A_Movie/subtitles/A_Movie.en.srt"
    part = report["sample"]
    assert (part["end"], part["speech_s"], part["whole_s"], part["whole_speech_s"]) == (30.5, 20.0, 100.0, 50.0)
    asr = next(stage for stage in part["stages"] if stage["stage"] == "asr")
    notes = json.loads((tmp_path / "out/_samples/15s/A_Movie/manifests/03_asr.json").read_text())["notes"]
    startup_s = notes["startup_s"]
    assert 0.2 <= startup_s < asr["sample_s"], "starting is told apart"
    assert asr["whole_s"] == pytest.approx(startup_s + 2.5 * (asr["sample_s"] - startup_s))
    assert part["total"]["whole_s"] == pytest.approx(sum(stage["whole_s"] for stage in part["stages"]))


def test_the_movies_own_directory_knows_nothing_of_samples(pipeline, tmp_path) -> None:
    assert pipeline("--set", "AUDIO_END=77", "A Movie.mp4").returncode == 0
    before = files(tmp_path / "out" / "A_Movie")
    assert pipeline("--sample", "15s", "A Movie.mp4").returncode == 0
    assert files(tmp_path / "out" / "A_Movie") == before
    assert pipeline("A Movie.mp4").returncode == 0
    assert (tmp_path / "out" / "A_Movie" / "movie.txt").read_text() == "0.0", "a plain run is whole, whatever was sampled"


def test_another_sample_looks_for_speech_no_more_and_the_same_one_does_nothing(pipeline, tmp_path) -> None:
    first = pipeline("--sample", "15s", "A Movie.mp4")
    longer = pipeline("--sample", "0.5m", "A Movie.mp4")
    assert longer.returncode == 0
    assert "_samples/30s/" in longer.stdout and Path(longer.stdout.strip()).read_text() == "50.5"
    again = pipeline("--sample", "15", "A Movie.mp4")
    assert again.stdout == first.stdout
    assert again.stderr.count("up to date") == 6
    assert runs(tmp_path / "out" / "_samples" / "whole" / "A_Movie") == ["demux", "silero-vad"]


def test_a_sample_longer_than_the_speech_is_the_whole_and_says_so(pipeline) -> None:
    done = pipeline("--sample", "1h", "A Movie.mp4")
    assert Path(done.stdout.strip()).read_text() == "0.0"
    assert "there is no more speech than 50.0 s: the sample is the whole movie" in done.stderr


def test_every_movie_has_its_own_end(pipeline, tmp_path) -> None:
    (tmp_path / "Another.mp4").write_bytes(b"another")
    done = pipeline("--sample", "15s", "A Movie.mp4", "Another.mp4")
    assert done.returncode == 0, done.stderr
    assert [Path(line).name for line in done.stdout.splitlines()] == ["A_Movie.en.srt", "Another.en.srt"]
    assert len((tmp_path / "out/_samples/15s/Another/job.env").read_text().split("AUDIO_END")) == 2
    assert "AUDIO_END" not in (tmp_path / "out/_samples/whole/Another/job.env").read_text()


def test_a_sample_that_fails_has_its_code_and_goes_on_with_the_same_command(pipeline, tmp_path) -> None:
    done = pipeline("--set", "FAULT=true", "--sample", "15s", "A Movie.mp4")
    assert done.returncode == 6
    assert done.stdout == ""
    assert "go on with the same command" in done.stderr and "resume-pipeline.sh" not in done.stderr
    again = pipeline("--sample", "15s", "A Movie.mp4")
    assert again.returncode == 0
    assert runs(tmp_path / "out/_samples/15s/A_Movie") == ["demux", "silero-vad", "asr", "asr", "subtitle-gen"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sample", "5x"], "write minutes as 5m"),
        (["--sample", "0"], "write minutes as 5m"),
        (["--sample=-5m"], "write minutes as 5m"),
        (["--sample="], "--sample needs a length"),
        (["--sample", "5m", "--only", "asr"], "leave out --from"),
        (["--sample", "5m", "--dry-run"], "--sample takes a movie"),
        (["--sample", "5m", "--doctor"], "--sample takes a movie"),
        (["--sample", "5m", "--resume", "out/A_Movie"], "--sample takes a movie"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error_and_leaves_nothing(pipeline, tmp_path, arguments, words) -> None:
    done = pipeline(*arguments, *([] if "--resume" in arguments else ["A Movie.mp4"]))
    assert done.returncode == 2
    assert words in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == "" and not (tmp_path / "out").exists()


# -- lengths, ends, estimates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "length_s"), [("5m", 300), ("300s", 300), ("300", 300), ("1h", 3600), ("90", 90), ("1.5M", 90)])
def test_lengths(text: str, length_s: float) -> None:
    assert sample.seconds(text) == length_s


@pytest.mark.parametrize("text", ["", "m", "5 m", "5x", "0", "0.0s", "-1", "+1", "1e3", "inf", "nan", "५m5", "1:30"])
def test_no_lengths(text: str) -> None:
    with pytest.raises(UsageError):
        sample.seconds(text)


def speech(*spans: tuple[float, float]) -> Vad:
    return Vad(segments=[SpeechSegment(start=a, end=b, score=1.0) for a, b in spans], duration=100.0, model="a test")


@pytest.mark.parametrize(
    ("spans", "length_s", "expected"),
    [
        ([(0, 10), (20, 30)], 10, Extent(10.5, 10, 100, 20)),
        ([(0, 10), (10.4, 30)], 4, Extent(10.2, 10, 100, 29.6)),
        ([(0, 10), (20, 30)], 11, Extent(None, 20, 100, 20)),
        ([(5, 6)], 1, Extent(None, 1, 100, 1)),
        ([], 60, Extent(None, 0, 100, 0)),
    ],
    ids=["the pause is long", "the pause is short", "nothing is left after it", "one segment", "nobody speaks"],
)
def test_it_ends_in_a_pause(spans: list[tuple[float, float]], length_s: float, expected: Extent) -> None:
    assert sample.extent(speech(*spans), length_s) == expected


def record(took_s: float, **notes: float) -> Manifest:
    return Manifest(stage="any", revision=1, status="done", fingerprint="", notes=notes, run=Run(started="", seconds=took_s))


PART = Extent(end=100.0, speech_s=50.0, whole_s=1000.0, whole_speech_s=300.0)


@pytest.mark.parametrize(
    ("stage", "sampled", "whole", "expected"),
    [
        ("demux", record(1), record(7), Estimate("demux", 1, 7, "measured")),
        ("tmdb", record(3), None, Estimate("tmdb", 3, 3, "the same for any length")),
        ("pyannote-vad", record(30, startup_s=10), None, ("10.0 s to start, then 0.2 s for each second of sound", 210)),
        ("asr", record(30, startup_s=10), None, ("10.0 s to start, then 0.4 s for each second of speech", 130)),
        ("asr", record(30), None, ("0.6 s for each second of speech", 180)),
        ("asr", record(5, startup_s=9), None, ("5.0 s to start, then 0 s for each second of speech", 5)),
    ],
)
def test_an_estimate(stage: str, sampled: Manifest, whole: Manifest | None, expected: Estimate | tuple[str, float]) -> None:
    found = sample.estimate(stage, sampled, whole, PART)
    assert found == expected if isinstance(expected, Estimate) else (found.how, found.whole_s) == expected


def test_what_an_earlier_run_decoded_is_told() -> None:
    assert "by an earlier run" in sample.estimate("asr", record(5, chunks_reused=1), None, PART).how


def test_a_sample_that_is_the_whole_needs_no_estimate() -> None:
    whole = Extent(None, 300.0, 1000.0, 300.0)
    assert sample.estimate("asr", record(5), None, whole).whole_s == 5
    assert sample.total([Estimate("a", 1, 2, ""), Estimate("b", 3, 4, "")]).whole_s == 6


# -- the real stages ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_example(child_environment: dict[str, str], tmp_path: Path, measured: Callable[[str], None]) -> None:
    options = ["--json", "--env", str(ROOT / "examples" / "station.env"), str(ROOT / "examples" / "station.mp4")]

    def run(*more: str) -> dict[str, object]:
        command = [str(NATIVE / "pipeline.sh"), *more, *options]
        done = subprocess.run(command, cwd=tmp_path, env=child_environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        report: dict[str, object] = json.loads(done.stdout)
        return report

    sampled = run("--sample", "10s")
    part = sampled["sample"]
    assert isinstance(part, dict) and isinstance(sampled["result"], str)
    cues = list(pysubs2.load(sampled["result"]))
    assert cues[0].plaintext == "Where were you tonight, Stephen?"
    assert 10 <= part["speech_s"] < 20 and cues[-1].end / 1000 <= part["end"] + 1
    hows = {stage["stage"]: stage["how"] for stage in part["stages"]}
    assert [name for name, how in hows.items() if " s to start, then " in how] == ["pyannote-vad", "diarization", "asr"]
    whole = run()
    assert isinstance(whole["stages"], list)
    took_s = sum(stage["seconds"] for stage in whole["stages"] if stage["stage"] != "mux")
    measured(f"examples/station.mp4: {part['total']['whole_s']:.0f} s estimated from a sample of 10 s, {took_s:.0f} s measured")
