"""The PostgreSQL that the tests start: it never outlives them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine import ROOT, is_alive, until

PROGRAM = """
import sys
from tests.postgres import Postgres
server = Postgres()
print(server.data, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_server_ends_with_the_process_that_started_it(number: int) -> None:
    """However the tests are ended, no server stays behind, and no folder."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        data = Path(process.stdout.readline().strip())
        server = int((data / "postmaster.pid").read_text().split()[0])
        lived = is_alive(server)

        process.send_signal(number)

        until(lambda: not is_alive(server) and not data.exists())
        assert lived
