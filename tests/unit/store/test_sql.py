"""Rows as one JSON parameter, on both databases' text."""

from __future__ import annotations

import math
import sqlite3

from store.sql import POSTGRESQL, SQLITE


def test_numbers_survive_sqlites_json() -> None:
    """Infinities and nan come back from a packed row as SQLite keeps them (nan as NULL)."""
    rows = [{"x": 1.5}, {"x": math.inf}, {"x": -math.inf}, {"x": math.nan}]
    sql = SQLITE.rows("items", x="float8").replace(":items", "?")

    found = [row[0] for row in sqlite3.connect(":memory:").execute(sql, (SQLITE.pack(rows),))]

    assert found == [1.5, math.inf, -math.inf, None]


def test_postgresql_reads_names_of_numbers() -> None:
    """PostgreSQL is handed the words that its float input knows."""
    assert POSTGRESQL.pack([{"x": math.nan, "y": -math.inf}]) == '[{"x": "NaN", "y": "-Infinity"}]'
