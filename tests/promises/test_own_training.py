"""docs/http.md, docs/client.md and the examples in Python and in curl do what they say, on parts really started."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import ROOT, Machine, started
from tests.promises.documents import blocks, in_place

EXAMPLE = "examples/plain_pytorch.py"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with started(tmp_path_factory.mktemp("own_training")) as here:
        here.worker("first")
        here.until(lambda: any(worker.live for worker in here.client.workers()))
        yield here


def run(machine: Machine, place: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as somebody who is in no checkout."""
    environ = os.environ | {"ETUDE_URL": machine.settings.url, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    done = subprocess.run(command, cwd=place, env=environ, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_every_block_is_of_a_kind_that_is_run() -> None:
    """Nothing escapes."""
    assert {block.language for block in blocks("docs/http.md")} == {"bash"}
    assert {block.language for block in blocks("docs/client.md")} == {"python"}


def test_a_search_goes_by_curl_alone(machine: Machine, tmp_path: Path) -> None:
    """The blocks of docs/http.md are one shell session, from the submission to the last event."""
    script = "\n".join(["set -e", *(block.text for block in blocks("docs/http.md"))])

    done = run(machine, tmp_path, "bash", "-c", in_place(script, machine.settings, 0))

    trial = machine.client.trial("by-hand", 0)
    assert (trial.state, trial.value, trial.worker) == ("complete", 0.41, "my-loop")
    assert [(report.step, report.value) for report in trial.curve or []] == [(100, 0.93)]
    assert '"directive":"continue"' in done.stdout
    assert done.stdout.endswith('id: end\nevent: end\ndata: {"state": "stopped"}\n\n')


def test_the_clients_blocks_are_one_program(machine: Machine, tmp_path: Path) -> None:
    """It ends well, and its own loop has trained a whole study."""
    program = tmp_path / "program.py"
    program.write_text("\n".join(block.text for block in blocks("docs/client.md")))

    done = run(machine, tmp_path, sys.executable, "-W", "error", str(program))

    assert machine.client.get("own-loop").state == "done"
    assert (tmp_path / "schedule.svg").stat().st_size > 1000
    assert "there is no study named no-such-study" in done.stdout


def test_the_plain_loop_is_searched(machine: Machine, tmp_path: Path) -> None:
    """A study from its submission to its answer, by the example alone."""
    done = run(machine, tmp_path, sys.executable, str(ROOT / EXAMPLE), "plain")

    study = machine.client.get("plain")
    assert (study.state, study.counts.ended) == ("done", 8)
    assert machine.client.best("plain").sentence in done.stdout


def test_a_whole_study_is_searched_by_curl_and_awk(machine: Machine, tmp_path: Path) -> None:
    """examples/search_by_curl.sh goes from a submission to its answer without Python."""
    done = run(machine, tmp_path, "bash", str(ROOT / "examples/search_by_curl.sh"), "curled")

    study = machine.client.get("curled")
    trials = list(machine.client.trials("curled"))
    assert (study.state, study.counts.ended, study.counts.failed) == ("done", 8, 0)
    assert {trial.steps_done for trial in trials if trial.state == "complete"} == {100}
    assert study.best is not None
    assert study.best.value < 0.1
    assert done.stdout.splitlines()[-1] == machine.client.best("curled").sentence


def test_the_example_is_as_short_as_a_training_loop() -> None:
    """What makes it searched are at most six lines of it, and they are marked."""
    text = (ROOT / EXAMPLE).read_text()

    assert len(text.splitlines()) <= 60
    assert 0 < len(re.findall(r"# searched", text)) <= 6


@pytest.mark.parametrize("document", ["docs/http.md", "docs/client.md"])
def test_links_lead_somewhere(document: str) -> None:
    """Every relative link is a file of the repository."""
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]

    assert [target for target in targets if not ((ROOT / document).parent / target).exists()] == []


def test_codes_of_errors_are_the_services() -> None:
    """The table of docs/http.md names codes that exist."""
    from search_spaces.problems import PROBLEMS

    text = (ROOT / "docs/http.md").read_text(encoding="utf-8").split("## Errors")[1]
    named = set(re.findall(r"`([a-z_]+)`", text)) - {"code", "detail", "field", "request_id"}

    assert named <= set(PROBLEMS)
    assert json.dumps(sorted(named)).count("_") > 5
