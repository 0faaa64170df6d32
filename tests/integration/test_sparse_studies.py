"""Studies of a task with sparse gradients: what is refused of them and of others, and their way to an answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from etude.task import offer
from search_spaces.work import Announcement
from service.coordinator import Coordinator
from store import Store, open_store
from store.studies import get_study, stored_answer
from store.trials import list_trials
from store.verbs import SqlVerbs
from tests.integration.service_http import serving
from workers.loop import Worker
from workers.tasks import TASKS
from workers.timing import Timing

AT_ONCE = Timing(drain=0.0, first_idle=0.01, longest_idle=0.01)
"""A worker that leaves when there is nothing to claim."""
SPARSE_ADAM: dict[str, Any] = {
    "optimizer": {"kind": "sparse_adam"}, "initial_lr": 0.001, "schedule": {"kind": "constant"},
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    yield opened
    opened.close()


@pytest.fixture
def api(store: Store) -> Iterator[httpx.Client]:
    with serving(store) as client:
        yield client


def submit(api: httpx.Client, task: str, **fields: Any) -> httpx.Response:
    """Submit a study of the task."""
    return api.post("/v1/studies", json={"name": "mine", "task": {"name": task}, **fields})


def announce(store: Store) -> None:
    """Let a worker offer every task."""
    SqlVerbs(store).announce("w1", Announcement(tasks=[offer(task) for task in TASKS.values()]))


@pytest.mark.parametrize(
    ("task", "fields", "field"),
    [
        ("digits-mlp", {"space": {"optimizers": ["sparse_adam"]}}, "space.optimizers.sparse_adam"),
        ("digits-mlp", {"confirmation": {"baselines": ["sparse-adam-constant"]}}, "confirmation.baselines"),
        ("digits-mlp", {"current": SPARSE_ADAM}, "current.optimizer"),
        ("embedding", {"space": {"optimizers": ["adamw"]}}, "space.optimizers.adamw"),
        ("embedding", {"space": {"preset": "transformer"}}, "space.preset"),
        ("embedding", {"confirmation": {"baselines": ["sgd-cosine"]}}, "confirmation.baselines"),
        ("embedding", {"current": SPARSE_ADAM | {"optimizer": {"kind": "adam"}}}, "current.optimizer"),
        (
            "embedding",
            {"current": SPARSE_ADAM | {"optimizer": {"kind": "sgd", "weight_decay": 0.1}}},
            "current.optimizer.weight_decay",
        ),
    ],
)
def test_what_the_task_cannot_train_is_refused(
    store: Store, api: httpx.Client, task: str, fields: dict[str, Any], field: str
) -> None:
    """sparse_adam on dense gradients, and what needs dense ones on sparse: a 422 that names the field."""
    announce(store)

    refused = submit(api, task, **fields)

    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert api.get("/v1/studies").json()["items"] == []


def test_a_sparse_study_may_come_before_its_worker(api: httpx.Client) -> None:
    """What some task could train is queued until a worker says what the gradients are; the rest is refused at once."""
    impossible = submit(api, "embedding", space={"optimizers": ["sparse_adam", "adamw"]})

    queued = submit(api, "embedding", space={"optimizers": ["sparse_adam"]}, current=SPARSE_ADAM)

    assert impossible.status_code == 422
    assert (queued.status_code, queued.json()["state"]) == (201, "queued")


def test_a_sparse_study_goes_from_its_own_baselines_to_an_answer(store: Store, api: httpx.Client) -> None:
    """With no baselines named, its search begins with sparse-adam-constant and adagrad-constant and confirms both."""
    announce(store)
    wanted = {
        "space": {"preset": "sparse"},
        "budget": {"trials": 4},
        "horizon": {"epochs": 1},
        "confirmation": {"seeds": 2, "top": 1},
    }

    submitted = submit(api, "embedding", **wanted)
    coordinator = Coordinator(store, owner="one")
    for _ in range(30):
        coordinator.round()
        Worker("w1", SqlVerbs(store), {"embedding": TASKS["embedding"]}, timing=AT_ONCE).work()
        if get_study(store, "mine").state in ("done", "failed"):
            break

    trials = list_trials(store, "mine").items
    answer = stored_answer(store, "mine")
    assert submitted.status_code == 201
    assert get_study(store, "mine").state == "done"
    assert [trial.origin for trial in trials[:2]] == ["baseline:sparse-adam-constant", "baseline:adagrad-constant"]
    assert {trial.state for trial in trials} <= {"complete", "pruned"}
    assert {trial.candidate.optimizer.kind for trial in trials if trial.candidate} <= {"sgd", "adagrad", "sparse_adam"}
    assert answer is not None
    baselines = [arm for arm in answer.evidence.arms if arm.role == "baseline"]
    assert [(arm.name, arm.n) for arm in baselines] == [("sparse-adam-constant", 2), ("adagrad-constant", 2)]
