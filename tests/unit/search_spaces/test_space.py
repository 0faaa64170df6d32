"""Spaces: from what a study says to the ranges, and between points and their parameters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from search_spaces.candidate import Candidate
from search_spaces.optimizers import OPTIMIZERS
from search_spaces.presets import PRESETS
from search_spaces.problems import HorizonTooShort, InvalidSpec
from search_spaces.ranges import Choice, FloatRange, IntRange
from search_spaces.schedules import FAMILIES, check_horizon
from search_spaces.space import Space, resolve_space
from search_spaces.study import SpaceSpec

from .drawing import Drawing

EVERY_OPTIMIZER = frozenset(OPTIMIZERS) - {"script"}


def space_of(budget: int = 64, **spec: Any) -> Space:
    return resolve_space(SpaceSpec.model_validate(spec), budget, buildable=EVERY_OPTIMIZER)


SPACES = {
    **{f"{preset}-{budget}": {"preset": preset, "budget": budget} for preset in PRESETS for budget in (16, 64, 200)},
    "restarts": {"preset": "everything", "budget": 500, "restarts": True},
    "by-definition": {"schedules": ["piecewise", "natural_exponential", "tanh", "knots", "noam", "power"]},
    "formula": {
        "schedules": {"expression": {"formula": {"choices": ["exp(-k * u)"]}, "k": {"low": 0.1, "high": 10}}}
    },
    "modifiers": {
        "warmup": {"fraction": {"low": 0, "high": 0.3}, "shape": {"choices": ["linear", "cosine"]}},
        "restarts": {"count": {"low": 1, "high": 3}, "peak_gamma": {"low": 0.5, "high": 1}},
    },
    "schedule-free": {"optimizers": ["adamw", "schedule_free_sgd", "schedule_free_adamw"]},
    "only-schedule-free": {"optimizers": ["schedule_free_adamw"]},
    "pairs-that-need-each-other": {
        "schedules": {"wsd": {"shape": {"choices": ["linear", "exponential"]}, "end_factor": {"choices": [0.01, 0.1]}}},
        "warmup": {"shape": {"choices": ["linear", "exponential"]}, "start_factor": {"low": 0.01, "high": 0.1}},
    },
    "cycles": {
        "schedules": {
            "polynomial": {"cycle": {"choices": [False, True]}, "cycle_length": {"low": 0.1, "high": 0.5}},
            "wsd": {"shape": {"choices": ["linear", "cosine", "sqrt"]}, "end_factor": {"choices": [0.0, 0.1]}},
            "two_point": {"interpolation": {"choices": ["linear", "pchip"]}},
            "plateau": {"flavour": {"choices": ["torch", "keras"]}},
            "cyclic": {"mode": {"choices": ["triangular", "triangular2"]}},
        }
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SPACES)
def test_a_point_is_found_again(name: str) -> None:
    """A drawn candidate has the parameters that drew it, and they are of this candidate."""
    space = space_of(**SPACES[name])

    for seed in range(60):
        candidate, params = space.suggest(Drawing(seed))

        assert space.candidate_of(params) == candidate
        found = space.params_of(Candidate.model_validate_json(candidate.model_dump_json()))
        assert found is not None
        assert list(found) == list(params)
        assert space.params_of(space.candidate_of(found) or candidate) == found


@pytest.mark.parametrize("name", SPACES)
def test_a_space_survives_a_database(name: str) -> None:
    """Written to JSON, its keys in another order, and read again it is the same and draws the same."""
    space = space_of(**SPACES[name])

    again = Space.model_validate(json.loads(json.dumps(json.loads(space.model_dump_json()), sort_keys=True)))

    assert again == space
    assert list(again.ranges()) == list(space.ranges())
    assert again.suggest(Drawing(3)) == space.suggest(Drawing(3))


@pytest.mark.parametrize("name", SPACES)
def test_only_active_parameters_are_drawn_in_one_order(name: str) -> None:
    """The names asked for are those of the point, each once, in the order of `ranges`."""
    space = space_of(**SPACES[name])
    every = list(space.ranges())

    for seed in range(40):
        drawing = Drawing(seed)
        candidate, params = space.suggest(drawing)

        assert drawing.asked == list(params)
        assert drawing.asked == sorted(drawing.asked, key=every.index)
        prefixes = {candidate.optimizer.kind, candidate.schedule.kind, "optimizer", "schedule"}
        assert {asked.split(".")[0] for asked in drawing.asked} <= prefixes | {"warmup", "restarts", "lr_ratios"}


def test_the_general_space_is_that_of_the_catalogue() -> None:
    """At 16 trials: two optimizers, two schedules, warm-up, with the catalogue's names and ranges."""
    ranges = space_of(16).ranges()

    assert list(ranges) == [
        "optimizer", "sgd.lr", "sgd.momentum", "sgd.nesterov", "sgd.weight_decay",
        "adamw.lr", "adamw.beta1", "adamw.beta2", "adamw.weight_decay",
        "schedule", "linear.end_factor", "cosine.end_factor", "warmup.fraction",
    ]  # fmt: skip
    assert ranges["optimizer"] == Choice(choices=["sgd", "adamw"])
    assert ranges["sgd.lr"] == FloatRange(low=1e-3, high=1.0, log=True)
    assert ranges["adamw.beta2"] == FloatRange(low=0.9, high=0.9999, one_minus=True)
    assert ranges["warmup.fraction"] == Choice(choices=[0.0, 0.02, 0.05, 0.1])


