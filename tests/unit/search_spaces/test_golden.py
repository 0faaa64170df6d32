"""Whole curves compared with those that the reference libraries recorded."""

from __future__ import annotations

import numpy as np
import pytest

from search_spaces.schedules import Plateau, curve, plateau_factors
from tests.golden.cases import CASES, GOLDEN, Case, recorded


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_the_curve_is_the_recorded_one(case: Case) -> None:
    """Every step's LR is the library's, to 1e-9 of the peak."""
    golden = recorded(case.file)
    expected = np.array(golden["lr"][case.first : case.first + case.horizon])

    if isinstance(case.schedule, Plateau):
        drawn = plateau_factors(case.schedule, case.horizon, golden["params"]["metrics"])
    else:
        drawn = curve(case.schedule, case.horizon)

    assert len(expected) == case.horizon
    np.testing.assert_allclose(case.initial_lr * drawn, expected, rtol=0, atol=1e-9 * case.initial_lr)


NO_CURVES = ("noisy_quadratic", "artefacts")
"""Losses and optimal schedules of the noisy quadratic model, and saved answers: tests of their own compare them."""


def test_every_recorded_curve_has_its_spec() -> None:
    """No file lies in the folder without being compared."""
    files = {f"{path.parent.name}/{path.stem}" for path in GOLDEN.glob("*/*.json") if path.parent.name not in NO_CURVES}

    assert {case.file for case in CASES} == files
