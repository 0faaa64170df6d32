"""`python -m workers` as a process: it drains, and it gives its trial back when it is told to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import pytest

from etude.task import offer
from etude.work import HttpVerbs
from search_spaces.space import resolve_space
from search_spaces.study import StudySpec, resolve_study
from store import Store
from store.proposals import Past, history
from store.studies import own, submit
from store.verbs import SqlVerbs
from store.workers import list_workers
from tests.small_task import CANDIDATE
from tests.studies import add_proposals
from workers.__main__ import main, open_verbs
from workers.settings import WorkerSettings
from workers.tasks.digits import DigitsMlp


def digits_study(store: Store, steps: int) -> None:
    """Submit a study of digits-mlp with one proposal."""
    spec = StudySpec.model_validate(
        {"name": "mine", "task": {"name": "digits-mlp"}, "horizon": {"steps": steps}, "pruner": {"kind": "none"}}
    )
    space = resolve_space(spec.space, spec.budget.trials)
    submit(store, spec, resolved=resolve_study(spec, offer(DigitsMlp)), space=space)
    add_proposals(store, count=1, candidate=CANDIDATE)


def only_trial(store: Store) -> Past:
    """The one proposal and what became of it."""
    return history(store, own(store, "tests", 60)[0].study_id)[0]


@contextmanager
def worker(url: str, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """A worker process on the store at `url`, killed when the test is over."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ETUDE_")}
    environment["ETUDE_CHECKPOINTS"] = "memory://checkpoints"
    with TemporaryDirectory() as data_dir:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers", "--name", "w1", "--tasks", "digits-mlp", *flags],
            env=environment | {"ETUDE_DATABASE_URL": url, "ETUDE_DATA_DIR": data_dir},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def test_a_worker_drains_its_store(store: Store) -> None:
    """The process trains what there is, logs each transition, and ends by itself with 0."""
    digits_study(store, steps=34)

    with worker(store.url, "--drain", "0", "--pack", "1") as process:
        _, log = process.communicate(timeout=120)

    assert process.returncode == 0, log
    assert only_trial(store).state == "complete"
    assert [json.loads(line)["event"] for line in log.splitlines()] == [
        "started", "claimed", "opened", "complete", "stopped"
    ]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_gives_the_trial_back(store: Store, number: signal.Signals) -> None:
    """Told to end in the middle of a trial, the process releases it and ends with 0."""
    digits_study(store, steps=10_000_000)

    with worker(store.url, "--pack", "1") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if json.loads(line)["event"] == "opened":
                break
        process.send_signal(number)
        _, log = process.communicate(timeout=60)

    assert process.returncode == 0, log
    assert "released" in {json.loads(line)["event"] for line in log.splitlines()}
    assert only_trial(store).state == "proposed"


def test_a_worker_packs_what_it_measures(store: Store) -> None:
    """By default it tries how many trials of the task are fastest at once, says so, and trains them."""
    digits_study(store, steps=34)

    with worker(store.url, "--drain", "0") as process:
        _, log = process.communicate(timeout=200)

    offered = list_workers(store)[0].tasks[0].packing
    assert process.returncode == 0, log
    assert only_trial(store).state == "complete"
    assert offered.reason not in (None, "not measured yet")
    assert "failed" not in str(offered.reason)
    assert f'"size": {offered.size}, ' in log


@pytest.mark.parametrize("flags", [("--pack", "0"), ("--pack", "many"), ("--devices", "cuda:99"), ("--devices", "tpu")])
def test_flags_that_mean_nothing(flags: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """A size or a device that there cannot be is refused before anything starts, with status 2."""
    with pytest.raises(SystemExit) as refused:
        main(list(flags))

    assert refused.value.code == 2
    assert flags[1] in capsys.readouterr().err


def test_a_variable_that_means_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused by its name, with status 2, as the service does."""
    monkeypatch.setenv("ETUDE_METRICS_PORT", "high")

    with pytest.raises(SystemExit) as refused:
        main([])

    assert refused.value.code == 2
    assert "ETUDE_METRICS_PORT: Input should be a valid integer" in capsys.readouterr().err


def test_a_service_wins_over_a_database() -> None:
    """With ETUDE_URL the worker speaks HTTP, without it SQL."""
    verbs = open_verbs(WorkerSettings(url="http://127.0.0.1:1"))

    assert isinstance(verbs, HttpVerbs)


def test_without_a_service_it_speaks_sql(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is the one of ETUDE_DATABASE_URL."""
    monkeypatch.setenv("ETUDE_DATABASE_URL", sqlite_url)

    verbs = open_verbs(WorkerSettings())

    assert isinstance(verbs, SqlVerbs)
    assert verbs.store.url == sqlite_url
    verbs.close()


def test_a_task_that_is_not_there() -> None:
    """An unknown task ends the process with 1 and the names of those that there are."""
    with worker("sqlite:///unused.db", "--tasks", "imagenet") as process:
        _, log = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "imagenet" in log
    assert "digits-noisy" in log
