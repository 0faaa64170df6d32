"""The candidate as text for optax: the schedule as a function of the count, and the optimizer where it is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..candidate import Candidate
from ..optimizers import SGD, Adam, AdamW, Lion, RMSprop
from .factor import factor_imports, factor_lines
from .pytorch import constants, header
from .text import comment, indented, module

Lines = list[str]

SCHEDULE = [
    "FACTORS = jnp.asarray([lr_factor(step) for step in range(TOTAL_STEPS)])",
    "",
    "",
    "def schedule(count, ratio=1.0):",
    *indented(['"""LR of update `count` (the first is 0), times the ratio of a parameter group; may be traced."""']),
    *indented(["return INITIAL_LR * ratio * FACTORS[jnp.minimum(count, TOTAL_STEPS - 1)]"]),
]


def optax_text(candidate: Candidate, horizon: int, _mode: str) -> str:
    """Return the module's text."""
    imports = [*factor_imports(candidate.schedule), "", "import jax.numpy as jnp", "import optax"]
    head = [*header(candidate, horizon)[:1], "", *imports, "", *constants(candidate, horizon)]
    return module(head, factor_lines(candidate.schedule, horizon), SCHEDULE, _optimizer(candidate))


def _optimizer(candidate: Candidate) -> Lines:
    write = OPTIMIZERS.get(candidate.optimizer.kind)
    text = write(candidate.optimizer) if write is not None else None
    if text is None:
        title = candidate.optimizer.title
        return [
            comment(f"optax has no optimizer that is exactly {title} as it was trained:"),
            comment("take the one that you trust with learning_rate=schedule."),
        ]
    if not candidate.lr_ratios:
        return [f"optimizer = {text.replace('RATE', 'schedule')}"]
    each = text.replace("RATE", "lambda count: schedule(count, ratio)")
    return [
        "def optimizer_of(ratio):",
        *indented(['"""Return the optimizer of one parameter group."""', f"return {each}"]),
        "",
        "",
        comment("Give it the labels of your parameters: optax.multi_transform(transforms, labels)"),
        'transforms = {name: optimizer_of(ratio) for name, ratio in {**LR_RATIOS, "rest": 1.0}.items()}',
    ]


def _decayed(weight_decay: float, text: str) -> str:
    """Return an optimizer with L2 decay: what is added to the gradient before it sees it."""
    return f"optax.chain(optax.add_decayed_weights({weight_decay!r}), {text})" if weight_decay else text


def _sgd(spec: SGD) -> str:
    momentum = f", momentum={spec.momentum!r}, nesterov={spec.nesterov!r}" if spec.momentum else ""
    return _decayed(spec.weight_decay, f"optax.sgd(RATE{momentum})")


def _adam(spec: Adam) -> str:
    return _decayed(spec.weight_decay, f"optax.adam(RATE, b1={spec.beta1!r}, b2={spec.beta2!r}, eps={spec.eps!r})")


def _adamw(spec: AdamW) -> str:
    betas = f"b1={spec.beta1!r}, b2={spec.beta2!r}, eps={spec.eps!r}"
    return f"optax.adamw(RATE, {betas}, weight_decay={spec.weight_decay!r})"


def _lion(spec: Lion) -> str:
    return f"optax.lion(RATE, b1={spec.beta1!r}, b2={spec.beta2!r}, weight_decay={spec.weight_decay!r})"


def _rmsprop(spec: RMSprop) -> str | None:
    if spec.centered:
        return None
    trace = f"optax.trace({spec.momentum!r}), " if spec.momentum else ""
    scale = f"optax.scale_by_rms(decay={spec.alpha!r}, eps={spec.eps!r}, eps_in_sqrt=False)"
    return _decayed(spec.weight_decay, f"optax.chain({scale}, {trace}optax.scale_by_learning_rate(RATE))")


OPTIMIZERS: dict[str, Callable[[Any], str | None]] = {
    "sgd": _sgd, "adam": _adam, "adamw": _adamw, "lion": _lion, "rmsprop": _rmsprop,
}  # fmt: skip
"""What writes each optimizer at the LR `RATE`; None where optax's is another."""
