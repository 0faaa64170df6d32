"""docs/scripts.md and docs/etude-or-optuna.md: what they show is what is there."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from fastapi.testclient import TestClient

from search_spaces.candidate import Candidate
from search_spaces.script_spec import read_script_spec
from search_spaces.study import StudySpec
from service.app import create_app
from service.settings import Settings
from store import open_store
from tests.machine import ROOT
from tests.promises.documents import blocks

SECRET = "touch /tmp/owned"


def test_the_sixty_lines_are_those_that_are_tested() -> None:
    """The page shows the example file, word by word, and it has no more than 60 lines."""
    (shown,) = [block.text for block in blocks("docs/etude-or-optuna.md") if block.language == "python"]

    assert shown == (ROOT / "examples" / "optuna_sixty_lines.py").read_text()
    assert len(shown.splitlines()) <= 60


def test_the_script_file_is_one() -> None:
    """The page's script file is read as it stands, and its JSON holds a candidate."""
    (file,) = [block.text for block in blocks("docs/scripts.md") if block.language == "yaml"]
    (told,) = [block.text for block in blocks("docs/scripts.md") if block.language == "json"]

    spec = read_script_spec(yaml.safe_load(file))

    assert spec.command == ["python", "train.py", "--epochs", "3"]
    assert Candidate.model_validate(json.loads(told)["candidate"]).initial_lr == json.loads(told)["initial_lr"]


def test_commands_name_options_that_are_there() -> None:
    """Every option in the pages' commands is one of the command line's reference."""
    reference = (ROOT / "docs" / "cli.md").read_text()
    shown = [block for page in ("scripts", "etude-or-optuna") for block in blocks(f"docs/{page}.md")]
    commands = [line for block in shown if block.language == "bash" for line in block.commands]

    ours = [line for line in commands if line.startswith("etude ")]
    assert ours
    for line in ours:
        before = re.sub(r"'[^']*'", "", line).partition(" -- ")[0]
        for option in re.findall(r"--[a-z-]+", before):
            assert option in reference, line


@pytest.mark.parametrize(
    "body",
    [
        {"task": {"name": "train", "command": SECRET}},
        {"task": {"name": "train", "params": {"command": SECRET}}},
        {"task": {"name": "train"}, "command": SECRET},
        {"task": {"name": "train"}, "flags": SECRET},
        {"task": {"name": "train"}, "space": {"schedules": {"script": {"command": [SECRET]}}}},
    ],
)
def test_no_client_sends_a_command(body: dict[str, object], sqlite_url: str) -> None:
    """Promise 6: the service has no field for a command, and the offer of a script no parameter."""
    from search_spaces.work import Announcement
    from store.workers import announce
    from tests.unit.service.test_script_studies import OFFER

    store = open_store(sqlite_url)
    script = OFFER.model_copy(update={"params_schema": {"type": "object", "properties": {}}})
    announce(store, "w1", Announcement(tasks=[script]))
    with TestClient(create_app(store, Settings()), base_url="http://127.0.0.1") as client:
        refused = client.post("/v1/studies", json={"name": "mine"} | body)
        taken = client.post("/v1/studies", json={"name": "plain", "task": {"name": "train"}})
    store.close()

    assert refused.status_code == 422, refused.text
    assert taken.status_code == 201, taken.text
    assert not any("command" in name for name in StudySpec.model_fields)
