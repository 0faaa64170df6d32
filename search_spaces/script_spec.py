"""The script file: a training script as a task, its command, its metric and how a candidate reaches it.

The file belongs to the worker (`etude worker --script file.yaml`). Nothing of it can be sent by a client.
"""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from .model import Model, problem_from_validation
from .modifiers import Restarts, Warmup
from .optimizers import BUILDABLE, OPTIMIZERS
from .schedules import FAMILIES
from .searched import Searched, refuse
from .work import LONGEST_HORIZON, OfferedScript, Seeding

Mode = Literal["inject", "flags", "file"]
Text = Annotated[str, Field(min_length=1)]
LrUnit = Literal["multiple", "absolute"]
MOST_SLOTS = 1024
VALUE, STEP = "value", "step"
"""Named groups of a metric's pattern; without the first its first group holds the value."""
TRIAL_DIRECTORY = "trial_directory"
PLAIN_FIELDS = frozenset({
    "initial_lr", "schedule", "optimizer", "horizon_steps", "warmup_steps", "warmup_fraction", "warmup_start_factor",
    "warmup_shape", "restarts_count", "restarts_length_multiplier", "restarts_peak_gamma", "seed", TRIAL_DIRECTORY,
})  # fmt: skip
"""What a template may name, beside the parameters of the optimizer and the schedule (`{momentum}`, `{end_factor}`)."""


NOT_CARRIED = frozenset({"kind", "warmup", "restarts", "reverse"})


class StdoutMetric(Model):
    """A metric that the script prints: a regular expression, looked for in every line of what it prints."""

    source: Literal["stdout"] = "stdout"
    pattern: Text
    """One group holds the value, or the group `value`; the group `step`, if there is one, the updates made."""

    @field_validator("pattern")
    @classmethod
    def _has_a_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from error
        if groups < 1:
            raise ValueError(r"a group has to hold the value: val_loss=(\S+)")
        return pattern


class _FileMetric(Model):
    path: Text
    """Where it is written, from the script's directory; `{trial_directory}` is a directory of the trial's own."""
    field: Text
    """The key, the column or the tag of the value."""


class JsonLinesMetric(_FileMetric):
    """A metric in a file of JSON objects, one a line; a line without the field is passed over."""

    source: Literal["jsonl"]
    step_field: Text | None = None
    """The key of the updates made."""


class CsvMetric(_FileMetric):
    """A metric in a column of a CSV file, whose first line names the columns; an empty cell is passed over."""

    source: Literal["csv"]
    step_field: Text | None = None
    """The column of the updates made."""


class EventsMetric(_FileMetric):
    """A scalar in TensorBoard's event files; `path` is their directory, and the step is theirs."""

    source: Literal["tensorboard"]


Metric = Annotated[StdoutMetric | JsonLinesMetric | CsvMetric | EventsMetric, Field(discriminator="source")]


class SeedMeans(Model):
    """How a seed reaches the script: flags behind its command, environment variables, or both."""

    flags: str = ""
    """Such as `--seed {seed}`."""
    environment: dict[str, str] = {}
    """Such as `{"PL_GLOBAL_SEED": "{seed}"}`."""

    @model_validator(mode="after")
    def _names_the_seed(self) -> SeedMeans:
        if not any("seed" in template_fields(text) for text in (self.flags, *self.environment.values())):
            raise ValueError("{seed} stands nowhere in it: --seed {seed}")
        return self


class LrRange(Model):
    """Between which initial LRs is searched: multiples of the largest LR that the script itself sets, or LRs."""

    low: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.01
    high: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 100.0
    unit: LrUnit = "multiple"

    @model_validator(mode="after")
    def _in_order(self) -> LrRange:
        if self.low >= self.high:
            raise refuse("high", f"this is not above low, {self.low:g}")
        return self


