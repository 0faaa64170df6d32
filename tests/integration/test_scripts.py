"""Training scripts that know nothing of Étude, on real torch: every update is made with the LR of the trial.

Each script looks itself at what its updates did: a parameter whose gradient is 1 moves by the LR in force.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from etude.script_files import Record, ScriptTrial, write_trial
from tests.script_trials import (
    SCRIPTS,
    Trained,
    as_main,
    assert_on_the_curve,
    candidate,
    counting,
    here,
    injecting,
    inside,
)

KINDS = ["none", "exponential", "cosine", "warm-up", "one-cycle", "plateau", "by-hand"]


def both(place: Path, script: str, *arguments: str) -> tuple[Trained, Trained, ScriptTrial]:
    """Count a script's updates, then train it with a candidate."""
    counted = here(place, script, *arguments, trial=counting())
    trial = injecting(counted.updates, counted.own_lrs)
    return counted, here(place, script, *arguments, trial=trial), trial


@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_with_a_scheduler_of_its_own(tmp_path: Path, kind: str) -> None:
    """Our curve is in force at every update, by group, while the script sees its own LRs as if nobody were there."""
    counted, trained, trial = both(tmp_path, "plain.py", kind)

    assert_on_the_curve(trained, trial, 1.0, 0.25)
    assert trained.said["logged"] == counted.said["logged"]
    assert np.array_equal(trained.curves.own, counted.curves.own)
    np.testing.assert_allclose(np.asarray(counted.moves)[:, 0], counted.curves.in_force, rtol=1e-9)
    assert counted.largest_lr == max(counted.curves.own)
    assert trained.processes[0].optimizers[0].kind == "torch.optim.sgd.SGD"


@pytest.mark.parametrize("kind", ["cosine", "plateau", "by-hand"])
def test_what_the_script_does_by_itself_is_scaled(tmp_path: Path, kind: str) -> None:
    """A factor on the script's own LR, whatever it is at that update."""
    counted = here(tmp_path, "plain.py", kind, trial=counting())
    current = candidate().model_dump(mode="json") | {
        "initial_lr": 3 * counted.largest_lr,
        "schedule": {"kind": "script"},
    }

    scaled = here(tmp_path, "plain.py", kind, trial=ScriptTrial(mode="inject", candidate=current, scale=3.0))

    np.testing.assert_allclose(scaled.moves, 3 * np.asarray(counted.moves), rtol=1e-9)
    np.testing.assert_allclose(scaled.curves.in_force, 3 * scaled.curves.own, rtol=1e-12)
    assert scaled.said["logged"] == counted.said["logged"]


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_updates_left_out_by_a_grad_scaler_are_none(tmp_path: Path, where: str) -> None:
    """The curve waits for the next update that is made, whoever looks at the infinite gradients."""
    counted, trained, trial = both(tmp_path, "scaler.py", where)

    made = [move for move in trained.moves if move != [0.0]]
    assert (counted.updates, len(trained.moves), len(made)) == (7, 10, 7)
    trained.moves = made
    assert_on_the_curve(trained, trial, 1.0)


def test_accumulated_batches_make_one_update(tmp_path: Path) -> None:
    """Twelve batches, four updates, four LRs."""
    counted, trained, trial = both(tmp_path, "accumulating.py")

    assert counted.updates == 4
    assert_on_the_curve(trained, trial, 1.0)


def test_two_optimizers_share_one_curve(tmp_path: Path) -> None:
    """Every step of either is one step of the horizon; each keeps its ratio, also the one that came late."""
    counted, trained, trial = both(tmp_path, "two.py")

    ratios = np.asarray([0.25, 0.25, 1.0] * 4)
    np.testing.assert_allclose([move for (move,) in trained.moves], np.asarray(trial.lr) * ratios, rtol=1e-9)
    assert counted.curves.own.tolist() == trained.curves.own.tolist() == [1.0] * 12
    assert (trained.updates, trained.own_lrs) == (12, ((0.25,), (1.0,)))
    assert [one.updates for one in trained.processes[0].optimizers] == [8, 4]
    assert trained.misfits == ()


def test_a_group_added_later_has_its_ratio(tmp_path: Path) -> None:
    """From the update on at which it first takes part."""
    _, trained, trial = both(tmp_path, "unfreezing.py")

    due = np.asarray(trial.lr)
    np.testing.assert_allclose(trained.moves, np.stack([due, due * ([0.0] * 4 + [0.1] * 4)], axis=1), rtol=1e-9)
    assert [group.ratio for group in trained.processes[0].optimizers[0].groups] == [1.0, 0.1]


