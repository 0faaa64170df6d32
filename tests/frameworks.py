"""The frameworks that answers are exported to, imported once, without network."""

from __future__ import annotations

import importlib
import logging
import os
from types import ModuleType

from workers import vision


def pytorch_lightning() -> ModuleType:
    """Lightning, silent on which devices there are."""
    _import_torchvision()
    library = importlib.import_module("pytorch_lightning")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    return library


def transformers() -> ModuleType:
    """transformers, which is not to ask its hub for anything."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", ACCELERATE_USE_CPU="true")
    _import_torchvision()
    return importlib.import_module("transformers")


def keras() -> ModuleType:
    """Keras on the torch that is there."""
    os.environ["KERAS_BACKEND"] = "torch"
    return importlib.import_module("keras")


def _import_torchvision() -> None:
    """Import torchvision, where it is installed, before a library does: its CUDA wheel fails beside a CPU torch."""
    if vision.installed():
        vision.torchvision()
