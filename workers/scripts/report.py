"""What a look at a script has shown, and the words in which it is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from search_spaces.model import Message, Number
from search_spaces.script_spec import SeedMeans
from search_spaces.work import Seeding

from .measured import Measured, SeenOptimizer


class Value(Message):
    """One value of the metric."""

    step: int
    """Updates made."""
    value: Number


class ScriptReport(Message):
    """What a look at a script has shown."""

    fits: bool
    """Whether it can be searched."""
    mode: Literal["inject", "flags", "file"]
    words: list[str]
    """What a person reads, a sentence each."""
    horizon_steps: int | None = None
    """T, the updates of a whole training; None where that was not seen."""
    counted: bool = False
    """Whether updates were counted inside the script."""
    whole: bool = False
    """Whether a whole training was seen."""
    seconds: float = 0.0
    """What the first pass took."""
    seconds_per_step: float | None = None
    cadence_steps: float | None = None
    """Updates from one value of the metric to the next."""
    metric: str | None = None
    """The pattern, or the field of a file."""
    guessed: bool = False
    """Whether the pattern was found in what the script prints."""
    values: list[Value] = []
    optimizers: list[SeenOptimizer] = []
    ranks: int = 0
    """Processes that step together."""
    largest_lr: float | None = None
    own_lrs: list[list[float]] = []
    runs_agree: bool | None = None
    """Whether two trainings of one seed gave the same values; None where that was not looked at."""
    seed_changes: bool | None = None
    """Whether another seed gave others."""
    seed: SeedMeans | None = None
    seeding: Seeding | None = None

    version: str = ""
    """Of the script as a task."""

    def lines(self) -> list[str]:
        """Return what a person reads."""
        return [*self.words, "It can be searched." if self.fits else "It cannot be searched like this."]

    def measured(self) -> Measured:
        """Return what a worker needs of it."""
        return Measured(
            horizon_steps=self.horizon_steps or 1,
            counted=self.counted,
            seconds_per_step=self.seconds_per_step,
            cadence_steps=self.cadence_steps,
            optimizers=self.optimizers,
            largest_lr=self.largest_lr,
            own_lrs=self.own_lrs,
            seed=self.seed,
            seeding=self.seeding or "repeats",
        )


SEEDING = {
    "seeded": "two trainings with one seed agree, and another seed changes them: they can be confirmed on fresh seeds",
    "repeats": "two trainings with one seed differ: a confirmation repeats them in place of fresh seeds",
    "fixed": "trainings are all alike, whatever the seed: a confirmation on fresh seeds is refused",
}
MODES = {
    "inject": (
        "inject fits: every update's learning rate can be set from outside, with the script unchanged; its optimizer "
        "stays its own (flags and file search that, too)"
    ),
    "flags": "flags fits: a candidate reaches the script by its command line",
    "file": "file fits: the script reads its candidate from the file that $ETUDE_TRIAL names",
}


def sentences(report: ScriptReport, misfits: Sequence[str]) -> list[str]:
    """Say what was seen, a line each, with what it means for a search."""
    return [
        _length(report),
        _metric(report),
        *_optimizers(report),
        f"seed        {_how(report)}{SEEDING[report.seeding or 'repeats']}",
        f"mode        {MODES[report.mode]}",
        *_own_lr(report),
        *(f"note        {words}" for words in misfits),
    ]


def _length(report: ScriptReport) -> str:
    each = "" if report.seconds_per_step is None else f", {_milliseconds(report.seconds_per_step)} each"
    how = "counted in a whole training" if report.whole else "as given"
    unit = "updates" if report.counted else "steps, by what the script says"
    return f"training    {report.horizon_steps} {unit} ({how}){each}"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _metric(report: ScriptReport) -> str:
    found = " (found in what it prints: say another with --metric)" if report.guessed else ""
    every = "" if report.cadence_steps is None else f", every {report.cadence_steps:.4g} steps"
    last = report.values[-1].value
    return f"metric      {report.metric}: {len(report.values)} values{every}; the last is {last:.6g}{found}"


def _optimizers(report: ScriptReport) -> list[str]:
    if not report.optimizers:
        return []
    listed = ", ".join(
        f"{seen.kind.rpartition('.')[2]} ({seen.groups} group{'s' if seen.groups > 1 else ''}, {seen.updates} updates)"
        for seen in report.optimizers
    )
    ranks = f", in {report.ranks} ranks" if report.ranks > 1 else ""
    return [f"optimizer   {listed}{ranks}; its largest learning rate is {report.largest_lr:.6g}"]


def _own_lr(report: ScriptReport) -> list[str]:
    if report.largest_lr is not None:
        return []
    return [
        "note        its own learning rate was not seen: with --initial-lr (initial_lr in a script file) what it does "
        "by itself is the first baseline"
    ]


def _how(report: ScriptReport) -> str:
    if report.seed is None or report.seeding != "seeded":
        return ""
    if report.seed.flags:
        return f"{report.seed.flags}: "
    return f"{', '.join(report.seed.environment)}: "
