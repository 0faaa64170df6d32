"""What becomes of a recurrence's due time: which one it is, whether there is room, and the study of that night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from search_spaces.log import bind
from search_spaces.problems import Conflict, InvalidSpec, Problem, StoreUnavailable
from search_spaces.ranges import AnyRange, FloatRange
from search_spaces.recurrence import RecurrenceSpec, night_name
from search_spaces.results import Answer, Arm, Difference
from search_spaces.space import Space
from search_spaces.study import StudySpec, StudyTemplate, WarmStartSpec
from search_spaces.work import OfferedTask
from store.held import as_time
from store.nights import Decide, Decision, Due, Night

from .due_times import COUNTED, deadline_after, due_between, next_due
from .opponents import CURRENT
from .paired import paired_gain
from .seeds import derived_seed
from .submission import Resolution, resolve_submission
from .widening import edges, with_ranges

log = bind(__name__)

GRACE_SECONDS = 300.0
"""A due time so old is late: while clocks run, each has its night; late ones are caught up by policy."""
MOST_WAITING = 100
"""Nights of a recurrence that may wait; further ones are skipped."""
MINUTE = 60.0


def deciding(offers: Sequence[OfferedTask]) -> Decide:
    """Return what decides a due time, by what workers have offered."""

    def decide(due: Due) -> Decision:
        first, spec = due.recurrence.next_due_at, due.recurrence.spec
        if first is None or first > due.now:  # the clock was put back: what was computed is too far away
            return Decision(next_due(spec, due.now))
        return _decide(due, offers, *due_between(spec, first, due.now))

    return decide


def _decide(due: Due, offers: Sequence[OfferedTask], dues: Sequence[float], more: bool) -> Decision:
    spec = due.recurrence.spec
    fresh = [at for at in dues if due.now - at <= GRACE_SECONDS]
    late = len(dues) - len(fresh)
    following = fresh[1] if len(fresh) > 1 else next_due(spec, due.now)
    if fresh:
        return _with_missed(_night(due, offers, fresh[0]), following, late, more)
    if not dues:
        return Decision(following)
    if spec.catch_up == "once":
        return _with_missed(_night(due, offers, dues[-1]), following, late - 1, more)
    return _with_missed(Night(dues[-1], "skipped", reason="no clock ran at its time"), following, late - 1, more)


def _with_missed(night: Night, following: float | None, missed: int, more: bool) -> Decision:
    if not missed:
        return Decision(following, night)
    count = f"{COUNTED} or more" if more else str(missed)
    said = f"no clock ran at {count} due time{'s' if missed > 1 else ''} before it"
    return Decision(following, replace(night, missed=missed, notes=[*night.notes, said]), missed)


def _night(due: Due, offers: Sequence[OfferedTask], at: float) -> Night:
    """Return the night of a due time, by whether there is room for it now."""
    spec = due.recurrence.spec
    if due.under_way < spec.max_concurrent and not due.waiting:
        return begun(due, offers, at)
    if spec.overlap == "queue" and due.waiting < MOST_WAITING:
        return Night(at, "waiting", reason=f"{due.under_way} under way")
    return Night(at, "skipped", reason=f"{due.under_way} under way, {due.waiting} waiting")


def begun_waiting(offers: Sequence[OfferedTask], due: Due, at: float) -> Night | None:
    """Return a night that has waited, once there is room for it."""
    return begun(due, offers, at) if due.under_way < due.recurrence.spec.max_concurrent else None


def asked_for(due: Due, offers: Sequence[OfferedTask]) -> Night:
    """Return the night that somebody asks for now; its due time is this minute.

    Raises:
        Conflict: as many nights as may be are under way, and the policy is not to queue.
    """
    night = _night(due, offers, due.now // MINUTE * MINUTE)
    if night.state == "skipped":
        raise Conflict(
            f"{night.reason}: max_concurrent is {due.recurrence.spec.max_concurrent}", field="max_concurrent"
        )
    return night


def begun(due: Due, offers: Sequence[OfferedTask], at: float) -> Night:
    """Return a night with its study; what is wrong with it now fails this night, and no other."""
    try:
        return _begun(due, offers, at)
    except StoreUnavailable:
        raise
    except Problem as problem:
        return Night(at, "failed", reason=str(problem))
    except Exception as defect:
        # Tried again, it would fail again, and no later night would ever be reached.
        log.exception("night_not_made", recurrence=due.recurrence.spec.name)
        return Night(at, "failed", reason=f"a defect of the service ({type(defect).__name__}): its log has the details")


def _begun(due: Due, offers: Sequence[OfferedTask], at: float) -> Night:
    widened, notes = dict(due.recurrence.widened), list[str]()
    study = _study(due, at)
    resolution = resolve_submission(study, offers)
    if resolution is not None:
        plain = resolution[1]
        study, resolution = _resolved(study, plain, widened, offers)
        for name, (narrow, wide) in _edges(due, resolution[1]).items():
            tried = widened | {name: wide.model_dump(mode="json")}
            try:
                study, resolution = _resolved(study, plain, tried, offers)
            except InvalidSpec as problem:
                notes.append(f"{name} sat at the edge of its range, which cannot be wider: {problem.detail}")
                continue
            widened = tried
            before = due.earlier[0].study
            notes.append(f"{name} sat at the edge of {_words(narrow)} in {before}: its range is {_words(wide)} now")
    resolved, space = resolution or (None, None)
    return Night(at, "running", notes=notes, study=study, resolved=resolved, space=space, widened=widened)


def _resolved(
    study: StudySpec, plain: Space, widened: dict[str, Any], offers: Sequence[OfferedTask]
) -> tuple[StudySpec, Resolution]:
    """Return a night's study with wider ranges, and what it resolves to; its task is known to be offered."""
    wide = study.model_copy(update={"space": with_ranges(study.space, plain, widened)})
    resolution = resolve_submission(wide, offers)
    assert resolution is not None
    return wide, resolution


