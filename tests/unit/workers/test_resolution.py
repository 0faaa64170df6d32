"""How finely a task tells schedules apart: what is tried, what is concluded, and that nothing is trained twice."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers import resolution
from workers.resolution import Family, Resolution, Study, main, rate, to_try
from workers.tasks.noisy_quadratic import NoisyQuadratic
from workers.trained import Wanted

SGD = {"kind": "sgd"}


@pytest.fixture(autouse=True)
def two_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of two families, four learning rates each at first."""
    monkeypatch.setattr(resolution, "FAMILIES", {"constant": {"kind": "constant"}, "linear": {"kind": "linear"}})
    monkeypatch.setattr(resolution, "EXPONENTS", {"sgd": range(-6, 1, 2)})


def small(file: Path) -> Study:
    """A study of a bowl in three dimensions over 40 updates."""
    return Study(NoisyQuadratic({"dimensions": 3}), SGD, 2, file, packs=False)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Wanted]:
    """Every training that is asked for."""
    asked: list[Wanted] = []
    train = resolution.train

    def note(engine: object, task: object, wanted: list[Wanted]) -> Iterator[object]:
        asked.extend(wanted)
        yield from train(engine, task, wanted)  # type: ignore[arg-type]

    monkeypatch.setattr(resolution, "train", note)
    return asked


def test_a_best_rate_at_an_edge_is_followed() -> None:
    """Half decades are added beyond the edge until the best lies inside, then both quarters beside it are tried."""
    losses = {exponent: (exponent - 5) ** 2 for exponent in range(-20, 20)}
    tuned: dict[int, float] = {}

    while tries := to_try(tuned, range(-6, 1, 2)):
        tuned |= {exponent: losses[exponent] for exponent in tries}

    assert min(tuned, key=lambda exponent: tuned[exponent]) == 5
    assert sorted(tuned) == [-6, -4, -2, 0, 2, 4, 5, 6, 7] or sorted(tuned) == [-6, -4, -2, 0, 2, 3, 4, 5, 6]


def test_a_rate_that_never_stops_getting_better_ends_all_the_same() -> None:
    """At some point the best is left at the edge."""
    tuned: dict[int, float] = {}

    while tries := to_try(tuned, range(-6, 1, 2)):
        tuned |= {exponent: -float(exponent) for exponent in tries}

    assert len(tuned) <= resolution.MOST_RATES + 2


def test_rates_are_quarters_of_decades() -> None:
    """Four steps are a factor of ten."""
    assert [rate(exponent) for exponent in (-4, -3, 0, 4)] == [0.1, 0.177828, 1.0, 10.0]


def test_the_resolution_is_the_spread_in_units_of_the_noise() -> None:
    """Means 1.0, 1.2 and 1.6 with a standard deviation of 0.1 at the best: 6, and 2 without the constant."""
    best = Family("linear", 0.1, (0.9, 1.0, 1.1))
    second = Family("cosine", 0.1, (1.2, 1.2, 1.2))
    worst = Family("constant", 0.1, (1.0, 2.0, 1.8))

    measured = Resolution((best, second, worst))

    assert measured.noise == pytest.approx(0.1)
    assert measured.spread == pytest.approx(6.0)
    assert measured.spread_of_decaying == pytest.approx(2.0)
    assert not measured.is_smoke_test
    assert Resolution((best, second)).is_smoke_test


def test_every_family_is_judged_at_its_best_rate_on_fresh_seeds(tmp_path: Path, counted: list[Wanted]) -> None:
    """Rates are tuned on seeds 0 and 1; the values are those of seeds that tuned nothing, at the best of the rates."""
    measured = small(tmp_path / "kept.jsonl").measured(seeds=2, tuning_seeds=2)

    tuning = [wanted for wanted in counted if wanted.seed < 2]
    judging = [wanted for wanted in counted if wanted.seed >= 2]
    assert len({wanted.candidate.initial_lr for wanted in tuning}) >= 6
    assert {wanted.seed for wanted in tuning} == {0, 1}
    assert {wanted.seed for wanted in judging} == {2, 3}
    assert len(judging) == 4
    assert {(family.name, family.rate) for family in measured.families} == {
        (wanted.candidate.schedule.kind, wanted.candidate.initial_lr) for wanted in judging
    }
    assert measured.families[0].mean <= measured.families[1].mean
    assert measured.noise == pytest.approx(statistics.stdev(measured.families[0].values))


def test_what_was_trained_is_not_trained_again(tmp_path: Path, counted: list[Wanted]) -> None:
    """The second time the same is concluded from the file; more seeds are all that is added."""
    first = small(tmp_path / "kept.jsonl").measured(seeds=2)
    counted.clear()

    again = small(tmp_path / "kept.jsonl").measured(seeds=2)
    after_again = list(counted)
    small(tmp_path / "kept.jsonl").measured(seeds=3)

    assert again == first
    assert after_again == []
    assert {wanted.seed for wanted in counted} == {5}


def test_a_candidate_that_diverges_is_the_worst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates that blow up are tried and left behind."""
    monkeypatch.setattr(resolution, "EXPONENTS", {"sgd": [-4, 0, 40]})

    measured = small(tmp_path / "kept.jsonl").measured(seeds=2)

    assert "inf" in (tmp_path / "kept.jsonl").read_text()
    assert all(family.rate < 10 and math.isfinite(family.mean) for family in measured.families)


def test_the_command_writes_what_it_has_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Task, version, seeds, each family with its rate, and the verdict."""
    options = ["--optimizer", '{"kind": "sgd"}', "--params", '{"dimensions": 3}', "--epochs", "2", "--seeds", "2"]

    code = main(["noisy-quadratic", *options, "--directory", str(tmp_path)])

    shown = capsys.readouterr().out
    assert code == 0
    assert "noisy-quadratic, version 1, loss, n = 2 seeds a family" in shown
    assert shown.count(" mean ") == 2
    assert "tells schedules apart" in shown or "a smoke test" in shown
    assert (tmp_path / "noisy-quadratic.jsonl").is_file()
