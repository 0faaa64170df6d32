"""Scripts as processes: wrapped, forked, launched in ranks, under the loops of other libraries, and what they write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from etude.script_files import Record, environment, write_trial
from tests import frameworks
from tests.script_trials import apart, assert_on_the_curve, counting, here, injecting

PATTERN = r"val_loss=(\d+)"


def test_metrics_of_a_wrapped_script_are_known_by_update(tmp_path: Path) -> None:
    """Whatever way a line takes, its updates are those of its writing; its text is what it would have been."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("print('theirs began', __name__, __file__)\n")
    trial = injecting(12, [[0.5]], patterns=[PATTERN], files=["../../../seen*.csv"])

    trained = apart(tmp_path, ["bash", "wrapped.sh", sys.executable], trial, PYTHONPATH=str(hidden))

    written = [*range(1, 3), *range(4, 10), 12]
    with Record(trained.path) as record:
        steps = [record.line_step(f"val_loss={updates}") for updates in written]
        unknown = record.line_step("val_loss=before"), record.line_step("val_loss=1")
    assert_on_the_curve(trained, trial, 1.0)
    assert steps == written
    assert unknown == (None, None)
    assert trained.processes[0].torch_seed == 17
    own = 0.5 * 0.9 * 0.9
    assert trained.output == (
        f"val_loss=before\ntheirs began sitecustomize {hidden / 'sitecustomize.py'}\nval_loss=1\n"
        f"INFO epoch 1: val_loss=2, lr {own}\nval_loss=7\nval_loss=8\nval_loss=9\nval_loss=12val_loss=after\n"
    )
    assert trained.errors.startswith("val_loss=4\n")


def test_forks_count_for_themselves_and_an_error_is_kept(tmp_path: Path) -> None:
    """A child that trains goes on where its parent was and is told; what was counted outlives a hard end."""
    trained = apart(tmp_path, [sys.executable, "forking.py"], counting(), status=1)

    parent, child = trained.processes
    assert (parent.updates, parent.base, parent.end) == (5, 0, "exception")
    assert (child.updates, child.base, child.end) == (2, 3, None)
    assert parent.error is not None
    assert parent.error.endswith("ValueError: the data have ended")
    assert parent.torch_seed is None
    assert trained.updates == 5
    assert trained.misfits == (
        "Several processes of rank 0 trained at the same time; their updates are not one curve.",
    )


def test_two_ranks_train_on_one_curve(tmp_path: Path) -> None:
    """Each rank has the LR in force at each update; the count is that of rank 0."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    trial = injecting(8, [[0.5]], patterns=[r"val_loss=(\S+)"])

    trained = apart(tmp_path, [*launcher, "ranks.py"], trial)

    ranks = sorted(one.rank for one in trained.processes if one.updates)
    assert_on_the_curve(trained, trial, 1.0)
    assert ranks == [0, 1]
    assert [(one.updates, one.world_size, one.end) for one in trained.processes if one.updates] == [(8, 2, "exit")] * 2
    assert {one.local_rank for one in trained.processes if one.updates} == {0, 1}


def test_the_trainer_of_transformers(tmp_path: Path) -> None:
    """Its accelerated optimizer, its two groups and its accumulation: the LR of each update is the trial's."""
    frameworks.transformers()
    trial = injecting(8, [[1e-3, 1e-3]], initial_lr=3e-3)

    trained = here(tmp_path, "trainer.py", trial=trial)

    own = 1e-3 * np.asarray([0, 1 / 2, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert_on_the_curve(trained, trial, 1.0, 1.0)
    np.testing.assert_allclose(trained.curves.own, own, rtol=1e-9)
    np.testing.assert_allclose(trained.said["logged"], [own[3], own[7]], rtol=1e-9)


def test_a_lightning_module(tmp_path: Path) -> None:
    """Its optimizer is stepped with a closure that trains."""
    frameworks.pytorch_lightning()
    trial = injecting(6, [[0.5]])

    trained = here(tmp_path, "lightning_module.py", trial=trial)

    assert_on_the_curve(trained, trial, 1.0)
    np.testing.assert_allclose(trained.curves.own, 0.5 * 0.9 ** np.arange(6), rtol=1e-9)


def test_a_process_without_torch_is_left_alone(tmp_path: Path) -> None:
    """It loads what it loads without us, sees no path of ours, and nothing is written."""
    program = "import sys; print(*sorted(sys.modules), *sys.path, sep='\\n')"
    path = write_trial(tmp_path, counting())

    alone, ours = (
        subprocess.run(
            [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for variables in ({}, environment({}, path))
    )  # fmt: skip

    assert set(ours) - set(alone) == {"sitecustomize"}
    assert list((tmp_path / "record").iterdir()) == []
