"""The updates of Adam and its relatives: an average of the gradient over a measure of its size."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .rules import Numbers, RowState, Rule, Tensors, add_square, power


class Moments(Rule):
    """What they share: averages of the gradient and of its square, both with the bias of their start."""

    buffers: tuple[str, ...] = ("exp_avg", "exp_avg_sq")

    def constants(self, numbers: Numbers) -> tuple[Tensor, ...]:
        """The gradient's share in the first moment; memory of the second and its complement."""
        return 1 - numbers["beta1"], numbers["beta2"], 1 - numbers["beta2"]

    def update(self, grad: Tensor, buffers: Tensors, scalars: Tensors, scratch: Tensor) -> None:
        """Bring both averages up to date; the scalars are the constants, and may go on."""
        first, second = buffers[:2]
        share1, memory2, share2 = scalars[:3]
        first.lerp_(grad, share1)
        add_square(second, grad, memory2, share2, scratch)


class Adam(Moments):
    """Adam; AdamW where the decay is decoupled, AMSGrad where the largest second moment counts."""

    varying = 1

    def __init__(self, *, decoupled: bool = False, largest: bool = False) -> None:
        self.decoupled = decoupled
        self.largest = largest
        self.buffers = (*Moments.buffers, "max_exp_avg_sq") if largest else Moments.buffers

    def corrections(self, numbers: Numbers, rows: RowState) -> tuple[Tensor, ...]:
        """Those of both biases, and eps; the second moment's is taken out of the denominator, which saves a pass."""
        step = rows["step"].double()
        root = (1 - power(numbers["beta2"], step)).sqrt()
        return root / (1 - power(numbers["beta1"], step)), numbers["eps"] * root

    def direction(self, grad: Tensor, buffers: Tensors, scalars: Tensors, scratch: Tensors) -> Tensor:
        """Return the first moment over the root of the second, or of its largest so far."""
        root = scratch[0]
        self.update(grad, buffers, scalars, root)
        second = torch.maximum(buffers[2], buffers[1], out=buffers[2]) if self.largest else buffers[1]
        torch.sqrt(second, out=root).add_(scalars[3])
        return torch.div(buffers[0], root, out=root)


class NAdam(Moments):
    """NAdam, and NAdamW where the decay is decoupled."""

    row_state: Mapping[str, float] = {"step": 0.0, "mu_product": 1.0}
    varying = 3

    def __init__(self, *, decoupled: bool = False) -> None:
        self.decoupled = decoupled

    def corrections(self, numbers: Numbers, rows: RowState) -> tuple[Tensor, ...]:
        """Eps, and the shares of the first moment and of the gradient in the step."""
        step, product = rows["step"].double(), rows["mu_product"]
        now, following = (
            numbers["beta1"] * (1 - 0.5 * power(0.96, at * numbers["momentum_decay"])) for at in (step, step + 1)
        )
        # As in torch, the product is kept and multiplied in float32 whatever the dtype of the parameters.
        product.mul_(now.float())
        so_far = product.double()
        root = (1 - power(numbers["beta2"], step)).sqrt()
        of_moment = root * following / (1 - so_far * following)
        return torch.ones_like(root), numbers["eps"] * root, of_moment, root * (1 - now) / (1 - so_far)

    def direction(self, grad: Tensor, buffers: Tensors, scalars: Tensors, scratch: Tensors) -> Tensor:
        """Return a mix of the first moment and the gradient over the root of the second moment."""
        root, mix = scratch
        eps, of_moment, of_gradient = scalars[3:]
        self.update(grad, buffers, scalars, root)
        torch.sqrt(buffers[1], out=root).add_(eps)
        return torch.mul(buffers[0], of_moment, out=mix).addcmul_(grad, of_gradient).div_(root)


class RAdam(Moments):
    """RAdam."""

    varying = 2

    def corrections(self, numbers: Numbers, rows: RowState) -> tuple[Tensor, ...]:
        """Those of both biases with the rectification, and what makes the denominator 1 while it is out of reach."""
        step, beta2 = rows["step"].double(), numbers["beta2"]
        faded = power(beta2, step)
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * faded / (1 - faded)
        rectified = length > 5
        rectification = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        # Computed for all rows and chosen from: what is NaN or infinite in the others is left behind.
        factor = torch.where(rectified, ((1 - faded) * rectification).sqrt(), 1.0)
        factor = factor / (1 - power(numbers["beta1"], step))
        return factor, rectified.double(), torch.where(rectified, numbers["eps"], 1.0)

    def direction(self, grad: Tensor, buffers: Tensors, scalars: Tensors, scratch: Tensors) -> Tensor:
        """Return the first moment, over the root of the second where that is rectified."""
        root = scratch[0]
        self.update(grad, buffers, scalars, root)
        torch.sqrt(buffers[1], out=root).mul_(scalars[3]).add_(scalars[4])
        return torch.div(buffers[0], root, out=root)


class Adamax(Rule):
    """Adamax."""

    buffers = ("exp_avg", "exp_inf")

    def constants(self, numbers: Numbers) -> tuple[Tensor, ...]:
        """The gradient's share in the first moment, memory of the norm, eps."""
        return 1 - numbers["beta1"], numbers["beta2"], numbers["eps"]

    def corrections(self, numbers: Numbers, rows: RowState) -> tuple[Tensor, ...]:
        """That of the first moment's bias."""
        return (1 / (1 - power(numbers["beta1"], rows["step"].double())),)

    def direction(self, grad: Tensor, buffers: Tensors, scalars: Tensors, scratch: Tensors) -> Tensor:
        """Return the first moment over the largest gradient of late."""
        first, norm = buffers
        share, memory, eps = scalars
        size = torch.abs(grad, out=scratch[0]).add_(eps)
        first.lerp_(grad, share)
        torch.maximum(norm.mul_(memory), size, out=norm)
        return torch.div(first, norm, out=size)
