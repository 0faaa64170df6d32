"""The task `charlm`: the next character of Python's standard library, by a small transformer.

The text is the library's own source, of the Python that trains: 16 modules, 1.4 million characters, cut into pieces of
1,000 that are split once and for all 80/10/10. The network is a decoder with the normalisation first (A. Radford et
al., "Language models are unsupervised multitask learners", 2019): 2 layers, 4 heads, 64 wide, 32 characters of context.
"""

from __future__ import annotations

import math
import platform
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from etude.task import Split, Task

from .. import randomness
from ..randomness import Place
from .classification import classified
from .embedding import MODULES

PIECE = 1000
SPLIT_SEED = 1948
CONTEXT = 32
"""Characters that are read at once."""
CHARACTERS = 97
"""The 95 that ASCII prints, the end of a line, and one for all others."""
WIDTH, HEADS, LAYERS = 64, 4, 2
EVALUATED = 512
"""Windows of a split that are judged."""
EVALUATED_AT_ONCE = 128
WHICH, WHERE = range(2)
"""Layers of the stream of windows: the piece, and the place in it."""

Examples = tuple[Tensor, Tensor]
"""Characters (n, 32) int64, and for each the one that follows."""


def encoded(text: str) -> Tensor:
    r"""Return the numbers of a text's characters, (n,) int64.

    >>> encoded(" ~\né").tolist()
    [0, 94, 95, 96]
    """
    codes = torch.tensor([ord(character) for character in text], dtype=torch.int64)
    printed = torch.where((codes >= 32) & (codes < 127), codes - 32, CHARACTERS - 1)
    return torch.where(codes == ord("\n"), CHARACTERS - 2, printed)


@cache
def pieces(split: Split, device: str) -> Tensor:
    """Return a split's pieces: (n, 1000) int64."""
    library = Path(sysconfig.get_path("stdlib"))
    text = encoded("".join((library / f"{module}.py").read_text(encoding="utf-8") for module in MODULES))
    whole = text[: len(text) // PIECE * PIECE].view(-1, PIECE)
    order = randomness.permutation(len(whole), seed=SPLIT_SEED, epoch=0)
    tenth = len(whole) // 10
    rows = {"validation": order[:tenth], "test": order[tenth : 2 * tenth], "train": order[2 * tenth :]}[split]
    return whole[rows].to(device)


def cut(windows: Tensor) -> Examples:
    """Return windows of 33 characters, (n, 33), as what is read and what follows."""
    return windows[:, :-1], windows[:, 1:]


class Attention(nn.Module):
    """Each character looks at those before it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        later = torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).triu(diagonal=1)
        self.register_buffer("later", later, persistent=False)
        self.later: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., 32, 64) to the same shape."""
        parts = (part.unflatten(-1, (HEADS, -1)).transpose(-2, -3) for part in self.asked(x).chunk(3, dim=-1))
        queries, keys, values = parts
        # Written out: torch's fused attention has no rule for vmap on a CPU, and at 32 characters it is no faster.
        scores = queries @ keys.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)
        seen = scores.masked_fill(self.later, -math.inf).softmax(dim=-1) @ values
        out: Tensor = self.out(seen.transpose(-2, -3).flatten(-2))
        return out


class Layer(nn.Module):
    """Attention, then a network of two linear layers, each added to what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(WIDTH), Attention())
        self.network = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., 32, 64) to the same shape."""
        x = x + self.attention(x)
        added: Tensor = x + self.network(x)
        return added


class Decoder(nn.Module):
    """The transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.characters = nn.Embedding(CHARACTERS, WIDTH)
        self.places = nn.Embedding(CONTEXT, WIDTH)
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)), nn.LayerNorm(WIDTH))
        self.out = nn.Linear(WIDTH, CHARACTERS)
        self.register_buffer("context", torch.arange(CONTEXT), persistent=False)
        for table in (self.characters, self.places):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, characters: Tensor) -> Tensor:
        """Return the logits of what follows each character: (n, 32) int64 -> (n, 32, 97) float32."""
        logits: Tensor = self.out(self.layers(self.characters(characters) + self.places(self.context)))
        return logits


class Charlm(Task):
    """The next character, 32 windows a batch, judged by the cross-entropy in nats a character."""

    name = "charlm"
    version = f"1-python{platform.python_version()}"
    metric = "loss"
    further_metrics = ("accuracy",)
    epochs = 10
    steps_per_epoch = 100
    batch_size = 32

    def __init__(self, params: Mapping[str, Any] | None = None, device: str = "cpu") -> None:
        """Keep the windows of the last epochs: trials of one search share their seed, and so their windows."""
        super().__init__(params, device)
        self._windows = lru_cache(maxsize=32)(self._draw_windows)

    @classmethod
    def available(cls) -> str | None:
        """Tell whether the library's sources are there: some installations have compiled files only."""
        library = Path(sysconfig.get_path("stdlib"))
        lacking = [module for module in MODULES if not (library / f"{module}.py").is_file()]
        return f"no source of {', '.join(lacking)} in this Python's library" if lacking else None

    def model(self, seed: int) -> nn.Module:  # noqa: ARG002 -- torch is seeded by the caller
        """Return the transformer."""
        return Decoder().to(self.device)

    def batch(self, step: int, seed: int) -> Examples:
        """Return 32 windows; 100 batches are called an epoch, after any of which every piece may be read again."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return cut(self._windows(epoch, seed)[place])

    def loss(self, model: nn.Module, batch: Examples) -> Tensor:
        """Return the mean cross-entropy of a batch, in nats a character."""
        read, following = batch
        return functional.cross_entropy(model(read).flatten(0, 1), following.flatten())

    def examples(self, split: Split) -> Iterator[Examples]:
        """Return 512 windows that lie side by side in a split's pieces, 128 at a time."""
        windows = pieces(split, self.device).unfold(1, CONTEXT + 1, CONTEXT + 1).flatten(0, 1)
        return (cut(part) for part in torch.split(windows[:EVALUATED], EVALUATED_AT_ONCE))

    def metrics(self, model: nn.Module, batch: Examples) -> dict[str, Tensor]:
        """Return the mean cross-entropy (nats a character) and the share of characters that were foreseen."""
        read, following = batch
        logits = model(read).flatten(0, 1)
        return classified(logits, following.flatten())

    def _draw_windows(self, epoch: int, seed: int) -> Tensor:
        """Draw the windows of an epoch: (100, 32, 33) int64."""
        text = pieces("train", self.device)
        count = self.steps_per_epoch * self.batch_size
        which, where = (
            randomness.integers(bound, count, Place(seed, epoch, randomness.SHIFT, layer), self.device)
            for layer, bound in ((WHICH, len(text)), (WHERE, PIECE - CONTEXT))
        )
        places = where[:, None] + torch.arange(CONTEXT + 1, device=self.device)
        return text[which[:, None], places].view(self.steps_per_epoch, self.batch_size, CONTEXT + 1)
