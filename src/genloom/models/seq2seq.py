"""Sequence to sequence: `Autoregressive` with an encoder that reads the prompt.

Sutskever et al., 2014 (arXiv:1409.3215), in the form of Vaswani et al., 2017 (arXiv:1706.03762).
The data are prompts and completions, or talks: see `nets.encoder_decoder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal

from genloom.core import Interval, Space, Tokens
from genloom.models.autoregressive import Autoregressive
from genloom.nets.encoder_decoder import EncoderDecoder


def seq2seq(
    space: Tokens,
    conditions: Mapping[str, Space],
    *,
    width: Annotated[int, Interval(ge=2)] = 96,
    layers: Annotated[int, Interval(ge=1)] = 4,
    encoder_layers: Annotated[int, Interval(ge=1)] = 4,
    heads: Annotated[int, Interval(ge=1)] = 2,
    dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.0,
    learned: Literal["all", "answers"] = "answers",
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Autoregressive:
    """An encoder-decoder that learns the answers of talks alone; without roles, a decoder."""
    net = partial(
        EncoderDecoder,
        width=width,
        layers=layers,
        encoder_layers=encoder_layers,
        heads=heads,
        dropout=dropout,
    )
    return Autoregressive(space, conditions, net=net, learned=learned, drop=drop)
