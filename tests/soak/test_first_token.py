"""`etude up` on an address that other machines reach: the first admin token is made, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from etude.first_token import first_token
from etude.settings import PartsSettings
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


@contextmanager
def up(settings: PartsSettings) -> Iterator[list[str]]:
    """`etude up` with the service and the dashboard alone: what it has said when both are there."""
    environ = os.environ | {
        "ETUDE_HOST": settings.host, "ETUDE_PORT": str(settings.port), "ETUDE_DATA_DIR": str(settings.data_dir),
        "ETUDE_DASHBOARD_PORT": str(settings.dashboard_port), "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "etude", "up", "--workers", "0"]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                break
        yield said
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_up_prints_the_first_token_once(tmp_path: Path) -> None:
    """It opens the service, it lies in no file, and the next start says nothing of it."""
    # A spelling of loopback that is not known as one: what holds for every other address holds for it.
    settings = replace(free_settings(tmp_path), host="127.1")

    with up(settings) as first:
        [line] = [line for line in first if line.startswith("token ")]
        token = line.split()[1]
        with httpx.Client(base_url=settings.url, trust_env=False) as client:
            refused = client.get("/v1/tokens").status_code
            listed = client.get("/v1/tokens", headers={"Authorization": f"Bearer {token}"}).json()["items"]
    with up(settings) as second:
        pass

    assert refused == 401
    assert [(one["name"], one["scopes"]) for one in listed] == [("first", ["admin"])]
    assert not [line for line in second if line.startswith("token ")]
    assert not any(token.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
