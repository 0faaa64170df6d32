"""The update of each kind of optimizer, on rows that are trials with hyperparameters of their own.

Every update ends in `param -= lr * factor * direction`. The operations and their order are torch.optim's, but where a
pass or a square root is saved at the price of the last bits. What is one number a row comes in (k, 1), computed in
float64 and rounded once: 1 - 0.999 in float32 would be off by 5e-5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Numbers = Mapping[str, Tensor]
"""By its name in the spec, each hyperparameter: (k, 1) float64."""
RowState = Mapping[str, Tensor]
"""By torch's name, what a state holds as one number: (k, 1) float32, as torch keeps it."""
Tensors = Sequence[Tensor]


class Rule:
    """One kind of optimizer with its flags; it holds no state."""

    buffers: tuple[str, ...] = ()
    """What a state holds of every parameter, by torch's names."""
    row_state: Mapping[str, float] = {"step": 0.0}
    """What torch's state holds as one number, each with its value before the first update."""
    initial: Mapping[str, str] = {}
    """Buffers that begin with a hyperparameter in place of 0, and which; torch has such a state from the start."""
    decoupled: bool = False
    """Whether weights shrink by lr * weight_decay; else the decay is L2, added to the gradient."""
    varying: int = 0
    """How many scalars `corrections` gives beside the factor."""

    def constants(self, numbers: Numbers) -> tuple[Tensor, ...]:
        """Return the scalars that never change, each (k, 1) float64."""
        raise NotImplementedError

    def corrections(self, numbers: Numbers, rows: RowState) -> tuple[Tensor, ...]:
        """Return the factor on the LR, then the varying scalars, each (k, 1) float64.

        `rows["step"]` counts the update that is being made; other row state is brought up to it here.
        """
        _ = numbers
        return (torch.ones_like(rows["step"], dtype=torch.float64),)

    def direction(self, grad: Tensor, buffers: Tensors, scalars: Tensors, scratch: Tensors) -> Tensor:
        """Update the buffers, and return what the parameters go against: `grad`, a buffer, or one of `scratch`.

        Args:
            grad: (rows, columns), left as it is.
            buffers: those that the rule names, each like `grad`; written to.
            scalars: the constants, then the varying scalars, each (rows, 1) of the same dtype.
            scratch: two tensors like `grad`, of any content.
        """
        raise NotImplementedError


def power(base: Tensor | float, exponent: Tensor) -> Tensor:
    """Return base ** exponent, (k, 1) float64; a row's result does not depend on its place.

    On the CPU it is Python's, which torch.optim takes. torch's own differs in the last bit between whole vectors of
    its processor and what is left over.
    """
    if not exponent.is_cpu:
        return torch.pow(base, exponent)
    bases = base.flatten().tolist() if isinstance(base, Tensor) else [base] * exponent.numel()
    values = [one**by for one, by in zip(bases, exponent.flatten().tolist(), strict=True)]
    return torch.tensor(values, dtype=torch.float64).view_as(exponent)


def add_square(average: Tensor, grad: Tensor, memory: Tensor, share: Tensor, scratch: Tensor) -> None:
    """Let an average of squares fade to `memory` of itself, and add `share` of the gradient's square."""
    average.mul_(memory).addcmul_(torch.mul(grad, share, out=scratch), grad)


class Sgd(Rule):
    """SGD. A momentum that starts at 0 is the gradient after one update, as torch's is."""

    row_state: Mapping[str, float] = {}

    def __init__(self, *, momentum: bool, nesterov: bool) -> None:
        self.nesterov = nesterov
        self.buffers = ("momentum_buffer",) if momentum else ()

    def constants(self, numbers: Numbers) -> tuple[Tensor, ...]:
        """Momentum."""
        return (numbers["momentum"],)

    def direction(self, grad: Tensor, buffers: Tensors, scalars: Tensors, scratch: Tensors) -> Tensor:
        """Return the gradient, the momentum, or a look ahead along it."""
        if not self.buffers:
            return grad
        (memory,) = scalars
        momentum = buffers[0].mul_(memory).add_(grad)
        return torch.addcmul(grad, momentum, memory, out=scratch[0]) if self.nesterov else momentum


