"""A look at a script before it is searched: how long it trains, what steps, what it prints, what a seed does."""

from __future__ import annotations

import itertools
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from threading import Event

from search_spaces.script_command import Asked, flag_words
from search_spaces.script_spec import ScriptSpec, SeedMeans, StdoutMetric, metric_name_of
from search_spaces.work import Seeding

from .measured import SeenOptimizer, script_version
from .report import ScriptReport, Value, sentences
from .sample import sample_candidate
from .training import ScriptTraining

SEEDS = (1, 2)
LOOK_SECONDS = 0.1
ENOUGH_VALUES, ENOUGH_UPDATES = 2, 5
"""After so many a pass ends early, where the horizon is given."""
COMPARED_VALUES = 2
"""Values of the metric by which two trainings are compared."""
BY_ENVIRONMENT = SeedMeans(environment={"PYTHONHASHSEED": "{seed}", "PL_GLOBAL_SEED": "{seed}"})
"""Variables that libraries read a seed from; harmless to a script that does not."""
SEED_FLAG = SeedMeans(flags="--seed {seed}")
USAGE_STATUS = 2
"""With which argparse ends at a flag that it does not know."""
TRIAL_VARIABLE = "ETUDE_TRIAL"
MOST_SOURCE_BYTES = 10_000_000
NAMED_NUMBER = re.compile(r"([A-Za-z][\w./-]*)\s?([=:])\s?([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf)(?![\w.])")
LIKELY = ("val", "eval", "test", "loss", "acc", "error", "err")
"""What the name of a metric that decides often holds, the likelier first."""
NOT_METRICS = frozenset({"lr", "epoch", "step", "iter", "iteration", "batch", "seed", "time", "it", "s"})


@dataclass
class Pass:
    """One start of the script."""

    values: list[Value]
    updates: int
    counted: bool
    seconds: float
    whole: bool
    error: str | None
    status: int | None
    text: str
    """What it printed, as far as it is kept."""
    optimizers: list[SeenOptimizer] = field(default_factory=list)
    ranks: int = 0
    largest_lr: float = 0.0
    own_lrs: list[list[float]] = field(default_factory=list)
    seconds_per_step: float | None = None
    misfits: list[str] = field(default_factory=list)


