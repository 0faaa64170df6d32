"""Live studies: one reader for all who watch the same study, and what each of them has still to be sent.

A watched study is looked at twice a second by one task of this process, however many watch; nobody watches, nothing is
read. Everything comes from the store, so any process of the API can serve any study.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import anyio
from anyio import CapacityLimiter, to_thread

from search_spaces.log import bind
from search_spaces.problems import NotReady, StoreUnavailable
from store import Store

from .looking import Look, Looker, Position, ended_since

log = bind(__name__)

LOOK_SECONDS = 0.5
HEARTBEAT_SECONDS = 10.0
"""A stream is never silent for longer; a comment keeps proxies from closing it and shows that the service lives."""
HEARTBEAT = ": still here\n\n"
MOST_WATCHERS = 1000
"""Of one process."""
MOST_WAITING = 32
"""Looks that a slow watcher may be behind; then its stream ends, and it goes on from the last id that it has."""
READS_AT_ONCE = 4
"""Threads, and so connections of the store, that all feeds together use."""


class Watcher:
    """One stream: the looks that it has not yet been sent. None among them ends it."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[Look | None] = asyncio.Queue(MOST_WAITING + 1)

    def tell(self, look: Look) -> bool:
        """Add a look; False when the watcher is too slow to be told any more."""
        if self.waiting.qsize() >= MOST_WAITING:
            return False
        self.waiting.put_nowait(look)
        return True

    def end(self) -> None:
        """Let the stream end after what is waiting."""
        self.waiting.put_nowait(None)


class Feed:
    """The reader of one study, alive while somebody watches."""

    def __init__(self, looker: Looker, reads: CapacityLimiter) -> None:
        self._looker = looker
        self._reads = reads
        self._watchers: set[Watcher] = set()
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.over = False

    def join(self, watcher: Watcher) -> None:
        """Take a watcher in; it is told at the next look, which is due now."""
        self._watchers.add(watcher)
        self._due.set()
        if self._task is None:
            self._task = asyncio.create_task(self._follow())

    def leave(self, watcher: Watcher) -> None:
        """Let a watcher go; after the last one the reader ends."""
        self._watchers.discard(watcher)
        if not self._watchers:
            self.close()

    def close(self) -> None:
        """End the reader and every stream."""
        self.over = True
        self._due.set()
        for watcher in self._watchers:
            watcher.end()
        self._watchers.clear()

    async def _follow(self) -> None:
        try:
            while not self.over:
                self._due.clear()
                await self._look()
                if not self.over:
                    with anyio.move_on_after(LOOK_SECONDS):
                        await self._due.wait()
        except Exception:
            log.exception("study_not_followed_and_its_streams_end", study=self._looker.name)
        finally:
            self.close()

    async def _look(self) -> None:
        told = set(self._watchers)  # who joins while the look is under way is told the next one as a whole
        try:
            look = await to_thread.run_sync(self._looker.look, limiter=self._reads)
        except StoreUnavailable:
            return
        for watcher in told & self._watchers:
            if not watcher.tell(look):
                self._watchers.discard(watcher)
                watcher.end()
        if look.ended:
            self.close()


class Feeds:
    """The feeds of one process, by study."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reads = CapacityLimiter(READS_AT_ONCE)
        self._feeds: dict[str, Feed] = {}
        self._watching = 0
        self._closed = False

    @property
    def watching(self) -> int:
        """How many streams are open."""
        return self._watching

    def check_room(self) -> None:
        """Refuse a watcher where there are too many, or where the process is about to end.

        Raises:
            NotReady: try again later, or at another process.
        """
        if self._closed or self._watching >= MOST_WATCHERS:
            raise NotReady("this process serves no more streams of events just now")

    async def stream(self, name: str, since: Position | None) -> AsyncIterator[str]:
        """Give the events of a study as text until it has ended; from `since`, where that is given.

        A comment goes in between when nothing has happened for a while.
        """
        with self._watched(name) as watcher:
            first = True
            while True:
                look: Look | None = None
                with anyio.move_on_after(HEARTBEAT_SECONDS) as waited:
                    look = await watcher.waiting.get()
                if waited.cancelled_caught:
                    yield HEARTBEAT
                    continue
                if look is None:
                    return
                if first and since is not None:
                    async for missed in self._missed(name, since, look):
                        yield missed
                yield look.whole if first else look.news
                first = False

    async def _missed(self, name: str, since: Position, look: Look) -> AsyncIterator[str]:
        pages = ended_since(self._store, name, since, look.places)
        while (page := await to_thread.run_sync(next, pages, None, limiter=self._reads)) is not None:
            yield page

    def close(self) -> None:
        """End every stream, as the server has to before it can end itself; called in the server's loop."""
        self._closed = True
        for feed in list(self._feeds.values()):
            feed.close()

    @contextmanager
    def _watched(self, name: str) -> Iterator[Watcher]:
        feed = self._feeds.get(name)
        if feed is None or feed.over:
            feed = self._feeds[name] = Feed(Looker(self._store, name), self._reads)
        watcher = Watcher()
        self._watching += 1
        feed.join(watcher)
        try:
            yield watcher
        finally:
            self._watching -= 1
            feed.leave(watcher)
            if feed.over and self._feeds.get(name) is feed:
                del self._feeds[name]
