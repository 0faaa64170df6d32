"""Checkpoints: whole or not there, kept while useful, in a place that no name leads out of."""

from __future__ import annotations

import logging
import os
import pickle
import resource
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest
import torch

from search_spaces.problems import Unsupported
from search_spaces.work import ClaimedTask, ClaimedTrial
from tests.small_task import CANDIDATE, SmallTask
from workers.checkpoints import KEPT_FOR, Checkpoints
from workers.engine import TrainingState
from workers.training import Training


def claim(number: int = 3, *, study: str = "nightly", checkpoint: str | None = None, lease: str = "a") -> ClaimedTrial:
    """A claimed trial."""
    return ClaimedTrial(
        study=study, number=number, lease=lease, lease_expires_at=datetime.now(UTC), candidate=CANDIDATE,
        task=ClaimedTask(name="nothing", version="1"), horizon_steps=100, rungs=[50], seed=1, checkpoint=checkpoint,
        purpose="search",
    )  # fmt: skip


def state(step: int = 10) -> TrainingState:
    """The state of a training after so many steps."""
    training = Training(SmallTask(), CANDIDATE, horizon_steps=100, seed=1)
    list(training.evaluations(lambda: training.step == step))
    return training.state()


def save(checkpoints: Checkpoints, claimed: ClaimedTrial, step: int = 10) -> str:
    """Save a state, which succeeds."""
    name = checkpoints.save(claimed, state(step))
    assert name is not None
    return name


def names(folder: Path) -> list[str]:
    """Every file there, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=["directory", "fsspec"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A directory that is not there yet, and a store of objects."""
    if request.param == "directory":
        yield str(tmp_path / "not" / "there")
        return
    root = f"/{uuid.uuid4().hex}"
    yield f"memory:/{root}"
    if fsspec.filesystem("memory").exists(root):
        fsspec.filesystem("memory").rm(root, recursive=True)


def test_another_worker_goes_on(place: str) -> None:
    """What one worker saves another reads by the name that the store passes on, to the last bit."""
    name = save(Checkpoints(place), claim())

    loaded = Checkpoints(place).load(claim(checkpoint=name, lease="b"))

    assert loaded is not None
    assert loaded["step"] == 10
    assert loaded["scheduler"] == state()["scheduler"]
    assert all(torch.equal(loaded["model"][key], value) for key, value in state()["model"].items())


def test_a_trial_without_a_checkpoint(place: str, caplog: pytest.LogCaptureFixture) -> None:
    """A first attempt begins at step 0, and there is nothing to say about it."""
    assert Checkpoints(place).load(claim()) is None
    assert not caplog.records


def test_older_files_go_when_the_newer_is_acknowledged(place: str) -> None:
    """Until the store knows the newer file the older one is kept; then it goes, also one of another worker's."""
    older = save(Checkpoints(place), claim())
    claimed = claim(checkpoint=older, lease="b")
    checkpoints = Checkpoints(place)
    newer = save(checkpoints, claimed, step=20)

    assert checkpoints.load(claimed) is not None
    checkpoints.acknowledged(claimed, newer)

    assert checkpoints.load(claimed) is None
    assert checkpoints.load(claim(checkpoint=newer)) is not None


