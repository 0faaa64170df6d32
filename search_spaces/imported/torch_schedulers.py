"""Constructors of torch.optim.lr_scheduler, with torch's defaults, each read as the curve that torch plays."""

from __future__ import annotations

from typing import Any

from ..problems import InvalidSpec
from .calls import Call, Function
from .reading import (
    Document,
    Known,
    Read,
    Reading,
    Setting,
    cosine,
    cosine_cycles,
    exponential,
    formula,
    milestones,
    number,
    numbers,
    polynomial,
    stairs,
    warmed,
    whole,
)

Values = dict[str, Any]


def _constant(values: Values, setting: Setting) -> Reading:
    n, factor = whole(values, "total_iters", least=0), number(values, "factor")
    horizon = setting.horizon_or(n)
    document: Document = formula(repr(float(factor)))
    if n < horizon:
        document = {"kind": "piecewise", "boundaries": [n / horizon], "values": [factor, 1.0]}
    return Reading("ConstantLR", document if n else {"kind": "constant"}, horizon, span=n, span_name="total_iters")


def _step(values: Values, setting: Setting) -> Reading:
    every = whole(values, "step_size")
    horizon = setting.horizon_or(None)
    document = stairs(horizon, every, number(values, "gamma", above=0))
    never = every if every >= horizon else None
    return Reading("StepLR", document, horizon, ends_at=never, span=every, span_name="step_size")


def _multistep(values: Values, setting: Setting) -> Reading:
    places = [int(place) for place in numbers(values, "milestones")]
    last = max(places, default=0)
    horizon = setting.horizon_or(None)
    document = milestones(horizon, places, number(values, "gamma", above=0))
    late = last if last >= horizon else None
    return Reading("MultiStepLR", document, horizon, ends_at=late, span=last, span_name="the last milestone")


def _exponential(values: Values, setting: Setting) -> Reading:
    horizon = setting.horizon_or(None)
    return Reading("ExponentialLR", exponential(horizon, number(values, "gamma", above=0)), horizon)


def _linear(values: Values, setting: Setting) -> Reading:
    start, end = number(values, "start_factor", above=0), number(values, "end_factor")
    n = whole(values, "total_iters")
    horizon = setting.horizon_or(n)
    if end == 1:
        document = warmed(lambda _: {"kind": "constant"}, horizon, n, start)
        return Reading("LinearLR", document, horizon, warmup=n, span=n, span_name="total_iters")
    document = {"kind": "linear", "start_factor": start, "end_factor": start + (end - start) * min(1, horizon / n)}
    if n < horizon:
        document = {"kind": "knots", "positions": [0.0, n / horizon], "values": [start, end]}
    return Reading("LinearLR", document, horizon, ends_at=n, span=n, span_name="total_iters")


def _polynomial(values: Values, setting: Setting) -> Reading:
    n, power = whole(values, "total_iters"), number(values, "power", above=0)
    horizon = setting.horizon_or(n)
    document = polynomial(horizon, n, power, 0.0)
    return Reading("PolynomialLR", document, horizon, ends_at=n, span=n, span_name="total_iters")


def _cosine(values: Values, setting: Setting) -> Reading:
    n = whole(values, "T_max")
    horizon = setting.horizon_or(n)
    document = cosine(horizon, n, setting.share(number(values, "eta_min"), "eta_min"))
    notes = ("after T_max the LR rises again, as a wave",) if n < horizon else ()
    return Reading("CosineAnnealingLR", document, horizon, ends_at=n, span=n, span_name="T_max", notes=notes)


def _warm_restarts(values: Values, setting: Setting) -> Reading:
    first, multiplier = whole(values, "T_0"), whole(values, "T_mult")
    horizon = setting.horizon_or(first)
    end = setting.share(number(values, "eta_min"), "eta_min")
    document, full = cosine_cycles(horizon, first, multiplier, end)
    return Reading("CosineAnnealingWarmRestarts", document, horizon, cycle=full, span=first, span_name="T_0")


