"""Cross-entropy under vmap in a few operations: torch's own has no batching rule there, and its detour is Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

IGNORED = -100
"""torch's default: the label of an example that does not count."""
DEFAULTS = {
    "weight": None, "size_average": None, "ignore_index": IGNORED, "reduce": None, "reduction": "mean",
    "label_smoothing": 0.0,
}  # fmt: skip
"""What torch hands on of a call that gives no more than logits and labels."""


class EntropyByHand(TorchFunctionMode):
    """Inside it, `functional.cross_entropy` of logits (n, classes) and labels (n,) with defaults is written out."""

    def __torch_function__(
        self, function: Callable[..., Any], _types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Compute it here where it is that case, and call everything else as it is."""
        if function is functional.cross_entropy and _is_plain(args, kwargs or {}):
            return mean_entropy(args[0], args[1])
        return function(*args, **(kwargs or {}))


def mean_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of -log softmax(logits) at the labels (nats), of those examples that count: a scalar."""
    counted = labels != IGNORED
    places = labels.where(counted, 0).unsqueeze(0)
    # By example in the last dimension torch computes many examples at a time: over few classes a tenth of the time.
    said = logits.t().contiguous().log_softmax(0).gather(0, places).squeeze(0)
    return -said.where(counted, 0).sum() / counted.sum()


def _is_plain(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if len(args) != 2 or any(name not in DEFAULTS or DEFAULTS[name] != value for name, value in kwargs.items()):
        return False
    logits, labels = args
    return logits.ndim == 2 and labels.ndim == 1 and not labels.is_floating_point()