def test_a_range_is_laid_over_the_catalogues() -> None:
    """What is given replaces its parameter's range, everything else stays; only the named kinds are searched."""
    space = space_of(optimizers={"adamw": {"weight_decay": {"choices": [0.1]}}}, schedules=["cosine"])

    assert list(space.optimizers) == ["adamw"]
    assert space.optimizers["adamw"]["weight_decay"] == Choice(choices=[0.1])
    assert space.optimizers["adamw"]["lr"] == OPTIMIZERS["adamw"].lr_range
    candidate, params = space.suggest(Drawing(0))
    assert params["adamw.weight_decay"] == 0.1 == candidate.optimizer.to_params()["weight_decay"]


@pytest.mark.parametrize(
    ("given", "log"), [({"low": 1e-2, "high": 1e-1}, True), ({"low": 1e-2, "high": 1e-1, "log": False}, False)]
)
@pytest.mark.parametrize("stored", [False, True])
def test_an_override_keeps_the_scale_unless_it_names_one(given: dict[str, Any], log: bool, stored: bool) -> None:
    """An LR range without `log` is spread in the logarithm as the catalogue's, after storage too."""
    spec = SpaceSpec.model_validate({"optimizers": {"sgd": {"lr": given}}})
    if stored:
        spec = SpaceSpec.model_validate_json(spec.model_dump_json())

    space = resolve_space(spec, 64)

    assert space.optimizers["sgd"]["lr"] == FloatRange(low=1e-2, high=1e-1, log=log)


