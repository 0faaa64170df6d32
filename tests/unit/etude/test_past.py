"""Rows of somebody's table: what they become, and what is said of those that cannot be mapped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from etude.history import Outcome, Past, import_past, read_csv, read_optuna
from etude.past import PastRow, Places, UnmappedRow, UnreadablePast, is_place
from etude.ports import free_port
from search_spaces.history import HistoryAnswer, HistoryItem
from search_spaces.points import flat
from tests.unit.etude.answers import CANDIDATE, Script, says, study_view

MAPPED = Places({"lr": "adamw.lr", "wd": "adamw.weight_decay", "loss": "value"}, {"schedule": "cosine"})


def row(**values: Any) -> PastRow:
    return PastRow("results.csv:2", values)


def test_a_row_becomes_a_candidate_by_its_columns() -> None:
    """Mapped columns, those that have a place's name, and what is the same for all rows."""
    trial = MAPPED.read(row(lr=0.002, wd=0.05, loss=0.7, **{"cosine.end_factor": 0.1, "host": "gpu-1"}))

    assert trial.candidate.optimizer.to_params()["weight_decay"] == 0.05
    assert (trial.candidate.optimizer.kind, trial.candidate.initial_lr) == ("adamw", 0.002)
    assert trial.candidate.schedule.model_dump(include={"kind", "end_factor"}) == {"kind": "cosine", "end_factor": 0.1}
    assert (trial.value, trial.horizon_steps, trial.source) == (0.7, None, "results.csv:2")


def test_a_candidate_survives_being_written_flat() -> None:
    """What `flat` writes of a candidate is read back as the same candidate."""
    trial = Places().read(row(**flat(CANDIDATE), value=1, horizon_steps="500"))

    assert trial.candidate == CANDIDATE
    assert trial.horizon_steps == 500


def test_a_whole_candidate_may_stand_in_one_column() -> None:
    """As JSON text or as an object."""
    trial = Places({"what": "candidate"}).read(row(what=CANDIDATE.model_dump_json()))

    assert trial.candidate == CANDIDATE


def test_other_libraries_names_can_be_said() -> None:
    """Case does not matter; a name that is not ours is translated."""
    places = Places({"lr": "initial_lr"}, names={"CosineAnnealingLR": "cosine"})

    trial = places.read(row(optimizer="SGD", schedule="CosineAnnealingLR", lr=0.1, **{"adamw.lr": 0.5}))

    assert (trial.candidate.optimizer.kind, trial.candidate.schedule.kind) == ("sgd", "cosine")
    assert trial.candidate.initial_lr == 0.1


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"lr": 0.1}, "schedule: nothing says which it was (--set schedule=... says it for all rows)"),
        ({"schedule": "cosine"}, "optimizer: nothing says which it was"),
        ({"lr": 0.1, "sgd.lr": 0.1, "schedule": "cosine"}, "optimizer: there are values for adamw and sgd"),
        ({"optimizer": "Adamw2", "schedule": "cosine"}, "optimizer: 'Adamw2' is none of"),
        ({"optimizer": "adamw", "schedule": "cosine"}, "initial_lr: nothing says it"),
        ({"lr": 0.1, "initial_lr": 0.2, "schedule": "cosine"}, "initial_lr: it is 0.2, and adamw.lr is 0.1"),
        ({"lr": "fast", "schedule": "cosine"}, "adamw.lr: 'fast' is no number"),
        ({"lr": 0.1, "schedule": "cosine", "cosine.end_factor": -1.0}, "schedule.cosine.end_factor: "),
        ({"lr": 0.1, "schedule": "piecewise"}, "schedule.piecewise.count: this is required"),
        ({"lr": 0.1, "schedule": "cosine", "value": "good"}, "value: 'good' is no number"),
        ({"lr": 0.1, "schedule": "cosine", "horizon_steps": 1.5}, "horizon_steps: 1.5 is no whole number of steps"),
        ({"candidate": "{"}, "candidate: '{' is no JSON"),
    ],
)
def test_a_row_that_cannot_be_mapped_says_why(values: dict[str, Any], why: str) -> None:
    """The text names the field and what would do."""
    with pytest.raises(UnmappedRow) as caught:
        Places({"lr": "adamw.lr"}).read(row(**values))

    assert str(caught.value).startswith(why)


@pytest.mark.parametrize("place", ["speed", "adamw.speed", "cosine.lr", "adamw"])
def test_a_mapping_to_what_there_is_not_is_refused(place: str) -> None:
    """The text lists what there is."""
    with pytest.raises(UnreadablePast, match=r"initial_lr|lr, |end_factor"):
        Places({"lr": place})


def test_numbered_parameters_have_places() -> None:
    """The knots of a schedule are searched under numbered names."""
    assert is_place("knots.position_1")


