"""What a function does with tensors, written down while it is done: below autograd and vmap, operation by operation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from operator import getitem
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.fx.node import map_aggregate
from torch.utils._python_dispatch import TorchDispatchMode

from .layout import NotPackable

REFUSED = {
    torch.Tag.data_dependent_output: "it asks a tensor for its value",
    torch.Tag.dynamic_output_shape: "its shapes depend on values",
    torch.Tag.nondeterministic_seeded: "it draws from torch's own generator",
}
"""What need not be right when it is done again as it was the first time."""


class Stage(IntEnum):
    """How often a value is made; what depends on several is made as often as the last of them."""

    CONSTANT = 0
    """Once."""
    PLACE = 1
    """Once for each block: tensors that stay where they are while their content changes, and views of them."""
    SHARED = 2
    """Once for each batch."""
    BODY = 3
    """In each call."""


class Input(NamedTuple):
    """A tensor that a record begins with."""

    tensor: Tensor
    stage: Stage


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside it, every operation on tensors becomes a node of a graph while it is done.

    A node's `meta["value"]` is what was made, a tensor or several, an input's `meta["stage"]` its stage. What was made
    elsewhere and is read is a node of kind `get_attr`, an input that keeps its tensor.
    """

    def __init__(self, inputs: Sequence[Input]) -> None:
        """Begin with these inputs, in their order."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph = fx.Graph()
        self._nodes: dict[int, fx.Node] = {}
        """By the tensor's identity; the nodes keep the tensors alive, so that no two have the same."""
        self._is_paused = False
        for one in inputs:
            self.begin_with(one)

    def begin_with(self, given: Input) -> None:
        """Take a tensor as one more input."""
        node = self.graph.placeholder(f"input_{len(self._nodes)}")
        node.meta["stage"] = given.stage
        self._keep(node, given.tensor)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Write down nothing inside it."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Do it, and write it down.

        Raises:
            NotPackable: it cannot be done again as it was.
        """
        if self._is_paused:
            return func(*args, **(kwargs or {}))
        for tag, said in REFUSED.items():
            if tag in func.tags:
                raise NotPackable(f"{said} ({func})")
        node = self.graph.call_function(func, self._noted(args), self._noted(kwargs or {}))
        made = func(*args, **(kwargs or {}))
        self._name(node, made)
        return made

    def finish(self, returned: Sequence[Tensor]) -> fx.Graph:
        """Return the graph of what was done, whose results are these tensors."""
        self.graph.output(self._noted(tuple(returned)))
        return self.graph

    def _noted(self, given: Any) -> Any:
        """Return arguments with nodes in the place of tensors; what was made outside is one more input."""
        return map_aggregate(given, lambda leaf: self._node(leaf) if isinstance(leaf, Tensor) else leaf)

    def _node(self, tensor: Tensor) -> fx.Node:
        if id(tensor) not in self._nodes:
            # Looked at anew for each batch: its owner may change what it holds.
            node = self.graph.create_node("get_attr", f"outside_{len(self._nodes)}")
            node.meta["stage"] = Stage.SHARED
            self._keep(node, tensor)
        return self._nodes[id(tensor)]

    def _name(self, node: fx.Node, made: Any) -> None:
        if isinstance(made, Tensor):
            # What was done in place gives the tensor that was there: from now on it is this node's.
            self._keep(node, made)
        elif isinstance(made, tuple | list):
            node.meta["value"] = made
            for place, part in enumerate(made):
                if isinstance(part, Tensor):
                    self._keep(self.graph.call_function(getitem, (node, place)), part)
        elif made is not None and node.all_input_nodes:
            raise NotPackable(f"it asks a tensor for its value ({node.target})")

    def _keep(self, node: fx.Node, tensor: Tensor) -> None:
        node.meta["value"] = tensor
        self._nodes[id(tensor)] = node