def _one_cycle(values: Values, setting: Setting) -> Reading:
    total = values["total_steps"]
    if total is None:
        total = whole(values, "epochs") * whole(values, "steps_per_epoch")
    total = whole({"total_steps": total}, "total_steps")
    document = {
        "kind": "one_cycle", "peak_fraction": number(values, "pct_start"), "div_factor": number(values, "div_factor"),
        "final_div_factor": number(values, "final_div_factor"), "anneal": values["anneal_strategy"],
        "three_phase": values["three_phase"],
    }  # fmt: skip
    horizon = setting.horizon_or(total)
    notes = ("torch raises an error at the update after total_steps",) if horizon > total else ()
    if horizon < total:
        notes = (f"the training ends after {horizon} of total_steps {total}: the LR has not come down",)
    lr = number(values, "max_lr", above=0)
    return Reading(
        "OneCycleLR", document, total, lr, ends_at=total, span=total, span_name="total_steps", notes=notes
    )  # fmt: skip


def _cyclic(values: Values, setting: Setting) -> Reading:
    top, up = number(values, "max_lr", above=0), number(values, "step_size_up", above=0)
    down = up if values["step_size_down"] is None else number(values, "step_size_down", above=0)
    length, floor = up + down, number(values, "base_lr") / top
    horizon = setting.horizon_or(None)
    if length != int(length):
        raise InvalidSpec("a cycle of a whole number of steps is read", field="step_size_up")
    document: Document = {
        "kind": "cyclic", "floor": floor, "cycle_length": length / horizon, "up_fraction": up / length,
        "mode": values["mode"], "gamma": number(values, "gamma"),
    }  # fmt: skip
    if length > horizon:
        document = formula(_first_cycle(floor, up, down, values))
    return Reading("CyclicLR", document, horizon, top, cycle=int(length), span=int(length), span_name="a cycle")


def _first_cycle(floor: float, up: float, down: float, values: Values) -> str:
    scale = f" * {number(values, 'gamma')!r} ** t" if values["mode"] == "exp_range" else ""
    return f"{floor!r} + {1 - floor!r} * where(t <= {up}, t / {up}, ({up + down} - t) / {down}){scale}"


def _lambda(values: Values, setting: Setting) -> Reading:
    function = values["lr_lambda"]
    if not isinstance(function, Function):
        raise InvalidSpec("a lambda is read, not the name of a function", field="lr_lambda")
    return Reading("LambdaLR", formula(function.formula), setting.horizon_or(None))


def _multiplicative(values: Values, setting: Setting) -> Reading:
    function = values["lr_lambda"]
    try:
        ratio = float(function.formula)
    except (AttributeError, ValueError):
        raise InvalidSpec("a lambda that gives a number is read", field="lr_lambda") from None
    horizon = setting.horizon_or(None)
    return Reading("MultiplicativeLR", exponential(horizon, ratio), horizon)


def _plateau(values: Values, setting: Setting) -> Reading:
    horizon = setting.horizon_or(None)
    patience, cooldown = whole(values, "patience", least=0), whole(values, "cooldown", least=0)
    document: Document = {
        "kind": "plateau", "factor": number(values, "factor"), "patience": min(1.0, patience / horizon),
        "cooldown": min(1.0, cooldown / horizon), "threshold": number(values, "threshold"),
        "threshold_mode": values["threshold_mode"], "min_factor": setting.share(number(values, "min_lr"), "min_lr"),
    }  # fmt: skip
    ends_at = patience if patience >= horizon else None
    return Reading("ReduceLROnPlateau", document, horizon, ends_at=ends_at, span=patience, span_name="patience")


