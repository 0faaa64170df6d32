"""Searches by other libraries, which are imported only when one of their searches is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from search_spaces.space import Space

from .searchers import Make, Searcher


def ray_tune(*, guided: bool) -> Make:
    """Return a maker of a search by Ray Tune: with its OptunaSearch, or drawn."""

    def make(space: Space, _steps: int, seed: int, _budget: int) -> Searcher:
        with _told_of_the_extra("Ray Tune"):
            from .with_ray import Drawn, Guided, WithRay
        return WithRay(space, (Guided if guided else Drawn)(space, seed))

    return make


def syne_tune(name: str) -> Make:
    """Return a maker of a search by one of Syne Tune's schedulers."""

    def make(space: Space, _steps: int, seed: int, _budget: int) -> Searcher:
        with _told_of_the_extra("Syne Tune"):
            from .with_syne_tune import WithSyneTune
        return WithSyneTune(space, name, seed)

    return make


@contextmanager
def _told_of_the_extra(library: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as missing:
        install = "pip install -c constraints.txt -e '.[peers]'"
        raise ModuleNotFoundError(f"{library} is not installed ({missing}): {install}") from missing


PEERS: dict[str, Make] = {
    "Ray Tune, ASHA": ray_tune(guided=False),
    "Ray Tune, OptunaSearch + ASHA": ray_tune(guided=True),
    "Syne Tune, ASHA": syne_tune("ASHA"),
    "Syne Tune, BOHB": syne_tune("BOHB"),
    "Syne Tune, ASHABORE": syne_tune("ASHABORE"),
    "Syne Tune, ASHACQR": syne_tune("ASHACQR"),
}
"""By the names that the libraries' own pages give them. The last two fit trees at every proposal: about 0.3 and 1
second of a core each."""
