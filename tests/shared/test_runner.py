"""A stage from its command line to its manifest: what makes it run again, and what every way to end leaves behind.

The stages are two tiny ones in a checkout of their own (a copy of the package and a table with two rows), run as users run stages.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reelscribe.stage_table import ROOT

TABLE = """# nr stage envs devices needs gpu mem_mb threads runtime
01 tiny  tiny mps,cuda,cpu -    1 500 1 10

02 after tiny -            tiny 0 500 1 10
"""
LOCK = "shouting==1.0 \\\n    --hash=sha256:00\n"

TINY = '''
"""Shouts what a text says.

The second paragraph, 100 % of it.
"""
from __future__ import annotations

import os, sys, tempfile, time
from pathlib import Path
from pydantic import BaseModel, SecretStr
from reelscribe import device_manager
from reelscribe.artifacts import atomic_path, atomic_write, write_json
from reelscribe.device_manager import Machine
from reelscribe.errors import BadInputError, MissingToolError
from reelscribe.settings import StageOptions, option
from reelscribe.stage import Engine, Stage, StageFiles, artifact, main, movie_file

if os.environ.get("MACHINE") == "gpu":
    device_manager.probe = lambda: Machine(cuda=True, gpu_name="Fake GPU", capability=(8, 0))


class Options(StageOptions):
    mark: str = option("!", env="MARK", help="what a shout ends with, 100 % of the time")
    width: int = option(5, env="WIDTH", unit="px", ge=1, le=9, affects_output=False, help="a number that changes nothing")
    kind: str = option("txt", env="KIND", help="suffix of the second output")
    side: bool = option(True, env="SIDE", help="write the optional output too")
    fault: str = option("", env="FAULT", affects_output=False, help="how to fail")
    token: SecretStr | None = option(None, env="TINY_TOKEN", affects_output=False, help="key of the service")


class Inputs(StageFiles):
    movie: Path = movie_file()
    text: Path | None = artifact("text.txt")


class Outputs(StageFiles):
    shout: Path = artifact("shouts/{name}.txt")
    side: Path | None = artifact("side.txt")
    kinds: tuple[Path, ...] = artifact("kinds/*")


def engine(options):
    if options.fault == "no-model":
        raise MissingToolError("the model is not there", remedy="fetch it")
    if options.fault == "engine-bug":
        raise KeyError("what is this")
    return Engine(name="voice", kind="torch", packages=("shouting",), model=os.environ.get("MODEL", "v1"))


def facts(movie, options):
    return {"sidecar": movie.with_suffix(".nfo"), "mood": os.environ.get("MOOD")}


def run(ctx):
    ctx.log.info("shouting %s", ctx.options.token.get_secret_value() if ctx.options.token else "")
    fault = ctx.options.fault
    if fault == "progress":
        ctx.progress.update(1, 2, "half")
    with atomic_write(ctx.movie_dir / "runs.txt") as f:
        f.write(f"{ctx.device.device} {ctx.threads} {os.environ['OMP_NUM_THREADS']}")
        names = ("PYANNOTE_METRICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
        f.writelines(f"\\n{name}={os.environ.get(name)}" for name in names)
    if fault != "forgets":
        with atomic_write(ctx.outputs.shout) as f:
            f.write((ctx.inputs.text.read_text() if ctx.inputs.text else ctx.name).upper() + ctx.options.mark)
            if fault == "half":
                f.flush()
                raise RuntimeError("in the middle\\nof a line")
            if fault in ("hang", "stubborn"):
                f.flush()
                with atomic_path(ctx.movie_dir / "deep" / "er" / "x.bin") as path:
                    path.write_bytes(b"half")
                    (ctx.movie_dir / "hanging").touch()
                    time.sleep(60)
    if fault == "bad-input":
        raise BadInputError("text.txt is rude", remedy="be nice")
    if fault == "scratch":
        tempfile.mkdtemp(prefix="of-a-library")
        os.kill(os.getpid(), 9)
    if fault == "full":
        raise OSError(28, os.strerror(28))
    if fault == "exit":
        sys.exit("a library ended us")
    if fault == "leak":
        raise ValueError("refused " + ctx.options.token.get_secret_value())
    if ctx.options.side:
        ctx.outputs.side.write_text("side")
    kind = ctx.movie_dir / "kinds" / f"a.{ctx.options.kind}"
    with atomic_write(kind) as f:
        f.write("kind")
    ctx.add_output(kind)
    ctx.note("loudness", 1.23456)
    if fault == "fallback":
        ctx.fallback("a megaphone was not there")


def check(options, device):
    if options.fault:
        raise ValueError("no voice: " + (options.token.get_secret_value() if options.token else ""))
    return f"shouted on {device.device}"


REVISION = int(os.environ.get("REVISION", "1"))
STAGE = Stage(
    name="tiny", revision=REVISION, options=Options, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check, facts=facts
)
if __name__ == "__main__":
    main(STAGE)
'''

AFTER = '''
"""Needs what tiny makes."""
from pathlib import Path
from reelscribe.artifacts import atomic_write
from reelscribe.settings import StageOptions
from reelscribe.stage import Engine, Stage, StageFiles, artifact, main

class Inputs(StageFiles):
    shout: Path = artifact("shouts/{name}.txt")

class Outputs(StageFiles):
    echo: Path = artifact("echo.txt")

def engine(options):
    return Engine(name="echo")

def run(ctx):
    with atomic_write(ctx.outputs.echo) as f:
        f.write(ctx.inputs.shout.read_text())

def check(options, device):
    return "fine"

STAGE = Stage(name="after", revision=1, options=StageOptions, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check)
if __name__ == "__main__":
    main(STAGE)
'''


class Tiny:
    """The two stages, one movie and its directory."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.root = root
        self.environment = environment
        self.movie = root / "movies" / "A Movie.mkv"
        self.dir = root / "out" / "A_Movie"
        self.manifest_path = self.dir / "manifests" / "01_tiny.json"
        self.log_path = self.dir / "logs" / "01_tiny.log"

    def command(self, *arguments: str, stage: str = "01_tiny", where: bool = True) -> list[str]:
        """The command line of a stage."""
        places = ["--input", str(self.movie), "--movie-dir", str(self.dir)] if where else []
        return [sys.executable, str(self.root / "native" / "stages" / f"{stage}.py"), *places, *arguments]

    def __call__(self, *arguments: str, code: int = 0, env: dict[str, str] | None = None, **how: Any) -> subprocess.CompletedProcess[str]:
        """Run a stage to its end, which must have the exit code `code`."""
        done = subprocess.run(
            self.command(*arguments, **how),
            cwd=self.root / "elsewhere",
            env={**self.environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def ran(self, *arguments: str, **how: Any) -> bool:
        """Run the stage; whether it did anything."""
        done = self(*arguments, **how)
        assert ("up to date" in done.stderr) != ("shouting" in done.stderr), done.stderr
        return "shouting" in done.stderr

    def manifest(self) -> dict[str, Any]:
        """The stage's manifest."""
        content: dict[str, Any] = json.loads(self.manifest_path.read_text())
        return content

    def files(self) -> list[str]:
        """What is in the movie directory besides logs, manifests and the tests' own trace."""
        found = (str(p.relative_to(self.dir)) for p in self.dir.rglob("*") if p.is_file())
        return sorted(name for name in found if not name.startswith(("logs/", "manifests/", "runs.txt", ".lease.")))


@pytest.fixture
def tiny(tmp_path: Path, child_environment: dict[str, str]) -> Tiny:
    """A checkout with the real package and two tiny stages, and a movie with a text."""
    shutil.copytree(ROOT / "shared" / "src", tmp_path / "shared" / "src")
    for folder in ("native/stages", "native/requirements", "native/config", "movies", "out", "elsewhere", "libraries"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "native" / "stages.txt").write_text(TABLE)
    (tmp_path / "native" / "requirements" / "tiny.txt").write_text(LOCK)
    (tmp_path / "native" / "stages" / "01_tiny.py").write_text(TINY)
    (tmp_path / "native" / "stages" / "02_after.py").write_text(AFTER)
    (tmp_path / "libraries" / "torch.py").write_text(
        "class cuda:\n    is_available = staticmethod(lambda: True)\n    empty_cache = staticmethod(lambda: None)\n"
    )
    paths = f"{tmp_path / 'shared' / 'src'}{os.pathsep}{tmp_path / 'libraries'}"
    found = Tiny(tmp_path, {**child_environment, "PYTHONPATH": paths, "PYTHONWARNINGS": "error"})
    found.movie.write_bytes(b"a movie")
    found.dir.mkdir()
    (found.dir / "text.txt").write_text("hello")
    return found


OUTPUTS = ["kinds/a.txt", "shouts/A_Movie.txt", "side.txt"]


# -- done ---------------------------------------------------------------------------------------------------------------


def test_a_run_leaves_outputs_a_manifest_a_log_and_its_paths_on_stdout(tiny: Tiny) -> None:
    done = tiny()
    assert (tiny.dir / "shouts" / "A_Movie.txt").read_text() == "HELLO!"
    assert done.stdout.splitlines() == [str(tiny.dir / name) for name in OUTPUTS]
    assert tiny.files() == sorted([*OUTPUTS, "text.txt"])
    record = tiny.manifest()
    assert (record["stage"], record["status"], record["revision"]) == ("tiny", "done", 1)
    assert set(record["inputs"]) == {"movie", "text.txt"}
    assert set(record["outputs"]) == set(OUTPUTS)
    assert record["outputs"]["side.txt"]["size"] == 4
    assert record["options"]["MARK"] == {"value": "!", "source": "default"}
    assert record["engine"]["packages"] == {"shouting": "1.0"}
    assert record["device"]["device"] == "cpu"
    assert record["notes"] == {"loudness": 1.235}
    assert record["run"]["seconds"] > 0
    assert record["run"]["peak_rss_mb"] > 0
    assert "shouting" in tiny.log_path.read_text()


def test_the_manifest_is_written_last(tiny: Tiny) -> None:
    tiny()
    last = max((p for p in tiny.dir.rglob("*") if p.is_file() and p.name != "hashes.json"), key=lambda p: p.stat().st_ctime_ns)
    assert last in (tiny.manifest_path, tiny.log_path)
    written = tiny.manifest_path.stat().st_ctime_ns
    assert all((tiny.dir / name).stat().st_ctime_ns <= written for name in OUTPUTS)


def test_json_prints_the_manifest(tiny: Tiny) -> None:
    record = json.loads(tiny("--json").stdout)
    assert record["status"] == "done"
    assert record["fingerprint"] == tiny.manifest()["fingerprint"]
    assert json.loads(tiny("--json").stdout)["fingerprint"] == record["fingerprint"], "also when up to date"


def test_the_same_command_gives_the_same_bytes(tiny: Tiny) -> None:
    tiny()
    first = {name: (tiny.dir / name).read_bytes() for name in OUTPUTS}
    fingerprint = tiny.manifest()["fingerprint"]
    tiny("--force")
    assert {name: (tiny.dir / name).read_bytes() for name in OUTPUTS} == first
    assert tiny.manifest()["fingerprint"] == fingerprint


# -- when it runs again -------------------------------------------------------------------------------------------------


def test_what_is_up_to_date_is_not_run_and_still_answers_with_its_paths(tiny: Tiny) -> None:
    assert tiny.ran()
    assert not tiny.ran()
    assert tiny().stdout.splitlines() == [str(tiny.dir / name) for name in OUTPUTS]


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--width=7"], {}),
        (["--threads=3"], {}),
        (["--device=cpu"], {}),
        ([], {"TINY_TOKEN": "hunter22"}),
        (["--models-dir=/elsewhere"], {}),
        ([], {"MARK": "!"}),
    ],
    ids=lambda value: " ".join(value) or "-",
)
def test_what_does_not_decide_the_output_does_not_count(tiny: Tiny, arguments: list[str], environment: dict[str, str]) -> None:
    tiny()
    assert not tiny.ran(*arguments, env=environment)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--mark=?"], {}),
        ([], {"MARK": "?"}),
        ([], {"REVISION": "2"}),
        ([], {"MODEL": "v2"}),
        ([], {"MOOD": "angry"}),
        (["--force"], {}),
    ],
    ids=lambda value: " ".join(value) or "-",
)
def test_what_decides_the_output_makes_it_run_again(tiny: Tiny, arguments: list[str], environment: dict[str, str]) -> None:
    tiny()
    assert tiny.ran(*arguments, env=environment)
    assert tiny.ran("--force", *arguments, env=environment)
    arguments = [argument for argument in arguments if argument != "--force"]
    assert not tiny.ran(*arguments, env=environment)