def test_a_scheduler_by_update_and_by_epoch_with_scales_by_layer(tmp_path: Path) -> None:
    """The ratios are those of the LRs that the counting pass saw, not of the `initial_lr` that all groups share."""
    _, trained, trial = both(tmp_path, "timm_style.py")

    assert_on_the_curve(trained, trial, 1.0, 0.5, 0.25)


@pytest.mark.parametrize("kind", ["wrapping", "copying", "deriving", "tensor", "far", "closure", "raising"])
def test_optimizers_with_ways_of_their_own(tmp_path: Path, kind: str) -> None:
    """Steps within steps count once, an LR in a tensor is set in place, a step that raises is none."""
    counted, trained, trial = both(tmp_path, "odd.py", kind)

    assert (counted.updates, counted.own_lrs) == (3 if kind == "raising" else 6, ((0.5,),))
    assert np.isnan(counted.curves.own).all() == (kind == "far")  # nobody waits for a device to know it
    assert_on_the_curve(trained, trial, 1.0)
    assert trained.said["logged"] == 0.5


def test_a_script_that_insists_on_its_lr_is_told(tmp_path: Path) -> None:
    """Its own hook comes after ours; what was in force is what the record says."""
    trained = here(tmp_path, "odd.py", "insisting", trial=injecting(6, [[0.5]]))

    assert trained.moves == [[0.125]] * 6
    assert trained.curves.in_force.tolist() == [0.125] * 6
    assert trained.misfits == ("Updates within which the script set its own LR, after ours was imposed: 6.",)


def test_updates_beyond_the_horizon_hold_the_last_lr(tmp_path: Path) -> None:
    """A script that goes on for longer than it was counted is a misfit that is told."""
    counted = here(tmp_path, "accumulating.py", trial=counting())
    trial = ScriptTrial(
        mode="inject", candidate=candidate().model_dump(mode="json"), lr=[0.4, 0.2], horizon_steps=2,
        own_lrs=counted.own_lrs,
    )  # fmt: skip

    trained = here(tmp_path, "accumulating.py", trial=trial)

    np.testing.assert_allclose([move for (move,) in trained.moves], [0.4, 0.2, 0.2, 0.2], rtol=1e-9)
    assert trained.misfits == ("Updates beyond the last LR of the trial, made with that last one: 2.",)


def test_a_checkpoint_that_the_script_loads_is_told(tmp_path: Path) -> None:
    """The curve of a trial begins at its first update, whatever the optimizer has behind it; the ratio stays."""
    trained = here(tmp_path, "resuming.py", trial=injecting(4, [[0.5]]))

    (words,) = trained.misfits
    assert words == "The script loaded an optimizer's state; the curve began at 0, not at its update 3."
    assert trained.curves.in_force.tolist() == np.asarray(injecting(4, [[0.5]]).lr).tolist()


def test_without_a_counting_pass_ratios_are_those_of_the_first_step(tmp_path: Path) -> None:
    """An optimizer that comes later with a larger LR goes above the trial's, and that is told."""
    lr = np.full(12, 0.5)
    trial = ScriptTrial(mode="inject", candidate=candidate().model_dump(mode="json"), lr=lr, horizon_steps=12)

    trained = here(tmp_path, "two.py", trial=trial)

    groups = [optimizer.groups[0] for optimizer in trained.processes[0].optimizers]
    assert [group.initial_lr for group in groups] == [0.25, 1.0]
    assert groups[1].ratio == 4 * groups[0].ratio
    if groups[0].ratio == 1.0:  # no larger one was alive in this process
        assert trained.misfits == (
            "An optimizer or group that came later has a larger LR than all before: its ratio is above 1.",
        )


def test_a_group_that_was_not_counted_is_told(tmp_path: Path) -> None:
    """It keeps the ratio of its own LR to the largest of the counting pass."""
    trained = here(tmp_path, "unfreezing.py", trial=injecting(8, [[0.5]]))

    assert [group.ratio for group in trained.processes[0].optimizers[0].groups] == [1.0, 0.1]
    assert trained.misfits == ("A parameter group stepped that the counting pass did not see.",)


def test_a_record_that_cannot_be_written_stops_no_script(tmp_path: Path) -> None:
    """The LR is imposed all the same; the record's reader sees that nothing was recorded."""
    trial = injecting(4, [[0.5]], patterns=["x"])
    path = write_trial(tmp_path, trial)
    (tmp_path / "record").rmdir()

    with inside(path), as_main("accumulating.py"):
        said = runpy.run_path(str(SCRIPTS / "accumulating.py"))

    np.testing.assert_allclose([move for (move,) in said["seen"].moves], np.asarray(trial.lr), rtol=1e-9)
    with Record(path) as record:
        assert (record.updates, record.processes()) == (0, ())
