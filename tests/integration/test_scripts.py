"""Training scripts that know nothing of Étude, on real torch: every update is made with the LR of the trial.

Each script looks itself at what its updates did: a parameter whose gradient is 1 moves by the LR in force.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from etude.script_files import ScriptTrial
from tests.script_trials import Trained, assert_on_the_curve, candidate, counting, here, injecting

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


@pytest.mark.parametrize("kind", ["wrapping", "copying", "deriving", "tensor", "closure", "raising"])
def test_optimizers_with_ways_of_their_own(tmp_path: Path, kind: str) -> None:
    """Steps within steps count once, an LR in a tensor is set in place, a step that raises is none."""
    counted, trained, trial = both(tmp_path, "odd.py", kind)

    assert counted.updates == (3 if kind == "raising" else 6)
    assert_on_the_curve(trained, trial, 1.0)
    assert trained.said["logged"] == 0.5


def test_updates_beyond_the_horizon_hold_the_last_lr(tmp_path: Path) -> None:
    """A script that goes on for longer than it was counted is a misfit that is told."""
    counted = here(tmp_path, "accumulating.py", trial=counting())
    trial = ScriptTrial(
        mode="inject", candidate=candidate().model_dump(mode="json"), lr=[0.4, 0.2], horizon_steps=2,
        own_lrs=counted.own_lrs,
    )  # fmt: skip

    trained = here(tmp_path, "accumulating.py", trial=trial)

    np.testing.assert_allclose([move for (move,) in trained.moves], [0.4, 0.2, 0.2, 0.2], rtol=1e-9)
    assert trained.misfits == ("2 updates were made after the last LR of the trial, with that last one.",)
