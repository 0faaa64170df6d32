"""The command line: what is printed, and with which exit status it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from etude.checkout import NoCheckout, find_checkout
from etude.cli import EPILOG, EXIT_STATUS, INTERRUPTED, main
from search_spaces.problems import (
    Conflict,
    InternalError,
    InvalidSpec,
    NotFound,
    NotReady,
    Problem,
    StoreUnavailable,
)
from search_spaces.results import ScoreOnTest
from tests.unit.etude.answers import final_answer, refuses, says, study_view, trial_view

MINE = "/v1/studies/mine"
CURVE = says({"lr": [0.0005, 0.001, 0.0005, 0.0]})
Etude = Callable[..., Result]


def test_status_without_studies_says_how_to_make_one(etude: Etude, table: dict[str, object]) -> None:
    """Nothing is not an error."""
    table["GET /v1/studies"] = says({"items": []})

    result = etude("status")

    assert result.exit_code == 0
    assert "etude submit" in result.output


def test_status_lists_studies(etude: Etude, table: dict[str, object]) -> None:
    """One line a study."""
    view = study_view(counts={"complete": 3}, best={"trial": 2, "value": 0.25})
    table["GET /v1/studies"] = says({"items": [json.loads(view.model_dump_json())]})

    result = etude("status")

    line = next(line for line in result.output.splitlines() if line.startswith("mine"))
    assert line.split() == ["mine", "running", "digits-noisy", "3/40", "val_loss", "0.25"]


def test_status_of_one_study_as_json_is_what_the_service_answers(etude: Etude, table: dict[str, object]) -> None:
    """`--json` is for programs: nothing but the document."""
    table[f"GET {MINE}"] = says(study_view())

    result = etude("status", "mine", "--json")

    assert json.loads(result.stdout) == json.loads(study_view().model_dump_json())


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (NotFound("no study named mine", field="name"), 4),
        (Conflict("it is done"), 1),
        (StoreUnavailable("away"), 3),
        (NotReady("starting"), 3),
        (InternalError("a defect"), 1),
    ],
)
def test_a_refusal_ends_with_its_status_and_a_sentence(
    etude: Etude, table: dict[str, object], problem: Problem, status: int
) -> None:
    """No traceback for what is expected; the same as JSON. What an operator is to look into has an id."""
    table[f"GET {MINE}"] = refuses(problem)

    result, as_json = etude("status", "mine"), etude("status", "mine", "--json")

    assert (result.exit_code, as_json.exit_code) == (status, status)
    logged = r" \(request [0-9a-f]{32} in the service's log\)" if problem.status >= 500 else ""
    assert re.fullmatch(f"etude: {problem.detail}{logged}\n", result.stderr)
    assert (as_json.stdout, json.loads(as_json.stderr)["code"]) == ("", problem.code)


def test_ctrl_c_while_following_says_that_the_study_goes_on(
    etude: Etude, table: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The looking ends, with 130; who wants the study to end reads how."""

    def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    table |= {"POST /v1/studies": says({"name": "mine"}), f"GET {MINE}": says(study_view())}
    monkeypatch.setattr("etude.waiting.wait_for_end", interrupted)
    monkeypatch.setattr("etude.cli_watch.wait_for_end", interrupted)

    for command in (("submit", "--task", "digits", "--wait"), ("watch", "mine")):
        result = etude(*command)
        assert result.exit_code == INTERRUPTED
        assert "mine goes on" in result.stderr
        assert "`etude stop mine` ends it" in result.stderr


def test_an_empty_name_is_no_study(etude: Etude) -> None:
    """An unset variable of a shell must not become the address of all studies."""
    for command in (("status", ""), ("best", ""), ("delete", "", "--yes")):
        result = etude(*command)
        assert (result.exit_code, result.stderr) == (4, "etude: no study has an empty name\n")