def test_older_files_stay_for_who_goes_on_from_a_copy(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a copy of the store may take its place, a file stays as long as the copy may be old that knows it."""
    now = 0.0
    monkeypatch.setattr("workers.checkpoints.time", SimpleNamespace(monotonic=lambda: now))
    claimed, checkpoints = claim(), Checkpoints(place, kept_seconds=120)
    files = [save(checkpoints, claimed)]

    there = []
    for now in (0.0, 60.0, 120.0):
        files.append(save(checkpoints, claimed, step=20 + int(now)))
        checkpoints.acknowledged(claimed, files[-1])
        there.append([checkpoints.load(claim(checkpoint=file)) is not None for file in files])

    assert there == [[True, True], [True, True, True], [False, True, True, True]]
    checkpoints.ended(claimed)
    assert [checkpoints.load(claim(checkpoint=file)) for file in files] == [None] * 4


def test_files_of_a_trial_that_has_ended(place: str) -> None:
    """All files of the trial go, and no other trial's."""
    first = save(Checkpoints(place), claim())
    checkpoints, claimed = Checkpoints(place), claim(checkpoint=first, lease="b")
    second, other = save(checkpoints, claimed, step=20), save(checkpoints, claim(33))

    checkpoints.ended(claimed)

    assert checkpoints.load(claimed) is None
    assert checkpoints.load(claim(checkpoint=second)) is None
    assert checkpoints.load(claim(33, checkpoint=other)) is not None


def test_a_trial_that_is_left_keeps_its_files(place: str) -> None:
    """A trial given back or lost is another worker's, and so are its files."""
    checkpoints = Checkpoints(place)
    name = save(checkpoints, claim())

    checkpoints.left(claim())
    checkpoints.ended(claim())

    assert Checkpoints(place).load(claim(checkpoint=name)) is not None


def test_two_attempts_never_share_a_file(tmp_path: Path) -> None:
    """A worker that lost its lease without knowing writes beside the new owner's file, and its lease is not told."""
    checkpoints = Checkpoints(str(tmp_path))

    saved = {save(checkpoints, claim(lease=lease)) for lease in ("secret-a", "secret-b")}

    assert set(names(tmp_path)) == saved
    assert len(saved) == 2
    assert not any("secret" in name for name in saved)


@pytest.mark.parametrize("study", ["../up", "/etc", "..", ".hidden", "a/b", "a@b", "a\n", "Ä", "a" * 101, ""])
def test_names_lead_nowhere(study: str, tmp_path: Path) -> None:
    """A study's name that could leave the folder, or be taken for another, is not written under."""
    folder = tmp_path / "inside"

    assert Checkpoints(str(folder)).save(claim(study=study), state()) is None
    assert names(tmp_path) == [] or names(folder) == []


@pytest.mark.parametrize(
    "text", ["../secret.pt", "/etc/passwd", "http://127.0.0.1/x.pt", "nightly@4@10-0123456789ab.pt"]
)
def test_only_files_of_the_trial_are_read(text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What the store passes on may come from anybody: a path, a URL or another trial's file is not opened."""
    assert Checkpoints(str(tmp_path)).load(claim(checkpoint=text)) is None
    assert "no file of this trial" in caplog.text


def test_only_files_of_the_trial_are_deleted(place: str) -> None:
    """A checkpoint that a worker has named of another trial stays, whatever becomes of the one it was named for."""
    other = save(Checkpoints(place), claim(33))
    checkpoints, claimed = Checkpoints(place), claim(checkpoint=other)
    newer = save(checkpoints, claimed, step=20)

    checkpoints.acknowledged(claimed, newer)
    checkpoints.ended(claimed)

    assert Checkpoints(place).load(claim(33, checkpoint=other)) is not None
    assert Checkpoints(place).load(claim(checkpoint=newer)) is None


def test_the_confirmations_files() -> None:
    """The longest name of a study leaves room for its confirmation's, which ends otherwise."""
    checkpoints = Checkpoints("memory://names")

    assert save(checkpoints, claim(study="a" * 64 + ".confirmation")) != save(checkpoints, claim(study="a" * 64))


class Exploit:
    """Executes something when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 half a file", pickle.dumps({"format": 1}), pickle.dumps(Exploit())],
    ids=["empty", "half", "pickle", "exploit"],
)
def test_a_file_that_is_no_state(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is broken, or was made to do harm, is not read: the trial begins again, with a line in the log."""
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints(str(tmp_path / "inside"))
    name = save(checkpoints, claim())
    (tmp_path / "inside" / name).write_bytes(content)

    assert checkpoints.load(claim(checkpoint=name)) is None
    assert "checkpoint_not_read" in caplog.text
    assert names(tmp_path) == ["inside"]


@pytest.mark.parametrize("change", [{"format": 2}, {"further": 1}])
def test_a_file_of_another_format(change: dict[str, int], tmp_path: Path) -> None:
    """A file that a later version wrote is not guessed at."""
    checkpoints = Checkpoints(str(tmp_path))
    name = save(checkpoints, claim())
    torch.save({"format": 1, **state(), **change}, tmp_path / name)

    assert checkpoints.load(claim(checkpoint=name)) is None


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let writing fail at so many bytes, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Saving fails in the middle of a file: no half file stays, the older one serves, and one line says so."""
    checkpoints = Checkpoints(str(tmp_path))
    name = save(checkpoints, claim())
    later = state(20)

    with no_file_beyond(1000):
        failed = [checkpoints.save(claim(number), later) for number in (3, 4, 5)]

    assert failed == [None, None, None]
    assert names(tmp_path) == [name]
    assert checkpoints.load(claim(checkpoint=name)) is not None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "checkpoint_not_saved" in caplog.text
    assert checkpoints.save(claim(), later) is not None


def test_how_often(tmp_path: Path) -> None:
    """At a rung a trial is saved when it has trained for long enough since it began, or was last saved."""
    hourly, always = Checkpoints(str(tmp_path), seconds=3600), Checkpoints(str(tmp_path), seconds=0)
    long_ago = time.monotonic() - 3601

    assert hourly.due(claim(), long_ago)
    assert not hourly.due(claim(), time.monotonic())
    save(hourly, claim())
    assert not hourly.due(claim(), long_ago)
    assert hourly.due(claim(4), long_ago)
    save(always, claim())
    assert always.due(claim(), time.monotonic())


def test_what_was_left_behind(tmp_path: Path) -> None:
    """Files of dead workers, half ones too, go when they are a week old; younger ones and foreign files stay."""
    checkpoints = Checkpoints(str(tmp_path))
    old, young = save(checkpoints, claim(1)), save(checkpoints, claim(2))
    half, foreign = f".{old}.{uuid.uuid4().hex}", "weights.pt"
    for name in (half, foreign):
        (tmp_path / name).write_bytes(b"")
    week_ago = time.time() - KEPT_FOR.total_seconds() - 60
    for name in (old, half, foreign):
        os.utime(tmp_path / name, (week_ago, week_ago))

    saved = save(Checkpoints(str(tmp_path)), claim(3))

    assert set(names(tmp_path)) == {young, foreign, saved}


def test_a_place_that_cannot_be_opened() -> None:
    """A URL of a kind that nobody knows is refused when the worker starts, by the name of its setting."""
    with pytest.raises(Unsupported, match="ETUDE_CHECKPOINTS"):
        Checkpoints("nowhere://bucket/folder")
