"""`etude train`: a script as it is, trained with the answer of a search."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from etude.cli import main
from etude.script_answer import CannotTrain, keep, read_kept, train
from search_spaces.baselines import BASELINES, script_current
from search_spaces.candidate import Candidate
from search_spaces.results import AnsweredTask
from search_spaces.schedules import Cosine, Linear, Plateau, curve
from search_spaces.script_spec import ScriptSpec
from tests.machine import ROOT
from tests.scripts import FAST, script_spec
from tests.unit.etude.answers import final_answer

OWN = script_current(0.05)
COSINE = OWN.model_copy(update={"schedule": Cosine()})
SHOWN = """
import json, os, sys
told = json.load(open(os.environ["ETUDE_TRIAL"]))
json.dump({"arguments": sys.argv[1:], "trial": told}, open("shown.json", "w"))
sys.exit(7)
"""
INJECT: dict[str, Any] = {"mode": "inject", "flags": "", "schedules": None, "optimizers": None}
FILE = INJECT | {"mode": "file"}
SEEN = {"largest_lr": 0.05, "own_lrs": [[0.05]]}


def kept(directory: Path, candidate: Candidate, script: ScriptSpec | None = None) -> Path:
    """What a search has left."""
    keep(directory, final_answer(candidate=candidate, task=AnsweredTask(name="train", version="1")), SEEN)
    if script is not None:
        (directory / "script.json").write_text(script.model_dump_json())
        return directory
    return directory / "best.json"


def trained(place: Path, script: ScriptSpec, *, total_steps: int = 100, first_step: int = 0) -> tuple[int, list[str]]:
    said: list[str] = []
    status = train(read_kept(place), script, total_steps=total_steps, first_step=first_step, say=said.append)
    return status, said


def shown(directory: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((directory / "shown.json").read_text())
    return document


def test_a_script_with_flags_is_given_those_of_the_answer(tmp_path: Path) -> None:
    """The command of the search, the answer's words behind it; the exit status is the script's own."""
    script = script_spec(tmp_path, SHOWN)
    candidate = BASELINES["sgd-cosine"]

    status, said = trained(kept(tmp_path, candidate, script), script)

    words = ["--lr", str(candidate.initial_lr), "--optimizer", "sgd", "--scheduler", "cosine"]
    assert (status, shown(tmp_path)["arguments"], said) == (7, words, [])


@pytest.mark.parametrize(("total", "first"), [(100, 0), (250, 0), (100, 60)])
def test_a_script_that_reads_its_trial_is_given_the_lr_of_every_update(tmp_path: Path, total: int, first: int) -> None:
    """Redrawn for the training's own length, and from where an earlier one has ended."""
    script = script_spec(tmp_path, SHOWN, **FILE)

    trained(kept(tmp_path, COSINE), script, total_steps=total, first_step=first)

    told = shown(tmp_path)["trial"]
    np.testing.assert_allclose(told["lr"], 0.05 * curve(Cosine(), total)[first:], rtol=1e-12)
    assert (told["purpose"], told["horizon_steps"]) == ("training", total - first)


def test_from_outside_every_update_has_the_answers_lr(tmp_path: Path) -> None:
    """Shown by the trained weight alone: a line with a constant gradient ends where the LRs of its updates sum to; a
    training of another length is told, with how to have it.
    """
    code = """
import torch
weight = torch.zeros(1, requires_grad=True)
optimizer = torch.optim.SGD([weight], lr=0.05)
for _ in range(int(__import__("sys").argv[1])):
    optimizer.zero_grad()
    (-weight).sum().backward()
    optimizer.step()
open("weight", "w").write(repr(weight.item()))
"""
    script = script_spec(tmp_path, code, **INJECT)
    linear = OWN.model_copy(update={"schedule": Linear(), "initial_lr": 0.4})
    script = script.model_copy(update={"command": [sys.executable, "train.py", "40"]})

    status, said = trained(kept(tmp_path, linear), script, total_steps=30)

    factors = curve(Linear(), 30)
    expected = 0.4 * (float(factors.sum()) + 10 * float(factors[-1]))
    assert status == 0
    assert float((tmp_path / "weight").read_text()) == pytest.approx(expected, rel=1e-5)
    assert "--total-steps 40" in said[-1]


@pytest.mark.parametrize(
    ("candidate", "first", "words"),
    [
        (BASELINES["adamw-warmup-cosine"], 0, "the answer's optimizer is adamw"),
        (COSINE, 100, "--first-step: below the 100 updates"),
        (OWN, 3, "--first-step: goes with a learning rate that is given for every update"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_starts(
    tmp_path: Path, candidate: Candidate, first: int, words: str
) -> None:
    """Only an LR can be set from outside, and only within the training."""
    script = script_spec(tmp_path, SHOWN, **INJECT)

    with pytest.raises(CannotTrain, match=words):
        trained(kept(tmp_path, candidate), script, first_step=first)

    assert not (tmp_path / "shown.json").exists()


def test_a_plateau_is_refused(tmp_path: Path) -> None:
    """Its LRs are not known before the training."""
    place = kept(tmp_path, OWN.model_copy(update={"schedule": Plateau()}))

    told = CliRunner().invoke(main, ["train", str(place), "--", *FAST, "-c", "pass"])

    assert told.exit_code == 1
    assert "plateau" in told.output


def test_a_multiple_of_the_scripts_own_lr_needs_to_know_it(tmp_path: Path) -> None:
    """With an answer's file alone it is said by --initial-lr."""
    place = kept(tmp_path, OWN)

    told = CliRunner().invoke(main, ["train", str(place), "--", *FAST, "-c", "pass"])

    assert told.exit_code == 1
    assert "--initial-lr" in told.output


def test_a_search_that_has_not_ended_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the place where it was looked for."""
    monkeypatch.setenv("ETUDE_DATA_DIR", str(tmp_path))

    told = CliRunner().invoke(main, ["train", "mine", "--", *FAST, "-c", "pass"])

    assert told.exit_code == 1
    assert str(tmp_path / "search" / "mine") in told.output


def test_the_script_gets_the_signals(tmp_path: Path) -> None:
    """A cluster that ends `etude train` ends the script, and the exit status is a shell's."""
    code = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    script = script_spec(tmp_path, code, **FILE)
    (tmp_path / "script.yaml").write_text(script.model_dump_json(exclude_none=True))
    command = [sys.executable, "-m", "etude", "train", str(kept(tmp_path, COSINE)), "--script", "script.yaml"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}

    with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as etude:
        assert etude.stdout is not None
        pid = int(etude.stdout.readline())
        etude.send_signal(signal.SIGTERM)
        etude.communicate(timeout=30)

    assert etude.returncode == 143
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
