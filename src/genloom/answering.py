"""Talks: of a document a model may be given all but the last answer, and says that alone.

A model that has learned answers has never begun a document, so it is shown and judged by what it
answers to held-out prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from genloom.core import Codec, Condition, Generative, Rng, Tokens, check_options
from genloom.decoding.constraints import Constraint
from genloom.decoding.rows import Decoding, Row
from genloom.memory import kept_pages
from genloom.nets.packed import BLOCK
from genloom.sampling import device_of, evaluating


@runtime_checkable
class Answers(Protocol):
    """A model that draws token by token, and learns the answers of talks."""

    def asked(self, x: Tensor) -> Tensor:
        """How many tokens of each document it is given, (B, L) -> (B,); 0 where it says all."""
        ...

    def own(self, x: Tensor) -> Tensor:
        """Which tokens it is to say itself, all or those of answers: (B, L) -> bool (B, L)."""
        ...

    def decoding(self, rows: int, *, fill: int = 1) -> Decoding:
        """See `Autoregressive.decoding`."""
        ...


def prompts(model: Generative, codec: Codec, items: Tensor) -> tuple[Tensor, Tensor] | None:
    """Data of held-out items, (B, L), and how many tokens of each a model is given, (B,).

    None where it draws whole data.
    """
    if not isinstance(model, Answers):
        return None
    x = codec.encode(items)
    known = model.asked(x)
    return (x, known) if bool(known.any()) else None


def unsaid(model: Generative, codec: Codec, items: Tensor) -> Tensor | None:
    """Which tokens of items of text, (n, L), a model is given: bool; None where it says all."""
    if not isinstance(model, Answers) or not getattr(model.space, "roles", ()):
        return None  # and nothing is encoded for it
    given = ~model.own(codec.encode(items))
    return given if bool(given.any()) else None


@kept_pages()
def answered(
    model: Generative,
    x: Tensor,
    known: Tensor,
    cond: Condition,
    *,
    seed: int = 0,
    batch: int = 64,
    ended: Callable[[int, int], bool] | None = None,
    constraint: Constraint | None = None,
    most: int | None = None,
    **options: Any,
) -> Tensor:
    """Documents with answers of the model in the place of their own: (n, L).

    Args:
        model: One with `Answers`.
        x: Documents, (n, L).
        known: How many tokens of each are given, (n,); see `prompts`.
        cond: Name -> (n, ...).
        seed: Of the first; the others have the next ones.
        batch: How many at a time; it changes speed and memory, not the answers.
        ended: Of a document's number and the token that it has just drawn, whether it ends there;
            else an end or its length decides. What is not drawn then is as of one that has ended.
            The token is -1 where a form ended a document that has no end.
        constraint: A form, see `Decoding.join`.
        most: Tokens within which it is to come to an end, see there.
        options: Those of the model's `sample_steps`.
    """
    assert isinstance(model, Answers) and isinstance(model.space, Tokens)
    chosen = check_options(model.sample_steps, options)
    made, device, end = torch.empty_like(x, device="cpu"), device_of(model), model.space.end
    limit: dict[str, Any] = {"constraint": constraint, "most": most}
    with evaluating(model), torch.inference_mode():
        for rows in torch.arange(len(x)).split(batch):
            decoding, left = model.decoding(len(rows), fill=BLOCK), dict[Row, tuple[int, int]]()
            for i in rows.tolist():
                given = x[i : i + 1, : int(known[i])].to(device)
                own = {name: v[i : i + 1].to(device) for name, v in cond.items()}
                (row,) = decoding.join(Rng([seed + i], device), own, given, **limit, **chosen)
                left[row] = i, x.shape[1] - given.shape[1]
            while left:
                drawn = decoding.step().tolist()
                for row, token in zip(tuple(decoding.rows), drawn, strict=False):
                    i, more = left.pop(row)
                    if row.over and end is None:  # what was drawn after its form is blank
                        token = -1
                    over = token == end or token < 0 or more == 1
                    if (ended is not None and ended(i, token)) or over:
                        made[i] = decoding.data(row.place, 1)[0].cpu()
                        decoding.leave(row)
                    else:
                        left[row] = i, more - 1
    return made
