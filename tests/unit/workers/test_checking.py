"""What a look at a task says of it, and which tasks a worker offers."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from etude.own_tasks import load_task
from etude.task import Split, Task
from search_spaces.log import bind
from search_spaces.problems import InvalidSpec, NotFound
from tests.small_task import SmallTask, drawn
from workers.checking import Finding, findings, main
from workers.offered import offered
from workers.tasks import TASKS

LOG = bind("tests")


class Forgetful(SmallTask):
    def model(self, seed: int) -> nn.Module:
        return nn.Linear(4, 1).requires_grad_(False)


class SameWeights(SmallTask):
    def model(self, seed: int) -> nn.Module:
        torch.manual_seed(0)
        return super().model(seed)


class OtherData(SmallTask):
    def batch(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
        return torch.rand(8, 4), torch.rand(8, 1)


class Vector(SmallTask):
    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return model(batch[0]).square()


class NoMetric(SmallTask):
    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        return {"loss": 1.0}


class Restless(SmallTask):
    ticks = itertools.count()

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        return {"loss": float(next(self.ticks)), "weight": 0.0}


class Broken(SmallTask):
    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        raise KeyError("labels")


class Absent(SmallTask):
    @classmethod
    def available(cls) -> str | None:
        return "the pictures are not at hand"


class NoModel(SmallTask):
    def model(self, seed: int) -> nn.Module:
        return None  # type: ignore[return-value]


class Grouped(SmallTask):
    parameter_groups = ("head",)


class Judged(SmallTask):
    """Judged by examples, as most tasks are."""

    further_metrics = ()
    evaluate = Task.evaluate

    def examples(self, split: Split) -> list[tuple[Tensor, Tensor]]:
        return [drawn(8, 0, 0)]

    def metrics(self, model: nn.Module, batch: Any) -> dict[str, Any]:
        return {"loss": self.loss(model, batch)}


class NoMapping(Judged):
    def metrics(self, model: nn.Module, batch: Any) -> Any:
        return 0.5


class NoTensor(Judged):
    def metrics(self, model: nn.Module, batch: Any) -> dict[str, Any]:
        return {"loss": 0.5}


class NoExamples(Judged):
    def examples(self, split: Split) -> list[tuple[Tensor, Tensor]]:
        return []


class NoFloats(SmallTask):
    def evaluate(self, model: nn.Module, split: Split) -> Any:
        return 0.5


class NotMade(SmallTask):
    def __init__(self, params: Any = None, device: str = "cpu") -> None:
        raise FileNotFoundError("pictures.tar")


class Unsaid(SmallTask):
    @classmethod
    def available(cls) -> str | None:
        raise ConnectionError("no network")


class Answered(SmallTask):
    @classmethod
    def available(cls) -> Any:
        return True


class Stuck(SmallTask):
    def close(self) -> None:
        raise OSError("the loader hangs")


def last(task: type[SmallTask]) -> Finding:
    return list(findings(task))[-1]


def test_a_task_that_is_right_is_said_to_be() -> None:
    """Each look says what it has seen, down to whether many trials can be trained at once."""
    found = list(findings(SmallTask))

    assert [one.wrong for one in found] == [None] * len(found)
    assert found[0].note == "nothing 1: validation_loss, 100 updates"
    assert "10 updates, validation_loss" in str(found[-3].note)


@pytest.mark.parametrize(
    ("task", "about", "words"),
    [
        (SameWeights, "model", "the same weights for every seed"),
        (OtherData, "batch", "gives other data when it is asked again"),
        (Vector, "loss", "not a tensor of shape (8, 1)"),
        (Forgetful, "loss", "without a gradient"),
        (NoMetric, "evaluation", "evaluation gives loss, and weight is missing"),
        (Restless, "evaluation", "differs from one evaluation to the next"),
        (Broken, "loss", "KeyError: 'labels'"),
        (Absent, "available", "the pictures are not at hand"),
        (Unsaid, "available", "available() raises ConnectionError: no network"),
        (Answered, "available", "has to return None or the reason in words, not True"),
        (NotMade, "making it", "FileNotFoundError: pictures.tar"),
        (NoModel, "model", "has to return a torch.nn.Module, not None"),
        (Grouped, "groups", "parameter_groups names head, and the groups that groups() returns have the names: none"),
        (NoMapping, "evaluation", "metrics() has to return a dict of tensors without dimensions, not a float"),
        (NoTensor, "evaluation", "metrics() has to give loss as a tensor without dimensions, not a float"),
        (NoExamples, "evaluation", "examples('validation') gives no batch to judge by"),
        (NoFloats, "evaluation", "evaluate() has to return a dict of floats, not a float"),
        (Stuck, "closing", "OSError: the loader hangs"),
    ],
)
def test_what_is_wrong_is_the_last_that_is_said(task: type[SmallTask], about: str, words: str) -> None:
    """One thing at a time, in words that name it."""
    found = last(task)

    assert found.about == about
    assert words in str(found.wrong)


def test_a_traceback_begins_in_the_tasks_own_code() -> None:
    """Who wrote the task reads of its own lines, not of those that called them."""
    told = str(last(Broken).wrong).splitlines()

    assert told[0] == "it raises KeyError: 'labels'"
    assert "test_checking.py" in told[1]
    assert 'raise KeyError("labels")' in told[2]


def test_a_task_is_closed_whatever_was_found() -> None:
    """Also after the first thing that is wrong."""
    closed: list[SmallTask] = []

    class Closed(Vector):
        def close(self) -> None:
            closed.append(self)

    assert last(Closed).about == "loss"
    assert len(closed) == 1


def test_the_command_prints_its_findings_and_ends_with_1_where_one_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, for people."""
    right, wrong = main(["tests.small_task:SmallTask"]), main(["tests.small_task:Absent"])

    lines = capsys.readouterr().out.splitlines()
    assert (right, wrong) == (0, 1)
    assert lines[0] == "ok     offered: nothing 1: validation_loss, 100 updates"
    assert lines[-1].startswith("wrong  task: tests.small_task:Absent is no subclass of etude.task.Task")