def test_numbers_are_of_the_parameters_kind() -> None:
    """Whole ends make no whole numbers of a real parameter, nor real ends real numbers of a count."""
    space = space_of(
        optimizers={"sgd": {"lr": {"low": 1, "high": 3}}},
        restarts={"count": {"low": 1.0, "high": 3.0}},
    )

    assert space.optimizers["sgd"]["lr"] == FloatRange(low=1.0, high=3.0, log=True)
    assert space.restarts["count"] == IntRange(low=1, high=3)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"preset": "all"}, "space.preset"),
    ({"optimizers": []}, "space.optimizers"),
    ({"optimizers": ["sgd", "sgd"]}, "space.optimizers"),
    ({"optimizers": ["adamx"]}, "space.optimizers.adamx"),
    ({"optimizers": ["script"]}, "space.optimizers.script"),
    ({"optimizers": ["sparse_adam"]}, "space.optimizers.sparse_adam"),
    ({"optimizers": {"sgd": {"beta1": {"low": 0, "high": 1}}}}, "space.optimizers.sgd.beta1"),
    ({"optimizers": {"sgd": {"kind": {"choices": ["adam"]}}}}, "space.optimizers.sgd.kind"),
    ({"optimizers": {"sgd": {"lr": {"low": -0.1, "high": 0.1}}}}, "space.optimizers.sgd.lr"),
    ({"optimizers": {"sgd": {"lr": {"low": 0, "high": 0.1, "log": False}}}}, "space.optimizers.sgd.lr"),
    ({"optimizers": {"sgd": {"lr": {"choices": [-0.1, 0.1]}}}}, "space.optimizers.sgd.lr"),
    ({"optimizers": {"sgd": {"lr": {"choices": ["high"]}}}}, "space.optimizers.sgd.lr"),
    ({"optimizers": {"sgd": {"momentum": {"low": 0.9, "high": 1.5, "log": True}}}}, "space.optimizers.sgd.momentum"),
    ({"optimizers": {"adamw": {"eps": {"low": -1, "high": 1}}}}, "space.optimizers.adamw.eps"),
    ({"schedules": ["sawtooth"]}, "space.schedules.sawtooth"),
    ({"schedules": ["script"]}, "space.schedules.script"),
    ({"schedules": {}}, "space.schedules"),
    ({"schedules": {"cosine": {"end_factor": {"low": -1, "high": 0}}}}, "space.schedules.cosine.end_factor"),
    ({"schedules": {"cosine": {"start": {"low": 0, "high": 1}}}}, "space.schedules.cosine.start"),
    ({"schedules": {"cosine": {"warmup": {"choices": [True]}}}}, "space.schedules.cosine.warmup"),
    ({"schedules": {"multistep": {"milestone_2": {"low": 0.5, "high": 1.5}}}}, "space.schedules.multistep.milestone_2"),
    ({"schedules": {"multistep": {"count": {"low": 0.5, "high": 2}}}}, "space.schedules.multistep.count"),
    ({"schedules": {"wsd": {"shape": {"choices": ["linear", "exponential"]}}}}, "space.schedules.wsd.shape"),
    ({"schedules": {"multistep": {"count": {"low": 1, "high": 5}}}}, "space.schedules.multistep.count"),
    ({"warmup": {"shape": {"choices": ["exponential"]}}}, "space.warmup.shape"),
    ({"schedules": ["expression"]}, "space.schedules.expression"),
    ({"schedules": {"expression": {"formula": {"choices": ["u +"]}}}}, "space.schedules.expression.formula"),
    ({"warmup": {"length": {"choices": [1]}}}, "space.warmup.length"),
    ({"warmup": {"fraction": {"low": 0, "high": 1.5}}}, "space.warmup.fraction"),
    ({"warmup": {"shape": {"choices": ["cubic"]}}}, "space.warmup.shape"),
    ({"restarts": {"count": {"low": 0, "high": 2}}}, "space.restarts.count"),
    ({"restarts": {"peak_gamma": {"low": 0.5, "high": 2}}}, "space.restarts.peak_gamma"),
    ({"optimizers": ["schedule_free_sgd"], "schedules": ["cosine"]}, "space.schedules"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "field"), WRONG)
def test_a_wrong_space_names_its_field(spec: dict[str, Any], field: str) -> None:
    """What no candidate could be drawn from is refused before anything is stored."""
    with pytest.raises(InvalidSpec) as caught:
        space_of(**spec)

    assert caught.value.field == field


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("budget", [10, 64, 1000])
def test_nothing_is_proposed_that_cannot_be_built(preset: str, budget: int) -> None:
    """A preset leaves out what is not buildable; naming it is an error."""
    space = resolve_space(SpaceSpec(preset=preset), budget, buildable={"sgd", "adamw"})

    assert set(space.optimizers) <= {"sgd", "adamw"}
    with pytest.raises(InvalidSpec, match="not part of this version"):
        resolve_space(SpaceSpec(preset=preset, optimizers=["adam"]), budget, buildable={"sgd", "adamw"})


