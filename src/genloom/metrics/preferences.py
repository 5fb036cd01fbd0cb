"""Preferences: of held-out pairs, is the chosen document likelier than the rejected one?

Both begin with the same prompt, which costs the same in either, so the answers alone decide. Long
answers are less likely than short ones whatever they say: a share is to be read against that of the
model which training began with.
"""

from __future__ import annotations

import tomllib

import torch
from torch import Tensor

from genloom.core import Codec, Condition, Likelihood
from genloom.errors import BadInput, Refused
from genloom.metrics.account import Trained
from genloom.metrics.estimate import Estimate, enough, wilson
from genloom.sampling import device_of, evaluating

CHANCE = 0.5
ID = "log-probability of the documents of held-out pairs"


def preferences(
    trained: Trained, chosen: Tensor, rejected: Tensor, cond: Condition, *, batch: int = 64
) -> list[Estimate]:
    """Of a trained model "preferred", and of its base, where it is there, "preferred_by_base".

    Args:
        trained: The model, its codec, and the run that knows its base.
        chosen: Held-out items as stored, (n, *shape).
        rejected: The other one of each pair, likewise.
        cond: Conditions of both, name -> (n, ...).
        batch: Items at a time.

    Raises:
        Refused: Fewer than 30 pairs, or a model without exact likelihoods.
    """
    pairs = chosen, rejected, cond
    found = [preferred(trained.model, trained.codec, *pairs, batch=batch)]
    if (base := _base(trained)) is not None:
        named = "preferred_by_base"
        found.append(preferred(base, trained.codec, *pairs, name=named, batch=batch))
    return found


def preferred(
    model: torch.nn.Module,
    codec: Codec,
    chosen: Tensor,
    rejected: Tensor,
    cond: Condition,
    *,
    name: str = "preferred",
    batch: int = 64,
) -> Estimate:
    """Share of pairs whose chosen document has the larger log-probability; see `preferences`."""
    if not isinstance(model, Likelihood) or model.likelihood != "exact":
        raise Refused(f"{name} compares exact likelihoods, and {type(model).__name__} has none.")
    n, device = len(chosen), device_of(model)
    enough(name, n, 30)
    right = 0
    with evaluating(model), torch.inference_mode():
        for rows in torch.arange(n).split(batch):
            known = {key: value[rows].to(device) for key, value in cond.items()}
            wanted, other = (
                model.log_prob(codec.encode(side[rows]).to(device), known)
                for side in (chosen, rejected)
            )
            right += int((wanted > other).sum())
    low, high = wilson(right, n)
    return Estimate(name, right / n, low, high, n, ID, "higher", trivial=CHANCE)


def _base(trained: Trained) -> torch.nn.Module | None:
    """What training began with, where it is there and reads what the model reads.

    The run alone knows where it lies.
    """
    from genloom.models import bases
    from genloom.models.autoregressive import Autoregressive

    run = trained.path.parent / "recipe.toml"
    source = tomllib.loads(run.read_text("utf-8"))["model"].get("base") if run.is_file() else None
    if not source or not isinstance(trained.model, Autoregressive):
        return None  # no other model begins with one
    try:
        return bases.read(source, trained.model).to(device_of(trained.model))
    except BadInput:
        return None
