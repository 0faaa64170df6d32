"""`etude up` on an address that other machines reach: the first admin token is made, once."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from etude.first_token import first_token
from tests.machine import ROOT, free_settings


def test_the_first_token_is_made_once_and_only_where_it_is_needed(tmp_path: Path) -> None:
    """Not on loopback, not where the operator chose one, not where the store has one."""
    here = free_settings(tmp_path)
    reachable = replace(here, host="0.0.0.0")

    on_loopback = first_token(here, ROOT, os.environ)
    chosen = first_token(reachable, ROOT, {**os.environ, "ETUDE_ADMIN_TOKEN": "x" * 40})
    made, again = (first_token(reachable, ROOT, os.environ) for _ in range(2))

    assert (on_loopback, chosen, again) == (None, None, None)
    assert made is not None
    assert made.startswith("etude_")