class Check:
    """A look at one script, by a few starts of it; its parts are said as they are known."""

    def __init__(
        self, spec: ScriptSpec, *, guess_metric: bool, seconds: float, say: Callable[[str], None],
        interrupted: Callable[[], bool] = lambda: False, directory: Path | None = None,
    ) -> None:  # fmt: skip
        """Look at `spec`, each start for at most `seconds`; with `guess_metric` its metric is a mere place-holder.

        What it prints is kept below `directory`, a new one by default, until it is known to fit.
        """
        self._interrupted = interrupted
        self._spec = spec
        self._guess = guess_metric
        self._seconds = seconds
        self._say = say
        self._directory = directory or Path(mkdtemp(prefix="etude-check-"))
        self._starts = 0

    def report(self) -> ScriptReport:
        """Start the script as often as it takes, and say what was seen; what it printed is kept where it cannot be."""
        report = self._looked()
        if report.fits:
            shutil.rmtree(self._directory, ignore_errors=True)
        return report

    def _looked(self) -> ScriptReport:
        means, first = self._first()
        if first.error is not None:
            return self._misfit(first, [first.error])
        if self._guess:
            self._spec, first = _with_guess(self._spec, first)
        faults = list(_faults(self._spec, first, guessed=self._guess, seconds=self._seconds))
        if faults:
            return self._misfit(first, faults)
        means, agree, changes, seeding = self._seeds(means, first)
        flags_fault = self._flags_fault(means) if self._spec.mode == "flags" else None
        if flags_fault is not None:
            return self._misfit(first, [flags_fault])
        report = _report(self._spec, first, guessed=self._guess)
        known = {"runs_agree": agree, "seed_changes": changes, "seed": means, "seeding": self._spec.seeding or seeding}
        report = report.model_copy(update={"fits": True, **known})
        return report.model_copy(update={"words": [*sentences(report, first.misfits), _others(self._spec, first)]})

    # Starts

    def _first(self) -> tuple[SeedMeans | None, Pass]:
        """Count one training, with a seed if there is a way to give one."""
        means = self._spec.seed or (SEED_FLAG if "--seed" in source_of(self._spec) else BY_ENVIRONMENT)
        self._say("starting the script once, to count its updates")
        first = self._start(means, SEEDS[0], whole=True)
        if first.status == USAGE_STATUS and means == SEED_FLAG and self._spec.seed is None:
            means = BY_ENVIRONMENT
            first = self._start(means, SEEDS[0], whole=True)
        return means, first

    def _seeds(
        self, means: SeedMeans | None, first: Pass
    ) -> tuple[SeedMeans | None, bool | None, bool | None, Seeding]:
        """Find out what a seed does: the means that works, whether trainings agree, whether it changes them."""
        if self._spec.seeding is not None:
            return self._spec.seed, None, None, self._spec.seeding
        self._say("starting it again with the same seed, until it shows a few values")
        if not _alike(first, self._start(means, SEEDS[0])):
            return self._spec.seed, False, None, "repeats"
        self._say("starting it with another seed")
        if not _alike(first, self._start(means, SEEDS[1])):
            return means, True, True, "seeded"
        if means == SEED_FLAG and self._spec.seed is None:
            self._say("the flag changes nothing: starting it with a seed in its environment")
            if not _alike(first, self._start(BY_ENVIRONMENT, SEEDS[1])):
                return BY_ENVIRONMENT, True, True, "seeded"
        return self._spec.seed, True, False, "fixed"

    def _flags_fault(self, means: SeedMeans | None) -> str | None:
        """Start the script with the flags of a candidate; say so where it does not take them."""
        candidate = sample_candidate(self._spec)
        asked = Asked(candidate, self._spec.horizon_steps, SEEDS[0], "")
        words = " ".join(flag_words(self._spec, candidate, asked))
        self._say(f"starting it with flags: {words}")
        tried = self._start(means, SEEDS[0], asked=asked)
        return None if tried.error is None else f"The script does not take the flags {words}:\n{tried.error}"

    def _start(self, means: SeedMeans | None, seed: int, *, whole: bool = False, asked: Asked | None = None) -> Pass:
        self._starts += 1
        directory = self._directory / str(self._starts)
        candidate = asked.candidate if asked is not None else None
        asked = Asked(candidate, self._spec.horizon_steps, seed, str(directory))
        news, began = Event(), time.monotonic()
        training = ScriptTraining(self._spec, asked, directory=directory, seed=means, news=news)
        try:
            while not training.over and time.monotonic() - began < self._seconds:
                training.look()
                if self._interrupted() or self._is_enough(training, whole=whole):
                    break
                news.wait(LOOK_SECONDS)
                news.clear()
            seconds, ended = time.monotonic() - began, training.over
            training.look()
            return self._seen(training, seconds, ended=ended)
        finally:
            training.close()

    def _is_enough(self, training: ScriptTraining, *, whole: bool) -> bool:
        if whole and self._spec.horizon_steps is None:
            return False
        if self._guess and whole:
            return False
        values, updates = len(training.seen), training.updates
        return values >= ENOUGH_VALUES and (updates == 0 or not whole or updates >= ENOUGH_UPDATES)

    def _seen(self, training: ScriptTraining, seconds: float, *, ended: bool) -> Pass:
        record = training.record
        leaders = [one for one in record.processes() if one.updates and one.rank == 0]
        stepping = {one.rank for one in record.processes() if one.updates}
        failed = ended and (training.process.error is not None or training.process.status != 0)
        error = training.failure() if failed else None
        text = training.whole_text()
        return Pass(
            values=[Value(step=one.step, value=one.value) for one in training.seen],
            updates=record.updates or training.updates,
            counted=record.updates > 0,
            seconds=seconds,
            whole=ended,
            error=error,
            status=training.process.status,
            text=text,
            optimizers=[
                SeenOptimizer(kind=seen.kind, groups=len(seen.groups), updates=seen.updates)
                for leader in leaders
                for seen in leader.optimizers
            ],
            ranks=len(stepping),
            largest_lr=record.largest_lr,
            own_lrs=[list(groups) for groups in record.own_lrs()],
            seconds_per_step=leaders[0].seconds_per_step if leaders else None,
            misfits=list(record.misfits()),
        )

    def _misfit(self, first: Pass, faults: Sequence[str]) -> ScriptReport:
        report = _report(self._spec, first, guessed=self._guess)
        return report.model_copy(update={"fits": False, "words": list(faults)})


