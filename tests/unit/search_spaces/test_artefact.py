"""The answer as a document: what is kept is what is read, and what was changed is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from search_spaces.artefact import SCHEMA_VERSION, artefact_of, as_text, checksum_of, read_artefact
from search_spaces.baselines import BASELINES
from search_spaces.candidate import Candidate
from search_spaces.problems import HorizonTooShort, InvalidSpec, Unsupported
from search_spaces.results import Answer, AnsweredTask, Arm, Evidence, MetricName, Provenance, TrainedOn
from search_spaces.schedules import check_horizon
from search_spaces.study import StudySpec

KEPT = Path(__file__).parents[2] / "golden" / "artefacts"
WINNER = BASELINES["adamw-warmup-cosine"]


def answer(candidate: Candidate | None = WINNER, **fields: Any) -> Answer:
    arm = Arm(name="candidate-1", role="candidate", candidate=WINNER, values={1: 0.1, 2: math.nan}, n=1, mean=0.1)
    known: dict[str, Any] = {
        "study": "mine", "status": "final", "verdict": "winner", "sentence": "Wärmer ist besser: η.",
        "candidate": candidate, "horizon": 100, "metric": MetricName(name="loss", direction="minimize"),
        "task": AnsweredTask(name="nothing", version="1"), "seeds": [1, 2], "evidence": Evidence(arms=[arm]),
        "provenance": Provenance(
            spec=StudySpec.model_validate({"name": "mine", "task": {"name": "nothing"}}),
            versions={"etude": "0.1.0"}, machines=[TrainedOn(hardware="a processor", trainings=7)],
        ),
    }  # fmt: skip
    return Answer(**(known | fields))


def kept(**fields: Any) -> dict[str, Any]:
    return json.loads(as_text(artefact_of(answer(**fields))))  # type: ignore[no-any-return]


def test_what_is_read_is_what_was_kept() -> None:
    """Candidate, evidence with its nan, seeds and provenance, through the text of a file."""
    artefact = read_artefact(as_text(artefact_of(answer())))

    assert (artefact.candidate, artefact.horizon, artefact.seeds) == (WINNER, 100, [1, 2])
    assert artefact.sentence == "Wärmer ist besser: η."
    assert math.isnan(artefact.evidence.arms[0].values[2])
    assert artefact.provenance == answer().provenance
    assert "least_steps" in artefact.redraw.model_dump()
    assert "fractions of T" in artefact.redraw.rule


def test_the_order_and_the_spaces_of_a_file_do_not_matter() -> None:
    """A tool that writes the same JSON in another way has not changed it."""
    document = kept()

    turned = json.dumps(dict(reversed(document.items())), indent=7, ensure_ascii=True)

    assert read_artefact(turned).model_dump_json() == read_artefact(as_text(document)).model_dump_json()


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["candidate"].update(initial_lr=0.002),
        lambda document: document.update(horizon=101),
        lambda document: document["evidence"]["arms"][0]["values"].update({"1": 0.05}),
        lambda document: document["provenance"]["spec"].update(seed=1),
        lambda document: document.update(further="something"),
        lambda document: document.pop("verdict"),
        lambda document: document.pop("checksum"),
        lambda document: document.update(checksum="sha256:" + 64 * "0"),
    ],
)
def test_a_changed_document_is_refused(change: Any) -> None:
    """Whatever was changed, added or taken away: the checksum is another, and the error says so."""
    document = kept()

    change(document)

    with pytest.raises(InvalidSpec, match="changed after it was kept") as caught:
        read_artefact(json.dumps(document))
    assert caught.value.field == "checksum"


def test_a_later_version_is_refused_by_its_name() -> None:
    """Not by its checksum, nor by a field that it may have renamed: the version is what is wrong."""
    document = kept() | {"schema_version": SCHEMA_VERSION + 1}
    document["checksum"] = checksum_of(document)

    with pytest.raises(Unsupported, match=f"version {SCHEMA_VERSION + 1}.*reads up to {SCHEMA_VERSION}") as caught:
        read_artefact(json.dumps(document))
    assert caught.value.field == "schema_version"


@pytest.mark.parametrize("version", [None, "1", 0, True, 1.5])
def test_no_version_is_refused(version: Any) -> None:
    """A version is a whole number from 1."""
    document = kept() | {"schema_version": version}

    with pytest.raises(InvalidSpec) as caught:
        read_artefact(json.dumps(document))
    assert caught.value.field == "schema_version"


@pytest.mark.parametrize("text", ["", "[]", "{}", "η", '{"kind": "something else"}', b"\xff\xfe"])
def test_what_is_no_answer_is_refused(text: str | bytes) -> None:
    """Any other file, JSON or not, is told from a kept answer."""
    with pytest.raises(InvalidSpec, match="no kept answer"):
        read_artefact(text)


def test_a_document_that_holds_no_candidate_is_refused_by_its_field() -> None:
    """Its checksum may be right: what it says is wrong all the same."""
    document = kept()
    document["candidate"]["initial_lr"] = -1.0
    document["checksum"] = checksum_of(document)

    with pytest.raises(InvalidSpec) as caught:
        read_artefact(json.dumps(document))
    assert caught.value.field == "candidate.initial_lr"


def test_nothing_is_kept_of_an_answer_without_a_candidate() -> None:
    """There is none before a trial is complete."""
    with pytest.raises(InvalidSpec, match="nothing of mine is complete yet"):
        artefact_of(answer(candidate=None))


@pytest.mark.parametrize("name", ["adamw-warmup-cosine", "sgd-step", "adam-constant", "onecycle"])
def test_the_shortest_horizon_is_the_one_below_which_the_schedule_does_not_fit(name: str) -> None:
    """One step fewer is `horizon_too_short`."""
    schedule = BASELINES[name].schedule
    least = read_artefact(as_text(artefact_of(answer(BASELINES[name])))).redraw.least_steps

    check_horizon(schedule, least)
    if least > 1:
        with pytest.raises(HorizonTooShort):
            check_horizon(schedule, least - 1)


@pytest.mark.parametrize("file", sorted(KEPT.glob("*.json")), ids=lambda file: file.stem)
def test_answers_of_every_version_are_read_for_ever(file: Path) -> None:
    """Files of each version, as they were once kept."""
    artefact = read_artefact(file.read_bytes())

    assert artefact.candidate == WINNER
    assert artefact.schema_version == int(file.stem.removeprefix("version-"))


def test_every_version_has_a_file() -> None:
    """Who raises the version keeps a file of the old one."""
    assert {file.stem for file in KEPT.glob("*.json")} == {f"version-{n}" for n in range(1, SCHEMA_VERSION + 1)}
