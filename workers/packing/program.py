"""A recorded computation made into plain Python: each value as seldom as it changes, nothing that nobody reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from .layout import NotPackable
from .recording import Stage

_FORMED = ("ones_like", "zeros_like", "full_like", "new_zeros", "new_ones", "new_full")
FROM_SHAPES = frozenset(getattr(torch.ops.aten, name) for name in _FORMED)
"""What reads of a tensor nothing but its shape and type."""

Made = Callable[..., tuple[Tensor, ...]]


class Program:
    """What a record does, for other values of its inputs.

    `places` and `prepared` make what can be made ahead, a call the rest.
    """

    def __init__(self, graph: fx.Graph) -> None:
        """Compile a graph as `recording.Recorder` makes it; of its tensors only those from outside are kept.

        Raises:
            NotPackable: it writes to what all trials share.
        """
        written = {_storage(one) for node in graph.nodes for one in _written_to(node)}
        _drop_aliases(graph)
        _drop_sources(graph, written)
        _drop_unread(graph)
        stages = _stages(graph, written)
        (output,) = (node for node in graph.nodes if node.op == "output")
        wanted = {stage: _wanted(stages, stage) for stage in Stage}
        constants, places, shared = (wanted[stage] for stage in (Stage.CONSTANT, Stage.PLACE, Stage.SHARED))
        self._outside = [node.meta["value"] for node in graph.nodes if node.op == "get_attr"]
        self._constants = [node.meta["value"] for node in constants]
        self._places = _made(stages, Stage.PLACE, _inputs(stages, Stage.PLACE), places)
        self._prepared = _made(stages, Stage.SHARED, [*constants, *_inputs(stages, Stage.SHARED)], shared)
        self._body = _made(stages, Stage.BODY, [*constants, *places, *shared], output.args[0])

    def places(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return views of tensors that stay where they are: the inputs of stage PLACE, in their order."""
        return (*self._constants, *self._places(*inputs))

    def prepared(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return what a batch gives: the inputs of stage SHARED, in their order."""
        return self._prepared(*self._constants, *inputs, *self._outside)

    def __call__(self, places: tuple[Tensor, ...], prepared: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Do the rest for what `places` and `prepared` gave, and return the results."""
        return self._body(*places, *prepared)


Stages = dict[fx.Node, Stage]
"""Of every node but the output, in their order."""


def _stages(graph: fx.Graph, written: set[int]) -> Stages:
    stages: Stages = {}
    for node in graph.nodes:
        if node.op != "output":
            stages[node] = _input_stage(node, written) if "stage" in node.meta else _stage(node, stages, written)
    return stages


def _input_stage(node: fx.Node, written: set[int]) -> Stage:
    stage: Stage = node.meta["stage"]
    if stage is not Stage.PLACE and _storages(node) & written:
        raise NotPackable("it writes to a tensor that all trials share")
    return stage


def _stage(node: fx.Node, stages: Stages, written: set[int]) -> Stage:
    if _written_to(node):
        return Stage.BODY
    sources = [stages[source] for source in node.all_input_nodes]
    last = max(sources, default=Stage.CONSTANT)
    if _is_view(node):
        return last
    # What is computed from a place changes with what is there, and what is written to must be fresh each time.
    is_fresh = Stage.PLACE in sources or bool(_storages(node) & written)
    return Stage.BODY if is_fresh else last


def _inputs(stages: Stages, stage: Stage) -> list[fx.Node]:
    """Return a stage's inputs: those that are given, then those from outside."""
    return [node for op in ("placeholder", "get_attr") for node, own in stages.items() if (own, node.op) == (stage, op)]


def _wanted(stages: Stages, stage: Stage) -> list[fx.Node]:
    """Return the values of a stage that later ones read."""
    own = [node for node, when in stages.items() if when is stage]
    return [node for node in own if any(stages.get(user, Stage.BODY) > stage for user in node.users)]


def _made(stages: Stages, stage: Stage, read: Sequence[fx.Node], returned: Sequence[Any]) -> Made:
    return compiled([node for node, own in stages.items() if own is stage and "stage" not in node.meta], read, returned)


def compiled(nodes: Sequence[fx.Node], read: Sequence[fx.Node], returned: Sequence[Any]) -> Made:
    """Return a function that calls what nodes call, with the values of `read` as its arguments."""
    known: dict[str, Any] = {}
    lines = [f"def made({', '.join(node.name for node in read)}):"]
    last_reader = {source: node for node in nodes for source in node.all_input_nodes}
    last_reader |= dict.fromkeys(returned)
    for place, node in enumerate(nodes):
        # torch's wrapper of an operation takes a tenth of a small one's time, and does nothing more here.
        known[f"call_{place}"] = getattr(node.target, "_op", node.target)
        arguments = [_text(one, known) for one in node.args]
        arguments += [f"{name}={_text(one, known)}" for name, one in node.kwargs.items()]
        lines.append(f"    {node.name} = call_{place}({', '.join(arguments)})")
        # Memory that is freed early is written again while the cache has it.
        lines += [f"    del {one.name}" for one in {node, *node.all_input_nodes} if last_reader.get(one, node) is node]
    lines.append(f"    return ({''.join(_text(one, known) + ', ' for one in returned)})")
    # The text is made here, of names that are made here.
    exec(compile("\n".join(lines), "<recorded>", "exec"), known)  # noqa: S102
    made: Made = known["made"]
    return made


def _text(given: Any, known: dict[str, Any]) -> str:
    """Return an argument as it is written in the text; what cannot be written is made known by a name."""
    if isinstance(given, fx.Node):
        return given.name
    if isinstance(given, list | tuple):
        return f"[{', '.join(_text(one, known) for one in given)}]"
    if given is None or isinstance(given, bool | int | str) or (isinstance(given, float) and math.isfinite(given)):
        return repr(given)
    name = f"known_{len(known)}"
    known[name] = given
    return name


def _drop_aliases(graph: fx.Graph) -> None:
    """Let the readers of a view that shows all of a tensor as it is read that tensor."""
    for node in list(graph.nodes):
        if node.op == "call_function" and len(node.all_input_nodes) == 1 and _is_view(node) and not _written_to(node):
            (source,) = node.all_input_nodes
            if _look(source) == _look(node):
                node.replace_all_uses_with(source)
                graph.erase_node(node)


def _drop_sources(graph: fx.Graph, written: set[int]) -> None:
    """Let constants that are made in the form of another tensor stand by themselves: their value is known."""
    for node in graph.nodes:
        if getattr(node.target, "overloadpacket", None) in FROM_SHAPES and not _storages(node) & written:
            node.args, node.kwargs = (), {}


def _drop_unread(graph: fx.Graph) -> None:
    for node in reversed(list(graph.nodes)):
        if node.op == "call_function" and not node.users and not _written_to(node):
            graph.erase_node(node)


def _look(node: fx.Node) -> tuple[Any, ...]:
    value = node.meta.get("value")
    if not isinstance(value, Tensor):
        return (node,)
    return value.shape, value.stride(), value.storage_offset(), value.dtype, value.is_conj(), value.is_neg()


def _is_view(node: fx.Node) -> bool:
    """Tell whether a node's value is a part of what it is made of, and nothing is computed."""
    own = _storages(node)
    return bool(own) and own <= {one for source in node.all_input_nodes for one in _storages(source)}


def _storages(node: fx.Node) -> set[int]:
    """Return where the tensors lie that a node has made."""
    made = node.meta.get("value")
    return {_storage(one) for one in (made if isinstance(made, tuple | list) else [made]) if isinstance(one, Tensor)}


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _written_to(node: fx.Node) -> list[Tensor]:
    """Return the tensors that a node writes to."""
    schema = getattr(node.target, "_schema", None)
    if node.op != "call_function" or schema is None or not schema.is_mutable:
        return []
    return [
        source.meta["value"]
        for argument, given in _paired(schema.arguments, node)
        if argument.alias_info is not None and argument.alias_info.is_write
        for source in _sources(given)
    ]


def _paired(arguments: Sequence[Any], node: fx.Node) -> Iterator[tuple[Any, Any]]:
    for place, argument in enumerate(arguments):
        if place < len(node.args):
            yield argument, node.args[place]
        elif argument.name in node.kwargs:
            yield argument, node.kwargs[argument.name]


def _sources(given: Any) -> Iterable[fx.Node]:
    found: list[fx.Node] = []
    map_arg(given, found.append)
    return found
