"""What the search proposes next: `current` and the baselines, what a user wishes, then what the sampler draws."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice

from search_spaces.candidate import Candidate
from search_spaces.points import HORIZON_FRACTION
from search_spaces.schedules import area_left, fits, rise_steps
from search_spaces.space import Space
from search_spaces.steps import whole_steps
from search_spaces.study import ResolvedStudy, StudySpec
from search_spaces.work import Seeding
from store.history import HISTORY, IMPORTED
from store.proposals import NewProposal, Past
from store.states import ENDED_TRIAL

from .ageing import with_aged
from .curve_model import model_points
from .near import near_point
from .opponents import BASELINE, CURRENT, Opponents, Try, edge_tries, first_tries, is_proposed
from .sampling import Drawing, Point, draw_points
from .seeds import derived_share

SAMPLED, FOREIGN = "sampler", "foreign"
SAMPLERS_OWN = 4
"""Of a study that starts warm, each so many-th place is TPE's; the others are near the best known."""


SAMPLERS_THIRD = 3
"""Where a model of the LR curve chooses, each so many-th place is TPE's, which it learns from."""
BEFORE_THE_MODEL = 6
"""Trials that must have shown something before the model chooses."""


@dataclass(frozen=True)
class Search:
    """A running search: everything about it that does not change as trials end."""

    spec: StudySpec
    resolved: ResolvedStudy
    space: Space
    opponents: Opponents
    wishes: tuple[Candidate, ...] = ()
    """Candidates of past trials that are to be tried first, after the baselines."""
    seeding: Seeding = "seeded"
    """What a seed does to a training of the task."""
    has_test_split: bool = False
    """Whether workers can evaluate the answer on a test split."""
    redrawable: bool = True
    """Whether a training can have another horizon: not in a loop or a script of the user's own."""

    @property
    def budget(self) -> int:
        """Trials that the search has in all."""
        return self.spec.budget.trials


# Every trial of the search trains with the study's own seed: the same initial weights and the same data order halve
# the variance of a comparison. Fresh seeds are for the confirmation.


def next_proposals(
    search: Search, past: Sequence[Past], wanted: int, taken: Collection[int] | None = None
) -> list[NewProposal]:
    """Return up to `wanted` proposals more, none beyond the budget.

    `taken` are the places that have a proposal, where `past` does not show every one. Past trials that the study was
    sent are among `past`, with the origin `history`: the sampler learns from all of them.

    With `sampler.lag` = L the proposal in place n is made of the proposals 0 ... n-L-1 alone, and only once all of
    them have ended: fewer than `wanted` may be returned then.
    """
    ours = [trial for trial in past if trial.seq is not None and trial.purpose == "search"]
    shown = {trial.seq for trial in ours if trial.seq is not None}
    places = _free_places(search, shown if taken is None else taken, wanted)
    if search.spec.sampler.lag is None:
        return _by_what_has_ended(search, past, ours, places)
    sent = [trial for trial in past if trial.origin == HISTORY]
    return _by_lag(search, sent, ours, places, search.spec.sampler.lag)


def _free_places(search: Search, taken: Collection[int], wanted: int) -> list[int]:
    free = (seq for seq in range(search.budget) if seq not in taken)
    return list(islice(free, max(0, wanted)))


def _by_what_has_ended(
    search: Search, past: Sequence[Past], ours: Sequence[Past], places: Sequence[int]
) -> list[NewProposal]:
    openings = _openings(search, ours, ours)[: len(places)]
    drawn = places[len(openings) :]
    learned = with_aged([trial for trial in past if _is_search(trial)], search.resolved.direction)
    seen = _as_spans(learned)
    points = _points(search, learned, drawn)
    return [
        *(_of_opening(search, seq, opening) for seq, opening in zip(places, openings, strict=False)),
        *(_of_point(search, seq, point, seen) for seq, point in zip(drawn, points, strict=True)),
    ]


