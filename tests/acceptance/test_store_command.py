"""`etude store`: the tables made and checked from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.machine import ROOT


def etude_store(act: str, url: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "etude", "store", act, *flags],
        cwd=ROOT,
        env=os.environ | {"ETUDE_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_check_then_upgrade_then_check(tmp_path: Path) -> None:
    """A store without tables is refused with what to do; upgraded, it passes."""
    url = f"sqlite:///{tmp_path / 'store.db'}"

    before, upgraded, after = (
        etude_store("check", url),
        etude_store("upgrade", url),
        etude_store("check", url, "--json"),
    )

    assert (before.returncode, upgraded.returncode, after.returncode) == (1, 0, 0)
    assert "upgrade" in before.stderr
    assert "up to date" in upgraded.stdout
    assert json.loads(after.stdout) == {"up_to_date": True}
