"""PixelCNN and PixelRNN: `Autoregressive` with the nets that were made for pictures.

Van den Oord et al., 2016 (arXiv:1606.05328 and arXiv:1601.06759).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal

from genloom.core import Interval, Space, Tokens
from genloom.models.autoregressive import Autoregressive
from genloom.nets.pixelcnn import PixelCnn
from genloom.nets.pixelrnn import PixelRnn


def pixelcnn(
    space: Tokens,
    conditions: Mapping[str, Space],
    *,
    width: Annotated[int, Interval(ge=2)] = 64,
    layers: Annotated[int, Interval(ge=1)] = 7,
    kernel: Literal[3, 5] = 3,
    dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.0,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Autoregressive:
    """The gated PixelCNN over a grid of tokens; see `nets.pixelcnn`."""
    net = partial(PixelCnn, width=width, layers=layers, kernel=kernel, dropout=dropout)
    return Autoregressive(space, conditions, net=net, drop=drop)


def pixelrnn(
    space: Tokens,
    conditions: Mapping[str, Space],
    *,
    width: Annotated[int, Interval(ge=2)] = 64,
    layers: Annotated[int, Interval(ge=1)] = 4,
    scan: Literal["row", "diagonal"] = "row",
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Autoregressive:
    """The PixelRNN over a grid of tokens, by rows or along diagonals; see `nets.pixelrnn`."""
    net = partial(PixelRnn, width=width, layers=layers, scan=scan)
    return Autoregressive(space, conditions, net=net, drop=drop)
