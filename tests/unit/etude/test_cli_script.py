"""`etude check` and `etude search`: how a script is described, and what is refused before anything starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from etude.checkout import NoCheckout
from etude.cli import main
from etude.script_search import ScriptSearch
from etude.settings import PartsSettings
from search_spaces.problems import Conflict, NotFound
from search_spaces.results import StudyView
from search_spaces.script_spec import read_script_spec
from search_spaces.study import StudySpec
from tests.unit.etude.answers import study_view


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What `etude check` would become."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr("etude.cli_script.become", lambda *arguments: calls.append(arguments))
    return calls


def described(calls: list[tuple[str, ...]]) -> dict[str, Any]:
    (call,) = calls
    spec: dict[str, Any] = json.loads(call[call.index("--spec") + 1])
    return spec


def test_a_command_is_described_by_flags(become: list[tuple[str, ...]]) -> None:
    """What stands behind -- is the command, word by word, started where `etude` was."""
    result = ran("check", "--metric", r"val_acc=(\S+)", "--maximize", "--", "python", "train.py", "--epochs", "3")

    spec = described(become)
    assert result.exit_code == 0, result.output
    assert spec["command"] == ["python", "train.py", "--epochs", "3"]
    assert (spec["metric_name"], spec["direction"], spec["mode"]) == ("val_acc", "maximize", "inject")
    assert spec["directory"] == str(Path.cwd())
    assert "--guess" not in become[0]


def test_without_a_metric_it_is_looked_for(become: list[tuple[str, ...]]) -> None:
    """`etude check -- COMMAND` needs nothing else."""
    ran("check", "--json", "--", "python", "train.py")

    assert "--guess" in become[0]
    assert "--json" in become[0]


def test_flags_and_files(become: list[tuple[str, ...]]) -> None:
    """A template makes it mode flags; kinds may have other names; a metric may stand in a file."""
    flags = "--lr {initial_lr} --s {schedule} --o {optimizer}"
    ran(
        "check", "--flags", flags, "--schedules", "cosine=cos,linear", "--optimizers", "sgd", "--initial-lr", "0.05",
        "--csv", "log.csv", "--metric", "val_loss", "--step-field", "step", "--", "python", "train.py",
    )  # fmt: skip

    spec = described(become)
    assert (spec["mode"], spec["schedules"]) == ("flags", {"cosine": "cos", "linear": "linear"})
    assert spec["initial_lr"] == 0.05
    assert spec["metric"] == {"source": "csv", "path": "log.csv", "field": "val_loss", "step_field": "step"}
    assert spec["metric_name"] == "val_loss"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--metric", "x=(.)"), "which script?"),
        (("--metric", "loss", "--", "python"), "a group has to hold the value"),
        (("--csv", "log.csv", "--", "python"), "which field of log.csv?"),
        (("--flags", "--lr", "--", "python"), "{initial_lr} has to stand in it"),
        (("--colour", "red", "--", "python"), "No such option"),
    ],
)
def test_wrong_descriptions_are_refused(arguments: tuple[str, ...], words: str) -> None:
    """The field, or what is missing, is named before anything starts."""
    result = ran("search", *arguments)

    assert result.exit_code == 2
    assert words in result.output


def test_a_wrong_study_is_refused_before_the_script_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look may take long: a field that no study has is named at once, with exit status 1."""
    monkeypatch.setattr("etude.cli_script.look_at", lambda *_, **__: pytest.fail("it was looked at"))
    study = tmp_path / "study.yaml"
    study.write_text("confirmation: {seed: 3}")

    result = ran("search", "--metric", r"loss=(\S+)", "--study", str(study), "--", "python", "train.py")

    assert result.exit_code == 1
    assert "confirmation.seed" in result.output


def test_without_a_checkout_it_says_what_to_get(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 5: neither service nor worker is here."""

    def nowhere() -> Path:
        raise NoCheckout("clone the repository")

    monkeypatch.setattr("etude.cli_script.find_checkout", nowhere)

    result = ran("search", "--metric", r"loss=(\S+)", "--", "python", "train.py")

    assert result.exit_code == 5
    assert "clone the repository" in result.output


class Known:
    """A service that has one study, or none."""

    def __init__(self, view: StudyView | None) -> None:
        self._view = view

    def get(self, name: str) -> StudyView:
        if self._view is None:
            raise NotFound(f"no study {name}")
        return self._view

    def close(self) -> None:
        """Nothing is open."""


def of_task(task: dict[str, str]) -> StudyView:
    spec = StudySpec.model_validate({"name": "mine", "task": task})
    return study_view().model_copy(update={"spec": spec})


def looked_for(tmp_path: Path, view: StudyView | None) -> StudyView | None:
    """What a search of version v2 of the script `train` finds under the name `mine`."""
    spec = read_script_spec(
        {"name": "train", "command": "python train.py", "metric": {"source": "stdout", "pattern": "(.)"}}
    )
    settings = PartsSettings(data_dir=tmp_path)
    with ScriptSearch(settings, tmp_path, spec, "v2", environ={"ETUDE_URL": "http://127.0.0.1:9"}) as search:
        search.client.close()
        search.client = Known(view)  # type: ignore[assignment]
        return search.find("mine")


def test_a_study_that_is_there_is_found(tmp_path: Path) -> None:
    """Under its own name and version a search goes on; where there is none it begins."""
    there = of_task({"name": "train", "version": "v2"})

    assert looked_for(tmp_path, there) == there
    assert looked_for(tmp_path, None) is None


@pytest.mark.parametrize("task", [{"name": "train", "version": "v1"}, {"name": "other", "version": "v2"}])
def test_a_script_that_has_changed_is_another(tmp_path: Path, task: dict[str, str]) -> None:
    """Under the name of a study of something else nothing is mixed: it says what is there, and what to do."""
    with pytest.raises(Conflict, match=r"a study mine is there already.*--name"):
        looked_for(tmp_path, of_task(task))
