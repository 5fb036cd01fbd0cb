"""Transformer-XL for long documents: `Autoregressive` with `nets.transformer_xl`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from genloom.core import Interval, Space, Tokens
from genloom.models.autoregressive import Autoregressive
from genloom.nets.transformer_xl import TransformerXl


def transformer_xl(
    space: Tokens,
    conditions: Mapping[str, Space],
    *,
    width: Annotated[int, Interval(ge=2)] = 96,
    layers: Annotated[int, Interval(ge=1)] = 4,
    heads: Annotated[int, Interval(ge=1)] = 2,
    dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.0,
    segment: Annotated[int, Interval(ge=1)] = 64,
    memory: Annotated[int, Interval(ge=0)] = 64,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Autoregressive:
    """Segments with a memory, inside a row: Dai et al., 2019 (arXiv:1901.02860)."""
    net = partial(
        TransformerXl,
        width=width,
        layers=layers,
        heads=heads,
        dropout=dropout,
        segment=segment,
        memory=memory,
    )
    return Autoregressive(space, conditions, net=net, drop=drop)
