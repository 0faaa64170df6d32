"""Curves through knots."""

from __future__ import annotations

import numpy as np

from .base import Floats

CLOSEST = 1e-9
"""Knots nearer to one another than this (in fractions of the horizon) are one: the later holds."""


def through_line(x: Floats, knots_x: Floats, knots_y: Floats) -> Floats:
    """Return the piecewise linear curve through knots (not falling in x) at `x`, held outside.

    Two knots at one place are a jump, and the later value holds there.
    """
    return np.asarray(np.interp(x, knots_x, knots_y))


def through_pchip(x: Floats, knots_x: Floats, knots_y: Floats) -> Floats:
    """Return the piecewise cubic curve through knots (not falling in x) at `x`: smooth, and nowhere beyond them.

    Source: Fritsch and Butland 1984; the same numbers as scipy's PchipInterpolator.
    """
    kept = np.append(np.diff(knots_x) > CLOSEST, True)
    knots_x, knots_y = knots_x[kept], knots_y[kept]
    if len(knots_x) == 1:
        return np.full(x.shape, knots_y[0])
    width = np.diff(knots_x)
    secant = np.diff(knots_y) / width
    slope = _slopes(width, secant)
    # By the coefficients of each piece: what is as long as `x` is computed once.
    left, right, rise = slope[:-1] * width, slope[1:] * width, np.diff(knots_y)
    bend, twist = 3 * rise - 2 * left - right, left + right - 2 * rise
    i = np.searchsorted(knots_x[1:-1], x, side="right")
    v = np.clip((x - knots_x[i]) / width[i], 0, 1)
    values = knots_y[i] + v * (left[i] + v * (bend[i] + v * twist[i]))
    return np.asarray(np.clip(values, knots_y.min(), knots_y.max()))


def _slopes(width: Floats, secant: Floats) -> Floats:
    """Return the slope at each knot: a weighted harmonic mean inside, a one-sided estimate at the ends."""
    if len(width) == 1:
        return np.repeat(secant, 2)
    before, after = secant[:-1], secant[1:]
    weight_before, weight_after = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    turns = before * after <= 0
    safe_before, safe_after = np.where(turns, 1.0, before), np.where(turns, 1.0, after)
    # A slope next to 0 overflows to infinity here, and its harmonic mean is 0 as it should be.
    with np.errstate(over="ignore"):
        mean = (weight_before + weight_after) / (weight_before / safe_before + weight_after / safe_after)
    first = _end_slope(width[0], width[1], secant[0], secant[1])
    last = _end_slope(width[-1], width[-2], secant[-1], secant[-2])
    return np.concatenate(([first], np.where(turns, 0.0, mean), [last]))


def _end_slope(width: float, next_width: float, secant: float, next_secant: float) -> float:
    slope = ((2 * width + next_width) * secant - width * next_secant) / (width + next_width)
    if slope * secant <= 0:
        return 0.0
    return 3 * secant if secant * next_secant < 0 and abs(slope) > 3 * abs(secant) else slope
