"""Query plans of the verbs, on PostgreSQL with 20,000 trials in the table (100,000 in tests/soak): by index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from psycopg.sql import Literal
from sqlalchemy import create_engine, event, text

from search_spaces.study import TaskSpec
from store import Store, open_store
from store.earlier import earlier_studies
from store.gauges import read_gauges
from store.insights import latest_ended
from store.proposals import recent_history
from store.studies import get_study, own
from store.trials import list_trials
from store.verbs import SqlVerbs
from tests.postgres import Postgres
from tests.studies import add_proposals, claim, finish, report, report_item, run_study

MANY = 20_000


@pytest.fixture(scope="module")
def full(postgres: Postgres) -> Iterator[Store]:
    """A store with many finished trials in one study, and a few proposals waiting."""
    with full_store(postgres, MANY) as store:
        yield store


@contextmanager
def full_store(postgres: Postgres, many: int) -> Iterator[Store]:
    """A store in a database of its own, with `many` finished trials."""
    name = f"etude_plans_{many}"
    engine = create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    store = open_store(postgres.url(name), pool_size=2)
    run_study(store, budget={"trials": 100_000})
    add_proposals(store, count=12)
    verbs = SqlVerbs(store)
    for trial in claim(verbs, count=2):
        report(verbs, report_item(trial, (10, 1.0), (50, 1.0)))
        finish(verbs, trial)
    fill(store, many)
    try:
        yield store
    finally:
        store.close()


def fill(store: Store, many: int) -> None:
    """Copy the first finished trial until there are many."""
    with store.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(
            text(
                """INSERT INTO trials (trial_id, number, study_id, state)
                SELECT 1000 + n, 1 + n, t.study_id, t.state
                FROM trials t, generate_series(1, :many) n WHERE t.number = 0"""
            ),
            {"many": many},
        )
        columns = [
            row[0]
            for row in connection.execute(
                text("SELECT column_name FROM information_schema.columns WHERE table_name = 'etude_proposals'")
            )
        ]
        changed = {"id": "1000 + n", "seq": "1000 + n", "number": "1 + n", "trial_id": "1000 + n", "value": "n"}
        values = ", ".join(changed.get(column, f"p.{column}") for column in columns)
        connection.execute(
            text(
                f"""INSERT INTO etude_proposals ({", ".join(columns)})
                SELECT {values} FROM etude_proposals p, generate_series(1, :many) n WHERE p.number = 0"""
            ),
            {"many": many},
        )
        connection.execute(
            text(
                """INSERT INTO etude_rung_values (trial_id, rung, kind, study_id, counted, value)
                SELECT 1000 + n, rung, kind, study_id, counted, n FROM etude_rung_values, generate_series(1, :many) n
                WHERE trial_id = (SELECT min(trial_id) FROM etude_rung_values)"""
            ),
            {"many": many},
        )
        # A row's id is above those before it, as everywhere: its number goes by that.
        connection.execute(text("SELECT setval('trials_trial_id_seq', (SELECT max(trial_id) FROM trials))"))
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")  # as autovacuum would have


def sent_by(store: Store, act: Any) -> list[tuple[str, Any]]:
    """Every statement of ours that `act` sends, with its parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        sent.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        event.remove(store.engine, "before_cursor_execute", note)
    return sent


def plans_of(store: Store, act: Any) -> str:
    """The plans of every statement of ours that `act` sends."""
    sent = sent_by(store, act)
    plans = []
    with store.engine.connect() as connection:
        for statement, parameters in sent:
            rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            plans += [row[0] for row in rows]
            connection.rollback()
    return "\n".join(plans)


def kept_plans_of(store: Store, act: Any) -> str:
    """The plans for any values of every statement that `act` sends, made as connections for the verbs make them."""
    sent = sent_by(store, act)
    plans = []
    with store.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        for number, (statement, parameters) in enumerate(sent):
            names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
            numbered = statement
            for place, name in enumerate(names, 1):
                numbered = numbered.replace(f"%({name})s", f"${place}")
            values = ", ".join(Literal(parameters[name]).as_string(driver) for name in names)
            with driver.cursor() as cursor:
                cursor.execute(f"PREPARE kept_{number} AS {numbered}".encode())
                plans += [row[0] for row in cursor.execute(f"EXPLAIN EXECUTE kept_{number}({values})".encode())]
                cursor.execute(f"DEALLOCATE kept_{number}".encode())
    return "\n".join(plans)