def _alike(first: Pass, other: Pass) -> bool:
    """Tell whether two trainings showed the same, as far as both have."""
    count = min(COMPARED_VALUES, len(first.values), len(other.values))
    mine, others = ([repr(one.value) for one in seen.values[:count]] for seen in (first, other))
    return count > 0 and mine == others


def _report(spec: ScriptSpec, first: Pass, *, guessed: bool) -> ScriptReport:
    horizon = spec.horizon_steps or (first.updates if first.whole and first.updates else None)
    metric = spec.metric.pattern if isinstance(spec.metric, StdoutMetric) else spec.metric.field
    count = len(first.values)
    return ScriptReport(
        fits=False,
        mode=spec.mode,
        words=[],
        horizon_steps=horizon,
        counted=first.counted,
        whole=first.whole,
        seconds=first.seconds,
        seconds_per_step=first.seconds_per_step or (first.seconds / first.updates if first.updates else None),
        cadence_steps=first.updates / count if count and first.updates else None,
        metric=metric if count or not guessed else None,
        guessed=guessed and count > 0,
        values=first.values,
        optimizers=first.optimizers,
        ranks=first.ranks,
        largest_lr=first.largest_lr or spec.initial_lr,
        own_lrs=first.own_lrs,
        version=script_version(spec),
    )


def _with_guess(spec: ScriptSpec, first: Pass) -> tuple[ScriptSpec, Pass]:
    """Look for the metric in what the script printed: a name that is given a number again and again."""
    pattern = guessed_pattern(first.text)
    if pattern is None:
        return spec, first
    found = [match[1] for match in re.finditer(pattern, first.text)]
    count = len(found)
    values = [
        Value(step=round(first.updates * (place + 1) / count), value=float(text.rstrip(",;")))
        for place, text in enumerate(found)
    ]
    known = {"metric": StdoutMetric(pattern=pattern), "metric_name": metric_name_of(pattern)}
    updates = first.updates or count
    return spec.model_copy(update=known), _replaced(first, values, updates)


def _replaced(first: Pass, values: list[Value], updates: int) -> Pass:
    first.values, first.updates = values, updates
    return first


def guessed_pattern(text: str) -> str | None:
    r"""Return a pattern of the likeliest metric in a script's output; None where no name is given a number.

    >>> guessed_pattern("epoch 1 lr=0.1 train_loss=2.0 val_loss=1.0")
    'val_loss=(\\S+)'
    """
    found = Counter((name, sign) for name, sign, _ in NAMED_NUMBER.findall(text) if name.lower() not in NOT_METRICS)
    if not found:
        return None
    rank = {word: place for place, word in enumerate(LIKELY)}

    def unlikeliness(pair: tuple[str, str]) -> tuple[int, int]:
        hits = [place for word, place in rank.items() if word in pair[0].lower()]
        return (min(hits, default=len(LIKELY)), -found[pair])

    name, sign = min(found, key=unlikeliness)
    return rf"{re.escape(name)}{sign}(\S+)" if f"{name}{sign} " not in text else rf"{re.escape(name)}{sign}\s*(\S+)"


