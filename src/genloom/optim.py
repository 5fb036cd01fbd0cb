"""Optimizers: fused AdamW for everything, or Muon for hidden matrices and AdamW for the rest.

Muon: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024
(kellerjordan.github.io/posts/muon). Here matrices of one shape (or its transpose) are stacked and
orthogonalised in one batched product, and in float32 unless the device is fast in bfloat16.
AdamW: Loshchilov and Hutter, 2019 (arXiv:1711.05101), Alg. 2.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # a, b, c of the quintic a x + b x^3 + c x^5


def build(
    module: nn.Module,
    *,
    name: Literal["adamw", "muon"] = "adamw",
    lr: float = 1e-3,
    matrix_lr: float = 0.02,
    beta1: float = 0.9,
    beta2: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> list[torch.optim.Optimizer]:
    """The optimizers of one player; together they hold each trainable parameter once.

    Args:
        module: The player. For Muon its hidden matrices are told by `matrices`.
        name: "adamw", or "muon" for Muon on hidden matrices and AdamW on all else.
        lr: Rate of AdamW.
        matrix_lr: Rate of Muon: the RMS change of a singular value in one step.
        beta1: Decay of AdamW's first moment.
        beta2: Decay of AdamW's second moment.
        eps: Floor of AdamW's denominator.
        weight_decay: Decoupled decay of weights with two or more axes; vectors have none.
    """
    hidden = matrices(module) if name == "muon" else []
    taken = {id(p) for p in hidden}
    rest = [p for p in module.parameters() if p.requires_grad and id(p) not in taken]
    decayed, free = [p for p in rest if p.ndim > 1], [p for p in rest if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    if not weight_decay:  # one group is one call
        groups = [{"params": decayed + free, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    optimizers: list[torch.optim.Optimizer] = []
    if groups:
        fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in rest)
        optimizers.append(
            torch.optim.AdamW(groups, lr=lr, betas=(beta1, beta2), eps=eps, fused=fused)
        )
    if hidden:
        optimizers.append(Muon(hidden, lr=matrix_lr, weight_decay=weight_decay))
    return optimizers


def matrices(module: nn.Module) -> list[nn.Parameter]:
    """The hidden matrices of a net: what lies inside a submodule called `blocks`.

    A parameter of two axes is a matrix, one of three axes a stack of them (fused q, k and v).
    Embeddings, heads and stems stay outside `blocks`; convolutions are never taken.
    """
    return [
        p
        for path, owner in module.named_modules()
        if "blocks" in path.split(".") and not isinstance(owner, _ConvNd | nn.Embedding)
        for p in owner.parameters(recurse=False)
        if p.requires_grad and p.ndim in (2, 3)
    ]


@final
class Muon(torch.optim.Optimizer):
    """Momentum whose matrix update is replaced by the nearest semi-orthogonal matrix.

    Args:
        params: Tensors whose last two axes are a matrix; earlier axes stack matrices.
        lr: Learning rate; 0.02 suits most widths, as updates have unit singular values.
        momentum: Decay of the moving average of gradients.
        weight_decay: Decoupled: each step multiplies weights by 1 - lr * weight_decay.
        rounds: Newton-Schulz iterations.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        rounds: int = 5,
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "rounds": rounds,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            lr, momentum = group["lr"], group["momentum"]
            grads = [p.grad for p in params]
            averages = [self._average(p) for p in params]
            torch._foreach_lerp_(averages, grads, 1 - momentum)
            ahead = torch._foreach_lerp(grads, averages, momentum)  # Nesterov
            if group["weight_decay"]:
                torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
            for members in _by_shape(params):
                wide = torch.cat([_wide(ahead[i]) for i in members])
                flat = orthogonalise(wide, group["rounds"])
                for i, update in zip(members, flat.split([_count(params[i]) for i in members])):
                    rows, columns = params[i].shape[-2:]
                    if rows > columns:
                        update = update.mT
                    scale = math.sqrt(max(1.0, rows / columns))
                    params[i].add_(update.reshape_as(params[i]), alpha=-lr * scale)

    def _average(self, p: Tensor) -> Tensor:
        state = self.state[p]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(p)
        return state["momentum"]


def orthogonalise(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Push all singular values of (..., rows, columns) towards 1 by Newton-Schulz iteration.

    After five rounds they lie in about [0.7, 1.2] (unless they were below 1 % of the norm).
    """
    x = matrix.mT if matrix.shape[-2] > matrix.shape[-1] else matrix
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    x = x.to(fast_dtype(x)).reshape(-1, *x.shape[-2:])
    long = x.shape[-1] >= 2 * x.shape[-2] and x.dtype == torch.float32
    x = _on_gram(x, rounds) if long else _on_matrix(x, rounds)
    x = x.view(*matrix.shape[:-2], *x.shape[-2:]).to(matrix.dtype)
    return x.mT if matrix.shape[-2] > matrix.shape[-1] else x


def _on_matrix(x: Tensor, rounds: int) -> Tensor:
    a, b, c = NEWTON_SCHULZ
    for _ in range(rounds):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _on_gram(x: Tensor, rounds: int) -> Tensor:
    """The same, on the small side alone: each round multiplies by a polynomial in x x^T.

    With p = a + b g + c g^2 and g = x x^T, the next x is p x and the next g is p g p. About half
    the work where one side is four times the other; it needs float32, as g squares the spectrum.
    """
    a, b, c = NEWTON_SCHULZ
    gram = torch.bmm(x, x.mT)
    total = None
    for i in range(rounds):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        total = factor if total is None else torch.bmm(factor, total)
        if i < rounds - 1:
            gram = torch.bmm(torch.bmm(factor, gram), factor)
    return x if total is None else torch.bmm(total, x)


def fast_dtype(x: Tensor) -> torch.dtype:
    """bfloat16 where matrix products are known to be fast in it, else the tensor's own dtype.

    A rule and not a timing, so that a resumed run repeats the same arithmetic. CPUs without
    matrix units multiply bfloat16 about 3 times slower than float32.
    """
    fast = x.device.type == "cuda" and torch.cuda.get_device_capability(x.device) >= (8, 0)
    return torch.bfloat16 if fast else x.dtype


def _by_shape(params: list[Tensor]) -> Iterator[list[int]]:
    """Indices of parameters whose matrices can be stacked, transposed where that helps."""
    same: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for i, p in enumerate(params):
        same[(*sorted(p.shape[-2:]), p.dtype, p.device)].append(i)
    yield from same.values()


def _wide(x: Tensor) -> Tensor:
    """(..., rows, columns) -> (n, short side, long side)."""
    x = x.reshape(-1, *x.shape[-2:])
    return x.mT if x.shape[-2] > x.shape[-1] else x


def _count(p: Tensor) -> int:
    return math.prod(p.shape[:-2])
