"""docker-compose.yml and the Dockerfile, read without an engine."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import pytest
import sqlalchemy
import yaml

from service.settings import Settings, is_loopback
from store.settings import StoreSettings
from tests.machine import ROOT
from workers.settings import WorkerSettings

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_same_parts_as_up_are_started() -> None:
    """PostgreSQL, the API with its coordinator, the dashboard, two workers."""
    commands = {name: service["command"][2:] for name, service in OURS.items()}

    assert commands == {
        "service": ["service"], "dashboard": ["service", "--only", "dashboard"], "worker": ["workers"],
    }  # fmt: skip
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    assert "postgres" in SERVICES


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_starts_a_module_that_exists(name: str) -> None:
    """`python -m MODULE` with a `__main__`."""
    python, flag, module, *_ = OURS[name]["command"]

    assert (python, flag) == ("python", "-m")
    assert importlib.util.find_spec(f"{module}.__main__") is not None


def test_every_variable_is_a_setting() -> None:
    """A misspelt variable would be ignored without a word."""
    known = {
        f"ETUDE_{field.upper()}" for model in (Settings, StoreSettings, WorkerSettings) for field in model.model_fields
    }

    for service in OURS.values():
        assert set(service["environment"]) <= known


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_everything_is_on_loopback(name: str) -> None:
    """The host's network, no published port, no address but loopback: there are no tokens yet."""
    service = SERVICES[name]
    addresses = re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", str(service))

    assert service["network_mode"] == "host"
    assert "ports" not in service
    assert addresses
    assert all(is_loopback(address) for address in addresses)


def test_the_store_is_the_postgresql_of_the_file() -> None:
    """User, password, database and port of the URL are those that PostgreSQL is started with."""
    postgres = SERVICES["postgres"]
    urls = {service["environment"]["ETUDE_DATABASE_URL"] for service in OURS.values()}
    (url,) = (sqlalchemy.make_url(text) for text in urls)

    assert (url.drivername, url.host) == ("postgresql+psycopg", "127.0.0.1")
    assert f"port={url.port}" in postgres["command"]
    assert "listen_addresses=127.0.0.1" in postgres["command"]
    assert postgres["environment"] == {
        "POSTGRES_USER": url.username, "POSTGRES_PASSWORD": url.password, "POSTGRES_DB": url.database,
    }  # fmt: skip


def test_the_image_holds_every_package() -> None:
    """What is copied exists, and every package of ours is copied."""
    copied = {word for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]}

    assert {"search_spaces", "etude", "store", "service", "workers", "pyproject.toml", "constraints.txt"} <= copied
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_does_not_work_as_root() -> None:
    """The last user named is one that the file makes."""
    users = re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE)

    assert users[-1:] == ["etude"]
    assert "useradd --create-home etude" in DOCKERFILE
