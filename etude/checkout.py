"""The checkout that holds the parts: `service`, `store` and `workers` are applications, not part of the wheel."""

from __future__ import annotations

from pathlib import Path

MARKS = ("service/__main__.py", "store/__init__.py", "workers/__main__.py")


class NoCheckout(FileNotFoundError):
    """There is no checkout of Étude at hand, so nothing can be started here."""


def find_checkout(*starts: Path) -> Path:
    """Return the root of the checkout: the one that this library lies in, else the working directory's.

    Args:
        starts: where to look, each with the directories above it; default: those two.

    Raises:
        NoCheckout: neither is one; the text says what to get.
    """
    for start in starts or (Path(__file__).resolve().parent, Path.cwd()):
        for place in (start, *start.parents):
            if all((place / mark).is_file() for mark in MARKS):
                return place
    raise NoCheckout(
        "the service and the workers run from a checkout of Étude or from its image, and neither is here.\n"
        "Clone the repository, run `make install` in it, and call `.venv/bin/etude` there; or build the image with\n"
        "`docker compose up`. A client of a service elsewhere needs none of this: set ETUDE_URL."
    )
