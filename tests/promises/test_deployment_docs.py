"""The pages of deployment: their commands name what there is, and the secrets they make are of use."""

from __future__ import annotations

import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from store import open_store
from store.sealing import Seal
from store.settings import StoreSettings
from store.tokens import set_admin_token
from tests.images import COMPOSE_FILE, composed, stages
from tests.machine import ROOT
from tests.manifests import manifests
from tests.promises.documents import blocks

DEPLOYMENT, KUBERNETES = "docs/deployment.md", "docs/kubernetes.md"
COMMANDS = [command for page in (DEPLOYMENT, KUBERNETES) for block in blocks(page) for command in block.commands]
SECRETS = next(block for block in blocks(DEPLOYMENT) if "openssl" in block.text)
KINDS = {"deployment": "Deployment", "service": "Service", "job": "Job"}


def words(*beginning: str) -> list[list[str]]:
    """Commands of the pages that begin so, as words."""
    return [words for command in COMMANDS if (words := shlex.split(command))[: len(beginning)] == list(beginning)]


def test_every_block_is_of_commands() -> None:
    """Nothing on the pages escapes the tests below."""
    assert {block.language for page in (DEPLOYMENT, KUBERNETES) for block in blocks(page)} == {"bash"}
    assert len(words("docker", "compose")) > 5
    assert len(words("kubectl")) > 8


def test_the_secrets_that_the_page_makes_are_of_use(sqlite_url: str, tmp_path: Path) -> None:
    """They are the files of the compose file, in a hidden directory; a password, a token and a key that are taken."""
    subprocess.run(["bash", "-ec", SECRETS.text], cwd=tmp_path, check=True, timeout=60)
    password, token, key = (tmp_path / "secrets" / name for name in ("database-password", "admin-token", "webhook-key"))
    settings = StoreSettings(database_url="postgresql://etude@postgres/etude", database_password_file=password)
    store = open_store(sqlite_url)
    seal = Seal(lambda _make: key.read_text().split())

    set_admin_token(store, token.read_text().strip())
    store.close()

    assert {file.name for file in (tmp_path / "secrets").iterdir()} == set(composed()["secrets"])
    assert f":{password.read_text().strip()}@" in settings.url
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert all(file.stat().st_mode & stat.S_IROTH for file in (password, token, key))
    assert seal.open(seal.close("https://hooks.example.com")) == "https://hooks.example.com"


def test_compose_commands_name_profiles_and_services() -> None:
    """Of the compose file."""
    services = composed()["services"]
    profiles = {profile for service in services.values() for profile in service.get("profiles", [])}

    for command in words("docker", "compose"):
        line = " ".join(command)
        assert set(re.findall(r"--profile (\S+)", line)) <= profiles | {"*"}
        assert set(re.findall(r"--scale (\w+)=", line)) <= set(services)
        assert set(re.findall(r"(?:exec|run)(?: --[\w-]+)* (\w\S*)", line)) <= set(services)


def test_image_commands_name_targets() -> None:
    """Of the Dockerfile, with the tag that the compose file uses."""
    built = {(command[3], command[5]) for command in words("docker", "build")}

    assert built == {(target, f"etude-{target}") for target in ("service", "worker")}
    assert {target for target, _ in built} <= set(stages())


def test_kubectl_commands_name_what_the_manifests_make() -> None:
    """Kinds, names, ports and files."""
    services = {name: document for (kind, name), document in manifests().items() if kind == "Service"}

    for command in words("kubectl"):
        line = " ".join(command)
        for kind, name in re.findall(r"\b(deployment|service|job)/(\S+)", line):
            assert (KINDS[kind], name) in manifests()
        for file in re.findall(r"\bdeploy/\S+", line):
            assert (ROOT / file).exists()
        for name, port in re.findall(r"service/(\w+) \d+:(\d+)", line):
            assert int(port) in {given["port"] for given in services[name]["spec"]["ports"]}


def test_the_table_of_variables_is_that_of_the_compose_file() -> None:
    """Every variable that the file reads, and no other."""
    section = (ROOT / DEPLOYMENT).read_text().partition("## What to set")[2].partition("\n## ")[0]
    told = {
        name
        for row in section.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([A-Z_]+)`", row.split("|")[1])
    }
    read = set(re.findall(r"\$\{([A-Z_]+)[:}]", COMPOSE_FILE.read_text()))

    assert told == read


def test_the_table_of_services_is_that_of_the_compose_file() -> None:
    """Every service with its image."""
    section = (ROOT / DEPLOYMENT).read_text().partition("## What runs")[2].partition("\n## ")[0]
    rows = [row.split("|") for row in section.splitlines() if row.startswith("| `")]
    told = {re.findall(r"`([^`]+)`", row[1])[0]: row[2].strip(" `") for row in rows}

    assert told == {name: service["image"] for name, service in composed()["services"].items()}


@pytest.mark.parametrize("page", [DEPLOYMENT, KUBERNETES])
def test_links_lead_somewhere(page: str) -> None:
    """Within the repository."""
    for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(link).exists(), link
