"""The parts as processes, tried with small modules in a directory of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from etude.parts import PartFailed, Parts
from etude.ports import PortTaken, check_ports, free_port
from etude.settings import PartsSettings

ROOT = Path(__file__).resolve().parents[3]
WAITS = "import time\nprint('ready', flush=True)\ntime.sleep(600)\n"
DEAF = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(600)\n"
)
FAILS = "print('first line')\nraise SystemExit('the disk is full')\n"
WITH_CHILD = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True)\ntime.sleep(600)\n"
)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    for name, text in {"waits": WAITS, "deaf": DEAF, "fails": FAILS, "with_child": WITH_CHILD}.items():
        (tmp_path / f"{name}.py").write_text(text)
    with Parts(PartsSettings(data_dir=tmp_path / "var"), tmp_path) as started:
        yield started


def until(reached: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something that another process does."""
    give_up = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < give_up, "it did not come"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_stopping_ends_every_part(parts: Parts) -> None:
    """SIGTERM is enough for a part that hears it."""
    part = parts.start("first", "waits")
    until(part.tail)

    parts.stop()

    assert part.exit_status == -signal.SIGTERM
    assert list(parts) == []


def test_a_part_that_does_not_stop_is_killed_after_the_grace(parts: Parts) -> None:
    """Nothing outlives the command."""
    part = parts.start("deaf", "deaf")
    until(part.tail)

    parts.stop(grace_seconds=0.2)

    assert part.exit_status == -signal.SIGKILL


def test_the_children_of_a_part_end_with_it(parts: Parts) -> None:
    """A part is a process group, and the whole group is ended."""
    part = parts.start("parent", "with_child")
    until(part.tail)
    child = int(part.tail())
    assert is_alive(child)

    parts.stop()

    until(lambda: not is_alive(child))


def test_a_part_that_dies_is_told_with_the_end_of_its_log(parts: Parts) -> None:
    """The text names the part, its status, its log and what it said last."""
    part = parts.start("broken", "fails")
    until(lambda: part.exit_status is not None)

    with pytest.raises(PartFailed) as caught:
        parts.check()

    told = str(caught.value)
    assert "broken ended with status 1" in told
    assert str(part.log) in told
    assert "first line\nthe disk is full" in told


def test_the_told_end_is_of_this_start_only(parts: Parts) -> None:
    """Logs grow over starts; an old failure is not shown as this one's."""
    first = parts.start("broken", "fails")
    until(lambda: first.exit_status is not None)

    second = parts.start("broken", "waits")
    until(second.tail)

    assert second.tail() == "ready"
    assert "the disk is full" in second.log.read_text()


def test_a_part_killed_from_outside_is_told_with_the_signal(parts: Parts) -> None:
    """kill -9 of a part is seen."""
    part = parts.start("first", "waits")
    until(part.tail)
    os.kill(part.pid, signal.SIGKILL)
    until(lambda: part.exit_status is not None)

    with pytest.raises(PartFailed, match="first was ended by signal 9"):
        parts.check()


def test_waiting_ends_when_a_part_dies(parts: Parts) -> None:
    """What is waited for cannot come any more."""
    parts.start("broken", "fails")

    with pytest.raises(PartFailed, match="the disk is full"):
        parts.wait_until(lambda: False, "never ready")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children of their parent's death on Linux only")
def test_parts_die_with_their_parent_even_by_kill_9(tmp_path: Path) -> None:
    """Who started the parts cannot leave them behind."""
    (tmp_path / "waits.py").write_text(WAITS)
    program = (
        "import time\nfrom pathlib import Path\nfrom etude.parts import Parts\n"
        "from etude.settings import PartsSettings\n"
        f"parts = Parts(PartsSettings(data_dir=Path({str(tmp_path)!r})), Path({str(tmp_path)!r}))\n"
        "print(parts.start('first', 'waits').pid, flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent, parent.stdout as said:
        pid = int(said.readline())
        assert is_alive(pid)

        parent.kill()

        until(lambda: not is_alive(pid))


@pytest.mark.parametrize("name", ["ETUDE_PORT", "ETUDE_DASHBOARD_PORT"])
def test_a_taken_port_names_the_variable_to_set(tmp_path: Path, name: str) -> None:
    """The error says which port, and what would choose another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"ETUDE_PORT": str(free_port()), "ETUDE_DASHBOARD_PORT": str(free_port()), name: str(port)}
        settings = PartsSettings.from_environment(ports | {"ETUDE_DATA_DIR": str(tmp_path)})

        with pytest.raises(PortTaken, match=rf"port {port} on 127\.0\.0\.1 is in use.*set {name}"):
            check_ports(settings)


def test_parts_do_not_inherit_the_clients_address(tmp_path: Path) -> None:
    """With ETUDE_URL a worker of `etude up` would work for another service."""
    settings = PartsSettings(data_dir=tmp_path, port=9000)

    environment = settings.environment({"ETUDE_URL": "http://elsewhere", "ETUDE_TOKEN": "secret", "HOME": "/root"})

    assert "ETUDE_URL" not in environment
    assert "ETUDE_TOKEN" not in environment
    assert environment["HOME"] == "/root"
    assert environment["ETUDE_DATABASE_URL"] == f"sqlite:///{tmp_path / 'etude.db'}"
    assert environment["ETUDE_PORT"] == "9000"
