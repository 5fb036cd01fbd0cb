"""Frames one after the other, such as those of a piano roll; an exact likelihood.

p(x) = prod_t p(x_t | x_1 .. x_(t-1)). The cells of a frame are independent given the past, or each
depends on those before it too: Boulanger-Lewandowski et al., 2012 (arXiv:1206.6392), RNN-NADE. What
is past is remembered by recurrent cells, as in Bai et al., 2018 (arXiv:1803.01271), section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import (
    Condition,
    Generative,
    Interval,
    Rng,
    Space,
    Terms,
    Tokens,
    hide,
    uniform,
)
from genloom.errors import BadInput
from genloom.nets.frames import FrameCells, FrameHead
from genloom.nets.packed import BLOCK


class Pieces(NamedTuple):
    """The documents of a batch, one a row.

    Args:
        x: Their frames, (D, T, K); 0 where they are over.
        over: Whether a frame only says that the piece is over, (D, T).
        counted: Which frames there are: those of the piece, and the one that closes it, (D, T).
        row: Of the batch, (D,).
    """

    x: Tensor
    over: Tensor
    counted: Tensor
    row: Tensor


@final
class Frames(Generative):
    """A distribution over grids of tokens, read row by row; a row is a frame.

    Args:
        space: Tokens of shape (T, K). Where it has an end, a frame of it closes a document, and
            whether a frame does is told before its cells.
        conditions: Labels and vectors are added to what the cells read.
        cell: What remembers.
        width: Features of a state.
        layers: Of cells.
        dropout: See `nets.frames`.
        within: Whether the cells of a frame depend on each other.
        hidden: Units of the head through which they do.
        drop: Share of training rows whose conditions are hidden.
    """

    spaces: ClassVar[tuple[type, ...]] = (Tokens,)
    recommended: Mapping[str, Any] = {"optimizer": "adamw", "lr": 2e-3, "batch": 16, "clip": 1.0}
    likelihood: Literal["exact"] = "exact"

    def __init__(
        self,
        space: Tokens,
        conditions: Mapping[str, Space],
        *,
        cell: Literal["rnn", "lstm", "gru"] = "lstm",
        width: Annotated[int, Interval(ge=1)] = 192,
        layers: Annotated[int, Interval(ge=1)] = 1,
        dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.3,
        within: bool = True,
        hidden: Annotated[int, Interval(ge=1)] = 512,
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        if len(space.shape) != 2:
            raise BadInput(
                f"frames reads a grid of tokens, not {space.shape}. For music choose the codec "
                "roll: --set codec.use=roll."
            )
        self.length, self.keys = space.shape
        self.end = -1 if space.end is None else space.end  # no token is -1
        if self.end not in (-1, space.vocab - 1):
            raise BadInput(f"frames needs an end that is the last token, not {self.end}.")
        letters = space.vocab - (space.end is not None)
        self.head = FrameHead(self.keys, letters, width, hidden if within else 0)
        self.over = nn.Linear(width, 1) if space.end is not None else None
        self.drop = drop
        self.cells = FrameCells(
            self.keys * (letters - 1),
            conditions,
            cell=cell,
            width=width,
            layers=layers,
            dropout=dropout,
        )

    @torch.no_grad()
    def prepare(self, x: Tensor, cond: Condition) -> None:
        """Begin as the model of independent cells: the biases are their log-odds."""
        pieces = self.pieces(x)
        frames = pieces.counted & ~pieces.over
        seen = self.head.one_hot(pieces.x[frames]).mean(0).unflatten(0, (self.keys, -1))
        seen = seen.clamp(min=0.1 / max(int(frames.sum()), 1))
        silent = (1 - seen.sum(1, keepdim=True)).clamp(min=seen.min())
        self.head.out.bias.copy_((seen / silent).log().flatten())
        if self.over is not None:
            share = pieces.over.sum() / pieces.counted.sum()
            self.over.bias.fill_(share.clamp(0.001, 0.999).logit())

    def loss(self, x: Tensor, cond: Condition) -> Terms:
        """Nats a frame: of its cells, and of whether it is over."""
        if cond and self.drop:
            cond = hide(cond, uniform(len(x), device=x.device) < self.drop)
        cells, over, pieces = self.frame_log_prob(x, cond)
        frames = pieces.counted.sum()
        return {"cells": -cells.sum() / frames, "over": -over.sum() / frames}

    def log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """Nats of each datum, exact: (B,)."""
        cells, over, pieces = self.frame_log_prob(x, cond)
        nats = (cells + over).double().sum(1)
        return nats.new_zeros(len(x)).index_add(0, pieces.row, nats)

    def frame_log_prob(self, x: Tensor, cond: Condition) -> tuple[Tensor, Tensor, Pieces]:
        """Nats of the cells of each frame and of whether it is over, (D, T) both, of each piece.

        What only fills up has 0, and so have the cells of a frame that is over.
        """
        pieces = self.pieces(x)
        known = {name: value[pieces.row] for name, value in cond.items()}
        parts = None if self.over is None else (pieces.row, len(x), self.length)
        memory = self.cells(self.head.one_hot(pieces.x[:, :-1]), known, parts)
        sounding = pieces.counted & ~pieces.over
        cells = memory.new_zeros(sounding.shape, dtype=torch.float32)
        found = self.head.log_prob(memory[sounding], pieces.x[sounding]).sum(1)
        cells = cells.masked_scatter(sounding, found)
        if self.over is None:
            return cells, torch.zeros_like(cells), pieces
        logit = self.over(memory)[..., 0].float()
        over = F.logsigmoid(torch.where(pieces.over, logit, -logit))
        return cells, over.where(pieces.counted, 0), pieces

    def pieces(self, x: Tensor) -> Pieces:
        """The documents of rows (B, T, K), each from its first frame on."""
        over = (x == self.end).any(2)
        after = F.pad(over[:, :-1], (1, 0))  # the frame before is over
        begins = after & ~over
        begins[:, 0] = True
        counted = ~(after & over)
        number = begins.flatten().cumsum(0).view_as(begins) - 1
        place = torch.arange(x.shape[1], device=x.device)
        since = torch.where(begins, place, 0).cummax(1).values
        at = number[counted], (place - since)[counted]
        row = begins.nonzero()[:, 0]
        longest = int(at[1].max()) + 1
        found = x.new_zeros(len(row), longest, x.shape[2])
        closed, there = (torch.zeros_like(found[..., 0], dtype=torch.bool) for _ in range(2))
        closed[at], there[at] = over[counted], True
        found[at] = x[counted].masked_fill(over[counted][:, None], 0)
        return Pieces(found, closed, there, row)

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        temperature: Annotated[float, Interval(ge=0.05, le=10)] = 1.0,
    ) -> Iterator[Tensor]:
        """Yield the data after each frame; what is not drawn yet is over, or 0."""
        n = len(rng)
        index = torch.arange(n + -n % BLOCK, device=rng.device).clamp(max=n - 1)
        cond = {name: value[index] for name, value in cond.items()}  # whole blocks: see `masked`
        x = torch.full((n, self.length, self.keys), max(self.end, 0), device=rng.device)
        memory, states = self.cells.start(cond, len(index))
        over = torch.zeros(n, dtype=torch.bool, device=rng.device)
        for t in range(self.length):
            if self.over is not None:
                logit = self.over(memory)[:n]
                ends = rng.categorical(F.pad(logit, (1, 0)) / temperature)
                over = over | (ends == 1)
            drawn = self.head.draw(memory, rng.uniform(self.keys)[index], temperature)
            x[:, t] = torch.where(over[:, None], x[:, t], drawn[:n])
            yield x.clone()
            if bool(over.all()):
                return
            frame = self.head.one_hot(drawn)
            memory, states = self.cells.follow(frame, cond, states)
