"""What a net predicts: five targets that all give the same denoiser.

With unit-variance data y and unit noise n, the noisy datum is x = y + r n. A net reads z = c x and
predicts a linear mixture of y and n; the denoised datum D is a linear mixture of z and what it
predicts. Salimans and Ho, 2022 (arXiv:2202.00512); Karras et al., 2022 (arXiv:2206.00364), Table 1;
Lipman et al., 2022 (arXiv:2210.02747).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from genloom import schedules
from genloom.errors import BadInput
from genloom.schedules import LawName

TargetName = Literal["flow", "edm", "v", "eps", "x0"]
WeightName = Literal["target", "min-snr"]


class Target(NamedTuple):
    """What a net reads and predicts at a level r, and what D is then."""

    scale: Tensor  # z = scale * x
    of_datum: Tensor  # the net predicts of_datum * y + of_noise * n
    of_noise: Tensor
    from_input: Tensor  # D = from_input * z + from_net * prediction
    from_net: Tensor


def flow(r: Tensor) -> Target:
    """Velocity n - y of the straight path z = (1 - t) y + t n."""
    t = r / (1 + r)
    one = torch.ones_like(r)
    return Target(1 - t, -one, one, one, -t)


def eps(r: Tensor) -> Target:
    """The noise; variance-preserving z = a y + b n."""
    a, _ = _preserving(r)
    return Target(a, torch.zeros_like(r), torch.ones_like(r), 1 / a, -r)


def x0(r: Tensor) -> Target:
    """The datum."""
    a, _ = _preserving(r)
    one, zero = torch.ones_like(r), torch.zeros_like(r)
    return Target(a, one, zero, zero, one)


def v(r: Tensor) -> Target:
    """The velocity a n - b y of the circular path."""
    a, b = _preserving(r)
    return Target(a, -b, a, a, -b)


def edm(r: Tensor) -> Target:
    """F of Karras et al., 2022, Table 1: for unit-variance data it is -v."""
    a, b = _preserving(r)
    return Target(a, b, -a, a, b)


def min_snr(target: Target, r: Tensor, *, gamma: float = 5.0) -> Tensor:
    """Weight of the squared error of what a net predicts, so that the datum's has min(SNR, gamma).

    Hang et al., 2023 (arXiv:2303.09556), section 3.4, for every target at once: an error of the
    prediction is `from_net` times as large in D, and the signal-to-noise ratio is 1 / r^2. For
    the noise that gives their min(SNR, gamma) / SNR, for v min(SNR, gamma) / (SNR + 1).
    """
    return target.from_net.square() * r.pow(-2).clamp(max=gamma)


def check(target: TargetName, law: LawName) -> None:
    """Refuse a target that says nothing at a level that the law has.

    Raises:
        BadInput: The noise, where there is nothing but noise.
    """
    if target == "eps" and schedules.is_zero(law):
        raise BadInput(
            f"target = eps cannot be learned at the law {law}: where there is noise alone, the "
            "noise does not tell the datum. Set target = v."
        )


def _preserving(r: Tensor) -> tuple[Tensor, Tensor]:
    a = (1 + r.square()).rsqrt()
    return a, r * a


TARGETS: Mapping[TargetName, tuple[Callable[[Tensor], Target], LawName]] = {
    "flow": (flow, "uniform"),
    "edm": (edm, "edm"),
    "v": (v, "cosine"),
    "eps": (eps, "linear"),
    "x0": (x0, "cosine"),
}
"""Name -> the target, and the noise law that it is usually trained with."""
