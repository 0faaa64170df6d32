"""deploy/kubernetes by the schemas of Kubernetes, and compared with docker-compose.yml, which says the same."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.scopes import OPEN
from tests.images import composed, stages
from tests.machine import ROOT
from tests.manifests import FOLDER, NOT_FOR_THE_CLUSTER, Pod, manifests, pods

VERSIONS = ("1.30", "1.37")
"""The oldest and the newest that the manifests are held to."""
COMPOSED: dict[str, dict[str, Any]] = composed()["services"]
ALL = sorted(pods())
OURS = [name for name in ALL if name != "postgres"]
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / NOT_FOR_THE_CLUSTER).read_text())


def command_of(probe: dict[str, Any]) -> list[str]:
    """A probe's command as a healthcheck of the compose file."""
    return ["CMD", *probe["exec"]["command"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_fits_the_schemas(version: str) -> None:
    """Strictly: a field that Kubernetes does not know is a mistake, too."""
    for document in manifests().values():
        kubernetes_validate.validate(document, version, strict=True)


def test_a_mistake_in_a_manifest_is_seen() -> None:
    """A misspelt field, and a number where a name is meant."""
    misspelt, mistyped = (copy.deepcopy(manifests()["Deployment", "service"]) for _ in range(2))
    misspelt["spec"]["template"]["spec"]["terminationGrace"] = 30
    mistyped["spec"]["replicas"] = "two"

    for document in (misspelt, mistyped):
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(document, VERSIONS[-1], strict=True)


def test_everything_is_listed_and_in_one_namespace() -> None:
    """`kubectl apply -k` sends every file; images have the tag of this version."""
    files = {file.name for file in FOLDER.glob("*.yaml")} - {NOT_FOR_THE_CLUSTER}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert set(KUSTOMIZATION["resources"]) == files
    assert {image["name"]: image["newTag"] for image in KUSTOMIZATION["images"]} == {
        "etude-service": version, "etude-worker": version,
    }  # fmt: skip
    assert {document["metadata"].get("namespace") for document in manifests().values()} == {"etude", None}
    assert [kind for (kind, _), document in manifests().items() if "namespace" not in document["metadata"]] == [
        "Namespace"
    ]


def test_the_parts_are_those_of_the_compose_file() -> None:
    """The same names, PostgreSQL's too, and as many services."""
    assert set(ALL) == set(COMPOSED)
    assert pods()["service"].owner["spec"]["replicas"] == COMPOSED["service"]["deploy"]["replicas"]


@pytest.mark.parametrize("name", OURS)
def test_a_part_is_started_as_in_the_compose_file(name: str) -> None:
    """The same image, command, environment word for word, and time to stop."""
    pod, other = pods()[name], COMPOSED[name]

    assert pod.container["image"] == other["image"]
    assert pod.container["command"] == other["command"]
    assert pod.environment == other["environment"]
    assert f"{pod.spec['terminationGracePeriodSeconds']}s" == other["stop_grace_period"]


def test_postgresql_is_started_as_in_the_compose_file() -> None:
    """The same image, settings and user; its data lies one directory deeper in the volume."""
    pod, other = pods()["postgres"], COMPOSED["postgres"]

    assert pod.container["image"] == other["image"]
    assert pod.container["command"] == ["docker-entrypoint.sh", *other["command"]]
    assert pod.environment == other["environment"] | {"PGDATA": "/var/lib/postgresql/data/pgdata"}
    assert set(pod.mounts) >= {volume["target"] for volume in other["volumes"]} | set(other["tmpfs"])
    assert command_of(pod.container["readinessProbe"]) == other["healthcheck"]["test"]


@pytest.mark.parametrize("name", ALL)
def test_a_pod_can_change_nothing_but_its_volumes(name: str) -> None:
    """What the profile `restricted` asks for, which the namespace enforces, and a read-only root file system."""
    pod = pods()[name]
    user = 999 if name == "postgres" else int(stages()[COMPOSED[name]["build"]["target"]].user.partition(":")[0])

    assert pod.container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    context = pod.spec["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"], context["runAsGroup"]) == (True, user, user)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (pod.spec["automountServiceAccountToken"], pod.spec["enableServiceLinks"]) == (False, False)
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec)
    assert "emptyDir" in pod.mounts["/tmp"]
    assert {"requests", "limits"} <= set(pod.container["resources"])


