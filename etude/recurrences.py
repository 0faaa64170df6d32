"""Searches that repeat: `client.recurrences`.

client.recurrences.create(name="nightly", cron="30 2 * * *", zone="Europe/Berlin", template={"task": {"name": "mine"}})
for night in client.recurrences.runs("nightly"):
    print(night.due_at, night.verdict, night.difference)
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .pages import Pages
from .plain import plain_fields

if TYPE_CHECKING:
    from search_spaces.recurrence import RecurrenceSpec, RecurrenceView, RunView

    from .http import Http

PATH = "/v1/recurrences"


class Recurrences:
    """The recurrences of a service: study templates with a cron expression, and their nights.

    Every method raises what the methods of `Client` do.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    def create(self, spec: RecurrenceSpec | Mapping[str, Any] | None = None, **fields: Any) -> RecurrenceView:
        """Keep a recurrence: a spec, or its fields by name, which also override those of a spec.

        The same again changes nothing.

        Raises:
            InvalidSpec: the spec is refused; `field` says where, `template.task` for instance.
            NameTaken: another recurrence has the name.
        """
        return self._view("POST", PATH, json=plain_fields(spec or {}, fields))

    def get(self, name: str) -> RecurrenceView:
        """Return a recurrence: what it says, the schedule in use, when it is due.

        Raises:
            NotFound: there is none.
        """
        return self._view("GET", _path(name))

    def list(self) -> Pages[RecurrenceView]:
        """Return the recurrences by name, read page by page as one goes through them."""
        from search_spaces.recurrence import RecurrenceView

        return Pages(self._http, PATH, RecurrenceView)

    def change(self, name: str, **fields: Any) -> RecurrenceView:
        """Change the fields that are given; None takes away what may be missing. The template is replaced whole.

        Raises:
            InvalidSpec: what would come of it is refused; nothing has changed.
        """
        return self._view("PATCH", _path(name), json=plain_fields({}, fields))

    def pause(self, name: str) -> RecurrenceView:
        """Let it be due no more; a night under way goes on."""
        return self.change(name, paused=True)

    def resume(self, name: str) -> RecurrenceView:
        """Let it be due again, from now on."""
        return self.change(name, paused=False)

    def runs(self, name: str) -> Pages[RunView]:
        """Return its nights, latest first: verdict, candidate, and the gain over the schedule in use."""
        from search_spaces.recurrence import RunView

        return Pages(self._http, _path(name, "runs"), RunView)

    def run_now(self, name: str, *, claim_id: str | None = None) -> RunView:
        """Begin a night now, paused or not; the same `claim_id` gives the same night.

        Raises:
            Conflict: as many nights as may be are under way, or this minute has its night.
        """
        from search_spaces.recurrence import RunView

        wish = {"claim_id": claim_id or str(uuid.uuid4())}
        return RunView.model_validate(self._http.call("POST", _path(name, "runs"), json=wish).json())

    def delete(self, name: str) -> None:
        """Remove a recurrence with the list of its nights; their studies stay."""
        # Not repeated: a second DELETE after a lost answer would report the success as "not found".
        self._http.call("DELETE", _path(name), repeatable=False)

    def _view(self, method: str, path: str, **options: Any) -> RecurrenceView:
        from search_spaces.recurrence import RecurrenceView

        return RecurrenceView.model_validate(self._http.call(method, path, **options).json())


def _path(name: str, rest: str = "") -> str:
    return f"{PATH}/{quote(name, safe='')}" + (f"/{rest}" if rest else "")
