"""Elementwise steps of a transformer with hand-written gradients.

On a CPU such steps are bound by memory: a fresh page costs several times a reused one, so what
counts is how many temporaries a step makes. Each function here equals a line of plain torch, given
in its docstring; a test compares values and gradients. First derivatives only. Where no gradient is
recorded, plain operators run instead: there the calls are what costs, one token at a time.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

EPS = 1e-6


def rms_norm(x: Tensor) -> Tensor:
    """Divide by the root mean square over the last axis, without weights.

    Zhang and Sennrich, 2019 (arXiv:1910.07467), Eq. 4; the next matrix can scale as well.
    """
    if torch.is_grad_enabled():
        return _RmsNorm.apply(x)  # pyright: ignore[reportReturnType]
    return F.rms_norm(x, x.shape[-1:], eps=EPS**2)


def feed_forward(x: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """down(max(up(x), 0)^2); So et al., Primer, 2021 (arXiv:2109.08668), section 3.

    Args:
        x: (..., D).
        up: (hidden, D).
        down: (D, hidden).
    """
    if torch.is_grad_enabled():
        if torch.is_autocast_enabled(x.device.type):  # the way back must have the same types
            dtype = torch.get_autocast_dtype(x.device.type)
            x, up, down = (v.to(dtype) for v in (x, up, down))
        return _FeedForward.apply(x, up, down)  # pyright: ignore[reportReturnType]
    return F.linear(F.linear(x, up).relu_().square_(), down)


def rotate(qkv: Tensor, turns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys of unit RMS, turned by their positions; values as they are.

    Rotary embedding: Su et al., 2021 (arXiv:2104.09864), Eq. 34, with neighbouring features as
    pairs. Norm of queries and keys: Henry et al., 2020 (arXiv:2010.04245), here without weights.

    Args:
        qkv: (B, L, groups + 2, heads, features): queries, then one of keys, one of values.
        turns: exp(i angle), complex (L, 1, 1, features / 2).

    Returns:
        q (B, L, groups * heads, features); k and v, each (B, L, heads, features).
    """
    if torch.is_grad_enabled():
        return _Rotate.apply(qkv, turns)  # pyright: ignore[reportReturnType]
    return _turned(rms_norm(qkv[:, :, :-1]), qkv, turns)


def _scale(x: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return (x.shape[-1] ** 0.5 / (norm + EPS)).to(x.dtype)


def _pairs(x: Tensor) -> Tensor:
    """Neighbouring features as complex numbers; no copy of float32 where they lie side by side."""
    x = x.float() if x.stride(-1) == 1 else x.float().contiguous()
    return torch.view_as_complex(x.unflatten(-1, (-1, 2)))


def _turned(y: Tensor, qkv: Tensor, turns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of the normed queries and keys; the values are those of qkv."""
    y = torch.view_as_real(_pairs(y) * turns).flatten(-2).to(y.dtype)
    return y[:, :, :-1].flatten(2, 3), y[:, :, -1], qkv[:, :, -1]


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scale = _scale(x)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        y, scale = ctx.saved_tensors
        # y = x scale(x)  =>  dx = scale (dy - y mean(dy y))
        along = (grad * y).mean(-1, keepdim=True)
        return torch.addcmul(grad, y, along, value=-1).mul_(scale)


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor) -> Tensor:
        flat = x.flatten(0, -2)
        hidden = (flat @ up.T).relu_()
        squared = hidden * hidden
        ctx.save_for_backward(flat, up, down, hidden, squared)
        return (squared @ down.T).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        flat, up, down, hidden, squared = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        slope = torch.addmm(hidden, rows, down, beta=0, alpha=2).mul_(hidden)
        return (slope @ up).view(*grad.shape[:-1], -1), slope.T @ flat, rows.T @ squared


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, turns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = qkv[:, :, :-1]
        scale = _scale(x)
        y = x * scale
        ctx.save_for_backward(y, scale, turns)
        return _turned(y, qkv, turns)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dq: Tensor, dk: Tensor, dv: Tensor) -> tuple[Tensor, None]:
        y, scale, turns = ctx.saved_tensors
        b, length, parts, heads, features = y.shape
        grad = torch.empty(b, length, parts + 1, heads, features, device=y.device)
        back, target = turns[:, 0].conj().resolve_conj(), _pairs(grad)
        torch.mul(_pairs(dq), back, out=target[:, :, :-2].flatten(2, 3))
        torch.mul(_pairs(dk), back, out=target[:, :, -2])
        grad[:, :, -1] = dv
        turned = grad[:, :, :-1]
        along = (turned * y).mean(-1, keepdim=True)
        turned.addcmul_(y, along, value=-1).mul_(scale)
        return grad.to(y.dtype), None
