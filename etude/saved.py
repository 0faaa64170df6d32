"""Answers that are kept in a file, and what can be done with one where there is no service.

>>> import etude
>>> etude.load("best.json").build(model.parameters(), total_steps=10_000)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from search_spaces.artefact import Artefact, artefact_of, as_text, read_artefact
from search_spaces.candidate import Candidate
from search_spaces.export import Framework, export
from search_spaces.results import Answer
from search_spaces.schedules import curve
from search_spaces.target import reported_direction

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from .torch import ScheduledLR


class KeepableAnswer(Answer):
    """An answer as the client returns it, which can be kept in a file."""

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the answer as a document with a checksum, which `etude.load` reads; return where it is.

        Raises:
            InvalidSpec: nothing is complete yet.
            OSError: the file cannot be written.
        """
        place = Path(path)
        place.write_text(as_text(artefact_of(self)), encoding="utf-8")
        return place

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same answer, by whichever of the two classes it is held."""
        return isinstance(other, Answer) and self.model_dump() == other.model_dump()

    __hash__ = Answer.__hash__


@dataclass(frozen=True)
class SavedAnswer:
    """An answer that was kept; needs neither a service nor a network."""

    artefact: Artefact
    """All that is known of it, with evidence and provenance."""

    @property
    def candidate(self) -> Candidate:
        """Optimizer, initial LR and schedule."""
        return self.artefact.candidate

    @property
    def horizon(self) -> int:
        """T that it was trained for, in steps."""
        return self.artefact.horizon

    @property
    def sentence(self) -> str:
        """What a person reads first."""
        return self.artefact.sentence

    def curve(self, total_steps: int | None = None) -> list[float]:
        """Return the LR of each update of a training of `total_steps`; default: the horizon.

        Raises:
            HorizonTooShort: the schedule does not fit into so few; `artefact.redraw` says how many it takes.
            Unsupported: the schedule follows the metric, so that there is no curve before a training.
        """
        factors = curve(self.candidate.schedule, self.horizon if total_steps is None else total_steps)
        return [float(lr) for lr in self.candidate.initial_lr * factors]

    def build(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        total_steps: int | None = None,
        *,
        evaluations: int | None = None,
    ) -> tuple[Optimizer, ScheduledLR]:
        """Return the torch optimizer and scheduler for a training of `total_steps`; default: the horizon.

        What trained the trials builds them, see `etude.torch.build`; a plateau needs the number of `evaluations`.
        """
        from .torch import build

        steps = self.horizon if total_steps is None else total_steps
        return build(self.candidate, params, steps, evaluations=evaluations, direction=self._direction)

    def code(self, framework: Framework = "pytorch", total_steps: int | None = None) -> str:
        """Return the answer as Python text for a framework, at its horizon or for `total_steps`."""
        steps = self.horizon if total_steps is None else total_steps
        return export(self.candidate, steps, framework, direction=self._direction)

    @property
    def _direction(self) -> Literal["minimize", "maximize"]:
        return reported_direction(self.artefact.target, self.artefact.metric.direction)


def load(path: str | PathLike[str]) -> SavedAnswer:
    """Read an answer that was kept by `save`, `etude best -o` or `GET .../best/artefact`, of this version or an older.

    Raises:
        InvalidSpec: it is no kept answer, or it was changed since: the checksum tells.
        Unsupported: a later version of Étude wrote it.
        OSError: the file cannot be read.
    """
    return SavedAnswer(read_artefact(Path(path).read_bytes()))
