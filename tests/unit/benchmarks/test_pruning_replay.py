"""Recorded learning curves: what is computed, recorded, packed and replayed is what a training would show."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.pruning import recorded as packing
from benchmarks.pruning.grounds import Bowl
from benchmarks.pruning.halving import Judged
from benchmarks.pruning.pools import Ground, drawn, families, quadratic_families, quadratic_space
from benchmarks.pruning.quadratic import REGIMES, curves, rates_of
from benchmarks.pruning.record import BRANCHED, SHARES, Recording, rungs_of
from benchmarks.pruning.recorded import Recorded
from benchmarks.pruning.rules import RULES, Rule, averaged, final, raw
from benchmarks.pruning.searchers import SEARCHERS, Shown
from benchmarks.search_quality import reach, searched
from search_spaces.schedules import curve
from workers.averaging import Pace
from workers.tasks import named

TASK = "quadratic B=4"
GROUND = Ground("digits-mlp", 40, {"kind": "sgd", "momentum": 0.9}, range(-4, -3), at_once=8)


def pool(count: int) -> Recorded:
    """Return a few candidates of the noisy quadratic."""
    candidates = tuple(drawn(quadratic_space(), count, [3]))
    found = curves(candidates, TASK)
    return Recorded(TASK, "wide", 200, candidates, **found, fresh=found["raw"], fresh_averages=found["averages"])


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record the families of a short task."""
    torch.set_num_threads(1)
    file = tmp_path_factory.mktemp("recorded") / "digits-mlp.jsonl"
    with closing(named(["digits-mlp"])["digits-mlp"]()) as task:
        assert Recording(GROUND, task, file).fill("families", until=float("inf"))
    return file


# The noisy quadratic


def test_curves_of_the_noisy_quadratic_are_those_of_its_closed_form() -> None:
    """Raw metrics at rungs, ends of branches and of shorter schedules agree with `Quadratic.losses`."""
    candidates = drawn(quadratic_space(), 5, [1])
    problem = REGIMES[TASK].problem

    found = curves(candidates, TASK)

    for place, candidate in enumerate(candidates):
        rates = rates_of([candidate], 200)[0]
        branch = np.concatenate([rates[:60], rates[60] * (1 - np.arange(10) / 10)])
        shorter = candidate.initial_lr * curve(candidate.schedule, 20)
        assert found["raw"][place] == pytest.approx(problem.losses(rates)[rungs_of(200)], rel=1e-5)
        assert found["cooldown"][place, 2] == pytest.approx(problem.losses(branch)[-1], rel=1e-5)
        assert found["rescaled"][place, 0] == pytest.approx(problem.losses(shorter)[-1], rel=1e-5)


def test_averages_of_the_noisy_quadratic_are_those_of_simulated_trainings() -> None:
    """The expected metric of each running average is the mean of 2,000 trainings whose averages are kept."""
    (candidate,) = drawn(quadratic_space(), 1, [2])
    problem, pace, noise = REGIMES[TASK].problem, Pace(200, 190, SHARES), np.random.default_rng(0)
    deviations = np.sqrt(problem.variances)
    points = np.ones((2000, 100))
    kept = [np.zeros_like(points) for _ in pace.decays]

    for rate in rates_of([candidate], 200)[0, :100]:
        points = points - rate * (problem.curvatures * points + deviations * noise.standard_normal(points.shape))
        kept = [decay * one + (1 - decay) * points for one, decay in zip(kept, pace.decays, strict=True)]

    scaled = [one * scale for one, scale in zip(kept, pace.scales(100), strict=True)]
    means = [float((one**2 @ problem.curvatures / 2).mean()) for one in scaled]
    assert curves([candidate], TASK)["averages"][0, :, 9].tolist() == pytest.approx(means, rel=0.03)


# Recording


