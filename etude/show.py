"""Studies, trials and answers as text for a terminal; what is printed here goes to stdout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from search_spaces.describe import blocks, describe
from search_spaces.history import HistoryView
from search_spaces.results import Answer, Arm, ScoreOnTest, StudyView, TrialView, WorkerView

from .pace import CONFIRMING
from .progress import BEST_SCORE, headline, say_seconds, tally

CURVE_WIDTH = 60


def stdout_console() -> Console:
    """The console for results: as wide as the terminal, 100 columns where there is none."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=100)


def answer_parts(answer: Answer, lr: Sequence[float] | None) -> list[RenderableType]:
    """The answer as a person reads it: its sentences, curve, arms, notes.

    `lr` is the LR of every update, where there is a candidate.
    """
    parts: list[RenderableType] = [*sentence_lines(answer)]
    if lr:
        parts += ["", curve_line(lr)]
    if answer.evidence.arms:
        parts += ["", arms_table(answer)]
    parts += [_test_line(score) for score in answer.evidence.test_scores]
    parts += [Text(f"Note: {note}") for note in answer.evidence.notes]
    return parts


def sentence_lines(answer: Answer) -> list[Text]:
    """What the answer says first, a line a sentence; the first is the advice."""
    texts = [sentence.text for sentence in answer.sentences]
    if not texts:  # an older service has the one string only
        texts = [answer.sentence, *([] if answer.candidate is None else [describe(answer.candidate)])]
    return [Text(texts[0], style="bold"), *map(Text, texts[1:])]


def curve_line(lr: Sequence[float]) -> Text:
    """The LR over the horizon as a line of blocks, and below it its highest and last value."""
    steps = "1 step" if len(lr) == 1 else f"{len(lr)} steps"
    return Text(f"{blocks(lr, CURVE_WIDTH)}\nLR over {steps}: at most {max(lr):.3g}, at last {lr[-1]:.3g}")


def arms_table(answer: Answer) -> Table:
    """The confirmation: every candidate and baseline on the same fresh seeds, best first."""
    metric = answer.metric.name if answer.metric else "metric"
    count = len(answer.seeds)
    seeds = "on 1 fresh seed" if count == 1 else f"on {count} fresh seeds" if count else "on fresh seeds"
    table = plain_table(f"Confirmation {seeds} ({metric}, mean ± standard deviation)")
    table.add_column("trained again", no_wrap=True)
    table.add_column(metric, no_wrap=True)
    table.add_column("n", justify="right")
    table.add_column("what it is")
    maximize = answer.metric is not None and answer.metric.direction == "maximize"
    for arm in sorted(answer.evidence.arms, key=lambda arm: _order(arm.mean, maximize)):
        tuned = "" if arm.tuned else " (LR not tuned)"
        table.add_row(arm.name, _spread(arm), str(arm.n), describe(arm.candidate) + tuned)
    return table


def _test_line(score: ScoreOnTest) -> Text:
    scores = ", ".join(f"{name} {value:.4g}" for name, value in score.metrics.items())
    return Text(f"Test split, one evaluation of {score.arm}: {scores}")


def top_table(trials: Iterable[TrialView], metric: str, maximize: bool, count: int = 5) -> Table:
    """The search's best complete trials, with the warning that belongs to such scores."""
    best = sorted(trials, key=lambda trial: _order(trial.value, maximize))[:count]
    further = sorted({name for trial in best for name in trial.metrics})
    table = plain_table(f"Best {len(best)} of the search (one seed each; scores of a search are optimistic)")
    table.add_column("trial", justify="right")
    for name in (metric, *further):
        table.add_column(name, no_wrap=True)
    table.add_column("candidate")
    for trial in best:
        scores = [trial.value, *(trial.metrics.get(name) for name in further)]
        words = describe(trial.candidate) if trial.candidate else ""
        table.add_row(str(trial.number), *(_score(score) for score in scores), words)
    return table


