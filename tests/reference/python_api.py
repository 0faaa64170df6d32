"""The public Python library, read from its sources: what is documented need not be importable here, nor be loaded."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from tests.machine import ROOT

PUBLIC: dict[str, tuple[str, ...]] = {
    "etude.client": ("Client",),
    "etude.studies": ("Study",),
    "etude.ask": ("LeasedTrial", "LeasedTrials"),
    "etude.events": ("Event", "Outage", "Follower"),
    "etude.history": ("read_csv", "read_optuna", "import_past"),
    "etude.torch": ("build", "evaluating", "ScheduledLR"),
    "etude.lightning": ("TrialCallback", "configure_optimizers"),
    "etude.transformers": ("TrialCallback", "optimizers"),
    "etude.task": ("Task", "LoadedTask"),
}
"""What users may rely on, by module; the errors come from the tree in the docstring of etude.errors."""
Callable = ast.FunctionDef
ENTRY = re.compile(r"^    (\*{0,2}[\w, ]+): ")


def python_sections() -> Iterator[str]:
    """Yield headings, signatures and docstrings, module by module."""
    yield "## The Python library"
    for module, names in PUBLIC.items():
        yield f"### {module}"
        found = {node.name: node for node in _body(module) if isinstance(node, ast.ClassDef | Callable)}
        for name in names:
            yield from _described(found[name], f"{module}.{name}", "####")
    yield "### etude.errors"
    yield f"```\n{ast.get_docstring(_tree('etude.errors'))}\n```"


def _tree(module: str) -> ast.Module:
    return ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))


def _body(module: str) -> Sequence[ast.stmt]:
    return _tree(module).body


def _described(node: ast.ClassDef | Callable, path: str, level: str) -> Iterator[str]:
    yield f"{level} {path}"
    if isinstance(node, Callable):
        yield f"```\n{_signature(node)}\n```"
        yield _prose(node)
        return
    made = [inner for inner in node.body if isinstance(inner, Callable) and inner.name == "__init__"]
    yield from (f"```\n{_signature(inner, node.name)}\n```" for inner in made)
    yield _prose(node)
    yield from _members(node)


def _members(node: ast.ClassDef) -> Iterator[str]:
    """Attributes with the text below them, then methods and properties that have a docstring."""
    for place, inner in enumerate(node.body):
        if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
            text = _text_below(node.body, place)
            yield f"- `{ast.unparse(inner)}`" + (f": {text}" if text else "")
        if isinstance(inner, Callable) and not inner.name.startswith("_") and ast.get_docstring(inner):
            yield f"**`{node.name}.{_signature(inner)}`**"
            yield _prose(inner)


def _text_below(body: Sequence[ast.stmt], place: int) -> str:
    below = body[place + 1] if place + 1 < len(body) else None
    said = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
    return " ".join(str(said).split())


def _signature(node: Callable, name: str | None = None) -> str:
    """Spell a call as users write it: without `self`, and a property without parentheses."""
    marks = {ast.unparse(mark) for mark in node.decorator_list}
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and name is None else ""
    if "property" in marks:
        return node.name + returns.replace(" -> ", ": ")
    arguments = ast.unparse(node.args)
    arguments = re.sub(r"^(self|cls)(, )?", "", arguments)
    return f"{name or node.name}({arguments}){returns}"


def _prose(node: ast.ClassDef | Callable) -> str:
    """Turn a docstring into Markdown: the lists of `Args` and `Raises` become lists."""
    lines: list[str] = []
    listing = False
    for line in (ast.get_docstring(node) or "").splitlines():
        if line in ("Args:", "Raises:"):
            listing = True
            lines += [line, ""]
            continue
        listing = listing and (not line or line.startswith("    "))
        lines.append(ENTRY.sub(r"- `\1`: ", line) if listing else line)
        if listing and not ENTRY.match(line):
            lines[-1] = line[6:] if line.startswith("        ") else line
            lines[-1] = f"  {lines[-1].strip()}" if line else ""
    return "\n".join(lines)
