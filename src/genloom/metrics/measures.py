"""All measures of one set of items against held-out data, with refusals by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from genloom.core import Items
from genloom.errors import Refused
from genloom.metrics import molecules, music, text, verse
from genloom.metrics.bleu import self_bleu
from genloom.metrics.diversity import class_kl, diversity
from genloom.metrics.estimate import Estimate
from genloom.metrics.extractor import Extractor, Judge
from genloom.metrics.frechet import frechet
from genloom.metrics.inception_score import classifier_score
from genloom.metrics.kid import kid
from genloom.metrics.label_accuracy import label_accuracy
from genloom.metrics.prdc import prdc
from genloom.metrics.two_sample import two_sample


@dataclass(frozen=True)
class Side:
    """One set of items with what extractor and judge see in it.

    Args:
        items: As stored, (n, *shape).
        features: (n, D).
        labels: The classes that were asked for or are true, (n,), or None.
        logits: The judge's, (n, classes), or None.
        scores: Logits for the classifier score: Inception's where it is the extractor.
    """

    items: Tensor
    features: Tensor
    labels: Tensor | None = None
    logits: Tensor | None = None
    scores: Tensor | None = None


@dataclass
class Measured:
    """Estimates by name, and why others are missing."""

    estimates: dict[str, Estimate] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    p_value: float | None = None

    def take(self, name: str, measure: Callable[[], Estimate | list[Estimate]]) -> None:
        """Measure, or note the refusal."""
        try:
            found = measure()
        except Refused as refusal:
            self.refused[name] = str(refusal)
            return
        for estimate in found if isinstance(found, list) else [found]:
            self.estimates[estimate.name] = estimate


def side(
    items: Tensor, extractor: Extractor, judge: Judge | None, labels: Tensor | None = None
) -> Side:
    """Look at items with the extractor and the judge."""
    logits = judge(items) if judge else None
    scores = logits
    if extractor.name == "inception" and extractor.logits is not None:
        scores = inception_logits(extractor, items)
    return Side(items, extractor(items), labels, logits, scores)


def inception_logits(extractor: Extractor, items: Tensor) -> Tensor:
    """The 1008 logits of the network of IS."""
    assert extractor.logits is not None
    again = Extractor(
        extractor.name, extractor.hash, extractor.items, 1008, extractor.logits, extractor.how
    )
    return again(items)


def wording(x: Tensor, y: Tensor, about: Items, train: Tensor) -> dict[str, Callable[[], Estimate]]:
    """Measures of texts (n, L) alone."""
    return {
        "distinct": lambda: text.distinct(x, end=about.end),
        "repetition": lambda: text.repetition(x, end=about.end),
        "self_bleu": lambda: self_bleu(x, about.end),
        **verse.measures(x, about, train),
    }


# What is measured of one medium alone: (samples, held-out items, what they are, training items).
OWN: dict[str, Callable[[Tensor, Tensor, Items, Tensor], dict[str, Callable[[], Estimate]]]] = {
    "text": wording,
    "music": music.compare,
    "molecule": molecules.compare,
}


def measure(
    x: Side, y: Side, extractor: Extractor, judge: Judge | None, items: Items, train: Tensor
) -> Measured:
    """Every measure that these sides allow, of x against held-out data y and training items."""
    found = Measured()
    features = extractor.id
    inception = extractor.name == "inception"
    found.take(
        "frechet",
        lambda: frechet(
            x.features, y.features, id=features, name="FID" if inception else "frechet"
        ),
    )
    found.take("kid", lambda: kid(x.features, y.features, id=features))
    found.take("prdc", lambda: prdc(x.features, y.features, id=features))

    def told_apart() -> Estimate:
        estimate, found.p_value = two_sample(x.features, y.features, id=features)
        return estimate

    found.take("two_sample", told_apart)
    found.take("diversity", lambda: diversity(x.features, y.features, id=features))
    if x.scores is not None:
        scores, name = x.scores, "IS" if inception else "classifier_score"
        id = features if inception or judge is None else judge.id
        found.take(name, lambda: classifier_score(scores, id=id, name=name))
    if judge is not None and x.logits is not None and y.logits is not None:
        _judged(found, x, y, judge)
    if items.medium in OWN:
        for name, taken in OWN[items.medium](x.items, y.items, items, train).items():
            found.take(name, taken)
    return found


def _judged(found: Measured, x: Side, y: Side, judge: Judge) -> None:
    assert x.logits is not None and y.logits is not None
    seen, true = x.logits.argmax(1), y.logits.argmax(1)
    classes, logits, labels = x.logits.shape[1], x.logits, x.labels
    found.take("class_kl", lambda: class_kl(seen, true, classes, id=judge.id))
    if labels is not None and bool((labels >= 0).any()):
        known = labels >= 0
        found.take(
            "label_accuracy", lambda: label_accuracy(logits[known], labels[known], id=judge.id)
        )
