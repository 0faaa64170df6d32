"""The picture of an LR curve."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from service import curves

LONG = (
    "SparseAdam (beta1 0.9206, beta2 0.9996, weight decay 0.06018) at 0.0118, constant, then linear to 0 over the last"
    " 48.9 % with 5 % linear warm-up, 3 cycles, each 2 times as long as the one before it"
)


@pytest.mark.parametrize("title", ["SGD at 0.1, cosine to 0", LONG, "0.1*u" * 40])
def test_a_title_stays_inside_the_picture(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the candidate's description, every line of it ends before the picture's edges."""
    drawn: list[Figure] = []

    def keep(figure: Figure, *arguments: object, **options: object) -> None:
        drawn.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    curves.as_svg(np.linspace(1, 0, 10), title)
    canvas = FigureCanvasAgg(drawn[0])
    canvas.draw()
    box = drawn[0].axes[0].title.get_window_extent(canvas.get_renderer())

    assert box.x0 >= 0
    assert box.x1 <= drawn[0].bbox.x1
    assert box.y1 <= drawn[0].bbox.y1


def test_a_picture_is_one_svg_document() -> None:
    """It parses, markup in the title and all."""
    picture = ElementTree.fromstring(curves.as_svg(np.ones(3), "<b>$x$</b> & more"))

    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
