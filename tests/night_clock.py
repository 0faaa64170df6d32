"""A clock of recurrences whose time stands in a file: `python -m tests.night_clock --database URL --time FILE`."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from sqlalchemy import Connection

from service.clock import Clock
from store import open_store
from tests.dying import die_with_parent

PAUSE_SECONDS = 0.05


def main() -> int:
    """Look after the recurrences until the process is ended."""
    die_with_parent()
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--time", type=Path, required=True, help="holds seconds since 1970")
    given = parser.parse_args()
    store = open_store(given.database, upgrade=False)

    def now(_connection: Connection) -> float:
        return float(given.time.read_text())

    clock, stop = Clock(store, now), threading.Event()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not stop.wait(PAUSE_SECONDS):
        clock.round()
    return 0


if __name__ == "__main__":
    sys.exit(main())
