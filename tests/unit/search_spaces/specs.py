"""What hypothesis draws: bodies of every kind, with every modifier that they take."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from search_spaces.schedules import FAMILIES

Document = dict[str, Any]

shares = st.floats(0, 1)
fractions = st.floats(1e-4, 1)
gammas = st.floats(1e-3, 1)
factors = st.floats(0, 10)

BODIES: dict[str, st.SearchStrategy[Document]] = {
    "constant": st.just({}),
    "piecewise": st.lists(fractions, min_size=1, max_size=5, unique=True).flatmap(
        lambda boundaries: st.fixed_dictionaries({
            "boundaries": st.just(sorted(boundaries)),
            "values": st.lists(factors, min_size=len(boundaries) + 1, max_size=len(boundaries) + 1),
        })
    ),
    "step": st.fixed_dictionaries({"step_size": fractions, "gamma": gammas}),
    "multistep": st.fixed_dictionaries({
        "milestones": st.lists(fractions, min_size=1, max_size=5).map(sorted), "gamma": gammas,
    }),
    "exponential": st.fixed_dictionaries({"final_factor": st.floats(1e-6, 1)}),
    "natural_exponential": st.fixed_dictionaries({"rate": st.floats(0, 100)}),
    "inverse_time": st.fixed_dictionaries({"decay": st.floats(0, 1e4)}),
    "linear": st.fixed_dictionaries({"start_factor": shares, "end_factor": shares}),
    "polynomial": st.fixed_dictionaries({
        "power": st.floats(0.1, 10), "end_factor": shares, "cycle": st.booleans(), "cycle_length": fractions,
    }),
    "cosine": st.fixed_dictionaries({"end_factor": shares, "cycles": st.floats(0.1, 10)}),
    "noam": st.fixed_dictionaries({"peak": fractions}),
    "one_cycle": st.fixed_dictionaries({
        "peak_fraction": st.floats(0.01, 0.5), "div_factor": st.floats(1, 1e3), "final_div_factor": st.floats(1, 1e6),
        "anneal": st.sampled_from(["cos", "linear"]), "three_phase": st.booleans(),
    }),
    "cyclic": st.fixed_dictionaries({
        "floor": shares, "cycle_length": fractions, "up_fraction": st.floats(0.01, 1), "gamma": gammas,
        "mode": st.sampled_from(["triangular", "triangular2", "exp_range"]),
    }),
    "wsd": st.fixed_dictionaries({
        "decay_fraction": fractions, "end_factor": st.floats(1e-6, 1),
        "shape": st.sampled_from(["linear", "cosine", "sqrt", "exponential"]),
    }),
    "rex": st.fixed_dictionaries({"beta": st.floats(1e-3, 1e3)}),
    "tanh": st.fixed_dictionaries({"low": st.floats(-10, -1), "high": st.floats(0, 10)}),
    "two_point": st.fixed_dictionaries({
        **dict.fromkeys(["peak_at", "y1", "delta1", "delta2", "delta_y", "end_factor"], shares),
        "interpolation": st.sampled_from(["linear", "pchip"]),
    }),
    "inverse_sqrt": st.fixed_dictionaries({"timescale": fractions}),
    "power": st.fixed_dictionaries({"timescale": fractions, "exponent": st.floats(0, 3)}),
    "knots": st.lists(shares, min_size=1, max_size=6).flatmap(
        lambda positions: st.fixed_dictionaries({
            "positions": st.just(sorted(positions)),
            "values": st.lists(st.floats(1e-6, 10), min_size=len(positions), max_size=len(positions)),
            "interpolation": st.sampled_from(["linear", "log"]),
        })
    ),
    "expression": st.fixed_dictionaries({
        "formula": st.just("max(a * (1 - u), 0) + where(t < T / 2, 0.5, 0)"),
        "numbers": st.fixed_dictionaries({"a": factors}),
    }),
    "plateau": st.fixed_dictionaries({
        "factor": st.floats(0.01, 0.99), "patience": shares, "cooldown": shares, "threshold": st.floats(0, 1),
        "threshold_mode": st.sampled_from(["rel", "abs"]), "min_factor": shares,
        "flavour": st.sampled_from(["torch", "keras", "paddle"]),
    }),
    "script": st.just({}),
}  # fmt: skip
"""The parameters of each kind, over more than their searched ranges."""

MODIFIERS: dict[str, st.SearchStrategy[Any]] = {
    "warmup": st.none() | st.fixed_dictionaries({
        "fraction": st.floats(1e-3, 0.9), "start_factor": st.floats(1e-3, 1), "inclusive": st.booleans(),
        "shape": st.sampled_from(["linear", "cosine", "exponential", "constant"]),
    }),
    "restarts": st.none() | st.fixed_dictionaries({
        "count": st.integers(1, 6), "length_multiplier": st.floats(0.5, 3), "peak_gamma": st.floats(0.1, 1),
    }),
    "reverse": st.booleans(),
}  # fmt: skip

DRAWABLE = [kind for kind in FAMILIES if kind not in ("plateau", "script")]
"""The kinds whose curve is a function of the step."""


def documents(kind: str) -> st.SearchStrategy[Document]:
    """Specs of one kind as JSON documents, with every modifier that the kind takes."""
    taken = {name: drawn for name, drawn in MODIFIERS.items() if name not in FAMILIES[kind].refuses}
    parts = st.tuples(BODIES[kind], st.fixed_dictionaries(taken))
    return parts.map(lambda part: {"kind": kind, **part[0], **part[1]})
