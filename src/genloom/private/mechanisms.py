"""The mechanism of a private run: its constants, what it tells of them, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, final

import torch
from torch import Tensor

from genloom.core import Generative, Items
from genloom.errors import BadInput
from genloom.options import TrainOptions
from genloom.private.accountant import ACCOUNTANT, epsilon, noise_for
from genloom.private.gradients import check

if TYPE_CHECKING:
    from genloom.data import Dataset

LARGEST_DELTA = 1e-5  # where nobody names one
COMPOSITION = (
    "the sum over the trainings: basic composition (Dwork and Roth, 2014, "
    "doi:10.1561/0400000042, Theorem 3.16)"
)
UNIT = "one training row, added or removed"
UNCOVERED = (
    "the validation and test parts, and whatever is measured on them or on the training rows: "
    "validation losses, verdicts, reports, tests for copies",
    "a choice among several trainings on the same rows, or a second training: their epsilons add",
    "what was known before the first step: how many rows there are, their size, classes and "
    "letters, and the options and the codec, where somebody or a default chose them by the rows",
    "an autoencoder or a teacher that learned from the same rows",
    "other rows about the same person: several rows of one together are protected less",
    "the run folder, which holds the fingerprint of the data",
)


@final
@dataclass(frozen=True)
class Mechanism:
    """What a private training does in each of its steps.

    Args:
        rows: Of the training part.
        batch: Rows that a step expects; each row is in it with probability batch / rows.
        noise: See `gradient`.
        clip: See `gradient`.
        delta: See `epsilon`.
        target: The epsilon that was asked for, or None.
    """

    rows: int
    batch: int
    noise: float
    clip: float
    delta: float
    target: float | None = None

    @property
    def rate(self) -> float:
        """Chance of a row to be in a step's batch."""
        return self.batch / self.rows

    def epsilon(self, steps: int) -> float:
        """What so many steps cost."""
        return epsilon(self.noise, self.rate, steps, self.delta)

    def told(self, steps: int) -> dict[str, Any]:
        """For run.json and a card: what so many steps spent, how, and what is not covered."""
        return {
            "epsilon": self.epsilon(steps),
            "target": self.target,
            "delta": self.delta,
            "noise": self.noise,
            "clip": self.clip,
            "rows": self.rows,
            "batch": self.batch,
            "rate": self.rate,
            "steps": steps,
            "accountant": ACCOUNTANT,
            "unit": UNIT,
            "uncovered": list(UNCOVERED),
        }

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Back from what `told` gave."""
        names = ("rows", "batch", "noise", "clip", "delta", "target")
        return cls(**{name: told[name] for name in names})

    def words(self, steps: int) -> str:
        """What a run of so many steps will have cost, for people."""
        return (
            f"private: epsilon {self.epsilon(steps):.4g} at delta {self.delta:.2g} after {steps} "
            f"steps; noise {self.noise:.4g}, clip {self.clip:g}, a row in {self.rate:.2%} of steps"
        )


def mechanism(options: TrainOptions, rows: int, steps: int) -> Mechanism:
    """The mechanism of a private run of so many steps.

    Raises:
        BadInput: More rows in a batch than there are, a delta that protects no row, or an epsilon
            that no noise keeps.
    """
    if options.batch > rows:
        raise BadInput(
            f"batch = {options.batch} of {rows} training rows: a row can be in a private batch "
            f"once at most. Bring more data, or set train.batch to {rows} or less."
        )
    delta = options.dp_delta
    if delta is None:
        delta = min(LARGEST_DELTA, 1 / (10 * rows))
    if delta >= 1 / rows:
        raise BadInput(
            f"dp_delta = {delta} with {rows} training rows: it allows that one row in {rows} is "
            f"told to all. Set it well below {1 / rows:.2g}, or leave it out."
        )
    assert options.dp_clip is not None  # TrainOptions has filled it in
    noise = options.dp_noise
    if noise is None:
        assert options.dp_epsilon is not None
        noise = noise_for(options.dp_epsilon, options.batch / rows, steps, delta)
    return Mechanism(rows, options.batch, noise, options.dp_clip, delta, options.dp_epsilon)


def composed(parts: Iterable[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """What several trainings spend together, as `Mechanism.told` tells it of one.

    Epsilons add, and so do deltas, however the trainings depend on each other: Dwork and Roth, 2014
    (doi:10.1561/0400000042), Theorem 3.16. Where they share no rows that is more than was spent.

    Args:
        parts: What is told of each; None of one that was not private.

    Returns:
        None where a part was not private, for the others' epsilons then bound nothing.
    """
    told = list(parts)
    private = [part for part in told if part]
    if not private or len(private) < len(told):
        return None
    return {
        "epsilon": sum(part["epsilon"] for part in private),
        "delta": sum(part["delta"] for part in private),
        "trainings": len(private),
        "accountant": COMPOSITION,
        "unit": UNIT,
        "uncovered": list(UNCOVERED),
    }


def check_run(model: Generative, dataset: Dataset, options: TrainOptions, world: int) -> None:
    """Refuse a run that cannot be private, before it begins.

    Raises:
        BadInput: See `check` and `mechanism`; several processes; a text, which has no rows; sources
            that belong to no row.
    """
    check(model)
    if world > 1:
        raise BadInput(
            f"{world} processes: private training counts the noise of one. Leave torchrun away."
        )
    if dataset.items.kind == "text":
        raise BadInput(
            "a text is one row, cut at any place, and private training protects single rows. Bring "
            "images or points."
        )
    mates = dataset.train.has_mate
    if mates is not None and not bool(mates.all()):
        raise BadInput(
            f"{int((~mates).sum())} training rows have no source picture of their own, and would "
            "learn from those of others. Bring pairs: --set data.given=paired"
        )
    mechanism(options, len(dataset.train), options.planned or 1)


def stand_ins(items: Items, n: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Rows that tell nothing of the data: noise in the range of what is stored; (n, *shape).

    A model that measures them starts from mean 0 and the spread of the whole range (of points: 1).
    Their conditions are drawn alike: "label", "caption" and, where a picture is stored, "source".
    """
    generator = torch.Generator().manual_seed(0)

    def whole(top: int, *shape: int) -> Tensor:
        return torch.randint(0, top, (n, *shape), generator=generator)

    cond = {"label": whole(len(items.classes))} if items.classes else {}
    if items.caption:
        cond["caption"] = whole(items.caption.space.vocab, items.caption.length)
    if items.given in ("paired", "unpaired"):
        cond["source"] = whole(256, *items.shape).byte()
    if items.kind == "image":
        return whole(256, *items.shape).byte(), cond
    return torch.randn(n, *items.shape, generator=generator), cond
