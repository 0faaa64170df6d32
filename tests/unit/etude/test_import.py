"""What a program pays for importing the library."""

from __future__ import annotations

import json
import subprocess
import sys

import etude
from tests.machine import ROOT

HEAVY = {"torch", "optuna", "sqlalchemy", "fastapi", "matplotlib", "pandas", "numpy"}
PROGRAM = """
import json, sys
from etude import Client
client = Client("http://127.0.0.1:1")
client.close()
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_a_client_loads_nothing_heavy() -> None:
    """Neither torch nor a database nor a web framework; numpy and the models come with the first answer."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    loaded = set(json.loads(done.stdout))
    assert "httpx" in loaded
    assert loaded & HEAVY == set()


def test_every_public_name_is_there() -> None:
    """What is loaded when it is asked for is found, and is what it says."""
    found = {name: getattr(etude, name) for name in etude.__all__}

    assert [name for name, thing in found.items() if thing.__name__ != name] == []
    assert set(etude.__all__) <= set(dir(etude))
