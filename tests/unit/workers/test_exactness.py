"""Promise 4 in its small form: a step packed is the step alone. The long form is in tests/soak/test_exactness.py."""

from __future__ import annotations

import pytest

from tests.exactness import DoubleDigits, attempts, one_update_apart
from workers.packing.ways import Way
from workers.tasks.digits import DigitsMlp


@pytest.mark.parametrize("way", ["by hand", "traced"])
@pytest.mark.parametrize(("task", "tolerance"), [(DigitsMlp, 1e-5), (DoubleDigits, 1e-12)])
def test_every_tenth_step_packed_is_the_step_alone(task: type[DigitsMlp], tolerance: float, way: Way) -> None:
    """From one state, every vectorised optimizer: LRs equal, parameters within 1e-5 (1e-12 in float64)."""
    apart = list(one_update_apart(task(), attempts(40), steps=32, every=10, way=way))

    assert len(apart) == 3 * 12 * 6
    assert max(apart) < tolerance
