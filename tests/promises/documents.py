"""Code blocks of the documents, and the names that they use put in place of those of a test."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from etude.settings import PartsSettings
from tests.machine import ROOT

FEW_TRIALS, FEW_SEEDS = 4, 2
OWN_BUDGETS = "TESTS_OWN_BUDGETS"
"""Names a variable; when it is set, documents are executed as they stand."""
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    document: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, continued lines joined, comments left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.partition("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def blocks(document: str) -> list[Block]:
    """Every fenced block of a document, in order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [Block(document, language, body) for language, body in BLOCK.findall(text)]


def in_place(text: str, settings: PartsSettings, dashboard_port: int) -> str:
    """Put a test's addresses, store and interpreter in the places of the usual ones."""
    table = {
        "127.0.0.1:8000": f"127.0.0.1:{settings.port}",
        "sqlite:///var/etude.db": settings.store_url,
        "--port 8081": f"--port {dashboard_port}",
        ".venv/bin/": f"{Path(sys.executable).parent}/",
    }
    for usual, ours in table.items():
        text = text.replace(usual, ours)
    return text


def with_small_budgets(text: str) -> str:
    """Let studies have the least budgets with which the text says the same; `make soak` runs it with its own."""
    if os.environ.get(OWN_BUDGETS):
        return text
    text = re.sub(r"(--trials |trials=|\{\"trials\": )\d+", rf"\g<1>{FEW_TRIALS}", text)
    return re.sub(r"(--seeds |\{\"seeds\": )\d+", rf"\g<1>{FEW_SEEDS}", text)
