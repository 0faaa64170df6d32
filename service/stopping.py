"""A study that is stopped after its verdict keeps it: what was still to be trained behind it is left out."""

from __future__ import annotations

from search_spaces.results import Answer
from store import Store
from store.origins import trained_on
from store.proposals import Past, history
from store.states import OPEN_TRIAL
from store.studies import LiveStudy, conclude, get_study, live_study

from .asking import is_extra
from .conclusion import answer_of, confirmed_study
from .confirmation import is_over, plan_confirmation, tuning_proposals
from .extras import extras_of
from .provenance import provenance_of
from .steps import search_of

JUDGED = ("confirming", "confirming_paused")


def conclude_early(store: Store, name: str, reason: str | None) -> bool:
    """Conclude a study whose confirmation has ended, with what is known by now; tell whether that was so.

    Raises:
        NotFound: there is no such study.
    """
    study = live_study(store, name)
    if study.state not in JUDGED or study.resolved is None:
        return False
    answer = _answer(store, study)
    return answer is not None and conclude(store, name, answer, stopped=reason or "stopped by request")


def _answer(store: Store, study: LiveStudy) -> Answer | None:
    """Return the answer as far as it is known; None where the confirmation is not over."""
    search, past = search_of(store, study), history(store, study.study_id)
    if any(_holds_up(trial) for trial in past) or tuning_proposals(search, past):
        return None
    plan = plan_confirmation(search, past)
    if not is_over(plan, past):
        return None
    ended = [trial for trial in past if trial.state not in OPEN_TRIAL]
    confirmed = confirmed_study(search, get_study(store, study.name), plan, ended)
    answer = answer_of(confirmed, extras_of(confirmed, stopped=True))
    provenance = provenance_of(study.spec, trained_on(store, study.study_id))
    return answer.model_copy(update={"provenance": provenance})


def _holds_up(trial: Past) -> bool:
    return trial.state in OPEN_TRIAL and not is_extra(trial)
