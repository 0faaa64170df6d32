"""Words and blocks."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces.candidate import Candidate
from search_spaces.describe import blocks, describe
from search_spaces.schedules import FAMILIES, curve

SGD = {"kind": "sgd", "momentum": 0.9, "nesterov": True}

SENTENCES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"kind": "adam"}, {"kind": "constant"}, "Adam (beta1 0.9, beta2 0.999) at 0.003, constant"),
    ({"kind": "sgd"}, {"kind": "step", "step_size": 0.3, "gamma": 0.5}, "SGD at 0.003, steps of x0.5 every 30 %"),
    (
        SGD,
        {"kind": "cosine", "end_factor": 0.01, "warmup": {"fraction": 0.05}},
        "SGD (momentum 0.9, nesterov) at 0.003, cosine to 0.01 with 5 % linear warm-up",
    ),
    (
        SGD,
        {"kind": "multistep", "milestones": [0.5, 0.75], "reverse": True},
        "SGD (momentum 0.9, nesterov) at 0.003, x0.1 at 50 % and 75 % played backwards",
    ),
    (
        {"kind": "adamw", "eps": 1e-6},
        {"kind": "wsd", "shape": "sqrt"},
        "AdamW (beta1 0.9, beta2 0.999, weight decay 0.01, eps 1e-06) at 0.003, "
        "constant, then sqrt to 0 over the last 20 %",
    ),
    (
        {"kind": "lion"},
        {
            "kind": "cosine",
            "restarts": {"count": 3, "length_multiplier": 2, "peak_gamma": 0.5},
            "warmup": {"fraction": 0.125, "start_factor": 0.1, "shape": "cosine"},
        },
        "Lion at 0.003, cosine to 0 in 3 cycles, each 2 times as long, each x0.5 as high "
        "with 12.5 % cosine warm-up from 0.1",
    ),
]


@pytest.mark.parametrize(("optimizer", "schedule", "sentence"), SENTENCES)
def test_a_candidate_is_said_in_words(optimizer: dict[str, Any], schedule: dict[str, Any], sentence: str) -> None:
    """Optimizer with what is not off, the LR, the body, then its modifiers."""
    candidate = Candidate.model_validate({"optimizer": optimizer, "initial_lr": 0.003, "schedule": schedule})

    assert describe(candidate) == sentence


def test_ratios_of_groups_are_said() -> None:
    """A parameter group with an LR of its own is named."""
    candidate = Candidate.model_validate({
        "optimizer": {"kind": "sgd"}, "initial_lr": 0.1, "schedule": {"kind": "constant"},
        "lr_ratios": {"backbone": 0.1},
    })  # fmt: skip

    assert describe(candidate) == "SGD at 0.1, backbone at x0.1, constant"


def test_every_family_has_its_own_words() -> None:
    """No two families are said alike."""
    examples = {kind: cls.from_params({name: range_.ends[-1] for name, range_ in cls.ranges.items()})
                for kind, cls in FAMILIES.items() if kind != "expression"}  # fmt: skip

    phrases = {kind: schedule.phrase() for kind, schedule in examples.items()}

    assert len(set(phrases.values())) == len(phrases)
    assert all(phrases.values())


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7, 8], 60, " ▁▂▃▄▅▆▇█"),
        ([1.0] * 100, 10, "█" * 10),
        ([0.0, 0.0], 5, "  "),
        ([], 5, ""),
        ([1e-9, 1.0], 5, "▁█"),
        ([1, 1, 0, 0], 2, "█ "),
    ],
)
def test_blocks_draw_the_mean_of_their_share(values: list[float], width: int, line: str) -> None:
    """Zero is blank, the highest mean is full, anything above zero shows."""
    assert blocks(values, width) == line


def test_a_long_curve_fits_a_terminal() -> None:
    """However many steps, the line is `width` characters."""
    assert len(blocks(curve(FAMILIES["cosine"].from_params({}), 12_345).tolist(), 60)) == 60
