"""A row that is drawn alone, and one that joins late, moves and follows others."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom import sampling
from genloom.core import Real, Rng, Tokens
from genloom.models.autoregressive import Autoregressive

NOTHING = torch.zeros(1, 0, dtype=torch.long)
KNOWN = {"label": Tokens((), 3), "pose": Real((5,))}


def told(n: int) -> dict[str, Tensor]:
    """Conditions of n rows, some of them hidden."""
    return {"label": torch.arange(n) % 4 - 1, "pose": torch.linspace(-1, 1, 5 * n).view(n, 5)}


def started(n: int, length: int = 12, vocab: int = 7) -> Tensor:
    """The start token, then n rows of a datum but for its last."""
    return F.pad(torch.randint(0, vocab, (n, length - 1)), (1, 0), value=vocab)


def drawn(
    model: Autoregressive, given: list[int], cond: dict, others: dict, late: int, after: int
) -> tuple[Tensor, Tensor]:
    """What a row holds at last, and its last logits.

    Args:
        model: Draws it.
        given: Its first tokens.
        cond: Its conditions, name -> (1, ...).
        others: Those of the rows before it; a function of their number gives one.
        late: How many rows there are before it joins; the first of them holds much, and leaves.
        after: Tokens that are drawn after that.
    """
    decoding, before = model.decoding(8, fill=4), []
    much = torch.zeros(1, max(model.length - late - 6, 0), dtype=torch.long)
    for k in range(late):
        known = {name: value(k) for name, value in others.items()}
        before += decoding.join(Rng([100 + k]), known, NOTHING if k else much)
        decoding.step()
    (row,) = decoding.join(Rng([7]), cond, torch.tensor([given]))
    if late:
        decoding.step()  # it reads what it was given
    for _ in range(5):
        decoding.step()
    if late:
        decoding.leave(before[0])
    for _ in range(after):
        decoding.step()
    assert decoding.logits is not None
    return decoding.data(row.place, 1).clone(), decoding.logits[row.place].clone()


def check_company(
    model: Autoregressive, given: list[int], cond: dict, others: dict, *, after: int
) -> None:
    """Bit for bit: a row that joins late, moves and follows others is what it is alone."""
    both = (drawn(model, given, cond, others, late, after) for late in (0, 3))
    for alone, together in zip(*both, strict=True):
        assert torch.equal(alone, together)


def check_batches(model: Autoregressive) -> None:
    """A sample depends on its seed alone."""
    cond = {"label": torch.arange(6) % 3}
    together = sampling.sample(model, 6, cond)
    assert torch.equal(together, sampling.sample(model, 6, cond, batch=1))
