"""The orchestrator with three fake stages: order, resume, names, leases, crashes, signals. The real stages: test_end_to_end.py.

The stages are fakes so that they can fail on purpose; pipeline.sh, the core commands, the supervisor and the contract are the real ones,
run from a copy of the tree whose stage table has three rows.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from fake_hub import TOKEN, FakeHub

from reelscribe.stage_table import NATIVE, ROOT

TABLE = """\
01 first  core -            -      0 500 1 10
02 second core mps,cuda,cpu first  1 500 1 10
03 third  core -            second 0 500 1 10
"""

STAGE = '''
"""Stage {name} of the tests."""
import os, signal, subprocess, sys, time
from pathlib import Path
from reelscribe.artifacts import atomic_write
from reelscribe.models import locate
from reelscribe.settings import StageOptions, option
from reelscribe.stage import Engine, ModelNeed, Stage, StageFiles, artifact, main, movie_file

class Options(StageOptions):
    text: str = option("", env="{upper}_TEXT", help="what to write")
    fault: str = option("", env="{upper}_FAULT", affects_output=False, help="how to fail")
    model: str = option("", env="{upper}_MODEL", affects_output=False, help="what to look for")
    meets: str = option("", env="{upper}_MEETS", affects_output=False, help="the stage that has to begin before it goes on")

class Inputs(StageFiles):
    source: Path = {source}

class Outputs(StageFiles):
    made: Path = artifact("{name}.txt")

def engine(options):
    return Engine(name="fake", kind="{kind}")

def models(options):
    return [ModelNeed(options.model, "a test", ("config.json", "model.bin"))] if options.model else []

def run(ctx):
    for need in models(ctx.options):
        ctx.note("model", str(locate(need, ctx.options.models_dir)))
    with open(ctx.movie_dir / "runs.txt", "a") as f:
        f.write("{name} " + ctx.device.device + "\\n")
    if ctx.options.meets:
        deadline = time.monotonic() + 90
        while not (ctx.movie_dir / "runs.txt").read_text().count(ctx.options.meets + " "):
            if time.monotonic() > deadline:
                raise RuntimeError(ctx.options.meets + " never came")
            time.sleep(0.02)
        ctx.log.info("met " + ctx.options.meets)
    ctx.note("retry_degraded", os.environ.get("ASR_RETRY_DEGRADED"))
    fault = ctx.options.fault
    if fault == "segfault" or fault == "segfault-on-gpu" and ctx.device.device != "cpu":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "late":
        ctx.note("no_retry", "its time was up")
        fault = "raise"
    if fault == "raise":
        raise RuntimeError("on purpose")
    if fault == "hang":
        subprocess.Popen(["sleep", "600"])
        (ctx.movie_dir / "hanging").touch()
        (ctx.movie_dir / "{name}.hanging").touch()
        time.sleep(600)
    if fault == "memory":
        block = bytearray(600 << 20)
        time.sleep(60)
    ctx.progress.update(1, 2, "half")
    with atomic_write(ctx.outputs.made) as f:
        f.write(ctx.options.text + ctx.inputs.source.name)

def check(options, device):
    return "fine"

STAGE = Stage(
    name="{name}", revision=1, options=Options, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check, models=models
)
if __name__ == "__main__":
    main(STAGE)
'''


def plant(tree: Path, table: str, sources: dict[str, str]) -> Path:
    """A copy of what the orchestrator consists of, with the real core environment, this stage table and fakes that read `sources`."""
    shutil.copytree(ROOT / "shared" / "src", tree / "shared" / "src")
    native = tree / "native"
    (native / "stages").mkdir(parents=True)
    (native / "venvs").mkdir()
    (native / "venvs" / "core").symlink_to(NATIVE / "venvs" / "core")
    shutil.copytree(NATIVE / "requirements", native / "requirements")
    for script in ("pipeline.sh", "resume-pipeline.sh"):
        shutil.copy(NATIVE / script, native / script)
    # The environments are the real tree's; building is tested in bats/setup_venvs.bats.
    (native / "setup_venvs.sh").write_text("#!/bin/sh\n")
    (native / "setup_venvs.sh").chmod(0o755)
    (native / "stages.txt").write_text(table)
    for number, (name, source) in enumerate(sources.items(), 1):
        script = STAGE.format(name=name, upper=name.upper(), source=source, kind="torch" if name == "second" else "")
        (native / "stages" / f"{number:02d}_{name}.py").write_text(script)
    return tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stages, each of which needs the one before."""
    sources = {"first": "movie_file()", "second": 'artifact("first.txt")', "third": 'artifact("second.txt")'}
    return plant(tmp_path_factory.mktemp("tree"), TABLE, sources)


