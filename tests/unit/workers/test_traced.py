"""Packs by a recorded computation: the ordinary one to the last bit, and never where it would not be."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.small_task import SmallTask
from workers.dropout import drawing
from workers.packing import entropy, measure, traced
from workers.packing.layout import Layout, NotPackable
from workers.packing.probe import check_packing
from workers.packing.stacked import Batch, Stacked, stacked_batches
from workers.packing.ways import Computation, Way, pattern
from workers.tasks.digits import DigitsMlp

At = list[tuple[int, int]]
"""(seed, step) of each trial."""


class Images(SmallTask):
    """Small images, through what keeps buffers and what draws."""

    def model(self, seed: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.5), nn.Flatten(), nn.Linear(16, 8),
            nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1),
        )  # fmt: skip

    def batch(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
        drawn = torch.Generator().manual_seed(1000 * seed + step)
        return torch.randn(8, 1, 4, 4, generator=drawn), torch.randn(8, 1, generator=drawn)


class Pack:
    """Trials that are computed by one way, each time from the same values but for their buffers."""

    def __init__(self, task: SmallTask | DigitsMlp, count: int, way: Way) -> None:
        torch.manual_seed(0)
        self.task = task
        model = pattern(task, task.model(0))
        layout = Layout(task, model)
        self.computation = Computation(task, model, layout.names, way)
        self.flat = torch.randn(40, layout.columns)[:count] * 0.1
        self.gradients = torch.zeros_like(self.flat)
        self.places = layout.views(self.gradients)
        buffers = {name: torch.stack([one] * count) for name, one in model.named_buffers()}
        self.stacked = Stacked(layout.views(self.flat), buffers)

    def made(self, at: At) -> list[Tensor]:
        """Compute, and return losses, gradients and buffers, a row for each trial."""
        shared = len(set(at)) == 1
        batches = [self.task.batch(step, seed) for seed, step in at]
        batch = Batch(batches[0] if shared else stacked_batches(batches), is_shared=shared)
        with drawing(*zip(*at, strict=True)):
            losses, gradients = self.computation.gradients(self.stacked, batch, self.places)
        for place, gradient in zip(self.places, gradients, strict=True):
            if gradient.data_ptr() != place.data_ptr():
                place.copy_(gradient)
        return [losses, self.gradients.clone(), *(one.clone() for one in self.stacked.buffers.values())]


SHARED: list[At] = [[(0, 0)] * 7, [(0, 5)] * 7, [(3, 2)] * 7]
APART: list[At] = [[(trial % 3, step + trial) for trial in range(7)] for step in (0, 4, 9)]


@pytest.mark.parametrize("at", [SHARED, APART])
def test_what_is_repeated_is_what_is_computed(at: list[At]) -> None:
    """Masks, batch norms, convolutions: at other steps and seeds than recorded, as packs of the same blocks by hand."""
    recorded = Pack(Images(), 7, "traced")
    ordinary = [Pack(Images(), 7, "by hand")]

    for one in at:
        for found, expected in zip(recorded.made(one), ordinary[0].made(one), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 16, 25])
def test_a_trial_is_the_same_in_packs_of_any_size(count: int) -> None:
    """On digits, losses and gradients of the trials of a pack are to the last bit those that they have among 31."""
    several = Pack(DigitsMlp(), count, "traced")
    many = Pack(DigitsMlp(), 31, "traced")

    for step in (0, 3):
        for found, expected in zip(several.made([(0, step)] * count), many.made([(0, step)] * 31), strict=True):
            assert torch.equal(found, expected[:count])


def test_a_computation_is_recorded_once_for_each_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """29 trials are blocks of 16, 8, 4 and 1; a second step records nothing, a smaller batch does."""
    made: list[int] = []

    def noted(ordinary: Any, block: traced.Block, *rest: Any) -> Any:
        made.append(block.size)
        return recorded(ordinary, block, *rest)

    recorded = traced.recorded
    monkeypatch.setattr(traced, "recorded", noted)
    pack = Pack(DigitsMlp(), 29, "traced")

    for step in (0, 1, 2):
        pack.made([(0, step)] * 29)
    assert made == [16, 8, 4, 1]

    pack.made([(0, DigitsMlp.steps_per_epoch - 1)] * 29)
    assert made == [16, 8, 4, 1] * 2


# What is not recorded


class Line(nn.Module):
    """A linear layer, with something that Python decides."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 1)
        self.calls = 0

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        return self.head(x)


