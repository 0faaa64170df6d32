"""docs/answer.md does what it says: its blocks in their order, on a service in this process and a simulated worker."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from etude.cli import main
from search_spaces.artefact import Artefact
from search_spaces.insight import Insight
from search_spaces.model import Message
from search_spaces.results import Answer, Evidence, Topic
from service.coordinator import Coordinator
from store import Store, open_store
from tests.integration import service_simulation
from tests.integration.service_http import serving
from tests.machine import ROOT
from tests.promises.documents import blocks
from tests.studies import OFFER

DOCUMENT = "docs/answer.md"
TEXT = (ROOT / DOCUMENT).read_text(encoding="utf-8")


@pytest.fixture
def own_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'etude.db')}")
    yield opened
    opened.close()


def test_the_page_does_what_it_says(own_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan, a whole study, its answer, what it taught, and the answer kept and built: every block as it stands."""
    monkeypatch.chdir(tmp_path)
    offer = OFFER.model_copy(update={"name": "digits-noisy"})
    monkeypatch.setattr(service_simulation, "OFFER", offer)
    worker, printed = service_simulation.simulated(own_store), []
    with serving(own_store) as http:
        monkeypatch.setenv("ETUDE_URL", str(http.base_url))
        for block in blocks(DOCUMENT):
            if block.language == "yaml":
                Path("study.yaml").write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                exec(block.text, {})
            for command in block.commands if block.language == "bash" else ():
                printed.append(_etude(command))
                if "submit" in command:
                    coordinator = Coordinator(own_store, owner="one")
                    service_simulation.drive(own_store, worker, "mine", coordinator=lambda kept=coordinator: kept)

    plan, _, best, importance, _ = printed
    assert "full-training equivalents" in plan
    assert "Not tested: other batch sizes" in best
    assert "Importance" in importance
    assert json.loads(Path("best.json").read_text(encoding="utf-8"))["status"] == "final"


def _etude(command: str) -> str:
    program, *arguments = shlex.split(command)
    assert program == "etude"
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("model", [Answer, Evidence, Artefact])
def test_every_field_is_explained(model: type[Message]) -> None:
    """A field that is added to the answer is added to the page."""
    assert [name for name in model.model_fields if f"`{name}`" not in TEXT] == []


def test_every_topic_and_every_part_of_the_insight_is_explained() -> None:
    """Topics of sentences, and what importance comes with."""
    framing = {"study", "metric", "direction", "trials", "read"}
    named = [*get_args(Topic), *(set(Insight.model_fields) - framing)]

    assert [name for name in named if f"`{name}`" not in TEXT] == []


def test_links_lead_somewhere() -> None:
    """Every relative link is a file of the repository."""
    targets = re.findall(r"\]\(([^)#]+)", TEXT)

    assert targets
    assert [target for target in targets if not (ROOT / "docs" / target).exists()] == []
