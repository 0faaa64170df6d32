"""Workers as actors on a Ray cluster that is there already.

An actor holds the place (CPUs and GPUs) and one worker process in it, the same as anywhere else: it sees the GPUs that
Ray has given the actor, and it gives its trials back when it is asked to, or when the actor ends. Ray carries our
packages to the nodes; Python, torch and whatever else they import have to be there.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search_spaces.log import Log
from search_spaces.problems import InvalidSpec, StoreUnavailable

from .host import Host, worker_command
from .launcher import GONE

PACKAGES = ("search_spaces", "etude", "store", "workers")
"""What a worker needs of the checkout; the nodes get it from here."""
LEAVES_CHILDREN = {"RAY_kill_child_processes_on_worker_exit": "false"}
"""Ray kills what an actor has started when the actor ends. Ours then ends by itself, once its trials are given back."""
NAMESPACE = "etude"


class RayLauncher:
    """Starts actors, and a worker process in each."""

    def __init__(
        self, address: str, flags: Sequence[str], environ: Mapping[str, str], *, cpus: float, gpus: float, log: Log
    ) -> None:
        """Join the cluster at `address`; each worker has so many of its CPUs and GPUs.

        `environ` is what the workers know of the store. It travels as an argument, never as the actors' environment,
        which everybody who may look at the cluster can read: a token may be in it.

        Raises:
            InvalidSpec: Ray is not installed.
            StoreUnavailable: there is no cluster at the address, or it wants a token of its own.
        """
        # We neither start a cluster nor let one be asked about us.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise InvalidSpec("Ray is not installed here: pip install 'etude[ray]'", field="--launcher") from error
        self._ray = ray
        self._flags = flags
        self._environ = dict(environ)
        self._log = log
        modules = [str(Path(__file__).parents[2] / package) for package in PACKAGES]
        surroundings = {"py_modules": modules, "env_vars": LEAVES_CHILDREN}
        try:
            ray.init(address, namespace=NAMESPACE, runtime_env=surroundings, configure_logging=False)
        except (ConnectionError, RuntimeError, TimeoutError, ray.exceptions.RayError) as error:
            raise StoreUnavailable(f"no Ray cluster lets us in at {address}: {error}") from error
        # Spread: a worker beside another wants the same cores. An actor that dies is started anew by the fleet, which
        # knows whether it is still wanted.
        place: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "scheduling_strategy": "SPREAD"}
        self._actor = ray.remote(max_concurrency=3, max_restarts=0, **place)(Hosting)
        self._devices = "all" if gpus else "cpu"

    def start(self, name: str, flags: Sequence[str]) -> Actor:
        """Ask for an actor with a worker in it; it waits until the cluster has room."""
        flags = [*self._flags, *flags, "--name", name, "--devices", self._devices]
        return Actor(self._ray, self._actor.remote(flags, self._environ), self._log.bind(name=name))

    def close(self) -> None:
        """Leave the cluster; actors of ours that still live end."""
        self._ray.shutdown()


class Hosting:
    """The actor: one worker process."""

    def __init__(self, flags: Sequence[str], environ: Mapping[str, str]) -> None:
        self._host = Host(worker_command(flags), environ)

    def node(self) -> str:
        """Return where it is."""
        return os.uname().nodename

    def wait(self) -> int:
        """Return the worker's exit status once it has ended."""
        return self._host.wait()

    def ask(self) -> None:
        """Ask the worker to stop."""
        self._host.ask()


class Actor:
    """One actor, from the request for it to its end."""

    def __init__(self, ray: Any, handle: Any, log: Log) -> None:
        self._ray = ray
        self._handle = handle
        self._log = log
        self._there = handle.node.remote()
        self._end = handle.wait.remote()
        self._status: int | None = None
        self._said = False

    def status(self) -> int | None:
        """Return how its worker has ended, `GONE` when the actor or its node has; None while it lives or waits."""
        if self._status is None and self._is_ready(self._end):
            self._status = self._how_it_ended()
            self._ray.kill(self._handle)  # its place is free at once
        if self._status is None and not self._said and self._is_ready(self._there):
            self._said = True
            self._log.info("actor_placed")
        return self._status

    def ask(self) -> None:
        """Ask the worker to stop; an actor that has no place yet wants none any more."""
        if self._is_ready(self._there):
            self._handle.ask.remote()
        else:
            self.kill()

    def kill(self) -> None:
        """End the actor; its worker then ends as if asked to, if its node lives."""
        self._status = GONE
        self._ray.kill(self._handle)

    def _is_ready(self, reference: Any) -> bool:
        return bool(self._ray.wait([reference], timeout=0)[0])

    def _how_it_ended(self) -> int:
        try:
            return int(self._ray.get(self._end))
        except self._ray.exceptions.RayError as error:
            self._log.warning("actor_gone", reason=str(error).strip().splitlines()[0])
            return GONE