class Counting(Line):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) * (1 + 0.1 * (self.calls > 1))


class Looking(Line):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) if x.mean() > 0 else -super().forward(x)


class ByNumpy(Line):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) * float(x.numpy().mean())


class Writing(Line):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x.mul_(2))


def cohort_of(kind: type[nn.Module]) -> SmallTask:
    """Return a task whose trials share their batches, so that a forward pass may look at them."""

    class Cohort(SmallTask):
        cohort = True

        def model(self, seed: int) -> nn.Module:
            return kind()

        def batch(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
            drawn = torch.Generator().manual_seed(1000 * seed + step)
            return torch.randn(8, 2, generator=drawn) + step, torch.randn(8, 1, generator=drawn)

    return Cohort()


def test_what_shares_batches_is_recorded() -> None:
    """A plain line in a cohort is right by both ways."""
    for way in ("by hand", "traced"):
        check_packing(cohort_of(Line), way)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Counting, "differs when it is packed"),
        (Looking, "asks a tensor for its value"),
        (ByNumpy, "differs when it is packed"),
        (Writing, "writes to a tensor that all trials share"),
    ],
)
def test_what_python_decides_is_not_recorded(kind: type[nn.Module], said: str) -> None:
    """A count of calls, a branch on a batch, numbers that went through numpy, a batch written to: each says why."""
    with pytest.raises(NotPackable, match=said):
        check_packing(cohort_of(kind), "traced")


@pytest.mark.parametrize("kind", [Looking, ByNumpy])
def test_what_cannot_be_recorded_is_packed_by_hand(kind: type[nn.Module], caplog: pytest.LogCaptureFixture) -> None:
    """A task that looks at its batches packs the ordinary way, and the log says why it is not recorded."""
    with caplog.at_level(logging.INFO):
        ways = list(measure._possible_ways(cohort_of(kind)))

    assert ways == ["by hand", "forward"]
    assert "traced: " in caplog.text


