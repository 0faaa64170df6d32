"""A training loop of somebody's own: trials leased over HTTP, reported, and ended whatever happens to the loop."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from etude import Client, keeping, leaving
from etude.ask import LeasedTrials
from etude.errors import InvalidSpec, ServiceUnreachable, TrialLeftOpen
from search_spaces.results import TrialView
from store import Store, open_store
from store.studies import change_state
from tests.integration.service_http import serving
from tests.machine import ROOT
from tests.studies import OFFER, add_proposals, run_study

HORIZON = OFFER.horizon.steps


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module, name, value in (
        (keeping, "FIRST_PAUSE_SECONDS", 0.01), (keeping, "LOOK_SECONDS", 0.01), (keeping, "DROPPED_SECONDS", 0.02),
        (leaving, "EXIT_SECONDS", 5.0),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr("sys.excepthook", lambda *_: None)
    yield
    leaving.settle_all()


@pytest.fixture
def store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(sqlite_template, tmp_path / "etude.db")
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    run_study(opened, pruner={"kind": "none"})
    add_proposals(opened, count=10)
    yield opened
    opened.close()


class Wire(httpx.HTTPTransport):
    """The way to the service, which a test can cut."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = threading.Event()
        self.sent: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.cut.is_set():
            raise httpx.ConnectError("cut")
        self.sent.append(f"{request.method} {request.url.path}")
        return super().handle_request(request)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def client(store: Store, wire: Wire) -> Iterator[Client]:
    with serving(store) as http, Client(str(http.base_url), transport=wire, attempts=1) as client:
        yield client


def trials(client: Client) -> list[TrialView]:
    return list(client.trials("mine"))


def until(client: Client, state: str, number: int = 0) -> TrialView:
    """The trial, once it is in that state."""
    give_up = time.monotonic() + 20
    while (trial := client.trial("mine", number)).state != state:
        assert time.monotonic() < give_up, trial
    return trial


def test_a_report_at_the_horizon_completes_a_trial(client: Client) -> None:
    """The loop goes from trial to trial; each has its reports, its value and its worker's name and time."""
    for trial in client.study("mine").lease_trials(limit=2, worker="mine-1"):
        told = [trial.report(step, 1.0 / step) for step in (10, 50, HORIZON)]
        assert told == [False, False, True]

    first, second = trials(client)
    assert [(one.state, one.value, one.steps_done) for one in (first, second)] == [("complete", 0.01, HORIZON)] * 2
    assert first.worker == "mine-1"
    assert first.worker_seconds > 0
    assert [report.step for report in client.trial("mine", 0).curve or []] == [10, 50, HORIZON]


def test_the_loop_ends_with_the_study(client: Client, store: Store) -> None:
    """A trial of a study that is stopped is to stop, and there is no next one."""
    seen = []
    for trial in client.study("mine").lease_trials():
        seen.append(trial.number)
        change_state(store, "mine", "stopped")
        assert trial.report(10, 0.5)

    assert seen == [0]
    assert trials(client)[0].state == "stopped"


def test_a_study_whose_rungs_a_loop_cannot_show_is_refused_to_it(client: Client, store: Store) -> None:
    """Branches and shorter schedules are trained by our workers alone: the loop is told before it has a trial."""
    run_study(store, "branched", pruner={"fidelity": "cooldown"})
    add_proposals(store, "branched", count=1)

    with pytest.raises(InvalidSpec, match="compares trials by cooldown"):
        next(iter(client.study("branched").lease_trials()))

    assert client.study("branched").view().counts.leased == 0


def test_a_pruned_trial_is_to_stop(client: Client, store: Store) -> None:
    """The answer to a report at a rung says so, and further reports are not sent."""
    change_state(store, "mine", "stopped")
    run_study(store, "pruned", pruner={"kind": "median", "rungs": [0.1], "run_on": 0.0})
    add_proposals(store, "pruned", count=8)

    stopped = []
    for number, trial in enumerate(client.study("pruned").lease_trials(limit=8)):
        stopped.append(trial.report(10, float(number)))
        if not stopped[-1]:
            trial.complete(float(number))

    states = [trial.state for trial in client.trials("pruned")]
    assert True in stopped
    assert [state == "pruned" for state in states] == stopped