@pytest.mark.parametrize("name", ALL)
def test_a_pod_has_the_secrets_of_its_part(name: str) -> None:
    """From one Secret, at the paths that the environment names; the Secret itself is empty here."""
    secret = pods()[name].mounts["/run/secrets"]["secret"]
    keys = {(item["key"], item["path"]) for item in secret["items"]}

    assert secret["secretName"] == "etude"
    assert keys == {(given["source"], given["source"]) for given in COMPOSED[name]["secrets"]}
    assert not {"data", "stringData"} & set(manifests()["Secret", "etude"])


@pytest.mark.parametrize("name", OURS)
def test_a_pod_has_the_volumes_of_its_part(name: str) -> None:
    """And no other that outlives it."""
    claimed = {path for path, volume in pods()[name].mounts.items() if "persistentVolumeClaim" in volume}

    assert claimed == {volume["target"] for volume in COMPOSED[name].get("volumes", [])}


def test_a_lost_worker_s_checkpoints_are_reached_from_other_nodes() -> None:
    """Workers of both kinds share one claim that many nodes may mount; pictures are handed over in memory."""
    workers = [pods()[name] for name in ("worker", "worker-gpu")]

    assert {pod.mounts["/var/lib/etude"]["persistentVolumeClaim"]["claimName"] for pod in workers} == {"work"}
    assert manifests()["PersistentVolumeClaim", "work"]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert {pod.mounts["/dev/shm"]["emptyDir"]["medium"] for pod in workers} == {"Memory"}


def test_gpus_are_asked_for_where_they_are_used() -> None:
    """One for each worker with a GPU, on nodes that are kept for them, too; none for any other part."""
    asked = {name: pod.container["resources"]["limits"].get("nvidia.com/gpu") for name, pod in pods().items()}

    assert {name: count for name, count in asked.items() if count} == {"worker-gpu": 1}
    assert pods()["worker-gpu"].spec["tolerations"][0]["key"] == "nvidia.com/gpu"


@pytest.mark.parametrize("name", ["coordinator", "clock", "worker", "worker-gpu"])
def test_a_part_without_an_address_is_probed_by_its_pulse(name: str) -> None:
    """By the healthcheck of the compose file."""
    assert command_of(pods()[name].container["livenessProbe"]) == COMPOSED[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", ["service", "dashboard"])
def test_a_part_with_an_address_is_probed_at_open_paths(name: str) -> None:
    """Without a token; who is ready is asked of the store, who is alive is not."""
    container = pods()[name].container
    variable = {"service": "ETUDE_PORT", "dashboard": "ETUDE_DASHBOARD_PORT"}[name]
    [port] = container["ports"]
    ready = container["readinessProbe"]["httpGet"]["path"]
    alive = container["livenessProbe"].get("httpGet", {}).get("path")

    assert str(port["containerPort"]) == pods()[name].environment[variable]
    assert ready in OPEN & {"/readyz", "/login"}
    assert f"127.0.0.1:{port['containerPort']}{ready}" in COMPOSED[name]["healthcheck"]["test"][-1]
    assert alive in {"/healthz", None}


def test_what_is_named_is_there() -> None:
    """Every Service, budget and policy finds pods by their labels, at ports that they have; selectors fit templates."""
    labels = {name: pod.template["metadata"]["labels"] for name, pod in pods().items()}
    selectors = {
        key: document["spec"]["selector"].get("matchLabels", document["spec"]["selector"])
        for key, document in manifests().items()
        if "selector" in document.get("spec", {})
    }

    for (kind, name), selector in selectors.items():
        assert selector == labels[name], (kind, name)
    for (kind, name), document in manifests().items():
        if kind == "Service":
            assert {port["targetPort"] for port in document["spec"]["ports"]} == _port_names(pods()[name])
    policy = manifests()["NetworkPolicy", "postgres"]["spec"]
    [door] = policy["ingress"][0]["from"]
    assert policy["podSelector"]["matchLabels"] == labels["postgres"]
    assert all(door["podSelector"]["matchLabels"].items() <= known.items() for known in labels.values())
    assert {key for key in selectors if key[0] == "PodDisruptionBudget"} == {("PodDisruptionBudget", "service")}


def _port_names(pod: Pod) -> set[str]:
    return {port["name"] for port in pod.container["ports"]}


def test_the_store_s_address_is_its_service() -> None:
    """The URL names the Service beside the parts, as the compose file names its container."""
    url = manifests()["ConfigMap", "store"]["data"]["ETUDE_DATABASE_URL"]
    [port] = manifests()["Service", "postgres"]["spec"]["ports"]

    assert f"@postgres:{port['port']}/" in url