@pytest.fixture
def environment(tree: Path, child_environment: dict[str, str]) -> dict[str, str]:
    """The copy's package comes before the installed one."""
    return child_environment | {"PYTHONPATH": str(tree / "shared" / "src")}


@pytest.fixture
def pipeline(tree: Path, environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run pipeline.sh to its end in tmp_path."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(tree / "native" / "pipeline.sh"), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment | (env or {}), capture_output=True, text=True, timeout=300, check=False, input="eaten?"
        )

    return run


@pytest.fixture
def start(tree: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start pipeline.sh in a process group of its own and leave it running."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        command = [str(tree / "native" / "pipeline.sh"), *arguments]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment | (env or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    """The fakes look at its bytes only."""
    movie = tmp_path / "A Movie.mp4"
    movie.write_bytes(b"a movie")
    return movie


def wait_for(path: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.05)


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes, zombies aside, that were given a path below `folder` or work in it."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if process.status() != psutil.STATUS_ZOMBIE and (str(folder) in " ".join(command) or str(folder) in process.cwd()):
                found.append(" ".join(command))
        except psutil.Error:
            continue
    return found


def wait_for_none(folder: Path, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while left := processes_of(folder):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.1)


def runs(tmp_path: Path, name: str = "A_Movie") -> list[str]:
    return (tmp_path / "out" / name / "runs.txt").read_text().splitlines()


# -- order, skipping, settings ------------------------------------------------------------------------------------------


def test_stages_run_in_order_and_the_result_is_the_only_line_on_stdout(pipeline, movie, tmp_path) -> None:
    done = pipeline(str(movie))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/out/A_Movie/third.txt\n"
    assert runs(tmp_path) == ["first cpu", "second cpu", "third cpu"]


def test_a_second_run_does_nothing_and_says_so(pipeline, movie, tmp_path) -> None:
    pipeline(str(movie))
    again = pipeline(str(movie))
    assert again.returncode == 0
    assert again.stderr.count("up to date") == 3
    assert len(runs(tmp_path)) == 3


def test_a_changed_setting_reruns_its_stage_and_what_depends_on_it(pipeline, movie, tmp_path) -> None:
    pipeline(str(movie))
    pipeline("--set", "SECOND_TEXT=new", str(movie))
    assert runs(tmp_path)[3:] == ["second cpu", "third cpu"] or runs(tmp_path)[3:] == ["second cpu"]
    assert (tmp_path / "out/A_Movie/second.txt").read_text() == "newfirst.txt"


def test_the_summary_names_every_stage_its_state_and_device(pipeline, movie) -> None:
    summary = pipeline(str(movie)).stderr
    names = ["first", "second", "third"]
    assert [words[:2] for line in summary.splitlines() if (words := line.split()) and words[0] in names] == [[n, "done"] for n in names]
    assert "cpu float32 (this machine has no mps; this machine has no cuda)" in " ".join(summary.split())


def test_json_reports_each_movie_on_a_line(pipeline, movie) -> None:
    report = json.loads(pipeline("--json", str(movie)).stdout)
    assert [stage["state"] for stage in report["stages"]] == ["done"] * 3
    assert report["result"].endswith("third.txt")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--to", "second"], ["first", "second"]),
        (["--only", "first"], ["first"]),
        (["--skip", "third"], ["first", "second"]),
        (["--skip=second,third"], ["first"]),
    ],
)
def test_a_selection_of_stages(pipeline, movie, tmp_path, options, expected) -> None:
    assert pipeline(*options, str(movie)).returncode == 0
    assert [line.split()[0] for line in runs(tmp_path)] == expected


def test_from_begins_later_and_a_missing_input_names_the_stage_that_makes_it(pipeline, movie) -> None:
    done = pipeline("--from", "second", str(movie))
    assert done.returncode == 3
    assert "first.txt is missing" in done.stderr and "run the stage first first" in done.stderr


def test_force_runs_what_is_up_to_date(pipeline, movie, tmp_path) -> None:
    pipeline(str(movie))
    pipeline("--force", "--only", "second", str(movie))
    assert runs(tmp_path)[3:] == ["second cpu"]


def test_resume_keeps_the_settings_of_the_job(pipeline, movie, tmp_path, tree, environment) -> None:
    pipeline("--set", "SECOND_TEXT=kept", "--to", "first", str(movie))
    command = [str(tree / "native" / "resume-pipeline.sh"), "out/A_Movie"]
    resumed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "out/A_Movie/second.txt").read_text() == "keptfirst.txt"
    assert runs(tmp_path) == ["first cpu", "second cpu", "third cpu"]


def test_a_settings_file_is_weaker_than_the_command_line_and_kept_in_the_job(pipeline, movie, tmp_path) -> None:
    (tmp_path / "my.env").write_text('FIRST_TEXT=file\nSECOND_TEXT="it\'s"\nNO_SUCH=1\n')
    done = pipeline("--env", "my.env", "--set", "FIRST_TEXT=line", str(movie))
    assert "NO_SUCH is no setting" in done.stderr
    assert (tmp_path / "out/A_Movie/first.txt").read_text() == "lineA Movie.mp4"
    assert "FIRST_TEXT='line'" in (tmp_path / "out/A_Movie/job.env").read_text()


def test_paths_in_the_job_hold_from_any_folder(pipeline, movie, tmp_path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "my.env").write_text("MODELS_DIR=../models\nFIRST_TEXT=a/b\n")
    pipeline("--env", "conf/my.env", "--to", "first", str(movie))
    job = (tmp_path / "out/A_Movie/job.env").read_text()
    assert f"MODELS_DIR='{tmp_path}/conf/../models'" in job and "FIRST_TEXT='a/b'" in job


def test_a_dry_run_writes_nothing(pipeline, movie, tmp_path) -> None:
    done = pipeline("--dry-run", "--json", str(movie))
    assert json.loads(done.stdout)["stages"] == {"first": "run (not run)", "second": "run (after first)", "third": "run (after second)"}
    assert not (tmp_path / "out").exists()


def test_a_dry_run_sees_what_a_setting_would_change(pipeline, movie, tmp_path) -> None:
    pipeline(str(movie))
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    done = pipeline("--dry-run", "--json", "--set", "THIRD_TEXT=x", str(movie))
    assert json.loads(done.stdout)["stages"] == {"first": "up to date", "second": "up to date", "third": "run (stale)"}
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before


def test_status_of_a_directory_and_of_a_movie(pipeline, movie) -> None:
    pipeline("--to", "second", str(movie))
    for what in ("out/A_Movie", str(movie)):
        report = json.loads(pipeline("--status", what, "--json").stdout)
        assert [stage["state"] for stage in report["stages"]] == ["done", "done", "not run"]


# -- names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ('It\'s a "film" $(touch x) `id`.mp4', "It_s_a_film_touch_x_id"),
        ("-dash.mkv", "dash"),
        ("...mp4", "movie"),
        ("🎬.mp4", "movie"),
        ("दिल.से.mp4", "दिल.से"),
        ("two\nlines;rm.mp4", "two_lines_rm"),
        ("a" * 200 + ".mp4", "a" * 80),
    ],
)
def test_any_movie_name_is_safe_and_ends_in_a_readable_folder(pipeline, tmp_path, name, folder) -> None:
    (tmp_path / name).write_bytes(b"a movie")
    done = pipeline("--", name)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/out/{folder}/third.txt\n"
    assert (tmp_path / "out" / folder / "first.txt").read_text() == name
    assert not (tmp_path / "x").exists()


def test_a_path_with_dots_stays_below_out(pipeline, tmp_path, movie) -> None:
    (tmp_path / "sub").mkdir()
    assert pipeline("sub/../A Movie.mp4").stdout == f"{tmp_path}/out/A_Movie/third.txt\n"


def test_two_movies_of_one_name_have_folders_of_their_own(pipeline, tmp_path) -> None:
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "same.mp4").write_text(number)
    done = pipeline("1/same.mp4", "2/same.mp4")
    first, second = done.stdout.split()
    assert first == f"{tmp_path}/out/same/third.txt"
    assert Path(second).parent.name.startswith("same-")
    assert pipeline("2/same.mp4").stdout.strip() == second


def test_a_folder_of_movies_is_done_to_the_end_although_one_fails(pipeline, tmp_path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("a.mp4", "b.mkv", "c.avi", "notes.txt", "a.subtitled.mp4"):
        (folder / name).write_text(name)
    (tmp_path / "out" / "b").mkdir(parents=True)
    (tmp_path / "out" / "b" / "third.txt").mkdir()  # in the way of the stage's output
    done = pipeline("films")
    assert done.returncode == 3
    assert "3 movies, 1 failed" in done.stderr and "films/b.mkv (exit code 3)" in done.stderr
    assert [Path(line).parent.name for line in done.stdout.split()] == ["a", "c"]


# -- mistakes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "which movie?"),
        (["--outt", "x"], 2, "no option --outt"),
        (["--out"], 2, "--out needs a value"),
        (["no such.mp4"], 3, "is not there"),
        (["."], 3, "there is no movie in"),
        (["--only", "fourth", "A Movie.mp4"], 2, "the stages are: first second third"),
        (["--from", "third", "--to", "first", "A Movie.mp4"], 2, "no stage is left"),
        (["--set", "SECOND_TXT=1", "A Movie.mp4"], 2, "did you mean SECOND_TEXT?"),
        (["--set", "oops", "A Movie.mp4"], 2, "write --set KEY=VALUE"),
        (["--device", "tpu", "A Movie.mp4"], 2, "DEVICE takes auto|mps|cuda|cpu"),
        (["--env", "none.env", "A Movie.mp4"], 3, "none.env"),
        (["--resume", "nowhere"], 3, "has no movie directory yet"),
        (["--resume", "out", "A Movie.mp4"], 2, "no further movie"),
    ],
)
def test_a_mistake_gets_its_code_and_words_and_nothing_is_made(pipeline, tmp_path, arguments, code, words) -> None:
    if "A Movie.mp4" in arguments:
        (tmp_path / "A Movie.mp4").write_bytes(b"a movie")
    done = pipeline(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list((tmp_path / "out").rglob("*.txt")) if (tmp_path / "out").exists() else True


def test_help_is_the_header(pipeline) -> None:
    done = pipeline("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Turn a movie into a subtitled movie.") and "Exit codes:" in done.stdout and "set -euo" not in done.stdout


# -- crashes ------------------------------------------------------------------------------------------------------------


def test_an_exception_is_one_line_with_the_log_and_the_way_on(pipeline, movie, tmp_path) -> None:
    done = pipeline("--set", "SECOND_FAULT=raise", str(movie))
    assert done.returncode == 6
    assert "RuntimeError: on purpose" in done.stderr and "Traceback" not in done.stderr
    assert "resume-pipeline.sh" in done.stderr
    assert "Traceback" in (tmp_path / "out/A_Movie/logs/02_second.log").read_text()
    assert pipeline(str(movie)).returncode == 0
    assert [line.split()[0] for line in runs(tmp_path)] == ["first", "second", "second", "third"]


@pytest.mark.parametrize(("fault", "words"), [("", "third"), ("raise", "The stage second failed")])
def test_a_run_ends_with_a_report_whatever_became_of_it(pipeline, movie, tmp_path, fault, words) -> None:
    done = pipeline(str(movie), "--set", f"SECOND_FAULT={fault}")
    assert f"report: {tmp_path}/out/A_Movie/report.html\n" in done.stderr
    page = (tmp_path / "out" / "A_Movie" / "report.html").read_text()
    assert words in page
    assert ("The stage" in page.split('id="data"')[1].split("</script>")[0]) == bool(fault)


def test_a_report_that_cannot_be_written_fails_no_run(pipeline, movie, tmp_path) -> None:
    (tmp_path / "out" / "A_Movie" / "report.html").mkdir(parents=True)
    done = pipeline(str(movie))
    assert done.returncode == 0
    assert "report.html could not be written" in done.stderr


def test_a_crash_keeps_its_signal_and_is_in_the_manifest(pipeline, movie, tmp_path) -> None:
    done = pipeline("--set", "SECOND_FAULT=segfault", str(movie))
    assert done.returncode == 128 + signal.SIGSEGV
    record = json.loads((tmp_path / "out/A_Movie/manifests/02_second.json").read_text())
    assert (record["status"], record["error"], record["exit_code"]) == ("failed", "ended with SIGSEGV", 139)


def test_degraded_chunks_are_retried_when_asked_for_and_only_then(pipeline, movie, tmp_path) -> None:
    def asked(*options: str) -> str | None:
        assert pipeline(*options, "--force", "--only=first", str(movie)).returncode == 0
        return json.loads((tmp_path / "out/A_Movie/manifests/01_first.json").read_text())["notes"].get("retry_degraded")

    assert asked("--retry-degraded") == "true"
    assert asked() is None


@pytest.fixture
def cuda(tmp_path, environment) -> dict[str, str]:
    """Stands in for the probe and for torch: a machine with CUDA that a stage may use."""
    site = tmp_path / "standin"
    site.mkdir()
    (site / "torch.py").write_text(
        "class cuda:\n    is_available = staticmethod(lambda: True)\n    empty_cache = staticmethod(lambda: None)\n"
    )
    (site / "sitecustomize.py").write_text(
        "from reelscribe import device_manager\nmachine = device_manager.Machine(cuda=True, gpu_name='Test GPU')\n"
        "device_manager.probe = lambda: machine\n"
    )
    return {"PYTHONPATH": f"{site}:{environment['PYTHONPATH']}"}


def test_a_crash_on_a_gpu_is_tried_once_more_on_the_cpu(pipeline, movie, tmp_path, cuda) -> None:
    done = pipeline("--set", "SECOND_FAULT=segfault-on-gpu", str(movie), env=cuda)
    assert done.returncode == 0, done.stderr
    assert runs(tmp_path) == ["first cpu", "second cuda", "second cpu", "third cpu"]
    assert "a crash on cuda (SIGSEGV); once more on the CPU" in done.stderr
    record = json.loads((tmp_path / "out/A_Movie/manifests/02_second.json").read_text())
    assert record["device"]["reason"] == "retried after a crash on cuda (SIGSEGV)"
    assert record["fallbacks"]


def test_what_says_that_the_cpu_would_not_help_is_not_tried_there(pipeline, movie, tmp_path, cuda) -> None:
    assert pipeline("--set", "SECOND_FAULT=late", str(movie), env=cuda).returncode == 6
    assert runs(tmp_path) == ["first cpu", "second cuda"]


def test_limits_of_time_and_memory_end_a_stage(pipeline, movie, tmp_path) -> None:
    late = pipeline("--set", "FIRST_FAULT=hang", "--set", "STAGE_TIMEOUT=1", str(movie))
    assert late.returncode == 6 and "ran longer than STAGE_TIMEOUT=1 s" in late.stderr
    record = json.loads((tmp_path / "out/A_Movie/manifests/01_first.json").read_text())
    assert (record["exit_code"], record["error"]) == (6, "ran longer than STAGE_TIMEOUT=1 s"), "our signal was not Ctrl-C"
    big = pipeline("--set", "FIRST_FAULT=memory", "--set", "STAGE_MEMORY=300", str(movie))
    assert big.returncode == 6 and "more than STAGE_MEMORY=300 MiB" in big.stderr


# -- signals and leases -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_everything_and_a_rerun_goes_on(start, pipeline, movie, tmp_path, number) -> None:
    process = start("--set", "SECOND_FAULT=hang", str(movie))
    wait_for(tmp_path / "out/A_Movie/hanging")
    # Ctrl-C reaches the whole foreground group, kill only the shell.
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    wait_for_none(tmp_path)
    assert pipeline(str(movie)).returncode == 0
    assert [line.split()[0] for line in runs(tmp_path)] == ["first", "second", "second", "third"]


@pytest.mark.parametrize("tool", ["rm", "mktemp"])
def test_an_interrupt_between_two_commands_is_not_forgotten(start, movie, tmp_path, tool) -> None:
    """While pipeline.sh itself makes its file in TMPDIR: what it would start next may fetch gigabytes."""
    (tmp_path / "bin").mkdir()
    interrupting = tmp_path / "bin" / tool
    interrupting.write_text(f"#!/bin/sh\ntrap '' INT\nkill -INT 0\nexec {shutil.which(tool)} \"$@\"\n")
    interrupting.chmod(0o755)
    env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "OFFLINE": "false", "SECOND_MODEL": "/no/such/model"}
    process = start(str(movie), env=env)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, ""), "it looked for the models first"


@pytest.mark.parametrize("victim", ["orchestrator", "supervisor", "both"])
def test_a_kill_leaves_no_process_behind(start, pipeline, movie, tmp_path, victim) -> None:
    process = start("--set", "SECOND_FAULT=hang", str(movie))
    wait_for(tmp_path / "out/A_Movie/hanging")
    supervisors = [p for p in psutil.Process(process.pid).children(recursive=True) if "reelscribe.supervise" in " ".join(p.cmdline())]
    assert supervisors
    if victim != "supervisor":
        process.kill()
    if victim != "orchestrator":
        supervisors[0].kill()
    process.communicate(timeout=30)
    wait_for_none(tmp_path)
    again = pipeline(str(movie))
    assert again.returncode == 0, again.stderr


def test_a_temporary_folder_that_is_gone_or_full_is_no_room(pipeline, movie, tmp_path) -> None:
    done = pipeline(str(movie), env={"TMPDIR": str(tmp_path / "none")})
    assert done.returncode == 5
    assert f"no file can be made in {tmp_path / 'none'}: make room there, or name another folder in TMPDIR" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to be had here")
def test_an_answer_that_finds_the_disk_full_is_no_mistake_of_ours(tree, movie, environment) -> None:
    """pipeline.sh reads it from a file in TMPDIR."""
    command = [str(tree / "native/venvs/core/bin/python"), "-m", "reelscribe.cli", "fetch", str(movie)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 5, done.stderr
    assert "no space left to write what this command answers" in done.stderr and "TMPDIR" in done.stderr
    assert "mistake" not in done.stderr and "Traceback" not in done.stderr


def test_a_second_run_on_a_directory_is_refused_and_names_the_holder(start, pipeline, movie, tmp_path) -> None:
    process = start("--set", "SECOND_FAULT=hang", str(movie))
    wait_for(tmp_path / "out/A_Movie/hanging")
    job = (tmp_path / "out/A_Movie/job.env").read_bytes()
    second = pipeline("--set", "SECOND_TEXT=other", str(movie))
    assert second.returncode == 7
    assert f"process {process.pid}" in second.stderr
    assert (tmp_path / "out/A_Movie/job.env").read_bytes() == job
    assert process.poll() is None


# -- models -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """One model at the hub."""
    hub = FakeHub({"owner/name": {"config.json": b"{}", "model.bin": bytes(2_000_000)}}).start()
    yield hub
    hub.stop()


@pytest.fixture
def online(hub, tmp_path) -> dict[str, str]:
    """Environment of a run that may fetch, and whose second stage wants the model."""
    return {"OFFLINE": "false", "HF_ENDPOINT": hub.endpoint, "MODELS_DIR": str(tmp_path / "models"), "SECOND_MODEL": "owner/name"}


def note_of(tmp_path: Path) -> str:
    """What the second stage noted about its model."""
    return json.loads((tmp_path / "out/A_Movie/manifests/02_second.json").read_text())["notes"]["model"]


def test_a_missing_model_is_fetched_before_the_first_stage(pipeline, movie, tmp_path, online, hub) -> None:
    done = pipeline(str(movie), env=online)
    assert done.returncode == 0, done.stderr
    said = done.stderr
    assert 0 < said.index("fetching owner/name (a test, 2.0 MB)") < said.index("owner/name is there") < said.index("first: ")
    assert str(tmp_path / "models" / "owner--name") in note_of(tmp_path)
    assert done.stdout == f"{tmp_path}/out/A_Movie/third.txt\n"
    asked = len(hub.requests)
    assert pipeline("--force", str(movie), env=online).returncode == 0
    assert len(hub.requests) == asked, "what is there is not asked for"


def test_a_model_that_cannot_be_had_is_said_first_and_last_and_ends_nothing(pipeline, movie, tmp_path, online, hub) -> None:
    hub.gated.add("owner/name")
    done = pipeline(str(movie), env=online)
    assert done.returncode == 0
    line = "owner/name (a test) is not here: its terms have to be accepted first; do so at https://huggingface.co/owner/name"
    lines = done.stderr.splitlines()
    where = [number for number, text in enumerate(lines) if line in text]
    assert len(where) == 2
    assert where[0] < min(number for number, text in enumerate(lines) if "first: " in text)
    assert where[1] == len(lines) - 1
    assert note_of(tmp_path) == "None"


def test_a_model_named_by_a_path_that_is_wrong_ends_the_run_before_the_first_stage(pipeline, movie, tmp_path, online, hub) -> None:
    done = pipeline("--set", f"THIRD_MODEL={tmp_path}/mine", str(movie), env=online)
    assert done.returncode == 4
    assert f"error: {tmp_path}/mine (a test): there is no such folder" in done.stderr
    assert "→ correct the path of the model" in done.stderr
    assert "first: " not in done.stderr


def test_offline_the_hub_is_not_asked(pipeline, movie, tmp_path, online, hub) -> None:
    done = pipeline("--set", "OFFLINE=true", str(movie), env=online)
    assert done.returncode == 0
    assert done.stderr.count("owner/name (a test) is not here: OFFLINE forbids to fetch it") == 2
    assert hub.requests == []


def test_stages_that_are_left_out_need_no_models(pipeline, movie, online, hub) -> None:
    assert pipeline("--only", "first", str(movie), env=online).returncode == 0
    assert hub.requests == []


def test_models_are_asked_for_once_whatever_the_number_of_movies(pipeline, movie, tmp_path, online, hub) -> None:
    hub.status = 500
    (tmp_path / "Another.mp4").write_bytes(b"another movie")
    assert pipeline(str(movie), "Another.mp4", env=online).returncode == 0
    assert len(hub.requests) == 1


def test_prefetch_fetches_and_does_nothing_else(pipeline, tmp_path, online, hub) -> None:
    done = pipeline("--prefetch", "--set", "THIRD_MODEL=owner/name", env=online)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/models/owner--name\n"
    assert not (tmp_path / "out").exists()
    again = pipeline("--prefetch", "--json", env=online)
    (model,) = json.loads(again.stdout)["models"]
    assert model["repo"] == "owner/name" and model["folder"] == f"{tmp_path}/models/owner--name" and len(model["revision"]) == 40


def test_prefetch_fails_when_something_is_missing(pipeline, online, hub) -> None:
    done = pipeline("--prefetch", "--json", "--set", "THIRD_MODEL=owner/other", env=online)
    assert done.returncode == 4
    report = json.loads(done.stdout)
    assert [m["repo"] for m in report["models"]] == ["owner/name"]
    assert [m["repo"] for m in report["missing"]] == ["owner/other"]


def test_prefetch_of_a_job_takes_its_settings(pipeline, movie, tmp_path, online, hub) -> None:
    kept = {name: value for name, value in online.items() if name != "SECOND_MODEL"}
    assert pipeline("--only", "first", "--set", "SECOND_MODEL=owner/name", str(movie), env=kept).returncode == 0
    assert pipeline("--prefetch", "--resume", "out/A_Movie", env=kept).stdout == f"{tmp_path}/models/owner--name\n"


def test_prefetch_takes_no_movie(pipeline, movie) -> None:
    done = pipeline("--prefetch", str(movie))
    assert done.returncode == 2 and "--prefetch takes no movie" in done.stderr


def test_a_dry_run_says_what_would_be_fetched(pipeline, movie, online, hub) -> None:
    assert "owner/name (a test) is not here and would be fetched first" in pipeline("--dry-run", str(movie), env=online).stderr
    assert hub.requests == []


def test_a_token_of_a_settings_file_opens_the_hub_and_is_seen_nowhere(pipeline, movie, tmp_path, online, hub) -> None:
    (tmp_path / "my.env").write_text(f"HF_TOKEN={TOKEN}\n")
    (tmp_path / "my.env").chmod(0o600)
    done = pipeline("--env", "my.env", str(movie), env=online)
    assert {r.authorization for r in hub.requests if r.path.startswith("/api")} == {f"Bearer {TOKEN}"}
    everything = [p.read_bytes() for folder in ("out", "models") for p in (tmp_path / folder).rglob("*") if p.is_file()]
    assert TOKEN not in done.stdout + done.stderr
    assert not any(TOKEN.encode() in content for content in everything)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_while_it_fetches_leaves_nothing_running_and_goes_on_later(
    pipeline, start, movie, tmp_path, online, hub, number
) -> None:
    hub.cut["model.bin"], hub.hold["model.bin"] = 1_500_000, threading.Event()
    process = start(str(movie), env=online)
    deadline = time.monotonic() + 30
    while sum(p.stat().st_size for p in (tmp_path / "models").rglob("*.incomplete")) < 1_000_000:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    process.wait(30)
    wait_for_none(tmp_path)
    hub.hold["model.bin"].set()
    if number != signal.SIGKILL:
        assert process.returncode == 130
    assert pipeline(str(movie), env=online).returncode == 0
    assert hub.transfers("model.bin")[-1].range.startswith("bytes=1")
