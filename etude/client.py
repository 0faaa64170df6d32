"""The Python client: submit a study, watch it, take its answer.

>>> from etude import Client
>>> Client("http://127.0.0.1:8000").url
'http://127.0.0.1:8000'
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel

from search_spaces.problems import NotFound

from .http import Http, SharedTransport
from .pages import Pages, TrialPages
from .plain import plain, plain_fields
from .settings import checked_url, default_url
from .studies import Study
from .tokens import find_token

if TYPE_CHECKING:
    import httpx
    from matplotlib.axes import Axes

    from search_spaces.export import Framework
    from search_spaces.history import HistoryItem, HistoryView, PastTrial
    from search_spaces.insight import Insight
    from search_spaces.plan import StudyPlan
    from search_spaces.results import StudyState, StudyView, TrialState, TrialView, WorkerView
    from search_spaces.study import StudySpec
    from search_spaces.work import ClaimAnswer, Purpose

    from .events import Event, Follower
    from .plots import Drawn
    from .recurrences import Recurrences
    from .saved import KeepableAnswer
    from .token_list import Tokens
    from .work import HttpVerbs

    Spec = StudySpec | Mapping[str, Any]

# The models of what the service answers are loaded with the first answer: they take longer than all the rest.


class Client:
    """A service of Étude, by its address.

    Args:
        url: where the service is; default: ETUDE_URL, else ETUDE_HOST and ETUDE_PORT (http://127.0.0.1:8000).
        token: for a service that asks for one; default: ETUDE_TOKEN, else the file that ETUDE_TOKEN_FILE names, else
            ~/.config/etude/token. Only its owner may be able to read the file (mode 0600).
        transport: httpx transport to use instead of the network, as in tests.
        timeout: seconds that one answer may take.
        attempts: how often a call that may be repeated is tried; six take about three seconds.

    Every method raises the `etude.Problem` that the service answers with, in its words (`etude.errors` has one class a
    code), and `etude.ServiceUnreachable` where nobody answers. Connection losses and 5xx are retried with backoff
    first, where sending a call twice does what sending it once does. A client may be shared between threads.

    Raises:
        WrongSetting: the address is none, the token's file can be read by others, or an ETUDE_ variable means nothing.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        timeout: float = 30.0,
        attempts: int = 6,
    ) -> None:
        self._token = find_token(token, os.environ)
        self._transport = transport
        self._http = Http(
            checked_url(url or default_url(os.environ)),
            self._token,
            transport=transport,
            timeout=timeout,
            attempts=attempts,
        )

    @property
    def url(self) -> str:
        """Address of the service."""
        return self._http.url

    @property
    def tokens(self) -> Tokens:
        """The service's tokens: made, listed and revoked by admins."""
        from .token_list import Tokens

        return Tokens(self._http)

    @property
    def recurrences(self) -> Recurrences:
        """Searches that repeat: create, list, change, their nights."""
        from .recurrences import Recurrences

        return Recurrences(self._http)

    def submit(self, spec: Spec | None = None, *, idempotency_key: str | None = None, **fields: Any) -> Study:
        """Submit a study: a spec, or its fields by name, which also override those of a spec.

        Two shorthands: `task` may be a name alone, and `trials` stands for `budget.trials`. The service judges
        the spec, so that an older client does not refuse what a newer service knows.

        Raises:
            InvalidSpec: the spec is refused; `field` says where.
            NameTaken: another study has the name.
        """
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        answer = self._http.call("POST", "/v1/studies", json=spec_fields(spec, **fields), headers=headers)
        return Study(self, answer.json()["name"])

    def plan(self, spec: Spec | None = None, *, step_seconds: float | None = None, **fields: Any) -> StudyPlan:
        """Return what the study would do and cost, without submitting it: horizon, space, trainings, seconds, warnings.

        The seconds go by past trials of the task, or by `step_seconds`: a worker's for one update, where you know them.
        `etude.measuring.measure` trains a short trial to find them.

        Raises:
            InvalidSpec: the spec would be refused; `field` says where.
            NameTaken: another study has the name.
        """
        from search_spaces.plan import StudyPlan

        params = {"dry_run": "true"} | ({} if step_seconds is None else {"step_seconds": repr(step_seconds)})
        answer = self._http.call("POST", "/v1/studies", json=spec_fields(spec, **fields), params=params)
        return StudyPlan.model_validate(answer.json())

    def study(self, name: str) -> Study:
        """Return the study `name`, which has to exist.

        Raises:
            NotFound: there is none.
        """
        return Study(self, self.get(name).name)

    def get(self, name: str) -> StudyView:
        """Return the study as it is now: state, budget, counts, best search score.

        Raises:
            NotFound: there is none.
        """
        return _study_view(self._http.call("GET", _path(name)))

    view = get
    """The name of `get` in 0.1."""

    def best(self, name: str) -> KeepableAnswer:
        """Return the answer, or as much of it as there is; its `save` keeps it in a file that `etude.load` reads."""
        from .saved import KeepableAnswer

        return KeepableAnswer.model_validate(self._http.call("GET", _path(name, "best")).json())

    def importance(self, name: str) -> Insight:
        """Return what the search has taught: importance, families, the metric against the LR, what was pruned."""
        from search_spaces.insight import Insight

        return Insight.model_validate(self._http.call("GET", _path(name, "importance")).json())

    def curve(self, name: str, *, steps: int | None = None) -> list[float]:
        """Return the answer's LR of every update, at the study's horizon or redrawn for `steps` updates."""
        params = {} if steps is None else {"steps": steps}
        lr: list[float] = self._http.call("GET", _path(name, "best/curve"), params=params).json()["lr"]
        return lr

    def code(self, name: str, framework: Framework = "pytorch", *, steps: int | None = None) -> str:
        """Return the answer as Python text for a framework, at the study's horizon or for `steps` updates."""
        params = {"framework": framework} | ({} if steps is None else {"steps": str(steps)})
        return self._http.call("GET", _path(name, "best/code"), params=params).text

    def curve_svg(self, name: str, *, steps: int | None = None) -> bytes:
        """Return the answer's LR curve as an SVG picture, at the study's horizon or redrawn for `steps` updates."""
        params = {} if steps is None else {"steps": steps}
        return self._http.call("GET", _path(name, "best/curve.svg"), params=params).content

    def trials(self, name: str, *, state: TrialState | None = None, purpose: Purpose | None = None) -> TrialPages:
        """Return the study's trials, read page by page as one goes through them, by number.

        With the purpose `confirmation` they are those of the confirmation. `.to_dataframe()` makes a table of them.
        """
        return TrialPages(self._http, _path(name, "trials"), {"state": state, "purpose": purpose})

    def trial(self, name: str, number: int) -> TrialView:
        """Return one trial with its curve of reports and the LR of every update."""
        from search_spaces.results import TrialView

        return TrialView.model_validate(self._http.call("GET", _path(name, f"trials/{number}")).json())

    def workers(self) -> Pages[WorkerView]:
        """Return the workers that the service knows, live or not."""
        from search_spaces.results import WorkerView

        return Pages(self._http, "/v1/workers", WorkerView)

    def events(self, name: str, *, position: str | None = None) -> Iterator[Event]:
        """Follow a study: an event for each change of it or of a trial, until it has ended.

        It begins with every open trial and the study as they are; from the position "0.0" also with every trial that
        has ended. An event may come twice, since each holds the whole study or trial. An outage of up to a minute is
        waited through.

        Raises:
            NotFound: there is no such study.
            ServiceUnreachable: nobody has answered for a minute.
        """
        from .events import Event

        changes = self.follower(name, position=position).follow()
        return (change for change in changes if isinstance(change, Event))

    def follower(self, name: str, *, position: str | None = None) -> Follower:
        """Return what `events` goes by, which also tells of outages and knows its position."""
        from .events import Follower

        return Follower(self._http, name, position=position)

    def wait(self, name: str, *, progress: bool = True, timeout: float | None = None) -> KeepableAnswer:
        """Wait until the study has ended (done, stopped or failed) and return its answer.

        With `progress` a live bar is drawn in a terminal and in a notebook, else plain lines, both on stderr: trials
        complete, pruned and running, best search score, time left. An outage of up to a minute is waited through.

        Raises:
            TimeoutError: the study has not ended within `timeout` seconds; it goes on.
        """
        from .waiting import wait_for_end

        wait_for_end(self, name, progress=progress, timeout=timeout)
        return self.best(name)

    def add_history(self, name: str, trials: Sequence[PastTrial | Mapping[str, Any]]) -> list[HistoryItem]:
        """Send past trials to a running study; return what became of each, and why, in order.

        Those of the same task and horizon the sampler learns from, others are tried first. Sending them again changes
        nothing. `etude.history` reads them from a CSV file or an Optuna study.

        Raises:
            InvalidSpec: one of them is no past trial; `field` says where.
            Conflict: the study searches no more, or not yet.
        """
        from search_spaces.history import HistoryAnswer

        wish = {"trials": [plain(trial) for trial in trials]}
        return HistoryAnswer.model_validate(self._http.call("POST", _path(name, "history"), json=wish).json()).items

    def history(self, name: str) -> Pages[HistoryView]:
        """Return the past trials that the study was sent and has kept, page by page, in that order."""
        from search_spaces.history import HistoryView

        return Pages(self._http, _path(name, "history"), HistoryView)

    def ask(self, name: str, *, worker: str, claim_id: str) -> ClaimAnswer:
        """Lease one trial of a study, if there is one; `Study.lease_trials` does it all.

        The same `claim_id` of the same `worker` gets the same trial again.
        """
        from search_spaces.work import ClaimAnswer

        wish = {"count": 1, "worker": worker, "claim_id": claim_id}
        return ClaimAnswer.model_validate(self._http.call("POST", _path(name, "trials"), json=wish).json())

    def verbs(self) -> HttpVerbs:
        """Return the verbs of a worker at this service, on connections of their own."""
        from .work import HttpVerbs

        shared = None if self._transport is None else SharedTransport(self._transport)
        return HttpVerbs(self.url, self._token, transport=shared)

    def pause(self, name: str) -> StudyView:
        """Propose and lease nothing new; trials under way go on."""
        return self._set_state(name, "paused")

    def resume(self, name: str) -> StudyView:
        """Go on with a paused study."""
        return self._set_state(name, "running")

    def stop(self, name: str) -> StudyView:
        """End the study now; what it has found stays."""
        return self._set_state(name, "stopped")

    def delete(self, name: str, *, keep_answer: bool = False) -> None:
        """Remove the study with its trials; with `keep_answer`, `best` goes on answering.

        Raises:
            LeasesInFlight: workers are still at it; stop it first.
        """
        params = {"keep_answer": "true"} if keep_answer else {}
        # Not repeated: a second DELETE after a lost answer would report the success as "not found".
        self._http.call("DELETE", _path(name), repeatable=False, params=params)

    def preview(self, schedule: BaseModel | Mapping[str, Any], initial_lr: float, total_steps: int) -> list[float]:
        """Return the LR of each of `total_steps` updates under `schedule`, before anything is trained."""
        wish = {"schedule": plain(schedule), "initial_lr": initial_lr, "total_steps": total_steps}
        lr: list[float] = self._http.call("POST", "/v1/schedules/preview", json=wish).json()["lr"]
        return lr

    def plot_schedule(
        self, drawn: Drawn, total_steps: int | None = None, *, initial_lr: float | None = None, ax: Axes | None = None
    ) -> Axes:
        """Draw the LR over the updates, with matplotlib.

        Args:
            drawn: a study's name, which means its answer; an answer, a candidate or a trial; or a schedule, as itself
                or as its JSON.
            total_steps: T, the updates to draw it for; default: the study's horizon.
            initial_lr: for a schedule, what its factors are multiplied with; default: 1.
            ax: where to draw; default: a new figure.

        Raises:
            InvalidSpec: there is nothing to draw in it, or the number of updates is not known.
        """
        from .plots import plot_schedule

        return plot_schedule(self, drawn, total_steps, initial_lr=initial_lr, ax=ax)

    def plot_curves(
        self, name: str, *, trials: Sequence[int] | None = None, most: int = 20, ax: Axes | None = None
    ) -> Axes:
        """Draw the reports of a study's trials over the updates, with matplotlib; each trial is one call.

        Args:
            name: the study.
            trials: the numbers of those to draw; default: the `most` best complete ones.
            most: how many, where none are named.
            ax: where to draw; default: a new figure.
        """
        from .plots import plot_curves

        return plot_curves(self, name, trials=trials, most=most, ax=ax)

    def list(self, *, state: StudyState | None = None, tag: str | None = None) -> Pages[StudyView]:
        """Return the studies, read page by page as one goes through them, latest first."""
        from search_spaces.results import StudyView

        return Pages(self._http, "/v1/studies", StudyView, {"state": state, "tag": tag})

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _set_state(self, name: str, state: Literal["paused", "running", "stopped"]) -> StudyView:
        return _study_view(self._http.call("PATCH", _path(name), json={"state": state}))


def spec_fields(spec: Spec | None = None, **fields: Any) -> dict[str, Any]:
    """Lay `fields` over `spec` as the JSON that the service reads; shorthands are written out.

    >>> spec_fields(name="first", task="digits-noisy", trials=8)
    {'name': 'first', 'task': {'name': 'digits-noisy'}, 'budget': {'trials': 8}}
    """
    body = plain_fields(spec or {}, fields)
    if isinstance(body.get("task"), str):
        body["task"] = {"name": body["task"]}
    if "trials" in body:
        body["budget"] = {**body.get("budget", {}), "trials": body.pop("trials")}
    return body


def _study_view(response: httpx.Response) -> StudyView:
    from search_spaces.results import StudyView

    return StudyView.model_validate(response.json())


def _path(name: str, rest: str = "") -> str:
    if not name:  # such as an unset variable of a shell: the address would be that of all studies
        raise NotFound("no study has an empty name", field="name")
    return f"/v1/studies/{quote(name, safe='')}" + (f"/{rest}" if rest else "")
