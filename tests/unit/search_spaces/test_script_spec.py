"""The script file: what it may say, and what it is refused for, by the field's name."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces.problems import InvalidSpec
from search_spaces.script_spec import ScriptSpec, StdoutMetric, read_script_spec

PLAIN: dict[str, Any] = {
    "name": "train",
    "command": "python 'my train.py' --epochs 3",
    "metric": {"source": "stdout", "pattern": r"val_loss=(\S+)"},
}
FLAGS: dict[str, Any] = {
    "mode": "flags",
    "flags": "--lr {initial_lr} --warmup {warmup_steps} --momentum {momentum} --opt {optimizer} --sched {schedule}",
    "optimizers": {"sgd": "sgd", "adamw": "adamw --wd {weight_decay}"},
    "schedules": {
        "cosine": "cosine --end {end_factor}",
        "step": "step --size {step_size_steps}",
        "multistep": "multi --at {milestones_steps}",
    },
}


def spec(**fields: Any) -> ScriptSpec:
    return read_script_spec(PLAIN | fields)


def test_a_command_is_words() -> None:
    """A text is split as a shell would, and nothing else of a shell is done with it; a list is taken as it is."""
    assert spec().command == ["python", "my train.py", "--epochs", "3"]
    assert spec(command=["python", "a b"]).command == ["python", "a b"]


def test_flags_say_what_they_carry() -> None:
    """What a study may search in (b) is what some flag carries; a length in updates stands for its fraction."""
    offered = spec(**FLAGS).offered(initial_lr=None, seeding="seeded")

    assert offered.optimizers == {"sgd": ["momentum"], "adamw": ["weight_decay"]}
    assert offered.schedules is not None
    assert offered.schedules["cosine"] == ["end_factor"]
    assert offered.schedules["step"] == ["step_size"]
    assert offered.schedules["multistep"] == ["count", "milestone_1", "milestone_2", "milestone_3"]
    assert (offered.warmup, offered.restarts, offered.fixed_horizon) == (["fraction"], [], True)
    told = FLAGS | {"flags": f"{FLAGS['flags']} --steps {{horizon_steps}}"}
    assert not spec(**told).offered(initial_lr=None, seeding="seeded").fixed_horizon


def test_the_lr_is_searched_in_multiples_or_absolutely() -> None:
    """Multiples are of the script's own largest LR, absolute values are as they stand."""
    multiple = spec(lr={"low": 0.1, "high": 10}).offered(initial_lr=0.02, seeding="seeded")
    absolute = spec(lr={"low": 0.1, "high": 10, "unit": "absolute"}).offered(initial_lr=0.02, seeding="seeded")
    default = spec().offered(initial_lr=0.02, seeding="seeded")

    assert (multiple.lr_low, multiple.lr_high) == pytest.approx((0.002, 0.2))
    assert (absolute.lr_low, absolute.lr_high) == (0.1, 10)
    assert (default.lr_low, default.initial_lr) == (None, 0.02)


def test_a_metric_without_a_source_is_printed() -> None:
    """A pattern alone is looked for in what the script prints."""
    spec = read_script_spec({"name": "train", "command": "python train.py", "metric": {"pattern": r"loss=(\S+)"}})

    assert spec.metric == StdoutMetric(pattern=r"loss=(\S+)")


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"colour": "red"}, "colour", "Extra inputs"),
        ({"command": "python 'oops"}, "command", "no shell words"),
        ({"command": []}, "command", "at least 1"),
        ({"metric": {"source": "stdout", "pattern": "loss"}}, "metric.stdout.pattern", "a group has to hold"),
        ({"metric": {"source": "stdout", "pattern": "("}}, "metric.stdout.pattern", "no regular expression"),
        ({"metric": {"source": "wandb"}}, "metric", "expected tags"),
        ({"metric": {"source": "csv", "path": "a.csv"}}, "metric.csv.field", "required"),
        ({"flags": "--lr {initial_lr}"}, "flags", "the mode is inject"),
        ({"seed": {"flags": "--seed 3"}}, "seed", "{seed} stands nowhere"),
        ({"lr": {"low": 1.0, "high": 0.1}}, "lr.high", "not above low"),
        ({"slots": 0}, "slots", "greater than or equal to 1"),
        (
            {"slots": 2, "metric": {"source": "csv", "path": "a.csv", "field": "loss"}},
            "slots", "would write one file",
        ),
        (FLAGS | {"flags": "--sched {schedule} --opt {optimizer}"}, "flags", "{initial_lr} has to stand"),
        (FLAGS | {"flags": "--lr {initial_lr} --opt {optimizer}"}, "flags", "{schedule} has to stand"),
        (FLAGS | {"flags": f"{FLAGS['flags']} {{colour}}"}, "flags", "there is no {colour}"),
        (FLAGS | {"flags": "--lr {initial_lr"}, "flags", "no template"),
        (FLAGS | {"schedules": {"magic": "m"}}, "schedules.magic", "there is no 'magic'"),
        (FLAGS | {"schedules": {"step": "step"}}, "schedules.step", "no flag carries step_size"),
        (FLAGS | {"schedules": None}, "schedules", "name at least one"),
        (FLAGS | {"lr": {"low": 0.1, "high": 1.0}}, "lr.unit", "give initial_lr"),
    ],
)  # fmt: skip
def test_wrong_files_are_refused_by_field(fields: dict[str, Any], field: str, words: str) -> None:
    """Each wrong field is named, with the reason."""
    with pytest.raises(InvalidSpec) as raised:
        spec(**fields)

    assert raised.value.field == field
    assert words in raised.value.detail
