"""What a task computes in is recorded with its study."""

from __future__ import annotations

from search_spaces.space import resolve_space
from search_spaces.study import StudySpec, resolve_study
from search_spaces.work import Arithmetic
from store import Store
from store.studies import submit
from store.study_views import get_study
from tests.studies import OFFER, study_spec

BF16 = Arithmetic(precision="bf16", channels_last=True, tf32=True)


def test_a_study_shows_what_its_task_computes_in(store: Store) -> None:
    """Precision, layout and TF32 of the offer that the study met are part of the study, whoever offers later."""
    spec = study_spec()
    resolved = resolve_study(spec, OFFER.model_copy(update={"arithmetic": BF16}))

    submit(store, spec, resolved=resolved, space=resolve_space(spec.space, 10))

    assert get_study(store, "mine").arithmetic == BF16


def test_without_an_offer_nothing_is_claimed_of_it() -> None:
    """Of a training loop outside the workers Étude does not know what it computes in."""
    spec = StudySpec.model_validate({
        "name": "mine", "task": {"name": "external"}, "objective": {"metric": "loss", "direction": "minimize"},
        "horizon": {"steps": 10},
    })  # fmt: skip

    assert resolve_study(spec, None).arithmetic is None
