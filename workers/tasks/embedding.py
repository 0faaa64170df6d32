"""The task `embedding`: which module of Python's standard library a few lines are from, by a bag of their words.

The text is the library's own source, of the Python that trains: 16 modules, 300 snippets of three lines from each,
split once and for all 200/50/50. Words and pairs of neighbouring words are hashed into a table of vectors whose
mean is compared with a vector of each module (A. Joulin et al., "Bag of tricks for efficient text classification",
arXiv:1607.01759). A batch touches a few rows of the table: every gradient is sparse.
"""

from __future__ import annotations

import itertools
import platform
import re
import sysconfig
import zlib
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from etude.task import Split, Task

from .. import randomness
from .classification import classified

MODULES = (
    "argparse", "difflib", "doctest", "inspect", "ipaddress", "mailbox", "optparse", "pickle", "pickletools", "pydoc",
    "shutil", "statistics", "subprocess", "tarfile", "threading", "typing",
)  # fmt: skip
"""Each is one long file in every Python from 3.11 on."""
LINES = 3
"""In a snippet, blank ones left out."""
SIZES: dict[Split, int] = {"train": 200, "validation": 50, "test": 50}
"""Snippets of each module."""
SPLIT_SEED = 1607
ROWS = 1 << 13
"""Of the table of vectors; row 0 pads short snippets."""
WIDTH = 64
"""Words and pairs of a snippet that are read: few snippets have more."""
DIMENSIONS = 32
SPREAD = 0.1
"""Standard deviation of the vectors at the start."""

Examples = tuple[Tensor, Tensor]
"""Rows of the table (n, 64) int64, and labels (n,) int64."""


@cache
def snippets(module: str) -> list[str]:
    """Return a module's snippets in the order of its source, each once; none where the source is not there."""
    source = Path(sysconfig.get_path("stdlib"), f"{module}.py")
    if not source.is_file():
        return []
    lines = [line.strip() for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    found = ("\n".join(lines[start : start + LINES]) for start in range(0, len(lines) - LINES + 1, LINES))
    return list(dict.fromkeys(found))


def rows(snippet: str) -> list[int]:
    """Return the table's rows of a snippet's words and pairs of words: 64 numbers from 0 (padding) to 8191.

    >>> rows("return None")[:4]
    [7211, 3391, 5867, 0]
    """
    words = re.findall(r"\w+|[^\w\s]+", snippet)
    pairs = (f"{left} {right}" for left, right in itertools.pairwise(words))
    found = [1 + zlib.crc32(text.encode()) % (ROWS - 1) for text in (*words, *pairs)][:WIDTH]
    return found + [0] * (WIDTH - len(found))


@cache
def load(split: Split, device: str) -> Examples:
    """Return one split, module after module, on the device."""
    first = list(itertools.accumulate(SIZES.values(), initial=0))[list(SIZES).index(split)]
    texts: list[str] = []
    for label, module in enumerate(MODULES):
        order = randomness.permutation(len(snippets(module)), seed=SPLIT_SEED, epoch=label).tolist()
        texts += [snippets(module)[place] for place in order[first : first + SIZES[split]]]
    labels = torch.arange(len(MODULES)).repeat_interleave(SIZES[split])
    return torch.tensor([rows(text) for text in texts]).to(device), labels.to(device)


class BagOfWords(nn.Module):
    """The mean of a snippet's vectors, compared with one vector of each module."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(ROWS, DIMENSIONS, mode="mean", sparse=True, padding_idx=0)
        self.modules_by_label = nn.Embedding(len(MODULES), DIMENSIONS, sparse=True)
        for table in (self.words, self.modules_by_label):
            nn.init.normal_(table.weight, std=SPREAD)
        self.register_buffer("labels", torch.arange(len(MODULES)), persistent=False)

    def forward(self, bags: Tensor) -> Tensor:
        """Return the logits: (n, 64) int64 -> (n, 16) float32."""
        means: Tensor = self.words(bags)
        vectors: Tensor = self.modules_by_label(self.labels)
        return means @ vectors.T


class Embedding(Task):
    """16 modules by their words, batch 64, judged by its cross-entropy in nats."""

    name = "embedding"
    version = f"1-python{platform.python_version()}"
    metric = "loss"
    further_metrics = ("accuracy",)
    epochs = 8
    batch_size = 64
    steps_per_epoch = len(MODULES) * SIZES["train"] // batch_size
    sparse_gradients = True

    def __init__(self, params: Mapping[str, Any] | None = None, device: str = "cpu") -> None:
        """Keep the orders of the last epochs: trials of one search share their seed, and so their orders."""
        super().__init__(params, device)
        self._order = lru_cache(maxsize=32)(self._draw_order)
        # torch's Adagrad makes sparse tensors of indices that it has just read, and warns unless this is said.
        torch.sparse.check_sparse_tensor_invariants.disable()  # type: ignore[no-untyped-call]

    @classmethod
    def available(cls) -> str | None:
        """Tell whether the library's sources are there: some installations have compiled files only."""
        lacking = [module for module in MODULES if len(snippets(module)) < sum(SIZES.values())]
        return f"too little source of {', '.join(lacking)} in this Python's library" if lacking else None

    def model(self, seed: int) -> nn.Module:  # noqa: ARG002 -- torch is seeded by the caller
        """Return the two tables at small random values."""
        return BagOfWords().to(self.device)

    def batch(self, step: int, seed: int) -> Examples:
        """Return 64 training snippets; 50 batches show each once."""
        epoch, place = divmod(step, self.steps_per_epoch)
        bags, labels = load("train", self.device)
        chosen = self._order(epoch, seed)[place * self.batch_size : (place + 1) * self.batch_size]
        return bags[chosen], labels[chosen]

    def loss(self, model: nn.Module, batch: Examples) -> Tensor:
        """Return the mean cross-entropy of a batch, in nats."""
        bags, labels = batch
        return functional.cross_entropy(model(bags), labels)

    def examples(self, split: Split) -> list[Examples]:
        """Return the whole split as one batch."""
        return [load(split, self.device)]

    def metrics(self, model: nn.Module, batch: Examples) -> dict[str, Tensor]:
        """Return the mean cross-entropy (nats) and the share of snippets whose module is named rightly."""
        bags, labels = batch
        return classified(model(bags), labels)

    def _draw_order(self, epoch: int, seed: int) -> Tensor:
        _, labels = load("train", self.device)
        return randomness.permutation(len(labels), seed=seed, epoch=epoch, device=self.device)