class ScriptSpec(Model):
    """A training script as a task that a worker offers."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """How studies name the task."""
    command: Annotated[list[Text], Field(min_length=1)]
    """Words of the command, or one text of shell words; no shell reads it."""
    metric: Metric
    metric_name: Text = "metric"
    """How studies name the metric."""
    direction: Literal["minimize", "maximize"] = "minimize"
    directory: Text = "."
    """Where the command is started; a relative one is taken from the file's own directory."""
    environment: dict[str, str] = {}
    """Added to the worker's own."""
    mode: Mode = "inject"
    """How a candidate reaches the script."""
    flags: str = ""
    """mode flags: put behind the command, such as `--lr {initial_lr} --scheduler {schedule}`."""
    schedules: dict[str, str] | None = None
    """mode flags: the kinds that the script knows, each with what `{schedule}` becomes, itself a template."""
    optimizers: dict[str, str] | None = None
    """mode flags: the optimizers that it knows, each with what `{optimizer}` becomes, itself a template."""
    initial_lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """modes flags and file: the script's own largest LR, if it is not seen in its torch optimizers."""
    seed: SeedMeans | None = None
    """How a seed reaches the script; None: it takes none, or says so in its own command."""
    seeding: Seeding | None = None
    """What a seed does; default: looked at when the script is checked."""
    lr: LrRange | None = None
    """Range of the initial LR; default: 0.01 to 100 times the script's own, in flags and file the optimizer's."""
    horizon_steps: Annotated[int, Field(ge=1, le=LONGEST_HORIZON)] | None = None
    """T, the updates of one whole training; default: counted when the script is checked."""
    slots: Annotated[int, Field(ge=1, le=MOST_SLOTS)] = 1
    """Trials at once."""
    grace_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 10.0
    """Between SIGTERM and SIGKILL."""
    log_bytes: Annotated[int, Field(ge=4096)] = 1_048_576
    """Kept of a trial's output: its head and its tail."""

    @field_validator("command", mode="before")
    @classmethod
    def _words(cls, command: Any) -> Any:
        if not isinstance(command, str):
            return command
        try:
            return shlex.split(command)
        except ValueError as error:
            raise ValueError(f"these are no shell words: {error}") from error

    @field_validator("metric", mode="before")
    @classmethod
    def _printed_unless_said(cls, metric: Any) -> Any:
        return {"source": "stdout", **metric} if isinstance(metric, Mapping) else metric

    @model_validator(mode="after")
    def _templates_and_mode_agree(self) -> ScriptSpec:
        for field, text in self._templates():
            _check_template(field, text, self._known())
        if self.mode == "flags":
            self._check_flags()
        elif self.flags or self.schedules is not None or self.optimizers is not None:
            named = "flags" if self.flags else "schedules" if self.schedules is not None else "optimizers"
            raise refuse(named, f"this goes with the mode flags, and the mode is {self.mode}")
        if self.lr is not None and self.lr.unit == "multiple" and self.mode != "inject" and self.initial_lr is None:
            raise refuse("lr.unit", "multiples are of the script's own LR: give initial_lr, or unit: absolute")
        if self.slots > 1 and not isinstance(self.metric, StdoutMetric) and TRIAL_DIRECTORY not in self._used():
            raise refuse(
                "slots", "trials at once would write one file: put {trial_directory} into metric.path and command"
            )
        return self

    def _templates(self) -> Iterator[tuple[str, str]]:
        yield "flags", self.flags
        for word in self.command:
            if "{trial_directory}" in word:
                yield "command", word
        for part in ("schedules", "optimizers"):
            for kind, text in (getattr(self, part) or {}).items():
                yield f"{part}.{kind}", text

    def _used(self) -> set[str]:
        """Return the fields that some template names."""
        path = "" if isinstance(self.metric, StdoutMetric) else self.metric.path
        seeds = [self.seed.flags, *self.seed.environment.values()] if self.seed else []
        texts = [path, *seeds, *(text for _, text in self._templates())]
        return {name for text in texts for name in template_fields(text)}

    def _known(self) -> frozenset[str]:
        classes: list[type[Searched]] = [*OPTIMIZERS.values(), *FAMILIES.values()]
        parameters = {name for part in classes for name in part.model_fields if name not in NOT_CARRIED}
        lengths = {f"{name}_steps" for part in FAMILIES.values() for name in part.lengths}
        return PLAIN_FIELDS | parameters | lengths

    def _check_flags(self) -> None:
        used = self._used()
        if "initial_lr" not in used:
            raise refuse("flags", "{initial_lr} has to stand in it: --lr {initial_lr}")
        for part, field, known in (
            ("schedules", "schedule", set(FAMILIES) - {"script"}), ("optimizers", "optimizer", BUILDABLE)
        ):  # fmt: skip
            kinds = getattr(self, part)
            if not kinds:
                raise refuse(part, f"name at least one that the script knows: {', '.join(sorted(known))}")
            for kind in kinds:
                if kind not in known:
                    raise refuse(f"{part}.{kind}", f"there is no {kind!r}: {', '.join(sorted(known))}")
            if len(kinds) > 1 and field not in template_fields(self.flags):
                raise refuse("flags", f"{{{field}}} has to stand in it: the script knows {len(kinds)} {part}")
        for part, classes in (("schedules", FAMILIES), ("optimizers", OPTIMIZERS)):
            for kind in getattr(self, part):
                _check_whole(f"{part}.{kind}", classes[kind], self.settable(classes[kind]))

    def settable(self, part: type[Searched]) -> list[str]:
        """Return the parameters of an optimizer or a schedule that the flags carry."""
        kinds = self.optimizers if part.model_fields["kind"].default in OPTIMIZERS else self.schedules
        own = template_fields((kinds or {}).get(part.model_fields["kind"].default, ""))
        used = own | template_fields(self.flags)
        carried = {name.removesuffix("_steps") for name in used} | used
        whole = all(name in carried for name, field in part.model_fields.items() if field.is_required())
        # A list is searched by its members, which have names of their own.
        return [name for name in part.parameters() if name in carried or (whole and name not in part.model_fields)]

    def offered(self, *, initial_lr: float | None, seeding: Seeding) -> OfferedScript:
        """Return what a study may search; `initial_lr` is the largest LR that was seen, if any was."""
        own = initial_lr or self.initial_lr
        factor = 1.0 if self.lr is None or self.lr.unit == "absolute" else own
        ends = (None, None) if self.lr is None or factor is None else (self.lr.low * factor, self.lr.high * factor)
        flags = self.mode == "flags"
        used = self._used()
        return OfferedScript(
            mode=self.mode,
            optimizers=self._open(self.optimizers, OPTIMIZERS) if flags else None,
            schedules=self._open(self.schedules, FAMILIES) if flags else None,
            warmup=_modifier("warmup", used, Warmup) if flags else None,
            restarts=_modifier("restarts", used, Restarts) if flags else None,
            initial_lr=own,
            lr_low=ends[0],
            lr_high=ends[1],
            seeding=self.seeding or seeding,
            fixed_horizon="horizon_steps" not in used and self.mode != "file",
        )

    def _open(
        self, kinds: Mapping[str, str] | None, classes: Mapping[str, type[Searched]]
    ) -> dict[str, list[str]] | None:
        return None if kinds is None else {kind: self.settable(classes[kind]) for kind in kinds}


