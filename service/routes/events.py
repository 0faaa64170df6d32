"""A study as it happens: server-sent events, from the store alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, cast

import anyio
from anyio import to_thread
from fastapi import APIRouter, Header, Request, Response
from starlette.types import Receive, Scope, Send

from store.studies import get_study

from .. import deps
from ..feeds import Feeds
from ..looking import ENDED_STUDY, LAST_ID, POSITION, Position

router = APIRouter(prefix="/v1/studies/{name}/events", tags=["studies"], responses=deps.PROBLEMS)
MEDIA_TYPE = "text/event-stream"
EVENT_ID = rf"^({POSITION}|{LAST_ID})?$"
STUCK_SECONDS = 30.0
"""A client that takes nothing for so long is gone, whatever its connection says."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
DESCRIBED: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE: {}}, "description": "The events"},
    204: {"description": "The study has ended, and the last event has been received: do not ask again"},
}


@router.get("", response_class=Response, responses=DESCRIBED)
async def show_events(
    name: deps.StudyName,
    request: Request,
    store: deps.StoreOf,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", pattern=EVENT_ID)] = None,
) -> Response:
    """Follow a study: `study` (the study) and `trial` (a trial without its curves) whenever they change, then `end`.

    The stream begins with every open trial and the study as they are. With `Last-Event-ID` the trials that have ended
    since then come first; `0.0` tells of all. An event may come twice: each holds the whole thing as it is. After
    `end` (its data: the study's state, or `deleted`) the stream closes.
    """
    # In a thread: a coroutine that waited for the store would hold every other request up.
    view = await to_thread.run_sync(get_study, store, name)
    if last_event_id == LAST_ID and view.state in ENDED_STUDY:
        return Response(status_code=204)
    since = Position.parse(last_event_id) if last_event_id not in (None, "", LAST_ID) else None
    feeds = cast(Feeds, request.app.state.feeds)
    feeds.check_room()
    return EventStream(feeds.stream(name, since))


class EventStream(Response):
    """A response that is sent as it comes, and ends when the client is gone or stuck."""

    media_type = MEDIA_TYPE

    def __init__(self, texts: AsyncIterator[str]) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._texts = texts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI calls it
        """Send until the texts end, the client leaves, or it takes nothing any more."""
        async with anyio.create_task_group() as group:
            group.start_soon(_wait_until_gone, receive, group.cancel_scope)
            try:
                await self._send_all(send)
            except TimeoutError:
                pass  # nobody takes what is sent: the server closes the connection
            finally:
                with anyio.CancelScope(shield=True):
                    await cast(Any, self._texts).aclose()
            group.cancel_scope.cancel()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for text in self._texts:
            if text:
                await _send(send, text, more=True)
        await _send(send, "", more=False)


async def _send(send: Send, text: str, *, more: bool) -> None:
    with anyio.fail_after(STUCK_SECONDS):
        await send({"type": "http.response.body", "body": text.encode(), "more_body": more})


async def _wait_until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
