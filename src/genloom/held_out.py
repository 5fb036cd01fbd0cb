"""Measures of a finished training on the validation part, to choose by; lower is better.

They are for choosing among trainings, never for judging one: that is `evaluation`, on the test
part, which nothing here opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

import torch

from genloom.artifact import Artifact
from genloom.core import END
from genloom.data import Dataset
from genloom.errors import BadInput
from genloom.given import completed, encoded
from genloom.metrics.extractor import extractor
from genloom.metrics.kid import kid
from genloom.sampling import device_of, evaluating, sample

if TYPE_CHECKING:
    from genloom.recipe import Plan

Measure = Literal["loss", "kid"]
ROWS = 64  # of a batch of the held-out loss, whatever train.batch is
MOST = 512  # validation items that are looked at
SEED = 2**30  # of the samples that KID compares: far from those that previews show
FEWEST = 50  # items of a side that KID needs
NEUTRAL = ("train.", "data.", "model.net.")  # keys that leave the objective as it is


def held_out_loss(artifact: Artifact, dataset: Dataset, seed: int = 0) -> float:
    """The summed terms on the first validation items, the same rows and draws for every trial.

    It is taken at the end of training, where a weight that rises over the run has its full value.

    Raises:
        BadInput: Several players, whose losses say nothing alone.
    """
    model, valid = artifact.model, dataset.valid
    if len(model.players) > 1:
        raise BadInput(f"{artifact.name} has several players: no loss of theirs is a measure.")
    size = min(ROWS, len(valid))
    count, device = max(1, min(MOST, len(valid)) // size), device_of(model)
    total = 0.0
    with torch.random.fork_rng(devices=[]), torch.no_grad(), evaluating(model):
        torch.manual_seed(seed)
        for k in range(count):
            x, cond = encoded(artifact.codec, *valid.batch(k, size, 0)[:2])
            cond = {name: value.to(device) for name, value in cond.items()}
            for _, terms in model.losses(x.to(device), cond, END):
                total += sum(float(value) for value in terms.values()) / count
    return total


def held_out_distance(artifact: Artifact, dataset: Dataset) -> float:
    """KID of as many samples as validation items, in features trained on the training part.

    The samples are asked for under the conditions of those items.
    """
    n, model = min(MOST, len(dataset.valid)), artifact.model
    real, given, _ = dataset.valid.batch(0, n, 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)  # of holes
        given = completed(dataset.items, real, given)
    cond = {name: value for name, value in given.items() if name in model.conditions}
    seen = extractor(dataset.items, dataset.train)
    made = artifact.codec.decode(sample(model, n, cond, seed=SEED).cpu())
    return kid(seen(made), seen(real), id=seen.id).value


MEASURES: dict[Measure, Callable[[Artifact, Dataset], float]] = {
    "loss": held_out_loss,
    "kid": held_out_distance,
}


def choose(asked: Measure | None, plan: Plan, keys: Iterable[str]) -> Measure:
    """What is asked for, or else the measure that a search of these keys does not move itself.

    Raises:
        BadInput: The loss, of a family with several players; too few validation items.
    """
    players = len(plan.model.players)
    if asked == "loss" and players > 1:
        raise BadInput(
            f"{plan.recipe['model']['use']} has {players} players and no loss to compare: "
            "leave --measure out, or set it to kid."
        )
    beside = all(key.startswith(NEUTRAL) for key in keys)
    chosen = asked or ("loss" if players == 1 and beside else "kid")
    found, needed = len(plan.dataset.valid), {"loss": 1, "kid": FEWEST}[chosen]
    if found < needed:
        raise BadInput(
            f"the validation part has {found} items and {chosen} needs {needed}: bring more data, "
            "or set a larger share: --set data.valid=0.2"
        )
    return chosen


def words(measure: Measure, dataset: Dataset) -> str:
    """What a value is, for people."""
    n = min(MOST, len(dataset.valid))
    what = {"loss": "held-out loss", "kid": "KID"}[measure]
    return f"{what} of {n} validation items; the test part was not opened"
