"""A Ray cluster of this machine alone: real nodes as processes on loopback, with a token of its own."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.machine import ROOT, descendants

LOOPBACK = "import ray._private.services as services; services.get_node_ip_address = lambda address=None: '127.0.0.1'"
"""Ray takes 127.0.0.1 for a mistake and puts another of the machine's addresses in its place."""
STORE_BYTES = 80_000_000


class Nodes:
    """The cluster's nodes, of which some can be killed."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address: str = cluster.address

    def add(self, cpus: int) -> Any:
        """Start a node."""
        node = self._cluster.add_node(num_cpus=cpus, num_gpus=0, **_quiet())
        self._cluster.wait_for_nodes()
        return node

    def kill(self, node: Any) -> None:
        """End a node as a power cut does: its processes, those of actors and what they have started, all at once."""
        roots = [found.process.pid for kind in node.all_processes.values() for found in kind]
        for pid in [below for root in roots for below in descendants(root)] + roots:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._cluster.remove_node(node, allow_graceful=False)

    def worker(self, log: Path, *flags: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start `python -m workers --launcher ray` here."""
        program = f"{LOOPBACK}; import sys; from workers.__main__ import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", program, "--launcher", "ray", "--address", self.address, *flags]
        with log.open("wb") as out:
            return subprocess.Popen(command, cwd=ROOT, env=os.environ | environ, stdout=out, stderr=out)


@contextmanager
def ray_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """A head that takes no work; every process of it ends with the block."""
    if find_spec("ray") is None:
        pytest.fail("Ray is not installed: make soak does that")
    # Paths of sockets are short: Ray's place is not below pytest's.
    with tempfile.TemporaryDirectory(prefix="ray") as place:
        Path(place, "ray").mkdir()
        for name, value in _surroundings(place).items():
            monkeypatch.setenv(name, value)
        from ray._private import services  # once imported, it knows what its environment was
        from ray.cluster_utils import Cluster

        monkeypatch.setattr(services, "get_node_ip_address", lambda address=None: "127.0.0.1")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0, **_quiet(place)})
        try:
            yield Nodes(cluster)
        finally:
            cluster.shutdown()


def _surroundings(place: str) -> dict[str, str]:
    return {
        "HOME": place, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_GRAFANA_HOST": "", "RAY_TMPDIR": place,
        # Ray gives way to all others on its machine (15), and on a busy one would hardly get a turn.
        "RAY_worker_niceness": "0",
    }  # fmt: skip


def _quiet(place: str | None = None) -> dict[str, Any]:
    head = {} if place is None else {"temp_dir": f"{place}/ray"}
    return {
        "node_ip_address": "127.0.0.1", "include_dashboard": False, "object_store_memory": STORE_BYTES, **head,
    }  # fmt: skip
