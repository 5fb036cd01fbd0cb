"""The parts of an adversarial game: losses, gradient penalties, and what is counted over a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from genloom import ranks
from genloom.core import like, uniform

# Name -> (loss of the discriminator, loss of the generator) of the logits (real, fake), (B,) each.
LOSSES: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    # Jolicoeur-Martineau, 2018 (arXiv:1807.00734), section 3.3, pairing form
    "rp": (lambda r, f: F.softplus(f - r), lambda r, f: F.softplus(r - f)),
    # Goodfellow et al., 2014 (arXiv:1406.2661), section 3
    "ns": (lambda r, f: F.softplus(-r) + F.softplus(f), lambda r, f: F.softplus(-f)),
    # The same, Eq. 1: the generator lowers log(1 - D), which is flat where it loses
    "mm": (lambda r, f: F.softplus(-r) + F.softplus(f), lambda r, f: -F.softplus(f)),
    # Lim and Ye, 2017 (arXiv:1705.02894)
    "hinge": (lambda r, f: F.relu(1 - r) + F.relu(1 + f), lambda r, f: -f),
    # Mao et al., 2016 (arXiv:1611.04076), Eq. 9
    "ls": (lambda r, f: ((r - 1) ** 2 + f**2) / 2, lambda r, f: (f - 1) ** 2 / 2),
    # Arjovsky et al., 2017 (arXiv:1701.07875), Eq. 2
    "wgan": (lambda r, f: f - r, lambda r, f: -f),
}


def certainty(loss: str, real: Tensor, fake: Tensor) -> Tensor:
    """Positive where a datum is taken for real, (B,).

    A loss that sees differences alone has no zero of its own; there each datum is held against a
    sample.
    """
    if loss in ("rp", "wgan"):
        return real - fake
    return real - 0.5 if loss == "ls" else real


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Graphs made within this compute no gradient for the module's parameters."""
    trained = [p for p in module.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)


def zero_centred(x: Tensor, logits: Tensor) -> Tensor:
    """Squared norm of the logit's gradient at each row, (B,): R1 on data, R2 on samples.

    Mescheder et al., 2018 (arXiv:1801.04406), Eq. 9, without the factor gamma / 2.
    """
    (grad,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return grad.square().flatten(1).sum(1)


def one_centred(critic: Callable[[Tensor], Tensor], x: Tensor, fake: Tensor) -> Tensor:
    """(norm of the critic's gradient - 1)^2 between each datum and its sample, (B,).

    Gulrajani et al., 2017 (arXiv:1704.00028), Eq. 3, without the factor lambda.
    """
    share = like(uniform(len(x), device=x.device), x)
    between = (fake + share * (x - fake)).detach().requires_grad_()
    (grad,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (grad.flatten(1).norm(dim=1) - 1).square()


@torch.no_grad()
def clip(module: nn.Module, bound: float) -> None:
    """Force every parameter into [-bound, bound]: Arjovsky et al., 2017, Alg. 1, line 7."""
    for p in module.parameters():
        p.clamp_(-bound, bound)


def overlap(module: nn.Module) -> Tensor:
    """How far filters of a layer point the same way, summed over all layers: a scalar.

    Brock et al., 2019 (arXiv:1809.11096), Eq. 3 without beta: the squared products of different
    filters, not of one with itself. A row of the flattened weight is a filter; embeddings are left
    out, as there. A normalised weight counts as it is stored.
    """
    total = next(module.parameters()).new_zeros(())
    for part in module.modules():
        if isinstance(part, nn.Linear | _ConvNd):
            w = _stored_weight(part)
            w = w.transpose(0, 1) if getattr(part, "transposed", False) else w
            w = w.flatten(1)
            gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w  # squares sum up alike
            total = total + gram.square().sum() - w.square().sum(1).square().sum()
    return total


def _stored_weight(part: nn.Module) -> Tensor:
    made = getattr(part, "parametrizations", None)
    weight = part.weight if made is None else made.weight.original
    assert isinstance(weight, Tensor)
    return weight


@final
class Tally(nn.Module):
    """Means over all rows of a step, whatever micro-batches and processes they came in.

    Every micro-batch adds its rows before a yield; the first to come back takes the mean, and the
    others find nothing. The sums are in the state, so that a step that is undone is forgotten.
    """

    sums: Tensor

    def __init__(self, figures: int):
        super().__init__()
        self.register_buffer("sums", torch.zeros(figures + 1))

    def add(self, *figures: Tensor) -> None:
        """Count the rows of each figure, (B,)."""
        rows = [v.detach().float().sum() for v in (*figures, torch.ones_like(figures[0]))]
        self.sums += torch.stack(rows)

    def take(self) -> Tensor | None:
        """The mean of each figure since the last call, or None where no row was counted."""
        if not self.sums[-1]:
            return None
        total = self.sums.clone()
        ranks.add([total])
        self.sums.zero_()
        return total[:-1] / total[-1]
