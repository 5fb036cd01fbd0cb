"""What private training costs: Renyi divergences of its steps, and the epsilon they come to."""

from __future__ import annotations

import math
from functools import cache

from genloom.errors import BadInput

ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 512)
ACCOUNTANT = (
    "Renyi divergence of the Poisson-sampled Gaussian mechanism at integer orders "
    "(arXiv:1908.10530), converted by arXiv:1905.09982"
)


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


@cache
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
        raise BadInput(
            f"epsilon = {epsilon_} cannot be kept in {steps} steps: allow a larger one, or take "
            "fewer steps or smaller batches."
        )
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        if epsilon(middle, rate, steps, delta) > epsilon_:
            low = middle
        else:
            high = middle
    return high