def change_text(tiny: Tiny) -> None:
    (tiny.dir / "text.txt").write_text("jello")


def remove_text(tiny: Tiny) -> None:
    (tiny.dir / "text.txt").unlink()


def change_movie(tiny: Tiny) -> None:
    tiny.movie.write_bytes(b"another")


def add_sidecar(tiny: Tiny) -> None:
    tiny.movie.with_suffix(".nfo").write_text("<movie/>")


def new_package(tiny: Tiny) -> None:
    (tiny.root / "native" / "requirements" / "tiny.txt").write_text(LOCK.replace("1.0", "1.1"))


def remove_output(tiny: Tiny) -> None:
    (tiny.dir / "side.txt").unlink()


def damage_manifest(tiny: Tiny) -> None:
    tiny.manifest_path.write_text(tiny.manifest_path.read_text()[:100])


def set_in_job(tiny: Tiny) -> None:
    (tiny.dir / "job.env").write_text("MARK='?'\n")


def set_in_pipeline(tiny: Tiny) -> None:
    (tiny.root / "native" / "config" / ".env.pipeline").write_text("MARK='?'\n")


@pytest.mark.parametrize(
    "change",
    [
        change_text,
        remove_text,
        change_movie,
        add_sidecar,
        new_package,
        remove_output,
        damage_manifest,
        set_in_job,
        set_in_pipeline,
    ],
)
def test_a_change_makes_it_run_again_once(tiny: Tiny, change: Callable[[Tiny], None]) -> None:
    tiny()
    change(tiny)
    assert tiny.ran()
    assert not tiny.ran()


