"""What was already run: past trials of an Optuna study or a CSV file, read here and sent to a study.

rows = read_csv("results.csv")
with Client() as client:
    for outcome in import_past(client, "mine", rows, Places({"lr": "adamw.lr"}, {"schedule": "constant"})):
        print(outcome.source, outcome.becomes, outcome.why)
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.history import MOST_AT_ONCE, Becomes, PastTrial
from search_spaces.study import TaskSpec
from search_spaces.work import LARGEST_BODY_BYTES

from .past import PastRow, Places, UnmappedRow, UnreadablePast

if TYPE_CHECKING:
    import optuna

    from .client import Client

__all__ = [
    "Outcome",
    "Past",
    "PastRow",
    "Places",
    "UnmappedRow",
    "UnreadablePast",
    "import_past",
    "read_csv",
    "read_optuna",
]

DIVERGED = "diverged"
"""The error of a training of Étude's whose loss became infinite."""
ROOM_BYTES = LARGEST_BODY_BYTES - 1024


@dataclass(frozen=True)
class Past:
    """A table of past trials, with what its source says of all of them."""

    rows: Sequence[PastRow]
    columns: Sequence[str]
    direction: str | None = None
    metric: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one row."""

    source: str
    becomes: Becomes
    why: str
    new: bool = False


def import_past(
    client: Client,
    name: str,
    past: Past,
    places: Places,
    *,
    horizon_steps: int | None = None,
    task: TaskSpec | None = None,
) -> list[Outcome]:
    """Send past trials to the study `name` and return what became of each row, in order.

    Sending them again changes nothing.

    Args:
        client: the service.
        name: a running study.
        past: what `read_csv` or `read_optuna` has read.
        places: what the columns mean.
        horizon_steps: optimizer updates of each training, where no column says it.
        task: what they were trained on; default: the study's own task.

    Raises:
        UnreadablePast: a mapped column is not there, or the rows are about another metric or direction.
        Problem: what the service answers, such as `NotFound`, or `Conflict` for a study that searches no more.
    """
    if past.columns:  # an Optuna study without trials names none
        places.check_columns(past.columns)
    _check_objective(client, name, past)
    outcomes: dict[int, Outcome] = {}
    trials: dict[int, PastTrial] = {}
    for place, row in enumerate(past.rows):
        try:
            trial = places.read(row)
        except UnmappedRow as error:
            outcomes[place] = Outcome(row.source, "left_out", str(error))
        else:
            steps = trial.horizon_steps or horizon_steps
            trials[place] = trial.model_copy(update={"horizon_steps": steps, "task": task})
    for portion in _portions(trials):
        answer = client.add_history(name, [trials[place] for place in portion])
        for place, item in zip(portion, answer, strict=True):
            outcomes[place] = Outcome(past.rows[place].source, item.becomes, item.why, item.new)
    return [outcomes[place] for place in sorted(outcomes)]


def _check_objective(client: Client, name: str, past: Past) -> None:
    view = client.get(name)
    for word, theirs, ours in (("direction", past.direction, view.direction), ("metric", past.metric, view.metric)):
        if theirs is not None and ours is not None and theirs != ours:
            raise UnreadablePast(f"their {word} is {theirs}, that of {name} is {ours}: their values mean nothing to it")


def _portions(trials: dict[int, PastTrial]) -> Iterator[list[int]]:
    """Divide trials, by their places, into requests that the service reads."""
    portion: list[int] = []
    size = 0
    for place, trial in trials.items():
        length = len(trial.model_dump_json().encode()) + 1
        if portion and (size + length > ROOM_BYTES or len(portion) == MOST_AT_ONCE):
            yield portion
            portion, size = [], 0
        portion.append(place)
        size += length
    if portion:
        yield portion


# CSV


def read_csv(path: str | Path) -> Past:
    """Read a CSV file whose first line names its columns; an empty cell says nothing.

    Raises:
        UnreadablePast: there is no such file, or it is no CSV in UTF-8.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [_csv_row(f"{path.name}:{reader.line_num}", cells) for cells in reader]
            return Past(rows, list(reader.fieldnames or []))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadablePast(f"{path} cannot be read: {error}") from error


