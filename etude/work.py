"""The five verbs and the heartbeat over HTTP, for workers that may not or should not reach the database."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from search_spaces.problems import Problem, StoreUnavailable, Unsupported
from search_spaces.work import (
    Announcement,
    ClaimAnswer,
    ClaimRequest,
    FinishRequest,
    ReleaseRequest,
    RenewRequest,
    ReportRequest,
    VerbAnswer,
)

from .http import Http, ServiceUnreachable

Answer = TypeVar("Answer", bound=BaseModel)


class HttpVerbs:
    """`search_spaces.work.Verbs` spoken to a service.

    Each call is tried once: the caller knows how long a trial can wait, and every verb may be repeated.
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
        self._send("PUT", f"/v1/workers/{quote(worker, safe='')}", announcement)

    def claim(self, request: ClaimRequest) -> ClaimAnswer:
        """Lease proposed trials to the worker."""
        return self._post("claim", request, ClaimAnswer)

    def renew(self, request: RenewRequest) -> VerbAnswer:
        """Prolong leases."""
        return self._post("renew", request, VerbAnswer)

    def report(self, request: ReportRequest) -> VerbAnswer:
        """Store reports, settle rungs, decide on pruning, prolong leases."""
        return self._post("report", request, VerbAnswer)

    def finish(self, request: FinishRequest) -> VerbAnswer:
        """End trials."""
        return self._post("finish", request, VerbAnswer)

    def release(self, request: ReleaseRequest) -> VerbAnswer:
        """Give trials back to be proposed again."""
        return self._post("release", request, VerbAnswer)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _post(self, verb: str, request: BaseModel, answer: type[Answer]) -> Answer:
        return answer.model_validate_json(self._send("POST", f"/v1/work/{verb}", request))

    def _send(self, method: str, path: str, body: BaseModel) -> bytes:
        """Send a model as JSON.

        Raises:
            StoreUnavailable: no answer, or one that means that trying again later makes sense.
            Problem: what else the service refused.
        """
        headers = {"Content-Type": "application/json"}
        try:
            # pydantic writes the body: NaN and infinities are strings, which httpx's own JSON does not know.
            response = self._http.call(method, path, content=body.model_dump_json(), headers=headers)
        except ServiceUnreachable as error:
            raise StoreUnavailable(str(error)) from error
        except Problem as problem:
            if _worth_repeating(problem):
                raise StoreUnavailable(problem.detail) from problem
            raise
        return response.content


def _worth_repeating(problem: Problem) -> bool:
    # The plain `Problem` has no code of ours: a gateway in front of the service has answered for it.
    return problem.status >= 500 and not isinstance(problem, Unsupported)
