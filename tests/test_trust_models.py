"""A model's file that is a program does not run: it is refused with the remedy, and runs when the user says so."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import python_of

from reelscribe.pyannote_models import COMMUNITY, EMBEDDING, SEGMENTATION
from reelscribe.stage_table import ROOT

pytestmark = pytest.mark.timeout(900)
Run = Callable[..., subprocess.CompletedProcess[str]]
RECIPE = ROOT / "tests" / "fixtures" / "recipe" / "community.py"

# What anybody may put into a checkpoint: a call when it is read, a module to import, a function that lightning calls.
SPOIL = """
import os, sys, torch
from pathlib import Path
how, path, victim = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
class Program:
    def __reduce__(self):
        return os.system, (f"touch {victim}",)
checkpoint = torch.load(path, weights_only=False, map_location="cpu")
if how == "call":
    checkpoint["more"] = Program()
if how == "legacy":
    checkpoint = {"state_dict": Program()}
if how == "module":
    checkpoint["pyannote.audio"]["architecture"] = {"module": "spoilt", "class": "Spoilt"}
if how == "instantiator":
    checkpoint["hyper_parameters"]["_instantiator"] = "spoilt.make"
torch.save(checkpoint, path, _use_new_zipfile_serialization=how != "legacy")
"""


@pytest.fixture(scope="module")
def community(tmp_path_factory: pytest.TempPathFactory, child_environment: dict[str, str]) -> Path:
    """MODELS_DIR with a folder that is built like community-1."""
    models_dir = tmp_path_factory.mktemp("models")
    folder = models_dir / COMMUNITY.key
    subprocess.run([python_of("diarization"), RECIPE, folder], env=child_environment, check=True, capture_output=True)
    return models_dir


@pytest.fixture
def spoilt(community: Path, tmp_path: Path, child_environment: dict[str, str]) -> Callable[[str], dict[str, str]]:
    """Spoils a copy; the settings of a stage that finds it, and a module that no stage has any business with."""

    def spoil(how: str, name: str = EMBEDDING) -> dict[str, str]:
        folder = tmp_path / "models" / COMMUNITY.key
        subprocess.run(["cp", "-r", community, tmp_path / "models"], check=True)
        (tmp_path / "spoilt.py").write_text(f"import os\nos.system('touch {tmp_path}/victim')\n")
        command = [python_of("diarization"), "-c", SPOIL, how, folder / name, tmp_path / "victim"]
        subprocess.run(command, env={**child_environment, "PYANNOTE_METRICS_ENABLED": "0"}, check=True, capture_output=True)
        return {"MODELS_DIR": str(tmp_path / "models"), "PYTHONPATH": str(tmp_path)}

    return spoil


def result(done: subprocess.CompletedProcess[str]) -> str:
    return str(json.loads(done.stdout.splitlines()[-1])["result"])


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("call", "is no plain data"),
        ("legacy", "is no plain data"),
        ("module", "wants to import 'spoilt'"),
        ("instantiator", "names a function to call"),
    ],
)
def test_a_checkpoint_that_is_a_program_is_refused(
    run_stage: Run, spoilt: Callable[[str], dict[str, str]], tmp_path: Path, how, why
) -> None:
    done = run_stage("diarization", None, env=spoilt(how), options=["--check"], check=False)
    assert not (tmp_path / "victim").exists()
    assert done.returncode == 6
    assert f"{COMMUNITY.key}/{EMBEDDING} {why}: it could do anything as you" in result(done)
    assert "run again with --trust-model" in result(done)


def test_a_stage_ends_with_it_and_does_not_go_on_with_less(run_stage: Run, spoilt, movie_dir: Path, make_wav, tmp_path: Path) -> None:
    make_wav(movie_dir / "audio" / "audio.wav")
    done = run_stage("pyannote-vad", movie_dir, env=spoilt("call", SEGMENTATION), check=False)
    assert not (tmp_path / "victim").exists()
    assert done.returncode == 4
    assert f"{SEGMENTATION} is no plain data" in done.stderr and "--trust-model" in done.stderr
    assert "Traceback" not in done.stderr and not (movie_dir / "vad").exists()


def test_it_runs_when_the_user_trusts_it(run_stage: Run, spoilt: Callable[[str], dict[str, str]], tmp_path: Path) -> None:
    done = run_stage("diarization", None, env={**spoilt("call"), "TRUST_MODEL": "true"}, options=["--check"])
    assert (tmp_path / "victim").exists()
    assert result(done) == f"{COMMUNITY.repo}: a voice is 64 numbers"


def test_one_that_is_plain_data_needs_no_trust(run_stage: Run, community: Path) -> None:
    done = run_stage("diarization", None, env={"MODELS_DIR": str(community)}, options=["--check"])
    assert result(done) == f"{COMMUNITY.repo}: a voice is 64 numbers"


def test_a_pipeline_of_another_class_is_not_made(run_stage: Run, community: Path, tmp_path: Path) -> None:
    """config.yaml names a class, which pyannote would import and call with what else is there."""
    subprocess.run(["cp", "-r", community, tmp_path / "models"], check=True)
    config = tmp_path / "models" / COMMUNITY.key / "config.yaml"
    config.write_text(
        json.dumps({"pipeline": {"name": "subprocess.Popen", "params": {"args": ["touch", f"{tmp_path}/victim"]}}, "params": {}})
    )
    done = run_stage("diarization", None, env={"MODELS_DIR": str(tmp_path / "models")}, options=["--check"])
    assert not (tmp_path / "victim").exists()
    assert "config.yaml describes no pyannote.audio.pipelines.SpeakerDiarization" in result(done)
    assert "the embedded models take its place" in result(done)


SPOIL_ALIGNER = """
import json, os, sys, torch
from pathlib import Path
from safetensors.torch import load_file
folder, victim = Path(sys.argv[1]), sys.argv[2]
class Program:
    def __reduce__(self):
        return os.system, (f"touch {victim}",)
torch.save({**load_file(folder / "model.safetensors"), "more": Program()}, folder / "pytorch_model.bin")
(folder / "model.safetensors").unlink()
"""


def test_an_aligner_that_is_a_program_or_brings_one_is_refused(tmp_path: Path, child_environment: dict[str, str]) -> None:
    """transformers reads data alone, and runs code beside a model only where it is asked to."""
    folder = tmp_path / "aligner"
    subprocess.run(["cp", "-r", ROOT / "tests" / "fixtures" / "aligner", folder], check=True)
    subprocess.run([python_of("asr"), "-c", SPOIL_ALIGNER, folder, tmp_path / "victim"], env=child_environment, check=True)
    brought = tmp_path / "brought"
    subprocess.run(["cp", "-r", ROOT / "tests" / "fixtures" / "aligner", brought], check=True)
    (brought / "program.py").write_text(f"import os\nos.system('touch {tmp_path}/victim')\n")
    for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json"):
        config = json.loads((brought / name).read_text())
        named = {
            "AutoConfig": "program.A",
            "AutoModelForCTC": "program.B",
            "AutoTokenizer": ["program.C", None],
            "AutoProcessor": "program.D",
        }
        (brought / name).write_text(json.dumps({**config, "auto_map": named}))
    models = {"en": {"name": str(folder)}, "de": {"name": str(brought)}}
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"audio": "", "device": "cpu", "threads": 1, "models": models, "units": []}))
    command = [python_of("asr"), ROOT / "native" / "stages" / "asr" / "align_worker.py", request]
    done = subprocess.run(command, env=child_environment, input="y\ny\ny\n", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "victim").exists()
    assert "would run code of its own" in json.loads(done.stdout.splitlines()[-1])["unusable"]["en"]
