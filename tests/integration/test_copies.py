"""Copies of an embedded store, and where such a store may lie at all."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

import pytest

from search_spaces.problems import InvalidSpec
from service.copying import Copying
from store import Store, open_store, places
from store.copies import copy_store, prolong_leases, put_copy
from store.places import kind_of
from store.studies import get_study
from store.verbs import SqlVerbs
from tests.machine import until
from tests.studies import add_proposals, claim, report, report_item, run_study

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
tmpfs /home/scratch tmpfs rw 0 0
lake@tcp:/work /mnt/with\\040space lustre rw 0 0
sshfs#x /mnt/far fuse.sshfs rw 0 0
overlay /mnt/near fuse.fuse-overlayfs rw 0 0
"""


@pytest.fixture
def embedded(sqlite_template: Path, tmp_path: Path) -> Store:
    """An embedded store with a study that has a trial in training."""
    (tmp_path / "disk").mkdir()
    file = tmp_path / "disk" / "etude.db"
    file.write_bytes(sqlite_template.read_bytes())
    store = open_store(f"sqlite:///{file}")
    run_study(store)
    add_proposals(store, count=3)
    return store


def test_a_copy_is_whole_while_the_store_is_written_to(embedded: Store, tmp_path: Path) -> None:
    """What was committed before it is in it, a transaction under way is not, and no file lies beside it."""
    copy = tmp_path / "shared" / "1.db"
    copy.parent.mkdir()
    claim(SqlVerbs(embedded))
    with embedded.begin() as connection:
        connection.exec_driver_sql("UPDATE etude_studies SET state = 'failed'")
        copy_store(embedded.url, copy)
    embedded.close()

    put_copy(copy, f"sqlite:///{tmp_path / 'other' / 'etude.db'}")

    again = open_store(f"sqlite:///{tmp_path / 'other' / 'etude.db'}")
    study = get_study(again, "mine")
    again.close()
    assert (study.state, study.counts.leased, study.counts.proposed) == ("running", 1, 2)
    assert [file.name for file in copy.parent.iterdir()] == ["1.db"]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in (tmp_path / "disk").iterdir() if "copy" in file.name) == []


def test_a_worker_goes_on_with_what_it_held(embedded: Store, tmp_path: Path) -> None:
    """Its lease, long over by the time that the copy is served, holds anew: the report is taken."""
    verbs = SqlVerbs(embedded)
    [trial] = claim(verbs)
    with embedded.begin() as connection:
        connection.exec_driver_sql("UPDATE etude_proposals SET lease_expires_at = 1.0 WHERE state = 'leased'")

    prolonged = prolong_leases(embedded)
    [answer] = report(verbs, report_item(trial, (10, 0.5)))
    embedded.close()

    assert prolonged == 1
    assert answer.accepted


def test_every_change_is_copied_and_the_last_one_at_the_end(
    embedded: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy is there from the first moment, follows each change, and rests while nothing changes."""
    monkeypatch.setattr("service.copying.LEAST_SECONDS", 0.01)
    copy, copied = tmp_path / "1.db", []

    def counted(url: str, to: Path) -> None:
        copy_store(url, to)
        copied.append(leased_in(to))

    monkeypatch.setattr("service.copying.copy_store", counted)
    with Copying(embedded, copy):
        at_first = leased_in(copy)
        claim(SqlVerbs(embedded))
        until(lambda: copied[-1] == 1)
        resting = quiet(copied)
        claim(SqlVerbs(embedded))
    embedded.close()

    assert at_first == 0
    assert resting
    assert leased_in(copy) == 2


def quiet(copied: list[int]) -> bool:
    """Whether no copy is made any more of a store that does not change."""
    seen, waits = -1, threading.Event()
    for _ in range(100):
        if len(copied) == seen:
            return True
        seen = len(copied)
        waits.wait(0.3)
    return False


def leased_in(copy: Path) -> int:
    """Trials in training, as a copy has them."""
    connection = sqlite3.connect(copy)
    try:
        return int(connection.execute("SELECT count(*) FROM etude_proposals WHERE state = 'leased'").fetchone()[0])
    finally:
        connection.close()


def test_a_place_that_takes_no_copy_stops_nothing(
    embedded: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once; the service goes on, and so does the copying when there is room again."""
    place = tmp_path / "gone"
    with caplog.at_level(logging.WARNING, "service.copying"), Copying(embedded, place / "1.db") as copying:
        copying._copy()
        said = len(caplog.records)
        place.mkdir()
    embedded.close()

    assert said == 1
    assert (place / "1.db").exists()


def test_what_is_no_copy_replaces_nothing(embedded: Store, tmp_path: Path) -> None:
    """A damaged file is refused, and the store that was there stays."""
    (tmp_path / "damaged.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    embedded.close()

    with pytest.raises(InvalidSpec, match="no copy of a store"):
        put_copy(tmp_path / "damaged.db", embedded.url)
    again = open_store(embedded.url)
    assert get_study(again, "mine").state == "running"
    again.close()


def test_only_an_embedded_store_is_copied(tmp_path: Path) -> None:
    """PostgreSQL has its own way."""
    with pytest.raises(InvalidSpec, match="embedded"):
        copy_store("postgresql://u@127.0.0.1/x", tmp_path / "1.db")


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/var/etude.db", "ext4"), ("/home/me/etude.db", "nfs4"), ("/home/scratch/etude.db", "tmpfs"),
        ("/homeless/etude.db", "ext4"), ("/mnt/with space/x/etude.db", "lustre"),
    ],
)  # fmt: skip
def test_the_kind_of_file_system(tmp_path: Path, place: str, kind: str) -> None:
    """That of the innermost mount, whatever letters its name has."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)

    assert kind_of(Path(place), mounts) == kind
    assert kind_of(Path(place), tmp_path / "none") is None


@pytest.mark.parametrize("place", ["/home/me", "/mnt/with space", "/mnt/far"])
def test_an_embedded_store_on_a_network_is_refused(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason and three ways out, before a file is made; the one setting lets it lie there."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    refuse = places.refuse_shared
    monkeypatch.setattr("store.engine.refuse_shared", lambda file: refuse(file, mounts=mounts))

    with pytest.raises(InvalidSpec, match="network file system") as refused:
        open_store(f"sqlite:///{place}/etude.db")
    assert all(way in str(refused.value) for way in ("ETUDE_DATA_DIR", "PostgreSQL", "etude up --shared"))
    refuse(Path("/mnt/near/etude.db"), mounts=mounts)
    monkeypatch.setenv("ETUDE_SQLITE_ON_NETWORK", "1")
    refuse(Path(place, "etude.db"), mounts=mounts)
