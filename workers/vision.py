"""torchvision beside a torch without CUDA.

The wheel of the package index is linked for CUDA. Beside a CPU build of torch its compiled part does not load, and its
import fails where it registers shapes for two operators that only this part defines. Their schemas are enough for
what is used here: data sets, models and transforms in Python.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

import torch

OPERATORS = ("nms", "qnms")
MISSING = "torchvision is not installed: pip install torchvision"

_kept: list[torch.library.Library] = []
# Operators live as long as the object that defined them.


def installed() -> bool:
    """Tell whether torchvision is there, without importing it."""
    return importlib.util.find_spec("torchvision") is not None


def torchvision(part: str = "") -> ModuleType:
    """Return torchvision, or one of its parts (`datasets`, `models`).

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    name = f"torchvision.{part}".rstrip(".")
    try:
        return importlib.import_module(name)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    # The import was left half done.
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == "torchvision"]:
        del sys.modules[loaded]
    _define_operators()
    return importlib.import_module(name)


def _define_operators() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in OPERATORS:
        schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library.define(schema)  # type: ignore[no-untyped-call]
    _kept.append(library)
