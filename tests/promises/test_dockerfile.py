"""The Dockerfile, read and linted without an engine."""

from __future__ import annotations

import re

import pytest

from tests.dockerfile_rules import faults
from tests.images import DOCKERFILE, absent, composed, instructions, stages
from tests.machine import ROOT

TARGETS = ("service", "worker")
TEXT = DOCKERFILE.read_text()


def test_the_rules_have_nothing_to_say() -> None:
    """Of versions, users, secrets, lost failures and what else tests/dockerfile_rules.py names."""
    assert faults(TEXT) == []


@pytest.mark.parametrize(
    ("there", "instead", "fault"),
    [
        ("python:3.11-slim-bookworm", "python", "python has no version"),
        ("python:3.11-slim-bookworm", "python:latest", "python:latest has no version"),
        ("FROM base AS worker", "FROM basis AS worker", "basis has no version"),
        ("FROM base AS worker", "FROM base AS service", "another stage has the name service"),
        ("COPY store store", "COPY --from=build store store", "there is no stage build"),
        ("EXPOSE 8000 8080", "EXPOSED 8000", "there is no instruction EXPOSED"),
        ("EXPOSE 8000 8080", "EXPOSE http", "that is no port"),
        ("EXPOSE 8000 8080", "EXPOSE 8000\nADD store store", "ADD is not for us"),
        ("WORKDIR /etude", "WORKDIR etude", "a directory's place depends"),
        ("USER 10001:10001\nEXPOSE", "USER root\nEXPOSE", "it is started as root"),
        ("USER 10001:10001\nEXPOSE", "EXPOSE", "it is started as root"),
        ('CMD ["python", "-m", "service"]', "CMD python -m service", "CMD is no list"),
        ("EXPOSE 8000 8080", 'CMD ["python"]', "CMD stands there twice"),
        ('ARG TORCH_INDEX=""', "ARG INDEX_PASSWORD", "INDEX_PASSWORD stays in the image"),
        ("HOME=/tmp", "HOME=/tmp ETUDE_TOKEN=x", "ETUDE_TOKEN stays in the image"),
        ("mkdir etude search_spaces &&", "mkdir etude search_spaces ;", "; hides a failure"),
        ("mkdir etude search_spaces &&", "echo y |", "| hides a failure"),
        ("mkdir etude search_spaces &&", "cd etude &&", "no cd here"),
        ("mkdir etude search_spaces &&", "mkdir 'etude &&", "ntermin"),
        ("install --no-cache-dir --constraint", "install --constraint", "pip install without --no-cache-dir"),
        ("RUN mkdir", "RUN apt-get install --yes gcc && mkdir", "apt-get install without --no-install-recommends"),
    ],
)
def test_a_mistake_is_heard(there: str, instead: str, fault: str) -> None:
    """Each rule can be broken, and says so."""
    assert there in TEXT

    found = faults(TEXT.replace(there, instead, 1))

    assert any(fault in words for words in found), found


def test_one_base_with_a_tag_and_no_host() -> None:
    """A version of Python and of Debian, by their usual short name; no index of packages is written down."""
    bases = {stage.base for stage in stages().values()} - set(stages())

    assert bases == {"python:3.11-slim-bookworm"}
    assert "://" not in "".join(one.text for one in instructions() if "127.0.0.1" not in one.text)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_holds_what_it_needs_and_no_more(target: str) -> None:
    """Its extra by the pins, and the packages that the extra is for; what is copied exists."""
    stage = stages()[target]
    packages = {"service": {"service", "store"}, "worker": {"workers", "store"}}[target]

    assert stage.extras == {{"service": "service", "worker": "workers"}[target]}
    assert {name for name in stage.copied if (ROOT / name).is_dir()} == packages | {"search_spaces", "etude"}
    assert all((ROOT / name).exists() for name in stage.copied)
    installs = [one.values[0] for one in instructions() if "pip install" in one.text]
    assert all("--constraint constraints.txt" in words for words in installs)


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
    all_of_them = list(enumerate(instructions()))
    copies = [index for index, one in all_of_them if one.name == "COPY" and one.values[-1] != "./"]
    installs = [index for index, one in all_of_them if "pip install" in one.text]
    worker = next(index for index, one in all_of_them if one.values == ("base", "AS", "worker"))

    for first, last in ((0, worker), (worker, len(all_of_them))):
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