def test_a_value_that_is_no_number_fails_the_trial_as_diverged(client: Client) -> None:
    """As with workers of ours."""
    for trial in client.study("mine").lease_trials(limit=1):
        assert trial.report(10, math.nan)

    assert (trials(client)[0].state, trials(client)[0].error) == ("failed", "diverged")


def test_an_exception_in_the_block_fails_the_trial_with_its_traceback(client: Client) -> None:
    """It goes on to the caller; with `catch` the loop goes on to the next trial."""

    def divide() -> None:
        for trial in client.study("mine").lease_trials():
            with trial:
                trial.report(10, 1 / 0)

    with pytest.raises(ZeroDivisionError):
        divide()
    for trial in client.study("mine").lease_trials(limit=2, catch=(ZeroDivisionError,)):
        with trial:
            trial.complete(1 / (trial.number - 1))

    states = [trial.state for trial in trials(client)]
    assert states == ["failed", "failed", "complete"]
    assert "trial.report(10, 1 / 0)\n" in (trials(client)[0].error or "")


def test_ctrl_c_in_the_block_gives_the_trial_back(client: Client) -> None:
    """No attempt is counted, and the next to ask has it."""

    def interrupt() -> None:
        for trial in client.study("mine").lease_trials():
            with trial:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()

    given = trials(client)[0]
    assert (given.state, given.attempts) == ("proposed", 0)


def test_an_exception_that_ends_the_program_fails_the_trial(client: Client) -> None:
    """A plain loop needs no block: the hook for uncaught exceptions knows, and others still see them."""
    shown: list[BaseException] = []
    sys.excepthook = lambda _kind, error, _trace: shown.append(error)
    try:
        for trial in client.study("mine").lease_trials():
            trial.report(10, {}["absent"])
    except KeyError as error:
        sys.excepthook(type(error), error, error.__traceback__)

    failed = trials(client)[0]
    assert failed.state == "failed"
    assert '{}["absent"]' in (failed.error or "")
    assert isinstance(shown[0], KeyError)


ENDS = {
    "raise ValueError('no such file')": (1, "failed", "ValueError: no such file"),
    "signal.raise_signal(signal.SIGINT)": (-2, "proposed", None),
    "sys.exit(3)": (3, "proposed", None),
}
PROGRAM = """
import signal, sys
from etude import Client
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background lets it be ignored
for trial in Client({url!r}).study("mine").lease_trials():
    trial.report(10, 0.5)
    {end}
"""


@pytest.mark.parametrize("end", ENDS)
def test_a_program_that_ends_in_a_trial_settles_it(client: Client, end: str) -> None:
    """By itself and as a real process: an exception fails the trial, Ctrl-C and exit give it back; status as ever."""
    program = PROGRAM.format(url=client.url, end=end)

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    status, state, words = ENDS[end]
    trial = trials(client)[0]
    assert done.returncode in (status, 130 if status == -2 else status), done.stderr
    assert (trial.state, trial.attempts) == (state, 0)
    assert words is None or words in (trial.error or "")


def test_a_loop_that_is_left_gives_its_trial_back(client: Client) -> None:
    """`break` in the middle of a trial is no end of it."""
    for trial in client.study("mine").lease_trials():
        trial.report(10, 0.5)
        break

    assert until(client, "proposed").attempts == 0


def test_a_trial_left_open_is_given_back_and_said(client: Client) -> None:
    """A loop that forgets to report at the horizon would else spend the budget on nothing."""
    loop = client.study("mine").lease_trials()
    next(loop).report(50, 0.5)

    with pytest.raises(TrialLeftOpen, match="report at step 50 of 100"):
        next(loop)

    assert until(client, "proposed").attempts == 0


