"""Fetching models, from a server on this machine that answers as the hub does: complete, interrupted, damaged, gated, gone, not at all.

The client is the real one, in the core environment, which alone has it.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fake_hub import COMMIT, TOKEN, FakeHub
from hostile_server import HostileServer

from reelscribe.stage_table import NATIVE

WEIGHTS = bytes(range(256)) * 8000  # 2 MB
FILES = {"config.json": b"{}\n", "model.bin": WEIGHTS, "sub/extra.bin": b"x" * 5000, "README.md": b"read me", "other.bin": b"y" * 9000}
NEED = {"repo": "owner/name", "purpose": "a test", "files": ["config.json", "model.safetensors|model.bin"], "extras": ["sub/*", "absent"]}
ALL = {"config.json", "model.bin", "sub/extra.bin", "reelscribe.json"}

PROVIDE = """
import json, sys
from reelscribe import hub, logger
from reelscribe.models import ModelNeed
asked = json.loads(sys.argv[1])
logger.set_up()
hub.PATIENCE_S = asked["patience_s"]
needs = [ModelNeed(**{k: tuple(v) if isinstance(v, list) else v for k, v in need.items()}) for need in asked["needs"]]
outcome = hub.provide(needs, hub.HubOptions(**asked["options"]), parent=asked["parent"])
found = {need.repo: [str(f.folder), f.revision] for need, f in outcome.found}
print(json.dumps({"found": found, "missing": outcome.lines(), "codes": [why.code for _, why in outcome.missing]}))
"""


@dataclass
class Done:
    """What provide() gave and said. found: folder and commit by repository; seconds: from start to end."""

    found: dict[str, list[str]]
    missing: list[str]
    codes: list[int]
    said: str
    seconds: float


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """One model at the hub."""
    hub = FakeHub({"owner/name": dict(FILES)}).start()
    yield hub
    hub.stop()


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def command(models_dir: Path, child_environment: dict[str, str]) -> Callable[..., tuple[list[str], dict[str, str]]]:
    """Command line and environment of a process that provides."""

    def make(
        endpoint: str,
        *needs: dict[str, Any],
        env: dict[str, str] | None = None,
        patience_s: float = 5,
        parent: int | None = None,
        **options: Any,
    ) -> tuple[list[str], dict[str, str]]:
        asked = {"needs": needs or [NEED], "options": {"models_dir": str(models_dir), "hf_endpoint": endpoint, **options}}
        python = NATIVE / "venvs" / "core" / "bin" / "python"
        arguments = [str(python), "-c", PROVIDE, json.dumps({**asked, "patience_s": patience_s, "parent": parent})]
        return arguments, {**child_environment, **(env or {})}

    return make


@pytest.fixture
def provide(command: Callable[..., tuple[list[str], dict[str, str]]]) -> Callable[..., Done]:
    """Provide models in the core environment; whatever happens, that process must not fail."""

    def run(endpoint: str, *needs: dict[str, Any], **options: Any) -> Done:
        arguments, environment = command(endpoint, *needs, **options)
        started = time.monotonic()
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120, check=False)
        seconds = time.monotonic() - started
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return Done(**json.loads(done.stdout), said=done.stderr, seconds=seconds)

    return run


def names(folder: Path) -> set[str]:
    """The files below `folder`."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# -- all goes well ------------------------------------------------------------------------------------------------------


def test_a_model_is_announced_fetched_and_whole(hub: FakeHub, provide: Callable[..., Done], models_dir: Path) -> None:
    done = provide(hub.endpoint)
    folder = models_dir / "owner--name"
    assert done.found == {"owner/name": [str(folder), COMMIT]}
    assert done.missing == []
    assert "fetching owner/name (a test, 2.1 MB)" in done.said
    assert names(folder) == ALL
    assert all((folder / name).read_bytes() == content for name, content in FILES.items() if name in ALL)
    assert names(models_dir / ".partial") == {"owner--name.lock"}


def test_files_that_nobody_asked_for_are_not_fetched(hub: FakeHub, provide: Callable[..., Done]) -> None:
    provide(hub.endpoint)
    assert [r for r in hub.requests if "README" in r.path or "other" in r.path] == []


def test_what_is_there_is_not_asked_for_again(hub: FakeHub, provide: Callable[..., Done], models_dir: Path) -> None:
    provide(hub.endpoint)
    hub.requests.clear()
    again = provide(hub.endpoint)
    assert again.found == {"owner/name": [str(models_dir / "owner--name"), COMMIT]}
    assert hub.requests == []
    assert again.said == ""


