"""Packed optimizers: row for row the ones that `etude.torch` builds, whatever the neighbours."""

from __future__ import annotations

import io
import math

import pytest
import torch

from search_spaces.optimizers import BUILDABLE, OPTIMIZERS, Optimizer
from tests.packed_rows import (
    COLUMNS,
    FORMS,
    GROUPS,
    SHAPES,
    Alone,
    Batches,
    assert_same_state,
    assert_same_step,
    assert_steps_are_torchs,
    assert_training_is_torchs,
    lr_at,
    lrs_at,
    packed,
    specs_of,
    split,
    train,
)
from workers.packing.fused import FusedRows
from workers.packing.optimizers import RULES, group_key


@pytest.fixture
def specs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Optimizer]:
    """The rows of a group, stepped in the form that is asked for."""
    group, form = request.param
    if form == "vectorised":
        monkeypatch.setattr(FusedRows, "serves", staticmethod(lambda kind, device: False))
    return specs_of(group)


every_form = pytest.mark.parametrize("specs", FORMS, indirect=True, ids=[f"{group}: {form}" for group, form in FORMS])


@every_form
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_each_step_is_torchs(specs: list[Optimizer], dtype: torch.dtype) -> None:
    """At updates 0, 10 and 20, from torch's state, the step and the state after it are torch's, a late row's too."""
    assert_steps_are_torchs(specs, dtype, updates=21, late=15)


@every_form
def test_a_training_is_torchs(specs: list[Optimizer]) -> None:
    """Over 20 updates by themselves, rows there from the start and one that enters later go where torch's go."""
    assert_training_is_torchs(specs, updates=20, late=6)


@every_form
def test_a_horizon_of_one_update(specs: list[Optimizer]) -> None:
    """The first update of all is torch's, where momenta and biases are at their start."""
    batches = Batches(torch.float32)
    start = batches.weights(len(specs))
    lr = torch.full((len(specs), 1), 0.1, dtype=torch.float64)

    optimizer, ours = packed(specs), start.clone()
    optimizer.step(ours, batches.grads(len(specs), 0), lr)

    for row, spec in enumerate(specs):
        one = Alone(spec, start[row])
        one.update(batches.grad(row, 0), 0.1)
        assert_same_step(ours[row], one.weights(), start[row])


@every_form
def test_an_lr_of_zero_moves_nothing(specs: list[Optimizer]) -> None:
    """With an LR of 0, as before a warm-up, weights keep every bit, decayed or not, while the state goes on."""
    batches = Batches(torch.float32)
    start = batches.weights(len(specs))
    optimizer, ours = packed(specs), start.clone()

    optimizer.step(ours, batches.grads(len(specs), 0), torch.zeros((len(specs), 1), dtype=torch.float64))

    assert torch.equal(ours, start)
    for row, spec in enumerate(specs):
        one = Alone(spec, start[row])
        one.update(batches.grad(row, 0), 0.0)
        assert_same_state(optimizer.state(row), one.state())


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_parameters_with_lrs_of_their_own(group: str, dtype: torch.dtype) -> None:
    """With an LR for every parameter, each step is torch's with parameter groups at these LRs, one of them 0."""
    specs, batches, ratios = specs_of(group), Batches(dtype), (0.1, 1.0, 0.0)
    ratio = torch.cat(
        [torch.full((math.prod(shape),), by, dtype=torch.float64) for shape, by in zip(SHAPES, ratios, strict=True)]
    )
    alone = [Alone(spec, weights) for spec, weights in zip(specs, batches.weights(len(specs)), strict=True)]
    optimizer = packed(specs, dtype)

    for update in range(12):
        ours = torch.stack([one.weights() for one in alone])
        before, lrs = ours.clone(), lrs_at(optimizer.specs, update)
        for row, one in enumerate(alone):
            optimizer.load(row, one.state())
            one.update(batches.grad(row, update), lrs[row].item(), ratios)
        optimizer.step(ours, batches.grads(len(specs), update), lrs * ratio)

        for row, one in enumerate(alone):
            for mine, theirs, was in zip(split(ours[row]), split(one.weights()), split(before[row]), strict=True):
                assert_same_step(mine, theirs, was)


