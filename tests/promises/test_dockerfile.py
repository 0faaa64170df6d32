"""The Dockerfile, read and linted without an engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.images import DOCKERFILE, absent, composed, instructions, stages
from tests.machine import ROOT

TARGETS = ("service", "worker")
TEXT = DOCKERFILE.read_text()


def test_the_linter_has_nothing_to_say() -> None:
    """hadolint, every level."""
    done = subprocess.run(
        [Path(sys.executable).parent / "hadolint", "--no-color", DOCKERFILE],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_would_be_heard() -> None:
    """The test above can fail: a base without a tag is a fault."""
    done = subprocess.run(
        [Path(sys.executable).parent / "hadolint", "-"],
        input=TEXT.replace("python:3.11-slim-bookworm", "python"), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "DL3006" in done.stdout


def test_one_base_with_a_tag_and_no_host() -> None:
    """A version of Python and of Debian, by their usual short name; no index of packages is written down."""
    bases = {stage.base for stage in stages().values()} - set(stages())

    assert bases == {"python:3.11-slim-bookworm"}
    assert "://" not in "".join(rest for _, rest in instructions(TEXT) if "127.0.0.1" not in rest)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_holds_what_it_needs_and_no_more(target: str) -> None:
    """Its extra by the pins, and the packages that the extra is for; what is copied exists."""
    stage = stages()[target]
    packages = {"service": {"service", "store"}, "worker": {"workers", "store"}}[target]

    assert stage.extras == {{"service": "service", "worker": "workers"}[target]}
    assert {name for name in stage.copied if (ROOT / name).is_dir()} == packages | {"search_spaces", "etude"}
    assert all((ROOT / name).exists() for name in stage.copied)
    assert all("--constraint constraints.txt" in rest for word, rest in instructions(TEXT) if "pip install" in rest)


def test_the_service_s_image_has_no_torch() -> None:
    """Nor anything else of the workers'; and the workers' has nothing of the web."""
    modules = {target: set(absent(stages()[target])[0]) for target in TARGETS}

    assert {"torch", "torchvision", "sklearn", "fsspec", "workers"} <= modules["service"]
    assert {"fastapi", "uvicorn", "optuna_dashboard", "service"} <= modules["worker"]
    assert not {"fastapi", "uvicorn", "optuna", "sqlalchemy", "store"} & modules["service"]
    assert not {"torch", "torchvision", "sqlalchemy", "store"} & modules["worker"]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_does_not_work_as_root(target: str) -> None:
    """By number, so that an orchestrator can tell; its data's directory is that user's."""
    assert stages()[target].user == "10001:10001"
    assert "useradd --uid 10001" in TEXT
    assert "--owner=etude --group=etude /var/lib/etude" in TEXT


def test_sources_come_after_what_they_need() -> None:
    """A change of ours leaves the large layers alone."""
    words = [(word, rest) for word, rest in instructions(TEXT)]
    copies = [index for index, (word, rest) in enumerate(words) if word == "COPY" and " ./" not in rest]
    installs = [index for index, (_, rest) in enumerate(words) if "pip install" in rest]
    worker = next(index for index, (word, rest) in enumerate(words) if word == "FROM" and rest.endswith("AS worker"))

    for first, last in ((0, worker), (worker, len(words))):
        within = range(first, last)
        assert max(index for index in installs if index in within) < min(index for index in copies if index in within)


def test_only_what_is_copied_is_sent_to_the_builder() -> None:
    """Everything is left out but that: no secret, no study and no history of the repository gets into a layer."""
    first, *lines = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
    ]
    copied = set().union(*(stage.copied for stage in stages().values()))

    assert first == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == copied
    assert [line for line in lines if not line.startswith("!")] == ["**/__pycache__"]


def test_the_healthchecks_are_those_of_the_compose_file() -> None:
    """An image that is run by hand is watched, too; the service's by whatever port it has."""
    services = composed()["services"]
    service, worker = (stages()[target].healthcheck for target in TARGETS)

    assert ["CMD", *worker] == services["worker"]["healthcheck"]["test"]
    assert (
        re.sub(r"\{.*\}", "8000", service[2].replace("import os, ", "import ").replace("(f'", "('"))
        == (services["service"]["healthcheck"]["test"][3])
    )
    assert worker[1] == stages()["worker"].environment["ETUDE_PULSE_FILE"]
