"""A plan as text for a terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from search_spaces.plan import PlannedSeconds, PlannedTrainings, StudyPlan

from .progress import say_seconds


def plan_parts(plan: StudyPlan) -> list[RenderableType]:
    """What the study would train, what that costs, what it could show, and what speaks against it."""
    rows = [("search", _search(plan))]
    if plan.trainings is not None:
        rows += [("trainings", _trainings(plan.trainings))]
        rows += [("seconds", _seconds(plan.seconds)), ("in all", _in_all(plan)), ("detects", _detects(plan))]
    grid = Table.grid(padding=(0, 2))
    for label, text in rows:
        grid.add_row(Text(label, style="dim"), text)
    warnings = [Text(f"Warning: {warning}", style="bold") for warning in plan.warnings]
    return [Text(f"{plan.name} would be {plan.state}; nothing is submitted", style="bold"), grid, *warnings]


def _search(plan: StudyPlan) -> str:
    if plan.horizon_steps is None:
        return f"{plan.trials} trials"
    first = f", {len(plan.first_trials)} of them baselines" if plan.first_trials else ""
    least = "" if plan.target is None else f"{plan.target.least_steps} to "
    return f"{plan.trials} trials over {least}{plan.horizon_steps} steps{first}; by {plan.metric}, to {plan.direction}"


def _trainings(planned: PlannedTrainings) -> str:
    tuning = f", {planned.tuning} to tune baselines outside the space" if planned.tuning else ""
    extras = f"; at most {planned.extras} more after a winner" if planned.extras else ""
    return (
        f"{planned.search:.1f} full-training equivalents in the search{tuning}, {planned.confirmation} in the "
        f"confirmation on {planned.seeds} seeds{extras}"
    )


def _seconds(seconds: PlannedSeconds | None) -> str:
    if seconds is None:
        return "not known: no past trial of the task tells it; --measure trains short ones"
    return f"{_say(seconds.training)} of worker time a full training, by {seconds.source}"


def _in_all(plan: StudyPlan) -> str:
    seconds = plan.seconds
    live = f"{plan.workers} live {'worker' if plan.workers == 1 else 'workers'} ({plan.slots} trials at once)"
    if seconds is None:
        return f"not known; {live}"
    extras = f", {_say(seconds.extras)} more at most after a winner" if seconds.extras else ""
    wall = f"; about {_say(seconds.wall)} with {live}" if seconds.wall is not None else ""
    return (
        f"{_say(seconds.total)} of worker time ({_say(seconds.search)} search, {_say(seconds.confirmation)} "
        f"confirmation){extras}{wall}"
    )


def _detects(plan: StudyPlan) -> str:
    detects = plan.detects
    if detects is None:
        return "not known: nothing tells how much seeds matter at this task and horizon"
    unit = f"in {plan.metric}" if plan.target is None else "steps"
    return (
        f"this confirmation detects gains of at least {detects.gain:.2g} {unit} (noise between seeds "
        f"{detects.noise:.2g}, by {detects.source})"
    )


def _say(seconds: float) -> str:
    return say_seconds(seconds) if seconds >= 10 else f"{seconds:.2g} s"
