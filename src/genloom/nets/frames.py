"""Nets over a sequence of frames: cells that read frames, and a head that tells the next one.

The head is linear in what the cells remember, and the cells of a frame are independent; or each
depends on those before it too, directly and through hidden units: Germain et al., MADE, 2015
(arXiv:1502.03509), section 4, a masked form of NADE (Larochelle and Murray, 2011), with biases that
what is remembered gives, as in Boulanger-Lewandowski et al., 2012 (arXiv:1206.6392).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Space
from genloom.nets.embed import ConditionVector, Dropout, vectors_alone
from genloom.nets.recurrent import CELLS

States = Sequence[Sequence[Tensor]]
"""Of each layer, see `recurrent.Cell`; a part is (n, width)."""


@final
class FrameCells(nn.Module):
    """Recurrent layers that read one frame after the other: (D, T, F) -> (D, T, width).

    Args:
        features: F, of a frame.
        conditions: They enter as a vector and are added to every input.
        cell: A name in `recurrent.CELLS`.
        width: Features of an input and of a state.
        layers: Each reads the states of the one below.
        dropout: Share of each layer's output, and of the input's features, dropped in training.

    Raises:
        BadInput: A condition enters as no vector.
    """

    def __init__(
        self,
        features: int,
        conditions: Mapping[str, Space],
        *,
        cell: str,
        width: int,
        layers: int,
        dropout: float,
    ):
        super().__init__()
        vectors_alone("frames", conditions)
        self.cell, self.width = CELLS[cell], width
        self.enter = nn.Linear(features, width)
        self.first = nn.Parameter(torch.zeros(width))  # what stands before the first frame
        self.cond = ConditionVector(conditions, width)
        self.layers = nn.ModuleList(
            self.cell.layer(width, width, batch_first=True) for _ in range(layers)
        )
        self.dropout = Dropout(dropout)

    def forward(
        self, before: Tensor, cond: Condition, parts: tuple[Tensor, int, int] | None = None
    ) -> Tensor:
        """What is remembered ahead of each frame.

        Args:
            before: The frames but the last, (D, T - 1, F).
            cond: Name -> (D, ...).
            parts: Where these are parts of the rows of a batch, as in `embed.Dropout`.
        """
        n = len(before)
        x = torch.cat([self.first.expand(n, 1, -1), self.enter(before)], 1)
        x = self.dropout(x + self.cond(cond, n)[:, None], parts)
        for layer in self.layers:
            x = self.dropout(layer(x)[0], parts)
        return x

    def start(self, cond: Condition, n: int) -> tuple[Tensor, States]:
        """Ahead of the first frame of n rows: what is remembered, (n, width), and the states."""
        zero = self.first.new_zeros(n, self.width)
        states = [(zero,) * self.cell.parts] * len(self.layers)
        return self._advance(states, self.first + self.cond(cond, n))

    def follow(self, frame: Tensor, cond: Condition, states: States) -> tuple[Tensor, States]:
        """The same after one more frame, (n, F)."""
        return self._advance(states, self.enter(frame) + self.cond(cond, len(frame)))

    def _advance(self, states: States, x: Tensor) -> tuple[Tensor, States]:
        found: list[Sequence[Tensor]] = []
        for layer, state in zip(self.layers, states, strict=True):
            assert isinstance(layer, nn.RNNBase)
            found.append(self.cell.step(x, state, layer.all_weights[0]))
            x = found[-1][0]
        return x, found


@final
class FrameHead(nn.Module):
    """The distribution of a frame's cells, given what is remembered.

    Args:
        cells: K, of a frame.
        letters: V values that a cell can have; the logit of the first is 0.
        width: Of what is remembered.
        hidden: Units that see earlier cells; 0: the cells are independent.
    """

    sees: Tensor
    tells: Tensor
    earlier: Tensor

    def __init__(self, cells: int, letters: int, width: int, hidden: int):
        super().__init__()
        self.cells, self.letters, self.hidden = cells, letters, hidden
        self.out = nn.Linear(width, cells * (letters - 1))
        if not hidden:
            return
        place = torch.arange(cells).repeat_interleave(letters - 1)
        degree = 1 + torch.arange(hidden) * max(cells - 1, 1) // hidden  # of the cells that it sees
        masks = {
            "sees": place < degree[:, None],
            "tells": degree <= place[:, None],
            "earlier": place < place[:, None],
        }
        for name, mask in masks.items():
            self.register_buffer(name, mask.float(), persistent=False)
        self.enter = nn.Linear(width, hidden)
        self.seen, self.told, self.direct = (
            nn.Parameter(torch.randn(mask.shape) / 4 / mask.shape[1] ** 0.5)
            for mask in masks.values()
        )

    def one_hot(self, x: Tensor) -> Tensor:
        """Cells (..., K) in [0, V) -> (..., K * (V - 1)); the first letter is all 0."""
        wanted = torch.arange(1, self.letters, device=x.device)
        return (x[..., None] == wanted).to(self.out.bias).flatten(-2)

    def log_prob(self, memory: Tensor, x: Tensor) -> Tensor:
        """Nats of each cell, (N, width) and (N, K) -> (N, K)."""
        logits = self.out(memory)
        if self.hidden:
            known = self.one_hot(x)
            units = self.enter(memory) + F.linear(known, self.seen * self.sees)
            logits = logits + F.linear(known, self.direct * self.earlier)
            logits = logits + F.linear(units.relu(), self.told * self.tells)
        every = F.pad(logits.unflatten(1, (self.cells, -1)), (1, 0)).float().log_softmax(-1)
        return every.gather(2, x[..., None])[..., 0]

    def draw(self, memory: Tensor, u: Tensor, temperature: float) -> Tensor:
        """A frame for each row, by the inverse distribution function.

        Args:
            memory: (n, width).
            u: Uniform draws in [0, 1), (n, K).
            temperature: That the logits are divided by.

        Returns:
            Cells in [0, V), int64 (n, K).
        """
        logits = self.out(memory)
        if not self.hidden:
            return _chosen(logits.unflatten(1, (self.cells, -1)) / temperature, u)
        units, drawn = self.enter(memory), []
        seen, told = (self.seen * self.sees).T, self.told * self.tells
        direct = (self.direct * self.earlier).T
        for k in range(self.cells):
            own = slice(k * (self.letters - 1), (k + 1) * (self.letters - 1))
            z = logits[:, own] + F.linear(units.relu(), told[own])
            drawn.append(_chosen(z / temperature, u[:, k]))
            known = self.one_hot(drawn[-1][:, None])
            units, logits = units + known @ seen[own], logits + known @ direct[own]
        return torch.stack(drawn, 1)


def _chosen(logits: Tensor, u: Tensor) -> Tensor:
    """The letters of uniform draws: (..., V - 1) and (...) -> (...)."""
    cdf = F.pad(logits, (1, 0)).double().softmax(-1).cumsum(-1)
    return (cdf <= u[..., None] * cdf[..., -1:]).sum(-1).clamp(max=logits.shape[-1])