def _by_lag(
    search: Search, sent: Sequence[Past], ours: Sequence[Past], places: Sequence[int], lag: int
) -> list[NewProposal]:
    made: list[NewProposal] = []
    by_place = {trial.seq: trial for trial in ours}
    for seq in places:
        seen = [by_place.get(place) for place in range(seq - lag)]
        ended = [trial for trial in seen if trial is not None and trial.state in ENDED_TRIAL]
        if len(ended) < len(seen):
            break
        openings = _openings(search, ours, ended, made)
        if openings:
            made.append(_of_opening(search, seq, openings[0]))
            continue
        learned = with_aged([*sent, *ended], search.resolved.direction)
        made.append(_of_point(search, seq, _points(search, learned, [seq])[0], _as_spans(learned)))
    return made


def _openings(
    search: Search, proposed: Sequence[Past], ended: Sequence[Past], made: Sequence[NewProposal] = ()
) -> list[Try | Candidate]:
    """Return what comes before the sampler's points and is not there yet: the baselines, then the wishes.

    A study that starts warm tries `current` and the best of earlier studies before it turns to the baselines.
    """
    tries = [left for left in _tries_left(search, proposed, ended) if not _is_made(left, made)]
    wishes = _wishes_left(search, proposed, made)
    if not search.spec.warm_start.studies:
        return [*tries, *wishes]
    own = [one for one in tries if one.name == CURRENT]
    return [*own, *wishes, *(one for one in tries if one.name != CURRENT)]


def _tries_left(search: Search, proposed: Sequence[Past], ended: Sequence[Past]) -> list[Try]:
    """Return the baselines' trials that are not yet among `proposed`; `ended` decides which edges follow."""
    edges = edge_tries(search.opponents, search.budget, ended, search.resolved.direction)
    wanted = [*first_tries(search.opponents, search.budget), *edges]
    return [one for one in wanted if not is_proposed(one, proposed) and _is_point(search, one)]


def _is_point(search: Search, wanted: Try) -> bool:
    return search.space.params_of(wanted.candidate) is not None


def _is_made(wanted: Try, made: Sequence[NewProposal]) -> bool:
    return any(new.origin == wanted.origin and new.candidate == wanted.candidate for new in made)


def _wishes_left(search: Search, proposed: Sequence[Past], made: Sequence[NewProposal] = ()) -> list[Candidate]:
    """Return the candidates to be tried first that are neither `proposed` nor `made` yet."""
    there = [trial.candidate for trial in proposed if trial.origin == IMPORTED]
    there += [new.candidate for new in made if new.origin == IMPORTED]
    if search.opponents.current_inside:
        there.append(search.opponents.current)
    return [wish for wish in search.wishes if wish not in there]


def _points(search: Search, learned: Sequence[Past], places: Sequence[int]) -> list[Point]:
    """Draw points: some places are TPE's, the others a model's; of a study that starts warm, near the best known."""
    drawing, kind, is_warm = _drawing(search), search.spec.sampler.kind, bool(search.spec.warm_start.studies)
    free = [seq for seq in places if seq % (SAMPLERS_OWN if is_warm else SAMPLERS_THIRD)]
    found = dict[int, Point]()
    if free and kind == "curves" and _sampled(learned) >= BEFORE_THE_MODEL:
        found = dict(zip(free, model_points(drawing, learned, free, is_near=is_warm) or (), strict=False))
    if is_warm and kind != "random":
        near = {seq: near_point(drawing, learned, seq) for seq in free if seq not in found}
        found |= {seq: point for seq, point in near.items() if point is not None}
    rest = [seq for seq in places if seq not in found]
    if rest:
        found |= dict(zip(rest, draw_points(drawing, learned, rest), strict=True))
    return [found[seq] for seq in places]


def _sampled(learned: Sequence[Past]) -> int:
    """Return how many trials have shown something that are no baselines: those say too little of the space."""
    told = [trial for trial in learned if trial.state in ENDED_TRIAL or trial.rungs]
    return sum(not trial.origin.startswith(BASELINE) and trial.origin != CURRENT for trial in told)


def _drawing(search: Search) -> Drawing:
    resolved = search.resolved
    return Drawing(search.space, resolved.direction, search.spec.sampler, search.spec.seed, resolved.horizon_steps)


def _is_search(trial: Past) -> bool:
    return trial.purpose == "search"


