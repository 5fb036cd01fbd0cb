"""What a row has already said makes a token less likely, and some tokens are favoured throughout.

Repetition: Keskar et al., 2019 (arXiv:1909.05858), section 4.1, over the given tokens and the drawn
ones. There a logit is divided by the penalty, which makes a negative one more likely; as
transformers does, such a logit is multiplied here. Frequency, presence and bias: OpenAI's API
reference, mu_j - c_j frequency - (c_j > 0) presence + bias_j, with c_j counting drawn tokens alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True, kw_only=True)
class Penalties:
    """Changes of logits by what lies before; without arguments none.

    Args:
        repetition_penalty: Above 1 repeats are less likely, below 1 more.
        frequency_penalty: Nats for each time that a token was drawn.
        presence_penalty: Nats for a token that was drawn at all.
        logit_bias: (token, nats) that are added.
    """

    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()

    def __call__(self, logits: Tensor, tokens: Tensor, given: Tensor, held: Tensor) -> Tensor:
        """Logits (n, V) -> the same.

        Args:
            logits: Of the next token.
            tokens: (n, L); those at and after `held` are not looked at. V is the start token.
            given: How many of them were not drawn, (n, 1).
            held: How many there are, (n, 1).
        """
        place = torch.arange(tokens.shape[1], device=tokens.device)
        if self.repetition_penalty != 1:
            seen = _counts(tokens, place < held, logits) > 0
            factor = torch.where(logits < 0, self.repetition_penalty, 1 / self.repetition_penalty)
            logits = torch.where(seen, logits * factor, logits)
        if self.frequency_penalty or self.presence_penalty:
            counts = _counts(tokens, (place >= given) & (place < held), logits)
            logits = logits - self.frequency_penalty * counts - self.presence_penalty * (counts > 0)
        if self.logit_bias:
            which, nats = zip(*self.logit_bias, strict=True)
            bias = torch.tensor(nats, dtype=logits.dtype, device=logits.device)
            index = torch.tensor(which, device=logits.device)
            logits = logits.index_add(1, index, bias.expand(len(logits), -1))
        return logits


NONE = Penalties()
NEUTRAL = {f.name: f.default for f in fields(Penalties)}
"""Values that change nothing: records leave them out, like those of before there were any."""
PENALTIES = tuple(NEUTRAL)


def _counts(tokens: Tensor, counted: Tensor, logits: Tensor) -> Tensor:
    """How often each token is among the counted ones of its row: (n, L), (n, L) -> (n, V)."""
    n, vocab = logits.shape
    zeros = logits.new_zeros(n, vocab + 1)  # the start token is none of those that can come
    return zeros.scatter_add_(1, tokens, counted.to(logits.dtype))[:, :vocab]
