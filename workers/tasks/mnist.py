"""Handwritten digits and articles of clothing: 60,000 images of 28 x 28 each, and one small network for both.

MNIST: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", 1998.
Fashion-MNIST: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747. The network is the one that a source article trains
with Adam (docs/sources.md): two convolutions with dropout; its log-softmax is left to the loss.
"""

from __future__ import annotations

from torch import nn

from .images import ImageTask

FILES = tuple(
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)  # of each of the two data sets, in a folder `raw`


class MnistCnn(ImageTask):
    """Two convolutions with dropout on MNIST, batch 64."""

    name = "mnist-cnn"
    version = "1"
    epochs = 5
    steps_per_epoch = 55_000 // ImageTask.batch_size
    channels_last = True

    data_set = "MNIST"
    fetched_as = "mnist"
    files = tuple(f"MNIST/raw/{file}" for file in FILES)
    shape = (1, 28, 28)
    counts = (60_000, 10_000)
    mean = (0.1307,)
    deviation = (0.3081,)

    def model(self, seed: int) -> nn.Module:  # noqa: ARG002 -- torch is seeded by the caller
        """Return the network, initialised as torch does: (n, 1, 28, 28) -> (n, 10)."""
        return nn.Sequential(
            nn.Conv2d(1, 10, kernel_size=5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(10, 20, kernel_size=5),
            nn.Dropout2d(),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(320, 50),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(50, self.classes),
        ).to(self.device)


class FashionMnistCnn(MnistCnn):
    """The same network on Fashion-MNIST."""

    name = "fashion-mnist-cnn"
    version = "1"

    data_set = "FashionMNIST"
    fetched_as = "fashion-mnist"
    files = tuple(f"FashionMNIST/raw/{file}" for file in FILES)
    mean = (0.2860,)
    deviation = (0.3530,)