def test_a_folder_put_there_by_hand_is_not_asked_for(hub: FakeHub, provide: Callable[..., Done], models_dir: Path) -> None:
    (models_dir / "name").mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (models_dir / "name" / name).touch()
    assert provide(hub.endpoint).found == {"owner/name": [str(models_dir / "name"), ""]}
    assert hub.requests == []


def test_no_telemetry_and_no_other_service_is_asked(hub: FakeHub, provide: Callable[..., Done]) -> None:
    provide(hub.endpoint)
    assert {r.path.split("/")[1] for r in hub.requests} == {"api", "owner", "cdn"}
    assert {r.path for r in hub.requests if r.path.startswith("/api/")} == {"/api/models/owner/name"}


def test_a_revision_is_fetched_into_a_folder_of_its_own(hub: FakeHub, provide: Callable[..., Done], models_dir: Path) -> None:
    done = provide(hub.endpoint, {**NEED, "revision": COMMIT}, {**NEED, "repo": "owner/name", "revision": "v9"})
    assert names(models_dir / f"owner--name@{COMMIT}") == ALL
    assert "has no such model at revision v9" in done.missing[0]


def test_the_same_model_for_two_stages_is_fetched_once(hub: FakeHub, provide: Callable[..., Done]) -> None:
    provide(hub.endpoint, NEED, NEED)
    assert len(hub.transfers("model.bin")) == 1


# -- broken connections -------------------------------------------------------------------------------------------------


def test_a_download_that_breaks_off_goes_on_where_it_was(hub: FakeHub, provide: Callable[..., Done], models_dir: Path) -> None:
    hub.cut["model.bin"] = 1_500_000
    done = provide(hub.endpoint)
    first, second = hub.transfers("model.bin")
    assert first.range == ""
    assert 1_000_000 < int(second.range.removeprefix("bytes=").rstrip("-")) <= 1_500_000
    assert "the connection" in done.said and "going on" in done.said
    assert (models_dir / "owner--name" / "model.bin").read_bytes() == WEIGHTS


def test_a_run_that_was_killed_is_continued_by_the_next_one(
    hub: FakeHub, command: Callable[..., Any], provide: Callable[..., Done], models_dir: Path
) -> None:
    hub.cut["model.bin"], hub.hold["model.bin"] = 1_500_000, threading.Event()
    arguments, environment = command(hub.endpoint)
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: incomplete_bytes(models_dir) > 1_000_000)
        process.kill()
    hub.hold.pop("model.bin").set()
    assert not (models_dir / "owner--name").exists(), "what is half there has no name"
    done = provide(hub.endpoint)
    assert done.missing == []
    assert int(hub.transfers("model.bin")[-1].range.removeprefix("bytes=").rstrip("-")) > 1_000_000
    assert (models_dir / "owner--name" / "model.bin").read_bytes() == WEIGHTS


def incomplete_bytes(models_dir: Path) -> int:
    """How much of a file has arrived."""
    return sum(path.stat().st_size for path in (models_dir / ".partial").rglob("*.incomplete"))


