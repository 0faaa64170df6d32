"""What can be packed is found by doing it: right models pass, wrong ones say why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor, nn
from torch.nn import functional

from tests.small_task import SmallTask
from workers import randomness
from workers.packing.layout import NotPackable
from workers.packing.probe import check_packing
from workers.packing.ways import WAYS
from workers.randomness import Place


def task_of(make: Callable[[], nn.Module], shape: tuple[int, ...] = (4,)) -> SmallTask:
    """Return a task that trains what `make` returns on random batches of this shape."""

    class Probed(SmallTask):
        def model(self, seed: int) -> nn.Module:
            return make()

        def batch(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
            x = randomness.normals((8, *shape), Place(seed, step, randomness.NOISE))
            return x, x.flatten(1).sum(dim=1, keepdim=True)

    return Probed()


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(4, 8, batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.cells(x)[0][:, -1])


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.second(self.first(x).tanh()))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Any:
        y = self.head(x)
        return y if y.mean() > 0 else -y


class OwnRandomness(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Any:
        return functional.dropout(self.head(x), 0.5)


class Asking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Any:
        y = self.head(x)
        return y * y.detach().abs().max().item()


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, stride=2, bias=False), nn.GELU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(6, 1),
    )  # fmt: skip


def batch_norm() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 1))


RIGHT: dict[str, SmallTask] = {
    "a tied weight": task_of(Tied),
    "convolutions, norms and dropout": task_of(convolutions, (2, 6, 6)),
    "batch norm": task_of(batch_norm, (2, 6, 6)),
    "a layer norm and an embedding of its own": task_of(
        lambda: nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 8, bias=False), nn.SiLU(), nn.Linear(8, 1))
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RIGHT)
def test_what_computes_the_same_packed_passes(name: str, way: Any) -> None:
    """Gradients, losses and buffers agree with each trial's own in float64, by every way."""
    check_packing(RIGHT[name], way)


def test_a_recurrent_model_packs_by_each_trials_gradient() -> None:
    """An LSTM's batched forward pass has no rule: the probe says so, and the third way serves."""
    task = task_of(Recurrent, (5, 4))

    with pytest.raises(NotPackable, match="lstm"):
        check_packing(task, "forward")

    check_packing(task, "gradient")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("model", "said"),
    [(Branching, "data-dependent control flow"), (OwnRandomness, "random"), (Asking, "item")],
)
def test_what_cannot_be_packed_says_why(model: type[nn.Module], said: str, way: Any) -> None:
    """Control flow on data, randomness of torch's own, and asking for a value are refused in torch's words."""
    with pytest.raises(NotPackable, match=said):
        check_packing(task_of(model), way)


def test_sparse_gradients_are_not_packed() -> None:
    """A task that declares sparse gradients is refused before anything is computed."""

    class Sparse(SmallTask):
        sparse_gradients = True

    with pytest.raises(NotPackable, match="sparse"):
        check_packing(Sparse(), "forward")


def test_a_model_that_remembers_its_calls_is_found() -> None:
    """Where the values packed differ from those alone, for whatever reason, the model is refused."""

    class Remembering(nn.Module):
        calls = 0

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Any:
            type(self).calls += 1
            return self.head(x) * (1 + 0.1 * type(self).calls)

    with pytest.raises(NotPackable, match="the loss of a trial differs"):
        check_packing(task_of(Remembering), "forward")