def _study(due: Due, at: float) -> StudySpec:
    spec = due.recurrence.spec
    template = spec.template
    name = night_name(spec.name, as_time(at))
    earlier = [night.study for night in due.earlier[: spec.warm_nights]]
    said: dict[str, Any] = {field: getattr(template, field) for field in StudyTemplate.model_fields}
    said |= {
        "name": name,
        "current": due.recurrence.in_use,
        # Fresh seeds each night: else every night would find again what happens to suit the same ones.
        "seed": derived_seed(template.seed, name),
        "budget": template.budget.model_copy(update={"deadline": deadline_after(spec, at)}),
        "warm_start": WarmStartSpec(studies=earlier, top=template.warm_start.top),
    }
    return StudySpec(**said)


def _edges(due: Due, space: Space) -> dict[str, tuple[AnyRange, AnyRange]]:
    """Return the ranges of tonight's `space` at whose edge last night's finalist sat, each with a wider one."""
    if not due.recurrence.spec.widen or not due.earlier:
        return {}
    last = due.earlier[0]
    finalist = _arm(last.answer, last.answer.evidence.finalist)
    params = None if finalist is None else last.space.params_of(finalist.candidate)
    if params is None:
        return {}
    tonight = space.ranges()
    # Ratios of parameter groups are the preset's: a spec cannot give them ranges.
    named = [name for name in last.answer.evidence.at_edge if not name.startswith("lr_ratios.")]
    found = edges(last.space, params, named)
    return {name: ranges for name, ranges in found.items() if tonight.get(name) == ranges[0]}


def _words(range_: AnyRange) -> str:
    if isinstance(range_, FloatRange):
        return f"{range_.low:g} to {range_.high:g}"
    low, high = range_.ends[0], range_.ends[-1]
    return f"{low} to {high}"


def check_template(spec: RecurrenceSpec, offers: Sequence[OfferedTask]) -> None:
    """Refuse a template whose study would be refused, as far as workers have offered its task.

    Raises:
        Problem: what the study would be refused with; `field` begins with `template`.
    """
    study = StudySpec(**{field: getattr(spec.template, field) for field in StudyTemplate.model_fields}, name="a")
    try:
        resolve_submission(study, offers)
    except Problem as problem:
        problem.field = f"template.{problem.field}" if problem.field else "template"
        raise


# The end


def outcome_of(answer: Answer | None) -> dict[str, Any]:
    """Return what a night keeps of its study's answer, as the fields of a `RunView`."""
    if answer is None:
        return {}
    said = {"verdict", "sentence", "candidate", "candidate_text", "metric"}
    difference = difference_in_use(answer)
    outcome: dict[str, Any] = answer.model_dump(mode="json", include=said)
    return outcome | {"difference": None if difference is None else difference.model_dump(mode="json")}


def difference_in_use(answer: Answer) -> Difference | None:
    """Return the gain of the finalist over the schedule in use, paired by the confirmation's seeds.

    None where one of them was not confirmed, or on fewer than two seeds.
    """
    finalist, current = (_arm(answer, name) for name in (answer.evidence.finalist, CURRENT))
    if finalist is None or current is None or answer.metric is None:
        return None
    paired = paired_gain(finalist.values, current.values, answer.metric.direction)
    if paired is None:
        return None
    return Difference(against=CURRENT, gain=paired.gain, interval=paired.interval, p_value=paired.p_value, n=paired.n)


def _arm(answer: Answer, name: str | None) -> Arm | None:
    return next((arm for arm in answer.evidence.arms if arm.name == name), None)