def test_sparse_gradients_leave_what_trains_on_them() -> None:
    """A task with sparse gradients gets its own optimizers, without weight decay, in any preset."""
    space = resolve_space(SpaceSpec(preset="everything"), 64, sparse_gradients=True, buildable=EVERY_OPTIMIZER)

    assert list(space.optimizers) == ["sgd", "adagrad", "sparse_adam"]
    assert all("weight_decay" not in ranges for ranges in space.optimizers.values())


@pytest.mark.parametrize(
    ("spec", "baselines", "field"),
    [
        ({"optimizers": ["adamw"]}, [], "space.optimizers.adamw"),
        ({"optimizers": {"sgd": {"weight_decay": {"choices": [0.1]}}}}, [], "space.optimizers.sgd.weight_decay"),
        ({"preset": "adaptive"}, [], "space.preset"),
        ({"preset": "sparse"}, ["adam-constant"], "confirmation.baselines"),
        ({"preset": "sparse"}, ["sgd-cosine"], "confirmation.baselines"),
    ],
)
def test_sparse_gradients_refuse_the_rest(spec: dict[str, Any], baselines: list[str], field: str) -> None:
    """Naming what cannot train the task is an error of that field."""
    with pytest.raises(InvalidSpec) as caught:
        resolve_space(
            SpaceSpec.model_validate(spec), 64, sparse_gradients=True, baselines=baselines, buildable=EVERY_OPTIMIZER
        )

    assert caught.value.field == field


@pytest.mark.parametrize("name", ["nothing", "sparse-adam-constant", "schedule-free-adamw"])
def test_a_baseline_must_be_there_and_trainable(name: str) -> None:
    """A name that is unknown, needs sparse gradients, or cannot be built yet is refused."""
    with pytest.raises(InvalidSpec) as caught:
        resolve_space(SpaceSpec(), 64, baselines=["current", name], buildable={"sgd", "adamw", "sparse_adam"})

    assert caught.value.field == "confirmation.baselines"


def test_a_schedule_free_optimizer_keeps_its_lr_constant() -> None:
    """It is proposed with `constant` and a warm-up alone, and no schedule is drawn for it."""
    space = space_of(optimizers=["adamw", "schedule_free_sgd"], schedules=["cosine"])

    points = [space.suggest(Drawing(seed)) for seed in range(40)]

    free = [(point, params) for point, params in points if point.optimizer.kind == "schedule_free_sgd"]
    assert 0 < len(free) < 40
    assert all(point.schedule.kind == "constant" and "schedule" not in params for point, params in free)
    assert any(point.schedule.warmup for point, _ in free)
    assert {point.schedule.kind for point, _ in points} == {"constant", "cosine"}


def test_a_preset_leaves_schedule_free_out_where_constant_is_not_asked_for() -> None:
    """Naming other schedules only means what it says."""
    space = space_of(preset="everything", schedules=["cosine"])

    assert not any(OPTIMIZERS[kind].constant_only for kind in space.optimizers)


def test_groups_have_ratios_where_the_task_names_them() -> None:
    """Fine-tuning searches the backbone's LR ratio, if there is a backbone, and LRs a tenth as high."""
    with_group = resolve_space(SpaceSpec(preset="fine-tuning"), 64, parameter_groups=["backbone", "head"])
    without = resolve_space(SpaceSpec(preset="fine-tuning"), 64)

    assert with_group.lr_ratios == {"backbone": FloatRange(low=0.01, high=1.0, log=True)}
    assert with_group.suggest(Drawing(0))[0].lr_ratios.keys() == {"backbone"}
    assert without.lr_ratios == {}
    assert without.optimizers["adamw"]["lr"] == FloatRange(low=1e-5 * 0.1, high=3e-2 * 0.1, log=True)


