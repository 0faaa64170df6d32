"""How tests draw from a space: a seeded draw that keeps a list of what was asked for."""

from __future__ import annotations

import math
import random

from search_spaces.ranges import AnyRange, Choice, IntRange, Scalar


class Drawing:
    """Draws each range on its own scale; `asked` holds the names in order."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.asked: list[str] = []

    def __call__(self, name: str, range_: AnyRange) -> Scalar:
        self.asked.append(name)
        if isinstance(range_, Choice):
            return self._random.choice(range_.choices)
        if isinstance(range_, IntRange):
            return self._random.randint(range_.low, range_.high)
        if range_.log:
            return math.exp(self._random.uniform(math.log(range_.low), math.log(range_.high)))
        return self._random.uniform(range_.low, range_.high)
