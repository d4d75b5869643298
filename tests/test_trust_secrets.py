"""Keys are nowhere, the network is left alone when it is told to be, and no model's file runs as a program.

The short form of tests/soak/keys.py: some tries of each kind, and a whole run without a network. `tests/soak.sh keys` has them all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import python_of

from reelscribe.network import QUIET
from reelscribe.stage_table import NATIVE, ROOT

sys.path.append(str(ROOT / "tests" / "soak"))
import keys
from _canary import FORMS, KEY, left_in, run, spelt_in

pytestmark = pytest.mark.timeout(900)
ALWAYS = (
    "crash, segfault",
    "crash, exception",
    "file, TMDB_TOKEN, 0600",
    "file, TMDB_TOKEN, 0640",
    "file, HF_TOKEN, 0604",
    "asked, TMDB_TOKEN from the environment, echo",
    "asked, TMDB_TOKEN from the file, elsewhere",
    "asked, TMDB_TOKEN from the environment, slow headers",
    "asked, HF_TOKEN from the environment, wrong key",
    "asked, HF_TOKEN from the file, elsewhere",
)


@pytest.mark.parametrize("name", ALWAYS)
def test_a_key_is_nowhere_whatever_happens(name: str) -> None:
    assert keys.attempt(dict(keys.all_tries())[name]) == []


@pytest.mark.skipif(not keys.has_namespaces(), reason="this kernel gives us no network namespace")
def test_a_whole_run_needs_no_network_and_tries_none() -> None:
    assert keys.attempt(keys.offline) == []


def test_the_harness_sees_a_key_that_is_somewhere(tmp_path: Path) -> None:
    for name, form in FORMS.items():
        assert name in spelt_in(f"before {form} after")
    (tmp_path / "a").write_text("{" + FORMS["in hexadecimal"] + "}")
    assert list(left_in(tmp_path)) == ["a holds the key in hexadecimal"]
    code = "import subprocess, sys; subprocess.run(['sh', '-c', 'sleep 2; echo $1', 'worker.py', sys.argv[1][::-1]])"
    ran = run([sys.executable, "-c", code, KEY[::-1]], {**os.environ, "TMDB_TOKEN": KEY}, tmp_path)
    kinds = ("a command line holds the key: sh", "an environment holds the key: sh", "stdout holds the key itself")
    assert all(any(problem.startswith(kind) for problem in ran.problems) for kind in kinds)


# -- offline and telemetry ----------------------------------------------------------------------------------------------

REACH = """
import json, socket, sys
from reelscribe import network
network.set_up(offline=True)
def tried(function):
    try:
        function()
    except OSError as error:
        return error.strerror
udp, pair = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socketpair()
print(json.dumps([
    tried(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2)),
    tried(lambda: socket.getaddrinfo("localhost", 80)),
    tried(lambda: udp.sendto(b"x", ("127.0.0.1", int(sys.argv[1])))),
    tried(lambda: pair[0].sendall(b"x")),
]))
"""


def test_offline_a_process_of_ours_reaches_nobody() -> None:
    with keys.HostileServer() as server:
        port = server.url.rsplit(":", 1)[1]
        done = subprocess.run([python_of("core"), "-c", REACH, port], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [*["OFFLINE forbids the network"] * 3, None]
    assert server.seen == []


SEEN = """
import json, os, sys
sys.path.append(sys.argv[1])
from reelscribe import stage, stage_table
row = stage_table.find("diarization")
contract = stage.load_contract(row)
def check(options, device):
    from reelscribe import pyannote_models
    with pyannote_models.quiet():
        from opentelemetry.sdk.trace import TracerProvider
        from pyannote.audio.telemetry.metrics import is_metrics_enabled
        import huggingface_hub.constants as hub
        recorded = TracerProvider().get_tracer("x").start_span("x").is_recording()
        seen = {"pyannote": is_metrics_enabled(), "opentelemetry": recorded, "hub": hub.HF_HUB_DISABLE_TELEMETRY}
    return json.dumps({**seen, **{name: os.environ.get(name) for name in json.loads(sys.argv[2])}})
from dataclasses import replace
from reelscribe.runner import run_command_line
sys.exit(run_command_line(replace(contract, check=check), ["--check"]))
"""


def test_telemetry_is_off_in_a_running_stage_and_its_keys_are_gone(child_environment: dict[str, str]) -> None:
    """What pyannote and the hub's client themselves say, in the environment that has them all."""
    names = [*QUIET, "HF_TOKEN", "TORCH_FORCE_WEIGHTS_ONLY_LOAD"]
    command = [python_of("diarization"), "-c", SEEN, str(NATIVE / "stages"), json.dumps(names)]
    wanting = {**child_environment, "HF_TOKEN": KEY, "PYANNOTE_METRICS_ENABLED": "1", "HF_HUB_DISABLE_TELEMETRY": "0"}
    done = subprocess.run(command, env=wanting, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(json.loads(done.stdout)["result"])
    assert (seen.pop("pyannote"), seen.pop("opentelemetry"), seen.pop("hub")) == (False, False, True)
    assert seen == {**QUIET, "HF_TOKEN": None, "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}
    assert spelt_in(done.stdout + done.stderr) == []
