"""What a scrape of /metrics reads from the store: `python -m benchmarks.scrape --trials 20000 100000`."""

from __future__ import annotations

import argparse
import statistics
import time

from store import Store
from store.gauges import read_gauges
from store.owning import OWN_SECONDS
from tests.integration.test_plans import full_store
from tests.postgres import Postgres


def main() -> None:
    """Print a row for each size: milliseconds of a reading, with its statements, over one connection."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    postgres = Postgres()
    try:
        print("| finished trials | a reading, ms: median [least-most] | n |\n|---|---|---|")
        for many in given.trials:
            with full_store(postgres, many) as store:
                found = [_milliseconds(store) for _ in range(given.rounds)]
            print(f"| {many} | {statistics.median(found):.1f} [{min(found):.1f}-{max(found):.1f}] | {len(found)} |")
    finally:
        postgres.remove()


def _milliseconds(store: Store) -> float:
    began = time.perf_counter()
    read_gauges(store, OWN_SECONDS)
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
