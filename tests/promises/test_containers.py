"""What stands for a container in tests keeps a process to what a container would let it do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.containers import Container
from tests.machine import ROOT

DEEDS = {
    "import torch": "No module named 'torch'",
    "import workers": "No module named 'workers'",
    "from importlib.metadata import version; version('torch')": "PackageNotFoundError",
    "open('/etc/etude', 'w')": "Read-only file system",
    "import os; os.mkdir('/var/lib/etude')": "Read-only file system",
    "from pathlib import Path; Path('README.md').touch()": "Read-only file system",
}
ALLOWED = "import jinja2, tempfile; tempfile.TemporaryFile().close(); open('/dev/null', 'w').close()"


def spoken(container: Container, program: str) -> str:
    """What Python says at the end of a program in that container; nothing where it does what it is asked."""
    done = subprocess.run(
        [sys.executable, "-c", program], env=container.environment, cwd=ROOT, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    return done.stderr


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Container:
    """One of the service's, of which nothing is started."""
    return Container(tmp_path_factory.mktemp("containers"), "service", 1, "127.0.0.1:1")


@pytest.mark.parametrize("deed", DEEDS)
def test_what_a_container_cannot_do_fails(deed: str, container: Container) -> None:
    """What the image has not is not found; what is no volume cannot be written."""
    assert DEEDS[deed] in spoken(container, deed)


def test_what_a_container_can_do_works(container: Container) -> None:
    """Its own libraries, its /tmp and its devices."""
    assert spoken(container, ALLOWED) == ""


def test_only_hosts_ports_and_places_are_put_in_place(container: Container, tmp_path: Path) -> None:
    """Everything else is the file's own, word for word; an unknown container is refused."""
    environment = container.definition["environment"]
    same = {name for name, value in environment.items() if container.environment[name] == value}

    assert set(environment) - same == {
        "ETUDE_ADMIN_TOKEN_FILE", "ETUDE_DATABASE_PASSWORD_FILE", "ETUDE_DATABASE_URL", "ETUDE_HOST", "ETUDE_PORT",
        "ETUDE_WEBHOOK_KEY_FILE",
    }  # fmt: skip
    assert container.part.arguments == container.definition["command"][2:]
    with pytest.raises(KeyError):
        Container(tmp_path, "nobody", 1, "127.0.0.1:1")
