"""Sampling is iteration: follow `sample_steps` and keep the last value."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from genloom.core import Condition, Edits, Generative, Rng, check_options
from genloom.errors import BadInput
from genloom.memory import kept_pages


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights lie."""
    return next(model.parameters()).device


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode within this; each submodule's mode is put back afterwards."""
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def stream(
    model: Generative, seeds: Sequence[int], cond: Condition | None = None, **options: Any
) -> Iterator[Tensor]:
    """Yield ever better guesses at one sample per seed, (len(seeds), *space.shape).

    Stop iterating to cancel.

    Args:
        model: Any generative model.
        seeds: One per sample; sample i depends on seeds[i] and row i of cond alone.
        cond: Name -> (len(seeds), ...); {} or None hides every condition.
        options: Those of the model's `sample_steps`.

    Raises:
        BadInput: An option or a condition that the model does not have.
    """
    device = device_of(model)
    chosen = check_options(model.sample_steps, options)
    given = {name: value.to(device) for name, value in (cond or {}).items()}
    for name, value in given.items():
        if name.removeprefix("negative_") not in model.conditions:
            known = ", ".join(model.conditions) or "none"
            raise BadInput(f"the model has no condition {name!r}. It has: {known}.")
        if len(value) != len(seeds):
            raise BadInput(f"{name} has {len(value)} rows for {len(seeds)} samples.")
    with evaluating(model):
        steps = iter(model.sample_steps(Rng(seeds, device), given, **chosen))
        while True:
            with torch.inference_mode():
                x = next(steps, None)
            if x is None:
                return
            yield x


@kept_pages()
def edit(
    model: Generative,
    seeds: Sequence[int],
    cond: Condition,
    source: Tensor,
    mask: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """Change a datum once per seed, by a model that edits: (len(seeds), *space.shape).

    Args:
        model: One with `core.Edits`.
        seeds: One per result.
        cond: Name -> (len(seeds), ...).
        source: What is changed, (1, *space.shape).
        mask: True where it may change, (1, 1, *spatial); None: everywhere.
        options: Those of `sample_steps`, and `strength`.
    """
    assert isinstance(model, Edits), type(model).__name__
    device, n = device_of(model), len(seeds)
    known = {name: value.to(device) for name, value in cond.items()}
    same = source.expand(n, *source.shape[1:]).to(device)
    free = None if mask is None else mask.expand(n, *mask.shape[1:]).to(device)
    with evaluating(model), torch.inference_mode():
        guesses = model.edit_steps(Rng(seeds, device), known, same, free, **options)
        return deque(guesses, maxlen=1).pop()


@kept_pages()
def sample(
    model: Generative,
    n: int,
    cond: Condition | None = None,
    *,
    seed: int = 0,
    batch: int = 64,
    **options: Any,
) -> Tensor:
    """Draw n samples with the seeds seed, seed + 1, ...: (n, *space.shape).

    Args:
        model: Any generative model.
        n: How many.
        cond: Name -> (n, ...).
        seed: Of the first sample.
        batch: How many at a time; it changes speed and memory, not the samples.
        options: Those of the model's `sample_steps`.
    """
    if n < 1:
        raise BadInput(f"n = {n} samples: it must be at least 1.")
    parts = []
    with evaluating(model):  # once for all batches
        for start in range(0, n, batch):
            stop = min(start + batch, n)
            part = {name: value[start:stop] for name, value in (cond or {}).items()}
            guesses = stream(model, range(seed + start, seed + stop), part, **options)
            parts.append(deque(guesses, maxlen=1).pop())
    return torch.cat(parts)
