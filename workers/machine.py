"""What this worker trains on and with, as it says of itself."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import torch

from search_spaces.work import Machine


def this_machine(device: str) -> Machine:
    """Describe a device of this machine and the software that trains on it."""
    return Machine(
        hardware=device_name(device),
        platform=f"{platform.system()} {platform.machine()}",
        versions={"python": platform.python_version(), "etude": version("etude"), "torch": torch.__version__},
    )


def device_name(device: str) -> str:
    """Return what a device is called: a GPU's name, else the processor's with the instructions that torch uses."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
