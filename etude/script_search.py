"""`etude search`: a training script is looked at and searched by a service and a worker of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from search_spaces.model import problem_from_validation
from search_spaces.problems import Conflict, NotFound
from search_spaces.results import Answer, StudyView
from search_spaces.script_spec import ScriptSpec
from search_spaces.study import StudySpec

from .client import Client
from .pace import ENDED
from .parts import PartFailed, Parts
from .ports import free_port
from .process import end_with_parent
from .script_answer import SCRIPT_FILE
from .settings import CLIENT_VARIABLES, PartsSettings
from .waiting import wait_for_end

OFFER_SECONDS = 120.0
"""What a worker may take to start and offer the script."""


class CannotBeSearched(RuntimeError):
    """The look at a script has found that nothing fits; the text says why."""


def place_of(settings: PartsSettings, name: str) -> PartsSettings:
    """Return the settings of the parts that search one script: a store of the study's own, free ports."""
    own = replace(settings, data_dir=place_of_answer(settings, name))
    return own.on_ports(free_port(own.host), free_port(own.host))


def place_of_answer(settings: PartsSettings, name: str) -> Path:
    """Return the directory in which the search of a study keeps its store, and at its end the answer."""
    return settings.data_dir / "search" / name


def check_study(fields: Mapping[str, Any]) -> None:
    """Refuse a study with a wrong field before its script is looked at, which may take long.

    Only the service knows the task; `current` it reads in more ways than a study has, so that is left to it.

    Raises:
        InvalidSpec: it names the field.
    """
    known = {key: value for key, value in fields.items() if key != "current"}
    try:
        StudySpec.model_validate({**known, "task": {"name": "script"}})
    except ValidationError as error:
        raise problem_from_validation(error) from error


def look_at(spec: ScriptSpec, settings: PartsSettings, root: Path, *, seconds: float) -> dict[str, Any]:
    """Look at a script in a process of the checkout; what it says goes to stderr. Remembered, it is not done again.

    Raises:
        CannotBeSearched: nothing fits.
    """
    file = write_script(spec, settings)
    command = [sys.executable, "-m", "workers.scripts.check", "--script", str(file), "--json"]
    command += ["--remember", str(settings.data_dir), "--check-seconds", str(seconds)]
    looked = subprocess.run(
        command, cwd=root, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False,
        preexec_fn=end_with_parent(),
    )  # fmt: skip
    if not looked.stdout:
        raise CannotBeSearched("the look at the script ended without a word; see above")
    report: dict[str, Any] = json.loads(looked.stdout)
    if not report["fits"]:
        raise CannotBeSearched("\n".join(report["words"]))
    return report


def write_script(spec: ScriptSpec, settings: PartsSettings) -> Path:
    """Write the script file that the worker is started with; JSON is YAML, too."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    file = settings.data_dir / SCRIPT_FILE
    file.write_text(spec.model_dump_json(indent=1, exclude_none=True), encoding="utf-8")
    return file


class ScriptSearch:
    """A service, unless one is named, and a worker that offers one script; leaving the `with` block ends them."""

    def __init__(
        self,
        settings: PartsSettings,
        root: Path,
        spec: ScriptSpec,
        version: str,
        *,
        environ: Mapping[str, str],
    ) -> None:
        self._parts = Parts(settings, root, environ=environ)
        self._settings = settings
        self._spec = spec
        self._version = version
        self._url = environ.get("ETUDE_URL")
        # A worker for a service elsewhere is told what the client is.
        self._client_variables = {name: environ[name] for name in CLIENT_VARIABLES if name in environ}
        self.client = Client(self._url or settings.url)

    def __enter__(self) -> ScriptSearch:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._parts.stop()

    def find(self, name: str) -> StudyView | None:
        """Start the service, unless one is named, and return the study of that name if it has one.

        Raises:
            PartFailed: the service does not start.
            Conflict: the study is of something else, or of another version of the script.
        """
        if self._url is None:
            self._parts.start_service()
        try:
            view = self.client.get(name)
        except NotFound:
            return None
        task = view.spec.task
        known = task.version or self._version_of(name)
        if task.name != self._spec.name or known not in (None, self._version):
            raise Conflict(
                f"a study {name} is there already, and it is of {task.name} in another version: the script or its "
                f"command has changed since. Choose another --name, or delete it: {self._settings.data_dir}"
            )
        return view

    def _version_of(self, name: str) -> str | None:
        task = self.client.best(name).task
        return task.version or None if task is not None else None

    def submit(self, fields: Mapping[str, Any]) -> None:
        """Submit the study once the worker offers the script, so that what is wrong with it is said at once.

        Raises:
            PartFailed: the worker has ended, or offers nothing in time.
            InvalidSpec: a field of the study is refused.
        """
        self.start_worker()
        self._parts.wait_until(self._is_offered, "the worker does not offer the script", seconds=OFFER_SECONDS)
        task = {"name": self._spec.name, "version": self._version}
        self.client.submit({**fields, "task": task})

    def start_worker(self) -> None:
        """Start the worker; the command is its own, and nobody else's."""
        file = str(self._settings.data_dir / SCRIPT_FILE)
        name = f"search-{os.uname().nodename}-{os.getpid()}"
        arguments = ("workers", "--script", file, "--name", name)
        self._parts.start("worker", *arguments, environ=self._client_variables)

    def wait(self, name: str) -> Answer:
        """Follow the study to its end.

        Raises:
            PartFailed: the service or the worker has ended.
        """
        wait_for_end(self.client, name, progress=True, timeout=None, look=self._parts.check)
        return self.client.best(name)

    def _is_offered(self) -> bool:
        return any(
            (task.name, task.version) == (self._spec.name, self._version)
            for worker in self.client.workers()
            if worker.live
            for task in worker.tasks
        )


__all__ = [
    "ENDED", "CannotBeSearched", "PartFailed", "ScriptSearch", "check_study", "look_at", "place_of", "place_of_answer",
    "write_script"
]  # fmt: skip
