"""Linear and convolutional chains over many trials at once, by hand: what vmap calls where it would go op by op.

`chained(model)` makes the Sequentials of a model answer `torch.func.vmap` over stacked parameters with one crossing:
linear layers as batched products, convolutions as grouped ones that stay in one layout from layer to layer. Names of
parameters and what a chain computes stay as they are; outside vmap it is the Sequential that it was.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .entropy import EntropyByHand

ELEMENTWISE = (nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU, nn.ELU, nn.Identity)
POOLS = (nn.MaxPool2d, nn.AvgPool2d)

Places = dict[int, Tensor]
"""Where the gradient of a stacked parameter is wanted, (k, *shape), by the parameter's address; taken out when used."""

_by_hand: ContextVar[Places | None] = ContextVar("by_hand", default=None)


@contextmanager
def by_hand(parameters: Sequence[Tensor] = (), gradients: Sequence[Tensor] = ()) -> Iterator[None]:
    """Let chains answer vmap by hand inside it, and cross-entropies too.

    Args:
        parameters: stacked, (k, *shape) each.
        gradients: where those of the parameters are wanted: the backward pass may write them there at once.
    """
    token = _by_hand.set({one.data_ptr(): place for one, place in zip(parameters, gradients, strict=False)})
    try:
        with EntropyByHand():
            yield
    finally:
        _by_hand.reset(token)


def chained(model: nn.Module) -> nn.Module:
    """Put chains in the place of Sequentials that hold a linear or convolutional layer."""
    for path, module in list(model.named_modules()):
        if type(module) is nn.Sequential and any(_is_product(layer) for layer in module):
            chain = ChainedSequential(OrderedDict(module.named_children()))
            chain.train(module.training)
            if not path:
                return chain
            model.set_submodule(path, chain)
    return model


class ChainedSequential(nn.Sequential):
    """A Sequential whose runs of known layers are computed by hand under vmap."""

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layers make of x."""
        # torch.compile cannot look at a context variable, and makes a chain of its own.
        if torch.compiler.is_compiling() or _by_hand.get() is None:
            y: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
            return y
        for known, run in groupby(self, _is_known):
            layers = tuple(run)
            if known and any(_is_product(layer) for layer in layers):
                parameters = [parameter for layer in layers for parameter in layer.parameters()]
                x = _Chain.apply(x, layers, *parameters)  # type: ignore[no-untyped-call]
            else:
                for layer in layers:
                    x = layer(x)
        return x


def _is_product(layer: nn.Module) -> bool:
    return type(layer) in (nn.Linear, nn.Conv2d)


def _is_known(layer: nn.Module) -> bool:
    if type(layer) is nn.Conv2d:
        return layer.padding_mode == "zeros"
    if type(layer) is nn.Flatten:
        return (layer.start_dim, layer.end_dim) == (1, -1)
    return type(layer) is nn.Linear or type(layer) in ELEMENTWISE or type(layer) in POOLS or _is_scaled_norm(layer)


def _is_scaled_norm(layer: nn.Module) -> bool:
    return type(layer) is nn.GroupNorm and layer.affine


class _Chain(torch.autograd.Function):
    """Layers over a batch: under vmap only."""

    @staticmethod
    def forward(_x: Tensor, _layers: tuple[nn.Module, ...], *_parameters: Tensor) -> Tensor:
        """Refuse: outside vmap the Sequential itself is called."""
        raise RuntimeError("a chain is computed by hand under vmap over its parameters only")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep nothing: what vmap calls below is differentiated by itself."""

    @staticmethod
    def backward(_ctx: Any, *_grads: Any) -> None:
        """Never called."""
        raise RuntimeError("a chain has no backward of its own")

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], x: Tensor, layers: tuple[nn.Module, ...], *parameters: Tensor
    ) -> tuple[Tensor, int]:
        """Compute all trials' rows at once: (k, batch, ...)."""
        size = info.batch_size
        stacked = iter(_in_front(one, dim, size) for one, dim in zip(parameters, in_dims[2:], strict=True))
        rows = Rows(x, size, is_shared=True) if in_dims[0] is None else Rows(x.movedim(in_dims[0], 0), size)
        for layer, following in zip(layers, (*layers[1:], None), strict=True):
            own = [next(stacked) for _ in layer.parameters()]
            if type(layer) is nn.Linear:
                rows = _linear(rows, *own, rectified=type(following) is nn.ReLU)
            elif not rows.is_rectified:
                rows = _rule(layer)(layer, rows, *own)
            else:  # the ReLU after a linear layer is made with it
                rows = rows._replace(is_rectified=False)
        return rows.by_trial(), 0


