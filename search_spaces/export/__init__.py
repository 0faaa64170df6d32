"""A candidate as a text that runs as it is, without Étude, in the framework that a person trains with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ..candidate import Candidate
from ..problems import Unsupported
from ..schedules import check_horizon
from .factor import is_a_function_of_the_step
from .keras import keras_text
from .lightning import lightning_text
from .optax import optax_text
from .pytorch import pytorch_text
from .transformers import transformers_text

Framework = Literal["pytorch", "lightning", "transformers", "optax", "keras"]
Direction = Literal["minimize", "maximize"]

WRITERS: dict[Framework, Callable[[Candidate, int, str], str]] = {
    "pytorch": pytorch_text,
    "lightning": lightning_text,
    "transformers": transformers_text,
    "optax": optax_text,
    "keras": keras_text,
}
"""What writes the text for each framework from a candidate, its horizon and torch's name of the direction."""
MAKE_OPTIMIZERS = frozenset({"lightning", "transformers"})
"""Frameworks whose text makes the optimizer."""
FOLLOW_METRICS = frozenset({"pytorch", "lightning", "transformers"})


def export(candidate: Candidate, horizon_steps: int, framework: Framework, *, direction: Direction = "minimize") -> str:
    """Return Python text that builds the candidate's optimizer and schedule for `horizon_steps` updates.

    Where the framework has an exact class for the schedule that is used, else the formula is written out.
    `direction` is that of the metric, which `plateau` follows.

    Raises:
        HorizonTooShort: the schedule does not fit into `horizon_steps`.
        Unsupported: the schedule is a script's own, or a plateau where the framework has none; the optimizer is a
            script's own, and the framework makes the optimizer.
    """
    schedule = candidate.schedule
    check_horizon(schedule, horizon_steps)
    if candidate.optimizer.kind == "script" and framework in MAKE_OPTIMIZERS:
        raise Unsupported("a script's own optimizer is exported for pytorch only", field="optimizer.kind")
    follows = schedule.kind == "plateau" and framework in FOLLOW_METRICS
    if not follows and not is_a_function_of_the_step(schedule):
        raise Unsupported(f"{schedule.kind} cannot be written for {framework}", field="framework")
    return WRITERS[framework](candidate, horizon_steps, "min" if direction == "minimize" else "max")


__all__ = ["Framework", "export"]
