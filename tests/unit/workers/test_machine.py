"""What a worker says of the machine that it trains on."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

from search_spaces.work import Announcement
from workers.machine import this_machine


def test_hardware_and_versions_are_those_of_this_machine() -> None:
    """Processor and platform are named, python, etude and torch by version; nothing names the host."""
    machine = this_machine("cpu")

    assert machine.hardware.endswith(torch.backends.cpu.get_cpu_capability())
    assert machine.platform == f"{platform.system()} {platform.machine()}"
    assert machine.versions == {
        "python": platform.python_version(), "etude": version("etude"), "torch": torch.__version__,
    }  # fmt: skip
    assert platform.node() not in machine.model_dump_json()


def test_an_older_worker_says_nothing_of_it() -> None:
    """Its announcement is read all the same."""
    assert Announcement.model_validate({"devices": ["cpu"], "slots": 1, "tasks": []}).machine is None