@every_form
def test_a_row_is_the_same_in_any_place(specs: list[Optimizer]) -> None:
    """A row's weights and state have the same bits alone, last of a few, and within many of wide rows."""
    columns, many = 1003, 150
    batches = Batches(torch.float32, columns)
    start = batches.weights(len(specs))
    few = train(packed(specs, columns=columns), start.clone(), batches, range(12))
    repeated = [specs[row % len(specs)] for row in range(many)]
    places = torch.arange(many) % len(specs)

    crowd, weights = packed(repeated, columns=columns), start[places]
    for update in range(12):
        grads, lrs = batches.grads(len(specs), update), lrs_at(tuple(specs), update)
        crowd.step(weights, grads[places], lrs[places])

    assert torch.equal(weights, few[places])
    for row, spec in enumerate(specs):
        alone, own = packed([spec], columns=columns), start[row : row + 1].clone()
        for update in range(12):
            alone.step(own, batches.grad(row, update)[None], lrs_at(tuple(specs), update)[row : row + 1])
        assert torch.equal(own[0], few[row])
        assert all(torch.equal(value, crowd.state(row)[name]) for name, value in alone.state(0).items())


@every_form
def test_a_row_of_nan_stays_by_itself(specs: list[Optimizer]) -> None:
    """A row that has diverged leaves its neighbours' weights and states as they are without it, to the last bit."""
    batches = Batches(torch.float32)
    rows = [specs[0], specs[-1], specs[0]]
    well, ill = packed(rows), packed(rows)
    weights, beside = batches.weights(3), batches.weights(3)

    for update in range(12):
        grads = batches.grads(3, update)
        well.step(weights, grads, lrs_at(well.specs, update))
        grads[1] = math.nan if update % 2 else math.inf
        ill.step(beside, grads, lrs_at(ill.specs, update))

    assert not torch.equal(beside[1], weights[1])
    assert torch.equal(beside[[0, 2]], weights[[0, 2]])
    for row in (0, 2):
        assert all(torch.equal(value, ill.state(row)[name]) for name, value in well.state(row).items())


@every_form
def test_nothing_but_the_rows_is_written(specs: list[Optimizer]) -> None:
    """Within a larger tensor the rows around the group keep their bits, and so do the gradients."""
    batches = Batches(torch.float32)
    weights, grads = batches.weights(len(specs) + 2), batches.grads(len(specs), 9)
    before, given = weights.clone(), grads.clone()

    packed(specs).step(weights[1:-1], grads, lrs_at(tuple(specs), 9))

    assert torch.equal(weights[[0, -1]], before[[0, -1]])
    assert not torch.equal(weights[1:-1], before[1:-1])
    assert torch.equal(grads, given)


@every_form
def test_a_saved_row_goes_on_to_the_last_bit(specs: list[Optimizer]) -> None:
    """States written to a file after any update, none among them, and loaded into fresh rows continue bit for bit."""
    batches = Batches(torch.float32)
    for at in (0, 1, 7):
        whole, weights = packed(specs), batches.weights(len(specs))
        train(whole, weights, batches, range(at))
        file = io.BytesIO()
        torch.save([weights, *(whole.state(row) for row in range(len(specs)))], file)
        file.seek(0)
        resumed = packed(specs)

        again, *states = torch.load(file, weights_only=True)
        for row, state in enumerate(states):
            resumed.load(row, state)
        train(whole, weights, batches, range(at, 20))
        train(resumed, again, batches, range(at, 20))

        assert torch.equal(again, weights)


@every_form
def test_torch_takes_a_rows_state(specs: list[Optimizer]) -> None:
    """A row's state, before the first update and after ten, is torch's by its names, and torch goes on from it."""
    batches = Batches(torch.float32)
    optimizer, ours = packed(specs), batches.weights(len(specs))

    for update in (0, 10):
        alone = [Alone(spec, weights) for spec, weights in zip(specs, ours, strict=True)]
        assert update or all(optimizer.state(row).keys() == one.state().keys() for row, one in enumerate(alone))
        for row, one in enumerate(alone):
            one.load(optimizer.state(row))
            one.update(batches.grad(row, update), lr_at(specs[row], row, update))
        before = ours.clone()
        train(optimizer, ours, batches, range(update, update + 1))
        for row, one in enumerate(alone):
            assert_same_step(ours[row], one.weights(), before[row])
            assert_same_state(optimizer.state(row), one.state())
        train(optimizer, ours, batches, range(update + 1, 10))


