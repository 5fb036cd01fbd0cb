"""The trivial generator: every entry of an item is drawn from another training item.

Pixels or characters keep their own distribution (within a class where there are classes) and know
nothing of each other; points come from one normal distribution, and molecules from an n-gram, for
they would not be any. What does not beat it has learned nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genloom.core import Items
from genloom.metrics.ngram import ORDER, Ngram

DESCRIPTION = {
    "image": "every pixel drawn independently from a training image of the same class",
    "text": "every character drawn independently from the same place of a training item",
    "points": "one normal distribution with the mean and covariance of the training split",
    "molecule": f"a {ORDER}-gram of the training split",
}
SEEN = 20_000


def generate(
    about: Items, train: Tensor, train_labels: Tensor | None, labels: Tensor | None, n: int
) -> Tensor:
    """Draw n items of the trivial generator for a kind of data; see `resampled`."""
    if about.kind == "points":
        return normal(train, n)
    if about.medium == "molecule":
        return continued(train, about, n)
    return resampled(train, train_labels, labels, n)


def normal(train: Tensor, n: int) -> Tensor:
    """Draw n points of the normal distribution with the mean and covariance of points (N, D)."""
    generator = torch.Generator().manual_seed(7)
    mean, covariance = moments(train)
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp(min=0).sqrt()
    noise = torch.randn(n, train.shape[1], generator=generator, dtype=torch.float64)
    return (mean + noise @ root.T).to(train.dtype)


def moments(points: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of points (N, D), in float64."""
    points, d = points.double(), points.shape[1]
    return points.mean(0), points.T.cov().reshape(d, d)  # of one column, cov is a number


def continued(train: Tensor, about: Items, n: int) -> Tensor:
    """Draw n rows of ids, each by the few before it, as the first 20,000 rows (N, L) have them."""
    assert about.lexicon is not None
    model = Ngram(train[:SEEN], about.lexicon.vocab, about.end)
    made = model.draw(n, train.shape[1], torch.Generator().manual_seed(7))
    return made.to(train.dtype)


def resampled(train: Tensor, train_labels: Tensor | None, labels: Tensor | None, n: int) -> Tensor:
    """Draw n items, always the same ones.

    Args:
        train: Training items, (N, *shape); the first 20,000 are used.
        train_labels: Theirs, (N,), or None.
        labels: Wanted classes, (n,), or None; -1 and classes that training lacks draw from all.
        n: How many.
    """
    generator = torch.Generator().manual_seed(7)
    train = train[:SEEN]
    shape = train.shape[1:]
    flat = train.flatten(1)
    result = torch.empty(n, flat.shape[1], dtype=train.dtype)
    if labels is None or train_labels is None:
        labels = train_labels = torch.full((max(n, len(flat)),), -1)
    labels, train_labels = labels[:n], train_labels[: len(flat)]
    for label in labels.unique().tolist():
        rows = (train_labels == label).nonzero()[:, 0]
        rows = rows if len(rows) and label >= 0 else torch.arange(len(flat))
        wanted = (labels == label).nonzero()[:, 0]
        draws = torch.randint(len(rows), (len(wanted), flat.shape[1]), generator=generator)
        result[wanted] = flat[rows[draws], torch.arange(flat.shape[1])]
    return result.view(n, *shape)
