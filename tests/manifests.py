"""deploy/kubernetes as the tests read it: documents by kind and name, and the containers of every pod."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from tests.machine import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
NOT_FOR_THE_CLUSTER = "kustomization.yaml"


@cache
def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """Every document that a cluster is sent, by kind and name; each is there once."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for file in sorted(FOLDER.glob("*.yaml")):
        if file.name == NOT_FOR_THE_CLUSTER:
            continue
        for document in yaml.safe_load_all(file.read_text()):
            key = document["kind"], document["metadata"]["name"]
            assert key not in found
            found[key] = document
    return found


@dataclass(frozen=True)
class Pod:
    """What one Deployment, StatefulSet or Job starts."""

    name: str
    owner: dict[str, Any]

    @property
    def template(self) -> dict[str, Any]:
        """Its labels and its spec."""
        template: dict[str, Any] = self.owner["spec"]["template"]
        return template

    @property
    def spec(self) -> dict[str, Any]:
        """The pod's own."""
        spec: dict[str, Any] = self.template["spec"]
        return spec

    @property
    def container(self) -> dict[str, Any]:
        """The one container."""
        [container] = self.spec["containers"]
        return dict(container)

    @property
    def environment(self) -> dict[str, str]:
        """What its process finds, those of ConfigMaps first, as Kubernetes does."""
        maps = [source["configMapRef"]["name"] for source in self.container.get("envFrom", [])]
        shared = {name: value for known in maps for name, value in manifests()["ConfigMap", known]["data"].items()}
        return shared | {variable["name"]: variable["value"] for variable in self.container.get("env", [])}

    @property
    def mounts(self) -> dict[str, dict[str, Any]]:
        """Volumes by the path where they are mounted."""
        volumes = {volume["name"]: volume for volume in self.spec["volumes"]}
        claims = {claim["metadata"]["name"]: claim for claim in self.owner["spec"].get("volumeClaimTemplates", [])}
        return {mount["mountPath"]: (volumes | claims)[mount["name"]] for mount in self.container["volumeMounts"]}


@cache
def pods() -> dict[str, Pod]:
    """Every pod by the name of what starts it."""
    owners = {name: document for (_, name), document in manifests().items() if "template" in document.get("spec", {})}
    return {name: Pod(name, owner) for name, owner in owners.items()}
