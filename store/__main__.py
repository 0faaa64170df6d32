"""`python -m store upgrade | check`: bring the tables up to date, or say whether they are."""

from __future__ import annotations

import argparse
import sys

from search_spaces.problems import Problem

from .engine import open_store
from .settings import StoreSettings


def main(arguments: list[str] | None = None) -> int:
    """Run one of the two acts on ETUDE_DATABASE_URL; 0 when the tables are up to date afterwards."""
    parser = argparse.ArgumentParser(prog="python -m store", description=__doc__)
    parser.add_argument("act", choices=["upgrade", "check"])
    act = parser.parse_args(arguments).act
    settings = StoreSettings()
    try:
        open_store(settings.url, upgrade=act == "upgrade").close()
    except Problem as problem:
        sys.stderr.write(f"{problem.detail}\n")
        return 1
    sys.stdout.write("the store's tables are up to date\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
