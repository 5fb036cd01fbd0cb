"""Copies of training items: are samples nearer to the training data than unseen data are?

The score of an item is the distance to its nearest training item over the mean distance to the 50
next ones (after Carlini et al. 2023, arXiv:2301.13188, Section 5.1): near 0 for a copy, near 1 for
a class mean, for which everything is equally far. The threshold is set on held-out data, and
Fisher's exact test compares the samples below it with other held-out data below it.

Short documents recur: of names, a new draw is often one of the training part, and no held-out name
is, for equal documents share a part. So there the samples must also exceed what is to be expected
of new draws: the recurrence of documents, and of others the share of held-out data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor

from genloom.errors import Refused
from genloom.metrics.estimate import Estimate, enough, fisher_greater, wilson

NEIGHBOURS = 50
NEEDED = 160  # below it, 5 % of copies cannot be told from chance at LEVEL
LEVEL = 0.01
MARGIN = 0.5  # of the score that one held-out item in a hundred falls below


@dataclass(frozen=True)
class Nearness:
    """How near each of n items is to the training data.

    Args:
        score: (n,), 0 for an exact copy.
        nearest: Row of the nearest training item, (n,).
        distance: To it, (n,).
    """

    score: Tensor
    nearest: Tensor
    distance: Tensor

    def rows(self, start: int, stop: int | None = None) -> Nearness:
        """A part of the items."""
        part = slice(start, stop)
        return Nearness(self.score[part], self.nearest[part], self.distance[part])


def nearness(x: Tensor, train: Tensor, *, chunk: int = 4096) -> Nearness:
    """Nearness of rows x (n, D) to training rows (N, D), by Euclidean distance.

    Raises:
        Refused: Fewer training items than neighbours.
    """
    if len(train) <= NEIGHBOURS:
        raise Refused(f"copies need at least {NEIGHBOURS + 1} training items, not {len(train)}.")
    given = x.flatten(1)
    centre = train[:chunk].flatten(1).float().mean(0)
    x = given.float() - centre
    squares = torch.full((len(x), 0), float("inf"))
    rows = torch.zeros((len(x), 0), dtype=torch.int64)
    for start in range(0, len(train), chunk):
        part = train[start : start + chunk].flatten(1).float() - centre
        found = (x.square().sum(1, keepdim=True) + part.square().sum(1)).addmm_(
            x, part.T, alpha=-2.0
        )
        index = torch.arange(start, start + len(part)).expand(len(x), -1)
        squares, rows = torch.cat((squares, found), 1), torch.cat((rows, index), 1)
        squares, order = squares.topk(min(NEIGHBOURS + 1, squares.shape[1]), largest=False)
        rows = rows.gather(1, order)
    return _exactly(given.double(), train, rows)


def _exactly(x: Tensor, train: Tensor, rows: Tensor) -> Nearness:
    """The float32 search may confuse near ties: measure the chosen neighbours again."""
    distance = torch.stack(
        [(train[near].flatten(1).double() - item).norm(dim=1) for item, near in zip(x, rows)]
    )
    distance, order = distance.sort(1)
    rest = distance[:, 1:].mean(1)
    score = torch.where(rest > 0, distance[:, 0] / rest.clamp(min=1e-300), torch.zeros_like(rest))
    return Nearness(score, rows.gather(1, order)[:, 0], distance[:, 0])


@dataclass(frozen=True)
class Recurrence:
    """The chance that a new document equals one of the training part.

    Args:
        rate: Its estimate.
        error: Standard error of that.
    """

    rate: float
    error: float


def good_turing(counts: Tensor) -> Recurrence:
    """The recurrence of documents, from how often each occurs in the training part.

    One less the share that occurs once (Good, The population frequencies of species, 1953), with
    the variance of Esty, A normal limit law for the coverage of a random sample, 1983. It speaks of
    new draws of what the split gives to the training part; of all it is a little too high.

    Args:
        counts: Of each different document, (K,).
    """
    n, once, twice = int(counts.sum()), int((counts == 1).sum()), int((counts == 2).sum())
    return Recurrence(1 - once / n, math.sqrt(once * (1 - once / n) + 2 * twice) / n)


@dataclass(frozen=True)
class CopyTest:
    """Whether samples copy, in one space.

    Args:
        space: "items" or the features' name.
        threshold: Scores at or below it count as copies.
        share: Of the samples.
        held_out_share: Of held-out data that did not set the threshold.
        p_value: One-sided, that the first is not greater than the second (exact) or, of documents,
            than that of new draws (normal): the larger of both.
        copied: The verdict.
        n: Samples.
        recurrence: Of documents, see `Recurrence`; None where items are no documents.
        expected: The share of copies among new draws, where there is a recurrence.
    """

    space: str
    threshold: float
    share: float
    held_out_share: float
    p_value: float
    copied: bool
    n: int
    recurrence: Recurrence | None = None
    expected: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        told = {k: v for k, v in self.__dict__.items() if v is not None}
        return told | ({"recurrence": asdict(self.recurrence)} if self.recurrence else {})

    def estimate(self) -> Estimate:
        """The share as an estimate; its floor is that of held-out data, or of new draws."""
        low, high = wilson(round(self.share * self.n), self.n)
        return Estimate(
            "copies",
            self.share,
            low,
            high,
            self.n,
            f"{self.space}; nearest over mean of {NEIGHBOURS} next <= {self.threshold:.4g}",
            floor=self.held_out_share if self.expected is None else self.expected,
            floor_n=self.n,
        )


def copy_test(
    space: str,
    samples: Nearness,
    held_out: Nearness,
    other: Nearness,
    recurrence: Recurrence | None = None,
) -> CopyTest:
    """Compare samples with held-out data, with the threshold set on other held-out data.

    Args:
        space: See `CopyTest`.
        samples: Of n samples.
        held_out: Of m held-out items, none of which equals a training item.
        other: Sets the threshold.
        recurrence: Of documents.

    Raises:
        Refused: Fewer than 160 samples or held-out items, or fewer than 50 to set the threshold.
    """
    n, m = len(samples.score), len(held_out.score)
    enough("the test for copies", min(n, m), NEEDED)
    enough("the threshold of the test for copies", len(other.score), 50)
    threshold = MARGIN * float(torch.quantile(other.score, 0.01))
    a, b = int((samples.score <= threshold).sum()), int((held_out.score <= threshold).sum())
    p, expected = fisher_greater(a, n, b, m), None
    if recurrence is not None:
        expected, chance = _beyond(a / n, n, b / m, m, recurrence)
        p = max(p, chance)
    return CopyTest(space, threshold, a / n, b / m, p, p < LEVEL, n, recurrence, expected)


def _beyond(
    share: float, n: int, held_out: float, m: int, recurrence: Recurrence
) -> tuple[float, float]:
    """The share of copies among new draws, and the p-value that that of samples is no greater.

    A new draw is a training document, or else what held-out data are a sample of.
    """
    rate = recurrence.rate
    expected = rate + (1 - rate) * held_out
    variance = expected * (1 - expected) / n + ((1 - held_out) * recurrence.error) ** 2
    variance += (1 - rate) ** 2 * held_out * (1 - held_out) / m
    if not variance:
        return expected, float(share <= expected)
    return expected, 1 - NormalDist().cdf((share - expected) / math.sqrt(variance))


def planted(samples: Nearness, share: float = 0.05, *, recurring: float = 0.0) -> Nearness:
    """The same samples, had the first ones been training items.

    Args:
        samples: Of a model.
        share: How many of them.
        recurring: Of the others, how many are training items without any copying: a `Recurrence`.
    """
    count = max(1, round((share + (1 - share) * recurring) * len(samples.score)))
    score, distance = samples.score.clone(), samples.distance.clone()
    score[:count], distance[:count] = 0.0, 0.0
    return Nearness(score, samples.nearest, distance)


def closest(samples: Mapping[str, Nearness], count: int = 16) -> list[dict[str, Any]]:
    """The pairs of sample and training item with the lowest scores over all spaces."""
    found = {}
    for space, near in samples.items():
        for i in near.score.argsort()[:count].tolist():
            score = float(near.score[i])
            if i not in found or score < found[i]["score"]:
                found[i] = {
                    "generated": i,
                    "train": int(near.nearest[i]),
                    "score": score,
                    "distance": float(near.distance[i]),
                    "space": space,
                }
    return sorted(found.values(), key=lambda pair: pair["score"])[:count]
