"""A study by name, with the client's verbs bound to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from search_spaces.results import Answer, StudyView, TrialState, TrialView
from search_spaces.work import Purpose

if TYPE_CHECKING:
    from .client import Client


@dataclass(frozen=True)
class Study:
    """A study on a service; holds no state of it but the name, so nothing of it can be out of date."""

    client: Client = field(repr=False)
    name: str

    def view(self) -> StudyView:
        """Return the study as it is now: state, budget, counts, best so far."""
        return self.client.view(self.name)

    def best(self) -> Answer:
        """Return the answer, or as much of it as there is."""
        return self.client.best(self.name)

    def trials(self, *, state: TrialState | None = None, purpose: Purpose | None = None) -> Iterator[TrialView]:
        """Go through the study's trials, page by page."""
        return self.client.trials(self.name, state=state, purpose=purpose)

    def curve(self, steps: int | None = None) -> list[float]:
        """Return the answer's LR of every update, at the study's horizon or redrawn for `steps` updates."""
        return self.client.curve(self.name, steps=steps)

    def wait(self, *, progress: bool = True, timeout: float | None = None) -> Answer:
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