def test_a_csv_file_is_read_with_its_lines(tmp_path: Path) -> None:
    """Numbers are numbers, empty cells say nothing, a line with too many cells is not guessed at."""
    file = tmp_path / "results.csv"
    file.write_text("\ufefflr,amsgrad,name\n1e-3,true,AdamW\n,,\n1,2,3,4\n", encoding="utf-8")

    past = read_csv(file)

    assert past.columns == ["lr", "amsgrad", "name"]
    assert past.rows[0] == PastRow("results.csv:2", {"lr": 0.001, "amsgrad": True, "name": "AdamW"})
    assert set(past.rows[1].values.values()) == {None}
    assert past.rows[2].problem == "the line has 1 cells more than the first one"


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(UnreadablePast, match=r"none\.csv cannot be read"):
        read_csv(tmp_path / "none.csv")


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A user's own storage: a study with a trial in every state, and one with two objectives."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = f"sqlite:///{tmp_path_factory.mktemp('optuna') / 'own.db'}"
    rdb = optuna.storages.RDBStorage(url)
    study = optuna.create_study(study_name="own", storage=rdb, direction="minimize")
    distributions: dict[str, Any] = {"lr": optuna.distributions.FloatDistribution(1e-5, 1.0, log=True)}
    for state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.FAIL):
        value = 0.25 if state.name == "COMPLETE" else None
        made = optuna.trial.create_trial(state=state, value=value, params={"lr": 0.01}, distributions=distributions)
        study.add_trial(made)
    study.enqueue_trial({"lr": 0.5})
    optuna.create_study(study_name="two", storage=rdb, directions=["minimize", "maximize"])
    yield url
    rdb.remove_session()
    rdb.engine.dispose()


def test_an_optuna_study_is_read(storage: str) -> None:
    """Params by name; what has no value at the end says why it cannot be used."""
    past = read_optuna(storage, "own")

    assert past.rows[0] == PastRow("own/0", {"lr": 0.01, "value": 0.25})
    assert [row.problem for row in past.rows] == [
        None, "it was pruned, so its value at the end is not known", "it failed", "it has not begun",
    ]  # fmt: skip
    assert (past.columns, past.direction, past.metric) == (["lr", "value"], "minimize", None)


@pytest.mark.parametrize(
    ("study", "why"), [("none", "there is no study 'none' at .*; there are own, two"), ("two", "has 2 objectives")]
)
def test_a_study_that_cannot_be_read_is_said(storage: str, study: str, why: str) -> None:
    """With those that there are."""
    with pytest.raises(UnreadablePast, match=why):
        read_optuna(storage, study)


def test_a_storage_that_does_not_answer_is_said_in_the_drivers_words() -> None:
    """Optuna itself would speak of a commit."""
    with pytest.raises(UnreadablePast, match=r"the storage cannot be opened: .*[Cc]onnection refused"):
        read_optuna(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none", "own")


def test_a_training_that_diverged_is_told_by_its_value() -> None:
    """It has failed, and all the same says something of its candidate; another failure does not."""
    known = {"adamw.lr": 0.1, "schedule": "cosine", "state": "failed"}

    diverged = Places().read(row(**known, value="nan"))

    assert str(diverged.value) == "nan"
    with pytest.raises(UnmappedRow, match="its state is failed"):
        Places().read(row(**known, value=0.5))


def test_looking_for_a_storage_makes_none(tmp_path: Path) -> None:
    """Optuna by itself would create the file and its tables."""
    with pytest.raises(UnreadablePast, match="there is no file"):
        read_optuna(f"sqlite:///{tmp_path / 'none.db'}", "own")

    assert list(tmp_path.iterdir()) == []


def _answers(count: int) -> Any:
    return says(
        HistoryAnswer(items=[HistoryItem(trial=n, becomes="history", why="ok", new=True) for n in range(count)])
    )


def test_rows_are_sent_and_answered_in_their_order() -> None:
    """Those that cannot be mapped stay here, and are answered in their place."""
    script = Script(says(study_view()), _answers(2))
    past = Past([row(lr=0.1, loss=1), row(loss=1), row(lr=0.2, loss=2)], ["lr", "wd", "loss"])

    outcomes = import_past(script.client(), "mine", past, MAPPED, horizon_steps=100)

    assert [outcome.becomes for outcome in outcomes] == ["history", "left_out", "history"]
    assert outcomes[0] == Outcome("results.csv:2", "history", "ok", new=True)
    assert script.paths == ["GET /v1/studies/mine", "POST /v1/studies/mine/history"]
    assert script.requests[1].content.count(b'"horizon_steps":100') == 2


def test_many_rows_are_sent_in_requests_that_the_service_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by size."""
    monkeypatch.setattr("etude.history.MOST_AT_ONCE", 2)
    script = Script(says(study_view()), _answers(2), _answers(1))
    past = Past([row(lr=0.1 * n, loss=1) for n in (1, 2, 3)], ["lr", "wd", "loss"])

    assert len(import_past(script.client(), "mine", past, MAPPED)) == 3

    monkeypatch.setattr("etude.history.ROOM_BYTES", 100)
    script = Script(says(study_view()), _answers(1), _answers(1), _answers(1))
    assert len(import_past(script.client(), "mine", past, MAPPED)) == 3


def test_a_study_without_trials_has_no_columns_to_miss() -> None:
    """There is nothing to send, and nothing wrong with the mapping."""
    assert import_past(Script(says(study_view())).client(), "mine", Past([], []), MAPPED) == []


@pytest.mark.parametrize(
    ("past", "why"),
    [
        (Past([], ["a"]), "there is no lr, wd, loss; there are a"),
        (Past([], ["lr", "wd", "loss"], direction="maximize"), "their direction is maximize, that of mine is minimize"),
        (Past([], ["lr", "wd", "loss"], metric="accuracy"), "their metric is accuracy, that of mine is val_loss"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_whole(past: Past, why: str) -> None:
    """Before anything is sent."""
    script = Script(says(study_view(direction="minimize", metric="val_loss")))

    with pytest.raises(UnreadablePast, match=why):
        import_past(script.client(), "mine", past, MAPPED)
