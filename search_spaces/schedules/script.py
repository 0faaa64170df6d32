"""`script`: whatever LR a training script sets by itself."""

from __future__ import annotations

from typing import Literal

from ..problems import Unsupported
from .base import Floats, Schedule, Steps

_ITS_OWN = "the script sets its LR itself"


class Script(Schedule):
    """f(t) is what the script set at update t; the initial LR of the candidate scales it.

    For tasks that are scripts only: the `current` of a script that was not changed. It has no curve of its own.
    """

    kind: Literal["script"] = "script"

    law = "what the script sets"
    source = "the training script"
    refuses = {"warmup": _ITS_OWN, "restarts": _ITS_OWN, "reverse": _ITS_OWN}

    def body(self, t: Steps, horizon: int) -> Floats:
        """Raise Unsupported: only a run of the script knows."""
        _ = t, horizon
        raise Unsupported("a script's own schedule has no curve before it has run", field="kind")

    def phrase(self) -> str:
        """Say whose schedule it is."""
        return "as the script sets it"
