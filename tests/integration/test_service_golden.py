"""The recorded curves of other libraries, asked of the service."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from search_spaces.schedules import Plateau
from store import open_store
from tests.golden.cases import CASES, Case, recorded
from tests.integration.service_http import serving


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The API on an empty store."""
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('golden') / 'etude.db'}")
    with serving(store) as client:
        yield client
    store.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_a_preview_is_the_recorded_curve(case: Case, api: httpx.Client) -> None:
    """Every recorded curve comes out of POST /v1/schedules/preview, to 1e-9 of its peak."""
    golden = recorded(case.file)
    expected = golden["lr"][case.first : case.first + case.horizon]
    wish = {"schedule": case.schedule.model_dump(), "initial_lr": case.initial_lr, "total_steps": case.horizon}
    if isinstance(case.schedule, Plateau):
        wish["metrics"] = golden["params"]["metrics"]

    response = api.post("/v1/schedules/preview", json=wish)

    assert response.status_code == 200, response.text
    np.testing.assert_allclose(response.json()["lr"], expected, rtol=0, atol=1e-9 * case.initial_lr)
