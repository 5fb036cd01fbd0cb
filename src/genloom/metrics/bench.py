"""The data side of a verdict: held-out halves, extractor, judge, ladder, floors, trivial generator.

It depends on the data set, n and the extractor, not on the model: every model of a comparison is
measured on the same bench, which is made once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from genloom.core import Items
from genloom.errors import Refused
from genloom.metrics import encoder, inception, text, trivial
from genloom.metrics.bleu import self_bleu
from genloom.metrics.copies import (
    NEEDED,
    CopyTest,
    Nearness,
    Recurrence,
    copy_test,
    nearness,
    planted,
)
from genloom.metrics.estimate import Estimate
from genloom.metrics.extractor import Extractor, Judge, Rows, extractor, folder, judge
from genloom.metrics.ladder import Rung, climb
from genloom.metrics.measures import Measured, Side, measure, side

MOST = 1000
"""Items on each side, where nobody says more."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """What samples are measured against.

    Args:
        items: What one item is.
        n: Items on each side.
        train: The training split.
        real: n held-out items with what extractor and judge see.
        rows: Their rows in the test split.
        other: Up to n other held-out items, of the rest of the test split and of the validation
            split; None where there are fewer than 50.
        extractor: Makes the features.
        judge: Names classes; None without labels.
        accuracy: The judge's on the held-out items.
        rungs: What the extractor's ladder gave.
        floors: Measures between the two held-out halves.
        trivials: Measures of the trivial generator.
        train_features: Of the training split, (N, D) float32.
        near_real: Nearness of the real items to the training split, by space.
        near_other: Of the others.
        recurrence: How often a new document is a training item; None where items are none.
        unseen: All held-out items, of both splits.
        seconds: It took to make.
    """

    items: Items
    n: int
    train: Rows
    real: Side
    rows: Tensor
    other: Side | None
    extractor: Extractor
    judge: Judge | None
    accuracy: float | None
    rungs: list[Rung]
    floors: Measured
    trivials: Measured
    train_features: Tensor
    near_real: dict[str, Nearness]
    near_other: dict[str, Nearness]
    recurrence: Recurrence | None
    unseen: Tensor
    seconds: float

    @property
    def trusted(self) -> bool:
        """Whether the extractor passed its ladder."""
        return all(rung.passed for rung in self.rungs)

    def nearness(self, side: Side) -> dict[str, Nearness]:
        """Nearness of items to the training split, in every space that there is."""
        return _nearness(self.items, side, self.train, self.train_features)

    def measure(self, side: Side) -> Measured:
        """Every measure of samples."""
        known = self.train.items
        return measure(side, self.real, self.extractor, self.judge, self.items, known)

    def longest_match(self, samples: Tensor, near: Nearness) -> Estimate:
        """How long rows of ids quote the training split, beside held-out rows."""
        end, real = self.items.end, self.real.items
        floor = text.longest_match(real, self.near_real["runs"], end)
        return text.longest_match(samples, near, end).beside(floor, None)

    def facing(self, samples: Tensor) -> Bench:
        """The same bench, with the recurrence that the samples of a set of molecules show."""
        if self.items.medium != "molecule":
            return self
        chance = text.recapture(samples, self.train.items, self.unseen)
        return replace(self, recurrence=chance)

    def planted(self, near: dict[str, Nearness]) -> dict[str, Nearness]:
        """The same samples with planted copies, beyond the documents that recur."""
        rate = self.recurrence.rate if self.recurrence else 0.0
        return {space: planted(one, recurring=rate) for space, one in near.items()}

    def copy_tests(self, near: dict[str, Nearness]) -> list[CopyTest]:
        """Test samples for copies in every space.

        Raises:
            Refused: Too few items.
        """
        if not self.near_other:
            raise Refused(
                "the test for copies needs at least 50 held-out items more, to set its threshold."
            )
        return [
            copy_test(
                space, near[space], self.near_real[space], self.near_other[space], self.recurrence
            )
            for space in near
        ]


def bench(
    items: Items,
    train: Rows,
    valid: Rows,
    test: Rows,
    n: int,
    *,
    weights: str | Path | None = None,
    cache: Path | None = None,
    say: Say = lambda _: None,
) -> Bench:
    """Prepare everything that does not depend on the model.

    Args:
        items: What one item is.
        train: The training split: of extractor, judge and trivial generator.
        valid: More held-out items.
        test: The held-out items.
        n: How many of these; the same ones for the same data and n.
        weights: A user's Inception weights; otherwise the extractor is trained.
        cache: Folder of trained extractors.
        say: Called with what is being done.
    """
    start = time.monotonic()
    say("looking for the extractor of this data set, or training one")
    seen = inception.load(weights, items) if weights else extractor(items, train, cache=cache)
    judged = judge(items, train, seen, cache=cache)
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))
    rows, rest = order[:n], order[n : 2 * n]
    real = side(test.items[rows], seen, judged, _labels(test, rows))
    other = _other(test, valid, rest, n, seen, judged)
    say("measuring held-out data and the trivial generator")
    made = trivial.generate(items, train.items, train.cond.get("label"), real.labels, n)
    plain = side(made, seen, judged, real.labels)
    train_features = _train_features(seen, train, cache)
    near_real = _nearness(items, real, train, train_features)
    near_other = _nearness(items, other, train, train_features) if other else {}
    rungs = _rungs(seen, real, other, near_real, near_other)
    return Bench(
        items,
        n,
        train,
        real,
        rows,
        other,
        seen,
        judged,
        _accuracy(real),
        rungs,
        _floors(other, real, seen, judged, items, train.items),
        measure(plain, real, seen, judged, items, train.items),
        train_features,
        near_real,
        near_other,
        None if items.end is None else text.recurrence(train.items),
        torch.cat((test.items, valid.items)),
        time.monotonic() - start,
    )


def _labels(split: Rows, rows: Tensor) -> Tensor | None:
    label = split.cond.get("label")
    return None if label is None else label[rows].long()


def _other(
    test: Rows, valid: Rows, rest: Tensor, n: int, seen: Extractor, judged: Judge | None
) -> Side | None:
    """The second held-out half, as near to n items as there are."""
    more = torch.arange(max(0, min(len(valid), n - len(rest))))
    if len(rest) + len(more) < 50:
        return None
    items = torch.cat((test.items[rest], valid.items[more]))
    labels = [_labels(test, rest), _labels(valid, more)]
    known = [label for label in labels if label is not None]
    return side(items, seen, judged, torch.cat(known) if len(known) == 2 else None)


def _floors(
    other: Side | None,
    real: Side,
    seen: Extractor,
    judged: Judge | None,
    items: Items,
    train: Tensor,
) -> Measured:
    """Both halves at the size of the smaller one; self-BLEU, which depends on n, at n."""
    if other is None:
        return Measured(refused={"floors": "there is no second held-out half: floors need one"})
    found = measure(other, _part(real, len(other.items)), seen, judged, items, train)
    if "self_bleu" in found.estimates:  # it looks at one side alone, and that has n items
        found.take("self_bleu", lambda: self_bleu(real.items, items.end))
    return found


def _part(side: Side, n: int) -> Side:
    parts = (side.items, side.features, side.labels, side.logits, side.scores)
    return Side(*(None if part is None else part[:n] for part in parts))  # pyright: ignore


def _accuracy(real: Side) -> float | None:
    if real.labels is None or real.logits is None:
        return None
    known = real.labels >= 0
    if not bool(known.any()):
        return None
    return float((real.logits.argmax(1) == real.labels)[known].double().mean())


def _rungs(
    seen: Extractor,
    real: Side,
    other: Side | None,
    near_real: dict[str, Nearness],
    near_other: dict[str, Nearness],
) -> list[Rung]:
    if other is None or min(len(real.items), len(other.items)) < 100:
        return [Rung("too few held-out items for the ladder: it needs 100 a side", (), False)]
    near = ()
    if min(len(real.items), len(other.items)) >= NEEDED:
        space = list(near_real)[-1]
        near = (near_other[space], near_real[space])
    return climb(seen, real.items, other.items, other.labels, near)


def _nearness(items: Items, one: Side, train: Rows, train_features: Tensor) -> dict[str, Nearness]:
    """In the space of items and in that of features; for text, the longest verbatim run."""
    if items.lexicon is not None:
        return {"runs": text.verbatim(one.items, train.items, items.end)}
    if items.kind == "points":
        return {"coordinates": nearness(one.items, train.items)}
    found = {"pixels": nearness(one.items, train.items)}
    name = "inception" if one.features.shape[1] != encoder.FEATURES else "encoder"
    return {**found, name: nearness(one.features, train_features)}


def _train_features(seen: Extractor, train: Rows, cache: Path | None) -> Tensor:
    """Features of training images, from the cache or computed and stored there; float32."""
    if seen.items.kind != "image":
        return torch.zeros(0, seen.dims)
    name = hashlib.sha256(json.dumps([seen.id, train.fingerprint]).encode()).hexdigest()[:24]
    path = (cache or folder()) / f"features-{name}.safetensors"
    try:
        return load_file(str(path))["features"]
    except (FileNotFoundError, SafetensorError, KeyError):
        pass  # not there, or cut short: compute it
    found = seen(train.items).float().contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    save_file({"features": found}, str(aside))
    aside.replace(path)
    return found