def test_an_optimizer_with_one_lr_has_no_ratios() -> None:
    """Where the preset searches a group's ratio, prodigy is refused; without such a group it is searched."""
    spec = SpaceSpec(preset="fine-tuning", optimizers=["adamw", "prodigy"])

    with pytest.raises(InvalidSpec) as caught:
        resolve_space(spec, 64, parameter_groups=["backbone"])

    assert caught.value.field == "space.optimizers.prodigy"
    assert set(resolve_space(spec, 64).optimizers) == {"adamw", "prodigy"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"fraction": Choice(choices=[0.0, 0.02, 0.05, 0.1])}),
        ({"warmup": True}, {"fraction": Choice(choices=[0.0, 0.02, 0.05, 0.1])}),
        ({"warmup": False}, {}),
        ({"preset": "transformer"}, {"fraction": Choice(choices=[0.02, 0.05, 0.1])}),
        ({"warmup": {"fraction": {"choices": [0.1]}}}, {"fraction": Choice(choices=[0.1])}),
        (
            {"warmup": {"start_factor": {"low": 0, "high": 0.1}}},
            {
                "fraction": Choice(choices=[0.0, 0.02, 0.05, 0.1]),
                "start_factor": FloatRange(low=0, high=0.1),
            },
        ),
    ],
)
def test_a_warmup_is_searched_as_asked(spec: dict[str, Any], expected: dict[str, Any]) -> None:
    """By the preset, by default, not at all, or over given ranges."""
    assert space_of(**spec).warmup == expected


def test_a_warmup_is_drawn_for_schedules_that_take_one() -> None:
    """One-cycle and noam carry their own; two-point rises by itself."""
    space = space_of(schedules=["one_cycle", "noam", "two_point"])

    assert all(space.suggest(Drawing(seed))[0].schedule.warmup is None for seed in range(30))


POINT = {
    "optimizer": "sgd", "sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.nesterov": True, "sgd.weight_decay": 5e-4,
    "schedule": "cosine", "cosine.end_factor": 0.0, "warmup.fraction": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"sgd.lr": 2.0},
        {"sgd.lr": "0.1"},
        {"sgd.lr": float("nan")},
        {"sgd.nesterov": 1},
        {"optimizer": "adamw"},
        {"optimizer": "nothing"},
        {"schedule": "linear"},
        {"cosine.end_factor": 0.05},
        {"warmup.fraction": None},
        {"batch_size": 32},
        {"linear.end_factor": 0.0},
    ],
)
def test_foreign_parameters_that_do_not_fit_are_no_candidate(change: dict[str, Any]) -> None:
    """Outside, of another kind, missing or too many: None."""
    space = space_of(16)
    assert space.candidate_of(POINT) is not None  # type: ignore[arg-type]

    assert space.candidate_of(POINT | change) is None


@pytest.mark.parametrize("missing", POINT)
def test_a_missing_parameter_is_no_candidate(missing: str) -> None:
    """Every active parameter has to be there."""
    params: dict[str, Any] = {name: value for name, value in POINT.items() if name != missing}

    assert space_of(16).candidate_of(params) is None


@pytest.mark.parametrize(
    "change",
    [
        {"initial_lr": 3.0},
        {"optimizer": {"kind": "adam"}},
        {"optimizer": {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.0}},
        {"schedule": {"kind": "cosine", "end_factor": 0.5}},
        {"schedule": {"kind": "cosine", "cycles": 1.5}},
        {"schedule": {"kind": "cosine", "reverse": True}},
        {"schedule": {"kind": "cosine", "warmup": {"fraction": 0.03}}},
        {"schedule": {"kind": "cosine", "warmup": {"fraction": 0.05, "inclusive": False}}},
        {"schedule": {"kind": "cosine", "restarts": {"count": 2}}},
        {"schedule": {"kind": "step", "step_size": 0.3}},
        {"lr_ratios": {"backbone": 0.1}},
    ],
)
def test_a_candidate_outside_has_no_parameters(change: dict[str, Any]) -> None:
    """What a drawn point could not be has none, in any of its parts."""
    space = space_of(16)
    inside = space.candidate_of(POINT)  # type: ignore[arg-type]
    assert inside is not None

    outside = Candidate.model_validate(inside.model_dump() | change)

    assert space.params_of(outside) is None


def test_rounding_does_not_put_a_candidate_outside() -> None:
    """A baseline at 3 times its LR is inside up to rounding, and its parameter is put onto the range."""
    space = space_of(16, optimizers={"adamw": {"lr": {"low": 1e-4, "high": 0.3}}})
    candidate = space.suggest(Drawing(0))[0].model_copy(update={"initial_lr": 0.1 * 3})

    params = space.params_of(candidate)

    assert params is not None
    assert params["adamw.lr"] == 0.3


