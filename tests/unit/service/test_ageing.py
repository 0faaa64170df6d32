"""What a sampler is shown of earlier studies: faded, and on the study's own level."""

from __future__ import annotations

from service.ageing import with_aged
from store.history import HISTORY
from store.proposals import Past


def trial(lr: float, value: float | None, age: int | None = None, state: str = "complete") -> Past:
    place = None if age is not None else 0
    origin = HISTORY if age is not None else "sampler"
    return Past(place, 0, "search", origin, state, {"adamw.lr": lr}, None, value, seed=0, age=age)


def warm(past: list[Past]) -> list[Past]:
    return [one for one in past if one.age is not None]


def test_without_earlier_studies_nothing_changes() -> None:
    """The study's own trials and those that it was sent stay as they are."""
    past = [trial(0.1, 1.0), trial(0.2, None, state="leased")]

    assert with_aged(past, "minimize") == past


def test_earlier_trials_fade_as_own_ones_end_and_older_ones_sooner() -> None:
    """Of sixteen of each: all at first; after ten own trials eight and four, the best; after many none."""
    earlier = [trial(age + place / 100, place, age) for age in (1, 2) for place in range(16)]
    own = [trial(5 + place, 1.0) for place in range(10)]

    assert len(warm(with_aged(earlier, "minimize"))) == 32
    half = warm(with_aged([*earlier, *own], "minimize"))
    assert [one.value for one in half] == [*range(8), *range(4)]
    assert [one.value for one in warm(with_aged([*earlier, *own], "maximize"))][:2] == [15, 14]
    assert warm(with_aged([*earlier, *own * 8], "minimize")) == []


def test_earlier_values_are_put_on_the_studys_level() -> None:
    """What both have trained is worse by two now: so is all else of that study, and of one that shares nothing."""
    earlier = [trial(0.1, 1.0, 1), trial(0.2, 1.5, 1), trial(0.3, 4.0, 2)]

    aged = warm(with_aged([*earlier, trial(0.1, 3.0)], "minimize"))

    assert {one.params["adamw.lr"]: one.value for one in aged} == {0.1: 3.0, 0.2: 3.5, 0.3: 6.0}


def test_open_trials_neither_fade_nor_shift() -> None:
    """A trial in training has no value yet, and counts for nothing."""
    earlier = [trial(0.1, 1.0, 1)]

    assert warm(with_aged([*earlier, trial(0.1, None, state="leased")], "minimize")) == earlier
