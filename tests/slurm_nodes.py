"""A Slurm cluster of two nodes on this machine: munged, slurmctld and, each in namespaces of its own, two slurmd.

A node has its own host name and process ids, as another machine has, and one core where there are several; killing it kills all that runs
on it in the same moment. Nothing outlives the process that started it.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("slurm-wlm", "munge")
NODES = ("n1", "n2")
_PR_SET_PDEATHSIG = 1
_START_S = 60.0

_CONF = """
ClusterName=reelscribe
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdTimeout=10
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=2
SlurmdParameters=config_overrides
NodeName=n1 NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=20000
NodeName=n2 NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=20000
PartitionName=movies Nodes={nodes} Default=YES MaxTime=INFINITE State=UP
"""


def install() -> str:
    """Get what is needed; why there can be no cluster here, empty when there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a cluster on one machine needs Linux and root"
    if not all(map(shutil.which, ("slurmctld", "slurmd", "sbatch", "munged"))):
        if not shutil.which("apt-get"):
            return "Slurm is not installed"
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
            done = subprocess.run(
                ["apt-get", *command], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            if done.returncode:
                return f"apt-get {command[0]} failed: {done.stderr.strip()[-200:]}"
    if subprocess.run([*_namespaces(), "true"], capture_output=True, check=False).returncode:
        return "no namespaces can be made here"
    return ""


def _namespaces() -> list[str]:
    return ["unshare", "--pid", "--uts", "--mount-proc", "--fork", "--kill-child"]


def _die_with_parent() -> None:
    """The kernel kills this process when its parent is gone (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@dataclass
class Cluster:
    """A cluster with its files in `folder`. environment: what its commands need to find it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    _daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, nodes: Sequence[str] = NODES) -> None:
        """Start it and wait until the nodes may be used. Raises RuntimeError."""
        (self.folder / "state").mkdir(parents=True)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        self.folder.chmod(0o755)
        conf = self.folder / "slurm.conf"
        conf.write_text(_CONF.format(host=socket.gethostname(), folder=self.folder, ports=_free_ports(3), nodes=",".join(nodes)))
        self.environment = {"SLURM_CONF": str(conf)}
        files = {"key-file": "key", "socket": "sock", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        self._run("munged", ["munged", "-F", "--force", *(f"--{option}={self.folder}/munge.{end}" for option, end in files.items())])
        self._wait(lambda: (self.folder / "munge.sock").exists())
        self._run("slurmctld", ["slurmctld", "-D", "-f", str(conf)])
        for node in nodes:
            self.start_node(node)
        self._wait(lambda: all(self.state(node) == "idle" for node in nodes))

    def start_node(self, name: str) -> None:
        """Switch a node on."""
        cores = sorted(os.sched_getaffinity(0))
        core = cores[NODES.index(name) % len(cores)]
        # srun looks for the configuration there: the step's environment has no SLURM_CONF.
        there = f"mkdir -p /etc/slurm && mount --bind {shlex.quote(str(self.folder))} /etc/slurm"
        script = f"hostname {name} && {there} && exec taskset -c {core} slurmd -D -N {name} -f {self.environment['SLURM_CONF']}"
        self._run(name, [*_namespaces(), "sh", "-c", script])

    def kill_node(self, name: str) -> None:
        """Switch a node off, with all that runs on it."""
        node = self._daemons.pop(name)
        node.kill()
        node.wait()

    def state(self, node: str) -> str:
        """`idle`, `mixed`, `allocated`, `down*` …; empty when nobody knows."""
        return self.ask("sinfo", "--noheader", "--nodes", node, "--format=%T")

    def ask(self, *command: str) -> str:
        """What a command of Slurm's prints."""
        done = subprocess.run(command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def stop(self) -> None:
        """End every daemon and all jobs."""
        for daemon in reversed(self._daemons.values()):
            daemon.kill()
            daemon.wait()
        self._daemons.clear()

    def _run(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        with open(self.folder / f"{name}.out", "ab") as out:
            self._daemons[name] = subprocess.Popen(
                command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=_die_with_parent,
            )

    def _wait(self, ready) -> None:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + _START_S
        while not ready():
            ended = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if ended or time.monotonic() > deadline:
                said = [path.read_text(errors="replace")[-2000:] for path in sorted(self.folder.glob("*.out"))]
                raise RuntimeError(f"the cluster did not start ({', '.join(ended) or 'too slow'}):\n" + "\n".join(said))
            time.sleep(0.1)


@contextmanager
def cluster(folder: Path, nodes: Sequence[str] = NODES) -> Iterator[Cluster]:
    """A cluster while the block runs."""
    made = Cluster(folder)
    try:
        made.start(nodes)
        yield made
    finally:
        made.stop()
