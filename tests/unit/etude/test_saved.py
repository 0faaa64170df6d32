"""Answers that are kept in a file: saved by the client, loaded and built without a service."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result

import etude
from etude.torch import build, read_candidate
from search_spaces.baselines import BASELINES
from search_spaces.candidate import Candidate
from search_spaces.problems import HorizonTooShort, InvalidSpec, Unsupported
from search_spaces.results import AnsweredTask
from tests.unit.etude.answers import CANDIDATE, Script, final_answer, says

Etude = Callable[..., Result]
WHERE = AnsweredTask(name="digits-noisy", version="1")


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.zeros(2))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An answer as the client keeps it."""
    with Script(says(final_answer(task=WHERE))).client() as client:
        return client.best("mine").save(tmp_path / "best.json")


def test_what_was_kept_builds_what_was_trained(file: Path) -> None:
    """The optimizer and the LR of every update are those that `etude.torch.build` makes of the candidate."""
    saved = etude.load(file)

    optimizer, scheduler = saved.build([parameter()], total_steps=40)

    expected, schedule = build(CANDIDATE, [parameter()], 40)
    ours, theirs = [], []
    for _ in range(40):
        ours.append(optimizer.param_groups[0]["lr"])
        theirs.append(expected.param_groups[0]["lr"])
        for one in (optimizer, expected, scheduler, schedule):
            one.step()
    assert type(optimizer) is type(expected)
    assert ours == theirs == saved.curve(40)


def test_the_horizon_is_what_is_built_for_by_default(file: Path) -> None:
    """And what is drawn; candidate, sentence and evidence are at hand."""
    saved = etude.load(str(file))

    _, scheduler = saved.build([parameter()])

    assert (saved.horizon, scheduler.total_steps, len(saved.curve())) == (100, 100, 100)
    assert (saved.candidate, saved.sentence) == (CANDIDATE, "Change to this.")
    assert saved.artefact.evidence.finalist == "candidate-1"
    assert read_candidate(saved) == CANDIDATE
    assert "AdamW" in saved.code(total_steps=40)


def test_a_horizon_too_short_is_refused(file: Path) -> None:
    """The kept answer says how many steps it takes."""
    saved = etude.load(file)

    with pytest.raises(HorizonTooShort) as caught:
        saved.curve(saved.artefact.redraw.least_steps - 1)
    assert caught.value.least_steps == saved.artefact.redraw.least_steps
    assert len(saved.curve(saved.artefact.redraw.least_steps)) == saved.artefact.redraw.least_steps


def test_a_plateau_is_built_in_the_direction_of_its_metric(tmp_path: Path) -> None:
    """It has no curve before a training, and takes the number of evaluations."""
    following = {"optimizer": {"kind": "sgd"}, "initial_lr": 0.1, "schedule": {"kind": "plateau", "patience": 1}}
    plateau = Candidate.model_validate(following)
    metric = {"name": "accuracy", "direction": "maximize"}
    answer = final_answer(task=WHERE, candidate=plateau, metric=metric)
    with Script(says(answer)).client() as client:
        saved = etude.load(client.best("mine").save(tmp_path / "best.json"))

    optimizer, scheduler = saved.build([parameter()], 100, evaluations=10)
    for accuracy in (0.1, 0.2, 0.3, 0.4):
        scheduler.observe(accuracy)

    assert optimizer.param_groups[0]["lr"] == 0.1
    with pytest.raises(Unsupported):
        saved.curve()


def test_a_changed_file_is_refused(file: Path) -> None:
    """One digit of the LR: the checksum is another."""
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"initial_lr": 0.001', '"initial_lr": 0.002'), encoding="utf-8")

    with pytest.raises(InvalidSpec, match="checksum: the answer was changed after it was kept"):
        etude.load(file)


def test_an_answer_without_a_candidate_is_not_kept(tmp_path: Path) -> None:
    """And no file is left."""
    answer = final_answer(status="searching", candidate=None)
    with Script(says(answer)).client() as client, pytest.raises(InvalidSpec):
        client.best("mine").save(tmp_path / "best.json")

    assert list(tmp_path.iterdir()) == []


def test_loading_and_drawing_needs_neither_torch_nor_a_network(file: Path) -> None:
    """torch is loaded when something is built, and an HTTP client never."""
    look = "import sys, etude; etude.load(sys.argv[1]).curve(50); print({'torch', 'httpx'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", look, str(file)], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_the_command_line_keeps_an_answer(etude: Etude, table: dict[str, Any], tmp_path: Path) -> None:
    """`etude best mine -o FILE` writes what `etude.load` reads, and says where."""
    table["GET /v1/studies/mine/best"] = says(final_answer(task=WHERE, candidate=BASELINES["onecycle"]))

    result = etude("best", "mine", "-o", str(tmp_path / "best.json"))

    assert (result.stdout, result.stderr) == ("", f"written to {tmp_path / 'best.json'}\n")
    from etude.saved import load

    assert load(tmp_path / "best.json").candidate == BASELINES["onecycle"]
