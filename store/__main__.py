"""`python -m store upgrade | check`: bring the tables up to date, or say whether they are."""

from __future__ import annotations

import argparse
import json
import sys

from search_spaces.problems import InvalidSpec, Problem

from .engine import open_store
from .settings import StoreSettings


def main(arguments: list[str] | None = None) -> int:
    """Run one of the two acts on ETUDE_DATABASE_URL; 0 when the tables are up to date afterwards."""
    parser = argparse.ArgumentParser(prog="python -m store", description=__doc__)
    parser.add_argument("act", choices=["upgrade", "check"])
    parser.add_argument("--json", action="store_true", help="print one JSON document, or a problem on stderr")
    flags = parser.parse_args(arguments)
    try:
        open_store(StoreSettings().url, upgrade=flags.act == "upgrade").close()
    except Problem as problem:
        sys.stderr.write(f"{json.dumps(problem.document()) if flags.json else problem}\n")
        return 2 if isinstance(problem, InvalidSpec) else 1
    sys.stdout.write('{"up_to_date": true}\n' if flags.json else "the store's tables are up to date\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
