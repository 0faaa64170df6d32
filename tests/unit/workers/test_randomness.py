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


PHILOX64 = (
    ((0, 0, 0, 0), (0, 0), (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B)),
    (
        (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
        (0x452821E638D01377, 0xBE5466CF34E90C6C),
        (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6),
    ),
)
"""The authors' answers for Philox 4x64-10: counter, key, drawn."""


def philox64(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """Philox 4x64-10, written down from the paper."""
    mask = 2**64 - 1
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        first, second = c0 * 0xD2E7470EE14C6C93, c2 * 0xCA5A826395121157
        c0, c1, c2, c3 = (second >> 64) ^ c1 ^ k0, second & mask, (first >> 64) ^ c3 ^ k1, first & mask
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
    return c0, c1, c2, c3


@pytest.mark.parametrize(("counter", "key", "drawn"), PHILOX64)
def test_known_answers_of_the_wider_generator(
    counter: tuple[int, ...], key: tuple[int, int], drawn: tuple[int, ...]
) -> None:
    """The paper's Philox 4x64-10, as written down here, gives its authors' answers."""
    assert philox64(counter, key) == drawn


@pytest.mark.parametrize("place", [Place(7, 3, randomness.DROPOUT, layer=2**32 + 5), Place(2**64 - 1, 0, 0)])
def test_small_words_are_the_wider_generators(place: Place) -> None:
    """Sixteen numbers are the bits of one block, the lowest first, under the counter that the docstring gives."""
    drawn = randomness.small_words(40, place)

    blocks = [philox64((block, place.step, place.layer, place.stream), (place.seed, 0)) for block in (1, 2, 3)]
    expected = [word >> shift & 0xFFFF for block in blocks for word in block for shift in (0, 16, 32, 48)]
    assert drawn.tolist() == expected[:40]


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
