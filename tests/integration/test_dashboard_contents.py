"""The Optuna dashboard's note and figure: laid out as the library does it, kept up to date, no other note replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna_dashboard import get_note, save_note, save_plotly_graph_object
from sqlalchemy import text

from service import dashboard_updates
from service.coordinator import Coordinator
from service.dashboard_updates import REFRESH_SECONDS, DashboardUpdates, update
from service.submission import resolve_submission
from store import Store, open_store
from store.dashboard import OWN_NOTE, save_dashboard
from store.optuna_bridge import system_attributes
from store.studies import LiveStudy, change_state, delete_study, own, submit
from store.workers import offers
from tests.chaos import wait_until
from tests.integration.service_simulation import drive, simulated
from tests.studies import run_study, stock_storage, study_spec

LONG = "Keep *it*: `a` & <b>.\n" * 300


class Figure:
    """What save_plotly_graph_object asks of a figure."""

    def __init__(self, text: str) -> None:
        self.text = text

    def to_json(self) -> str:
        return self.text


def as_the_library(note: str, figure: str) -> dict[str, Any]:
    """The attributes that optuna_dashboard itself writes for this note and figure."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage)
    save_note(study, note)
    save_plotly_graph_object(study, Figure(figure), graph_object_id="etude-learning-rates")
    return dict(storage.get_study_system_attrs(storage.get_study_id_from_name(study.study_name)))


def present(store: Store, name: str = "mine") -> dict[str, Any]:
    with store.read() as connection:
        study_id = connection.execute(text("SELECT study_id FROM studies WHERE study_name = :n"), {"n": name}).scalar()
        return {} if study_id is None else system_attributes(connection, study_id)


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    yield opened
    opened.close()


def searched(store: Store, name: str = "mine", **fields: Any) -> LiveStudy:
    """A study that a simulated worker takes on while it is running; returned as its coordinator sees it."""
    worker = simulated(store)
    spec = study_spec(name, **({"budget": {"trials": 30}, "confirmation": {"seeds": 2}} | fields))
    resolved, space = resolve_submission(spec, offers(store)) or (None, None)
    submit(store, spec, resolved=resolved, space=space)
    for _ in range(6):
        Coordinator(store, owner="one").round()
        worker.round()
    return next(study for study in own(store, "one", 60) if study.name == name)


def test_note_and_figure_are_laid_out_as_the_library_does_it(store: Store) -> None:
    """Whatever their length, on both databases; and its own functions read them back."""
    run_study(store)
    figure = json.dumps({"data": [{"y": list(range(2000))}], "layout": {}})

    assert save_dashboard(store, "mine", note=LONG, figure=figure)

    found = present(store)
    del found[OWN_NOTE]
    assert found == as_the_library(LONG, figure)


def test_a_shorter_text_leaves_nothing_of_a_longer_one(store: Store) -> None:
    """The parts that it does not need are gone; the version has grown."""
    run_study(store)
    save_dashboard(store, "mine", note=LONG, figure="x" * 9000)

    save_dashboard(store, "mine", note="short", figure="{}")

    found = present(store)
    del found[OWN_NOTE]
    assert found == as_the_library("short", "{}") | {"dashboard:note_ver": 2}


def test_the_same_again_writes_nothing(store: Store) -> None:
    """Not even the note's version."""
    run_study(store)
    save_dashboard(store, "mine", note=LONG, figure="{}")
    before = present(store)

    again = save_dashboard(store, "mine", note=LONG, figure="{}")

    assert not again
    assert present(store) == before


def test_a_note_that_a_person_wrote_stays(own_store: Store) -> None:
    """Written in stock Optuna it is never replaced; the figure goes on."""
    run_study(own_store)
    save_dashboard(own_store, "mine", note="ours", figure="{}")
    with stock_storage(own_store.engine.url.render_as_string(hide_password=False)) as storage:
        study = optuna.load_study(study_name="mine", storage=storage)
        save_note(study, "mine alone")
        changed = save_dashboard(own_store, "mine", note="ours again", figure='{"data":[]}')

        assert changed
        assert get_note(study) == "mine alone"
    assert present(own_store)["dashboard:plot_data:etude-learning-rates:0"] == '{"data":[]}'