def trials_table(trials: Iterable[TrialView], metric: str) -> Table:
    """Trials, one a line."""
    table = plain_table()
    for name in ("trial", "state", metric, "steps", "origin", "candidate"):
        table.add_column(name, no_wrap=name != "candidate", justify="right" if name == "trial" else "left")
    for trial in trials:
        words = describe(trial.candidate) if trial.candidate else ""
        steps = f"{trial.steps_done}/{trial.horizon_steps}" if trial.horizon_steps else str(trial.steps_done)
        error = (trial.error or "").strip().splitlines()[-1:]
        row = (str(trial.number), trial.state, _score(trial.value), steps, trial.origin)
        table.add_row(*row, " — ".join([words, *error]))
    return table


def history_table(past: Iterable[HistoryView]) -> Table:
    """Past trials that a study holds, one a line."""
    table = plain_table()
    for name in ("source", "origin", "value", "steps", "candidate"):
        table.add_column(name, no_wrap=name != "candidate")
    for trial in past:
        steps = "" if trial.horizon_steps is None else str(trial.horizon_steps)
        table.add_row(trial.source or "", trial.origin, _score(trial.value), steps, describe(trial.candidate))
    return table


def studies_table(studies: Iterable[StudyView]) -> Table:
    """Studies, one a line."""
    table = plain_table()
    for name in ("study", "state", "task", "trials", BEST_SCORE, "reason"):
        table.add_column(name, no_wrap=name != "reason")
    for study in studies:
        best = "" if study.best is None else f"{study.metric or 'value'} {study.best.value:.4g}"
        trials = f"{study.counts.ended}/{study.budget.trials}"
        table.add_row(study.name, study.state, study.spec.task.name, trials, best, study.reason or "")
    return table


def workers_table(workers: Iterable[WorkerView]) -> Table:
    """Workers, one a line."""
    table = plain_table()
    for name in ("worker", "live", "leased", "devices", "tasks"):
        table.add_column(name)
    for worker in workers:
        tasks = ", ".join(task.name if task.available else f"{task.name} (not available)" for task in worker.tasks)
        table.add_row(
            worker.worker, "yes" if worker.live else "no", str(worker.leased), ", ".join(worker.devices), tasks
        )
    return table


def study_parts(view: StudyView) -> list[RenderableType]:
    """One study: where it stands and what it has spent."""
    rows = [
        ("state", view.state + (f": {view.reason}" if view.reason else "")),
        ("task", view.spec.task.name),
        ("progress", f"{headline(view)}: {tally(view)}"),
        ("spent", f"{say_seconds(view.budget.used_worker_seconds)} of worker time in the search"),
        ("submitted", f"{view.created_at:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    if view.best is not None and view.state not in CONFIRMING:
        rows.insert(3, (BEST_SCORE, f"{view.best.value:.6g} (trial {view.best.trial}; optimistic, and no result)"))
    grid = Table.grid(padding=(0, 2))
    for label, text in rows:
        grid.add_row(Text(label, style="dim"), text)
    return [Text(view.name, style="bold"), Padding(grid, (0, 0, 0, 2))]


def plain_table(title: str | None = None) -> Table:
    """A table without lines, its title on the left."""
    return Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False)


def _order(value: float | None, maximize: bool) -> float:
    if value is None or math.isnan(value):
        return math.inf
    return -value if maximize else value


def _spread(arm: Arm) -> str:
    if arm.mean is None:
        return "none"
    decimals = _decimals(arm.mean)
    deviation = "" if arm.standard_deviation is None else f" ± {arm.standard_deviation:.{decimals}f}"
    return f"{arm.mean:.{decimals}f}{deviation}"


def _decimals(value: float) -> int:
    """Four, and more for a value so small that they would show less than three digits of it."""
    return min(12, max(4, 2 - math.floor(math.log10(abs(value))))) if value and math.isfinite(value) else 4


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.{_decimals(value)}f}"
