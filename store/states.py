"""The state machines, in the one place that says who may become what; drawn in docs/states.md.

A change of state is an `UPDATE ... WHERE state IN (...)`: the states it may come from are read here.
"""

from __future__ import annotations

STUDY_MOVES: dict[str, frozenset[str]] = {
    "queued": frozenset({"running", "stopped", "failed"}),
    "running": frozenset({"paused", "confirming", "stopped", "failed"}),
    "paused": frozenset({"running", "stopped", "failed"}),
    "confirming": frozenset({"confirming_paused", "done", "stopped", "failed"}),
    "confirming_paused": frozenset({"confirming", "stopped", "failed"}),
    "done": frozenset({"running"}),
    "stopped": frozenset(),
    "failed": frozenset(),
}
TRIAL_MOVES: dict[str, frozenset[str]] = {
    "proposed": frozenset({"leased", "stopped"}),
    "leased": frozenset({"complete", "pruned", "failed", "proposed", "stopped"}),
    "complete": frozenset(),
    "pruned": frozenset(),
    "failed": frozenset(),
    "stopped": frozenset(),
}
RUN_MOVES: dict[str, frozenset[str]] = {
    "waiting": frozenset({"running", "skipped", "failed"}),
    "running": frozenset({"done", "stopped", "failed"}),
    "skipped": frozenset(),
    "done": frozenset(),
    "stopped": frozenset(),
    "failed": frozenset(),
}
"""Of a recurrence's nights."""
LIVE_STUDY = ("queued", "running", "paused", "confirming", "confirming_paused")
CLAIMABLE_STUDY = ("running", "confirming")
OPEN_TRIAL = ("proposed", "leased")
ENDED_TRIAL = ("complete", "pruned", "failed", "stopped")

OPTUNA_STATE = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "stopped": "FAIL"}
"""Optuna's name for a trial that ended; one that is proposed again or leased is RUNNING there."""


def sources(moves: dict[str, frozenset[str]], target: str) -> tuple[str, ...]:
    """Return the states from which `target` may be entered.

    >>> sources(TRIAL_MOVES, "pruned")
    ('leased',)
    """
    return tuple(state for state, targets in moves.items() if target in targets)


def listed(states: tuple[str, ...]) -> str:
    """Write states as the inside of an SQL IN (...): they are our own words, never input.

    >>> listed(("done", "failed"))
    "'done', 'failed'"
    """
    return ", ".join(f"'{state}'" for state in states)
