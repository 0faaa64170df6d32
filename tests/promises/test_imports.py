"""What importing the parts loads, looked at in fresh processes, and that nothing happens at import."""

from __future__ import annotations

import subprocess
import sys

from tests.machine import ROOT

HEAVY = {"torch", "optuna", "sqlalchemy", "fastapi"}
LIGHT_MODULES = (
    "etude", "etude.cli", "etude.lightning", "etude.task", "etude.transformers", "etude.work", "search_spaces"
)  # fmt: skip
ALL_MODULES = ("search_spaces", "store", "etude", "service", "workers")


def loaded_by(statement: str) -> set[str]:
    """Top-level packages in sys.modules after a statement in a fresh interpreter."""
    program = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=180, check=True
    )
    return set(done.stdout.split())


def test_what_users_install_loads_nothing_heavy() -> None:
    """Neither torch nor Optuna nor a database nor a web framework: not all of it together, so no module of it."""
    assert loaded_by(f"import {', '.join(LIGHT_MODULES)}") & HEAVY == set()


def test_the_heavy_ones_would_be_seen() -> None:
    """The test above can fail: torch is seen where it is imported."""
    assert "torch" in loaded_by("import etude.torch")


def test_service_and_store_load_no_torch() -> None:
    """torch is the workers' and the user's, and scipy is there with the first verdict."""
    assert loaded_by("import service.app, service.coordinator, store") & {"torch", "scipy"} == set()


def test_a_worker_over_http_loads_no_database() -> None:
    """A worker that speaks HTTP needs no driver."""
    assert loaded_by("import workers.__main__") & {"sqlalchemy", "optuna"} == set()


def test_importing_prints_nothing_and_starts_nothing() -> None:
    """No effects at import: no output, no thread, no file."""
    program = f"import threading, {', '.join(ALL_MODULES)}\nassert threading.active_count() == 1"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