def test_a_file_that_was_only_touched_does_not_count(tiny: Tiny) -> None:
    tiny()
    for path in (tiny.dir / "text.txt", tiny.movie):
        os.utime(path, (1, 1))
    assert not tiny.ran()


def test_changed_code_or_lock_is_said_and_does_not_rerun(tiny: Tiny) -> None:
    tiny()
    script = tiny.root / "native" / "stages" / "01_tiny.py"
    script.write_text(script.read_text() + "\n# a comment\n")
    (tiny.root / "native" / "requirements" / "tiny.txt").write_text(LOCK + "unrelated==1.0\n")
    said = tiny().stderr
    assert "its code has changed since; --force runs it again" in said
    assert "its lock has changed since" in said
    assert "up to date" in said


def test_an_edited_output_is_kept_and_said(tiny: Tiny) -> None:
    tiny()
    (tiny.dir / "side.txt").write_text("edited by hand")
    done = tiny()
    assert "side.txt was edited since; the edit is kept" in done.stderr
    assert "up to date" in done.stderr
    assert (tiny.dir / "side.txt").read_text() == "edited by hand"


# -- what earlier runs left ---------------------------------------------------------------------------------------------


def test_outputs_under_other_names_are_removed(tiny: Tiny) -> None:
    tiny()
    tiny("--kind=md")
    assert tiny.files() == ["kinds/a.md", "shouts/A_Movie.txt", "side.txt", "text.txt"]