class Adagrad(Rule):
    """Adagrad."""

    buffers = ("sum",)
    initial: Mapping[str, str] = {"sum": "initial_accumulator_value"}

    def constants(self, numbers: Numbers) -> tuple[Tensor, ...]:
        """Eps."""
        return (numbers["eps"],)

    def corrections(self, numbers: Numbers, rows: RowState) -> tuple[Tensor, ...]:
        """Its own decay of the LR."""
        return (1 / (1 + (rows["step"].double() - 1) * numbers["lr_decay"]),)

    def direction(self, grad: Tensor, buffers: Tensors, scalars: Tensors, scratch: Tensors) -> Tensor:
        """Return the gradient over the root of the sum of all squares."""
        (eps,) = scalars
        root = torch.sqrt(buffers[0].addcmul_(grad, grad), out=scratch[0]).add_(eps)
        return torch.div(grad, root, out=root)


class RmsProp(Rule):
    """RMSprop."""

    def __init__(self, *, momentum: bool, centered: bool) -> None:
        self.momentum = momentum
        self.centered = centered
        further = {"momentum_buffer": momentum, "grad_avg": centered}
        self.buffers = ("square_avg", *(name for name, kept in further.items() if kept))

    def constants(self, numbers: Numbers) -> tuple[Tensor, ...]:
        """Memory, its complement, eps, momentum."""
        return numbers["alpha"], 1 - numbers["alpha"], numbers["eps"], numbers["momentum"]

    def direction(self, grad: Tensor, buffers: Tensors, scalars: Tensors, scratch: Tensors) -> Tensor:
        """Return the gradient over its root mean square or standard deviation, or the momentum of that."""
        memory, share, eps, momentum = scalars
        square, root = buffers[0], scratch[0]
        add_square(square, grad, memory, share, root)
        if self.centered:
            mean = buffers[-1].lerp_(grad, share)
            # Without a guard below 0, as in torch: a row that torch lets become NaN does so here.
            torch.addcmul(square, mean, mean, value=-1, out=root).sqrt_()
        else:
            torch.sqrt(square, out=root)
        root.add_(eps)
        if self.momentum:
            return buffers[1].mul_(momentum).addcdiv_(grad, root)
        return torch.div(grad, root, out=root)


class Adadelta(Rule):
    """Adadelta."""

    buffers = ("square_avg", "acc_delta")

    def constants(self, numbers: Numbers) -> tuple[Tensor, ...]:
        """Memory, its complement, eps."""
        return numbers["rho"], 1 - numbers["rho"], numbers["eps"]

    def direction(self, grad: Tensor, buffers: Tensors, scalars: Tensors, scratch: Tensors) -> Tensor:
        """Return the gradient times the ratio of the roots, as one root of the ratio."""
        square, moved = buffers
        memory, share, eps = scalars
        below, delta = scratch
        add_square(square, grad, memory, share, below)
        torch.add(square, eps, out=below)
        torch.add(moved, eps, out=delta).div_(below).sqrt_().mul_(grad)
        add_square(moved, delta, memory, share, below)
        return delta


class Lion(Rule):
    """Lion."""

    buffers = ("exp_avg",)
    row_state: Mapping[str, float] = {}
    decoupled = True

    def constants(self, numbers: Numbers) -> tuple[Tensor, ...]:
        """What the gradient has a share of: in the step, and in the average."""
        return 1 - numbers["beta1"], 1 - numbers["beta2"]

    def direction(self, grad: Tensor, buffers: Tensors, scalars: Tensors, scratch: Tensors) -> Tensor:
        """Return the sign of a mix of average and gradient."""
        (average,) = buffers
        in_step, in_average = scalars
        sign = torch.lerp(average, grad, in_step, out=scratch[0]).sign_()
        average.lerp_(grad, in_average)
        return sign
