"""A study by name, with the client's verbs bound to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from search_spaces.export import Framework
    from search_spaces.insight import Insight
    from search_spaces.results import StudyView, TrialState, TrialView
    from search_spaces.work import Purpose

    from .ask import LeasedTrials
    from .client import Client
    from .events import Event
    from .pages import TrialPages
    from .saved import KeepableAnswer


@dataclass(frozen=True)
class Study:
    """A study on a service; holds no state of it but the name, so nothing of it can be out of date."""

    client: Client = field(repr=False)
    name: str

    def view(self) -> StudyView:
        """Return the study as it is now: state, budget, counts, best search score."""
        return self.client.get(self.name)

    def best(self) -> KeepableAnswer:
        """Return the answer, or as much of it as there is."""
        return self.client.best(self.name)

    def importance(self) -> Insight:
        """Return what the search has taught; see `Client.importance`."""
        return self.client.importance(self.name)

    def trials(self, *, state: TrialState | None = None, purpose: Purpose | None = None) -> TrialPages:
        """Return the study's trials; see `Client.trials`."""
        return self.client.trials(self.name, state=state, purpose=purpose)

    def trial(self, number: int) -> TrialView:
        """Return one trial with its curve of reports and the LR of every update."""
        return self.client.trial(self.name, number)

    def curve(self, steps: int | None = None) -> list[float]:
        """Return the answer's LR of every update, at the study's horizon or redrawn for `steps` updates."""
        return self.client.curve(self.name, steps=steps)

    def code(self, framework: Framework = "pytorch", *, steps: int | None = None) -> str:
        """Return the answer as Python text for a framework, at the study's horizon or for `steps` updates."""
        return self.client.code(self.name, framework, steps=steps)

    def plot_schedule(self, total_steps: int | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw the LR of the study's answer; see `Client.plot_schedule`."""
        return self.client.plot_schedule(self.name, total_steps, ax=ax)

    def plot_curves(self, *, trials: Sequence[int] | None = None, most: int = 20, ax: Axes | None = None) -> Axes:
        """Draw the reports of the study's trials; see `Client.plot_curves`."""
        return self.client.plot_curves(self.name, trials=trials, most=most, ax=ax)

    def events(self, *, position: str | None = None) -> Iterator[Event]:
        """Follow the study until it has ended; see `Client.events`."""
        return self.client.events(self.name, position=position)

    def lease_trials(
        self,
        *,
        limit: int | None = None,
        worker: str | None = None,
        catch: tuple[type[Exception], ...] = (),
        patience_seconds: float = 3600.0,
    ) -> LeasedTrials:
        """Lease trials to a training loop of your own, one after the other, until the study has ended.

        Args:
            limit: how many trials this loop takes at most; default: as many as there are.
            worker: the name to train under; default: the machine's with the process id.
            catch: exceptions that, inside `with trial:`, fail the trial and let the loop go on.
            patience_seconds: how long an outage of the service may last between two trials.

        `etude.ask` shows a whole loop. A trial of the confirmation is leased like any other.
        """
        from .ask import LeasedTrials

        return LeasedTrials(
            self.client, self.name, limit=limit, worker=worker, catch=catch, patience_seconds=patience_seconds
        )

    def wait(self, *, progress: bool = True, timeout: float | None = None) -> KeepableAnswer:
        """Wait until the study has ended; see `Client.wait`."""
        return self.client.wait(self.name, progress=progress, timeout=timeout)

    def pause(self) -> StudyView:
        """Propose and lease nothing new; trials under way go on."""
        return self.client.pause(self.name)

    def resume(self) -> StudyView:
        """Go on with a paused study."""
        return self.client.resume(self.name)

    def stop(self) -> StudyView:
        """End the study now; what it has found stays."""
        return self.client.stop(self.name)

    def delete(self, *, keep_answer: bool = False) -> None:
        """Remove the study; see `Client.delete`."""
        self.client.delete(self.name, keep_answer=keep_answer)