def test_an_optional_output_that_is_made_no_more_is_removed(tiny: Tiny) -> None:
    tiny()
    tiny("--side=false")
    assert tiny.files() == ["kinds/a.txt", "shouts/A_Movie.txt", "text.txt"]
    assert "side.txt" not in tiny.manifest()["outputs"]
    assert not tiny.ran("--side=false")


def test_what_the_stage_did_not_make_is_never_removed(tiny: Tiny) -> None:
    tiny()
    (tiny.dir / "kinds" / "mine.md").write_text("the user's")
    record = tiny.manifest()
    outside = tiny.root / "movies" / "kept.txt"
    outside.write_text("not ours")
    record["outputs"]["../../movies/kept.txt"] = {"size": 1, "sha256": "0"}
    tiny.manifest_path.write_text(json.dumps(record))
    tiny("--kind=md")
    assert (tiny.dir / "kinds" / "mine.md").exists()
    assert outside.exists()


@pytest.mark.parametrize("before", ["nothing is there", "all is up to date"])
def test_temporary_files_of_a_killed_run_are_removed(tiny: Tiny, before: str) -> None:
    if before == "all is up to date":
        tiny()
    for name in (".tmp-1.json", "shouts/.tmp-2.txt", "deep/.tmp-3/part/.tmp-4.bin"):
        (tiny.dir / name).parent.mkdir(parents=True, exist_ok=True)
        (tiny.dir / name).write_text("half")
    tiny()
    assert list(tiny.dir.rglob(".tmp-*")) == []


