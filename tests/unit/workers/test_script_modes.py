"""The three ways in which a candidate reaches a script, from the claim to the finished trial."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search_spaces.baselines import script_current
from search_spaces.candidate import Candidate
from search_spaces.schedules import Cosine, curve
from store import Store
from store.studies import get_study
from tests.scripts import LINE, STEPS, script_of, torch_script
from tests.small_task import CANDIDATE
from tests.wire import Wire, propose, trials
from workers.loop import Worker
from workers.scripts.script import Script
from workers.timing import Timing

QUICK = Timing(report=0.0, drain=0.0, first_idle=0.01, longest_idle=0.05, ask=0.05)
OWN = script_current(0.05)
COSINE = OWN.model_copy(update={"schedule": Cosine()})


def work(wire: Wire, script: Script) -> None:
    Worker("w1", wire, {}, scripts={"nothing": script}, timing=QUICK).work()


def reports(wire: Wire) -> dict[int, list[int]]:
    """The steps that were reported, by trial."""
    found: dict[int, list[int]] = {}
    for request in [*wire.requests("report"), *wire.requests("finish")]:
        for item in request.items:
            found.setdefault(item.number, []).extend(report.step for report in item.reports)
    return found


HOOKED = "optimizer.register_step_pre_hook(lambda one, *_: one.param_groups[0].update(lr=0.03))"
"""Sets an LR of its own within the update."""


def test_inject_counts_and_imposes(store: Store, wire: Wire, tmp_path: Path) -> None:
    """In (a) reports stand at the updates made, and the budget is exact; what was not trained as its candidate says
    is no result: the LR in force is compared at every update.
    """
    propose(store, count=2, candidate=COSINE)
    second = "import json, os\nif json.load(open(os.environ['ETUDE_TRIAL']))['number'] == 1:"
    code = LINE.replace("x = torch", f"{second} {HOOKED}\nx = torch")

    work(wire, torch_script(tmp_path, code, slots=2))

    imposed, replaced = trials(store)
    assert (imposed.state, imposed.steps_done) == ("complete", STEPS), imposed
    assert reports(wire)[0] == list(range(10, 101, 10))
    assert replaced.state == "failed"
    assert str(replaced.error).startswith("lr_replaced: at update 0 ")
    counts = get_study(store, "mine").counts
    assert (counts.complete, counts.failed, counts.ended) == (1, 1, 2)


READS = """
import json, os
trial = json.load(open(os.environ["ETUDE_TRIAL"]))
lr = trial.get("lr")
print("step=100 val_loss=", sum(lr) if lr else -1.0, sep="")
json.dump(trial, open(f"told-{trial['number']}.json", "w"))
"""


def test_file_mode_tells_the_candidate_and_every_lr(store: Store, wire: Wire, tmp_path: Path) -> None:
    """In (c) $ETUDE_TRIAL's file holds the candidate, the seed and the LR of every update; `current` has none."""
    propose(store, candidate=CANDIDATE, seed=7)
    propose(store, first=1, candidate=OWN)

    work(wire, script_of(tmp_path, READS, mode="file", flags="", schedules=None, optimizers=None, initial_lr=0.05))

    told, own = (json.loads((tmp_path / f"told-{number}.json").read_text()) for number in range(2))
    assert told["lr"] == list(CANDIDATE.initial_lr * curve(CANDIDATE.schedule, STEPS))
    assert Candidate.model_validate(told["candidate"]) == CANDIDATE
    assert {"seed": 7, "mode": "file", "study": "mine", "number": 0}.items() <= told.items()
    assert "lr" not in own
    assert [trial.value for trial in trials(store)] == pytest.approx([sum(told["lr"]), -1.0])


def test_flags_say_the_candidate(store: Store, wire: Wire, tmp_path: Path) -> None:
    """In (b) the command's end says optimizer, schedule and lengths in updates; `current` is the command alone."""
    warm: dict[str, Any] = {"kind": "cosine", "end_factor": 0.25, "warmup": {"fraction": 0.1}}
    candidate = Candidate.model_validate(CANDIDATE.model_dump() | {"schedule": warm})
    propose(store, candidate=candidate, seed=3)
    propose(store, first=1, candidate=OWN, seed=3)
    code = "import sys\nopen(f'told-{len(sys.argv)}', 'w').write(' '.join(sys.argv[1:]))\nprint('step=100 val_loss=1')"

    work(
        wire,
        script_of(
            tmp_path, code, seed={"flags": "--seed {seed}"}, optimizers={"sgd": "SGD --momentum {momentum}"},
            flags="--lr {initial_lr} --warmup {warmup_steps} --opt {optimizer} --sched {schedule}",
            schedules={"cosine": "cos --end {end_factor}"}, initial_lr=0.05,
        ),
    )  # fmt: skip

    told = sorted(file.read_text() for file in tmp_path.glob("told-*"))
    assert told == [
        "--lr 0.01 --warmup 10 --opt SGD --momentum 0.9 --sched cos --end 0.25 --seed 3", "--seed 3"
    ]  # fmt: skip


def test_a_metric_from_a_file(store: Store, wire: Wire, tmp_path: Path) -> None:
    """JSON lines in a directory of the trial's own: several trials at once, each with its own reports."""
    propose(store, count=2)
    code = """
import json, sys
with open(sys.argv[1] + "/metrics.jsonl", "w") as file:
    for step in (50, 100):
        file.write(json.dumps({"step": step, "val_loss": 1 / step}) + chr(10))
"""
    metric = {"source": "jsonl", "path": "{trial_directory}/metrics.jsonl", "field": "val_loss", "step_field": "step"}
    script = script_of(tmp_path, code, metric=metric, slots=2)
    told = script.spec.model_copy(update={"command": [*script.spec.command, "{trial_directory}"]})
    script.spec = told

    work(wire, script)

    assert [(trial.state, trial.value) for trial in trials(store)] == [("complete", 0.01)] * 2
    assert reports(wire) == {0: [50, 100], 1: [50, 100]}
