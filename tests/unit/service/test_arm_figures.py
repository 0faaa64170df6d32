"""The confirmation's figures: the verdict's own limits, and an axis on which near rows can be told apart."""

from __future__ import annotations

import re

import pytest

from search_spaces.baselines import BASELINES
from search_spaces.results import Arm, Evidence
from service.pages.arm_figures import Row, arms_figure, draw_rows, gain_rows, gains_figure
from service.pages.drawing import new_figure
from service.verdict import judge, with_statistics

CANDIDATE = BASELINES["sgd-cosine"]
PLACES = {"found": 0, "usual": 1, "current": 2}


def arm(name: str, role: str, *values: float) -> Arm:
    body = {"name": name, "role": role, "candidate": CANDIDATE, "values": dict(enumerate(values))}
    return with_statistics(Arm.model_validate(body))


def evidence() -> Evidence:
    arms = [
        arm("found", "candidate", 0.50, 0.52, 0.51, 0.53, 0.50, 0.51, 0.52),
        arm("usual", "baseline", 0.60, 0.61, 0.62, 0.62, 0.61, 0.60, 0.63),
        arm("current", "baseline", 5.0, 5.1, 5.0, 5.2, 5.1, 5.0, float("nan")),
    ]
    judged = judge(arms, "minimize")
    return Evidence(arms=arms, finalist=judged.finalist, difference=judged.difference)


def test_gains_have_the_limits_by_which_the_verdict_was_given() -> None:
    """The least of them over the baselines are the ends of its interval; a seed that one lacks is left out."""
    told = evidence()
    assert told.difference is not None

    usual, current = gain_rows(told, PLACES, "minimize")

    assert usual.interval is not None
    assert current.interval is not None
    assert min(usual.interval[0], current.interval[0]) == told.difference.interval[0]
    assert min(usual.interval[1], current.interval[1]) == told.difference.interval[1]
    assert (len(usual.dots), len(current.dots)) == (7, 6)
    assert usual.mean == pytest.approx(told.difference.gain)


def test_without_a_finalist_there_are_no_gains() -> None:
    """Nothing is drawn rather than an empty picture."""
    told = evidence().model_copy(update={"finalist": None})

    assert gain_rows(told, PLACES, "minimize") == []
    assert gains_figure(told, PLACES, "loss", "minimize") is None
    assert arms_figure([], PLACES, "loss") is None


def test_an_arm_far_off_is_said_and_does_not_set_the_axis() -> None:
    """The others keep their room; the far one stands at its edge with its mean."""
    rows = [
        Row("a", 0, [1.0, 1.1], 1.05, (0.9, 1.2)),
        Row("b", 1, [1.2, 1.3], 1.25, None),
        Row("c", 2, [9.0], 9.0, None),
    ]
    _, (axes,) = new_figure()

    draw_rows(axes, rows)

    low, high = axes.get_xlim()
    assert 0.8 < low < 0.9
    assert 1.3 < high < 1.4
    assert [text.get_text() for text in axes.texts] == ["9 →"]


def test_a_figure_of_gains_always_shows_where_nothing_is_gained() -> None:
    """The line at 0 is within the axis, however large the gain."""
    _, (axes,) = new_figure()

    draw_rows(axes, [Row("a", 0, [5.0, 5.1], 5.05, (4.9, 5.2))], zero=True)

    low, high = axes.get_xlim()
    assert low < 0
    assert high > 5.2


def test_a_figure_takes_its_colours_from_the_page_and_has_no_style_of_its_own() -> None:
    """Every colour is a variable; ids begin with the figure's name, so that two may stand on one page."""
    figure = arms_figure(evidence().arms, PLACES, "loss <b>")
    assert figure is not None
    svg = str(figure.svg)

    assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg)) <= {
        "none", "var(--ink)", "var(--muted)", "var(--rule)", "var(--paper)",
        *(f"var(--series-{place})" for place in range(1, 9)),
    }  # fmt: skip
    assert "style" not in svg
    assert all(name.startswith("arms-") for name in re.findall(r'\bid="([^"]+)"', svg))
    assert "loss &lt;b&gt;" in svg


@pytest.mark.parametrize("metric", ["loss \x01\x1f", "$x_1$ & 100 %", "]]>", "--><script>", "a\nb", "精度"])
def test_any_name_of_a_metric_can_be_drawn(metric: str) -> None:
    """Control characters, mathematics and markup: what stands there is text."""
    figure = arms_figure(evidence().arms, PLACES, metric)

    assert figure is not None
    assert "<script" not in figure.svg
    assert not re.search("[\x00-\x08]", figure.svg)