# -- failing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        ("bad-input", 3, "tiny: text.txt is rude\n  → be nice"),
        ("full", 5, "tiny: no space left to write a file\n  → free some space below the movie directory and run again"),
        ("half", 6, "tiny: RuntimeError: in the middle\n  → the traceback is in the stage's log in logs/"),
        ("exit", 6, "tiny: SystemExit: a library ended us"),
        ("forgets", 6, "tiny: tiny ended without writing shouts/{name}.txt"),
    ],
)
def test_every_failure_has_its_code_one_line_and_a_manifest(tiny: Tiny, fault: str, code: int, message: str) -> None:
    done = tiny(f"--fault={fault}", code=code)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    record = tiny.manifest()
    assert (record["status"], record["exit_code"]) == ("failed", code)
    assert record["error"] in done.stderr
    assert message.splitlines()[0] in tiny.log_path.read_text()
    assert list(tiny.dir.rglob(".tmp-*")) == []
    assert tiny.ran(), "the next run does it"


def test_the_traceback_is_in_the_log(tiny: Tiny) -> None:
    tiny("--fault=half", code=6)
    log = tiny.log_path.read_text()
    assert "Traceback (most recent call last)" in log
    assert "of a line" in log


def test_a_failed_run_keeps_the_outputs_of_the_one_before(tiny: Tiny) -> None:
    tiny()
    tiny("--fault=half", "--mark=?", code=6)
    assert (tiny.dir / "shouts" / "A_Movie.txt").read_text() == "HELLO!"
    assert tiny.files() == sorted([*OUTPUTS, "text.txt"])
    assert set(tiny.manifest()["outputs"]) == set(OUTPUTS)
    tiny("--kind=md")
    assert "kinds/a.txt" not in tiny.files(), "and they are still known when they have become stale"


def test_an_output_that_was_there_before_is_not_taken_for_a_new_one(tiny: Tiny) -> None:
    tiny()
    tiny("--force", "--fault=forgets", code=6)
    assert tiny.manifest()["status"] == "failed"


def test_temporary_files_of_libraries_lie_where_the_next_run_removes_them(tiny: Tiny) -> None:
    tiny("--fault=scratch", code=-signal.SIGKILL)
    assert [path.name for path in tiny.dir.rglob("of-a-library*")]
    assert tiny.ran()
    assert list(tiny.dir.rglob("of-a-library*")) == list(tiny.dir.rglob(".tmp-*")) == []


