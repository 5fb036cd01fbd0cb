"""How time and conditions enter a net: as a vector, as a sequence, or as a grid.

A vector (label, real vector, time) modulates; a sequence (text) is attended to; a grid (mask,
source image) is concatenated. A hidden row (-1, NaN) and an absent condition have a learned value
of their own, so that a net trained with some rows hidden knows the unconditional distribution too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, final

import torch
from torch import Tensor, nn

from genloom.core import Condition, Space, Tokens, like, uniform
from genloom.errors import BadInput
from genloom.nets.text import FrozenEncoder, FrozenRows, TextEncoder

Way = Literal["vector", "sequence", "grid"]


def way(space: Space) -> Way:
    """How a condition of this space enters a net."""
    if isinstance(space, Tokens):
        return "sequence" if space.shape else "vector"
    return "grid" if len(space.shape) > 1 else "vector"


def entering(conditions: Mapping[str, Space], by: Way) -> dict[str, Space]:
    """Those of the conditions that enter a net in one way, in order of their names."""
    return {name: conditions[name] for name in sorted(conditions) if way(conditions[name]) == by}


def vectors_alone(name: str, conditions: Mapping[str, Space]) -> None:
    """Refuse conditions that a net of this name would not read.

    Raises:
        BadInput: One of them enters as a sequence or as a grid.
    """
    if unread := sorted(set(conditions) - set(entering(conditions, "vector"))):
        raise BadInput(
            f"{name} reads labels and vectors alone, not {', '.join(unread)}: take the family "
            "autoregressive, or data without."
        )


@final
class Fourier(nn.Module):
    """Cosines and sines of a number at geometrically spaced frequencies: (B,) -> (B, width).

    Vaswani et al., 2017 (arXiv:1706.03762), section 3.5. The defaults suit c_noise = ln(sigma)/4,
    which lies within about [-2, 2]; `high=1, low=1e-4` suits time steps 0 to 999.

    Args:
        width: Of the output; even.
        high: First angular frequency.
        low: Frequency that would follow the last one.
    """

    frequencies: Tensor

    def __init__(self, width: int, *, high: float = 64.0, low: float = 0.25):
        super().__init__()
        half = width // 2
        f = high * (low / high) ** (torch.arange(half, dtype=torch.float64) / half)
        self.register_buffer("frequencies", f.float(), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        """(B,) -> (B, width)."""
        angle = t.to(self.frequencies.dtype)[:, None] * self.frequencies
        return torch.cat([angle.cos(), angle.sin()], 1)


@final
class Labels(nn.Module):
    """A learned row for each class, and one more for a hidden or absent label: (B,) -> (B, width).

    Args:
        classes: Number of classes.
        width: Of a row.
        scale: Standard deviation of the rows at the start.
    """

    def __init__(self, classes: int, width: int, *, scale: float = 1.0):
        super().__init__()
        self.rows = nn.Embedding(classes + 1, width)
        nn.init.normal_(self.rows.weight, std=scale)

    def forward(self, label: Tensor | None, n: int) -> Tensor:
        """Integers (n,), -1 = hidden, or None = all hidden -> (n, width)."""
        if label is None:
            return self.rows.weight[:1].expand(n, -1)
        return self.rows(label + 1)


@final
class Vectors(nn.Module):
    """A linear map of a real vector, and a learned row for a hidden one: (B, D) -> (B, width)."""

    def __init__(self, features: int, width: int):
        super().__init__()
        self.map = nn.Linear(features, width)
        self.null = nn.Parameter(torch.zeros(width))

    def forward(self, v: Tensor | None, n: int) -> Tensor:
        """Reals (n, D), NaN = hidden, or None = all hidden -> (n, width)."""
        if v is None:
            return self.null.expand(n, -1)
        hidden = v.isnan().any(1, keepdim=True)
        return torch.where(hidden, self.null, self.map(v.masked_fill(hidden, 0.0)))


@final
class ConditionVector(nn.Module):
    """The sum of all conditions that modulate: labels and real vectors -> (B, width).

    Args:
        conditions: Name -> space; those that do not enter as a vector are left to others.
        width: Of the output.
        scale: Standard deviation of a label's rows at the start.
    """

    zero: Tensor

    def __init__(self, conditions: Mapping[str, Space], width: int, *, scale: float = 1.0):
        super().__init__()
        self.width = width
        self.register_buffer("zero", torch.zeros(()), persistent=False)
        self.parts = nn.ModuleDict(
            {
                name: Labels(space.vocab, width, scale=scale)
                if isinstance(space, Tokens)
                else Vectors(space.shape[0], width)
                for name, space in entering(conditions, "vector").items()
            }
        )

    def forward(self, cond: Condition, n: int) -> Tensor:
        """Of n rows; a condition that is not in `cond` counts as hidden in every row."""
        total = self.zero.expand(n, self.width)
        for name, part in self.parts.items():
            total = total + part(cond.get(name), n)
        return total


@final
class ConditionSequence(nn.Module):
    """All conditions that are attended to, one after the other: (B, L, width), or None for none.

    Args:
        conditions: Name -> space; those that do not enter as a sequence are left to others.
        width: Of a position.
        layers: Of a text encoder over all positions (see `text`), for which the number 0 is
            filling; without layers each position stands for itself.
        frozen: The folder of a trained text encoder that reads them first (see `text`), instead of
            a learned row for each number.
    """

    def __init__(
        self,
        conditions: Mapping[str, Space],
        width: int,
        *,
        layers: int = 0,
        frozen: str | None = None,
    ):
        super().__init__()
        encoder = FrozenEncoder(frozen) if frozen else None
        self.lengths: dict[str, int] = {}
        self.rows, self.places = nn.ModuleDict(), nn.ParameterDict()
        for name, space in entering(conditions, "sequence").items():
            assert isinstance(space, Tokens)
            self.lengths[name] = math.prod(space.shape)
            self.rows[name] = (
                Labels(space.vocab, width)
                if encoder is None
                else FrozenRows(encoder, self.lengths[name], space.vocab, width)
            )
            self.places[name] = nn.Parameter(torch.zeros(self.lengths[name], width))
        self.encoder = TextEncoder(width, layers) if layers and self.lengths else None

    def forward(self, cond: Condition, n: int) -> Tensor | None:
        """Of n rows; hidden positions (-1) and absent conditions show their learned null row."""
        found: list[Tensor] = []
        filling: list[Tensor] = []
        for name, length in self.lengths.items():
            tokens, place = cond[name].flatten() if name in cond else None, self.places[name]
            found.append(self.rows[name](tokens, n * length).view(n, length, -1) + place)
            null = place.new_zeros(n, length, dtype=torch.bool)
            filling.append(null if tokens is None else tokens.view(n, length) == 0)
        if not found:
            return None
        x = torch.cat(found, 1)
        return x if self.encoder is None else self.encoder(x, torch.cat(filling, 1))


@final
class ConditionGrid(nn.Module):
    """All conditions that are concatenated as channels, each with a channel that says it is there.

    Args:
        conditions: Name -> space; those that do not enter as a grid are left to others. A grid has
            the spatial axes of the datum.
    """

    def __init__(self, conditions: Mapping[str, Space]):
        super().__init__()
        self.shapes = {name: space.shape for name, space in entering(conditions, "grid").items()}
        self.channels = sum(shape[0] + 1 for shape in self.shapes.values())

    def forward(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, C, *spatial) -> (B, C + channels, *spatial); hidden rows are zeros."""
        parts = [x]
        for name, shape in self.shapes.items():
            grid = cond.get(name)
            if grid is None:
                parts.append(x.new_zeros(len(x), shape[0] + 1, *x.shape[2:]))
                continue
            hidden = grid.flatten(1).isnan().any(1)
            there = like((~hidden).to(x.dtype), x).expand(len(x), 1, *x.shape[2:])
            parts += [grid.masked_fill(like(hidden, grid), 0.0).to(x.dtype), there]
        return torch.cat(parts, 1) if len(parts) > 1 else x