def test_the_command_tells_the_same_as_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    """For programs: nothing but the document is on stdout."""
    status = main(["tests.small_task:Absent", "--json"])

    told = json.loads(capsys.readouterr().out)
    assert (status, told["task"], told["right"]) == (1, "tests.small_task:Absent", False)
    assert [(one["about"], one["note"]) for one in told["findings"]] == [("task", None)]
    assert "there is nothing of that name" in told["findings"][0]["wrong"]


@pytest.mark.parametrize(("params", "words"), [("{", "is no JSON: "), ("3", "is no JSON object, such as {")])
def test_parameters_that_are_none_are_refused(params: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As any wrong command line: exit status 2 and a sentence."""
    with pytest.raises(SystemExit) as ended:
        main(["tests.small_task:SmallTask", "--params", params])

    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_the_example_of_a_task_is_right() -> None:
    """examples/my_task.py trains, with its default parameters and with others, many trials at once."""
    found = list(findings(load_task("examples.my_task:Tumours"), {"hidden": 8}))

    assert [one.wrong for one in found] == [None] * 9
    assert "a worker may pack them" in str(found[-2].note)


def test_a_wrong_parameter_of_the_example_is_named() -> None:
    """By its field and the range that its schema has."""
    wrong = list(findings(load_task("examples.my_task:Tumours"), {"hidden": 0}))

    assert [one.about for one in wrong] == ["parameters"]
    assert "task.params.hidden" in str(wrong[0].wrong)


def test_a_worker_offers_all_or_what_is_named() -> None:
    """Names on board, own tasks by reference alone, or both."""
    own = "tests.small_task:SmallTask"

    assert set(offered(None, [], LOG)) >= set(TASKS)
    assert list(offered(None, [own], LOG)) == ["nothing"]
    assert list(offered("digits-mlp", [own], LOG)) == ["digits-mlp", "nothing"]


def test_a_name_that_nobody_knows_and_a_name_that_two_have_are_refused() -> None:
    """A worker that trained something else under a name would spoil a study."""
    with pytest.raises(NotFound, match="no task 'absent'; there are "):
        offered("absent", [], LOG)
    with pytest.raises(InvalidSpec, match="two tasks are named digits-mlp"):
        offered("digits-mlp", ["tests.unit.workers.test_checking:Namesake"], LOG)


class Namesake(SmallTask):
    name = "digits-mlp"
