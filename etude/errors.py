"""Everything that the library raises, under one roof.

    Problem                     what the service answered, in its words: `detail`, `field`, `code`, `status`
    ├── InvalidSpec             the spec holds something that cannot be meant; `field` says where
    │   └── HorizonTooShort     `least_steps` says what would do
    ├── NotAvailable            a task's data are not at hand
    ├── NotFound
    ├── Conflict
    │   ├── NameTaken
    │   ├── LeaseLost
    │   └── LeasesInFlight
    ├── Unauthorized            the service needs a token, and knows none like this
    ├── Forbidden               the token has not the scope for this
    ├── MethodNotAllowed
    ├── TooLarge
    ├── TooManyRequests         `retry_after_seconds` says when to come again
    ├── Unsupported
    ├── StoreUnavailable        worth trying again
    ├── NotReady
    └── InternalError
    ConnectionError
    └── ServiceUnreachable      nobody answers; worth trying again
    ValueError
    └── WrongSetting            an ETUDE_ variable, or the token's file
    RuntimeError
    └── TrialLeftOpen           a loop of yours went on to the next trial without ending this one

A code that this version does not know is raised as the plain `Problem`.
"""

from __future__ import annotations

from search_spaces.problems import (
    Conflict,
    Forbidden,
    HorizonTooShort,
    InternalError,
    InvalidSpec,
    LeaseLost,
    LeasesInFlight,
    MethodNotAllowed,
    NameTaken,
    NotAvailable,
    NotFound,
    NotReady,
    Problem,
    StoreUnavailable,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unsupported,
)

from .settings import WrongSetting

__all__ = [
    "Conflict",
    "Forbidden",
    "HorizonTooShort",
    "InternalError",
    "InvalidSpec",
    "LeaseLost",
    "LeasesInFlight",
    "MethodNotAllowed",
    "NameTaken",
    "NotAvailable",
    "NotFound",
    "NotReady",
    "Problem",
    "ServiceUnreachable",
    "StoreUnavailable",
    "TooLarge",
    "TooManyRequests",
    "TrialLeftOpen",
    "Unauthorized",
    "Unsupported",
    "WrongSetting",
]


class ServiceUnreachable(ConnectionError):
    """No Étude service answers at the address; `etude up` starts one, ETUDE_URL names another."""


class TrialLeftOpen(RuntimeError):
    """A loop over `lease_trials()` went on to the next trial, and this one was neither trained to its end nor ended."""
