"""Differentially private training: gradients of single rows, clipped, summed, with noise on top.

Abadi et al., Deep learning with differential privacy, 2016 (arXiv:1607.00133), Alg. 1. What it
costs is counted by Renyi differential privacy: Mironov, Talwar and Zhang, 2019 (arXiv:1908.10530).
The guarantee is about adding or removing one row, and it holds for the weights alone, of models
whose loss of a row looks at no other row. It does not cover what else reads the data: `prepare`,
logged losses, previews, gradient norms, a choice among several trainings, or the validation part.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genloom.core import Condition, Generative, Step
from genloom.errors import BadInput

ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 512)
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
        scale = float(clip / norm.clamp(min=clip))
        for sum_, grad in pairs:
            sum_.add_(grad, alpha=scale)
        norms.append(norm)
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
    return (torch.rand(n, generator=generator) < rate).nonzero()[:, 0]


def epsilon(noise: float, rate: float, steps: int, delta: float) -> float:
    """The epsilon of (epsilon, delta)-differential privacy after so many steps.

    The conversion is that of Balle et al., 2020 (arXiv:1905.09982), Theorem 21. Only integer orders
    are tried: valid, and up to about a tenth larger than what fractional ones give at low noise.

    Args:
        noise: See `gradient`.
        rate: Chance of a row to be in a batch, in [0, 1]; see `poisson`.
        steps: Updates.
        delta: Chance that the bound fails; well below 1 / rows.

    Raises:
        BadInput: A value out of its range.
    """
    if not (noise >= 0 and 0 <= rate <= 1 and steps >= 0 and 0 < delta < 1):
        raise BadInput(
            f"noise = {noise}, rate = {rate}, steps = {steps}, delta = {delta}: noise and steps "
            "must be at least 0, rate in [0, 1], delta between 0 and 1."
        )
    if steps == 0 or rate == 0:
        return 0.0
    if noise == 0:
        return math.inf
    found = [
        steps * renyi(noise, rate, order)
        + math.log1p(-1 / order)
        - math.log(delta * order) / (order - 1)
        for order in ORDERS
    ]
    return max(0.0, min(found))


def renyi(noise: float, rate: float, order: int) -> float:
    """Renyi divergence of one step of the sampled Gaussian mechanism, at an integer order.

    Mironov et al., 2019, section 3.3: log A(order) / (order - 1), with
    A = sum_k binomial(order, k) (1 - rate)^(order - k) rate^k exp((k^2 - k) / (2 noise^2)).
    """
    if rate == 1:
        return order / (2 * noise**2)
    logs = [
        math.lgamma(order + 1)
        - math.lgamma(k + 1)
        - math.lgamma(order - k + 1)
        + (order - k) * math.log1p(-rate)
        + k * math.log(rate)
        + (k * k - k) / (2 * noise**2)
        for k in range(order + 1)
    ]
    top = max(logs)
    return (top + math.log(math.fsum(math.exp(v - top) for v in logs))) / (order - 1)


def noise_for(epsilon_: float, rate: float, steps: int, delta: float) -> float:
    """The least noise, to one part in a thousand, that keeps a run within an epsilon.

    Raises:
        BadInput: An epsilon that is not above 0, or so small that noise of 10,000 exceeds it.
    """
    low, high = 1e-2, 1e4
    if not epsilon_ > 0 or epsilon(high, rate, steps, delta) > epsilon_:
        raise BadInput(f"epsilon = {epsilon_} cannot be kept in {steps} steps: allow a larger one.")
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        if epsilon(middle, rate, steps, delta) > epsilon_:
            low = middle
        else:
            high = middle
    return high
