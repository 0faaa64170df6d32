"""Backup and restore, as docs/operations.md says: a study goes on from the copy, to its exact budget and its answer."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from service.coordinator import Coordinator
from store import Store, open_store
from store.__main__ import main
from store.studies import get_study
from store.trials import list_trials
from store.verbs import SqlVerbs
from tests.integration.service_simulation import SimulatedWorker, drive, simulated
from tests.integration.test_service_coordinator import submitted
from tests.postgres import Postgres, unprivileged
from tests.promises.documents import blocks
from tests.studies import claim, finish, stock_trials

BUDGET = 10
DOCUMENT = "docs/operations.md"


def begin(store: Store) -> SimulatedWorker:
    """A study in the middle of its search, with trials in training."""
    worker = simulated(store)
    submitted(
        store,
        budget={"trials": BUDGET},
        sampler={"kind": "random"},
        confirmation={"seeds": 2, "top": 1, "extras": False},
    )
    drive(store, worker, "mine", coordinator=lambda: Coordinator(store, owner="one"), until=lambda: True)
    Coordinator(store, owner="one").round()
    assert len(worker.claim()) > 0
    return worker


def go_on(store: Store) -> None:
    """Take the restored study to its end, and look whether anything is twice or missing."""
    before = get_study(store, "mine").counts
    with store.begin() as connection:  # as time would: who held them speaks to a store that is gone
        connection.execute(text("UPDATE etude_proposals SET lease_expires_at = 1.0 WHERE state = 'leased'"))
    drive(store, simulated(store), "mine", coordinator=lambda: Coordinator(store, owner="one"))

    view = get_study(store, "mine")
    numbers = [trial.number for trial in list_trials(store, "mine", limit=500).items]
    assert before.leased > 0
    assert (view.state, view.budget.used_trials) == ("done", BUDGET)
    assert sorted(numbers) == list(range(BUDGET))
    assert len(stock_trials(store.url)) == BUDGET


def documented(*words: str) -> str:
    """The one command of the page that holds these words."""
    [command] = [
        command for block in blocks(DOCUMENT) if block.language == "bash" for command in block.commands
        if all(word in command for word in words)
    ]  # fmt: skip
    return command


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The name of an empty database, which the test drops and makes again."""
    name = "etude_backed_up"
    postgres.create_database(name)
    yield name
    postgres.drop_database(name)


def test_postgresql_is_dumped_dropped_restored_and_goes_on(postgres: Postgres, database: str, tmp_path: Path) -> None:
    """By pg_dump while the parts work; what was claimed after the dump is lost with its worker, and taken again."""
    url = postgres.url(database)
    plain = make_url(url).set(drivername="postgresql").render_as_string()
    environment = {"DATABASE": plain, "PATH": f"{postgres.bin}:/usr/bin:/bin", "FOLDER": str(postgres.folder)}

    def run(command: str) -> None:
        here = command.replace("/backup/", "$FOLDER/")
        subprocess.run(["/bin/sh", "-ec", here], env=environment, check=True, timeout=120, **unprivileged())  # type: ignore[call-overload]

    store = open_store(url)
    begin(store)
    run(documented("pg_dump"))
    Coordinator(store, owner="one").round()
    later = claim(SqlVerbs(store), count=2, worker="after-the-dump")
    store.close()
    postgres.drop_database(database)
    postgres.create_database(database, "template0")
    run(documented("pg_restore"))
    restored = open_store(url)

    answers = [finish(SqlVerbs(restored), trial) for trial in later]
    try:
        go_on(restored)
    finally:
        restored.close()

    assert later
    assert not any(answer.accepted for answer in answers)


def test_sqlite_is_copied_removed_restored_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By `python -m store backup` beside processes that write."""
    url, copy = f"sqlite:///{tmp_path / 'etude.db'}", tmp_path / "copy.db"
    store = open_store(url)
    begin(store)
    monkeypatch.setenv("ETUDE_DATABASE_URL", url)
    command = documented("store backup").split()

    assert command[1:4] == ["-m", "store", "backup"]
    assert main(["backup", str(copy)]) == 0
    store.close()
    for file in tmp_path.glob("etude.db*"):
        file.unlink()
    copy.rename(tmp_path / "etude.db")
    restored = open_store(url)
    try:
        go_on(restored)
    finally:
        restored.close()

    assert f"{copy}: " in capsys.readouterr().out


def test_a_backup_takes_no_file_s_place(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An older backup stays as it is."""
    open_store(sqlite_url).close()
    monkeypatch.setenv("ETUDE_DATABASE_URL", sqlite_url)
    there = tmp_path / "there.db"
    there.write_text("precious")

    status = main(["backup", str(there)])

    assert status == 1
    assert "takes no file's place" in capsys.readouterr().err
    assert there.read_text() == "precious"


def test_postgresql_has_a_command_of_its_own(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The refusal names it."""
    open_store(postgres_url).close()
    monkeypatch.setenv("ETUDE_DATABASE_URL", postgres_url)

    status = main(["backup", str(tmp_path / "copy.db")])

    assert status == 2
    assert "pg_dump" in capsys.readouterr().err
