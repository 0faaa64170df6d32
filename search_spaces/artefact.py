"""The answer as a document of its own: versioned, with a checksum, and readable without a service.

Its checksum is the SHA-256 of the document without the checksum, written as JSON with sorted keys, no spaces and ASCII
only. Who finds another number has another document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from .candidate import Candidate
from .model import Message, problem_from_validation
from .problems import HorizonTooShort, InvalidSpec, Problem, Unsupported
from .results import (
    Answer,
    AnsweredTask,
    AnswerStatus,
    Compute,
    Evidence,
    MetricName,
    Provenance,
    Sentence,
    Verdict,
)
from .schedules import check_horizon
from .target import Target

KIND = "etude.answer"
SCHEMA_VERSION = 1
RULE = (
    "LR(t) = initial_lr * f(t) for update t = 0 ... T - 1, times a parameter group's lr_ratio. Lengths in the schedule "
    "are fractions of T and become whole steps by rounding half up, so the same schedule is drawn for any T"
)


class Redraw(Message):
    """How the schedule is drawn for another horizon."""

    rule: str = RULE
    least_steps: int
    """The shortest horizon that the schedule fits into."""


class Artefact(Message):
    """What `best.json` holds."""

    kind: Literal["etude.answer"] = "etude.answer"
    schema_version: int = SCHEMA_VERSION
    study: str
    status: AnswerStatus
    """Only `final` was confirmed."""
    verdict: Verdict | None = None
    sentence: str
    sentences: list[Sentence] = []
    candidate: Candidate
    candidate_text: str | None = None
    horizon: int
    """T that the candidate was trained for, in steps."""
    redraw: Redraw
    metric: MetricName
    target: Target | None = None
    """What is reached in `horizon` steps, where the search was for the fewest; values are then steps."""
    task: AnsweredTask
    seeds: list[int] = []
    """Those of the confirmation; the search's is in the spec."""
    evidence: Evidence = Evidence()
    compute: Compute = Compute()
    provenance: Provenance | None = None
    checksum: str = ""
    """`sha256:` and 64 hexadecimal digits."""


SHARED = tuple(name for name in Artefact.model_fields if name in Answer.model_fields and name != "schema_version")


def artefact_of(answer: Answer) -> dict[str, Any]:
    """Return an answer's document as plain JSON.

    Raises:
        InvalidSpec: nothing is complete yet, so there is no candidate to keep.
    """
    if answer.candidate is None or answer.horizon is None:
        raise InvalidSpec(
            f"nothing of {answer.study} is complete yet, so there is no answer to keep", field="candidate"
        )
    known = {name: getattr(answer, name) for name in SHARED}
    made = Artefact(**known, redraw=Redraw(least_steps=_least_steps(answer.candidate, answer.horizon)))
    # Through JSON text: only there NaN and infinities become strings.
    document: dict[str, Any] = json.loads(made.model_dump_json(exclude={"checksum"}))
    return {**document, "checksum": checksum_of(document)}


def _least_steps(candidate: Candidate, horizon: int) -> int:
    """Return the shortest horizon that a schedule fits into, at most the one that it was trained for."""
    least = 1
    while least < horizon:
        try:
            check_horizon(candidate.schedule, least)
        except HorizonTooShort as problem:
            least = max(least + 1, problem.least_steps)
        except Problem:
            return horizon
        else:
            return least
    return horizon


def checksum_of(document: Mapping[str, Any]) -> str:
    """Return the checksum of a document, whatever its own `checksum` says."""
    told = {name: value for name, value in document.items() if name != "checksum"}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(text.encode('ascii')).hexdigest()}"


def as_text(document: Mapping[str, Any]) -> str:
    """Write a document as it is kept in a file."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_artefact(text: str | bytes) -> Artefact:
    """Read a document as it was kept, of this version or an older one.

    Raises:
        InvalidSpec: it is no kept answer, or not as it was written: its checksum is that of another document.
        Unsupported: a later version of Étude wrote it.
    """
    document = _document(text)
    written = document.get("schema_version")
    if not isinstance(written, int) or isinstance(written, bool) or written < 1:
        raise InvalidSpec(f"{written!r} is no version of a kept answer", field="schema_version")
    if written > SCHEMA_VERSION:
        raise Unsupported(
            f"the answer was kept in version {written}, and this Étude reads up to {SCHEMA_VERSION}: a later one does",
            field="schema_version",
        )
    if document.get("checksum") != checksum_of(document):
        raise InvalidSpec("the answer was changed after it was kept: its checksum is another", field="checksum")
    try:
        return Artefact.model_validate(document)
    except ValidationError as error:
        raise problem_from_validation(error) from error


def _document(text: str | bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidSpec(f"this is no kept answer, nor any JSON: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise InvalidSpec(f'this is no kept answer: one says "kind": "{KIND}"', field="kind")
    return document