def test_a_missing_input_names_its_stage_and_changes_nothing(tiny: Tiny) -> None:
    done = tiny(stage="02_after", code=3)
    assert "after: shouts/{name}.txt is missing\n  → run the stage tiny first" in done.stderr
    assert not (tiny.dir / "manifests" / "02_after.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--width=10"], 2, "WIDTH='10' (command line): Input should be less than or equal to 9\n  → WIDTH takes number ≥1 ≤9"),
        (["--env=nowhere.env"], 3, "settings file nowhere.env: No such file or directory"),
        (["--input=nowhere.mkv"], 3, "nowhere.mkv is not there"),
        (["--input=."], 3, "elsewhere is a folder"),
        (["--input=/dev/null"], 3, "/dev/null is no regular file"),
        (["--fault=no-model"], 4, "tiny: the model is not there\n  → fetch it"),
        (["--fault=engine-bug"], 6, "tiny: KeyError: 'what is this'\n  → LOG_LEVEL=debug shows the traceback"),
        (["--loudness=3"], 2, "unrecognized arguments: --loudness=3"),
        (["--mar=?"], 2, "unrecognized arguments"),
        (["--tiny-token=hunter22"], 2, "unrecognized arguments"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_wrong_command_line_is_told_and_touches_nothing(tiny: Tiny, arguments: list[str], code: int, message: str) -> None:
    done = tiny(*arguments, code=code)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert tiny.files() == ["text.txt"]


def test_without_a_movie_directory_or_movie(tiny: Tiny) -> None:
    assert "--movie-dir is missing" in tiny(where=False, code=2).stderr
    assert "which movie?" in tiny("--movie-dir", str(tiny.dir), where=False, code=2).stderr


def test_the_movie_may_come_from_the_job(tiny: Tiny) -> None:
    (tiny.dir / "job.env").write_text(f"MOVIE='{tiny.movie}'\n")
    tiny("--movie-dir", str(tiny.dir), where=False)
    assert tiny.manifest()["status"] == "done"


def test_a_movie_directory_that_cannot_be_written_is_one_line(tiny: Tiny) -> None:
    shutil.rmtree(tiny.dir)
    tiny.dir.write_text("a file")
    done = tiny(code=3)
    assert "cannot be looked at: Not a directory" in done.stderr and "delete" not in done.stderr
    assert "Traceback" not in done.stderr
    assert tiny.dir.read_text() == "a file"


def test_unforeseen_errors_before_the_job_show_their_traceback_when_asked(tiny: Tiny) -> None:
    assert "Traceback" in tiny("--fault=engine-bug", code=6, env={"LOG_LEVEL": "debug"}).stderr


# -- interrupted --------------------------------------------------------------------------------------------------------


@pytest.fixture
def hanging(tiny: Tiny) -> Iterator[subprocess.Popen[str]]:
    """The stage in the middle of writing its first output."""
    process = subprocess.Popen(
        tiny.command("--fault=hang"), env=tiny.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while not (tiny.dir / "hanging").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_ends_with_130_and_leaves_no_half_files(tiny: Tiny, hanging: subprocess.Popen[str], number: int) -> None:
    hanging.send_signal(number)
    _, stderr = hanging.communicate(timeout=10)
    assert hanging.returncode == 130
    assert "tiny: interrupted; run again to go on" in stderr
    assert "Traceback" not in stderr
    assert (tiny.manifest()["status"], tiny.manifest()["exit_code"]) == ("failed", 130)
    assert tiny.files() == ["hanging", "text.txt"]
    assert tiny.ran()


def test_a_killed_run_is_done_again(tiny: Tiny, hanging: subprocess.Popen[str]) -> None:
    assert tiny.manifest()["status"] == "running"
    hanging.kill()
    hanging.wait()
    assert tiny.manifest()["status"] == "running"
    assert list(tiny.dir.rglob(".tmp-*"))
    assert tiny.ran()
    assert list(tiny.dir.rglob(".tmp-*")) == []
    assert not tiny.ran()


def test_a_second_run_is_refused_while_the_first_is_at_work(tiny: Tiny, hanging: subprocess.Popen[str]) -> None:
    done = tiny(code=7)
    assert f"A_Movie is being worked on by process {hanging.pid}" in done.stderr
    assert tiny.manifest()["status"] == "running"
    assert hanging.poll() is None


# -- devices and secrets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "device", "reason", "fallbacks"),
    [
        ({"MACHINE": "gpu"}, "cuda", "Fake GPU is there", []),
        ({"MACHINE": "gpu", "DEVICE_TINY": "cpu"}, "cpu", "asked for", []),
        ({"MACHINE": "gpu", "DEVICE": "cpu", "DEVICE_TINY": "cuda"}, "cuda", "asked for", []),
        ({"MACHINE": "gpu", "DEVICE_AFTER": "cpu"}, "cuda", "Fake GPU is there", []),
        (
            {"MACHINE": "gpu", "DEVICE": "mps"},
            "cuda",
            "mps was asked for, but this machine has no mps",
            ["device cuda: mps was asked for, but this machine has no mps"],
        ),
        (
            {"MACHINE": "gpu", "DEVICE": "cpu", "REELSCRIBE_DEVICE_RETRY": "a crash on cuda (SIGSEGV)"},
            "cpu",
            "retried after a crash on cuda (SIGSEGV)",
            ["device cpu: retried after a crash on cuda (SIGSEGV)"],
        ),
    ],
)
def test_the_device_its_reason_and_every_fallback_are_recorded(
    tiny: Tiny, environment: dict[str, str], device: str, reason: str, fallbacks: list[str]
) -> None:
    done = tiny(env=environment)
    record = tiny.manifest()
    assert (record["device"]["device"], record["device"]["reason"]) == (device, reason)
    assert record["fallbacks"] == fallbacks
    assert (tiny.dir / "runs.txt").read_text().split()[0] == device
    assert f"tiny: voice on {device} ({reason})" in done.stderr
    assert all(f"warning: {fallback}" in done.stderr for fallback in fallbacks)


def test_a_stage_that_computes_on_no_device_ignores_the_wish_for_one(tiny: Tiny) -> None:
    tiny()
    done = tiny(stage="02_after", env={"DEVICE": "cuda"})
    assert "warning" not in done.stderr
    assert json.loads((tiny.dir / "manifests" / "02_after.json").read_text())["fallbacks"] == []


def test_a_library_that_cannot_use_the_gpu_is_noticed(tiny: Tiny) -> None:
    library = tiny.root / "libraries" / "torch.py"
    library.write_text(library.read_text().replace("True", "False"))
    tiny(env={"MACHINE": "gpu"})
    assert tiny.manifest()["device"]["reason"] == "cuda is there, but torch in this environment cannot use it"


def test_threads_are_the_setting_or_the_cores_whatever_a_scheduler_says(tiny: Tiny) -> None:
    """Snakemake sets this to the cores that it gave the job."""
    tiny("--threads=3", env={"OMP_NUM_THREADS": "7"})
    assert (tiny.dir / "runs.txt").read_text().splitlines()[0] == "cpu 3 3"


@pytest.mark.parametrize(("offline", "said"), [("true", "1"), ("false", "None")])
def test_libraries_send_nothing_home_and_offline_reaches_them(tiny: Tiny, offline: str, said: str) -> None:
    tiny(env={"OFFLINE": offline})
    assert (tiny.dir / "runs.txt").read_text().splitlines()[1:] == [
        "PYANNOTE_METRICS_ENABLED=0",
        "HF_HUB_DISABLE_TELEMETRY=1",
        f"HF_HUB_OFFLINE={said}",
        f"TRANSFORMERS_OFFLINE={said}",
    ]


def test_a_fallback_of_the_stage_is_said_and_recorded(tiny: Tiny) -> None:
    assert "warning: a megaphone was not there" in tiny("--fault=fallback").stderr
    assert tiny.manifest()["fallbacks"] == ["a megaphone was not there"]


@pytest.mark.parametrize("fault", ["", "leak"])
def test_a_secret_is_in_no_file_and_on_no_screen(tiny: Tiny, fault: str) -> None:
    done = tiny("--json", f"--fault={fault}", env={"TINY_TOKEN": "hunter22"}, code=6 if fault else 0)
    assert "***" in done.stderr
    written = "".join(p.read_text() for p in tiny.dir.rglob("*") if p.is_file())
    assert "hunter22" not in done.stdout + done.stderr + written
    assert "TINY_TOKEN" not in tiny.manifest()["options"]


# -- help and check -----------------------------------------------------------------------------------------------------


def test_help_explains_everything(tiny: Tiny) -> None:
    text = tiny("--help", where=False).stdout
    for expected in (
        "Shouts what a text says.",
        "The second paragraph, 100 % of it.",
        "--mark VALUE",
        "what a shout ends with, 100 % of the time",
        "reads: <movie>, text.txt (if there)",
        "writes: shouts/<Movie_Name>.txt, side.txt (if there), kinds/*",
        "0 done, 2 usage, 3 bad input, 4 missing, 5 no space, 6 failed, 7 busy, 130 interrupted",
    ):
        assert expected in text
    flat = " ".join(text.split())
    assert "a number that changes nothing [number ≥1 ≤9; default 5 px; WIDTH]" in flat
    assert "key of the service [TINY_TOKEN, in the environment or a settings file only]" in flat
    assert "--token" not in text


def test_check_tries_the_engine_and_says_how_it_went(tiny: Tiny) -> None:
    report = json.loads(tiny("--check", where=False, env={"MACHINE": "gpu"}).stdout)
    assert report["seconds"] >= 0
    del report["seconds"]
    assert report == {
        "stage": "tiny",
        "engine": "voice",
        "model": "v1",
        "device": "cuda",
        "compute": "float32",
        "reason": "Fake GPU is there",
        "ok": True,
        "result": "shouted on cuda",
    }


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        ("voiceless", "ValueError: no voice: ***"),
        ("no-model", "the model is not there\n  → fetch it"),
        ("engine-bug", "KeyError: 'what is this'"),
    ],
)
def test_a_check_that_fails_is_a_report_too(tiny: Tiny, fault: str, result: str) -> None:
    done = tiny("--check", f"--fault={fault}", where=False, code=6, env={"TINY_TOKEN": "hunter22"})
    report = json.loads(done.stdout)
    assert (report["ok"], report["result"]) == (False, result)


