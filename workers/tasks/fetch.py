"""`python -m workers.tasks.fetch mnist`: download what a task needs, before a worker offers the task.

Tasks never download by themselves: a trial that waits for a mirror, or fails with it, says nothing of its candidate.
"""

from __future__ import annotations

import argparse
import re
import sys

import torch

from ..vision import torchvision
from .data_sets import DataSettings
from .image_folder import HEADS, weights_of

DATA_SETS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10"}
"""torchvision's class of each data set."""
NAMES = (*DATA_SETS, *HEADS)


def main(arguments: list[str] | None = None) -> int:
    """Download; 0 when everything is there."""
    parser = argparse.ArgumentParser(prog="python -m workers.tasks.fetch", description=__doc__)
    parser.add_argument("names", nargs="+", choices=NAMES, metavar="name", help=", ".join(NAMES))
    for name in parser.parse_args(arguments).names:
        fetch_weights(name) if name in HEADS else fetch(name)
    return 0


def fetch_weights(network: str) -> None:
    """Download a network's weights for ImageNet, for the task `image-folder`."""
    file = weights_of(network)
    file.parent.mkdir(parents=True, exist_ok=True)
    url: str = torchvision("models").get_model_weights(network).DEFAULT.url
    # The file's name on the server holds the beginning of its SHA-256.
    digest = re.search(r"-([0-9a-f]{8,})\.", url)
    torch.hub.download_url_to_file(url, str(file), hash_prefix=digest and digest[1], progress=False)
    sys.stdout.write(f"{network} is at {file}\n")


def fetch(name: str) -> None:
    """Download a data set to torchvision's root; what is there already is checked and kept."""
    root = DataSettings().root
    root.mkdir(parents=True, exist_ok=True)
    kind = getattr(torchvision("datasets"), DATA_SETS[name])
    for train in (True, False):
        kind(str(root), train=train, download=True)
    sys.stdout.write(f"{name} is under {root}\n")


if __name__ == "__main__":
    sys.exit(main())
