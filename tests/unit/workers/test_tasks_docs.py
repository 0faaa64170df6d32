"""The guide to tasks: its examples are tasks that train, and it lists what is on board."""

from __future__ import annotations

import re

import pytest

from etude.task import Task, judged_by_examples, offer
from search_spaces.candidate import Candidate
from tests.machine import ROOT
from tests.promises.documents import Block, blocks
from workers.tasks import TASKS
from workers.training import Training

GUIDE = "docs/tasks.md"
ADAM = Candidate.model_validate({"optimizer": {"kind": "adam"}, "initial_lr": 0.1, "schedule": {"kind": "linear"}})


@pytest.mark.parametrize("block", [block for block in blocks(GUIDE) if block.language == "python"])
def test_the_examples_train(block: Block) -> None:
    """Each example is a whole task: offered, trained to a small loss, stopped and resumed without a difference."""
    defined: dict[str, object] = {"__name__": "example"}
    exec(compile(block.text, GUIDE, "exec"), defined)
    [kind] = [each for each in defined.values() if isinstance(each, type) and each.__module__ == "example"]
    assert issubclass(kind, Task)
    kind.version = "1"
    steps = kind.epochs * kind.steps_per_epoch

    whole = Training(kind(), ADAM, horizon_steps=steps, seed=0)
    values = [evaluation.value for evaluation in whole.evaluations(lambda: False)]
    stopped = Training(kind(), ADAM, horizon_steps=steps, seed=0)
    _ = list(stopped.evaluations(lambda: stopped.step == 11))
    resumed = Training(kind(), ADAM, horizon_steps=steps, seed=0, start=stopped.state())
    again = [evaluation.value for evaluation in resumed.evaluations(lambda: False)]

    assert offer(kind).available
    assert judged_by_examples(kind)
    assert values[-1] < 0.2
    assert again[-1] == values[-1]


def test_every_task_on_board_is_listed() -> None:
    """The first table names each task once, with the length of its training."""
    text = (ROOT / GUIDE).read_text(encoding="utf-8")

    listed = dict(re.findall(r"^\| `([a-z0-9-]+)` \|.*\| (\d+ epochs of \d+)", text, re.MULTILINE))

    assert listed == {name: f"{task.epochs} epochs of {task.steps_per_epoch}" for name, task in TASKS.items()}