def test_a_number_that_changes_from_step_to_step_is_found() -> None:
    """A loss that is scaled by a number that `batch` left behind is right by hand for trials that share their steps,
    and not as it was recorded."""

    class Scaled(type(cohort_of(Line))):  # type: ignore[misc]
        scale = 1.0

        def batch(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
            self.scale = 1 + 0.1 * step
            return super().batch(step, seed)  # type: ignore[no-any-return]

        def loss(self, model: nn.Module, batch: Any) -> Any:
            return super().loss(model, batch) * self.scale

    check_packing(Scaled(), "by hand")

    with pytest.raises(NotPackable, match="the loss of a trial differs"):
        check_packing(Scaled(), "traced")


def test_batches_of_ever_other_forms_are_not_recorded_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the most traces, a batch of another form is computed as ever, to the same values."""
    monkeypatch.setattr(traced, "MOST_TRACES", 1)
    recorded, ordinary = (Pack(SmallTask(), 35, way) for way in ("traced", "by hand"))  # type: ignore[arg-type]

    for at in ([(0, 0)] * 35, [(0, 1)] * 35, [(trial, 1) for trial in range(35)]):
        for found, expected in zip(recorded.made(at), ordinary.made(at), strict=True):
            torch.testing.assert_close(found, expected)


def test_a_number_in_a_batch_is_not_recorded() -> None:
    """A batch that holds a Python number, which may be another in the next, is refused."""

    class Numbered(type(cohort_of(Line))):  # type: ignore[misc]
        def batch(self, step: int, seed: int) -> Any:
            return *super().batch(step, seed), 1.5

        def loss(self, model: nn.Module, batch: Any) -> Any:
            return super().loss(model, batch[:2]) * batch[2]

    check_packing(Numbered(), "by hand")

    with pytest.raises(NotPackable, match="hold a float"):
        check_packing(Numbered(), "traced")


def test_what_is_shared_and_written_to_is_made_for_each_block() -> None:
    """What is made of a batch alone and then changed in place begins anew in every block."""

    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Any:
            normal = torch.layer_norm(x, (4,))
            return self.head(normal.add_(1)) + self.head(torch.zeros_like(x).add_(0.5))

    class Wide(SmallTask):
        def model(self, seed: int) -> nn.Module:
            return Normalised()

    recorded, ordinary = (Pack(Wide(), 35, way) for way in ("traced", "by hand"))  # type: ignore[arg-type]

    for step in (0, 1):
        at = [(0, step)] * 35
        for found, expected in zip(recorded.made(at), ordinary.made(at), strict=True):
            torch.testing.assert_close(found, expected)


def test_a_plain_cross_entropy_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digits' loss, ignored labels among them, comes from there, within 1e-12 of torch's in float64."""
    calls: list[int] = []

    def counted(logits: Tensor, labels: Tensor) -> Tensor:
        calls.append(1)
        return written(logits, labels)

    written = entropy.mean_entropy
    monkeypatch.setattr(entropy, "mean_entropy", counted)
    logits, labels = torch.randn(3, 6, 10, dtype=torch.float64) * 30, torch.tensor([1, 0, -100, 9, 3, 3])

    with entropy.EntropyByHand():
        found = torch.vmap(lambda one: functional.cross_entropy(one, labels))(logits)

    expected = torch.stack([functional.cross_entropy(one, labels) for one in logits])
    assert calls == [1]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


class Judged(SmallTask):
    """The small task, judged batch by batch."""

    evaluate = SmallTask.__mro__[1].evaluate  # type: ignore[attr-defined]

    def examples(self, split: str) -> list[Any]:
        return [self.batch(1000 + part, len(split)) for part in range(3)]

    def metrics(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        return {"loss": self.loss(model, batch), "weight": (model(batch[0]) - batch[1]).abs().max()}


class JudgedByNumpy(Judged):
    def metrics(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        return {"loss": self.loss(model, batch), "weight": model(batch[0]).mean() * float(batch[1].numpy()[0, 0])}


@pytest.mark.parametrize("most", [traced.MOST_TRACES, 1])
def test_metrics_are_repeated_as_they_are_computed(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 35 trials and of some of them, on every batch of a split: as by hand, also beyond the most traces."""
    monkeypatch.setattr(traced, "MOST_TRACES", most)
    recorded, ordinary = (Pack(Judged(), 35, way) for way in ("traced", "by hand"))  # type: ignore[arg-type]
    some = Stacked([parameter[3:6].clone() for parameter in ordinary.stacked.parameters], {})
    some = some._replace(buffers={name: one[3:6].clone() for name, one in ordinary.stacked.buffers.items()})

    for stacked in (ordinary.stacked, some, ordinary.stacked):
        found, expected = (one.computation.metrics(stacked, "validation") for one in (recorded, ordinary))
        assert found.keys() == expected.keys() == {"loss", "weight"}
        for name in expected:
            assert found[name] == pytest.approx(expected[name], rel=1e-6)


def test_metrics_that_python_takes_part_in_are_not_recorded() -> None:
    """A number of the examples that went through numpy is right by hand, and would be that of the first batch."""
    check_packing(JudgedByNumpy(), "by hand")

    with pytest.raises(NotPackable, match="the metric weight of a trial differs"):
        check_packing(JudgedByNumpy(), "traced")
