"""What a study that starts warm takes of earlier ones, once, before its first proposal.

Their best candidates become first proposals, their trials what the sampler learns from: the same rows that
`POST .../history` makes, with the age of their study. Only what fits is taken, and the notes say what did not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from search_spaces.candidate import Candidate
from search_spaces.history import PastTrial
from search_spaces.misfits import misfit
from search_spaces.problems import InvalidSpec
from search_spaces.study import StudySpec
from store import Store
from store.earlier_trials import EarlierStudy, earlier_study, missing_studies
from store.history import Kept, Receiver, remember
from store.night_views import add_notes
from store.studies import LiveStudy

from .past_trials import FIRST_SHARE, judge
from .sampling import BEST_KEPT, LATEST_KEPT

MOST_TRIALS = (BEST_KEPT + LATEST_KEPT) // 2
"""Of earlier studies, in all: half of what a sampler is shown."""
MOST_NOTES = 8


def check_warm_start(store: Store, spec: StudySpec) -> None:
    """Refuse a study that is to start from one that is not there.

    Raises:
        InvalidSpec: `field` is the place in `warm_start.studies`.
    """
    wanted = spec.warm_start.studies
    missing = missing_studies(store, wanted) if wanted else []
    if missing:
        field = f"warm_start.studies.{wanted.index(missing[0])}"
        raise InvalidSpec(f"there is no study named {missing[0]}", field=field)


def start_warm(store: Store, study: LiveStudy) -> list[str]:
    """Take what fits of a study's `warm_start.studies`; return notes for people. Doing it again takes nothing more."""
    assert study.resolved is not None
    assert study.space is not None
    receiver = Receiver(study.study_id, study.spec, study.resolved, study.space)
    found = [earlier_study(store, name, most=MOST_TRIALS) for name in study.spec.warm_start.studies]
    notes = [
        f"{name} is not there any more, or has not begun"
        for name, one in zip(study.spec.warm_start.studies, found, strict=True)
        if one is None
    ]
    earlier = {age: one for age, one in enumerate(found, start=1) if one is not None}
    most = math.ceil(FIRST_SHARE * study.spec.budget.trials)
    kept = remember(store, study.study_id, taken(receiver, earlier), most_proposals=most)
    notes += _notes(receiver, list(earlier.values()), kept)
    add_notes(store, study.name, notes)
    return notes


def taken(receiver: Receiver, earlier: Mapping[int, EarlierStudy]) -> list[Kept]:
    """Return what a study would take of earlier ones, which come by age: first proposals, then trials."""
    return [*_first(receiver, list(earlier.values())), *_trials(receiver, list(earlier.items()))]


def _first(receiver: Receiver, earlier: Sequence[EarlierStudy]) -> list[Kept]:
    """Return the best candidates of earlier studies as first proposals: the answers, then further ones in turn."""
    chosen: dict[str, Kept] = {}
    for source, candidate in _best(earlier):
        if len(chosen) == receiver.spec.warm_start.top:
            break
        kept = _proposal(receiver, source, candidate)
        chosen.setdefault(kept.trial.candidate.model_dump_json(), kept)
    return list(chosen.values())


def _best(earlier: Sequence[EarlierStudy]) -> Iterator[tuple[str, Candidate]]:
    for one in earlier:
        if one.answer is not None and one.answer.candidate is not None:
            yield one.name, one.answer.candidate
    most = max((len(one.trials) for one in earlier), default=0)
    for place in range(most):
        yield from ((one.name, one.trials[place].candidate) for one in earlier if place < len(one.trials))


def _proposal(receiver: Receiver, source: str, candidate: Candidate) -> Kept:
    params = receiver.space.params_of(candidate)
    point = None if params is None else receiver.space.candidate_of(params)
    if point is None:
        why = misfit(receiver.space, candidate) or "it is no point of the space"
        return Kept(PastTrial(candidate=candidate, source=source), "left_out", why)
    return Kept(PastTrial(candidate=point, source=source), "proposal", f"among the best of {source}", params)


def _trials(receiver: Receiver, earlier: Sequence[tuple[int, EarlierStudy]]) -> list[Kept]:
    """Return the trials of earlier studies for the sampler: half of the places to the latest, half of the rest on."""
    judged: list[Kept] = []
    room = MOST_TRIALS
    for place, (age, one) in enumerate(earlier):
        share = room if place + 1 == len(earlier) else math.ceil(room / 2)
        taken = [_judged(receiver, age, one, index) for index in range(min(share, len(one.trials)))]
        room -= len(taken)
        judged.extend(taken)
    return judged


def _judged(receiver: Receiver, age: int, one: EarlierStudy, place: int) -> Kept:
    trial = one.trials[place]
    task = one.spec.task.model_copy(update={"version": one.resolved.task_version})
    past = PastTrial(
        candidate=trial.candidate,
        value=trial.value,
        horizon_steps=one.resolved.horizon_steps,
        task=task,
        source=one.name,
    )
    judged = judge(receiver, past)
    if (one.resolved.metric, one.resolved.direction) != (receiver.resolved.metric, receiver.resolved.direction):
        return Kept(past, "left_out", f"its metric is {one.resolved.metric}")
    if judged.becomes != "history":
        # What cannot be compared is no candidate to be tried for that alone: the best ones are tried anyway.
        return Kept(past, "left_out", judged.why)
    return Kept(judged.trial, "history", f"a trial of {one.name}", judged.params, age=age)


def _notes(receiver: Receiver, earlier: Sequence[EarlierStudy], kept: Sequence[Kept]) -> list[str]:
    """Say what a study starts from, and what of the earlier ones did not fit."""
    if not earlier:
        return []
    learned = sum(one.becomes == "history" for one in kept)
    first = sum(one.becomes == "proposal" for one in kept)
    sources = ", ".join(one.name for one in earlier)
    notes = [f"started from {sources}: {learned} trials for the sampler, {first} candidates tried first"]
    changed = [one.name for one in earlier if one.space != receiver.space]
    if changed:
        notes.append(f"the space is not that of {', '.join(changed)}: only what fits was taken")
    reasons = [one.why for one in kept if one.becomes == "left_out"]
    notes.extend(f"{reasons.count(why)} left out: {why}" for why in dict.fromkeys(reasons))
    return notes[:MOST_NOTES]
