"""What routes are given: the store and the verbs on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, cast

from fastapi import Depends, Path, Query, Request

from store import Store
from store.tokens import Key
from store.verbs import SqlVerbs

from .insights import Insights
from .keyring import Keyring
from .pages.kept import KeptPages
from .settings import Settings
from .supervision import Supervised

# These only look something up, so they are coroutines: a plain function would be called in a thread, at the cost of
# two switches in every request.


async def _store(request: Request) -> Store:
    return cast(Store, request.app.state.store)


async def _verbs(request: Request) -> SqlVerbs:
    return cast(SqlVerbs, request.app.state.verbs)


async def _insights(request: Request) -> Insights:
    return cast(Insights, request.app.state.insights)


async def _pages(request: Request) -> KeptPages:
    return cast(KeptPages, request.app.state.pages)


async def _keyring(request: Request) -> Keyring:
    return cast(Keyring, request.app.state.keyring)


async def _settings(request: Request) -> Settings:
    return cast(Settings, request.app.state.settings)


async def _key(request: Request) -> Key | None:
    return cast(Key | None, request.state.key)


async def _nudge(request: Request) -> Callable[[], None]:
    coordinator = cast(Supervised | None, request.app.state.coordinator)
    return coordinator.nudge if coordinator is not None else _nobody


def _nobody() -> None:
    """A coordinator that is not kept by this process looks by itself."""


StoreOf = Annotated[Store, Depends(_store)]
InsightsOf = Annotated[Insights, Depends(_insights)]
PagesOf = Annotated[KeptPages, Depends(_pages)]
VerbsOf = Annotated[SqlVerbs, Depends(_verbs)]
KeyringOf = Annotated[Keyring, Depends(_keyring)]
SettingsOf = Annotated[Settings, Depends(_settings)]
KeyOf = Annotated[Key | None, Depends(_key)]
"""The token that the request shows; None where the service asks for none."""
Nudge = Annotated[Callable[[], None], Depends(_nudge)]
"""Tells the coordinator that there is something to do."""
StudyName = Annotated[str, Path(description="Name of the study", max_length=80)]
Number = Annotated[int, Path(ge=0, le=2**31 - 1, description="Number of the trial in its Optuna study")]
Limit = Annotated[int, Query(ge=1, le=500, description="Items of a page")]
Cursor = Annotated[str | None, Query(description="next_cursor of the page before")]
StepsQuery = Annotated[
    int | None, Query(ge=1, le=1_000_000, description="Redraw for so many steps; default: the study's horizon")
]

_PROBLEM = {
    "application/problem+json": {
        "schema": {
            "type": "object",
            "required": ["type", "title", "status", "code", "detail"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "code": {"type": "string"},
                "detail": {"type": "string"},
                "field": {"type": "string"},
                "request_id": {"type": "string"},
            },
        }
    }
}
_RETRY_AFTER = {"description": "Seconds to wait, with 429 and 503", "schema": {"type": "integer"}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "A problem (RFC 9457) with a stable `code`; `field` names what it is about",
        "content": _PROBLEM,
        "headers": {
            "Retry-After": _RETRY_AFTER,
            "WWW-Authenticate": {"description": "With 401 and 403: what is needed", "schema": {"type": "string"}},
        },
    },
    "5XX": {
        "description": "A problem: the store is away (503, worth trying again), or a defect (500)",
        "content": _PROBLEM,
        "headers": {"Retry-After": _RETRY_AFTER},
    },
}
