"""What a server can do to whoever asks it: nothing, in bounded time and memory, whatever it sends, and no key goes to another."""

from __future__ import annotations

import shutil
import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from hostile_server import BEHAVIOURS, HostileServer

from reelscribe.transport import Bounded, Limits, TooLargeError, TooSlowError, within

KEY = "canary-key"
MOST = 1 << 20
LIMIT_S = 1.5


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer() as server:
        yield server


def asked(url: str, *, piece: int | None = None, limit_s: float = LIMIT_S) -> requests.Response:
    """The answer, read to its end."""
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, Bounded(Limits(MOST, head_s=limit_s, body_s=limit_s, piece=piece)))
        return session.get(url, headers={"Authorization": f"Bearer {KEY}"}, timeout=5)


@pytest.mark.parametrize("behaviour", [name for name in BEHAVIOURS if name != "elsewhere"])
def test_every_answer_ends_in_bounded_time_and_memory(server: HostileServer, behaviour: str) -> None:
    server.behaviour = behaviour
    expected = {
        "endless": TooLargeError,
        "slow body": TooSlowError,
        "slow headers": requests.Timeout,
        "silent": requests.Timeout,
        "cut": requests.RequestException,
    }
    started = time.monotonic()
    tracemalloc.start()
    try:
        if behaviour in expected:
            with pytest.raises(expected[behaviour]):
                asked(server.url)
        else:
            assert len(asked(server.url).content) <= MOST
        assert tracemalloc.get_traced_memory()[1] < 8 * MOST
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < 10 * LIMIT_S


def test_a_slow_line_is_patiently_read_as_long_as_each_piece_comes_in_time(server: HostileServer) -> None:
    server.behaviour = "slow body"
    with pytest.raises(TooSlowError):
        asked(server.url, piece=MOST)
    with pytest.raises(TimeoutError):
        within(4 * LIMIT_S, lambda: asked(server.url, piece=1))  # one byte is a piece: nothing ends this but us


def test_a_key_does_not_follow_a_redirect_to_another_host(server: HostileServer) -> None:
    with HostileServer("absent") as other:
        server.behaviour, server.elsewhere = "elsewhere", other.url.replace("127.0.0.1", "localhost")
        asked(server.url)
        assert [key for _, key in server.seen] == [f"Bearer {KEY}"]
        assert [key for _, key in other.seen] == [""]


def test_a_server_whose_certificate_nobody_vouches_for_is_sent_nothing(tmp_path: Path) -> None:
    with HostileServer("echo", certificate=self_signed(tmp_path)) as server:
        with pytest.raises(requests.exceptions.SSLError):
            asked(server.url, limit_s=5)
        assert server.seen == []


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    made = folder / "server.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-keyout",
        str(made),
        "-out",
        str(folder / "certificate"),
    ]
    subprocess.run([*new, *subject], check=True, capture_output=True)
    made.write_bytes(made.read_bytes() + (folder / "certificate").read_bytes())
    return made


def test_what_raises_or_hangs_in_its_own_thread_does_so_for_the_caller() -> None:
    assert within(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)
    with pytest.raises(TimeoutError):
        within(0.05, lambda: time.sleep(0.5))
