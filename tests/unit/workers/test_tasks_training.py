"""What every task on board owes: it learns, batches are functions of step and seed, the test split is left alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from etude.task import Split, Task, example_count, judged_by_examples, offer
from search_spaces.candidate import Candidate
from search_spaces.work import OfferedTask
from service.submission import check_params
from workers.packing.layout import NotPackable
from workers.packing.probe import check_packing
from workers.tasks import TASKS
from workers.tasks.cifar10 import Cifar10Resnet
from workers.tasks.images import ImageTask, synthetic
from workers.tasks.mnist import MnistCnn
from workers.training import Training


@dataclasses.dataclass(frozen=True)
class Tried:
    """A task, and a way to train it."""

    task: type[Task]
    params: dict[str, Any]
    optimizer: str
    initial_lr: float
    steps: int

    def __str__(self) -> str:
        return "-".join([self.task.name, *map(str, self.params.values())])

    def made(self) -> Task:
        return self.task(self.params)

    @property
    def candidate(self) -> Candidate:
        return Candidate.model_validate({
            "optimizer": {"kind": self.optimizer}, "initial_lr": self.initial_lr, "schedule": {"kind": "linear"},
        })  # fmt: skip


def small(task: type[ImageTask]) -> type[ImageTask]:
    """The task on 480 synthetic images for training and validation, 40 for the test, 16 a batch."""
    made = synthetic(task)
    made.counts = (480, 40)
    made.batch_size = 16
    return made


TRIED = [
    Tried(TASKS["digits-mlp"], {}, "adam", 0.01, 30),
    Tried(TASKS["digits-noisy"], {}, "adam", 0.01, 30),
    Tried(TASKS["digits-cnn"], {}, "adam", 0.01, 60),
    Tried(TASKS["finetune-digits"], {}, "adam", 0.01, 30),
    Tried(TASKS["embedding"], {}, "sparse_adam", 0.03, 60),
    Tried(TASKS["charlm"], {}, "adam", 0.01, 15),
    Tried(TASKS["noisy-quadratic"], {"examples": 4}, "sgd", 0.5, 40),
    Tried(small(MnistCnn), {}, "adam", 0.003, 60),
    Tried(small(Cifar10Resnet), {"norm": "group"}, "adam", 0.001, 40),
    Tried(small(Cifar10Resnet), {"norm": "batch"}, "adam", 0.001, 40),
]
every_task = pytest.mark.parametrize("tried", TRIED, ids=str)


def tensors(batch: Any) -> Iterator[Tensor]:
    """The tensors of a batch, in order."""
    return iter([batch] if isinstance(batch, Tensor) else batch)


def same(one: Any, other: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


@every_task
def test_it_learns_and_leaves_the_test_split_alone(tried: Tried, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a few updates the training loss falls; nobody has asked for the test split."""
    asked: list[Split] = []
    losses: list[Tensor] = []
    task = tried.made()
    examples, loss = task.examples, task.loss
    monkeypatch.setattr(task, "examples", lambda split: (asked.append(split), examples(split))[1])
    monkeypatch.setattr(
        task, "loss", lambda model, batch: (value := loss(model, batch), losses.append(value.detach()))[0]
    )

    training = Training(task, tried.candidate, horizon_steps=tried.steps, seed=0)
    *_, last = training.evaluations(lambda: False)

    assert float(sum(losses[-10:])) / 10 < 0.98 * float(losses[0])
    assert last.further.keys() == {f"validation_{name}" for name in task.further_metrics}
    assert set(asked) == {"validation"}


@every_task
def test_batches_are_functions_of_step_and_seed(tried: Tried) -> None:
    """A batch is the same in whatever order batches are asked for, and differs between steps and seeds."""
    task, other = tried.made(), tried.made()
    last = task.steps_per_epoch + 1
    late, early = task.batch(last, seed=1), task.batch(2, seed=1)

    assert same(other.batch(2, seed=1), early)
    assert same(other.batch(last, seed=1), late)
    assert not same(other.batch(3, seed=1), early)
    assert not same(other.batch(2, seed=2), early)
    assert example_count(early) == task.batch_size


@every_task
def test_what_judges_is_always_the_same(tried: Tried) -> None:
    """The batches of a split do not change, and validation and test are different examples."""
    task = tried.made()

    batches = [list(tried.made().examples(split)) for split in ("validation", "validation", "test")]

    assert all(same(one, other) for one, other in zip(*batches[:2], strict=True))
    if task.name != "noisy-quadratic":
        assert not same(batches[0][0], batches[2][0])
    assert judged_by_examples(tried.task)


@every_task
def test_the_same_seed_gives_the_same_start(tried: Tried) -> None:
    """Weights are a function of the seed, whatever was drawn before, and are made in the declared precision."""
    task, starts = tried.made(), []

    for seed in (0, 0, 1):
        torch.rand(3)
        torch.manual_seed(seed)
        starts.append(torch.cat([each.detach().flatten() for each in task.model(seed).parameters()]))

    assert torch.equal(starts[0], starts[1])
    if task.name != "noisy-quadratic":
        assert not torch.equal(starts[0], starts[2])
    assert starts[0].dtype == (torch.float64 if task.precision == "float64" else torch.float32)


@every_task
def test_it_packs_unless_its_gradients_are_sparse(tried: Tried) -> None:
    """Losses, gradients, buffers and metrics of many trials at once are those of each alone, to 1e-9 in float64."""
    if tried.task.sparse_gradients:
        with pytest.raises(NotPackable, match="sparse"):
            check_packing(tried.made(), "forward")
        return

    check_packing(tried.made(), "forward")


@pytest.mark.parametrize("name", TASKS)
def test_the_offer_reads_as_the_service_reads_it(name: str) -> None:
    """Each offer goes through JSON, and its defaults fit its own schema; what is not at hand has its reason."""
    offered = OfferedTask.model_validate_json(offer(TASKS[name]).model_dump_json())

    assert offered.name == name
    assert offered.available == (offered.reason is None)
    assert offered.metric == "validation_loss"
    if "required" not in offered.params_schema:
        check_params(TASKS[name]().params.model_dump(), offered.params_schema)


# What training gave when the version was declared: where this changes, the version has to.
GOLDEN = {("digits-cnn", "1"): 1.0695, ("finetune-digits", "1"): 0.858, ("noisy-quadratic", "1"): 0.1574}


@pytest.mark.parametrize(
    ("name", "momentum", "initial_lr"),
    [("digits-cnn", 0.9, 0.05), ("finetune-digits", 0.9, 0.05), ("noisy-quadratic", 0.0, 1.0)],
)
def test_a_version_stands_for_its_results(name: str, momentum: float, initial_lr: float) -> None:
    """A full training of a fixed candidate ends where it did when the task's version was declared."""
    task = TASKS[name]
    candidate = Candidate.model_validate({
        "optimizer": {"kind": "sgd", "momentum": momentum}, "initial_lr": initial_lr, "schedule": {"kind": "linear"},
    })  # fmt: skip

    training = Training(task(), candidate, horizon_steps=task.epochs * task.steps_per_epoch, seed=0)
    *_, last = training.evaluations(lambda: False)

    assert last.value == pytest.approx(GOLDEN[name, str(task.version)], abs=0.01)