def test_edges_are_named() -> None:
    """A parameter within 2 % of an end of its range is said to be at the edge."""
    edge: dict[str, Any] = POINT | {"sgd.lr": 1.0, "sgd.weight_decay": 1e-6}

    assert space_of(16).at_edge(edge) == ["sgd.lr", "sgd.weight_decay"]
    assert space_of(16).at_edge(POINT) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "field", "least"),
    [
        ({"schedules": ["cosine"]}, "space.warmup.fraction", 2),
        ({"schedules": ["one_cycle"], "warmup": False}, "space.schedules.one_cycle.peak_fraction", 11),
        ({"schedules": ["cosine"], "restarts": True, "warmup": False}, "space.restarts.count", 8),
        ({"schedules": ["cosine"], "warmup": False}, "horizon", 1),
        (
            {
                "schedules": ["cosine"],
                "warmup": False,
                "restarts": {"count": {"low": 2, "high": 3}, "length_multiplier": {"low": 0.25, "high": 1}},
            },
            "space.restarts.count",
            11,
        ),
    ],
)
def test_a_horizon_in_which_some_point_has_no_room_is_refused(spec: dict[str, Any], field: str, least: int) -> None:
    """The whole space fits the horizon, or the error says which range asks for how much."""
    space = space_of(**spec)

    with pytest.raises(HorizonTooShort) as caught:
        space.check_horizon(least - 1)

    assert (caught.value.field, caught.value.least_steps) == (field, least)
    space.check_horizon(least)
    for seed in range(30):
        check_horizon(space.suggest(Drawing(seed))[0].schedule, least)


def test_a_formula_that_fails_along_the_curve_is_refused() -> None:
    """The ends of a number's range are tried over the whole horizon."""
    space = space_of(schedules={"expression": {"formula": {"choices": ["1 - a * u"]}, "a": {"low": 0.5, "high": 2}}})

    with pytest.raises(InvalidSpec) as caught:
        space.check_horizon(100)

    assert caught.value.field == "space.schedules.expression.formula"


def test_general_grows_with_the_budget() -> None:
    """Few kinds for few trials: at most 16, at most 64, and more."""
    general = {budget: PRESETS["general"](budget) for budget in (1, 16, 17, 64, 65)}

    small = (["sgd", "adamw"], {"linear", "cosine"})
    medium = (
        ["sgd", "adamw", "adam"],
        {"linear", "cosine", "constant", "step", "exponential", "wsd", "one_cycle", "rex"},
    )
    found = {budget: (preset.optimizers, set(preset.schedules)) for budget, preset in general.items()}
    assert found[1] == found[16] == small
    assert found[17] == found[64] == medium
    assert set(found[65][0]) == {*medium[0], "rmsprop", "nadam", "lion"}
    assert found[65][1] == medium[1] | {
        "multistep", "polynomial", "inverse_time", "inverse_sqrt", "cyclic", "plateau", "two_point",
    }  # fmt: skip


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_names_what_the_catalogue_has(preset: str) -> None:
    """Every name is one of the catalogue, each once."""
    for budget in (1, 64, 1000):
        found = PRESETS[preset](budget)

        assert set(found.optimizers) <= set(OPTIMIZERS) - {"script"}
        assert set(found.schedules) <= set(FAMILIES) - {"script"}
        assert len(set(found.optimizers)) == len(found.optimizers)
        assert len(set(found.schedules)) == len(found.schedules)


def test_everything_leaves_out_what_is_searched_by_name_only() -> None:
    """Variants by definition are not in `everything`; the rest of the catalogue is."""
    found = PRESETS["everything"](64)

    assert set(FAMILIES) - set(found.schedules) == {
        "piecewise", "natural_exponential", "tanh", "knots", "expression", "script",
    }  # fmt: skip
    assert set(OPTIMIZERS) - set(found.optimizers) == {"script"}