def test_a_recording_goes_on_where_it_was_stopped(recording: Path, tmp_path: Path) -> None:
    """What is recorded again after a stop in the middle is what was recorded at once."""
    lines = recording.read_text().splitlines()
    file = tmp_path / "stopped.jsonl"
    file.write_text("\n".join(lines[:-8]) + "\n")

    with closing(named(["digits-mlp"])["digits-mlp"]()) as task:
        assert Recording(GROUND, task, file).fill("families", until=float("inf"))

    again = [json.loads(line) | {"seconds": 0} for line in file.read_text().splitlines()]
    assert again == [json.loads(line) | {"seconds": 0} for line in lines]


def test_what_is_packed_is_what_was_recorded(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays hold each candidate's row in its place; a branch of a schedule that is at zero ends where it began."""
    monkeypatch.setitem(packing.GROUNDS, "digits-mlp", GROUND)
    rows = [json.loads(line) for line in recording.read_text().splitlines()]

    arrays, said = packing.packed(recording, "digits-mlp")

    assert said["families"][0] == len(families(GROUND)) == 16
    first = next(row for row in rows if row["index"] == 5 and row["seed"] == 1)
    assert arrays["families.fresh"][5] == pytest.approx(first["raw"])
    assert arrays["families.averages"].shape == (16, 2, 19)
    assert arrays["families.cooldown"].shape == arrays["families.rescaled"].shape == (16, len(BRANCHED))


# Replaying


def test_halving_spends_what_it_is_given_and_keeps_the_best() -> None:
    """At each cost a judge who knows the ends prunes none of the best, and no rule spends more than it may."""
    few = pool(200)
    knowing = Rule("knowing", lambda pool, _share: final(pool), exempts=False)

    kept = Judged.of(knowing, few).at_cost(0.4)

    assert kept[np.argsort(final(few))[:10]].all()
    for rule in RULES:
        judged = Judged.of(rule, few)
        alive = judged.at_cost(0.4)
        keeps = [keep for keep in np.linspace(0, 1, 400) if (judged.halved(float(keep))[0] == alive).all()]
        assert keeps == [] or min(judged.halved(float(keep))[1] for keep in keeps) <= 0.4 + 0.01


def test_averaged_compares_the_best_of_raw_and_averaged_weights() -> None:
    """At no rung is it worse than the raw metric or the average over 3 %."""
    few = pool(20)

    seen = averaged(few, 0.3)

    assert (seen <= raw(few, 0.3)).all()
    assert (seen <= few.averages[:, 0, 5] + 1e-7).all()


@pytest.mark.parametrize("name", ["TPE + MedianPruner", "ASHA", "BOHB-like", "Étude"])
def test_searches_are_reproducible_and_spend_their_compute(name: str) -> None:
    """The same seed searches the same way; regrets only fall; the last trial alone may go beyond the budget."""
    bowl = Bowl(TASK)

    (first, again) = (searched(bowl, name, [7], 4)[0] for _ in range(2))

    assert first.points == again.points
    regrets = [regret for _, regret in first.points]
    assert regrets == sorted(regrets, reverse=True)
    assert 4 <= first.spent < 5.1


def test_a_search_pays_for_a_pruned_trial_up_to_its_rung() -> None:
    """A candidate that is worse than everything before it is stopped at the first rung where enough are compared."""
    bowl = Bowl(TASK)
    searcher = SEARCHERS["Étude, truncated"](bowl.space, 200, 0, 64)
    linear = quadratic_families()[8]
    good = np.linspace(1, 0.1, 20, dtype=np.float32)
    nothing = np.full((2, 19), np.nan, dtype=np.float32)

    searcher.propose()
    spent = [searcher.take(Shown(linear, good, nothing))]
    for worse in range(2, 11):
        searcher.propose()
        spent.append(searcher.take(Shown(linear, good * worse, nothing)))

    assert spent[0] == (1.0, True)
    assert spent[1:5] == [(1.0, True)] * 4
    assert spent[5] == (0.1, False)


def test_the_compute_to_a_regret_is_the_medians() -> None:
    """The first training after which half of the searches are there; infinite where they never are."""
    found = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 1.0], [3.0, 3.0, 3.0]])

    assert reach(found, 2.0) == 2
    assert reach(found, 0.5) == np.inf
