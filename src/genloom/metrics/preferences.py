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
    models = {"preferred": trained.model, "preferred_by_base": _base(trained)}
    return [
        preferred(model, trained.codec, chosen, rejected, cond, name=name, batch=batch)
        for name, model in models.items()
        if model is not None
    ]


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
    """What training began with; the run alone knows where that lies."""
    from genloom import artifact

    run = trained.path.parent / "recipe.toml"
    source = tomllib.loads(run.read_text("utf-8"))["model"].get("base") if run.is_file() else None
    try:
        return source and artifact.load(source, device=str(device_of(trained.model))).model
    except BadInput:
        return None
