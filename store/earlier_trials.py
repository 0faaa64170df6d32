"""Earlier studies, as far as a study that starts warm learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from search_spaces.candidate import Candidate
from search_spaces.results import Answer
from search_spaces.space import Space
from search_spaces.study import ResolvedStudy, StudySpec

from .engine import Store
from .tables import proposals, studies


@dataclass(frozen=True)
class EarlierTrial:
    """A complete trial of an earlier search."""

    candidate: Candidate
    value: float


@dataclass(frozen=True)
class EarlierStudy:
    """A study with its trials, the best ones first; one of which only the answer is kept has none."""

    name: str
    spec: StudySpec
    resolved: ResolvedStudy
    space: Space
    answer: Answer | None
    trials: list[EarlierTrial]


def earlier_study(store: Store, name: str, *, most: int) -> EarlierStudy | None:
    """Read a study with at most its `most` best trials; None where there is none that has begun."""
    with store.read() as connection:
        row = connection.execute(select(studies).where(studies.c.name == name)).first()
        if row is None or row.resolved is None:
            return None
        resolved = ResolvedStudy.model_validate(row.resolved)
        value = proposals.c.value.desc() if resolved.direction == "maximize" else proposals.c.value
        query = select(proposals.c.candidate, proposals.c.value).where(
            proposals.c.study_id == row.id, proposals.c.purpose == "search", proposals.c.state == "complete"
        )
        found = connection.execute(query.order_by(value, proposals.c.seq).limit(most)).all()
    return EarlierStudy(
        name=name,
        spec=StudySpec.model_validate(row.spec),
        resolved=resolved,
        space=Space.model_validate(row.space),
        answer=None if row.answer is None else Answer.model_validate(row.answer),
        trials=[EarlierTrial(Candidate.model_validate(trial.candidate), trial.value) for trial in found],
    )


def missing_studies(store: Store, names: Sequence[str]) -> list[str]:
    """Return those of `names` that no study has."""
    with store.read() as connection:
        known = set(connection.execute(select(studies.c.name).where(studies.c.name.in_(names))).scalars())
    return [name for name in names if name not in known]
