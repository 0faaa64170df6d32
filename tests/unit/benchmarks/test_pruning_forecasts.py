"""Forecasts of a candidate's end: laws are what the papers say, and nothing is read that a search could not know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.pruning.forecasts import ENDED, FORECASTS, of_ended, parts, ridge
from benchmarks.pruning.halving import Judged
from benchmarks.pruning.laws import convex, convex_terms, curves_of, multi_power, scale_of
from benchmarks.pruning.pools import drawn, quadratic_space
from benchmarks.pruning.quadratic import curves
from benchmarks.pruning.record import RUNGS, rungs_of
from benchmarks.pruning.recorded import Recorded
from benchmarks.pruning.rules import Rule, place_of

TASK = "quadratic B=4"
COUNT = 40


@pytest.fixture(scope="module")
def pool() -> Recorded:
    """Compute a few candidates of the noisy quadratic, the first 20 taken as trained to their end."""
    candidates = tuple(drawn(quadratic_space(), COUNT, [5]))
    found = curves(candidates, TASK)
    return Recorded(TASK, "wide", 200, candidates, **found, fresh=found["raw"], fresh_averages=found["averages"])


def with_curves(pool: Recorded, losses: NDArray[np.float64]) -> Recorded:
    """Return the same candidates with other raw metrics."""
    return replace(pool, raw=losses.astype(np.float32))


def test_the_convex_bound_is_its_double_sum(pool: Recorded) -> None:
    """Its terms agree with the sums of the paper, written down one by one."""
    place = 9
    end = rungs_of(200)[place]
    rates = np.maximum(curves_of(pool)[3, :end], 1e-9) * scale_of(pool.candidates[3])

    start, gradients = convex_terms(pool)[3, place, 1:]

    rest = sum(
        rates[k] / rates[k + 1 :].sum() * (rates[k:] ** 2).sum() / rates[k:].sum() for k in range(len(rates) - 1)
    )
    assert start == pytest.approx(1 / (2 * rates.sum()))
    assert gradients == pytest.approx(((rates**2).sum() / rates.sum() + rest) / 2)


def test_curves_that_obey_the_bound_are_foretold(pool: Recorded) -> None:
    """Of curves that are the bound with other constants, the ends follow from twenty of them."""
    losses = convex_terms(pool) @ np.array([0.3, 2.0, 0.1])
    other = with_curves(pool, losses)

    foretold = convex(other, of_ended(other))

    assert foretold == pytest.approx(losses, rel=1e-3)


def test_curves_that_obey_the_multi_power_law_are_foretold(pool: Recorded) -> None:
    """Of curves that are the law step by step, the ends follow from twenty of them within a few per cent."""
    rates = curves_of(pool) * np.array([[scale_of(one)] for one in pool.candidates])
    unit = float(np.median([scale_of(one) for one in pool.candidates]))
    losses = np.empty((COUNT, RUNGS))
    for row, own in enumerate(rates / unit):
        drops, rise = np.append(0, own[:-1] - own[1:]), int(pool.rises[row] * 200)
        drops[: rise + 1] = 0
        sums = np.append(0, own.cumsum()) / 200
        for place, end in enumerate(rungs_of(200)):
            since = sums[end] - sums[:end]
            share = 1 - (1 + 4 * np.maximum(own[:end], 1e-4) ** -0.5 * since) ** -0.6
            losses[row, place] = 1 + 0.5 * sums[end] ** -0.5 - 0.05 * drops[:end] @ share
    other = with_curves(pool, losses)

    foretold = multi_power(other, of_ended(other))

    errors = abs(np.log(foretold[ENDED:, -1] / losses[ENDED:, -1]))
    assert np.median(errors) < 0.02
    assert np.quantile(errors, 0.9) < 0.1


@pytest.mark.parametrize("rule", FORECASTS, ids=lambda rule: rule.name)
def test_a_forecast_reads_nothing_that_is_not_known_yet(pool: Recorded, rule: Rule) -> None:
    """Other values behind the rung, of all that have not ended, change no forecast at it."""
    share = 0.3
    changed = pool.raw.copy(), pool.averages.copy()
    for values in changed:
        values[rule.ended :, ..., place_of(share) + 1 :] *= 7
    other = replace(pool, raw=changed[0], averages=changed[1])

    seen = rule.values(other, share)

    assert np.array_equal(seen, rule.values(pool, share))


def test_those_that_have_ended_are_paid_for_and_not_pruned(pool: Recorded) -> None:
    """At a cost, the candidates that a forecast is fitted on remain, and fewer of the others."""
    forecast = Judged.of(FORECASTS[-3], pool)
    plain = Judged.of(replace(FORECASTS[-3], ended=0), pool)

    alive, cost = forecast.halved(0.2)

    assert alive[:ENDED].all()
    assert cost > ENDED / COUNT > plain.halved(0.2)[1]
    assert forecast.at_cost(0.65)[ENDED:].sum() < plain.at_cost(0.65)[ENDED:].sum()


def test_a_ridge_finds_a_line_and_leaves_noise_alone() -> None:
    """It foretells a linear gain, and the mean where what it reads tells nothing."""
    generator = np.random.default_rng(2)
    told, asked = generator.normal(size=(20, 3)), generator.normal(size=(5, 3))
    line, noise = np.array([1.0, -2.0, 0.5]), generator.normal(size=20)

    found, unmoved = ridge(told, told @ line + 3, asked), ridge(told, noise, asked)

    assert found == pytest.approx(asked @ line + 3, abs=0.1)
    assert unmoved == pytest.approx(np.full(5, noise.mean()), abs=0.6)


def test_a_ridge_bears_a_column_that_tells_nothing() -> None:
    """A quantity that is the same for all it is fitted on has no weight."""
    told = np.stack([np.arange(20.0), np.zeros(20)], axis=1)

    found = ridge(told, told[:, 0], np.array([[5.0, 1.0]]))

    assert found == pytest.approx([5.0], abs=0.1)


def test_no_copy_of_a_fitted_candidate_is_judged() -> None:
    """In a resampled part the first twenty are drawn once and never again."""
    drawn_parts = parts(300, 5)

    for part in drawn_parts:
        assert len(part) == 300
        assert len(set(part[:ENDED])) == ENDED
        assert not set(part[:ENDED]) & set(part[ENDED:])