def _faults(spec: ScriptSpec, first: Pass, *, guessed: bool, seconds: float) -> list[str]:
    """Say why a script cannot be searched as it is."""
    if not first.values:
        if guessed:
            return ["Nothing that it prints reads like a metric (name=number): say where it is with --metric."]
        metric = spec.metric
        where = metric.pattern if isinstance(metric, StdoutMetric) else f"{metric.field} in {metric.path}"
        likely = guessed_pattern(first.text)
        hint = "" if likely is None else f" What it prints would match --metric '{likely}'."
        return [f"The metric was not seen: {where}.{hint}"]
    if not first.whole and spec.horizon_steps is None:
        made = f"{first.updates} updates" if first.updates else "its work"
        return [
            f"After {seconds:.0f} s and {made} the script had not ended: say how many updates a whole training has "
            "(--horizon-steps), or let it be looked at for longer (--check-seconds)."
        ]
    if spec.mode == "inject" and not (first.counted and first.largest_lr):
        return [_no_updates(spec)]
    if spec.mode == "file" and not _reads_trial(spec):
        return ["The mode file is for scripts that read the file that $ETUDE_TRIAL names; nothing in this one does."]
    return []


def _no_updates(spec: ScriptSpec) -> str:
    """Say what would fit a script in which no optimizer of torch was seen."""
    source = source_of(spec)
    text = "No optimizer of torch was seen to step, so its learning rate cannot be set from outside."
    if TRIAL_VARIABLE in source:
        return f"{text} It reads $ETUDE_TRIAL: the mode file fits (--file)."
    flag = _lr_flag(source)
    if flag is not None:
        return (
            f"{text} It knows {flag}: the mode flags fits, such as --flags '{flag} {{initial_lr}}' "
            "--schedules constant --optimizers sgd, with the kinds that it knows."
        )
    return (
        f"{text} None of the three ways fits: inject needs a torch optimizer in a process that python starts without "
        "-I, -E or -S; flags needs a flag of the learning rate (--flags '--lr {initial_lr}'); file needs a script that "
        "reads the JSON file that $ETUDE_TRIAL names."
    )


def _others(spec: ScriptSpec, first: Pass) -> str:
    """Say of the modes that were not asked for whether they fit."""
    flag = _lr_flag(source_of(spec))
    steps = first.counted and first.largest_lr
    says = {
        "inject": "inject fits" if steps else "inject does not fit (no optimizer of torch was seen to step)",
        "flags": "flags does not fit (no flag of a learning rate was found)"
        if flag is None
        else f"flags fits (by {flag})",
        "file": "file fits" if _reads_trial(spec) else "file does not fit (nothing in it reads $ETUDE_TRIAL)",
    }
    return f"others      {'; '.join(words for mode, words in says.items() if mode != spec.mode)}"


def _lr_flag(source: str) -> str | None:
    """Return the flag by which a script seems to take its learning rate."""
    return next((flag for flag in ("--lr", "--learning-rate", "--learning_rate") if flag in source), None)


def _reads_trial(spec: ScriptSpec) -> bool:
    """Tell whether the command's files name $ETUDE_TRIAL, or Python files beside them, which they may import."""
    if TRIAL_VARIABLE in source_of(spec):
        return True
    place = Path(spec.directory)
    beside = itertools.chain.from_iterable(place.glob(pattern) for pattern in ("*.py", "*/*.py", "*/*/*.py"))
    return any(_names_trial(file) for file in beside)


def _names_trial(file: Path) -> bool:
    try:
        return file.stat().st_size < MOST_SOURCE_BYTES and TRIAL_VARIABLE.encode() in file.read_bytes()
    except OSError:  # one that nobody may read is not what the script reads
        return False


def source_of(spec: ScriptSpec) -> str:
    """Return the text of the files that the command names."""
    texts = []
    for word in spec.command[1:] or spec.command:
        file = Path(spec.directory) / word
        if file.is_file() and file.stat().st_size < MOST_SOURCE_BYTES:
            texts.append(file.read_text(encoding="utf-8", errors="replace"))
    return "\n".join(texts)
