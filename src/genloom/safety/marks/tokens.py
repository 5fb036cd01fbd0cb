"""A statistical watermark for sampled tokens: a keyed green list, and the test that finds it.

Kirchenbauer et al., A watermark for large language models, 2023 (arXiv:2301.10226), Alg. 2 and
Eq. 3. Deviations: the list may depend on more than one previous token (`context`); each pair of
context and token counts once, as repeats are not independent; the p-value is the exact binomial
tail instead of a normal one, which is too small for short texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np
import torch
from torch import Tensor

from genloom.errors import BadInput
from genloom.safety.marks.keyed import Score, derive, words

FPR = 1e-6
LONGEST = 1_000_000  # tokens of a text that is tested


@final
@dataclass(frozen=True)
class Green:
    """The parameters of the mark; detection needs the same key, gamma and context.

    Args:
        secret: Of the installation.
        gamma: Share of the vocabulary that is green, in (0, 1).
        delta: Added to green logits; more is easier to find and costs more quality.
        context: How many previous tokens choose the list. With a vocabulary of characters take 2
            to 4: as repeats count once, there is more to count then.
    """

    secret: bytes
    gamma: float = 0.25
    delta: float = 2.0
    context: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.gamma < 1:
            raise BadInput(f"gamma = {self.gamma}: it must lie between 0 and 1.")
        if not 0 <= self.delta <= 100:
            raise BadInput(f"delta = {self.delta}: it must be in [0, 100].")
        if not 1 <= self.context <= 8:
            raise BadInput(f"context = {self.context} tokens: it must be in [1, 8].")
        derive(self.secret, "tokens")

    def count(self, vocab: int) -> int:
        """How many of the vocabulary are green: at least one, at most all but one.

        Raises:
            BadInput: There are fewer than two tokens.
        """
        if vocab < 2:
            raise BadInput(f"a vocabulary of {vocab} has no choice that could carry a mark.")
        return min(max(round(self.gamma * vocab), 1), vocab - 1)


@lru_cache(maxsize=512)
def green(mark: Green, previous: tuple[int, ...], vocab: int) -> np.ndarray:
    """Which tokens are green after these, (vocab,) bool: the smallest of keyed random words."""
    message = b"".join(int(token).to_bytes(8, "little", signed=True) for token in previous)
    drawn = words(derive(mark.secret, "tokens"), message, vocab)
    found = np.zeros(vocab, dtype=bool)
    n = mark.count(vocab)
    found[np.argpartition(drawn, n - 1)[:n]] = True
    found.flags.writeable = False
    return found


def biased(logits: Tensor, previous: Tensor, mark: Green) -> Tensor:
    """The logits with delta added to the green ones: what to draw from instead.

    Args:
        logits: (B, V); -inf stays.
        previous: (B, L) tokens drawn or given so far; with fewer than `mark.context` of them the
            logits come back as they are.
        mark: Its parameters.

    Returns:
        (B, V), on the same device and of the same type.
    """
    if previous.shape[1] < mark.context or mark.delta == 0:
        return logits
    contexts = previous[:, -mark.context :].tolist()
    lists = np.stack([green(mark, tuple(c), logits.shape[-1]) for c in contexts])
    return logits + mark.delta * torch.from_numpy(lists).to(logits)


def detect(tokens: Sequence[int], mark: Green, vocab: int, *, fpr: float = FPR) -> Score:
    """The z-test of one text.

    Args:
        tokens: In order, as the model drew them.
        mark: Key, gamma and context of the mark; delta is not needed.
        vocab: Size of the model's vocabulary.
        fpr: False-positive rate.

    Returns:
        score is z = (G - gamma T) / sqrt(T gamma (1 - gamma)) over T distinct pairs of context and
        token, of which G are green; 0 where there are none.

    Raises:
        BadInput: A token outside of the vocabulary, or too many of them.
    """
    if len(tokens) > LONGEST:
        raise BadInput(f"the text has {len(tokens)} tokens: at most {LONGEST} are tested.")
    ids = [int(token) for token in tokens]
    if ids and not 0 <= min(ids) <= max(ids) < vocab:
        raise BadInput(f"tokens must lie in [0, {vocab - 1}], not {min(ids)} to {max(ids)}.")
    h = mark.context
    pairs = sorted({tuple(ids[i - h : i + 1]) for i in range(h, len(ids))})
    hits = sum(bool(green(mark, pair[:-1], vocab)[pair[-1]]) for pair in pairs)
    n, gamma = len(pairs), mark.count(vocab) / vocab
    z = (hits - gamma * n) / math.sqrt(n * gamma * (1 - gamma)) if n else 0.0
    p_value = binomial_tail(hits, n, gamma)
    return Score(z, p_value, p_value <= fpr, n)


def binomial_tail(hits: int, n: int, p: float) -> float:
    """P(X >= hits) for X binomial of n and p, summed from the largest term's logarithm."""
    if hits <= 0:
        return 1.0
    k = np.arange(hits, n + 1)
    if not len(k):
        return 0.0
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    logs = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
    logs += k * math.log(p) + (n - k) * math.log1p(-p)
    top = logs.max()
    return float(min(1.0, math.exp(top) * np.exp(logs - top).sum()))