# -- names and terminals ------------------------------------------------------------------------------------------------


NAMES = ['it\'s "A" [Movie] $HOME.mkv', "-dash.mkv", "映画 🎬.mkv", "two\nlines.mkv", "a.b..mkv"]
if sys.platform != "darwin":  # whose file systems refuse names that are no UTF-8
    NAMES.append(os.fsdecode(b"caf\xe9.mkv"))


@pytest.mark.parametrize("name", NAMES)
def test_any_movie_name_works(tiny: Tiny, name: str) -> None:
    tiny.movie = tiny.movie.with_name(name)
    tiny.movie.write_bytes(b"a movie")
    assert tiny.ran()
    assert not tiny.ran()


def test_a_bar_is_taken_away_even_when_the_stage_fails(tiny: Tiny) -> None:
    (tiny.root / "native" / "stages" / "01_tiny.py").write_text(
        TINY.replace('ctx.progress.update(1, 2, "half")', 'ctx.progress.update(1, 2, "half"); time.sleep(0.5); raise RuntimeError("bad")')
    )
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {**tiny.environment, "TERM": "xterm"}
        command = tiny.command("--fault=progress")
        os.execve(command[0], command, environment)
    shown = b""
    while True:
        try:
            block = os.read(terminal, 65536)
        except OSError:
            break
        if not block:
            break
        shown += block
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 6
    assert b"tiny" in shown
    assert b"half" in shown
    assert -1 < shown.rfind(b"\x1b[?25l") < shown.rfind(b"\x1b[?25h"), "the cursor is back"
