"""Seeds derived from the study's: the same study draws the same numbers, whatever process asks and when."""

from __future__ import annotations

import hashlib


def _digest(study_seed: int, words: tuple[str | int, ...]) -> bytes:
    return hashlib.sha256(":".join(str(word) for word in (study_seed, *words)).encode()).digest()


def derived_seed(study_seed: int, *words: str | int) -> int:
    """Return a whole number in [0, 2^31) for what `words` name.

    >>> derived_seed(0, "sampler", 3) == derived_seed(0, "sampler", 3) != derived_seed(0, "sampler", 4)
    True
    """
    return int.from_bytes(_digest(study_seed, words)[:4], "big") >> 1


def derived_share(study_seed: int, *words: str | int) -> float:
    """Return a number in [0, 1) for what `words` name, even over all words."""
    return int.from_bytes(_digest(study_seed, words)[:8], "big") / 2.0**64