def _csv_row(source: str, cells: dict[str | Any, Any]) -> PastRow:
    further = cells.pop(None, None)
    problem = None if further is None else f"the line has {len(further)} cells more than the first one"
    return PastRow(source, {column: _cell(text) for column, text in cells.items()}, problem)


def _cell(text: str | None) -> Any:
    """Read a cell as what it looks like: nothing, a truth value, a number, text.

    >>> [_cell(text) for text in ("", "true", "8", "1e-3", "AdamW")]
    [None, True, 8, 0.001, 'AdamW']
    """
    text = (text or "").strip()
    if text.lower() in ("", "true", "false"):
        return {"": None, "true": True, "false": False}[text.lower()]
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


# Optuna


def read_optuna(url: str, study: str) -> Past:
    """Read the trials of an Optuna study by the URL of its storage; nothing is written there.

    Of a study that Étude ran, candidates, metric and horizon are read, too.

    Raises:
        UnreadablePast: Optuna is not installed, there is no such storage or study, or it has several objectives.
    """
    with _storage(url) as storage:
        found = _study(storage, url, study)
        if len(found.directions) != 1:
            raise UnreadablePast(f"{study} has {len(found.directions)} objectives; Étude searches by one metric")
        said = found.user_attrs
        horizon = said.get("etude:horizon_steps")
        rows = [_optuna_row(study, trial, horizon) for trial in found.trials]
        columns = list(dict.fromkeys(name for row in rows for name in row.values))
        return Past(rows, columns, found.direction.name.lower(), said.get("etude:metric"))


@contextmanager
def _storage(url: str) -> Iterator[optuna.storages.RDBStorage]:
    """Open a storage as it is: without this switch, Optuna makes its tables where there are none."""
    try:
        import optuna
    except ImportError as error:
        raise UnreadablePast("reading an Optuna study needs Optuna: pip install optuna") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = url.removeprefix("sqlite:///")
    if file != url and not Path(file).is_file():
        raise UnreadablePast(f"there is no file {file}")
    try:
        storage = optuna.storages.RDBStorage(url, skip_table_creation=True)
    except Exception as error:  # each database has its driver, and each driver its errors
        # Optuna wraps what a driver says in words about commits.
        raise UnreadablePast(f"the storage cannot be opened: {error.__cause__ or error}") from error
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _study(storage: optuna.storages.RDBStorage, url: str, study: str) -> optuna.Study:
    import optuna

    try:
        return optuna.load_study(study_name=study, storage=storage)
    except KeyError:
        names = ", ".join(sorted(optuna.get_all_study_names(storage))) or "none"
        raise UnreadablePast(f"there is no study {study!r} at {url}; there are {names}") from None


def _optuna_row(study: str, trial: optuna.trial.FrozenTrial, horizon: Any) -> PastRow:
    values = dict(trial.params)
    candidate = trial.user_attrs.get("candidate")
    if isinstance(candidate, dict):
        values |= {"candidate": candidate}
    if horizon is not None:
        values |= {"horizon_steps": horizon}
    source = f"{study}/{trial.number}"
    if trial.user_attrs.get("error") == DIVERGED:  # as Étude writes it
        return PastRow(source, values | {"value": float("nan")})
    if trial.state.name == "COMPLETE":
        values |= {"value": trial.value}
    return PastRow(source, values, _UNUSABLE.get(trial.state.name))


_UNUSABLE = {
    "PRUNED": "it was pruned, so its value at the end is not known",
    "FAIL": "it failed",
    "RUNNING": "it has not ended",
    "WAITING": "it has not begun",
}
