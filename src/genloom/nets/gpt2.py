"""The decoder of GPT-2, with its own weights: nothing but what those have.

Radford et al., Language models are unsupervised multitask learners, 2019, section 2.3: the decoder
of Radford et al., 2018, with its norms before each part and one more at the end. GELU is the
approximation by tanh (Hendrycks and Gimpel, 2016, arXiv:1606.08415). Its dropout is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, final

import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Interval, Space, Tokens
from genloom.nets.attention import Attend
from genloom.nets.decoder import STD, Decoder, begun, divided, softly


@final
class Gpt2(Decoder):
    """A decoder whose weights GPT-2 checkpoints can fill.

    Args:
        space: See `Decoder`.
        conditions: See `Decoder`.
        width: Features of a position.
        layers: Blocks.
        heads: Of attention; divides the width.
        hidden: Features within a feed-forward net; 0: four times the width.
        eps: Of the norms.
        tied: The output's matrix is the embedding's.
        positions: See `Decoder`; each is learned.
        start: See `Decoder`.
    """

    def __init__(
        self,
        space: Tokens,
        conditions: Mapping[str, Space],
        *,
        width: Annotated[int, Interval(ge=1)] = 96,
        layers: Annotated[int, Interval(ge=1)] = 4,
        heads: Annotated[int, Interval(ge=1)] = 2,
        hidden: Annotated[int, Interval(ge=0)] = 0,
        eps: Annotated[float, Interval(ge=0, le=1)] = 1e-5,
        tied: bool = True,
        positions: Annotated[int, Interval(ge=0)] = 0,
        start: Annotated[int, Interval(ge=-1)] = -1,
    ):
        super().__init__(
            space,
            conditions,
            layers=layers,
            kv_heads=heads,
            features=divided(width, heads, ("width", "heads")),
            positions=positions,
            start=start,
        )
        self.embed = nn.Embedding(space.vocab, width)
        self.places = nn.Embedding(self.positions, width)
        self.blocks = nn.ModuleList(
            Block(width, heads, hidden or 4 * width, eps) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width, eps)
        self.head = None if tied else nn.Linear(width, space.vocab, bias=False)
        begun(self.blocks, ("out", "down"))
        for layer in (self.embed, self.places, self.head):
            if layer is not None:
                nn.init.normal_(layer.weight, std=STD)

    def embedded(self, tokens: Tensor, places: Tensor) -> Tensor:
        """See `Decoder`."""
        return self.embed(tokens) + self.places(places)

    def through(self, x: Tensor, places: Tensor, attend: Attend) -> Tensor:
        """See `Decoder`."""
        for i, block in enumerate(self.blocks):
            x = block(x, partial(attend, i))
        return x

    def logits(self, x: Tensor) -> Tensor:
        """See `Decoder`."""
        x = self.norm(x)
        return F.linear(x, self.embed.weight) if self.head is None else self.head(x)


@final
class Block(nn.Module):
    """Attention, then a feed-forward net, each on the normed input and added to it."""

    def __init__(self, width: int, heads: int, hidden: int, eps: float):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor, attend: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        """(B, L, D) -> the same; attend(q, k, v), each (B, L, heads, features); see `Attend`."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        x = x + self.out(attend(softly(q), k, v).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))
