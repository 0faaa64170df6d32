"""What a search has taught beside its answer, as models shared with the client.

All of it comes from trials on one seed, of which many were pruned: it says where to look next, and proves nothing.
"""

from __future__ import annotations

from typing import Literal

from .model import Message, Number

Part = Literal["optimizer", "schedule"]


class ParameterImportance(Message):
    """A parameter's share of what moved the metric."""

    parameter: str
    """As trials name it: `optimizer`, `adamw.lr`, `cosine.end_factor`, `warmup.fraction`."""
    share: float
    """0 to 1; the shares of a group add up to 1."""


class GroupImportance(Message):
    """The importance of the parameters that all trials of one group have."""

    group: str
    """`all`, or the part and the family: `optimizer adamw`, `schedule cosine`."""
    trials: int
    """Complete trials that it rests on."""
    parameters: list[ParameterImportance] = []
    """The most important first; empty where `why_none` says why."""
    why_none: str | None = None


class FamilyTally(Message):
    """How often a family was tried, and how far it came."""

    part: Part
    family: str
    tried: int
    """Trials that have ended; proposed and leased ones are not counted."""
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    """Failed or stopped."""
    best: Number | None = None
    """The mean over the fresh seeds where the confirmation trained the family, else its best search score."""
    interval: tuple[Number, Number] | None = None
    """95 %: of that mean, or of one training by the noise between seeds; null where that is not known."""
    n: int = 0
    """Fresh seeds behind `best`; 0 for a search score, which is optimistic and no result."""


class LrBin(Message):
    """Trials whose initial LR lies in [low, high), of one optimizer."""

    low: float
    high: float
    complete: int
    pruned: int
    best: Number | None = None
    """The best search score: optimistic, and no result."""
    median: Number | None = None
    """Of the complete trials; pruned ones would make it worse."""


class LrSensitivity(Message):
    """The metric against the initial LR, within one optimizer: LRs of different ones are not alike."""

    optimizer: str
    bins: list[LrBin]


class RungPruned(Message):
    """What was stopped at one rung."""

    rung: int
    """In steps."""
    reached: int
    """Trials that have reported there."""
    pruned: int


class PruningEffect(Message):
    """What pruning has saved, and how many of the best it has cost, by the trials that fell behind and ran on.

    A trial counts among the best if it ends as good as the best `top` of those that passed every rung.
    """

    pruned: int
    """Trials that were stopped at a rung."""
    spared: int = 0
    """n: trials that would have been, a random share (`pruner.run_on`) that was trained to its end."""
    missed: int = 0
    """Of these, how many ended among the best."""
    top: int = 0
    """5 % of the trials, at least one."""
    false_prune_rate: float | None = None
    """Estimated share of the best that is pruned or would have been; null where `why_none` says why."""
    interval: tuple[float, float] | None = None
    """95 %: Wilson's of `missed` of `spared`, carried over to the rate."""
    why_none: str | None = None
    saved_updates: int = 0
    """Optimizer updates that pruned trials would still have made, less what rungs asked of all trials beside."""
    saved_share: float = 0.0
    """Of the updates that the search would have made without pruning."""
    saved_seconds: float = 0.0
    """The same in worker-seconds, at the search's own pace."""
    extra_updates: int = 0
    """What rungs asked of all trials beside their own training: branches, and shorter schedules."""
    spared_updates: int = 0
    """What it cost to know: updates beyond the rung at which trials that ran on had fallen behind."""

    def sentences(self) -> list[str]:
        """Say it to a person: what was saved, then what it cost or why that is not known."""
        saved = f"Pruning saved {self.saved_updates:,} updates, {100 * self.saved_share:.0f} % of the search's"
        pace = f"about {self.saved_seconds:,.0f} worker-seconds"
        return [f"{saved}: {pace}.", self._cost()]

    def _cost(self) -> str:
        if self.false_prune_rate is None or self.interval is None:
            return f"How many of the best it cost is not known: {self.why_none}."
        rate, low, high = (f"{100 * share:.0f}" for share in (self.false_prune_rate, *self.interval))
        return (
            f"It cost an estimated {rate} % of the best (95 % interval {low} to {high} %): of n = {self.spared} trials "
            f"that fell behind and ran on, {self.missed} ended as good as the best {self.top} that passed."
        )


class Insight(Message):
    """`GET /v1/studies/{name}/importance`."""

    study: str
    metric: str | None = None
    direction: Literal["minimize", "maximize"] | None = None
    trials: int
    """Ended trials of the search, foreign ones left out."""
    read: int
    """Of these, how many the rest was made of: the latest ones."""
    importance: list[GroupImportance] = []
    families: list[FamilyTally] = []
    """By part, the most tried first."""
    lr: list[LrSensitivity] = []
    pruned: list[RungPruned] = []
    spared: int = 0
    """Trials that would have been pruned and ran to their end all the same, to see what pruning hides."""
    spared_good: int = 0
    """Of these, how many ended among the best quarter of all complete trials."""
    pruning: PruningEffect | None = None
    """What pruning saved and cost; null where nothing is pruned."""
    notes: list[str] = []
    """What of it not to believe, in words."""