def test_reports_are_kept_through_an_outage_and_none_is_lost(client: Client, wire: Wire) -> None:
    """Training goes on meanwhile; what was kept arrives by itself once the service is back."""
    for trial in client.study("mine").lease_trials(limit=1):
        trial.report(10, 0.9)
        wire.cut.set()
        assert [trial.report(step, 0.8) for step in (20, 30, 40)] == [False, False, False]
        wire.cut.clear()
        give_up = time.monotonic() + 20
        while len(client.trial("mine", 0).curve or []) < 4:
            assert time.monotonic() < give_up
        wire.cut.set()
        trial.report(HORIZON, 0.1)
        threading.Timer(0.1, wire.cut.clear).start()

    complete = client.trial("mine", 0)
    assert (complete.state, complete.value) == ("complete", 0.1)
    assert [report.step for report in complete.curve or []] == [10, 20, 30, 40, HORIZON]


def test_patience_with_an_outage_ends(client: Client, wire: Wire) -> None:
    """A loop whose service is gone for good ends with an error, not never."""
    loop = client.study("mine").lease_trials(patience_seconds=0.05)
    next(loop).complete(0.5)
    wire.cut.set()

    with pytest.raises(ServiceUnreachable):
        next(loop)

    wire.cut.clear()
    loop.close()


def test_a_silent_trial_keeps_its_lease(client: Client, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is renewed in the background while an epoch takes longer than it lasts."""
    monkeypatch.setattr(keeping, "LONGEST_LEASE_SECONDS", 0.06)

    for trial in client.study("mine").lease_trials(limit=1):
        give_up = time.monotonic() + 20
        while wire.sent.count("POST /v1/work/renew") < 3:
            assert time.monotonic() < give_up
        trial.complete(0.5)

    assert trials(client)[0].state == "complete"


def test_a_lost_lease_stops_the_training(client: Client, store: Store) -> None:
    """What is no longer ours is dropped, and the loop goes on."""
    loop = client.study("mine").lease_trials(limit=2)
    trial = next(loop)
    with store.begin() as connection:
        connection.exec_driver_sql("UPDATE etude_proposals SET lease = 'another' WHERE number = 0")

    assert trial.report(10, 0.5)
    assert next(loop).number == 1
    loop.close()


def test_a_lost_answer_to_a_claim_is_asked_for_again(client: Client, wire: Wire) -> None:
    """The same claim gets the same trial: none is forgotten until its lease expires."""
    ask, lost = wire.handle_request, [True]

    def lossy(request: httpx.Request) -> httpx.Response:
        answer = ask(request)
        if lost and request.method == "POST" and request.url.path.endswith("/trials"):
            lost.pop()
            answer.close()
            raise httpx.ReadError("answer lost")
        return answer

    wire.handle_request = lossy  # type: ignore[method-assign]

    numbers = []
    for trial in LeasedTrials(client, "mine", limit=2, sleep=lambda _: None):
        numbers.append(trial.number)
        trial.complete(0.5)

    assert numbers == [0, 1]
    assert lost == []


def test_without_torch_building_says_what_to_install(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what does without."""
    monkeypatch.delitem(sys.modules, "etude.torch", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    for trial in client.study("mine").lease_trials(limit=1):
        with pytest.raises(ImportError, match=r"pip install torch; learning_rates\(\) does without"):
            trial.build([])
        trial.release()


def test_a_trial_builds_its_optimizer_and_follows_its_candidate(client: Client) -> None:
    """The same as the worker's: the LR of every update, without and with torch."""
    torch = pytest.importorskip("torch")
    for trial in client.study("mine").lease_trials(limit=1):
        try:
            optimizer, scheduler = trial.build([torch.nn.Parameter(torch.zeros(2))], HORIZON, evaluations=2)
            lr = trial.learning_rates()
        except Exception:
            trial.release()
            raise
        assert len(lr) == trial.horizon_steps
        assert optimizer.param_groups[0]["lr"] == pytest.approx(lr[0])
        assert scheduler.total_steps == HORIZON
        with pytest.raises(InvalidSpec, match="77 updates"):
            trial.build([torch.nn.Parameter(torch.zeros(2))], 77)
        trial.complete(0.5, {"accuracy": 0.75})

    assert trials(client)[0].metrics == {"accuracy": 0.75}
