"""Stock Optuna and a stock optuna-dashboard that read a store all the while, and what each of their polls must show."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import optuna

from etude.ports import is_listening
from tests.chaos import wait_until
from tests.dying import die_with_parent
from tests.postgres import free_port
from tests.studies import stock_storage

PAUSE_SECONDS = 1.0
RECOVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Seen:
    """A trial as one poll shows it."""

    number: int
    state: str
    value: Any
    params: dict[str, Any]
    rungs: dict[int, Any]
    attributes: dict[str, Any]

    def may_become(self, later: Seen) -> bool:
        """Tell whether a later poll may show `later`: what has ended stands, what runs only gains."""
        if self.state != "RUNNING":
            return _written(later) == _written(self)
        pairs = ((self.params, later.params), (self.rungs, later.rungs), (self.attributes, later.attributes))
        return all(_written({key: now.get(key) for key in then}) == _written(then) for then, now in pairs)


def _written(value: Seen | dict[Any, Any]) -> str:
    """As text, whatever the order in which the rows came: a NaN is not equal to itself."""
    return json.dumps(asdict(value) if isinstance(value, Seen) else value, sort_keys=True, default=str)


@dataclass
class Reader:
    """One way to read the studies again and again; what must never be seen is kept in `faults`."""

    name: str
    faults: list[str] = field(default_factory=list)
    polls: int = 0
    _last: dict[str, list[Seen]] = field(default_factory=dict)

    def see(self, study: str, trials: Sequence[Seen]) -> None:
        """Compare a poll with the one before."""
        before = self._last.get(study, [])
        if [trial.number for trial in trials] != list(range(len(trials))):
            self.faults.append(f"{study}: numbers {[trial.number for trial in trials]}")
        if len(trials) < len(before):
            self.faults.append(f"{study}: {len(before)} trials became {len(trials)}")
        self.faults += [
            f"{study}: {earlier} became {later}"
            for earlier, later in zip(before, trials, strict=False)
            if not earlier.may_become(later)
        ]
        self.faults += [f"{study}: {trial}" for trial in trials if trial.state == "WAITING"]
        self._last[study] = list(trials)

    def shown(self, study: str) -> list[Seen]:
        """What the last poll has shown of a study."""
        return self._last.get(study, [])


class Readers:
    """Three readers: Optuna with a storage kept open, Optuna reading everything anew, and a dashboard's pages."""

    def __init__(self, url: str, dashboard: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._away = threading.Event()
        self.kept, self.anew, self.dashboard = Reader("kept"), Reader("anew"), Reader("dashboard")
        ways: tuple[tuple[Reader, Callable[[ExitStack], Callable[[], None]]], ...] = (
            (self.kept, self._through_kept_storage),
            (self.anew, self._reading_anew),
            (
                self.dashboard,
                lambda opened: self._through_pages(opened.enter_context(httpx.Client(base_url=dashboard))),
            ),
        )
        self._threads = [threading.Thread(target=self._follow, args=way, name=way[0].name) for way in ways]
        for thread in self._threads:
            thread.start()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """While the database is away polls may fail; soon after it is back each reader must have an answer again."""
        self._away.set()
        yield
        polls = {reader.name: reader.polls for reader in self._all()}
        # Two: the poll that is under way may have read before the outage.
        wait_until(lambda: all(reader.polls >= polls[reader.name] + 2 for reader in self._all()), RECOVERY_SECONDS)
        self._away.clear()

    def end(self) -> None:
        """Stop reading."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        gc.collect()  # what a poll that failed has left is this test's, not a later one's

    def see_all(self, study: str, trials: int) -> None:
        """Wait until each reader shows so many trials of the study, all of them ended."""
        for reader in self._all():
            wait_until(lambda reader=reader: self._complete(reader, study, trials), RECOVERY_SECONDS)

    def assert_right(self) -> None:
        """Stop reading; every poll has answered and has shown only what may be shown."""
        self.end()
        assert {reader.name: reader.faults for reader in self._all() if reader.faults} == {}
        assert all(reader.polls >= 3 for reader in self._all())

    @staticmethod
    def _complete(reader: Reader, study: str, trials: int) -> bool:
        shown = reader.shown(study)
        return bool(reader.faults) or (len(shown) == trials and all(trial.state != "RUNNING" for trial in shown))

    def _all(self) -> list[Reader]:
        return [self.kept, self.anew, self.dashboard]

    def _follow(self, reader: Reader, opening: Callable[[ExitStack], Callable[[], None]]) -> None:
        with ExitStack() as opened:
            poll = opening(opened)
            while not self._stop.wait(PAUSE_SECONDS):
                try:
                    poll()
                except Exception as error:  # noqa: BLE001 - whatever a stock reader raises is what the test is about
                    if not self._away.is_set():
                        reader.faults.append(f"{type(error).__name__}: {error}")
                else:
                    reader.polls += 1

    def _through_kept_storage(self, opened: ExitStack) -> Callable[[], None]:
        storage = opened.enter_context(stock_storage(self._url))

        def poll() -> None:
            for name in optuna.get_all_study_names(storage):
                trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
                self.kept.see(name, [_as_seen(trial) for trial in trials])

        return poll

    def _reading_anew(self, _opened: ExitStack) -> Callable[[], None]:
        def poll() -> None:
            with stock_storage(self._url) as storage:
                for name in optuna.get_all_study_names(storage):
                    study = optuna.load_study(study_name=name, storage=storage)
                    trials = study.get_trials(deepcopy=False)
                    self.anew.see(name, [_as_seen(trial) for trial in trials])
                    _look_at_best(study, trials)

        return poll

    def _through_pages(self, client: httpx.Client) -> Callable[[], None]:
        def page(path: str) -> Any:
            return client.get(path, timeout=30).raise_for_status().json()

        def poll() -> None:
            for summary in page("/api/studies")["study_summaries"]:
                shown = page(f"/api/studies/{summary['study_id']}?after=0")
                self.dashboard.see(summary["study_name"], [_as_shown(trial) for trial in shown["trials"]])

        return poll


def _as_seen(trial: optuna.trial.FrozenTrial) -> Seen:
    value = trial.value if trial.state.name == "COMPLETE" else None
    rungs, attributes = dict(trial.intermediate_values), dict(trial.user_attrs)
    return Seen(trial.number, trial.state.name, value, dict(trial.params), rungs, attributes)


def _as_shown(trial: dict[str, Any]) -> Seen:
    params = {param["name"]: param["param_external_value"] for param in trial["params"]}
    rungs = {point["step"]: point["value"] for point in trial["intermediate_values"]}
    attributes = {attribute["key"]: attribute["value"] for attribute in trial["user_attrs"]}
    return Seen(trial["number"], trial["state"].upper(), trial.get("values"), params, rungs, attributes)


def _look_at_best(study: optuna.Study, before: Sequence[optuna.trial.FrozenTrial]) -> None:
    """The best trial is at least as good as the best of a poll before it."""
    known = [trial.value for trial in before if trial.state.name == "COMPLETE" and trial.value is not None]
    if not known:
        return
    best = study.best_trial
    assert best.state.name == "COMPLETE"
    assert best.value is not None
    assert best.value <= min(known)


@contextmanager
def reading(url: str, logs: Path) -> Iterator[Readers]:
    """Read every study of a store with stock Optuna and a stock `optuna-dashboard` until the block ends."""
    port = free_port()
    program = Path(sys.executable).parent / "optuna-dashboard"
    with (logs / "optuna-dashboard.log").open("wb") as log:
        dashboard = subprocess.Popen(
            [str(program), url, "--port", str(port)],
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no Python locks
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: dashboard.poll() is not None or _answers(port), 60)
        readers = Readers(url, address)
        try:
            yield readers
        finally:
            readers.end()
    finally:
        dashboard.kill()
        dashboard.wait()


def _answers(port: int) -> bool:
    if not is_listening(("127.0.0.1", port)):  # a request costs twenty times what a connection does
        return False
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/studies", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False
