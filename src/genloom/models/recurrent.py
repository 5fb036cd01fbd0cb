"""Character models of the textbooks: `Autoregressive` with an Elman net, an LSTM or a GRU.

Mikolov et al., Recurrent neural network based language model, 2010; Graves, 2013
(arXiv:1308.0850). See `nets.recurrent` for the cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from genloom.core import Interval, Space, Tokens
from genloom.models.autoregressive import Autoregressive
from genloom.nets.recurrent import Recurrent

RECOMMENDED: Mapping[str, Any] = {
    **Autoregressive.recommended,
    "optimizer": "adamw",
    "lr": 2e-3,
    "clip": 1.0,
}


def rnn(
    space: Tokens,
    conditions: Mapping[str, Space],
    *,
    width: Annotated[int, Interval(ge=1)] = 256,
    layers: Annotated[int, Interval(ge=1)] = 2,
    dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.2,
    tied: bool = True,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Autoregressive:
    """Elman's net over a sequence of tokens: Elman, Finding structure in time, 1990."""
    net = partial(Recurrent, cell="rnn", width=width, layers=layers, dropout=dropout, tied=tied)
    return _made(space, conditions, net, drop)


def lstm(
    space: Tokens,
    conditions: Mapping[str, Space],
    *,
    width: Annotated[int, Interval(ge=1)] = 256,
    layers: Annotated[int, Interval(ge=1)] = 2,
    dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.2,
    tied: bool = True,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Autoregressive:
    """The LSTM over a sequence of tokens: Hochreiter and Schmidhuber, 1997."""
    net = partial(Recurrent, cell="lstm", width=width, layers=layers, dropout=dropout, tied=tied)
    return _made(space, conditions, net, drop)


def gru(
    space: Tokens,
    conditions: Mapping[str, Space],
    *,
    width: Annotated[int, Interval(ge=1)] = 256,
    layers: Annotated[int, Interval(ge=1)] = 2,
    dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.2,
    tied: bool = True,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Autoregressive:
    """The GRU over a sequence of tokens: Cho et al., 2014 (arXiv:1406.1078)."""
    net = partial(Recurrent, cell="gru", width=width, layers=layers, dropout=dropout, tied=tied)
    return _made(space, conditions, net, drop)


def _made(
    space: Tokens, conditions: Mapping[str, Space], net: partial[Recurrent], drop: float
) -> Autoregressive:
    model = Autoregressive(space, conditions, net=net, drop=drop)
    model.recommended = RECOMMENDED
    return model
