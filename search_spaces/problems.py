"""What can go wrong, by name: the error tree and its stable codes.

    Problem
    ├── InvalidSpec             422 invalid_spec           field says where
    │   └── HorizonTooShort     422 horizon_too_short      least_steps says what would do
    ├── NotAvailable            422 not_available          a task's data are not at hand
    ├── NotFound                404 not_found
    ├── Conflict                409 conflict
    │   ├── NameTaken           409 name_taken
    │   ├── LeaseLost           409 lease_lost
    │   └── LeasesInFlight      409 leases_in_flight
    ├── Unauthorized            401 unauthorized           no token, or none that is known
    ├── Forbidden               403 forbidden              the token may not do this
    ├── MethodNotAllowed        405 method_not_allowed
    ├── TooLarge                413 too_large
    ├── TooManyRequests         429 too_many_requests      retry_after_seconds says when
    ├── Unsupported             501 unsupported
    ├── StoreUnavailable        503 store_unavailable      worth trying again
    ├── NotReady                503 not_ready              a part that the service keeps is down
    └── InternalError           500 internal_error

Store and search_spaces raise them, the service writes them as RFC 9457 problem+json, the client raises the
same class again: `PROBLEMS` is the one table between code and class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar


class Problem(Exception):
    """Something that Étude refuses or cannot do."""

    code: ClassVar[str] = "problem"
    status: ClassVar[int] = 500

    def __init__(self, detail: str = "", *, field: str | None = None, **extra: Any) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.field = field
        self.extra = extra
        super().__init__(f"{field}: {self.detail}" if field else self.detail)

    @property
    def request_id(self) -> str | None:
        """Under which the service's log tells more; None where no service has answered."""
        return self.extra.get("request_id")

    def document(self) -> dict[str, Any]:
        """Return the RFC 9457 problem details of this error."""
        body: dict[str, Any] = {
            "type": f"about:blank#{self.code}",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.field is not None:
            body["field"] = self.field
        return body | self.extra


class InvalidSpec(Problem):
    """A spec holds something that cannot be meant."""

    code = "invalid_spec"
    status = 422


class HorizonTooShort(InvalidSpec):
    """The horizon has too few steps for what the schedule asks."""

    code = "horizon_too_short"

    def __init__(self, detail: str = "", *, field: str | None = None, least_steps: int, **extra: Any) -> None:
        super().__init__(detail, field=field, least_steps=least_steps, **extra)
        self.least_steps = least_steps


class NotAvailable(Problem):
    """The task is offered, but what it needs (data, an extra package) is not at hand."""

    code = "not_available"
    status = 422


class NotFound(Problem):
    """There is nothing by this name."""

    code = "not_found"
    status = 404


class Conflict(Problem):
    """The request does not fit the state that the thing is in."""

    code = "conflict"
    status = 409


class NameTaken(Conflict):
    """The name is in use already."""

    code = "name_taken"


class LeaseLost(Conflict):
    """The lease on this trial is no longer the caller's: drop the trial and go on."""

    code = "lease_lost"


class LeasesInFlight(Conflict):
    """Workers hold leases on trials of this study: stop it first, then delete it."""

    code = "leases_in_flight"


class Unauthorized(Problem):
    """This service needs a token, and the request shows none that it knows."""

    code = "unauthorized"
    status = 401


class Forbidden(Problem):
    """The token, or where the request comes from, does not allow it."""

    code = "forbidden"
    status = 403


class MethodNotAllowed(Problem):
    """This address does not know the request's method."""

    code = "method_not_allowed"
    status = 405


class TooLarge(Problem):
    """The request's body, or what it asks for, is larger than the service takes."""

    code = "too_large"
    status = 413


class TooManyRequests(Problem):
    """The token has used up what it may ask for just now; `retry_after_seconds` says when to come again."""

    code = "too_many_requests"
    status = 429

    def __init__(
        self, detail: str = "", *, field: str | None = None, retry_after_seconds: int = 1, **extra: Any
    ) -> None:
        super().__init__(detail, field=field, retry_after_seconds=retry_after_seconds, **extra)
        self.retry_after_seconds = retry_after_seconds


class Unsupported(Problem):
    """What is asked for is not part of this version."""

    code = "unsupported"
    status = 501


class StoreUnavailable(Problem):
    """The store cannot be reached just now; what was acknowledged is safe, and trying again is."""

    code = "store_unavailable"
    status = 503


class NotReady(Problem):
    """The service answers, but a part that it keeps running is down."""

    code = "not_ready"
    status = 503


class InternalError(Problem):
    """A defect of the service; its log has the details under the request's id."""

    code = "internal_error"
    status = 500


def _tree(root: type[Problem]) -> Iterator[type[Problem]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


PROBLEMS: dict[str, type[Problem]] = {problem.code: problem for problem in _tree(Problem)}


def problem_from_document(body: dict[str, Any], status: int) -> Problem:
    """Raise-ready error for a problem+json `body` that a server answered with `status`.

    A code that this version does not know becomes the plain `Problem`, with the server's words.
    """
    kind = PROBLEMS.get(str(body.get("code")), Problem)
    known = {"type", "title", "status", "code", "detail", "field"}
    extra = {key: value for key, value in body.items() if key not in known}
    detail = str(body.get("detail") or body.get("title") or f"HTTP status {status}")
    if kind is HorizonTooShort:
        extra.setdefault("least_steps", 0)
    return kind(detail, field=body.get("field"), **extra)