def read_script_spec(fields: Mapping[str, Any]) -> ScriptSpec:
    """Read a script file's fields.

    Raises:
        InvalidSpec: it names the field.
    """
    try:
        return ScriptSpec.model_validate(dict(fields))
    except ValidationError as error:
        raise problem_from_validation(error) from error


def template_fields(text: str) -> set[str]:
    """Return the names in a template; of one that cannot be read, none.

    >>> sorted(template_fields("--lr {initial_lr:.3g} --mode {schedule}"))
    ['initial_lr', 'schedule']
    """
    try:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}
    except ValueError:
        return set()


def metric_name_of(pattern: str) -> str:
    r"""Return how studies call the metric of a pattern: what stands before the group that holds the value.

    >>> metric_name_of(r"val_loss=(\S+)"), metric_name_of(r"step (?P<step>\d+) loss: (?P<value>\S+)")
    ('val_loss', 'loss')
    """
    before = pattern.partition("(?P<value>" if "(?P<value>" in pattern else "(")[0]
    names = re.findall(r"[A-Za-z][\w./-]*", re.sub(r"\\.|\(.*?\)", " ", before))
    return names[-1] if names else "metric"


def _check_template(field: str, text: str, known: frozenset[str]) -> None:
    try:
        named = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise refuse(field, f"this is no template: {error}") from error
    for name in named:
        if name not in known:
            raise refuse(field, f"there is no {{{name}}}: {', '.join(sorted(known))}")


def _check_whole(field: str, part: type[Searched], settable: list[str]) -> None:
    """Refuse a kind that the script knows but that has a parameter without default which no flag carries."""
    # What is searched by the names of its members is carried as a whole.
    searched = [name for name in part.parameters() if name in part.model_fields]
    required = [name for name, one in part.model_fields.items() if one.is_required()]
    missing = [name for name in required if name not in settable and (name in searched or not settable)]
    if missing:
        raise refuse(field, f"no flag carries {missing[0]}: {{{missing[0]}}} has to stand in a template")


def _modifier(part: str, used: set[str], model: type[Model]) -> list[str]:
    """Return the parameters of a modifier that the flags carry; its length in steps stands for its fraction."""
    names = list(model.model_fields)
    carried = [name for name in names if f"{part}_{name}" in used]
    first = names[0]
    if part == "warmup" and "warmup_steps" in used and first not in carried:
        carried.insert(0, first)
    return carried if first in carried else []