def wait_for(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_hub_that_goes_away_is_waited_for_and_then_given_up(hub: FakeHub, provide: Callable[..., Done], models_dir: Path) -> None:
    hub.cut["model.bin"], hub.gone_after_cut = 1_500_000, True
    done = provide(hub.endpoint, NEED, {**NEED, "repo": "owner/other", "files": ["x"]}, patience_s=1)
    assert done.found == {}
    assert any("stopped answering; run again to go on from there" in line for line in done.missing)
    assert done.codes == [4, 4]
    assert not (models_dir / "owner--name").exists()


def test_a_parent_that_ends_takes_the_download_with_it(hub: FakeHub, command: Callable[..., Any], models_dir: Path) -> None:
    hub.cut["model.bin"], hub.hold["model.bin"] = 1_500_000, threading.Event()
    arguments, environment = command(hub.endpoint, parent=1)  # this test is not process 1
    done = subprocess.run(arguments, env=environment, capture_output=True, timeout=60, check=False)
    hub.hold["model.bin"].set()
    assert done.returncode == 130


def test_two_runs_fetch_a_model_once(hub: FakeHub, command: Callable[..., Any], provide: Callable[..., Done], models_dir: Path) -> None:
    hub.cut["model.bin"], hub.hold["model.bin"] = 1_500_000, threading.Event()
    arguments, environment = command(hub.endpoint)
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as first:
        wait_for(lambda: incomplete_bytes(models_dir) > 1_000_000)
        threading.Timer(2.0, hub.hold["model.bin"].set).start()
        second = provide(hub.endpoint)
        first.communicate(timeout=60)
    assert "another run is fetching owner/name: waiting for it" in second.said
    assert list(second.found) == ["owner/name"]
    assert len(hub.transfers("model.bin")) == 2, "one that broke off and one that went on"


# -- damage -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_a_damaged_file_is_fetched_again(hub: FakeHub, provide: Callable[..., Done], models_dir: Path, name: str) -> None:
    hub.damage[name] = 1
    done = provide(hub.endpoint)
    assert f"{name} arrives damaged; once more" in done.said
    assert [r.range for r in hub.transfers(name)] == ["", ""]
    assert (models_dir / "owner--name" / name).read_bytes() == FILES[name]


def test_a_file_that_stays_damaged_is_never_taken_for_good(hub: FakeHub, provide: Callable[..., Done], models_dir: Path) -> None:
    hub.damage["model.bin"] = 9
    done = provide(hub.endpoint)
    assert done.found == {}
    assert "model.bin arrives damaged" in done.missing[0]
    assert len(hub.transfers("model.bin")) == 2
    assert not (models_dir / "owner--name").exists()
    assert "model.bin" not in {Path(name).name for name in names(models_dir)}


def test_damage_in_what_was_kept_of_an_interrupted_download_is_found(hub: FakeHub, provide: Callable[..., Done], models_dir: Path) -> None:
    hub.cut["model.bin"], hub.gone_after_cut = 1_500_000, True
    provide(hub.endpoint, patience_s=0)
    (kept,) = (models_dir / ".partial").rglob("*.incomplete")
    kept.write_bytes(b"!" + kept.read_bytes()[1:])
    hub.gone_after_cut = False
    hub.start()
    done = provide(hub.endpoint)
    assert "model.bin arrives damaged; once more" in done.said
    assert (models_dir / "owner--name" / "model.bin").read_bytes() == WEIGHTS


def test_a_file_longer_than_it_should_be_is_fetched_anew(hub: FakeHub, provide: Callable[..., Done], models_dir: Path) -> None:
    hub.cut["model.bin"], hub.gone_after_cut = 1_500_000, True
    provide(hub.endpoint, patience_s=0)
    (kept,) = (models_dir / ".partial").rglob("*.incomplete")
    kept.write_bytes(WEIGHTS + b"more")
    hub.gone_after_cut = False
    hub.start()
    assert provide(hub.endpoint).missing == []
    assert (models_dir / "owner--name" / "model.bin").read_bytes() == WEIGHTS


def test_a_folder_that_lacks_something_is_the_users_to_mend(hub: FakeHub, provide: Callable[..., Done], models_dir: Path) -> None:
    (models_dir / "owner--name").mkdir(parents=True)
    (models_dir / "owner--name" / "config.json").touch()
    done = provide(hub.endpoint)
    assert "lacks model.safetensors or model.bin; complete that folder or remove it" in done.missing[0]
    assert hub.requests == []


# -- refusals -----------------------------------------------------------------------------------------------------------


def test_a_gated_model_names_the_page_to_accept(hub: FakeHub, provide: Callable[..., Done]) -> None:
    hub.gated.add("owner/name")
    done = provide(hub.endpoint)
    assert "its terms have to be accepted first; do so at https://huggingface.co/owner/name" in done.missing[0]
    assert "HF_TOKEN" in done.missing[0]
    done = provide(hub.endpoint, hf_token=TOKEN)
    assert "do so at https://huggingface.co/owner/name with the account of HF_TOKEN" in done.missing[0]
    assert done.codes == [4]


def test_the_token_goes_to_the_hub_and_not_to_where_it_sends_us(hub: FakeHub, provide: Callable[..., Done]) -> None:
    provide(hub.endpoint, hf_token=f"{TOKEN}\n")
    by_host = {r.host.split(":")[0]: r.authorization for r in hub.requests}
    assert by_host == {"127.0.0.1": f"Bearer {TOKEN}", "localhost": ""}


def test_a_token_that_nobody_gave_is_not_sent(hub: FakeHub, provide: Callable[..., Done], child_environment: dict[str, str]) -> None:
    login = Path(child_environment["HOME"]) / ".cache" / "huggingface" / "token"
    login.parent.mkdir(parents=True, exist_ok=True)
    login.write_text(TOKEN)
    try:
        provide(hub.endpoint)
    finally:
        login.unlink()
    assert {r.authorization for r in hub.requests} == {""}


def test_a_token_is_not_sent_in_clear_to_another_machine(provide: Callable[..., Done]) -> None:
    done = provide("http://hub.invalid", hf_token=TOKEN)
    assert "HF_TOKEN is not sent to http://hub.invalid, as that is not encrypted" in done.said


@pytest.mark.parametrize("token", ["two words", "line\r\nX-Injected: 1", "schlüssel"])
def test_a_token_that_can_be_none_is_not_sent_and_not_shown(hub: FakeHub, provide: Callable[..., Done], token: str) -> None:
    done = provide(hub.endpoint, hf_token=token)
    assert "HF_TOKEN holds characters that no token has" in done.said
    assert token not in done.said and {r.authorization for r in hub.requests} == {""}


@pytest.mark.parametrize("behaviour", ["garbage", "echo", "endless", "bomb", "cut", "elsewhere"])
def test_a_hub_that_answers_nonsense_is_said_in_a_line(provide: Callable[..., Done], behaviour: str) -> None:
    with HostileServer("absent") as other, HostileServer(behaviour, elsewhere=other.url) as server:
        done = provide(server.url, hf_token=TOKEN)
    assert done.found == {} and len(done.missing) == 1
    assert server.seen[0][1] == f"Bearer {TOKEN}"
    assert not any(authorization for _, authorization in other.seen)


def test_a_name_and_a_password_are_no_part_of_a_hubs_address(provide: Callable[..., Done]) -> None:
    with pytest.raises(AssertionError, match="String should match pattern"):
        provide("https://me:hunter2@127.0.0.1")


def test_a_wrong_token_is_said(hub: FakeHub, provide: Callable[..., Done]) -> None:
    done = provide(hub.endpoint, hf_token="hf_wrong")
    assert "does not know the token in HF_TOKEN" in done.missing[0]
    assert "hf_wrong" not in done.said + done.missing[0]


def test_a_model_that_there_is_not(hub: FakeHub, provide: Callable[..., Done]) -> None:
    other = {**NEED, "repo": "owner/other"}
    assert "has no such model for us; look at https://huggingface.co/owner/other" in provide(hub.endpoint, other).missing[0]
    done = provide(hub.endpoint, other, NEED, hf_token=TOKEN)
    assert "has no such model; look at https://huggingface.co/owner/other" in done.missing[0]
    assert list(done.found) == ["owner/name"], "the others are fetched all the same"


def test_a_model_of_another_kind(hub: FakeHub, provide: Callable[..., Done]) -> None:
    done = provide(hub.endpoint, {**NEED, "files": ["weights.npz"]})
    assert "https://huggingface.co/owner/name has no weights.npz" in done.missing[0]
    assert hub.transfers("model.bin") == []


def test_a_name_that_is_none(hub: FakeHub, provide: Callable[..., Done]) -> None:
    done = provide(hub.endpoint, {**NEED, "repo": "owner/na me"}, {**NEED, "repo": "/not/there"})
    assert "there is no such folder" in done.missing[0] and "/not/there" in done.missing[0]
    assert "owner/na me" in done.missing[1]
    assert hub.requests == []


def test_a_hub_out_of_order(hub: FakeHub, provide: Callable[..., Done]) -> None:
    hub.status = 500
    assert "answers 500" in provide(hub.endpoint, NEED, {**NEED, "repo": "owner/other"}).missing[0]
    assert len(hub.requests) == 1, "what one learns holds for all"


def test_file_names_that_leave_the_folder_are_refused(hub: FakeHub, provide: Callable[..., Done], models_dir: Path) -> None:
    hub.repos["owner/name"]["sub/../../../evil"] = b"evil"
    done = provide(hub.endpoint, {**NEED, "extras": ["sub/*"]})
    assert "file names that leave their folder" in done.missing[0]
    assert not list(models_dir.parent.rglob("evil"))


# -- no network ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{"offline": True}, {"env": {"HF_HUB_OFFLINE": "1"}}])
def test_offline_nothing_is_asked(hub: FakeHub, provide: Callable[..., Done], how: dict[str, Any]) -> None:
    done = provide(hub.endpoint, **how)
    assert hub.requests == []
    assert "OFFLINE forbids to fetch it" in done.missing[0]


def test_a_hub_that_is_not_there_costs_one_attempt(provide: Callable[..., Done]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = provide(endpoint, *({**NEED, "repo": f"owner/{number}"} for number in range(20)))
    assert len(done.missing) == 20
    assert all("127.0.0.1 cannot be reached (connection refused)" in line for line in done.missing)


def test_a_network_that_swallows_everything_costs_two_seconds_in_all(provide: Callable[..., Done]) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # the queue is full: further connections get no answer at all
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        done = provide(f"http://127.0.0.1:{full.getsockname()[1]}", NEED, {**NEED, "repo": "owner/other"})
        for client in waiting:
            client.close()
    assert [line.partition("(a test) ")[2] for line in done.missing] == [
        "is not here: 127.0.0.1 cannot be reached (no answer within 2 s)"
    ] * 2
    assert done.seconds < 10


def test_a_proxy_on_the_way_is_what_must_answer(hub: FakeHub, provide: Callable[..., Done]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = provide("https://hub.invalid", env={"HTTPS_PROXY": proxy})
    assert "127.0.0.1 cannot be reached (connection refused)" in done.missing[0]


# -- the disk -----------------------------------------------------------------------------------------------------------


def test_too_little_space_is_said_before_anything_is_fetched(hub: FakeHub, provide: Callable[..., Done], models_dir: Path) -> None:
    hub.claim["model.bin"] = 10**18
    done = provide(hub.endpoint)
    assert "more are needed on that disk; free some, or name another folder in MODELS_DIR" in done.missing[0]
    assert done.codes == [5]
    assert hub.transfers("model.bin") == []


def test_a_models_dir_that_cannot_be_made(hub: FakeHub, provide: Callable[..., Done], models_dir: Path) -> None:
    models_dir.write_text("a file")
    done = provide(hub.endpoint)
    assert f"{models_dir} cannot be used: Not a directory; correct MODELS_DIR" in done.missing[0]


def test_how_far_it_is_goes_to_a_terminal(hub: FakeHub, command: Callable[..., Any]) -> None:
    hub.cut["model.bin"], hub.hold["model.bin"] = 1_500_000, threading.Event()
    arguments, environment = command(hub.endpoint)
    leader, follower = os.openpty()
    with subprocess.Popen(
        arguments, env=environment | {"TERM": "xterm", "COLUMNS": "120"}, stdout=subprocess.DEVNULL, stderr=follower
    ) as process:
        os.close(follower)
        screen = b""
        while not re.search(rb"\d\d %.*1\.\d MB of 2\.1 MB", screen):
            screen += os.read(leader, 65536)
        hub.hold["model.bin"].set()
        with pytest.raises(OSError, match="Input/output error"):
            while os.read(leader, 65536):
                pass
        assert process.wait(60) == 0
    os.close(leader)
    assert "models" in screen.decode()


# -- the real stages ----------------------------------------------------------------------------------------------------


def test_the_stages_ask_for_what_they_are_told_to_use(
    hub: FakeHub, child_environment: dict[str, str], models_dir: Path, tmp_path: Path
) -> None:
    community = "pyannote/speaker-diarization-community-1"
    whisper, aligner = "Systran/faster-whisper-tiny", "facebook/wav2vec2-base-960h"
    hub.repos[whisper] = dict.fromkeys(("config.json", "model.bin", "tokenizer.json", "vocabulary.txt", "README.md"), b"x" * 2000)
    hub.repos[aligner] = dict.fromkeys(
        ("config.json", "preprocessor_config.json", "vocab.json", "pytorch_model.bin", "tf_model.h5"), b"x" * 2000
    )
    names_of_community = ["config.yaml", *(f"{part}/pytorch_model.bin" for part in ("segmentation", "embedding"))]
    hub.repos[community] = dict.fromkeys([*names_of_community, "plda/xvec_transform.npz", "plda/plda.npz"], b"x")
    hub.gated.add(community)
    environment = {"OFFLINE": "false", "HF_ENDPOINT": hub.endpoint, "MODELS_DIR": str(models_dir), "HF_TOKEN": TOKEN}
    command = [str(NATIVE / "pipeline.sh"), "--prefetch", "--backend", "whisperx", "--model", "tiny", "--language", "en"]
    done = subprocess.run(
        command, cwd=tmp_path, env=child_environment | environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 4, done.stderr
    assert done.stdout.split() == [f"{models_dir}/Systran--faster-whisper-tiny", f"{models_dir}/facebook--wav2vec2-base-960h"]
    assert names(models_dir / "facebook--wav2vec2-base-960h") & {"pytorch_model.bin", "tf_model.h5"} == {"pytorch_model.bin"}
    assert f"do so at https://huggingface.co/{community} with the account of HF_TOKEN" in done.stderr
    assert TOKEN not in done.stdout + done.stderr
