"""native/workflow on a real Slurm of two nodes: six movies, a node that is switched off in the middle, the bytes of pipeline.sh."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cluster_movies
import pytest
import slurm_nodes
from slurm_nodes import Cluster

from reelscribe import lease
from reelscribe.stage_table import NATIVE

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes; what keeps them from being had is a skip."""
    missing = slurm_nodes.install()
    if missing:
        pytest.skip(missing)
    with slurm_nodes.cluster(tmp_path_factory.mktemp("cluster") / "slurm") as made:
        yield made


def products(movie_dir: Path) -> dict[str, bytes]:
    """Everything that the manifests name."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((movie_dir / "manifests").glob("[0-9]*.json"))]
    assert [record["status"] for record in records] == ["done"] * 10
    return {name: (movie_dir / name).read_bytes() for record in records for name in record["outputs"]}


def hosts(movie_dirs: Iterator[Path]) -> set[str]:
    """The machines that the stages of these movies ran on."""
    found = (path for folder in movie_dirs for path in (folder / "manifests").glob("[0-9]*.json"))
    return {json.loads(path.read_text(encoding="utf-8"))["run"]["host"] for path in found}


def wait_for(ready: Callable[[], bool], running: subprocess.Popen[str], what: str) -> None:
    """Until `ready`; the run must not end before."""
    while not ready():
        assert running.poll() is None, f"the run ended before {what}"
        time.sleep(0.2)


def running_on(slurm: Cluster, node: str) -> bool:
    """Whether a job has been running there for some seconds, so that a stage of its is at work."""
    times = slurm.ask("squeue", "--noheader", "--states=RUNNING", "--nodelist", node, "--format=%M").splitlines()
    return any(int(t.rpartition(":")[2]) >= 8 for t in times)


def test_six_movies_on_two_nodes_of_which_one_dies(
    slurm: Cluster, tmp_path: Path, child_environment: dict[str, str], measured: Callable[[str], None]
) -> None:
    movies = cluster_movies.make(tmp_path / "movies")
    out, alone = tmp_path / "out", tmp_path / "alone"
    pipeline = [str(NATIVE / "pipeline.sh"), *cluster_movies.settings()]
    # The first one is begun as on a laptop.
    subprocess.run([*pipeline, "--out", str(out), "--to", "silero-vad", str(movies[1])], env=child_environment, check=True)
    begun = (out / "Piece_1" / "manifests" / "04_silero-vad.json").read_bytes()

    command = [str(NATIVE / "workflow" / "run.sh"), "--profile", "slurm", "--out", str(out)]
    command += [*cluster_movies.settings(), *cluster_movies.QUICK, *map(str, movies)]
    started = time.monotonic()
    log = tmp_path / "run.log"
    with open(log, "w", encoding="utf-8") as talk:
        running = subprocess.Popen(
            command,
            env={**child_environment, **slurm.environment},
            stdout=subprocess.PIPE,
            stderr=talk,
            text=True,
            stdin=subprocess.DEVNULL,
        )
    try:
        wait_for(lambda: {"n1", "n2"} <= hosts(out.glob("*_*")), running, "both nodes were used")
        held = subprocess.run(
            [*pipeline, "--out", str(out), str(movies[0])], env=child_environment, capture_output=True, text=True, check=False
        )
        assert held.returncode == 7, held.stderr
        wait_for(lambda: running_on(slurm, "n2"), running, "n2 had something to do")
        slurm.kill_node("n2")
        wait_for(lambda: slurm.state("n2").startswith("down"), running, "the node was missed")
        slurm.start_node("n2")
        paths, _ = running.communicate()
    finally:
        running.terminate()
        running.wait()
    assert running.returncode == 0, log.read_text(encoding="utf-8")[-6000:]
    assert len(paths.splitlines()) == 6
    assert all(Path(path).is_file() for path in paths.splitlines())
    assert not (out / "_workflow").exists()
    assert (out / "Piece_1" / "manifests" / "04_silero-vad.json").read_bytes() == begun
    measured(f"six movies on two nodes, one of which died: {time.monotonic() - started:.0f} s")

    # What a cluster left is what one machine makes, and nothing to do for it.
    subprocess.run([*pipeline, "--out", str(alone), *map(str, movies)], env=child_environment, check=True, capture_output=True)
    names = sorted(path.name for path in alone.iterdir())
    assert len(names) == 6
    for name in names:
        expected, made = products(alone / name), products(out / name)
        assert sorted(made) == sorted(expected)
        assert [file for file in expected if made[file] != expected[file]] == [], name
        assert lease.holder(out / name) is None
        assert (out / name / "report.html").is_file()
    chunks = json.loads((out / "Long_Night" / "manifests" / "07_asr.json").read_text(encoding="utf-8"))["notes"]
    assert chunks["chunks_reused"] == chunks["chunks"] == 3
