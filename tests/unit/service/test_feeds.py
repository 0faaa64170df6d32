"""Live studies in this process: one reader for all watchers, and nothing left when they are gone."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from search_spaces.problems import NotReady, StoreUnavailable
from service import feeds as feeds_module
from service.feeds import HEARTBEAT, Feeds
from service.looking import Looker
from store import Store, open_store
from store.studies import change_state
from store.verbs import SqlVerbs
from tests.studies import add_proposals, claim, finish, run_study


@pytest.fixture
def store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(sqlite_template, tmp_path / "etude.db")
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    run_study(opened, pruner={"kind": "none"})
    add_proposals(opened, count=5)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every look at a study that any reader takes; readers look often."""
    seen: list[str] = []
    look = Looker.look

    def counted(self: Looker) -> Any:
        seen.append(self.name)
        return look(self)

    monkeypatch.setattr(Looker, "look", counted)
    monkeypatch.setattr(feeds_module, "LOOK_SECONDS", 0.02)
    return seen


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        with anyio.fail_after(20):
            await test()

    anyio.run(bounded)


async def rest(texts: AsyncIterator[str]) -> str:
    return "".join([text async for text in texts])


def test_a_hundred_watchers_cost_one_reader(store: Store, looks: list[str]) -> None:
    """All of them are told everything by a few looks, and the reader ends with the study."""

    async def watch() -> None:
        feeds = Feeds(store)
        streams = [feeds.stream("mine", None) for _ in range(100)]
        begun = [await anext(stream) for stream in streams[:1]]
        async with anyio.create_task_group() as group:
            told: list[str] = []

            async def follow(stream: AsyncIterator[str]) -> None:
                told.append(await rest(stream))

            for stream in streams:
                group.start_soon(follow, stream)
            change_state(store, "mine", "stopped")
        assert begun[0].count("event: study") == 1
        assert len(told) == 100
        assert all(text.endswith('event: end\ndata: {"state": "stopped"}\n\n') for text in told)
        assert not feeds._feeds

    run(watch)

    assert len(looks) < 20


def test_nobody_watches_nothing_is_read(store: Store, looks: list[str]) -> None:
    """A watcher that leaves takes the reader with it."""

    async def watch() -> None:
        feeds = Feeds(store)
        stream = feeds.stream("mine", None)
        await anext(stream)
        reader = feeds._feeds["mine"]._task
        await stream.aclose()  # type: ignore[attr-defined]
        assert reader is not None
        await reader
        assert not feeds._feeds
        assert feeds._watching == 0
        before = len(looks)
        await anyio.sleep(0.1)
        assert len(looks) == before

    run(watch)


def test_each_change_is_told_once_to_who_has_been_there(store: Store) -> None:
    """A claimed trial, its end, and the study's counts; in between there is silence, kept alive by comments."""

    async def watch() -> None:
        verbs = SqlVerbs(store)
        stream = Feeds(store).stream("mine", None)
        await anext(stream)
        trial = claim(verbs)[0]
        claimed = await news(stream)
        finish(verbs, trial)
        ended = await news(stream)
        assert [claimed.count('"state":"leased"'), ended.count('"state":"complete"')] == [1, 1]
        assert ended.count("event: study") == 1
        assert "id: 1.0\nevent: study" in ended
        await stream.aclose()  # type: ignore[attr-defined]

    async def news(stream: AsyncIterator[str]) -> str:
        return await anext(text async for text in stream if text and text != HEARTBEAT)

    run(watch)


def test_a_silent_stream_has_a_heartbeat(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that proxies keep it, and a client knows that the service lives."""
    monkeypatch.setattr(feeds_module, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(feeds_module, "LOOK_SECONDS", 60.0)

    async def watch() -> None:
        stream = Feeds(store).stream("mine", None)
        await anext(stream)
        assert await anext(stream) == HEARTBEAT
        await stream.aclose()  # type: ignore[attr-defined]

    run(watch)


def test_a_watcher_that_is_too_slow_is_let_go_and_the_others_stay(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for one watcher is bounded: its stream ends after that, and it may come back with its last id."""
    monkeypatch.setattr(feeds_module, "MOST_WAITING", 3)

    async def watch() -> None:
        feeds = Feeds(store)
        slow, quick = feeds.stream("mine", None), feeds.stream("mine", None)
        await anext(slow)
        async with anyio.create_task_group() as group:
            told: list[str] = []

            async def follow() -> None:
                async for text in quick:
                    told.append(text)  # noqa: PERF401 - looked at while it grows

            group.start_soon(follow)
            while len(told) < 8:
                await anyio.sleep(0.01)
            late = [text async for text in slow]
            assert len(late) <= 3
            assert feeds._watching == 1
            group.cancel_scope.cancel()
        await quick.aclose()  # type: ignore[attr-defined]

    run(watch)


def test_an_outage_of_the_store_is_waited_through(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream stays open and goes on with what has happened meanwhile."""
    look, away = Looker.look, [True, True, True]

    def sometimes(self: Looker) -> Any:
        if away:
            away.pop()
            raise StoreUnavailable("cut")
        return look(self)

    monkeypatch.setattr(Looker, "look", sometimes)

    async def watch() -> None:
        stream = Feeds(store).stream("mine", None)
        assert "event: study" in await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    run(watch)

    assert away == []


def test_a_process_that_is_about_to_end_ends_its_streams_and_takes_no_more(store: Store) -> None:
    """The server waits for every response before it ends."""

    async def watch() -> None:
        feeds = Feeds(store)
        stream = feeds.stream("mine", None)
        await anext(stream)
        feeds.close()
        assert await rest(stream) == ""
        with pytest.raises(NotReady):
            feeds.check_room()

    run(watch)


def test_watchers_of_one_process_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is too many is refused before its stream begins."""
    monkeypatch.setattr(feeds_module, "MOST_WATCHERS", 1)

    async def watch() -> None:
        feeds = Feeds(store)
        feeds.check_room()
        stream = feeds.stream("mine", None)
        await anext(stream)
        with pytest.raises(NotReady):
            feeds.check_room()
        await stream.aclose()  # type: ignore[attr-defined]
        feeds.check_room()

    run(watch)
