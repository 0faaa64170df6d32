"""docker-compose.yml as Docker Compose reads it, without an engine; tests/acceptance/test_composed.py runs it."""

from __future__ import annotations

import importlib.util
import ipaddress
import subprocess
from pathlib import Path
from typing import Any

import pytest

from service.settings import Settings
from store.settings import StoreSettings
from tests.images import COMPOSE_FILE, composed, read_by_compose, stages
from workers.settings import WorkerSettings
from workers.timing import Timing

SERVICES: dict[str, dict[str, Any]] = composed()["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
LASTING = {name: service for name, service in SERVICES.items() if name != "migrate"}
COMMANDS = {
    "migrate": "store upgrade",
    "service": "service --only api",
    "coordinator": "service --only coordinator",
    "clock": "service --only clock",
    "dashboard": "service --only dashboard",
    "worker": "workers",
    "worker-gpu": "workers --devices all",
}


def seconds(duration: str) -> float:
    """Read a duration such as `1m30s`."""
    minutes, _, rest = duration.rpartition("m")
    return 60.0 * float(minutes or 0) + float(rest.removesuffix("s") or 0)


def test_a_mistake_in_the_file_is_seen(tmp_path: Path) -> None:
    """Docker Compose itself reads the file: a misspelt key is refused."""
    file = tmp_path / "docker-compose.yml"
    file.write_text(COMPOSE_FILE.read_text().replace("stop_grace_period:", "stop_grace:", 1))

    with pytest.raises(subprocess.CalledProcessError) as refused:
        read_by_compose(file)

    assert "stop_grace" in refused.value.stderr


def test_every_part_is_there() -> None:
    """PostgreSQL, its upgrade, two services, coordinator, clock, dashboard, and workers of two kinds, by profile."""
    commands = {name: " ".join(service["command"]) for name, service in OURS.items()}

    assert commands == {name: f"python -m {command}" for name, command in COMMANDS.items()}
    assert set(SERVICES) - set(OURS) == {"postgres"}
    assert SERVICES["service"]["deploy"]["replicas"] == 2
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {"worker": ["cpu"], "worker-gpu": ["gpu"]}


def test_the_gpu_profile_reserves_every_gpu() -> None:
    """And no other service asks for a device."""
    devices = {
        name: service["deploy"]["resources"]["reservations"]["devices"]
        for name, service in SERVICES.items()
        if "reservations" in service.get("deploy", {}).get("resources", {})
    }

    assert devices == {"worker-gpu": [{"driver": "nvidia", "count": -1, "capabilities": ["gpu"]}]}


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_container_is_of_the_image_that_holds_its_module(name: str) -> None:
    """`python -m MODULE` with a `__main__`, whose package its target of the Dockerfile copies; one tag a target."""
    service = OURS[name]
    module = service["command"][2]
    target = service["build"]["target"]

    assert importlib.util.find_spec(f"{module}.__main__") is not None
    assert module in stages()[target].copied
    assert service["image"] == f"etude-{target}"


def test_every_variable_is_a_setting() -> None:
    """A misspelt variable would be ignored without a word; one is the HTTP server's own."""
    known = {
        f"ETUDE_{field.upper()}" for model in (Settings, StoreSettings, WorkerSettings) for field in model.model_fields
    } | {"FORWARDED_ALLOW_IPS"}
    images = {name for stage in stages().values() for name in stage.environment if name.startswith("ETUDE_")}

    assert images <= known
    for service in OURS.values():
        assert set(service["environment"]) <= known


def test_the_store_and_the_lease_are_the_same_for_all() -> None:
    """One URL, that of the file's PostgreSQL, without a password; a lease that the user may set for all at once."""
    postgres = SERVICES["postgres"]["environment"]
    url = f"postgresql+psycopg://{postgres['POSTGRES_USER']}@postgres:5432/{postgres['POSTGRES_DB']}"
    leased = composed(ETUDE_LEASE_SECONDS="20")["services"]

    assert {service["environment"]["ETUDE_DATABASE_URL"] for service in OURS.values()} == {url}
    assert {leased[name]["environment"]["ETUDE_LEASE_SECONDS"] for name in OURS} == {"20"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_can_change_nothing_but_its_volumes(name: str) -> None:
    """No root, no capability, a read-only root file system; /tmp is memory, and what lasts is a named volume."""
    service = SERVICES[name]
    privileges = {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "userns_mode"} & set(service)

    assert privileges == set()
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == ("postgres" if name == "postgres" else stages()[service["build"]["target"]].user)
    assert service["tmpfs"][0].partition(":")[0] == "/tmp"
    assert {volume["type"] for volume in service.get("volumes", [])} <= {"volume"}


def test_checkpoints_outlive_a_worker() -> None:
    """Workers share a volume where the image says that data is; nothing of the service's lies in a container."""
    where = {name: [volume["target"] for volume in service.get("volumes", [])] for name, service in OURS.items()}
    data = stages()["worker"].environment["ETUDE_DATA_DIR"]

    assert {name: targets for name, targets in where.items() if targets} == {"worker": [data], "worker-gpu": [data]}


def test_secrets_are_files_that_only_those_get_who_need_them() -> None:
    """Everything of the store has its password; the admin's token is for who checks tokens, the key for who takes
    webhooks and who tells them; none stands in the file."""
    given = {name: {secret["source"] for secret in service["secrets"]} for name, service in SERVICES.items()}
    named = {
        name: {Path(value).name for variable, value in service["environment"].items() if variable.endswith("_FILE")}
        for name, service in SERVICES.items()
    }
    texts = [variable for service in SERVICES.values() for variable in service["environment"]]

    assert given == named
    assert all("database-password" in secrets for secrets in given.values())
    assert {name for name, secrets in given.items() if "admin-token" in secrets} == {"service", "dashboard"}
    assert {name for name, secrets in given.items() if "webhook-key" in secrets} == {"service", "clock"}
    assert not {"ETUDE_ADMIN_TOKEN", "ETUDE_TOKEN", "ETUDE_WEBHOOK_KEY", "POSTGRES_PASSWORD"} & set(texts)
    assert {Path(secret["file"]).parent.name for secret in composed()["secrets"].values()} == {"secrets"}


def test_only_loopback_is_published_unless_the_user_says_more() -> None:
    """The service's replicas have a port each; PostgreSQL and the coordinator are reached by nobody outside."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    opened = composed(ETUDE_PUBLISH="0.0.0.0")["services"]
    [ports] = published["service"]
    first, last = ports["published"].split("-")

    assert set(published) == {"service", "dashboard"}
    assert all(ipaddress.ip_address(port["host_ip"]).is_loopback for port in [*published["dashboard"], ports])
    assert int(last) - int(first) + 1 == SERVICES["service"]["deploy"]["replicas"]
    assert opened["service"]["ports"][0]["host_ip"] == "0.0.0.0"
    assert composed()["networks"]["store"]["internal"] is True
    assert {name for name, service in SERVICES.items() if set(service["networks"]) == {"store"}} == {
        "postgres", "migrate", "coordinator",
    }  # fmt: skip


def test_workers_show_their_metrics_to_their_network_alone() -> None:
    """At the port that the file exposes; none of it is published."""
    ports = {name: service["expose"] for name, service in SERVICES.items() if "expose" in service}
    told = {name: service["environment"].get("ETUDE_METRICS_PORT") for name, service in OURS.items()}

    assert set(ports) == {"worker", "worker-gpu"}
    assert {name: [port] for name, port in told.items() if port} == ports


def test_what_ends_is_started_again_and_what_hangs_is_seen() -> None:
    """All but the upgrade, which ends; and nothing of ours begins before it has."""
    waits = {name: service["depends_on"]["migrate"]["condition"] for name, service in OURS.items() if name != "migrate"}

    assert set(waits.values()) == {"service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert SERVICES["migrate"]["restart"] == "no"
    assert {service["restart"] for service in LASTING.values()} == {"unless-stopped"}
    assert all(service["healthcheck"]["test"] for service in LASTING.values())


def test_a_container_is_given_the_time_that_its_part_takes_to_stop() -> None:
    """A worker gives its trials back within its grace period, a service drains; they are killed only long after it."""
    for service in OURS.values():
        assert seconds(service["stop_grace_period"]) >= 2 * Timing.grace
        assert seconds(service["stop_grace_period"]) >= 10 + 2 * float(
            service["environment"].get("ETUDE_DRAIN_SECONDS", 0)
        )
        assert service["init"] is True, "process 1 would be deaf to SIGTERM until it listens, and reap no orphans"
