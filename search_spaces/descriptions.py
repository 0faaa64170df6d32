"""What the fields of a model mean, read from the texts below them once somebody asks.

pydantic's own `use_attribute_docstrings` reads them while each class is made, which took half of our import time.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from inspect import cleandoc
from itertools import pairwise
from pathlib import Path


@cache
def descriptions(cls: type) -> dict[str, str]:
    """Return the text below each annotated field of this class's own body."""
    body = _classes(cls.__module__).get(cls.__qualname__, [])
    return {
        field.target.id: text
        for field, below in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and (text := _text(below))
    }


def _text(statement: ast.stmt) -> str | None:
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
        return None
    value = statement.value.value
    return cleandoc(value) if isinstance(value, str) else None


@cache
def _classes(module: str) -> dict[str, list[ast.stmt]]:
    """Return the body of each class at the top of a module; none where there is no source."""
    file = getattr(sys.modules.get(module), "__file__", None)
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8")) if file else ast.Module([], [])
    except OSError:
        return {}
    return {part.name: part.body for part in tree.body if isinstance(part, ast.ClassDef)}
