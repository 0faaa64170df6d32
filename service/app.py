"""The HTTP application: routes in, store out."""

from __future__ import annotations

from fastapi import Depends, FastAPI

from store import Store
from store.gauges import read_gauges
from store.owning import OWN_SECONDS
from store.verbs import SqlVerbs

from . import problems
from .document import Described, name_of
from .feeds import Feeds
from .guard import Guard
from .heads import Heads
from .insights import Insights
from .keyring import Keyring
from .limits import Rates
from .metrics import Metrics
from .middleware import BodyLimit, Requests, SafeHeaders
from .pages.kept import KeptPages
from .readiness import Readiness
from .routes import (
    best,
    catalogue,
    code,
    events,
    health,
    history,
    importance,
    login,
    pages,
    recurrences,
    studies,
    tokens,
    trials,
    work,
    workers,
)
from .settings import Settings
from .storable import refuse_unstorable
from .supervision import Supervised

DESCRIPTION = """Searches the optimizer, the initial learning rate and the learning-rate schedule of a training task.

Errors are RFC 9457 problem documents with a stable `code`; `field` names what they are about. Times are RFC 3339 in
UTC, durations are seconds, lists answer `{"items": [...], "next_cursor": ...}`."""


def create_app(
    store: Store, settings: Settings, coordinator: Supervised | None = None, for_verbs: Store | None = None
) -> FastAPI:
    """Make the application on an opened store; it neither opens nor closes it.

    `coordinator` is the one that this process keeps running, if it does: readiness asks for it. `for_verbs` is the same
    store with connections for the verbs alone (`Store.for_verbs`).
    """
    app = Described(
        title="Étude",
        version="1",
        description=DESCRIPTION,
        dependencies=[Depends(refuse_unstorable)],
        generate_unique_id_function=name_of,
        docs_url=None,
        redoc_url=None,  # those pages of the framework load their program from elsewhere
    )
    app.state.store = store
    app.state.feeds = feeds = Feeds(store)
    app.state.metrics = metrics = Metrics(lambda: read_gauges(store, OWN_SECONDS), lambda: feeds.watching)
    app.state.verbs = SqlVerbs(for_verbs or store, observe=metrics.observe_verb)
    app.state.readiness = Readiness(store, coordinator)
    app.state.insights = Insights(store)
    app.state.pages = KeptPages()
    app.state.settings = settings
    app.state.keyring = Keyring(store)
    app.state.coordinator = coordinator
    problems.install(app)
    app.include_router(work.verbs_router)  # first: routes are looked through in this order, and these are the busiest
    for module in (
        *(studies, trials, work, events, best, code, importance, catalogue, workers),
        *(history, recurrences, tokens, health, pages, login),
    ):
        app.include_router(module.router)
    app.add_middleware(Heads)
    app.add_middleware(BodyLimit, limit_bytes=settings.body_bytes)
    app.add_middleware(Guard, keyring=app.state.keyring, rates=Rates(settings.token_requests_per_second))
    app.add_middleware(Requests, observe=metrics.observe_request)
    app.add_middleware(SafeHeaders)
    return app
