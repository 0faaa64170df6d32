"""On a GPU: a pack is each trial alone, for every task on board, and memory that runs out fails nobody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from etude.task import Task
from tests.exactness import DoubleDigits, attempts, one_update_apart
from workers.engine import Attempt, Engine
from workers.packing.measure import packed
from workers.packing.pack import Pack
from workers.packing.probe import check_packing
from workers.solo import Solo
from workers.tasks import TASKS
from workers.tasks.digits import DigitsMlp

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="there is no GPU: what holds on one is not tested"
)
PACKABLE = {name: task for name, task in TASKS.items() if not task.available() and not task.sparse_gradients}


@pytest.mark.parametrize("name", PACKABLE)
def test_tasks_on_board_pack(name: str) -> None:
    """Gradients, losses, buffers and metrics of three trials agree with each alone in float64."""
    check_packing(PACKABLE[name](device=DEVICE), "forward")


@pytest.mark.parametrize(("task", "tolerance"), [(DigitsMlp, 1e-5), (DoubleDigits, 1e-12)])
def test_every_tenth_step_packed_is_the_step_alone(task: type[DigitsMlp], tolerance: float) -> None:
    """From one state, every vectorised optimizer: LRs equal, parameters within 1e-5 (1e-12 in float64)."""
    apart = list(one_update_apart(task(device=DEVICE), attempts(40), steps=32, every=10))

    assert max(apart) < tolerance


class Wide(DigitsMlp):
    """digits-mlp with layers wide enough to fill what the test leaves of the memory."""

    def model(self, seed: int) -> nn.Module:
        layers = nn.Linear(64, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 10)
        return nn.Sequential(*layers).to(self.device)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Two GiB of the GPU's memory are there, the rest is not."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(2 * 2**30 / torch.cuda.get_device_properties(0).total_memory)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


@pytest.mark.usefixtures("little_memory")
def test_memory_that_runs_out_halves_the_pack_and_fails_nobody() -> None:
    """A pack of twelve that does not fit goes on with fewer at once; every trial reaches its end."""
    trials = attempts(34)
    pack = Pack(Wide(device=DEVICE), len(trials), "forward")

    _to_the_end(pack, trials)

    assert pack.size < len(trials)
    assert [one.error for one in trials] == [None] * len(trials)
    assert all(one.complete for one in trials)


def test_the_size_that_is_measured_is_faster_than_one_by_one() -> None:
    """digits-mlp on a GPU is bound by launches: the worker packs it, and says how much that gains."""
    opening = packed(DigitsMlp(device=DEVICE))

    assert opening.packing.size > 8
    assert "times the updates per second" in (opening.packing.reason or "")


def test_curves_are_those_of_each_alone() -> None:
    """Two epochs of every vectorised optimizer: validation losses within 1e-3."""
    alone, together = attempts(34), attempts(34)
    task = DigitsMlp(device=DEVICE)

    _to_the_end(Solo(task), alone)
    _to_the_end(Pack(task, len(together), "by hand"), together)

    assert [one.value for one in together] == pytest.approx([one.value for one in alone], rel=1e-3)


def _to_the_end(engine: Engine, trials: list[Attempt]) -> None:
    for one in trials:
        engine.enter(one)
    while engine.attempts:
        engine.advance(lambda: False)


def test_batches_are_on_the_device() -> None:
    """What a task gives is where it is trained: nothing is copied in a step."""
    task: Task = DigitsMlp(device=DEVICE)
    images, labels = task.batch(0, 0)

    assert {part.device.type for part in (images, labels) if isinstance(part, Tensor)} == {DEVICE}