def _sequential(values: Values, setting: Setting) -> Reading:
    schedulers, borders = values["schedulers"], numbers(values, "milestones")
    if not isinstance(schedulers, list) or len(schedulers) != 2 or len(borders) != 1:
        raise InvalidSpec("a warm-up and one scheduler after it are read", field="schedulers")
    rise, fall = schedulers
    if not isinstance(rise, Call) or not isinstance(fall, Call) or fall.name not in TORCH:
        raise InvalidSpec("write the two schedulers out", field="schedulers")
    w = int(borders[0])
    warmup = _warmup(rise, w)
    known = TORCH[fall.name]
    left = Setting(None if setting.horizon is None else setting.horizon - w, setting.lr, setting.steps_per_epoch)
    if left.horizon is not None and left.horizon < 1:
        n = whole(rise.bound(TORCH["LinearLR"].parameters), "total_iters") if rise.name == "LinearLR" else w
        document = warmed(lambda _: {"kind": "constant"}, setting.horizon_or(None), n, warmup["start_factor"])
        return Reading("SequentialLR", document, setting.horizon_or(None), warmup=w, span=w, span_name="the milestone")
    body = known.read(fall.bound(known.parameters), left)
    if "warmup" in body.document or body.origin in ("OneCycleLR", "CyclicLR", "ReduceLROnPlateau"):
        raise InvalidSpec(f"{body.origin} behind a warm-up is not read", field="schedulers")
    horizon = body.horizon + w
    document = {**body.document, "warmup": {**warmup, "fraction": w / horizon}}
    later = {name: None if length is None else length + w for name, length in _lengths(body).items()}
    return Reading(
        f"SequentialLR of {rise.name} and {fall.name}", document, horizon, body.lr, w,
        span=body.span, span_name=body.span_name, notes=body.notes, **later,
    )  # fmt: skip


def _lengths(body: Reading) -> dict[str, int | None]:
    return {"ends_at": body.ends_at, "cycle": body.cycle}


def _warmup(rise: Call, border: int) -> Document:
    """Return the warm-up that a first scheduler of `border` steps is."""
    if rise.name == "ConstantLR":
        values = rise.bound(TORCH["ConstantLR"].parameters)
        if whole(values, "total_iters") >= border:
            return {"shape": "constant", "start_factor": number(values, "factor")}
    if rise.name == "LinearLR":
        values = rise.bound(TORCH["LinearLR"].parameters)
        start, n = number(values, "start_factor"), whole(values, "total_iters")
        if values["end_factor"] == 1 and n == border:
            return {"start_factor": start, "inclusive": False}
        if values["end_factor"] == 1 and n == border - 1:
            first = (start * border - 1) / (border - 1)
            if first >= 0:
                return {"start_factor": first, "inclusive": True}
    raise InvalidSpec(
        "the first has to be LinearLR to end_factor 1, or ConstantLR, up to the milestone", field="schedulers"
    )


def _known(name: str, read: Read, **parameters: Any) -> tuple[str, Known]:
    return name, Known(f"torch.optim.lr_scheduler.{name}", {"optimizer": ..., **parameters, "last_epoch": -1}, read)


TORCH: dict[str, Known] = dict([
    _known("ConstantLR", _constant, factor=1 / 3, total_iters=5),
    _known("StepLR", _step, step_size=..., gamma=0.1),
    _known("MultiStepLR", _multistep, milestones=..., gamma=0.1),
    _known("ExponentialLR", _exponential, gamma=...),
    _known("LinearLR", _linear, start_factor=1 / 3, end_factor=1.0, total_iters=5),
    _known("PolynomialLR", _polynomial, total_iters=5, power=1.0),
    _known("CosineAnnealingLR", _cosine, T_max=..., eta_min=0.0),
    _known("CosineAnnealingWarmRestarts", _warm_restarts, T_0=..., T_mult=1, eta_min=0.0),
    _known(
        "OneCycleLR", _one_cycle, max_lr=..., total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3,
        anneal_strategy="cos", cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25.0,
        final_div_factor=1e4, three_phase=False,
    ),
    _known(
        "CyclicLR", _cyclic, base_lr=..., max_lr=..., step_size_up=2000, step_size_down=None, mode="triangular",
        gamma=1.0, scale_fn=None, scale_mode="cycle", cycle_momentum=True, base_momentum=0.8, max_momentum=0.9,
    ),
    _known("LambdaLR", _lambda, lr_lambda=...),
    _known("MultiplicativeLR", _multiplicative, lr_lambda=...),
    _known(
        "ReduceLROnPlateau", _plateau, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel",
        cooldown=0, min_lr=0, eps=1e-8,
    ),
    _known("SequentialLR", _sequential, schedulers=..., milestones=...),
])  # fmt: skip
"""By the name of the class."""
