"""How much of a GPU is in use, as its driver says; of a CPU the metrics of the machine tell."""

from __future__ import annotations

import contextlib

import torch

from search_spaces.work import DeviceUsage


def usage_of(device: str) -> list[DeviceUsage]:
    """Return the use of a GPU by all processes together; of a CPU, or where the driver does not answer, nothing."""
    if torch.device(device).type != "cuda":
        return []
    try:
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError:
        return []  # a device that is in trouble: the training says more
    used = DeviceUsage(device=device, memory_used_bytes=total - free, memory_total_bytes=total)
    return [used.model_copy(update={"utilization": _utilization(device)})]


def _utilization(device: str) -> float | None:
    # A part of a GPU (MIG), a driver without NVML, a container that hides it: each raises an error of its own.
    with contextlib.suppress(Exception):
        return min(1.0, max(0.0, torch.cuda.utilization(device) / 100.0))
    return None
