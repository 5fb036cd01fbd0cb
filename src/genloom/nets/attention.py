"""Causal attention of a decoder: grouped queries, windows, rotary angles, scores of distances."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

SHARPNESS = 1.44  # of attention: queries and keys have unit RMS times 1.2 each

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(block, q (B, L, heads, features), k and v (B, L, kv_heads, features)) -> like q."""


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Without a mask a position sees itself and those before it; (B, heads, L, features).

    Where there are fewer keys, as many heads of queries as it takes, one after the other, share
    each of them: grouped queries, Ainslie et al., 2023 (arXiv:2305.13245), section 2.2.
    """
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        mask,
        is_causal=mask is None,
        scale=SHARPNESS / math.sqrt(q.shape[-1]),
        enable_gqa=q.shape[1] > k.shape[1],
    )


def causal(mask: Tensor | None, _: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same within whole rows, in the order of axes that `Attend` has."""
    found = attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), mask)
    return found.transpose(1, 2)


def begins(tokens: Tensor, start: int) -> Tensor:
    """Where the document of each position begins, at the last start token: (B, L) -> (B, L)."""
    place = torch.arange(tokens.shape[1], device=tokens.device)
    return torch.where(tokens == start, place, 0).cummax(1).values


def apart(begin: Tensor, ahead: int) -> Tensor:
    """Which positions (columns) lie in the document of each one (row), or in none.

    Args:
        begin: Of `begins`, (B, L).
        ahead: Positions before the documents, which all later ones see.

    Returns:
        (B, 1, ahead + L, ahead + L).
    """
    place = torch.arange(ahead + begin.shape[1], device=begin.device)
    first = F.pad(begin + ahead, (ahead, 0))[:, None, :, None]
    return (place >= first) | (place < ahead)


def sliding(length: int, ahead: int, span: int, device: torch.device) -> Tensor:
    """Which positions (columns) each position (row) sees: (length, length), True where it does.

    Beltagy et al., 2020 (arXiv:2004.05150), section 3.1, with the window before a position alone,
    as Jiang et al., 2023 (arXiv:2310.06825), section 2, and the first positions seen by all.

    Args:
        length: Positions.
        ahead: Those at the start that all later ones see.
        span: Positions that each of the others sees at most, itself among them.
        device: Of the mask.
    """
    place = torch.arange(length, device=device)
    back = place[:, None] - place
    return (back >= 0) & ((back < span) | (place < ahead))


def turns(length: int, features: int) -> Tensor:
    """Cosine and sine of position * 10000^(-pair / pairs): (length, features / 2, 2)."""
    pairs = features // 2
    rate = 1e4 ** -(torch.arange(pairs, dtype=torch.float64) / pairs)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * rate
    return torch.stack([angle.cos(), angle.sin()], -1).float()


def by_places(q: Tensor, k: Tensor, v: Tensor, by_place: Tensor, scale: float) -> Tensor:
    """Values by scores q k scale + by_place: (B, L, heads, features).

    Args:
        q: (B, heads, L, features).
        k: (B, heads, S, features).
        v: The same.
        by_place: (B, heads, L, S), -inf where nothing is seen.
        scale: Of the products.
    """
    if not torch.is_grad_enabled():  # each row by itself, whatever its company
        return F.scaled_dot_product_attention(q, k, v, by_place, scale=scale).transpose(1, 2)
    scores = torch.baddbmm(by_place.flatten(0, 1), q.flatten(0, 1), k.flatten(0, 1).mT, alpha=scale)
    return (scores.softmax(-1).unflatten(0, q.shape[:2]) @ v).transpose(1, 2)


@final
class Shifted(torch.autograd.Function):
    """From distances to places, Dai et al., 2019, appendix B; -inf where nothing is seen."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, hidden: Tensor) -> Tensor:
        """(..., T, S), the farthest distance, S - 1, first; true where nothing is seen.

        Row i, column j becomes the score of the distance i + S - T - j; where that is negative it
        must be hidden.
        """
        length, places = scores.shape[-2:]
        if length > 1:
            scores = scores.flatten(-2)[..., length - 1 :].unfold(-1, places, places - 1)
        return torch.where(hidden, -torch.inf, scores)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """What is hidden has no gradient, so that each score has one place at most."""
        length, places = grad.shape[-2:]
        if length == 1:
            return grad, None
        back = grad.new_empty(*grad.shape[:-2], length * places)
        back[..., : length - 1] = 0
        back[..., length - 1 : -1].unflatten(-1, (length, -1)).copy_(grad[..., :-1])
        back[..., -1] = grad[..., -1, -1]
        return back.view_as(grad), None
