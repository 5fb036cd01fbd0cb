"""Group norm, modulation and SiLU as one function that is fast for channels-last data on a CPU.

Wu and He, 2018 (arXiv:1803.08494). In that layout torch's own kernel walks through memory channel
by channel: for 32 channels of 28x28 it was measured 20 times slower than the sums below.
"""

from __future__ import annotations

import math
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


@final
class GroupNorm(nn.Module):
    """silu(norm(x) * (1 + scale) + shift), with as many groups as divide the channels.

    Args:
        groups: At most.
        channels: Of x.
        silu: Apply SiLU at the end.
    """

    def __init__(self, groups: int, channels: int, *, silu: bool = True):
        super().__init__()
        self.groups, self.silu, self.eps = math.gcd(groups, channels), silu, 1e-5
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(
        self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
    ) -> Tensor:
        """(B, C, *spatial), and (B, C) each -> (B, C, *spatial)."""
        if _is_channels_last(x):
            gain, bias = self.weight.expand(x.shape[:2]), self.bias.expand(x.shape[:2])
            if scale is not None and shift is not None:
                gain, bias = gain * (1 + scale), torch.addcmul(shift, bias, 1 + scale)
            return _Norm.apply(x, gain, bias, self.groups, self.eps, self.silu)
        h = F.group_norm(x, self.groups, self.weight, self.bias, self.eps)
        if scale is not None and shift is not None:
            axes = (1,) * (x.ndim - 2)
            h = torch.addcmul(
                shift.view(*shift.shape, *axes), h, 1 + scale.view(*scale.shape, *axes)
            )
        return F.silu(h) if self.silu else h


def _is_channels_last(x: Tensor) -> bool:
    """Whether channels vary fastest, on a CPU, and there is more than one place to walk to."""
    return x.device.type == "cpu" and x.ndim > 3 and x.stride(1) == 1 and not x.is_contiguous()


def _rows(x: Tensor) -> Tensor:
    return x.movedim(1, -1).flatten(1, -2)  # (B, places, C), a view


class _Norm(torch.autograd.Function):
    """y = act(a * x + b), with a = gain / deviation and b = bias - a * mean of groups of channels.

    Buffers are used again wherever one is free: fresh memory costs more than the sums do.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, bias: Tensor, groups: int, eps: float, silu: bool
    ) -> Tensor:
        rows = _rows(x)
        count = rows.shape[1] * (rows.shape[2] // groups)
        y = rows.square()
        mean = _of_group(rows.sum(1), groups) / count
        variance = (_of_group(y.sum(1), groups) / count - mean.square()).clamp_(min=0)
        rstd = (variance + eps).rsqrt()
        a = gain * rstd
        torch.addcmul((bias - a * mean)[:, None], rows, a[:, None], out=y)
        ctx.groups, ctx.count, ctx.shape = groups, count, x.shape
        gate = y.sigmoid() if silu else None
        ctx.save_for_backward(x, gain, bias, mean, rstd, gate)
        return _grid(y if gate is None else y.mul_(gate), x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, bias, mean, rstd, gate = ctx.saved_tensors
        rows, g, a = _rows(x), _rows(grad), gain * rstd
        if gate is not None:  # of SiLU: gate * (1 + y * (1 - gate))
            y = torch.addcmul((bias - a * mean)[:, None], rows, a[:, None])
            g = y.addcmul_(y, gate, value=-1).add_(1).mul_(gate).mul_(g)
        dx = g * rows
        sum_g = g.sum(1)
        sum_gc = dx.sum(1) - mean * sum_g  # of g * (x - mean)
        mean_g = _of_group(gain * sum_g, ctx.groups) / ctx.count
        slope = -(rstd**3) * _of_group(gain * sum_gc, ctx.groups) / ctx.count
        torch.addcmul((-rstd * mean_g - slope * mean)[:, None], rows, slope[:, None], out=dx)
        dx.addcmul_(g, a[:, None])
        return _grid(dx, ctx.shape), sum_gc * rstd, sum_g, None, None, None


def _of_group(v: Tensor, groups: int) -> Tensor:
    """(B, C) -> the sum over each channel's group, (B, C)."""
    grouped = v.unflatten(1, (groups, -1))
    return grouped.sum(2, keepdim=True).expand_as(grouped).flatten(1)


def _grid(rows: Tensor, shape: torch.Size) -> Tensor:
    return rows.unflatten(1, shape[2:]).movedim(-1, 1)
