"""A transformer that sees a whole row at once: what stands at each place, given the others.

The blocks are the decoder's (see `transformer`), without its causal mask; so are the rotary
positions, the norms without weights and the embedding that is mixed into every layer. There is one
more token, MASK, for what is hidden: Devlin et al., 2019 (arXiv:1810.04805), section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Interval, Space
from genloom.nets.attention import turns
from genloom.nets.embed import ConditionSequence, ConditionVector
from genloom.nets.pointwise import rms_norm
from genloom.nets.stack import Stack
from genloom.nets.transformer import CAP


@final
class Bidirectional(nn.Module):
    """net(tokens, cond, begin) -> logits: each position sees its whole document.

    Args:
        vocab: Tokens that there are; one more, the number `vocab`, is MASK.
        length: The most positions of a row.
        conditions: Those that enter as a vector are added to every position; those that enter as a
            sequence are read before the tokens.
        width: Features of a position.
        layers: Blocks.
        heads: Of attention; width / heads must be even.
        expand: Hidden features of the feed-forward net, in widths.
        dropout: Share of each branch's output that is dropped in training.
        text_layers: Of a text encoder over the sequences that are read first (see `text`).

    Raises:
        BadInput: width and heads do not fit.
    """

    turns: Tensor

    def __init__(
        self,
        vocab: int,
        length: int,
        conditions: Mapping[str, Space],
        *,
        width: Annotated[int, Interval(ge=2)] = 96,
        layers: Annotated[int, Interval(ge=1)] = 4,
        heads: Annotated[int, Interval(ge=1)] = 2,
        expand: Annotated[int, Interval(ge=1)] = 4,
        dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.0,
        text_layers: Annotated[int, Interval(ge=0, le=12)] = 0,
    ):
        super().__init__()
        self.embed = nn.Embedding(vocab + 1, width)
        self.places = nn.Parameter(torch.zeros(length, width))
        self.cond = ConditionVector(conditions, width, scale=0.05)
        self.context = ConditionSequence(conditions, width, layers=text_layers)
        self.ahead = sum(self.context.lengths.values())
        self.stack = Stack(width, layers, heads, expand, dropout)
        self.head = nn.Linear(width, vocab, bias=False)
        nn.init.normal_(self.embed.weight, std=0.05)
        nn.init.normal_(self.head.weight, std=0.02)
        angles = turns(self.ahead + length, width // heads)
        self.register_buffer("turns", angles, persistent=False)

    def forward(self, tokens: Tensor, cond: Condition, begin: Tensor | None = None) -> Tensor:
        """(B, L) -> (B, L, V).

        Args:
            tokens: Integers in [0, vocab], of which vocab is MASK.
            cond: Name -> (B, ...).
            begin: Where the document of each position begins, (B, L); None: all see each other.
        """
        place = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.embed(tokens) + self.places[place if begin is None else place - begin]
        x = x + self.cond(cond, len(x))[:, None] if self.cond.parts else x
        context = self.context(cond, len(x))
        x = x if context is None else torch.cat([context.to(x.dtype), x], 1)
        mask = None if begin is None else visible(begin, self.ahead)
        x = self.stack(x, self.turns[: x.shape[1]], mask)
        return CAP * (self.head(rms_norm(x[:, self.ahead :])) / CAP).tanh()


def visible(begin: Tensor, ahead: int) -> Tensor:
    """Which positions (columns) each position (row) sees: those of its document, and the first.

    Args:
        begin: Where the document of each position begins, (B, L).
        ahead: Positions before the documents, which all see; they see each other alone.

    Returns:
        (B, 1, ahead + L, ahead + L).
    """
    group = F.pad(begin, (ahead, 0), value=-1)
    return ((group[:, None] == group[:, :, None]) | (group[:, None] < 0))[:, None]
