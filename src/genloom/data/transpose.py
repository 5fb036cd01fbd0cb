"""Music in other keys: each row of a training batch is moved by keys of its own.

Each row draws through `core.uniform`, as in `data.augment`. Drums stay, for their pitches are
instruments; so does a row that holds a pitch at each end of those that the data have.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from genloom.core import uniform
from genloom.errors import BadInput
from genloom.lexicon import Lexicon
from genloom.music.events import FORM
from genloom.words import Words


@final
class Transpose:
    """Move the pitches of each row by a number of keys, of those that leave it words it knows.

    Args:
        lexicon: Of words of music, see `music.events`.
        most: Keys up or down.

    Raises:
        BadInput: It is no music, or there are not so many keys.
    """

    def __init__(self, lexicon: Lexicon | None, most: int):
        if not isinstance(lexicon, Words) or lexicon.form != FORM:
            raise BadInput(f"transpose = {most} is for music; this is none. Set it to 0.")
        number = {word: i for i, word in enumerate(lexicon.words)}
        vocab = lexicon.vocab
        self.table = torch.arange(vocab).repeat(2 * most + 1, 1)  # word -> word, -1 for none
        self.track = torch.full((vocab,), -1)  # word -> the track that it begins
        for word, i in number.items():
            kind, _, value = word.partition("_")
            if kind == "Pitch":
                moved = [f"Pitch_{int(value) + by}" for by in range(-most, most + 1)]
                self.table[:, i] = torch.tensor([number.get(one, -1) for one in moved])
            if kind == "Track":
                self.track[i] = int(value)
        self.drums = number.get("Drums", -1)
        told = [i for word, i in number.items() if word.startswith("Program_") or word == "Drums"]
        self.tells = torch.isin(torch.arange(vocab), torch.tensor(told))  # what a track plays

    def __call__(self, items: Tensor) -> Tensor:
        """(B, L) numbers of words -> the same."""
        x = items.long()
        moved = self.table.to(x.device)[:, x]
        if self.drums >= 0:
            moved = torch.where(self._on_drums(x), x, moved)
        fits = (moved >= 0).all(-1)
        place = (uniform(len(x), 1, device=x.device)[:, 0] * fits.sum(0)).long()
        chosen = ((fits.cumsum(0) == place + 1) & fits).long().argmax(0)
        return moved[chosen, torch.arange(len(x), device=x.device)].to(items.dtype)

    def _on_drums(self, x: Tensor) -> Tensor:
        """(B, L) words -> whether each is of a track that plays drums."""
        begun = self.track.to(x.device)[x]
        playing = begun.gather(1, _latest(begun >= 0)).clamp(min=0)
        told, found = self.tells.to(x.device)[x], torch.zeros_like(x, dtype=torch.bool)
        for number in self.track[self.track >= 0].unique().tolist() or [0]:
            mine = playing == number
            found |= mine & (x.gather(1, _latest(told & mine)) == self.drums)
        return found


def _latest(here: Tensor) -> Tensor:
    """(B, L) marks -> the place of the last one up to each place; 0 where there is none yet."""
    return torch.where(here, torch.arange(here.shape[1], device=here.device), 0).cummax(1).values
