"""Music Transformer: `Autoregressive` with `nets.relative`; for any tokens, not for music alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from genloom.core import Interval, Space, Tokens
from genloom.models.autoregressive import Autoregressive
from genloom.nets.relative import Relative


def music_transformer(
    space: Tokens,
    conditions: Mapping[str, Space],
    *,
    width: Annotated[int, Interval(ge=2)] = 96,
    layers: Annotated[int, Interval(ge=1)] = 4,
    heads: Annotated[int, Interval(ge=1)] = 2,
    reach: Annotated[int, Interval(ge=1)] = 128,
    dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.0,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Autoregressive:
    """Learned embeddings of distances: Huang et al., 2018 (arXiv:1809.04281)."""
    net = partial(Relative, width=width, layers=layers, heads=heads, reach=reach, dropout=dropout)
    return Autoregressive(space, conditions, net=net, drop=drop)
