"""Lists of the service, read page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

if TYPE_CHECKING:
    from pandas import DataFrame

    from search_spaces.results import TrialView

    from .http import Http

Item = TypeVar("Item", bound=BaseModel)
PAGE_SIZE = 100


class Pages(Generic[Item]):
    """What a list of the service holds. Going through it asks for one page after the other; again, for all anew."""

    def __init__(
        self, http: Http, path: str, model: type[Item], filters: Mapping[str, str | None] | None = None
    ) -> None:
        self._http = http
        self._path = path
        self._model = model
        self._filters = {key: value for key, value in (filters or {}).items() if value is not None}

    def __iter__(self) -> Iterator[Item]:
        params: dict[str, Any] = {**self._filters, "limit": PAGE_SIZE}
        while True:
            page = self._http.call("GET", self._path, params=params).json()
            yield from (self._model.model_validate(item) for item in page["items"])
            if not page.get("next_cursor"):
                return
            params["cursor"] = page["next_cursor"]


class TrialPages(Pages["TrialView"]):
    """The trials of a study."""

    def __init__(self, http: Http, path: str, filters: Mapping[str, str | None]) -> None:
        from search_spaces.results import TrialView

        super().__init__(http, path, TrialView, filters)

    def to_dataframe(self) -> DataFrame:
        """Return a table with a row for each trial.

        Its columns are the fields of a trial (`number`, `state`, `value`, `worker_seconds`, ...), `optimizer`,
        `initial_lr` and `schedule` of its candidate, then `params_...`, `metrics_...` and `rungs_...` for each
        parameter, metric and rung (in steps) that any of the trials has.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_dataframe() needs pandas: pip install pandas") from error
        rows = [_row(trial) for trial in self]
        return pd.DataFrame(rows, columns=None if rows else [*_PLAIN, *_CHOSEN])


def _row(trial: TrialView) -> dict[str, Any]:
    """Return a trial as one flat row."""
    chosen = trial.candidate
    words = (None, None, None) if chosen is None else (chosen.optimizer.kind, chosen.initial_lr, chosen.schedule.kind)
    row = {name: getattr(trial, name) for name in _PLAIN} | dict(zip(_CHOSEN, words, strict=True))
    for group in ("params", "metrics", "rungs"):
        row |= {f"{group}_{name}": value for name, value in getattr(trial, group).items()}
    return row


_PLAIN = (
    "number", "state", "purpose", "origin", "value", "steps_done", "horizon_steps", "seed", "worker", "attempts",
    "error", "worker_seconds", "claimed_at", "finished_at",
)  # fmt: skip
_CHOSEN = ("optimizer", "initial_lr", "schedule")
