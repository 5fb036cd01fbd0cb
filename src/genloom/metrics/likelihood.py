"""Likelihoods in one unit: bits per dimension, per character or word, or nats of a density.

A likelihood is comparable only for the same data in the same form (Theis et al. 2016,
arXiv:1511.01844, Section 3.1), so the id says whether the codec keeps every item as it is.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from genloom.codecs import Latent
from genloom.core import Codec, Condition, Items, Likelihood, Real
from genloom.errors import Refused
from genloom.given import encoded
from genloom.metrics.baselines import text_bytes, text_letters, texts
from genloom.metrics.estimate import Estimate, enough, finite, mean_interval
from genloom.metrics.text import inside
from genloom.metrics.trivial import moments

NAMES = {  # by what the items stand for
    "image": "bits_per_dim",
    "points": "nll",
    "text": "bits_per_char",
    "molecule": "bits_per_char",
    "music": "bits_per_word",
}
AS_STORED = "items as stored"
OF_TALKS = "; names of roles are no characters"
OF_ANSWERS = "; of answers alone, each given what comes before it"
UNITS = {
    "bits_per_dim": "bits/dim",
    "bits_per_char": "bits/char",
    "bits_per_word": "bits/word",
    "nll": "nats",
}


def likelihood(
    model: Likelihood,
    codec: Codec,
    items: Tensor,
    cond: Condition,
    *,
    given: Tensor | None = None,
    batch: int = 64,
    device: torch.device | str = "cpu",
) -> Estimate:
    """The mean negative log-likelihood of held-out items, in bits per dimension of an item.

    Args:
        model: It answers `log_prob` in nats; where it has an `estimator`, that is named.
        codec: Between the items and the model's space.
        items: Held-out items as stored, (n, *shape).
        cond: Their conditions, name -> (n, ...).
        given: Which tokens of talks the model is given, bool (n, L): they are not counted.
        batch: Items at a time.
        device: Where the model's weights lie.

    Raises:
        Refused: Fewer than 30 items, a likelihood that is not finite, or a density where the items
            are discrete.
    """
    kind, name = codec.items.kind, NAMES[codec.items.medium]
    enough(name, len(items), 30)
    space = codec.space
    if kind == "image" and isinstance(space, Real) and space.levels is None:
        raise Refused(
            "bits_per_dim needs a space with levels: this codec makes densities of bytes."
        )
    if isinstance(codec, Latent):
        raise Refused(
            f"{name} of codes says nothing of the items: the autoencoder loses some of them."
        )
    if given is not None and bool(given.all()):
        raise Refused(f"{name}: the held-out talks hold no answer: set a larger data.length.")
    parts = []
    for i in range(0, len(items), batch):
        known = {name: value[i : i + batch] for name, value in cond.items()}
        x, known = encoded(codec, items[i : i + batch], known)
        known = {name: value.to(device) for name, value in known.items()}
        parts.append(-model.log_prob(x.to(device), known).cpu().double())
    nats = torch.cat(parts)
    finite(name, nats)
    value, low, high = mean_interval(nats / _scale(codec.items, items, given))
    tag, how = model.likelihood, getattr(model, "estimator", "")
    id = f"{tag}{how and f' ({how})'}; {_form(codec, items)}"
    if codec.items.lexicon is not None and codec.items.lexicon.roles:
        id += OF_TALKS if given is None else OF_ANSWERS
    return Estimate(name, value, low, high, len(items), id, unit=UNITS[name], tag=tag)


def _scale(about: Items, items: Tensor, given: Tensor | None = None) -> float:
    """Nats to bits, and items to dimensions: of documents, to as many as they have on average.

    Names of roles are none of them, and what is given is not.
    """
    if about.kind == "points":
        return 1.0
    if about.lexicon is None:
        return math.log(2) * math.prod(about.shape)
    told = _told(items, given)
    if about.medium == "music":  # an event is a word of any length
        size = sum(len(text.split()) for text in texts(told, about))
    else:
        size = text_letters(told, about)
    return math.log(2) * (size / len(items))


def _told(items: Tensor, given: Tensor | None) -> Tensor:
    """Rows of numbers with -1 for what is given."""
    return items if given is None else items.long().masked_fill(given, -1)


def _form(codec: Codec, items: Tensor) -> str:
    """In what form the codec hands the items to the model."""
    some = items[:64]
    kept = codec.decode(codec.encode(some))
    if torch.equal(kept, some) or codec.items.kind == "points":
        return AS_STORED
    values = len(torch.unique(kept))
    return f"items as {type(codec).__name__} keeps them ({values} values)"


def per_byte(found: Estimate, items: Tensor, about: Items, given: Tensor | None = None) -> Estimate:
    """The same likelihood of text in bits per byte of UTF-8, which any two ways of coding share.

    Args:
        found: Of `items`, in bits per character.
        items: Held-out rows, (n, L), in the order of the text.
        about: What they are.
        given: See `likelihood`.
    """
    size = text_bytes(_told(items, given), about)
    scale = _scale(about, items, given) / math.log(2) * len(items) / size
    value, low, high = (scale * bits for bits in (found.value, found.low, found.high))
    trivial = None if found.trivial is None else scale * found.trivial
    named = {"name": "bits_per_byte", "unit": "bits/byte"}
    return replace(found, **named, value=value, low=low, high=high, trivial=trivial)


def independent(train: Tensor, items: Tensor, about: Items, given: Tensor | None = None) -> float:
    """The likelihood of the trivial model: every entry of an item independent of the others.

    Histograms with one count spread over the values; for points, one normal density. In the unit
    of `likelihood`, for items that the codec keeps as they are.

    Raises:
        Refused: Points lie in fewer dimensions than they have columns, so they have no density.
    """
    train, items = train[:10_000].flatten(1), items.flatten(1)
    if about.kind == "points":
        mean, covariance = moments(train)
        _spread_out(covariance)
        normal = torch.distributions.MultivariateNormal(mean, covariance)
        return -float(normal.log_prob(items.double()).mean())
    values, dims = 256 if about.lexicon is None else about.lexicon.vocab, items.shape[1]
    counted = [inside(rows, 1, about.end) for rows in (train, items)]
    cells = train.long() + values * torch.arange(dims)
    counts = torch.bincount(cells[counted[0]], minlength=values * dims).double().view(dims, values)
    log_p = ((counts + 1 / values) / (counted[0].sum(0)[:, None] + 1)).log()
    wanted = counted[1] if given is None else counted[1] & ~given
    nats = -log_p.gather(1, items.long().T).T.masked_fill(~wanted, 0).sum(1)
    return float(nats.mean()) / _scale(about, items, given)


def _spread_out(covariance: Tensor) -> None:
    """Refuse a covariance (D, D) without an inverse, whatever the units of its columns.

    Less than the rounding of float32, in which points are stored, is no spread.
    """
    std = covariance.diagonal().sqrt()
    if fixed := (std == 0).nonzero()[:, 0].tolist():
        columns = ", ".join(f"x{i}" for i in fixed[:5])
        raise Refused(f"one normal density: {columns} has one value in all training points.")
    least = torch.linalg.eigvalsh(covariance / torch.outer(std, std))[0]
    if least <= len(std) * torch.finfo(torch.float32).eps ** 2:
        raise Refused(
            "one normal density: a column of the training points follows from the others, so "
            "they have none."
        )
