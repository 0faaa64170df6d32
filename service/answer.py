"""The answer before there is a verdict: what the search has found so far, said to be not confirmed.

A search score is the best of many noisy ones: no sentence and no number here is one.
"""

from __future__ import annotations

from search_spaces.candidate import Candidate
from search_spaces.describe import describe
from search_spaces.results import (
    STATUS_OF,
    Answer,
    AnsweredTask,
    Compute,
    Evidence,
    MetricName,
    Sentence,
    StudyView,
)
from store import Store
from store.study_views import answer_or_standing

from .provenance import provenance_of


def known_answer(store: Store, name: str) -> Answer:
    """Return the stored answer of a study, else what is known before there is one.

    Raises:
        NotFound: there is no such study.
    """
    found = answer_or_standing(store, name)
    if isinstance(found, Answer):
        return found
    return interim_answer(found.view, found.best, found.confirmation_seconds)


def interim_answer(view: StudyView, best: Candidate | None, confirmation_seconds: float = 0.0) -> Answer:
    """Say what is known before there is a verdict: the best candidate so far, not confirmed.

    `best` is None while nothing is complete; `confirmation_seconds` is what the confirmation has cost so far.
    """
    sentences = _interim_sentences(view, best)
    return Answer(
        study=view.name,
        status=STATUS_OF[view.state],
        sentence=" ".join(sentence.text for sentence in sentences),
        sentences=sentences,
        candidate=best,
        candidate_text=None if best is None else describe(best),
        horizon=view.horizon_steps,
        metric=_metric(view),
        task=task_of(view),
        evidence=Evidence(trials=view.counts),
        compute=Compute(search=view.budget.used_worker_seconds, confirmation=confirmation_seconds),
        provenance=provenance_of(view.spec, []),
        links=links_of(view.name),
    )


def _interim_sentences(view: StudyView, best: Candidate | None) -> list[Sentence]:
    known = "Nothing is complete yet" if best is None else f"Best so far, not confirmed: {describe(best)}"
    return [Sentence(topic="standing", text=f"{_standing(view)}."), Sentence(topic="candidate", text=f"{known}.")]


def _standing(view: StudyView) -> str:
    """Say how far the study has come."""
    if view.state == "queued":
        return f"The study waits for a worker that offers the task {view.spec.task.name}"
    if view.state in ("stopped", "failed"):
        why = f": {view.reason}" if view.reason else ""
        end = "its answer was final" if view.confirmation.ended else "anything was confirmed"
        return f"The study {view.state} before {end}{why}"
    paused = "paused" if view.state.endswith("paused") else "under way"
    if STATUS_OF[view.state] == "confirming":
        done = view.confirmation.ended
        known = done + view.confirmation.proposed + view.confirmation.leased
        return f"The confirmation is {paused}" + (f" ({done} of {known} trainings)" if known else "")
    return f"The search is {paused} ({view.counts.ended} of {view.budget.trials} trials)"


# What every answer says of its study


def _metric(view: StudyView) -> MetricName | None:
    if view.metric is None or view.direction is None:
        return None
    return MetricName.model_validate({"name": view.metric, "direction": view.direction})


def task_of(view: StudyView, version: str | None = None) -> AnsweredTask:
    """Return the task that the answer holds for; `version` is the one that was trained, once that is known."""
    task = view.spec.task
    return AnsweredTask(name=task.name, params=task.params, version=version or task.version or "")


def links_of(name: str) -> dict[str, str]:
    """Return where the answer's exact LR per step is found."""
    base = f"/v1/studies/{name}"
    return {
        "study": base,
        "report": f"{base}/report",
        "curve": f"{base}/best/curve",
        "curve_svg": f"{base}/best/curve.svg",
        "curve_csv": f"{base}/best/curve.csv",
        "artefact": f"{base}/best/artefact",
    }
