"""A text encoder: positions of a sequence look at each other, in both directions.

The encoder of Vaswani et al., 2017 (arXiv:1706.03762), section 3.1, with norms before each part
(Xiong et al., 2020, arXiv:2002.04745). It is learned with the model that reads it. What is added
starts at zero: an encoder that has learned nothing hands its input on.
"""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

HEAD = 32  # features of an attention head, where there are so many


@final
class TextEncoder(nn.Module):
    """(B, L, width) -> the same; what fills a text up is looked at by nobody.

    Args:
        width: Of a position.
        layers: Blocks.
    """

    def __init__(self, width: int, layers: int):
        super().__init__()
        self.blocks = nn.ModuleList(EncoderBlock(width) for _ in range(layers))

    def forward(self, x: Tensor, filling: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            x: (B, L, width), places included.
            filling: True where there is no text, (B, L). The first position always counts as text,
                so that each row has something to look at.
        """
        seen = ~filling
        seen[:, 0] = True
        for block in self.blocks:
            x = block(x, seen[:, None, None])
        return x


@final
class EncoderBlock(nn.Module):
    """Attention over what is seen, then a feed-forward net; each on the norm of its input."""

    def __init__(self, width: int):
        super().__init__()
        self.heads = max(1, width // HEAD) if width % HEAD == 0 else 1
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for last in (self.out, self.down):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """(B, L, width), (B, 1, 1, L) -> (B, L, width)."""
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))  # (B, heads, L, features)
        found = F.scaled_dot_product_attention(q, k, v, seen)
        x = x + self.out(found.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))
