"""`python -m workers.checking my_package.tasks:MyTask`: one short trial of a task, and what is wrong with it."""

from __future__ import annotations

import argparse
import json
import math
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from etude import task as task_api
from etude.own_tasks import WrongTask, load_task
from etude.task import Task, judged_by_examples, metric_name, offer
from search_spaces.baselines import BASELINES
from search_spaces.problems import Problem

from .arithmetic import autocasting, laid_out
from .engine import Evaluation
from .failures import is_out_of_memory
from .packing.layout import NotPackable
from .packing.probe import check_packing
from .randomness import reseed_torch
from .training import BEFORE_THE_FIRST_STEP, Diverged, Training

SEED, OTHER_SEED = 1, 2
MOST_STEPS = 20
"""Of the short trial, and no more than an epoch."""
OURS = {Path(__file__).parent, Path(task_api.__file__).parent}
"""Where the code lies that calls a task."""
Check = Callable[[Task], str | None]


class Wrong(Exception):
    """A task does not do what it has to; the text says what and why it matters."""


@dataclass(frozen=True)
class Finding:
    """What one look at a task has shown."""

    about: str
    wrong: str | None = None
    note: str | None = None


def findings(kind: type[Task], params: Mapping[str, Any] | None = None, device: str = "cpu") -> Iterator[Finding]:
    """Look at a task from the outside in; the first thing that is wrong is the last finding."""
    offered = offer(kind)
    if offered.reason is not None:
        yield Finding("available", wrong=offered.reason)
        return
    try:
        task = kind(params, device)
    except Problem as problem:
        yield Finding("parameters", wrong=str(problem))
        return
    except Exception as error:  # noqa: BLE001 -- a task's code may raise anything: that is what is looked for
        yield Finding("making it", wrong=_raised(error))
        return
    yield Finding(
        "offered", note=f"{offered.name} {offered.version}: {offered.metric}, {offered.horizon.steps} updates"
    )
    try:
        yield from _checked(task)
    finally:
        with suppress(Exception):  # said already, where closing was what went wrong
            task.close()


def _checked(task: Task) -> Iterator[Finding]:
    checks: tuple[tuple[str, Check], ...] = (
        ("model", _check_model), ("groups", _check_groups), ("batch", _check_batch), ("loss", _check_loss),
        ("evaluation", _check_evaluation), ("a short trial", _check_trial), ("many trials at once", _check_packing),
        ("closing", _check_closing),
    )  # fmt: skip
    for about, check in checks:
        finding = _found(about, check, task)
        yield finding
        if finding.wrong is not None:
            return


def _found(about: str, check: Check, task: Task) -> Finding:
    try:
        return Finding(about, note=check(task))
    except Wrong as wrong:
        return Finding(about, wrong=str(wrong))
    except Exception as error:  # noqa: BLE001 -- as above
        return Finding(about, wrong=_raised(error))


def _raised(error: Exception) -> str:
    """Say what was raised, with the traceback from the task's own code on."""
    said = "memory ran out" if is_out_of_memory(error) else f"it raises {type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    own = next((place for place, frame in enumerate(frames) if Path(frame.filename).parent not in OURS), len(frames))
    return "\n".join([said, *(line.rstrip() for line in traceback.format_list(frames[own:]))])


def _check_model(task: Task) -> str:
    model = task.model(SEED)
    if not isinstance(model, nn.Module):
        raise Wrong(f"model() has to return a torch.nn.Module, not {_described(model)}")
    first, second = (_model(task, SEED).state_dict() for _ in range(2))
    if not _same(first, second):
        raise Wrong(
            "model(seed) gives other weights for the same seed: draw them from torch's generator, which is seeded"
        )
    if _same(first, _model(task, OTHER_SEED).state_dict()):
        raise Wrong("model(seed) gives the same weights for every seed: then fresh seeds confirm nothing")
    return f"{sum(weight.numel() for weight in first.values()):,} numbers"


def _check_groups(task: Task) -> str:
    groups = list(task.groups(_model(task, SEED)))
    named = {str(group["name"]) for group in groups if isinstance(group, Mapping) and "name" in group}
    if named != set(task.parameter_groups):
        declared, given = (", ".join(sorted(names)) or "none" for names in (task.parameter_groups, named))
        raise Wrong(f"parameter_groups names {declared}, and the groups that groups() returns have the names: {given}")
    return ", ".join(task.parameter_groups) or "one learning rate for all"


def _check_batch(task: Task) -> None:
    first = _copied(task.batch(0, SEED))
    torch.rand(7)  # whatever was drawn in between must not matter
    task.batch(1, SEED)
    if not _same(first, task.batch(0, SEED)):
        raise Wrong("batch(step, seed) gives other data when it is asked again: a trial that goes on would not repeat")
    if _same(first, task.batch(0, OTHER_SEED)) and _same(first, task.batch(1, SEED)):
        raise Wrong("batch(step, seed) gives the same data for every step and seed")


def _check_loss(task: Task) -> None:
    with autocasting(task):
        loss = task.loss(_model(task, SEED), task.batch(0, SEED))
    if not isinstance(loss, Tensor) or loss.dim() != 0:
        raise Wrong(f"loss() has to return a tensor without dimensions, not {_described(loss)}")
    if not loss.requires_grad:
        raise Wrong("loss() returns a tensor without a gradient")
    if not math.isfinite(loss.item()):
        raise Wrong(f"the loss of the first batch is {loss.item()}")


