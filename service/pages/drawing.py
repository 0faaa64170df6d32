"""Figures by matplotlib as SVG that takes its colours from where it stands: one picture for both themes.

Colours are written as variables of CSS and every style as an attribute, so that a page whose policy allows no inline
style shows them; texts stay texts, in the page's own font.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Tree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#010101", "#010102", "#010103", "#010104"
"""Stand for the page's colours of text, of lesser text, of grid lines and of the ground."""
SERIES = tuple(f"#0101{number:02x}" for number in range(0x11, 0x19))
"""Stand for the colours of series; the first is what the page is about."""
VARIABLES = {
    INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--rule)", PAPER: "var(--paper)",
    **{colour: f"var(--series-{place})" for place, colour in enumerate(SERIES, start=1)},
}  # fmt: skip
_FONT_SIZE = re.compile(r"([\d.]+)px")
_REFERENCE = re.compile(r"(?<=#)(?=[A-Za-z_])")
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that no XML may hold; a name may."""
_DROPPED = ("metadata", "style")


def series_colour(place: int) -> str:
    """Return what stands for the colour of the series in this place; from the ninth on they come again."""
    return SERIES[place % len(SERIES)]


def new_figure(width: float = 5.0, height: float = 3.2, *, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure of this size in inches, and its axes from left to right, styled as all pages show them."""
    # Not at import: it takes a third of the time that the service takes to start.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_visible(False)
    found: list[Axes] = [figure.add_subplot(1, columns, place + 1) for place in range(columns)]
    for axes in found:
        _style(axes)
    return figure, found


def _style(axes: Axes) -> None:
    axes.patch.set_visible(False)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=11, length=0, which="both")
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(MUTED)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(MUTED)
        label.set_fontsize(11)


def plain_log(axes: Axes, which: str = "y") -> None:
    """Make an axis logarithmic, with ticks at 1, 2 and 5 where there are few decades, written as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    axis = axes.yaxis if which == "y" else axes.xaxis
    low, high = axis.get_view_interval()
    decades = high / low if low > 0 else 1e9
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 60 else (1.0,), numticks=9))
    axis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}".replace("e-0", "e-")))
    axis.set_minor_formatter(NullFormatter())


def themed_svg(figure: Figure, name: str, title: str) -> Markup:
    """Write a figure as an SVG element for a page: `name` is unique on it, `title` says what is to be seen."""
    root = _tree(figure, name)
    label = Tree.Element("title", {"id": f"{name}-title"})
    label.text = _UNWRITABLE.sub("\ufffd", title)
    root.insert(0, label)
    root.attrib |= {"class": "chart", "role": "img", "aria-labelledby": f"{name}-title"}
    # Text in a tree is escaped when it is written.
    return Markup(Tree.tostring(root, encoding="unicode"))  # noqa: S704


def standing_svg(figure: Figure, title: str, style: str) -> bytes:
    """Write a figure as a file of its own, whose colours are set by `style`, a text of CSS."""
    root = _tree(figure, "figure")
    root.attrib |= {"xmlns": "http://www.w3.org/2000/svg", "role": "img"}
    sheet, label = Tree.Element("style"), Tree.Element("title")
    sheet.text, label.text = style, title
    root[:0] = [label, sheet]
    written: bytes = Tree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _tree(figure: Figure, name: str) -> Tree.Element:
    import matplotlib as mpl

    written = io.BytesIO()
    # Equal figures get equal ids, so that equal pages are equal texts.
    set_so = mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False})
    with set_so, warnings.catch_warnings():
        # A letter that matplotlib's font lacks is one that the page's may have: only its width is guessed.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = Tree.fromstring(_UNWRITABLE.sub("\ufffd", written.getvalue().decode()))  # noqa: S314 - matplotlib's own
    _drop(root)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib.update(_plain(element.attrib, name))
        for key in [key for key in element.attrib if "}" in key or key == "style"]:
            del element.attrib[key]
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    return root


def _drop(element: Tree.Element) -> None:
    for child in list(element):
        if child.tag.rpartition("}")[2] in _DROPPED:
            element.remove(child)
        else:
            _drop(child)


def _plain(attributes: dict[str, str], name: str) -> dict[str, str]:
    """Return attributes in place of styles and of names of other vocabularies; ids begin with the figure's name."""
    plain: dict[str, str] = {}
    for key, value in attributes.items():
        short = key.rpartition("}")[2]
        if short == "style":
            plain |= dict(_from_style(value))
        elif short == "id":
            plain["id"] = f"{name}-{value}"
        elif short in ("href", "clip-path"):
            plain[short] = _REFERENCE.sub(f"{name}-", value)
    return plain


def _from_style(style: str) -> Iterable[tuple[str, str]]:
    for part in style.split(";"):
        key, _, value = part.partition(":")
        key, value = key.strip(), value.strip()
        if key == "font":  # the page has its own family
            size = _FONT_SIZE.search(value)
            yield from [("font-size", size[1])] if size else []
        elif key and key != "font-family":
            yield key, VARIABLES.get(value, value)
