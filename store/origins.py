"""What a study was trained on: the workers of its trials, as they described themselves."""

from __future__ import annotations

from sqlalchemy import func, select

from search_spaces.results import TrainedOn

from .engine import Store
from .tables import proposals, workers


def trained_on(store: Store, study_id: int) -> list[TrainedOn]:
    """Count a study's complete trainings by kind of machine, the most first; workers are not named.

    A worker that never said what it is, as loops outside our workers, counts as a machine without a description.
    """
    counted = (
        select(proposals.c.worker, func.count().label("trainings"))
        .where(proposals.c.study_id == study_id, proposals.c.state == "complete")
        .group_by(proposals.c.worker)
        .subquery()
    )
    joined = select(counted.c.trainings, workers.c.devices, workers.c.machine).join_from(
        counted, workers, workers.c.worker == counted.c.worker, isouter=True
    )
    kinds: dict[str, TrainedOn] = {}
    with store.read() as connection:
        for row in connection.execute(joined):
            one = TrainedOn.model_validate({**(row.machine or {}), "devices": row.devices or [], "trainings": 0})
            known = kinds.setdefault(one.model_dump_json(), one)
            kinds[one.model_dump_json()] = known.model_copy(update={"trainings": known.trainings + row.trainings})
    return sorted(kinds.values(), key=lambda kind: (-kind.trainings, kind.hardware, kind.devices))