def test_a_running_study_shows_its_best_curves_by_score(own_store: Store) -> None:
    """At most 20 curves on the whole horizon, named by number and score, in under 100 kB; no code before a verdict."""
    study = searched(own_store)

    assert update(own_store, study)

    found = present(own_store)
    parts = [key for key in found if key.startswith("dashboard:plot_data:")]
    whole = "".join(found[f"dashboard:plot_data:etude-learning-rates:{place}"] for place in range(len(parts)))
    figure = json.loads(whole)
    curves = [trace for trace in figure["data"] if trace["mode"] == "lines"]
    assert 3 <= len(curves) <= 20
    assert len(whole) < 100_000
    assert {len(trace["y"]) * trace["dx"] for trace in curves} == {100.0}
    assert figure["layout"]["yaxis"]["type"] == "log"
    assert "The search is under way" in found["dashboard:note_str:0"]
    assert "```" not in found["dashboard:note_str:0"]


def test_a_study_s_end_is_told_at_once_with_the_code(own_store: Store) -> None:
    """The coordinator's own round that finds a study ended writes the verdict and what to paste."""
    worker = simulated(own_store)
    spec = study_spec(budget={"trials": 6}, confirmation={"seeds": 2, "baselines": ["sgd-cosine"]})
    resolved, space = resolve_submission(spec, offers(own_store)) or (None, None)
    submit(own_store, spec, resolved=resolved, space=space)
    coordinator = Coordinator(own_store, owner="one")

    drive(own_store, worker, "mine", coordinator=lambda: coordinator)
    coordinator.round()

    with stock_storage(own_store.engine.url.render_as_string(hide_password=False)) as storage:
        note = get_note(optuna.load_study(study_name="mine", storage=storage))
    assert "```python\n" in note
    assert "/v1/studies/mine/report" in note
    assert "under way" not in note


def test_live_studies_are_looked_at_at_a_bounded_rate(own_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the coordinator goes round: once in 20 s each, and once when one is stopped or gone."""
    study, times, looked = searched(own_store), [100.0], []
    monkeypatch.setattr(dashboard_updates, "update", lambda _store, one: looked.append(one.name))
    updates = DashboardUpdates(own_store, lambda: times[0])

    for _ in range(10):
        updates.refresh([study])
    times[0] += REFRESH_SECONDS
    for _ in range(10):
        updates.refresh([study])
    while_live = len(looked)
    updates.refresh([])
    updates.refresh([])

    assert (while_live, len(looked)) == (1, 2)


def test_what_goes_wrong_with_one_study_holds_up_no_other(own_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect and a study that was deleted meanwhile are left behind."""
    study, looked = searched(own_store), []
    change_state(own_store, "mine", "stopped")
    delete_study(own_store, "mine")
    updates = DashboardUpdates(own_store)
    updates.refresh([study])
    updates.refresh([])  # deleted: nothing to write

    def broken(_store: Store, one: LiveStudy) -> None:
        looked.append(one.name)
        raise ZeroDivisionError

    monkeypatch.setattr(dashboard_updates, "update", broken)
    updates.refresh([study])
    updates.refresh([])

    assert looked == ["mine"]
    assert not save_dashboard(own_store, "mine", note="gone", figure=None)


def waiting(store: Store) -> bool:
    """Whether a connection to the database waits for another one's lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with store.read() as connection:
        return bool(connection.execute(text(query)).scalar_one())


@pytest.mark.parametrize("what", ["study", "trial"])
def test_a_study_is_deleted_while_somebody_writes_to_it(postgres_url: str, what: str) -> None:
    """The deletion waits for a note of the study, or a stock user's attribute of a trial, and takes it along."""
    with closing(open_store(postgres_url)) as store:
        run_study(store, "mine")
        with stock_storage(store.url) as storage:
            optuna.load_study(study_name="mine", storage=storage).ask()
        change_state(store, "mine", "stopped")
        with ThreadPoolExecutor(1) as pool, store.begin() as connection:
            connection.execute(text(WRITING[what]))
            deleted = pool.submit(delete_study, store, "mine")
            wait_until(lambda: waiting(store), 30)
            connection.commit()
            deleted.result(30)

        assert present(store) == {}
        assert not save_dashboard(store, "mine", note="gone", figure=None)


WRITING = {
    "study": "INSERT INTO study_system_attributes (study_id, key, value_json)"
    " SELECT study_id, 'note', '1' FROM studies WHERE study_name = 'mine'",
    "trial": "INSERT INTO trial_user_attributes (trial_id, key, value_json)"
    " SELECT max(trial_id), 'mine', '1' FROM trials NATURAL JOIN studies WHERE study_name = 'mine'",
}
