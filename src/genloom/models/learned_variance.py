"""A reverse process whose variance is learned, between the two that suit extreme data.

Nichol and Dhariwal, 2021 (arXiv:2102.09672), Eq. 15 and 16. Their chain keeps the variance of the
noisy datum at 1; here x = y + sigma noise, so that the step from level s to t < s has the mean
D + (t / s)^2 (x - D) and a variance between

    lower = t^2 (s^2 - t^2) / s^2                   ("beta tilde"): right for data of one point;
    upper = (s^2 - t^2) (c^2 + t^2) / (c^2 + s^2)   ("beta"): right for normal data of deviation c.

Both are theirs, divided by "alpha bar" at t. For normal data of any deviation the right variance
lies between them, and then the bound of the chain is tight however few its steps are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple, final, get_args

import torch
from torch import Tensor

from genloom import schedules
from genloom.core import like
from genloom.errors import BadInput
from genloom.models.bound import Ends, prior
from genloom.schedules import LawName, TableName

HYBRID = 0.001  # weight of the variational bound beside the error, Eq. 16

Guess = tuple[Tensor, Tensor]  # D(x; sigma), and v, which says where the variance lies
Guesses = Callable[[Tensor, Tensor], Guess]  # (B, *shape), sigma (B,) -> of x's shape each


@final
class Chain(NamedTuple):
    """The levels between which a reverse process steps.

    Args:
        levels: Sigma of each row of a table, rising, (T,).
        std: Standard deviation of the data, broadcastable to them.
    """

    levels: Tensor
    std: Tensor

    def log_variance(self, v: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """Of a step from s to t, broadcastable to v: (B, *shape), Eq. 15.

        v is -1 at the lower and 1 at the upper variance, as in the authors' code, where Eq. 15 has
        0 and 1: a net that has learned nothing begins in the middle of the logarithms. The step to
        0 has a lower variance of 0, whose logarithm is that of the step before, likewise.
        """
        lower = self._lower(s, t).log()
        upper = ((s - t) * (s + t) * (self.std**2 + t**2) / (self.std**2 + s**2)).log()
        return lower + (v + 1) / 2 * (upper - lower)

    def _lower(self, s: Tensor, t: Tensor) -> Tensor:
        first, second = self.levels[:2].tolist()
        last = first**2 * (1 - (first / second) ** 2)
        return torch.where(t > 0, t**2 * (s - t) * (s + t) / s**2, last)

    def surprise(self, y: Tensor, guess: Guess, s: Tensor, t: Tensor, levels: int | None) -> Tensor:
        """Nats that a step costs, of y's shape: L_(t-1) of their Eq. 5, and at t = 0 their L_0.

        Args:
            y: The datum, (B, *shape).
            guess: D and v for it at level s.
            s: Where the step begins, (B, 1, ...).
            t: Where it ends.
            levels: Data take that many values in [-1, 1]; None: the last step has a density.
        """
        d, v = guess
        log_var = self.log_variance(v, s, t)
        lower = self._lower(s, t)
        gap = (1 - (t / s) ** 2) * (y - d)
        step = (log_var - lower.log() + (lower + gap**2) * (-log_var).exp() - 1) / 2
        return torch.where(t > 0, step, -_log_normal(y, d, log_var, levels))

    def term(self, y: Tensor, guess: Guess, u: Tensor, levels: int | None) -> Tensor:
        """What is added to the error in training: Eq. 16, of the whole chain's bits per dimension.

        D must be cut off from the gradient, as theirs is: the bound teaches the variance alone.

        Args:
            y: The datum, (B, *shape).
            guess: D and v for it.
            u: What chose the level that they are for, in [0, 1), (B,).
            levels: As for `surprise`.
        """
        s, t = self.at(y, schedules.rows(len(self.levels), u))
        nats = self.surprise(y, guess, s, t, levels).mean()
        return HYBRID * len(self.levels) / math.log(2) * nats

    def at(self, x: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        """Levels s and t of the steps that begin at rows (B,) of the table: (B, 1, ...)."""
        table = self.levels.to(x)
        before = torch.cat([table.new_zeros(1), table])
        return like(table[row], x), like(before[row], x)


def check(law: LawName | None) -> None:
    """Refuse a law without betas; None is none that asks for a variance.

    Raises:
        BadInput: The law is no table.
    """
    if law is not None and not schedules.is_table(law):
        raise BadInput(
            f'variance = "learned" lies between those of a table of betas, and the law {law} is '
            f"none. Set law to {' or '.join(get_args(TableName))}."
        )


def chain(law: LawName, scale: float, std: Tensor) -> Chain:
    """The chain of a table, for data of deviation `scale` over all channels."""
    assert schedules.is_table(law), law
    return Chain(schedules.table(law) * scale, std)


def _log_normal(y: Tensor, mean: Tensor, log_var: Tensor, levels: int | None) -> Tensor:
    """Of the density, or of the mass between the middles of the levels; the ends are open."""
    if levels is None:
        return -((y - mean) ** 2 * (-log_var).exp() + log_var + math.log(2 * math.pi)) / 2
    half, scale = 1 / (levels - 1), (-log_var / 2).exp().double()
    low = torch.where(y < -1 + half, -math.inf, (y - half - mean) * scale)
    high = torch.where(y > 1 - half, math.inf, (y + half - mean) * scale)
    flip = low + high > 0  # the tail where logarithms tell the two apart
    low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
    low, high = torch.special.log_ndtr(low), torch.special.log_ndtr(high)
    return (high + torch.log(-torch.expm1((low - high).clamp(max=-1e-15)))).to(y.dtype)


def ancestral(
    guesses: Guesses,
    x: Tensor,
    sigmas: Tensor,
    noise: Callable[[], Tensor],
    chain: Chain,
    *,
    eta: float = 1.0,
) -> Iterator[Tensor]:
    """Yield the denoised guess of each step; `solvers.ancestral` with the learned variance.

    Args:
        guesses: D and v.
        x: Start, with noise of deviation sigmas[0].
        sigmas: Decreasing, 0 at the end.
        noise: Draws a standard normal of x's shape.
        chain: Whose variance was learned; steps over several of its rows take v for their own.
        eta: Share of the fresh noise, in [0, 1].
    """
    for s, t in pairwise(sigmas.tolist()):
        d, v = guesses(x, x.new_full((len(x),), s))
        yield d
        if t > 0:
            fixed = eta * t * math.sqrt(1 - (t / s) ** 2)
            log_var = chain.log_variance(v, *(x.new_tensor(level) for level in (s, t)))
            mean = torch.lerp(d, x, math.sqrt(t**2 - fixed**2) / s)
            x = mean + eta * (log_var / 2).exp() * noise()


def bound(
    guesses: Guesses,
    x: Tensor,
    chain: Chain,
    mean: Tensor,
    *,
    levels: int | None,
    draws: int,
    generator: torch.Generator,
) -> Tensor:
    """The lower bound of the chain on log p(x), in nats, (B,); unbiased in the draws.

    Args:
        guesses: D and v.
        x: (B, *shape).
        chain: All its steps count; `draws` of them are evaluated, and the last one always.
        mean: Of the data, broadcastable to them.
        levels: Data take that many values, equally spaced over [-1, 1]: the bound is of a mass.
            None: it is of a density.
        draws: Steps that are evaluated, stratified over ln(sigma).
        generator: Of all noise; on the CPU.
    """

    def cost(row: Tensor) -> Tensor:
        s, t = chain.at(x, row)
        noisy = x + s * torch.randn(x.shape, generator=generator).to(x)
        return chain.surprise(x, guesses(noisy, s.flatten()), s, t, levels).flatten(1).sum(1)

    weight = chain.levels.double().cpu().log().diff()
    weight = weight / weight.sum()  # chance of rows 1, 2, ...
    total = cost(torch.zeros(len(x), dtype=torch.long, device=x.device))
    for i in range(draws):
        u = (i + torch.rand(len(x), generator=generator, dtype=torch.float64)) / draws
        row = torch.searchsorted(weight.cumsum(0), u).clamp(max=len(weight) - 1)
        total += cost((row + 1).to(x.device)) / (draws * weight[row]).to(x)
    ends = Ends(mean, chain.std, float(chain.levels[0]), float(chain.levels[-1]))
    return -total - prior(x, ends)
