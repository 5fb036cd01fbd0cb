"""Which tokens of a talk a model is to say itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def answers(
    x: Tensor, roles: tuple[tuple[int, ...], ...], end: int, *, closed: bool = False
) -> Tensor:
    """Which tokens of talks are the model's own: answers with what closes them, (B, L) -> (B, L).

    Args:
        x: Rows of documents.
        roles: Runs of tokens that open a part of a document, the last of them an answer.
        end: The token that closes a document. One without roles is its own throughout.
        closed: Whether answers have a closing of their own; else the next opening closes them.
    """
    place = torch.arange(x.shape[1], device=x.device)
    kind = torch.zeros_like(x)  # 1 where an opening is complete, 2 where that of an answer is
    opening = torch.zeros_like(x, dtype=torch.bool)
    for run in roles:
        before = len(run) - 1
        runs = F.pad(x, (before, 0), value=-1).unfold(1, len(run), 1)
        found = (runs == torch.tensor(run, device=x.device)).all(-1)
        kind = kind.masked_fill(found, 2 if run == roles[-1] else 1)
        opening |= F.pad(found, (0, before)).unfold(1, len(run), 1).any(-1)
    latest = torch.where((kind > 0) | (x == end), place, -1).cummax(1).values
    last = F.pad(latest[:, :-1], (1, 0), value=-1)  # the last mark before each token
    mark = kind.gather(1, last.clamp(min=0)).masked_fill(last < 0, 0)
    own = torch.where(mark == 0, ~opening, mark == 2)
    return own & ~opening if closed else own


def last_answer(
    x: Tensor, roles: tuple[tuple[int, ...], ...], end: int, *, closed: bool = False
) -> Tensor:
    """Where the last answer of each talk begins, (B, L) -> (B,); 0 where there is none.

    Args:
        x: Rows of one document each.
        roles: See `answers`.
        end: See `answers`.
        closed: See `answers`.
    """
    own = answers(x, roles, end, closed=closed)
    begins = own & ~F.pad(own, (1, 0))[:, :-1]
    place = torch.arange(x.shape[1], device=x.device)
    over = F.pad(x == end, (1, 0))[:, :-1].cummax(1).values  # what only fills up
    return torch.where(begins & ~over, place, 0).amax(1)
