"""Why a candidate is no point of a space: the words name what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces.candidate import Candidate
from search_spaces.misfits import misfit
from search_spaces.space import resolve_space
from search_spaces.study import SpaceSpec

WHOLE = {"optimizers": {"adamw": {"lr": {"low": 1e-4, "high": 1e-2}}, "sgd": {}}, "schedules": ["cosine", "constant"]}


def said(space: dict[str, Any], optimizer: dict[str, Any], schedule: dict[str, Any], **fields: Any) -> str | None:
    resolved = resolve_space(SpaceSpec.model_validate(space), 40)
    body = {"optimizer": optimizer, "initial_lr": 0.001, "schedule": schedule} | fields
    return misfit(resolved, Candidate.model_validate(body))


ADAMW, COSINE = {"kind": "adamw"}, {"kind": "cosine"}


def test_a_point_of_the_space_fits() -> None:
    """There is nothing to say."""
    assert said(WHOLE, ADAMW, COSINE) is None


@pytest.mark.parametrize(
    ("optimizer", "schedule", "fields", "words"),
    [
        ({"kind": "adam"}, COSINE, {}, "optimizer is adam, and the study searches sgd, adamw"),
        (ADAMW, {"kind": "linear"}, {}, "schedule is linear, and the study searches constant, cosine"),
        (ADAMW, COSINE, {"initial_lr": 0.1}, "adamw.lr is 0.1, and the study searches 0.0001 ... 0.01"),
        (ADAMW, COSINE | {"warmup": {"fraction": 0.5}}, {}, "warmup.fraction is 0.5, and the study searches 0.0, 0.02"),
        (ADAMW | {"eps": 1e-3}, COSINE, {}, "optimizer.eps is 0.001, and the study keeps it at 1e-08"),
        (ADAMW, COSINE | {"reverse": True}, {}, "schedule.reverse is True, and the study keeps it at False"),
        (ADAMW, COSINE, {"lr_ratios": {"head": 2.0}}, "lr_ratios.head is 2.0, and the study keeps it at None"),
    ],
)
def test_what_does_not_fit_is_named(
    optimizer: dict[str, Any], schedule: dict[str, Any], fields: dict[str, Any], words: str
) -> None:
    """With what the study has in its place."""
    found = said(WHOLE, optimizer, schedule, **fields)

    assert found is not None
    assert found.startswith(words)