def test_ctrl_c_ends_with_130(etude: Etude, table: dict[str, object]) -> None:
    """As a shell expects it."""

    def interrupted(_request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    table["GET /v1/studies"] = interrupted

    assert etude("status").exit_code == 130


@pytest.mark.parametrize(("verb", "state"), [("pause", "paused"), ("resume", "running"), ("stop", "stopped")])
def test_changes_say_the_state(etude: Etude, table: dict[str, object], verb: str, state: str) -> None:
    """In words, and as the study's JSON."""
    table[f"PATCH {MINE}"] = says(study_view(state))

    told, as_json = etude(verb, "mine"), etude(verb, "mine", "--json")

    assert told.output == f"mine is {state}\n"
    assert json.loads(as_json.stdout)["state"] == state


def test_submit_says_that_nobody_trains_a_study_that_has_begun(etude: Etude, table: dict[str, object]) -> None:
    """Its task is known, since a worker offered it once; none is there now."""
    view = study_view("running", reason="no live worker offers the task digits-noisy")
    table |= {"POST /v1/studies": says(view, 201), f"GET {MINE}": says(view)}

    result = etude("submit", "--task", "digits-noisy", "--name", "mine")

    told = "mine is running, but no live worker offers the task digits-noisy: http://service.test/v1/studies/mine"
    assert result.output.split() == told.split()


def test_submit_takes_flags(etude: Etude, table: dict[str, object]) -> None:
    """Flags alone are enough; the name is made from the task and the time."""
    sent: list[dict[str, object]] = []

    def keep(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return says(study_view("queued"), 201)

    table |= {"POST /v1/studies": keep, f"GET {MINE}": says(study_view("queued"))}

    result = etude("submit", "--task", "digits-noisy", "--trials", "8", "--epochs", "5", "--seeds", "3", "--tag", "a")

    assert result.exit_code == 0
    told = "mine is queued until a worker offers digits-noisy: http://service.test/v1/studies/mine"
    assert result.output.split() == told.split()
    name = sent[0].pop("name")
    assert str(name).startswith("digits-noisy-2")
    assert sent == [
        {"task": {"name": "digits-noisy"}, "budget": {"trials": 8}, "horizon": {"epochs": 5},
         "confirmation": {"seeds": 3}, "tags": ["a"]}
    ]  # fmt: skip


def test_every_flag_has_its_place_in_the_spec(etude: Etude, table: dict[str, object], tmp_path: Path) -> None:
    """Beside what the file says there; parameters of a task are JSON, else text."""
    file = tmp_path / "study.json"
    task = {"name": "a", "params": {"noise": 0.1, "width": 8}}
    spec = {"name": "mine", "task": task, "budget": {"trials": 8}, "horizon": {"epochs": 3}, "space": {"warmup": False}}
    file.write_text(json.dumps(spec))
    sent: list[dict[str, object]] = []

    def keep(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return says(study_view("queued"), 201)

    table |= {"POST /v1/studies": keep, f"GET {MINE}": says(study_view("queued"))}
    flags = (
        "--param noise=0.2 --param norm=batch --worker-seconds 60 --deadline 2030-01-01T00:00:00Z --steps 500"
        " --preset narrow --optimizer adamw --schedule cosine --metric loss --direction minimize --priority 3"
    )

    etude("submit", str(file), *flags.split())

    assert sent == [{
        "name": "mine", "task": {"name": "a", "params": {"noise": 0.2, "width": 8, "norm": "batch"}},
        "budget": {"trials": 8, "worker_seconds": 60.0, "deadline": "2030-01-01T00:00:00Z"},
        "horizon": {"steps": 500}, "priority": 3, "objective": {"metric": "loss", "direction": "minimize"},
        "space": {"warmup": False, "preset": "narrow", "optimizers": ["adamw"], "schedules": ["cosine"]},
    }]  # fmt: skip


def test_a_parameter_without_a_value_is_a_usage_error(etude: Etude) -> None:
    """The text shows what is meant."""
    result = etude("submit", "--task", "a", "--param", "noise")

    assert result.exit_code == 2
    assert "'noise' is not NAME=JSON" in result.stderr


def test_a_dry_run_prints_the_plan(etude: Etude, table: dict[str, object]) -> None:
    """Nothing is submitted: the request says so."""

    def plan(request: httpx.Request) -> httpx.Response:
        assert request.url.params["dry_run"] == "true"
        return says({"name": "mine", "state": "queued", "trials": 40, "horizon_steps": 510})

    table["POST /v1/studies"] = plan

    result = etude("submit", "--task", "digits-noisy", "--dry-run")

    assert json.loads(result.stdout)["horizon_steps"] == 510


def test_flags_win_over_the_file(etude: Etude, table: dict[str, object], tmp_path: Path) -> None:
    """A YAML file is the study; flags change single fields and leave their neighbours."""
    file = tmp_path / "study.yaml"
    file.write_text("name: mine\ntask: {name: digits-noisy}\nbudget: {trials: 8}\nconfirmation: {top: 3, seeds: 7}\n")
    sent: list[dict[str, object]] = []

    def keep(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return says(study_view("queued"), 201)

    table |= {"POST /v1/studies": keep, f"GET {MINE}": says(study_view("queued"))}

    etude("submit", str(file), "--seeds", "3")

    assert sent[0]["confirmation"] == {"top": 3, "seeds": 3}
    assert sent[0]["budget"] == {"trials": 8}


def test_a_number_with_an_exponent_is_a_number(etude: Etude, table: dict[str, object], tmp_path: Path) -> None:
    """1e-3 in a file is sent as a number, and what is quoted as text."""
    file = tmp_path / "study.yaml"
    file.write_text(
        "name: mine\ntask: nothing\nspace: {low: 1e-3, high: 2.5E+1, text: '1e-3', name: 1e3x, whole: 10}\n"
    )
    sent: list[dict[str, object]] = []

    def keep(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return says(study_view("queued"), 201)

    table |= {"POST /v1/studies": keep, f"GET {MINE}": says(study_view("queued"))}

    etude("submit", str(file))

    assert sent[0]["space"] == {"low": 0.001, "high": 25.0, "text": "1e-3", "name": "1e3x", "whole": 10}


def test_a_refused_spec_names_its_field(etude: Etude, table: dict[str, object]) -> None:
    """The service's words reach the person."""
    table["POST /v1/studies"] = refuses(InvalidSpec("at least 1", field="budget.trials"))

    result = etude("submit", "--task", "digits-noisy", "--trials", "0")

    assert result.exit_code == 1
    assert result.stderr == "etude: budget.trials: at least 1\n"


@pytest.mark.parametrize("text", ["- just\n- a list\n", "name: [open\n"])
def test_a_file_that_holds_no_study_is_a_usage_error(etude: Etude, tmp_path: Path, text: str) -> None:
    """Status 2 before anything is sent."""
    file = tmp_path / "study.yaml"
    file.write_text(text)

    assert etude("submit", str(file)).exit_code == 2


def test_submit_without_a_task_is_a_usage_error(etude: Etude) -> None:
    """The text says what is missing."""
    result = etude("submit")

    assert result.exit_code == 2
    assert "--task" in result.stderr


def test_submit_and_wait_prints_the_answer(etude: Etude, table: dict[str, object]) -> None:
    """Progress goes to stderr, the answer to stdout."""
    table |= {
        "POST /v1/studies": says(study_view("queued"), 201),
        f"GET {MINE}": says(study_view("done", counts={"complete": 40})),
        f"GET {MINE}/best": says(final_answer()),
        f"GET {MINE}/best/curve": CURVE,
    }

    result = etude("submit", "--task", "digits-noisy", "--wait")

    assert result.exit_code == 0
    assert result.stdout.startswith("Change to this.")
    assert "done 40/40" in result.stderr


def test_waiting_for_a_study_that_fails_ends_with_1(etude: Etude, table: dict[str, object]) -> None:
    """A script that waits must hear of it."""
    answer = final_answer(status="stopped", candidate=None, sentence="The study failed: no data.")
    table |= {
        "POST /v1/studies": says(study_view("queued"), 201),
        f"GET {MINE}": says(study_view("failed", reason="no data")),
        f"GET {MINE}/best": says(answer),
    }

    result = etude("submit", "--task", "digits-noisy", "--wait")

    assert result.exit_code == 1
    assert "The study failed: no data." in result.stdout


def test_best_shows_sentence_candidate_curve_and_arms_best_first(etude: Etude, table: dict[str, object]) -> None:
    """Everything that the answer rests on is on the page."""
    table |= {f"GET {MINE}/best": says(final_answer()), f"GET {MINE}/best/curve": CURVE}

    lines = etude("best", "mine").output.splitlines()

    text = "\n".join(lines)
    assert lines[0] == "Change to this."
    assert "AdamW" in lines[1]
    assert lines[4] == "LR over 4 steps: at most 0.001, at last 0"
    assert "0.2000 ± 0.0100" in text
    assert text.index("candidate-1") < text.index("sgd-cosine")
    assert "Note: one note" in text


def test_best_shows_what_the_test_split_said_and_no_zeros_for_small_numbers(
    etude: Etude, table: dict[str, object]
) -> None:
    """One line an evaluation; an arm whose loss is 2e-6 is told from one of 3e-6."""
    answer = final_answer()
    small = [arm.model_copy(update={"mean": 2e-6, "standard_deviation": 1e-7}) for arm in answer.evidence.arms]
    score = ScoreOnTest(arm="candidate-1", seed=3, metrics={"test_accuracy": 0.95556})
    evidence = answer.evidence.model_copy(update={"arms": small, "test_scores": [score]})
    table |= {
        f"GET {MINE}/best": says(answer.model_copy(update={"evidence": evidence})),
        f"GET {MINE}/best/curve": CURVE,
    }

    text = etude("best", "mine").output

    assert "0.00000200 ± 0.00000010" in text
    assert "Test split, one evaluation of candidate-1: test_accuracy 0.9556" in text


def test_best_before_anything_is_complete_says_so(etude: Etude, table: dict[str, object]) -> None:
    """No candidate, no curve asked for."""
    answer = final_answer(status="searching", candidate=None, sentence="Nothing is complete yet.")
    table[f"GET {MINE}/best"] = says(answer.model_copy(update={"evidence": type(answer.evidence)()}))

    result = etude("best", "mine")

    assert result.output == "Nothing is complete yet.\n"


def test_trials_lists_one_a_line_with_the_last_line_of_an_error(etude: Etude, table: dict[str, object]) -> None:
    """A traceback is for --json."""
    trials = [trial_view(0, 0.25), trial_view(1, None, state="failed", error="Traceback\n  here\nValueError: no")]
    rows = [json.loads(trial.model_dump_json()) for trial in trials]
    table |= {f"GET {MINE}/trials": says({"items": rows}), f"GET {MINE}": says(study_view())}

    output = etude("trials", "mine").output

    assert "0.2500" in output
    assert "ValueError: no" in output.replace("\n", " ")
    assert "Traceback" not in output


def test_deleting_asks_first(etude: Etude, table: dict[str, object]) -> None:
    """A no leaves the study alone; --yes asks nothing."""
    table[f"DELETE {MINE}"] = httpx.Response(204)

    refused, done = etude("delete", "mine", input="n\n"), etude("delete", "mine", "--yes")
    as_json = etude("delete", "mine", "--yes", "--json")

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert done.output == "mine is removed\n"
    assert json.loads(as_json.stdout) == {"name": "mine", "removed": True}


def test_no_service_is_told_with_what_to_do() -> None:
    """The one thing everybody meets first."""
    result = CliRunner().invoke(main, ["--url", "http://127.0.0.1:9", "status"])

    assert result.exit_code == 3
    assert "etude up" in result.stderr


def test_up_without_a_checkout_ends_with_5(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel alone cannot start parts, and says what to get."""
    monkeypatch.setattr("etude.checkout.MARKS", ("no/such/file",))

    for command in ("up", "demo", "worker", "store check", "task check my_tasks:Wells"):
        result = CliRunner().invoke(main, command.split())
        assert result.exit_code == 5
        assert "make install" in result.stderr
    assert "\n  5    a command that starts parts" in EPILOG


@pytest.mark.parametrize("command", ["worker --help", "task check -h"])
def test_help_needs_no_checkout(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Who has the wheel alone reads what a command is for, before anything is cloned."""
    monkeypatch.setattr("etude.checkout.MARKS", ("no/such/file",))

    result = CliRunner().invoke(main, command.split())

    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


def test_an_address_that_is_none_ends_with_2() -> None:
    """It is the command line that is wrong: trying again would not help."""
    result = CliRunner().invoke(main, ["--url", "gpu-1", "status"])

    assert result.exit_code == 2
    assert "http://HOST:PORT is meant" in result.stderr


def test_in_a_pipe_each_row_is_a_line(etude: Etude, table: dict[str, object]) -> None:
    """However long it is, so that grep finds whole ones; nothing stands behind the last column."""
    reason = "no live worker offers the task digits; its trials wait until one does, and nobody knows how long " * 3
    table["GET /v1/studies"] = says({"items": [study_view(reason=reason.strip()).model_dump(mode="json")]})

    lines = etude("status").stdout.splitlines()

    assert len(lines) == 2
    assert lines[1].endswith(reason.strip())
    assert lines == [line.rstrip() for line in lines]


def test_a_wrong_port_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named."""
    monkeypatch.setenv("ETUDE_PORT", "eight thousand")

    result = CliRunner().invoke(main, ["up"])

    assert result.exit_code == 2
    assert "ETUDE_PORT is 'eight thousand'" in result.stderr


def test_the_checkout_is_found_from_a_directory_inside_it(tmp_path: Path) -> None:
    """The working directory may lie deep in the checkout; one without the parts is none."""
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    for mark in ("service/__main__.py", "store/__init__.py", "workers/__main__.py"):
        (tmp_path / mark).parent.mkdir(exist_ok=True)
        (tmp_path / mark).touch()

    assert find_checkout(tmp_path / "docs" / "deep") == tmp_path
    with pytest.raises(NoCheckout):
        find_checkout(tmp_path.parent)


def test_the_help_documents_every_exit_status() -> None:
    """What EXIT_STATUS holds, 0 and click's own 2, and nothing else."""
    documented = {int(line.split()[0]) for line in EPILOG.splitlines() if line[:6].strip().isdecimal()}

    assert documented == {0, 2, INTERRUPTED, *EXIT_STATUS.values()}


WITHOUT_JSON = {"worker", "train", "completion", "task check"}
"""`task check` hands it on; what `train` prints is the script's own."""


def printing(name: str, command: click.Command) -> dict[str, click.Command]:
    """The command, or those of a group, by their names."""
    if not isinstance(command, click.Group):
        return {name: command}
    return {f"{name} {below}": found for below, found in command.commands.items()}


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_has_help(name: str) -> None:
    """`worker` hands --help on to the worker itself, the others explain themselves; what prints a result has --json."""
    command = main.commands[name]
    with_json = {
        full: any("--json" in option.opts for option in found.params) for full, found in printing(name, command).items()
    }

    assert with_json == {full: full not in WITHOUT_JSON for full in with_json}
    assert command.get_short_help_str(limit=60).endswith(".")
    assert len(command.get_short_help_str(limit=60)) <= 55
    parent = click.Context(main, info_name="etude", **main.context_settings)
    with click.Context(command, info_name=name, parent=parent) as context:
        assert command.get_help(context).startswith("Usage:")