def _of_opening(search: Search, seq: int, opening: Try | Candidate) -> NewProposal:
    return _of_try(search, seq, opening) if isinstance(opening, Try) else _of_wish(search, seq, opening)


def _of_try(search: Search, seq: int, wanted: Try) -> NewProposal:
    """A baseline's trial: never pruned, so that the opponents are known at the full horizon."""
    return NewProposal(
        seq=seq,
        purpose="search",
        origin=wanted.origin,
        candidate=wanted.candidate,
        params=search.space.params_of(wanted.candidate),
        seed=search.spec.seed,
        prunable=False,
        exempt_steps=_exempt_steps(search, wanted.candidate),
        phases=_phases(search, wanted.candidate),
    )


def _of_wish(search: Search, seq: int, wish: Candidate) -> NewProposal:
    """A candidate of a past trial: a trial like those of the sampler, which may be pruned or confirmed."""
    params = search.space.params_of(wish)
    assert params is not None
    return _of_point(search, seq, Point(wish, params), seen="", origin=IMPORTED)


def _of_point(search: Search, seq: int, point: Point, seen: str, origin: str = SAMPLED) -> NewProposal:
    return NewProposal(
        seq=seq,
        purpose="search",
        origin=origin,
        candidate=point.candidate,
        params=dict(point.params),
        seed=search.spec.seed,
        prunable=search.spec.pruner.kind != "none",
        exempt_steps=_exempt_steps(search, point.candidate),
        phases=_phases(search, point.candidate),
        run_on=derived_share(search.spec.seed, "run_on", seq) < search.spec.pruner.run_on,
        seen=seen,
        horizon_steps=_own_horizon(search, point),
    )


def _exempt_steps(search: Search, candidate: Candidate) -> int:
    """Return the step before which a candidate is judged at no rung: inside its own rise.

    Where each rung is the end of a whole schedule there is no rise any more, but a rung may be too short for it.
    """
    resolved = search.resolved
    if search.spec.pruner.fidelity != "rescaled":
        return rise_steps(candidate.schedule, resolved.horizon_steps)
    return next((rung for rung in resolved.rungs if fits(candidate.schedule, rung)), resolved.horizon_steps)


def _own_horizon(search: Search, point: Point) -> int | None:
    """Return the steps of a training whose horizon is searched too; None where every one has the study's."""
    fraction = point.params.get(HORIZON_FRACTION)
    return whole_steps(float(fraction), search.resolved.horizon_steps) if isinstance(fraction, float) else None


def _phases(search: Search, candidate: Candidate) -> list[float] | None:
    """Return how far a candidate's schedule has come at each rung, where trials of one phase are compared."""
    resolved = search.resolved
    if search.spec.pruner.fidelity != "phase":
        return None
    return [area_left(candidate.schedule, rung, resolved.horizon_steps) for rung in resolved.rungs]


def _as_spans(past: Sequence[Past]) -> str:
    """Write what the sampler saw as spans: 0-3,5,foreign:7,history:0-9.

    They are the places of ended proposals, the numbers of foreign trials and the places of past ones.

    >>> _as_spans([])
    ''
    """
    places = sorted(trial.seq for trial in past if trial.seq is not None and _has_ended(trial))
    others: dict[str, list[int]] = {FOREIGN: [], HISTORY: []}
    for trial in past:
        if trial.seq is None and _has_ended(trial):
            others[trial.origin].append(trial.number or 0)
    named = [f"{origin}:{span}" for origin, numbers in others.items() for span in _spans(sorted(numbers))]
    return ",".join([*_spans(places), *named])


def _has_ended(trial: Past) -> bool:
    return trial.purpose == "search" and trial.state in ENDED_TRIAL


def _spans(numbers: Sequence[int]) -> list[str]:
    """Write rising numbers as spans without gaps.

    >>> _spans([0, 1, 2, 5])
    ['0-2', '5']
    """
    ends: list[list[int]] = []
    for number in numbers:
        if ends and number == ends[-1][1] + 1:
            ends[-1][1] = number
        else:
            ends.append([number, number])
    return [str(first) if first == last else f"{first}-{last}" for first, last in ends]