def whole_scans(plan: str) -> list[str]:
    """Tables that grow with the trials and that the plan reads from end to end."""
    return re.findall(r"Seq Scan on (etude_proposals|etude_rung_values|etude_curve_chunks|trials|trial_\w+)", plan)


def test_claim_goes_by_index(full: Store) -> None:
    """A claim finds its proposals without reading those that have ended."""
    plan = plans_of(full, lambda: claim(SqlVerbs(full), worker="planner"))

    assert whole_scans(plan) == []


def test_report_and_finish_go_by_index(full: Store) -> None:
    """A report finds its trial and the latest values at a rung without reading the others."""
    verbs = SqlVerbs(full)
    trial = claim(verbs, worker="reporter")[0]

    reporting = plans_of(full, lambda: report(verbs, report_item(trial, (10, 0.1))))
    finishing = plans_of(full, lambda: finish(verbs, trial))

    assert whole_scans(reporting + finishing) == []
    assert "etude_rung_values_latest" in reporting


def test_kept_plans_go_by_index(full: Store) -> None:
    """A plan that is made once a connection suits any values: nothing is read from end to end or hashed."""
    taken: list[Any] = []

    with closing(full.for_verbs(1)) as speaking:
        verbs = SqlVerbs(speaking)
        plans = [
            kept_plans_of(speaking, lambda: taken.extend(claim(verbs, worker="keeper"))),
            kept_plans_of(speaking, lambda: report(verbs, report_item(taken[0], (10, 0.1)))),
            kept_plans_of(speaking, lambda: finish(verbs, taken[0])),
        ]

    assert "$1" in plans[0]  # for any values, and not for these
    assert whole_scans("\n".join(plans)) == []
    assert "Hash Join" not in "\n".join(plans)


def test_recent_history_goes_by_index(full: Store) -> None:
    """What proposals are drawn from is read by the indexes on the best and the latest."""
    study_id = own(full, "tests", 60)[0].study_id

    plan = plans_of(full, lambda: recent_history(full, study_id, direction="minimize", best=150, latest=350))

    assert "etude_proposals_best" in plan


def test_pages_of_trials_go_by_index(full: Store) -> None:
    """A page costs its own rows: the first one, one far on, and those of a purpose."""
    first = plans_of(full, lambda: list_trials(full, "mine"))
    far = plans_of(full, lambda: list_trials(full, "mine", cursor=str(MANY // 2)))
    tuning = plans_of(full, lambda: list_trials(full, "mine", purpose="tuning"))

    assert whole_scans(first + far + tuning) == []


def test_pages_by_state_and_counts_go_by_index(full: Store) -> None:
    """The index of ended trials has them in order by state and counts them; of Optuna's rows only a count is read.

    The few of a rare state may come by the index of all states as well: sorting them costs nothing.
    """
    rare = plans_of(full, lambda: list_trials(full, "mine", state="failed"))
    common = plans_of(full, lambda: list_trials(full, "mine", state="complete", cursor=str(MANY // 2)))
    counts = plans_of(full, lambda: get_study(full, "mine"))

    assert "etude_proposals_ended" in rare or "etude_proposals_by_state" in rare
    assert "etude_proposals_ended" in common
    assert "etude_proposals_ended" in counts
    assert set(whole_scans(rare + common + counts)) <= {"trials"}


def test_the_trials_that_importance_is_made_of_come_by_index(full: Store) -> None:
    """However long the history, the latest are read by number, and no more than were asked for."""
    plan = plans_of(full, lambda: latest_ended(full, "mine", 500))

    assert whole_scans(plan) == []
    assert "Sort" not in plan


def test_what_earlier_studies_cost_comes_by_index(full: Store) -> None:
    """A plan reads the latest complete trials of a few studies, however many there are."""
    plan = plans_of(full, lambda: earlier_studies(full, TaskSpec(name="nothing"), "1"))

    assert whole_scans(plan) == []


def test_gauges_are_counted_by_index(full: Store) -> None:
    """A scrape reads indexes that hold what it counts, and no table of trials."""
    plan = plans_of(full, lambda: read_gauges(full, 8.0))

    assert whole_scans(plan) == []
    assert re.search("Index Only Scan using etude_proposals_(ended|by_state)", plan)