@final
class Dropout(nn.Module):
    """Dropout whose mask is drawn by `core.uniform`, so that micro-batches equal the whole batch.

    Args:
        share: Of the values that are set to zero in training, in [0, 1).
    """

    def __init__(self, share: float):
        super().__init__()
        self.share = share

    def forward(self, x: Tensor, parts: tuple[Tensor, int, int] | None = None) -> Tensor:
        """Any shape with the batch first, or parts of its rows.

        Args:
            x: (B, ...), or (D, at most L, ...) of parts.
            parts: Of parts, the row that each is of, (D,), and B and L. Draws are those of the
                batch, so parts of one row share them.
        """
        if not self.training or not self.share:
            return x
        if parts is None:
            draws = uniform(*x.shape, device=x.device)
        else:
            row, *size = parts
            draws = uniform(*size, *x.shape[2:], device=x.device)[row, : x.shape[1]]
        return x * (draws >= self.share) / (1 - self.share)


@final
class ChannelNorm(nn.Module):
    """Divide each place by the root mean square over its channels (axis 1); any number of axes.

    Zhang and Sennrich, 2019 (arXiv:1910.07467), Eq. 4, with one learned gain per channel.
    """

    def __init__(self, channels: int, *, eps: float = 1e-6):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same."""
        scale = (x.square().mean(1, keepdim=True) + self.eps).rsqrt()
        return x * scale * self.gain.view(-1, *(1,) * (x.ndim - 2))
