"""What a search has taught beside its answer, put together from its ended trials and its confirmation."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.insight import Insight
from search_spaces.results import Arm, StudyView
from search_spaces.space import Space
from search_spaces.study import Direction, resolve_rungs
from store.insights import EndedTrial

from .families import families_of, lr_sensitivity, pruned_at, spared
from .importance import importance_of
from .noise import noise_of
from .pruning_effect import effect_of


def insight_of(view: StudyView, trials: Sequence[EndedTrial], arms: Sequence[Arm]) -> Insight:
    """Put together what the ended `trials` of a study that has begun say, and what its confirmation adds."""
    assert view.space is not None
    assert view.horizon_steps is not None
    direction: Direction = "maximize" if view.direction == "maximize" else "minimize"
    rungs = resolve_rungs(view.spec.pruner, view.horizon_steps) if view.target is None else []
    ran_on, good = spared(trials, direction)
    noise = noise_of(arms, "its own confirmation")
    return Insight(
        study=view.name,
        metric=view.metric,
        direction=direction,
        trials=view.counts.ended,
        read=len(trials),
        importance=importance_of(trials, Space.model_validate(view.space).ranges(), direction),
        families=families_of(trials, arms, noise, direction),
        lr=lr_sensitivity(trials, direction),
        pruned=pruned_at(trials, rungs),
        spared=ran_on,
        spared_good=good,
        pruning=effect_of(trials, direction, view.horizon_steps) if rungs else None,
        notes=_notes(view, trials, has_noise=noise is not None),
    )


def _notes(view: StudyView, trials: Sequence[EndedTrial], *, has_noise: bool) -> list[str]:
    notes = ["search scores come from one seed each, and the best of many is optimistic: none of them is a result"]
    if len(trials) < view.counts.ended:
        notes.append(f"made of the latest {len(trials)} of {view.counts.ended} trials")
    pruned = sum(trial.state == "pruned" for trial in trials)
    if pruned:
        notes.append(
            f"{pruned} of {len(trials)} trials were pruned: importance and medians rest on those that passed, and a "
            "family that starts slowly looks worse than it is"
        )
    if trials and not has_noise:
        notes.append("how much seeds matter is not known before the confirmation: search scores have no interval")
    return notes
