"""An n-gram model of rows of ids: what a model of sequences must beat.

Kneser and Ney, Improved backing-off for m-gram language modeling, 1995, interpolated as by Chen and
Goodman, An empirical study of smoothing techniques for language modeling, 1999, with one discount
for each length. Before a row stand ids that none holds; a sequence that begins with them keeps its
own count, for nothing else precedes it.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from genloom.metrics.text import sizes

ORDER = 5


@final
class Ngram:
    """Probabilities of the next id after the last `order - 1` ones, fitted to rows.

    Args:
        rows: Training rows, (N, L), with what fills documents up; that is not learnt.
        vocab: How many ids there are.
        end: The id that closes a document; None where rows are none.
        order: Ids of the longest sequence that is counted.
    """

    def __init__(self, rows: Tensor, vocab: int, end: int | None = None, *, order: int = ORDER):
        self.vocab, self.end, self.order = vocab, end, order
        self._base = vocab + 1  # the last one opens a row
        known, x = self._padded(rows)
        context = torch.zeros(x[0].shape, dtype=torch.int64)
        self._contexts = [torch.zeros(1, dtype=torch.int64)]  # each: that of one id less, and an id
        for before in x[1:]:
            context = context * self._base + before
            self._contexts.append(context[known].unique())
            context = torch.searchsorted(self._contexts[-1], context.contiguous())
            context = context.clamp(max=len(self._contexts[-1]) - 1)  # of what is not known
        grams, counts = (context * self._base + x[0])[known].unique(return_counts=True)
        self._levels = [_Level(grams, counts, self._base, len(self._contexts[-1]))]
        for shorter, longer in zip(self._contexts[-2::-1], self._contexts[:0:-1]):
            context = longer[grams // self._base] // self._base
            weight = torch.where(shorter[context] % self._base == vocab, counts, 1)
            grams, place = (context * self._base + grams % self._base).unique(return_inverse=True)
            counts = torch.zeros_like(grams).scatter_add_(0, place, weight)
            self._levels.insert(0, _Level(grams, counts, self._base, len(shorter)))

    def log_prob(self, rows: Tensor) -> Tensor:
        """Nats of rows (n, L) up to and with their first end, (n,) float64."""
        known, x = self._padded(rows)
        context = torch.zeros(x[0].shape, dtype=torch.int64)
        p = torch.full(x[0].shape, 1 / self.vocab, dtype=torch.float64)
        for k, level in enumerate(self._levels):
            if k:
                context = _find(self._contexts[k], context, context * self._base + x[k])
            p = level.mixed(p, context, x[0])
        return (p.log() * known).sum(1)

    def following(self, rows: Tensor) -> Tensor:
        """Probabilities of the id after rows (n, L): (n, vocab), float64."""
        before = torch.full((len(rows), self.order - 1), self.vocab)
        wide, x = torch.cat((before, rows.long()), 1), torch.arange(self.vocab)[None]
        context = torch.zeros((len(rows), 1), dtype=torch.int64)
        p = torch.full((len(rows), self.vocab), 1 / self.vocab, dtype=torch.float64)
        for k, level in enumerate(self._levels):
            if k:
                wanted = context * self._base + wide[:, -k, None]
                context = _find(self._contexts[k], context, wanted)
            p = level.mixed(p, context, x)
        return p

    def draw(self, n: int, length: int, generator: torch.Generator) -> Tensor:
        """Draw n rows, (n, length), with ends after the first one where there is an end."""
        rows = torch.zeros((n, 0), dtype=torch.int64)
        for _ in range(length):
            drawn = self.following(rows[:, -self.order :]).multinomial(1, generator=generator)
            if self.end is not None and rows.shape[1]:
                drawn[rows[:, -1] == self.end] = self.end
            rows = torch.cat((rows, drawn), 1)
        return rows

    def _padded(self, rows: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Which ids count, (n, L), and the ids with those 1 ... order - 1 places before them."""
        n, length = rows.shape
        before = self.order - 1
        wide = torch.cat((torch.full((n, before), self.vocab), rows.long()), 1)
        known = torch.arange(length) < sizes(rows, self.end)[:, None]
        return known, [wide[:, before - k : before - k + length] for k in range(self.order)]


@final
class _Level:
    """What was counted of sequences of one length.

    Args:
        grams: In order, (G,): that of the context times `base`, and the id after it.
        counts: Of each, (G,); of short ones, how many different ids were seen before them.
        base: More than any id.
        contexts: How many there are.
    """

    def __init__(self, grams: Tensor, counts: Tensor, base: int, contexts: int):
        self.grams, self.counts, self.base = grams, counts.double(), base
        of = grams // base
        once, twice = (int((counts == k).sum()) for k in (1, 2))
        self.discount = once / (once + 2 * twice) if once else 0.5
        self.total = torch.bincount(of, self.counts, contexts)
        self.left = self.discount * torch.bincount(of, minlength=contexts).double()

    def mixed(self, p: Tensor, context: Tensor, x: Tensor) -> Tensor:
        """Probabilities of x after contexts, where p are those after shorter ones; all (n, L)."""
        place = _find(self.grams, context, context * self.base + x)
        count = torch.where(place < 0, 0, self.counts[place])
        own = (count - self.discount).clamp(min=0)
        mixed = (own + self.left[context] * p) / self.total[context]
        return torch.where(context < 0, p, mixed)


def _find(known: Tensor, context: Tensor, wanted: Tensor) -> Tensor:
    """Places of what is wanted among the known, in order; -1 where it, or its context, is not."""
    place = torch.searchsorted(known, wanted.contiguous()).clamp(max=len(known) - 1)
    return torch.where((context >= 0) & (known[place] == wanted), place, -1)
