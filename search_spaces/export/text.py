"""Python text that is safe to write: numbers and names as literals, words as comments on one line."""

from __future__ import annotations

from collections.abc import Iterable

INDENT = "    "


def literal(value: float | bool | str | None) -> str:
    """Write a value as a Python literal in ASCII; whatever a client called a group stays inside its quotes.

    >>> literal(0.1), literal('a"); import os #')
    ('0.1', '\\'a"); import os #\\'')
    """
    return ascii(value)


def comment(words: str) -> str:
    r"""Write words as one comment line in ASCII: no line break in them can end it.

    >>> comment("f = (1\n)")
    '# f = (1 )'
    """
    return "# " + " ".join(words.split()).encode("ascii", "backslashreplace").decode("ascii")


def indented(lines: Iterable[str], depth: int = 1) -> list[str]:
    """Return lines moved in by `depth` levels; empty ones stay empty."""
    return [f"{INDENT * depth}{line}" if line else "" for line in lines]


def call(name: str, arguments: Iterable[tuple[str, str]]) -> str:
    """Write a call; an argument without a name is positional, and values are texts already.

    >>> call("StepLR", [("", "optimizer"), ("gamma", "0.1")])
    'StepLR(optimizer, gamma=0.1)'
    """
    written = [f"{argument}={value}" if argument else value for argument, value in arguments]
    return f"{name}({', '.join(written)})"


def module(*blocks: Iterable[str]) -> str:
    """Join blocks of lines into a module's text, two empty lines between them."""
    return "\n\n\n".join("\n".join(lines) for block in blocks if (lines := list(block))) + "\n"
