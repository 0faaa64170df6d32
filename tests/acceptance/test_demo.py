"""`etude demo` with a small budget, without a terminal; tests/soak has the whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import optuna
import pytest

from etude.ports import is_free
from search_spaces.results import Answer
from tests.machine import ROOT, free_settings

PROMISED_SECONDS = 180
TRIALS = 12


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str], float]:
    """Data directory, what the demo printed, and how many seconds it took."""
    settings = free_settings(tmp_path_factory.mktemp("demo"))
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "etude", "demo", "--trials", str(TRIALS), "--workers", "1"],
        cwd=ROOT,
        env=settings.environment(os.environ),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    (place,) = (settings.data_dir / "demo").iterdir()
    return place, done, time.monotonic() - begun


def test_the_demo_ends_by_itself_in_the_promised_time(
    demo: tuple[Path, subprocess.CompletedProcess[str], float],
) -> None:
    """Exit status 0 within three minutes on two cores."""
    _, done, seconds = demo

    assert done.returncode == 0, done.stderr
    assert seconds < PROMISED_SECONDS


def test_progress_shows_both_phases(demo: tuple[Path, subprocess.CompletedProcess[str], float]) -> None:
    """Without a terminal the progress is plain lines: counts, best search score, phases."""
    progress = demo[1].stderr

    assert re.search(rf"^search \d+/{TRIALS}: \d+ complete, \d+ pruned, \d+ running", progress, re.MULTILINE)
    assert re.search(r"^confirmation \d+/\d+: \d+ complete, \d+ running", progress, re.MULTILINE)
    assert re.search(rf"^done {TRIALS}/{TRIALS}: .*best search score validation_loss 0\.\d+$", progress, re.MULTILINE)


def test_the_closing_page_holds_everything_that_is_promised(
    demo: tuple[Path, subprocess.CompletedProcess[str], float],
) -> None:
    """Sentence, candidate as text and JSON, curve as blocks and as a file, top five, arms, addresses."""
    place, done, _ = demo
    answer = Answer.model_validate_json((place / "answer.json").read_text())
    words = " ".join(done.stdout.split())

    for sentence in answer.sentences:
        assert " ".join(sentence.text.split()) in words
    assert answer.candidate is not None
    assert f'"initial_lr": {answer.candidate.initial_lr!r}' in done.stdout
    assert f"LR over {answer.horizon} steps" in done.stdout
    assert re.search(r"[▁▂▃▄▅▆▇█]{30}", done.stdout)
    assert "Best 5 of the search" in done.stdout
    for arm in answer.evidence.arms:
        assert re.search(rf"^{re.escape(arm.name)} +\d\.\d{{4}} ± \d\.\d{{4}}", done.stdout, re.MULTILINE)
    assert "current" in {arm.name for arm in answer.evidence.arms}
    assert len(answer.evidence.arms) == 3
    assert ElementTree.parse(place / "curve.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert re.search(r"service +http://127\.0\.0\.1:\d+/docs", done.stdout)


def test_the_demo_leaves_its_rows_and_no_process(demo: tuple[Path, subprocess.CompletedProcess[str], float]) -> None:
    """Stock Optuna opens the store afterwards and finds the trials; the ports are free again."""
    place, done, _ = demo
    study = optuna.load_study(study_name="demo", storage=f"sqlite:///{place / 'etude.db'}")
    ports = [int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)/", done.stdout)]

    assert len(study.trials) == TRIALS
    assert {trial.state.name for trial in study.trials} <= {"COMPLETE", "PRUNED", "FAIL"}
    assert all(is_free("127.0.0.1", port) for port in ports)
