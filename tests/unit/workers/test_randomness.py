"""Counter-based randomness: the published generator, and numbers that depend on their counter only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from workers import randomness
from workers.randomness import Place

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "drawn"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers(
    counter: tuple[int, int, int, int], key: tuple[int, int], drawn: tuple[int, int, int, int]
) -> None:
    """Philox 4x32-10 gives the answers that its authors publish, for numbers and for tensors."""
    vector = tuple(torch.tensor([word, word]) for word in counter)

    alone = randomness.philox(counter, key)
    together = randomness.philox(vector, key)  # type: ignore[arg-type]

    assert alone == drawn
    assert [words.tolist() for words in together] == [[word, word] for word in drawn]


def test_an_element_depends_on_its_counter_only() -> None:
    """Drawing fewer numbers, or drawing others before, changes none of them."""
    many = randomness.words(1001, Place(7, 3, randomness.NOISE))
    randomness.words(50, Place(1, 1, 1))
    few = randomness.words(10, Place(7, 3, randomness.NOISE))

    assert torch.equal(many[:10], few)


@pytest.mark.parametrize("change", [{"seed": 8}, {"seed": 7 + 2**32}, {"step": 4}, {"stream": 0}, {"layer": 1}])
def test_each_part_of_the_counter_counts(change: dict[str, int]) -> None:
    """Another seed (its high half too), step, stream or layer gives other numbers."""
    place = Place(7, 3, 2, layer=0)

    here = randomness.words(64, place)
    there = randomness.words(64, replace(place, **change))

    assert not torch.equal(here, there)


def test_normals_are_standard() -> None:
    """A hundred thousand normals have the moments and the tails of the standard normal distribution."""
    drawn = randomness.normals((1000, 100), Place(1, 2, 3)).double().flatten().numpy()

    assert abs(drawn.mean()) < 4 / np.sqrt(drawn.size)
    assert abs(drawn.std() - 1) < 0.01
    assert abs((drawn**3).mean()) < 0.05
    assert abs((drawn**4).mean() - 3) < 0.1
    assert abs((np.abs(drawn) > 1.959964).mean() - 0.05) < 0.003
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.015


def test_an_odd_number_of_normals() -> None:
    """The last normal of an odd count is the one that a longer draw has there."""
    odd = randomness.normals((7,), Place(1, 2, 3))
    even = randomness.normals((4, 2), Place(1, 2, 3))

    assert torch.equal(odd, even.flatten()[:7])


def test_integers_are_uniform() -> None:
    """Nine cells get a ninth each, and nothing falls outside."""
    counts = torch.bincount(randomness.integers(9, 90_000, Place(5, 0, 1)), minlength=9)

    assert counts.numel() == 9
    assert (counts - 10_000).abs().max() < 400


def test_the_order_of_an_epoch() -> None:
    """Each example comes once, in an order that only (seed, epoch) decides."""
    first = randomness.permutation(1077, seed=3, epoch=0)

    assert torch.equal(first.sort().values, torch.arange(1077))
    assert torch.equal(first, randomness.permutation(1077, seed=3, epoch=0))
    assert not torch.equal(first, randomness.permutation(1077, seed=3, epoch=1))
    assert not torch.equal(first, randomness.permutation(1077, seed=4, epoch=0))


def test_every_place_of_the_order_is_equally_likely() -> None:
    """Over many epochs each example comes first equally often."""
    firsts = [int(randomness.permutation(5, seed=0, epoch=epoch)[0]) for epoch in range(2000)]

    assert (np.bincount(firsts) - 400).__abs__().max() < 80


def test_layers_that_draw_by_themselves() -> None:
    """Dropout at a step is the same whatever was drawn before, and differs between steps."""
    dropout = torch.nn.Dropout(0.5)

    randomness.reseed_torch(1, 10)
    first = dropout(torch.ones(100))
    randomness.reseed_torch(1, 11)
    other = dropout(torch.ones(100))
    randomness.reseed_torch(1, 10)
    again = dropout(torch.ones(100))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