def _in_front(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


class Rows(NamedTuple):
    """Activations of k trials."""

    x: Tensor
    """By trial: (k, batch, ...). By channel: (batch, k * channels, height, width). Shared: (batch, ...)."""
    size: int
    """k."""
    by_channel: bool = False
    is_shared: bool = False
    is_rectified: bool = False
    """Whether the ReLU that follows has been made."""

    def by_trial(self) -> Tensor:
        """Return (k, batch, ...)."""
        if self.is_shared:
            return self.x.expand(self.size, *self.x.shape)
        if not self.by_channel:
            return self.x
        batch, channels, height, width = self.x.shape
        return self.x.view(batch, self.size, channels // self.size, height, width).transpose(0, 1)

    def channels(self) -> Tensor:
        """Return (batch, k * channels, height, width)."""
        if self.by_channel:
            return self.x
        x = self.by_trial().transpose(0, 1)
        return x.reshape(x.shape[0], self.size * x.shape[2], *x.shape[3:])


def _linear(rows: Rows, weight: Tensor, bias: Tensor | None = None, *, rectified: bool) -> Rows:
    x = rows.by_trial()
    flat = x.reshape(rows.size, -1, x.shape[-1])
    places = [None if one is None else _place(one) for one in (weight, bias)]
    y: Tensor = _Products.apply(flat, weight, bias, rectified, places)  # type: ignore[no-untyped-call]
    return Rows(y.view(*x.shape[:-1], y.shape[-1]), rows.size, is_rectified=rectified)


def _place(parameter: Tensor) -> Tensor | None:
    """Return where a parameter's gradient is wanted, once: that of a second use is added by autograd."""
    place = (_by_hand.get() or {}).pop(parameter.data_ptr(), None)
    return place if place is not None and place.shape == parameter.shape else None


class _Products(torch.autograd.Function):
    """k linear layers, and the ReLU that follows: (k, n, in), (k, out, in), (k, out) -> (k, n, out).

    torch's own backward makes the weights' gradient transposed; this one makes it in the order of the weights, and
    where it is wanted.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, rectified: bool, places: list[Tensor | None]
    ) -> Tensor:
        """Return x W^T + b, trial by trial."""
        turned = weight.transpose(1, 2)
        y = torch.bmm(x, turned) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, turned)
        if rectified:
            y = y.relu_()
        ctx.places = places
        ctx.save_for_backward(x, weight, y if rectified else None)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, W and b."""
        (g,) = grads
        x, weight, y = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        if y is not None:
            g = torch.ops.aten.threshold_backward(g, y, 0)
        of_weight, of_bias = (place if place is not None and place.dtype == g.dtype else None for place in ctx.places)
        return (
            torch.bmm(g, weight.to(g.dtype)) if needs_x else None,
            torch.bmm(g.transpose(1, 2), x.to(g.dtype), out=of_weight) if needs_weight else None,
            torch.sum(g, 1, out=of_bias) if needs_bias else None,
            None,
            None,
        )


def _convolution(layer: nn.Module, rows: Rows, weight: Tensor, bias: Tensor | None = None) -> Rows:
    assert isinstance(layer, nn.Conv2d)
    # What all trials share is convolved with all their filters at once.
    together = rows.is_shared and layer.groups == 1
    x = rows.x if together else rows.channels()
    groups = 1 if together else rows.size * layer.groups
    bias = None if bias is None else bias.reshape(-1)
    y = functional.conv2d(x, weight.flatten(0, 1), bias, layer.stride, layer.padding, layer.dilation, groups)
    return Rows(y, rows.size, by_channel=True)


def _group_norm(layer: nn.Module, rows: Rows, weight: Tensor, bias: Tensor) -> Rows:
    assert isinstance(layer, nn.GroupNorm)
    groups = rows.size * layer.num_groups
    y = functional.group_norm(rows.channels(), groups, weight.reshape(-1), bias.reshape(-1), layer.eps)
    return Rows(y, rows.size, by_channel=True)


def _pool(layer: nn.Module, rows: Rows) -> Rows:
    if rows.is_shared:
        return rows._replace(x=layer(rows.x))
    return Rows(layer(rows.channels()), rows.size, by_channel=True)


def _elementwise(layer: nn.Module, rows: Rows) -> Rows:
    return rows._replace(x=layer(rows.x))


def _flatten(_: nn.Module, rows: Rows) -> Rows:
    if rows.is_shared:
        return rows._replace(x=rows.x.flatten(1))
    return Rows(rows.by_trial().flatten(2), rows.size)


def _rule(layer: nn.Module) -> Callable[..., Rows]:
    if type(layer) in ELEMENTWISE:
        return _elementwise
    if type(layer) in POOLS:
        return _pool
    return RULES[type(layer)]


RULES: dict[type[nn.Module], Callable[..., Rows]] = {
    nn.Conv2d: _convolution,
    nn.GroupNorm: _group_norm,
    nn.Flatten: _flatten,
}
"""What computes the other layers that have parameters or change the layout."""
