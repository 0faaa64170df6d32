"""The worker's loop: announce, claim, train, report, obey, finish. The same over SQL and over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import count

from etude.task import Task, offer
from search_spaces.log import bind
from search_spaces.problems import Problem, StoreUnavailable
from search_spaces.work import Announcement, TaskVersion, Verbs

from .bench import Bench, Choose, Station, alone
from .checkpoints import Checkpoints
from .claiming import Claims
from .engine import Attempt
from .hand import Hand
from .link import Link, Observe, nobody_looks
from .machine import this_machine
from .metrics import Standing
from .periodic import repeating
from .pulse import nothing
from .saving import Saving
from .scripts.script import Script
from .timing import Backoff, Stop, Timing
from .usage import usage_of

CLOSE_SECONDS, CLOSE_SHARE = 60.0, 0.5
"""What scripts have for their end when the worker stops: so long, or this share of what is left of its grace."""


class Worker:
    """Trains the trials of the tasks it offers, as many at once as its engines take, until it is asked to stop."""

    def __init__(
        self,
        name: str,
        verbs: Verbs,
        tasks: Mapping[str, type[Task]],
        *,
        stop: Stop | None = None,
        timing: Timing | None = None,
        device: str = "cpu",
        choose: Choose = alone,
        scripts: Mapping[str, Script] | None = None,
        checkpoints: Checkpoints | None = None,
        clock: Callable[[], float] = time.monotonic,
        pulse: Callable[[], None] = nothing,
        observe: Observe = nobody_looks,
    ) -> None:
        """Offer `tasks` and `scripts` on `device`; `choose` decides how each task is trained.

        `clock` measures worker-seconds; `pulse` is called between steps, claims and attempts to reach the store;
        `observe` is told of each verb and its seconds.

        Without `checkpoints` a trial that was given back begins again.
        """
        self.timing = timing or Timing()
        self.stop = stop or Stop(self.timing.grace)
        self._device = device
        self._pulse = pulse
        self._machine = this_machine(device)
        self._log = bind(__name__, worker=name)
        self._link = Link(verbs, name, observe)
        scripts = scripts or {}
        self._offers = [offer(task) for task in tasks.values()] + [script.offer() for script in scripts.values()]
        self._versions = [
            TaskVersion(name=offered.name, version=offered.version) for offered in self._offers if offered.available
        ]
        self._bench = Bench(tasks, device, choose, self._log, scripts)
        self._hand = Hand(self._link, Saving(self._bench, checkpoints), self.stop, self.timing, clock)
        self._claims = Claims(self._link, self._hand, self._bench, self._versions, self.timing)
        self._packings = self._bench.packings
        self._announcement = self._announced()

    def work(self) -> None:
        """Work until asked to stop, or until there has been nothing to do for the drain period.

        Raises:
            Problem: the service refuses what the worker says; trying again would not help.
        """
        self._log.info("started", tasks=",".join(version.name for version in self._versions))
        self._say_hello()
        # Often enough for a lease a tenth as long as the worker is told, and for the end of the grace period.
        look_seconds = min(self.timing.lease / 60, self.timing.grace / 20)
        try:
            with (
                repeating(self._heartbeat, self.timing.heartbeat, "heartbeat"),
                repeating(self._hand.look_after, look_seconds, "leases"),
            ):
                self._claim_and_train()
                # Whoever claims a trial that is given back finds nothing of its script running.
                self._bench.end_scripts(min(CLOSE_SECONDS, CLOSE_SHARE * self.stop.grace_left))
                self._hand.give_back()
        finally:
            self._bench.close()
            self._link.close()
        self._log.info("stopped", asked=self.stop.asked)

    # What it says of itself

    def standing(self) -> Standing:
        """Return how the worker stands; from any thread."""
        ended = dict(self._hand.ended)
        return Standing(
            in_training=self._hand.in_training, claimed=self._hand.claimed, ended=ended, store_is_away=self._link.away,
            usage=usage_of(self._device),
        )  # fmt: skip

    def _announced(self) -> Announcement:
        tasks = [offered.model_copy(update={"packing": self._packings[offered.name]}) for offered in self._offers]
        slots = max((packing.size for packing in self._packings.values()), default=1)
        return Announcement(devices=[self._device], machine=self._machine, slots=slots, tasks=tasks)

    def _say_hello(self) -> None:
        pauses = Backoff(self.timing.first_retry, self.timing.longest_retry)
        while not self.stop.asked:
            self._pulse()
            try:
                self._link.announce(self._announcement.model_copy(update={"usage": usage_of(self._device)}))
            except StoreUnavailable:
                self.stop.idle(pauses.pause())
            else:
                return

    def _heartbeat(self) -> None:
        try:
            self._link.announce(self._announcement.model_copy(update={"usage": usage_of(self._device)}))
        except StoreUnavailable:
            return  # the link has said so; the next heartbeat comes soon enough
        except Problem as problem:
            self._log.warning("heartbeat_refused", code=problem.code, detail=problem.detail)

    def _announce_news(self) -> None:
        """Say at once how a task is packed when that is newly known: the coordinator proposes by it."""
        packings = self._bench.packings
        if packings != self._packings:
            self._packings = packings
            self._announcement = self._announced()
            self._heartbeat()

    # What it does

    def _claim_and_train(self) -> None:
        last_busy = time.monotonic()
        while not self.stop.asked:
            self._pulse()
            busy = self._claims.fill() or self._hand.in_training > 0
            self._announce_news()
            if self._hand.in_training:
                self._train()
            if not self._hand.in_training:
                self._hand.finish_all()
            if busy:
                last_busy = time.monotonic()
            elif self.timing.drain is not None and time.monotonic() - last_busy >= self.timing.drain:
                return
            else:
                self.stop.idle(self._claims.pause())

    def _train(self) -> None:
        """Take the engine whose turn it is to its next stop, tell the store and do as it says."""
        station = self._bench.turn()
        before = {attempt: attempt.updates for attempt in station.engine.attempts}
        stopped = self._advance(station)
        seconds = self._hand.share({attempt: max(0, attempt.updates - done) for attempt, done in before.items()})
        station.spend(seconds, before)
        self._hand.keep(attempt for attempt in stopped if attempt.error is None and not attempt.given_back)
        ended = [attempt for attempt in stopped if attempt.complete or attempt.error is not None]
        self._hand.end(ended)
        self._hand.put_back(attempt for attempt in stopped if attempt.given_back)
        self._hand.speak()
        dropped = self._hand.settle()
        for attempt in dropped:
            self._bench.leave(attempt)
        if ended or dropped:
            self._claims.hurry()

    def _advance(self, station: Station) -> list[Attempt]:
        lost, asks_at, looks = self._hand.watch(station.engine.attempts), self._claims.due_at, count()

        def interrupted() -> bool:
            self._pulse()
            # At least one update is made before trials are asked for again: steps may take longer than that pause.
            return self.stop.asked or lost() or (next(looks) > 0 and time.monotonic() >= asks_at)

        try:
            return station.engine.advance(interrupted)
        except Exception as error:  # noqa: BLE001 -- a defect of an engine must not end the worker
            return self._bench.give_up(station, error)
