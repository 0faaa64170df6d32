"""A look at a script before it is searched: what it finds out, and what it says where nothing fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search_spaces.script_spec import SeedMeans, metric_name_of
from tests.scripts import script_spec
from workers.scripts.checking import Check, guessed_pattern
from workers.scripts.files import remember, remembered
from workers.scripts.measured import Measured
from workers.scripts.report import ScriptReport

PRINTS = "for step in (50, 100): print(f'step={{step}} val_loss={{{value} + 1 / step}}')"
BY_FLAG = "import sys\nseed = int(sys.argv[sys.argv.index('--seed') + 1])\n" + PRINTS.format(value="seed")
BY_ENVIRONMENT = "import os\nseed = int(os.environ['PYTHONHASHSEED'])\n" + PRINTS.format(value="seed")
NOISY = "import os\n" + PRINTS.format(value="os.getpid()")
ALIKE = PRINTS.format(value="1")


def look(directory: Path, code: str, **fields: Any) -> ScriptReport:
    known = {"mode": "flags"} | fields
    guess = known.pop("guess", False)
    spec = script_spec(directory, code, **known)
    return Check(
        spec, guess_metric=guess, seconds=20.0, say=lambda _words: None, directory=directory / "check"
    ).report()


@pytest.mark.parametrize(
    ("code", "seeding", "agree", "changes"),
    [
        (BY_FLAG, "seeded", True, True),
        (BY_ENVIRONMENT, "seeded", True, True),
        (NOISY, "repeats", False, None),
        (ALIKE, "fixed", True, False),
    ],
)
def test_what_a_seed_does(tmp_path: Path, code: str, seeding: str, agree: bool, changes: bool | None) -> None:
    """A seed by flag or environment is found; trainings that differ by themselves are told from those that never do."""
    report = look(tmp_path, code)

    assert report.fits, report.words
    assert (report.seeding, report.runs_agree, report.seed_changes) == (seeding, agree, changes)
    assert report.horizon_steps == 100
    assert report.cadence_steps == 50
    if code is BY_FLAG:
        assert report.seed == SeedMeans(flags="--seed {seed}")


def test_a_flag_that_the_script_does_not_take(tmp_path: Path) -> None:
    """A --seed that stands in the source and is refused is not taken for one."""
    report = look(tmp_path, "import sys\nif '--seed' in sys.argv: raise SystemExit(2)\n" + ALIKE)

    assert (report.fits, report.seeding) == (True, "fixed")


def test_a_given_horizon_ends_the_pass_early(tmp_path: Path) -> None:
    """With T known the script is stopped when enough was seen of its metric."""
    code = "import time\n" + ALIKE.replace("print(", "print(flush=True, *[").replace("')", "'])") + "\ntime.sleep(600)"

    report = look(tmp_path, code, horizon_steps=1000)

    assert report.fits, report.words
    assert (report.horizon_steps, report.whole) == (1000, False)


@pytest.mark.parametrize(
    ("code", "fields", "words"),
    [
        ("raise LookupError('no data')", {}, "LookupError: no data"),
        ("print('hello')", {}, "The metric was not seen"),
        ("print('loss: 0.5')", {}, r"What it prints would match --metric 'loss:\s*(\S+)'"),
        ("print('hello')", {"guess": True}, "Nothing that it prints reads like a metric"),
        (ALIKE, {"mode": "inject"}, "No optimizer of torch was seen to step"),
        (ALIKE + "\n# --lr", {"mode": "inject"}, "the mode flags fits, such as --flags '--lr {initial_lr}'"),
        (ALIKE + "\n# ETUDE_TRIAL", {"mode": "inject"}, "the mode file fits (--file)"),
        (ALIKE, {"mode": "file"}, "nothing in this one does"),
        ("import sys\nif '--lr' in sys.argv: raise SystemExit('which --lr?')\n" + ALIKE, {}, "does not take the flags"),
    ],
)
def test_nothing_fits(tmp_path: Path, code: str, fields: dict[str, Any], words: str) -> None:
    """Where no mode fits it says why, and what would."""
    if fields.get("mode", "flags") != "flags":
        fields = fields | {"flags": "", "optimizers": None, "schedules": None}

    report = look(tmp_path, code, **fields)

    assert not report.fits
    assert words in "\n".join(report.words)


def test_what_the_script_imports_may_read_its_trial(tmp_path: Path) -> None:
    """The mode file fits where a module beside the script names $ETUDE_TRIAL; that its own LR is not known is said."""
    (tmp_path / "schedule.py").write_text("import os\nos.environ['ETUDE_TRIAL']\n")
    of_file = {"mode": "file", "flags": "", "optimizers": None, "schedules": None}

    report = look(tmp_path, ALIKE, **of_file, seeding="fixed")

    assert report.fits, report.words
    assert report.words[-1].startswith("others      inject does not fit (no optimizer of torch was seen to step); ")
    assert any("its own learning rate was not seen: with --initial-lr" in line for line in report.words)


def test_a_metric_is_found_in_the_output(tmp_path: Path) -> None:
    """Without --metric the likeliest name that is given numbers is taken: a validation before a training loss."""
    report = look(tmp_path, PRINTS.format(value="1"), guess=True)

    assert (report.metric, report.guessed, len(report.values)) == (r"val_loss=(\S+)", True, 2)
    assert guessed_pattern("epoch 3 lr=0.1 Accuracy: 0.5") == r"Accuracy:\s*(\S+)"
    assert guessed_pattern("epoch=1") is None
    assert metric_name_of(r"\[val\] loss: (\S+)") == "loss"


def test_what_was_measured_is_remembered_by_version(tmp_path: Path) -> None:
    """A script that has changed is looked at again."""
    spec = script_spec(tmp_path, ALIKE)
    report = look(tmp_path, ALIKE)
    remember(spec, report, tmp_path)

    assert remembered(spec, tmp_path, Measured) == report.measured()
    (tmp_path / "train.py").write_text(f"{ALIKE}  # another")
    assert remembered(spec, tmp_path, Measured) is None