@pytest.mark.parametrize("group", GROUPS)
def test_a_row_gives_back_what_it_loaded(group: str) -> None:
    """A state loaded and asked for again before any update is the same, of kinds that count their updates or not."""
    batches, specs = Batches(torch.float32), specs_of(group)
    optimizer, other = packed(specs), packed(specs)
    train(optimizer, batches.weights(len(specs)), batches, range(3))

    other.load(1, optimizer.state(1))

    state = optimizer.state(1)
    assert other.state(1).keys() == state.keys()
    assert all(torch.equal(other.state(1)[name], value) for name, value in state.items())
    assert other.state(0).keys() == packed(specs).state(0).keys()


def test_a_state_is_a_copy() -> None:
    """What `state` has returned does not change with further updates."""
    batches, specs = Batches(torch.float32), specs_of("nadam")
    optimizer, weights = packed(specs), batches.weights(len(specs))
    train(optimizer, weights, batches, range(2))

    state = optimizer.state(1)
    kept = {name: value.clone() for name, value in state.items()}
    train(optimizer, weights, batches, range(2, 4))

    assert all(torch.equal(state[name], value) for name, value in kept.items())


@pytest.mark.parametrize("group", GROUPS)
def test_an_empty_state_begins_anew(group: str) -> None:
    """A row that loads an empty state is a fresh one."""
    batches, specs = Batches(torch.float32), specs_of(group)
    used, fresh = packed(specs), packed(specs)
    train(used, batches.weights(len(specs)), batches, range(3))

    for row in range(len(specs)):
        used.load(row, {})
    weights = [train(one, batches.weights(len(specs)), batches, range(12)) for one in (used, fresh)]

    assert torch.equal(*weights)


def test_a_state_that_does_not_fit_is_refused() -> None:
    """Something missing, or of another size, is an error, and names what is missing."""
    optimizer = packed(specs_of("adam"))
    state = {"step": torch.tensor(3.0), "exp_avg": torch.ones(COLUMNS), "exp_avg_sq": torch.ones(COLUMNS)}

    with pytest.raises(KeyError, match="exp_avg_sq"):
        optimizer.load(0, {name: value for name, value in state.items() if name != "exp_avg_sq"})
    with pytest.raises(RuntimeError, match="shape"):
        optimizer.load(0, state | {"exp_avg": torch.ones(COLUMNS + 1)})


def test_what_can_be_stepped_together_has_one_key() -> None:
    """Numbers do not part rows, kinds and flags do."""
    keys = [{group_key(spec) for spec in specs_of(group)} for group in GROUPS]

    assert all(len(key) == 1 for key in keys)
    assert len(set.union(*keys)) == len(GROUPS)


def test_what_has_no_vectorised_form() -> None:
    """Every kind that can be built is either tested here, or trains alone."""
    alone = {"adabound", "amsbound", "adafactor", "muon", "prodigy"}
    alone |= {"schedule_free_sgd", "schedule_free_adamw", "sparse_adam"}

    assert {kind for kind in BUILDABLE if group_key(OPTIMIZERS[kind]()) is None} == alone
    assert {group.split(",", maxsplit=1)[0] for group in GROUPS} == set(RULES) == BUILDABLE - alone


@pytest.mark.parametrize(
    "rows",
    [[], ["adam", "adamw"], ["muon"]],
    ids=["none", "two kinds", "no vectorised form"],
)
def test_what_is_no_group_is_refused(rows: list[str]) -> None:
    """Rows without a key in common are an error that names them."""
    with pytest.raises(ValueError, match=", ".join(rows) or "no optimizers"):
        packed([OPTIMIZERS[kind]() for kind in rows])
