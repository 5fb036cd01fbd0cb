"""One step of private training: which rows are in it, and the noisy mean of their gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genloom.core import Condition, Generative, Step
from genloom.errors import BadInput

START = Step(0, 1)

BatchNorm = nn.modules.batchnorm._BatchNorm


def check(model: Generative) -> None:
    """Refuse what cannot be trained so.

    Raises:
        BadInput: Several players, each of which would have to pay, or batch normalization.
    """
    if len(model.players) > 1:
        raise BadInput(
            f"{type(model).__name__} has {len(model.players)} players: private training counts the "
            "steps of one. Choose a family with one player, such as vae or flow."
        )
    mixing = [name for name, part in model.named_modules() if isinstance(part, BatchNorm)]
    if mixing:
        raise BadInput(
            f"{mixing[0]!r} normalizes over the batch, so a row's gradient depends on the others. "
            "Choose a net without batch normalization."
        )


def gradient(
    model: Generative,
    x: Tensor,
    cond: Condition,
    *,
    clip: float,
    noise: float,
    expected: float,
    step: Step = START,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """The noisy mean of clipped gradients, by parameter: (sum + noise * clip * eps) / expected.

    The divisor is the expected size of a batch, not its own: that would tell the batch's size.

    Args:
        model: One player, no batch normalization; see `check`.
        x: The rows that Poisson sampling chose, (B, *shape); B = 0 is noise alone.
        cond: Their conditions.
        clip: Largest L2 norm of one row's gradient, over all parameters.
        noise: Deviation of the noise in units of `clip`.
        expected: Rows that a batch has on average.
        step: Where training stands.
        generator: Of the noise. None takes a fresh one, seeded by the system: whoever knows the
            seed can subtract the noise, so a seed that is recorded beside the weights undoes the
            guarantee. It is for tests.
    """
    total, _ = clipped(model, x, cond, clip=clip, step=step)
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    for value in total.values():
        eps = torch.randn(value.shape, generator=generator).to(value)
        value.add_(eps, alpha=noise * clip).div_(expected)
    return total


def clipped(
    model: Generative, x: Tensor, cond: Condition, *, clip: float, step: Step = START
) -> tuple[dict[str, Tensor], Tensor]:
    """The sum of the rows' gradients, each scaled to an L2 norm of at most `clip`; no noise yet.

    One backward pass a row: exact for every model, and as much slower as that is. (The transforms
    of torch.func would be faster, but few nets here pass them: memory formats, autograd functions.)

    Returns:
        Parameter -> sum, and the norms before clipping, (B,). Neither is private.

    Raises:
        BadInput: See `check`; or a loss that changes a buffer of the model.
    """
    check(model)
    if not 0 < clip < math.inf:
        raise BadInput(f"clip = {clip}: it must be above 0.")
    moved = {name: p for name, p in model.named_parameters() if p.requires_grad}
    total = [torch.zeros_like(p) for p in moved.values()]
    held = {name: b.clone() for name, b in model.named_buffers()}
    norms: list[Tensor] = []
    for i in range(len(x)):
        row = {name: value[i : i + 1] for name, value in cond.items()}
        terms = [t for _, played in model.losses(x[i : i + 1], row, step) for t in played.values()]
        found = torch.autograd.grad(
            torch.stack(terms).sum(), list(moved.values()), allow_unused=True
        )
        pairs = [(sum_, grad) for sum_, grad in zip(total, found) if grad is not None]
        norm = torch.nn.utils.get_total_norm([grad for _, grad in pairs])
        norms.append(norm)
        if not norm.isfinite():
            continue  # counts as zero: else one row could ruin the weights, whatever the noise
        scale = float(clip / norm.clamp(min=clip))
        for sum_, grad in pairs:
            sum_.add_(grad, alpha=scale)
    for name, b in model.named_buffers():
        if not torch.equal(b, held[name]):
            raise BadInput(
                f"the loss of {type(model).__name__} writes what it sees of the data to {name!r}, "
                "where no noise protects it. Choose another family for private training."
            )
    return dict(zip(moved, total)), torch.stack(norms) if norms else torch.zeros(0)


def poisson(n: int, rate: float, generator: torch.Generator) -> Tensor:
    """Rows of a batch: each of n is in it with probability `rate`, on its own; (B,), B may be 0.

    This is the sampling that `epsilon` assumes. Fixed batches of a shuffled order are not it: their
    published bounds are weaker, and a figure of `epsilon` for them is no guarantee.
    """
    u = torch.rand(n, generator=generator, dtype=torch.float64)  # float32 has steps of 6e-8
    return (u < rate).nonzero()[:, 0]
