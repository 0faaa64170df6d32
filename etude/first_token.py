"""The first admin token of a service that other machines are to reach: made before it starts, shown once."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .parts import PartFailed
from .settings import PartsSettings

NAME = "first"
CHOSEN_BY_HAND = ("ETUDE_ADMIN_TOKEN", "ETUDE_ADMIN_TOKEN_FILE")
SECONDS = 120.0


def first_token(settings: PartsSettings, root: Path, environ: Mapping[str, str]) -> str | None:
    """Make the token where the service needs one and has none; None where it needs none, or has one.

    On loopback nothing is asked for. The store is the checkout's to open, so its own command does it.

    Raises:
        PartFailed: the store refused.
    """
    if _is_loopback(settings.host) or any(environ.get(name) for name in CHOSEN_BY_HAND):
        return None
    surroundings = settings.environment(environ)
    if _asked(root, surroundings, "list")["items"]:
        return None
    return str(_asked(root, surroundings, "create", NAME, "--scope", "admin")["token"])


def _asked(root: Path, environ: Mapping[str, str], *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "store", "token", *words, "--json"]
    done = subprocess.run(
        command, cwd=root, env=dict(environ), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode != 0:
        raise PartFailed(f"the store's tokens cannot be read: {done.stderr.strip()[-2000:]}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
