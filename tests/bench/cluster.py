"""Throughput of native/workflow on two nodes against one: six short movies, a Slurm on this machine, each node on a core of its own.

    native/venvs/dev/bin/python tests/bench/cluster.py [--rounds 3]

Needs root, Linux and two cores with nothing else to do. Prints a table; docs/cluster.md says what was measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import cluster_movies
import slurm_nodes

from reelscribe.stage_table import NATIVE


def seconds(nodes: tuple[str, ...], movies: list[Path]) -> float:
    """How long the movies take on these nodes, from the start of run.sh to its end."""
    with tempfile.TemporaryDirectory() as scratch, slurm_nodes.cluster(Path(scratch) / "slurm", nodes) as slurm:
        command = [str(NATIVE / "workflow" / "run.sh"), "--profile", "slurm", "--out", f"{scratch}/out"]
        command += [*cluster_movies.settings(), *cluster_movies.QUICK, *map(str, movies)]
        started = time.monotonic()
        environment = {**os.environ, **slurm.environment, "OFFLINE": "true"}
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
        return time.monotonic() - started


def main() -> None:
    """One node and two in turns; medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    missing = slurm_nodes.install()
    if missing:
        sys.exit(missing)
    with tempfile.TemporaryDirectory() as scratch:
        movies = cluster_movies.make(Path(scratch) / "movies")
        taken: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(rounds):
            for count in taken:
                taken[count].append(seconds(slurm_nodes.NODES[:count], movies))
    print("| nodes | six movies, s | throughput |\n| --- | --- | --- |")
    alone = statistics.median(taken[1])
    for count, found in taken.items():
        middle = statistics.median(found)
        print(f"| {count} | {middle:.0f} ({min(found):.0f}–{max(found):.0f}) | {alone / middle:.2f} |")
    print(f"\n{rounds} rounds, load average " + " ".join(f"{load:.1f}" for load in os.getloadavg()))


if __name__ == "__main__":
    main()