def _check_evaluation(task: Task) -> str:
    model = _model(task, SEED).eval()
    with torch.no_grad(), autocasting(task):
        if judged_by_examples(type(task)):
            _check_metrics(task, model)
        first, again = task.evaluate(model, "validation"), task.evaluate(model, "validation")
    if not isinstance(first, Mapping):
        raise Wrong(f"evaluate() has to return a dict of floats, not {_described(first)}")
    missing = [name for name in (task.metric, *task.further_metrics) if name not in first]
    if missing:
        raise Wrong(f"evaluation gives {', '.join(first) or 'nothing'}, and {', '.join(missing)} is missing")
    if not _equal(first[task.metric], again[task.metric]):
        raise Wrong(f"the {task.metric} of the same model differs from one evaluation to the next")
    return ", ".join(f"{metric_name(name)} {value:.4g}" for name, value in first.items())


def _check_metrics(task: Task, model: nn.Module) -> None:
    for batch in task.examples("validation"):
        given = task.metrics(model, batch)
        if not isinstance(given, Mapping):
            raise Wrong(f"metrics() has to return a dict of tensors without dimensions, not {_described(given)}")
        for name, value in given.items():
            if not isinstance(value, Tensor) or value.dim() != 0:
                raise Wrong(f"metrics() has to give {name} as a tensor without dimensions, not {_described(value)}")
        return
    raise Wrong("examples('validation') gives no batch to judge by")


def _check_trial(task: Task) -> str:
    first, again = (_trained(task) for _ in range(2))
    if not _equal(first.value, again.value):
        raise Wrong(
            f"the same trial ends at {first.value:.8g} and at {again.value:.8g}: something random depends on more "
            "than its seed and step"
        )
    return f"{first.step} updates, {metric_name(task.metric)} {first.value:.4g}, twice the same"


def _trained(task: Task) -> Evaluation:
    steps = min(MOST_STEPS, task.steps_per_epoch)
    candidate = BASELINES["adagrad-constant" if task.sparse_gradients else "adam-constant"]
    try:
        return list(Training(task, candidate, horizon_steps=steps, seed=SEED).evaluations(lambda: False))[-1]
    except Diverged as error:
        raise Wrong(f"a training of {steps} updates by {candidate.optimizer.kind} diverges") from error


def _check_packing(task: Task) -> str:
    try:
        check_packing(task, "gradient")
    except NotPackable as reason:
        return f"one by one: {reason}"
    return "they agree with each alone, so a worker may pack them"


def _model(task: Task, seed: int) -> torch.nn.Module:
    reseed_torch(seed, BEFORE_THE_FIRST_STEP)
    model: torch.nn.Module = laid_out(task, task.model(seed))
    return model


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor):
        return isinstance(second, Tensor) and torch.equal(first, second)
    if isinstance(first, Mapping):
        return all(_same(value, second[name]) for name, value in first.items())
    if isinstance(first, tuple | list):
        return all(_same(one, other) for one, other in zip(first, second, strict=True))
    return bool(first == second)


def _copied(batch: Any) -> Any:
    """Copy the tensors of a batch, which a task may use again."""
    if isinstance(batch, Tensor):
        return batch.clone()
    if isinstance(batch, Mapping):
        return {name: _copied(part) for name, part in batch.items()}
    return tuple(_copied(part) for part in batch) if isinstance(batch, tuple | list) else batch


def _equal(first: float, second: float) -> bool:
    return first == second or (math.isnan(first) and math.isnan(second))


def _check_closing(task: Task) -> None:
    task.close()
    task.close()


def _described(thing: Any) -> str:
    if isinstance(thing, Tensor):
        return f"a tensor of shape {tuple(thing.shape)}"
    return "None" if thing is None else f"a {type(thing).__name__}"


def _params(text: str) -> dict[str, Any]:
    try:
        params = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from error
    if not isinstance(params, dict):
        raise argparse.ArgumentTypeError(f'{text!r} is no JSON object, such as {{"hidden": 16}}')
    return params


def main(arguments: list[str] | None = None) -> int:
    """Check a task and print what was found; 0 where nothing is wrong."""
    parser = argparse.ArgumentParser(prog="etude task check", description=__doc__)
    parser.add_argument("task", metavar="package.module:Class")
    parser.add_argument("--params", type=_params, default={}, metavar="JSON", help="the task's parameters")
    parser.add_argument("--device", default="cpu", help="where to train (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print one JSON document: whether it is right, and why")
    flags = parser.parse_args(arguments)
    torch.set_num_threads(1)
    say = _say_nothing if flags.json else _say
    found = []
    for finding in _looked(flags.task, flags.params, flags.device):
        say(finding)
        found.append(finding)
    right = all(finding.wrong is None for finding in found)
    if flags.json:
        document = {"task": flags.task, "right": right, "findings": [asdict(finding) for finding in found]}
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return 0 if right else 1


def _looked(reference: str, params: Mapping[str, Any], device: str) -> Iterator[Finding]:
    try:
        kind = load_task(reference)
    except WrongTask as wrong:
        yield Finding("task", wrong=str(wrong))
        return
    yield from findings(kind, params, device)


def _say(finding: Finding) -> None:
    """Print a finding as it comes: the last ones take a while."""
    judged = "ok    " if finding.wrong is None else "wrong "
    sys.stdout.write(f"{judged} {finding.about}: {finding.wrong or finding.note or 'as it should be'}\n")
    sys.stdout.flush()


def _say_nothing(finding: Finding) -> None:
    """What is told as one document is told in the end."""


if __name__ == "__main__":
    sys.exit(main())
