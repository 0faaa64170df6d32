"""The five verbs and the heartbeat over HTTP, for workers that may not or should not reach the database."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import quote, urlencode

import httpx

from search_spaces.problems import Problem, StoreUnavailable, TooManyRequests, Unsupported
from search_spaces.work import (
    LARGEST_BODY_BYTES,
    Announcement,
    Backlog,
    ClaimAnswer,
    ClaimRequest,
    FinishRequest,
    ItemAnswer,
    ReleaseRequest,
    RenewRequest,
    ReportRequest,
    VerbAnswer,
)

from .http import Http, ServiceUnreachable
from .portions import Request, portions


class HttpVerbs:
    """`search_spaces.work.Verbs` spoken to a service.

    Each call is tried once: the caller knows how long a trial can wait, and every verb may be repeated. A verb that is
    too long for one request is spoken in several.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        timeout: float = 10.0,
    ) -> None:
        """Speak to the service at `url`; `timeout` in seconds."""
        self._http = Http(url, token, transport=transport, timeout=timeout, attempts=1)

    def announce(self, worker: str, announcement: Announcement) -> None:
        """Store the worker's offer and its sign of life."""
        self._send("PUT", f"/v1/workers/{quote(worker, safe='')}", announcement.model_dump_json().encode())

    def claim(self, request: ClaimRequest) -> ClaimAnswer:
        """Lease proposed trials to the worker."""
        body = request.model_dump_json().encode()
        return ClaimAnswer.model_validate_json(self._send("POST", "/v1/work/claim", body))

    def renew(self, request: RenewRequest) -> VerbAnswer:
        """Prolong leases."""
        return self._speak("renew", request)

    def report(self, request: ReportRequest) -> VerbAnswer:
        """Store reports, settle rungs, decide on pruning, prolong leases."""
        return self._speak("report", request)

    def finish(self, request: FinishRequest) -> VerbAnswer:
        """End trials."""
        return self._speak("finish", request)

    def release(self, request: ReleaseRequest) -> VerbAnswer:
        """Give trials back to be proposed again."""
        return self._speak("release", request)

    def backlog(self, tasks: Collection[str]) -> int:
        """Count the trials that studies of these tasks still want."""
        query = urlencode([("task", name) for name in tasks])
        return Backlog.model_validate_json(self._send("GET", f"/v1/work/backlog?{query}")).trials

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _speak(self, verb: str, request: Request) -> VerbAnswer:
        # pydantic writes the body: NaN and infinities are strings, which httpx's own JSON does not know.
        body = request.model_dump_json().encode()
        if len(body) <= LARGEST_BODY_BYTES:
            return self._ask(verb, body)
        answers: dict[int, ItemAnswer] = {}
        for portion in portions(request, LARGEST_BODY_BYTES):
            answered = self._ask(portion.verb, portion.request.model_dump_json().encode()).items
            for place, answer in zip(portion.places, answered, strict=True):
                given_up = portion.verb == "finish" != verb
                answers[place] = answer.model_copy(update={"directive": "stop"}) if given_up else answer
        return VerbAnswer(items=[answers[place] for place in range(len(request.items))])

    def _ask(self, verb: str, body: bytes) -> VerbAnswer:
        return VerbAnswer.model_validate_json(self._send("POST", f"/v1/work/{verb}", body))

    def _send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send JSON.

        Raises:
            StoreUnavailable: no answer, or one that means that trying again later makes sense.
            Problem: what else the service refused.
        """
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            response = self._http.call(method, path, content=body, headers=headers)
        except ServiceUnreachable as error:
            raise StoreUnavailable(str(error)) from error
        except Problem as problem:
            if _worth_repeating(problem):
                raise StoreUnavailable(problem.detail) from problem
            raise
        return response.content


def _worth_repeating(problem: Problem) -> bool:
    # The plain `Problem` has no code of ours: a gateway in front of the service has answered for it.
    return isinstance(problem, TooManyRequests) or (problem.status >= 500 and not isinstance(problem, Unsupported))
