"""The decoder of Llama, and of Qwen 2 and 3, with their own weights: nothing but what those have.

Touvron et al., LLaMA, 2023 (arXiv:2302.13971), section 2.2: RMS norm with weights before each
part, SwiGLU and rotary positions. Its children add grouped queries (Ainslie et al., 2023,
arXiv:2305.13245), biases of queries, keys and values (Qwen Team, 2024, arXiv:2407.10671), normed
queries and keys (Qwen Team, 2025, arXiv:2505.09388), and slower turns for long texts (Llama Team,
2024, arXiv:2407.21783, section 3.4.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Interval, Space, Tokens
from genloom.errors import BadInput
from genloom.nets.attention import Attend
from genloom.nets.decoder import STD, Decoder, begun, divided, softly

Biases = Literal["none", "qkv", "attention"]


@final
class Llama(Decoder):
    """A decoder whose weights Llama, Mistral, Qwen2 and Qwen3 checkpoints can fill.

    Args:
        space: See `Decoder`.
        conditions: See `Decoder`.
        width: Features of a position.
        layers: Blocks.
        heads: Of attention.
        kv_heads: Of keys and values, each shared by a group of heads; 0: as many as heads.
        head: Features of a head, an even number; 0: width / heads.
        hidden: Features within a feed-forward net; 0: 8/3 of the width, in whole eights.
        theta: Base of the turns; the slowest pair of features takes about so many tokens.
        scaling: Of the turns, for texts longer than those first learned from: factor, low and high
            frequency factor, first length; none: as they are. See `rates`.
        eps: Of the norms.
        biases: Which layers have any: those of queries, keys and values, or with them the one that
            follows attention.
        normed: Whether queries and keys are normed, with weights.
        tied: The output's matrix is the embedding's.
        positions: See `Decoder`.
        start: See `Decoder`.

    Raises:
        BadInput: What is to be divided leaves a rest.
    """

    turns: Tensor

    def __init__(
        self,
        space: Tokens,
        conditions: Mapping[str, Space],
        *,
        width: Annotated[int, Interval(ge=2)] = 96,
        layers: Annotated[int, Interval(ge=1)] = 4,
        heads: Annotated[int, Interval(ge=1)] = 2,
        kv_heads: Annotated[int, Interval(ge=0)] = 0,
        head: Annotated[int, Interval(ge=0)] = 0,
        hidden: Annotated[int, Interval(ge=0)] = 0,
        theta: Annotated[float, Interval(ge=1)] = 1e4,
        scaling: tuple[float, ...] = (),
        eps: Annotated[float, Interval(ge=0, le=1)] = 1e-6,
        biases: Biases = "none",
        normed: bool = False,
        tied: bool = False,
        positions: Annotated[int, Interval(ge=0)] = 0,
        start: Annotated[int, Interval(ge=-1)] = -1,
    ):
        kv_heads = kv_heads or heads
        divided(heads, kv_heads, ("heads", "kv_heads"))
        head = head or divided(width, heads, ("width", "heads"))
        divided(head, 2, ("features of a head", "a pair"))
        super().__init__(
            space,
            conditions,
            layers=layers,
            kv_heads=kv_heads,
            features=head,
            positions=positions,
            start=start,
        )
        hidden = hidden or 8 * math.ceil(width / 3)
        norm = partial(nn.RMSNorm, eps=eps)
        self.embed = nn.Embedding(space.vocab, width)
        self.blocks = nn.ModuleList(
            Block(width, heads, kv_heads, head, hidden, norm, biases, normed) for _ in range(layers)
        )
        self.norm = norm(width)
        self.head = None if tied else nn.Linear(width, space.vocab, bias=False)
        begun(self.blocks, ("out", "down"))
        for layer in (self.embed, self.head):
            if layer is not None:
                nn.init.normal_(layer.weight, std=STD)
        places = torch.arange(self.length, dtype=torch.float32)
        angles = places[:, None] * rates(head, theta, scaling)
        turns = torch.stack([angles.cos(), angles.sin()], -1)
        self.register_buffer("turns", turns, persistent=False)

    def embedded(self, tokens: Tensor, places: Tensor) -> Tensor:
        """See `Decoder`; places are told to the attention alone."""
        return self.embed(tokens)

    def through(self, x: Tensor, places: Tensor, attend: Attend) -> Tensor:
        """See `Decoder`."""
        turns = self.turns[places].unsqueeze(-3).unbind(-1)  # (..., L, 1, features / 2) each
        for i, block in enumerate(self.blocks):
            x = block(x, turns, partial(attend, i))
        return x

    def logits(self, x: Tensor) -> Tensor:
        """See `Decoder`."""
        x = self.norm(x)
        return F.linear(x, self.embed.weight) if self.head is None else self.head(x)


@final
class Block(nn.Module):
    """Attention, then SwiGLU, each on the normed input and added to it."""

    def __init__(
        self,
        width: int,
        heads: int,
        kv_heads: int,
        head: int,
        hidden: int,
        norm: Callable[[int], nn.Module],
        biases: Biases,
        normed: bool,
    ):
        super().__init__()
        self.features = head
        self.norm1, self.norm2 = norm(width), norm(width)
        self.q = nn.Linear(width, heads * head, bias=biases != "none")
        self.k = nn.Linear(width, kv_heads * head, bias=biases != "none")
        self.v = nn.Linear(width, kv_heads * head, bias=biases != "none")
        self.out = nn.Linear(heads * head, width, bias=biases == "attention")
        self.q_norm = norm(head) if normed else nn.Identity()
        self.k_norm = norm(head) if normed else nn.Identity()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(
        self,
        x: Tensor,
        turns: tuple[Tensor, Tensor],
        attend: Callable[[Tensor, Tensor, Tensor], Tensor],
    ) -> Tensor:
        """(B, L, D) -> the same; attend(q, k, v), each (B, L, heads, features); see `Attend`."""
        y = self.norm1(x)
        q, k, v = (f(y).unflatten(-1, (-1, self.features)) for f in (self.q, self.k, self.v))
        q, k = turned(self.q_norm(q), *turns), turned(self.k_norm(k), *turns)
        x = x + self.out(attend(softly(q), k, v).flatten(2))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: Su et al., 2021 (arXiv:2104.09864), Eq. 34, (B, L, heads, features).

    A feature and the one half of them further on are a pair, as in the checkpoints.
    """
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def rates(features: int, theta: float, scaling: tuple[float, ...] = ()) -> Tensor:
    """Radians a token by which each pair of features turns, (features / 2,).

    Args:
        features: Of a head.
        theta: Rate i is theta^(-2 i / features).
        scaling: (factor, low, high, length): pairs that turn at most `low` times in `length` tokens
            turn `factor` times slower, those that turn `high` times or more as before, and those
            between somewhat slower: Llama Team, 2024 (arXiv:2407.21783), as its code has it.
    """
    found = 1 / theta ** (torch.arange(0, features, 2, dtype=torch.float32) / features)
    if not scaling:
        return found
    if len(scaling) != 4 or not scaling[2] > scaling[1]:
        raise BadInput(f"scaling = {scaling} is not (factor, low, high, length), low below high.")
    factor, low, high, length = scaling
    often = length * found / (2 * math.pi)
    kept = ((often - low) / (high - low)).clamp(0, 1)
    return torch.lerp(found / factor, found, kept)
