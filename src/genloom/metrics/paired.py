"""How near a result is to the one true picture, where every source has one.

Mean absolute difference and PSNR of the pixels, and a distance in the features of the extractor of
the verdict. Beside each stands what the source itself would score as the answer: identity, bicubic
enlargement, grey. A model that draws one of many good answers scores worse here than the mean of
all answers would: read these beside the measures of the whole set.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.metrics.estimate import Better, Estimate, enough
from genloom.metrics.extractor import Extractor

NEEDED = 10
DRAWS = 2000  # of the bootstrap
ROUNDING = 1 / 12  # mean square of what rounding to 8 bits leaves: no difference is told below it


def paired(
    made: Tensor,
    true: Tensor,
    trivial: Tensor,
    extractor: Extractor,
    hole: Tensor | None = None,
) -> list[Estimate]:
    """The measures of results beside the truth, with intervals over the items.

    Args:
        made: Results, uint8 (n, C, H, W).
        true: What they should be.
        trivial: The sources, shown as answers.
        extractor: Makes the features.
        hole: Where results may differ, bool (n, 1, H, W); elsewhere the truth takes their place and
            nothing is counted. None: everywhere.

    Raises:
        Refused: Fewer than `NEEDED` pairs.
    """
    enough("pairs", len(made), NEEDED)
    if hole is not None:
        made, trivial = torch.where(hole, made, true), torch.where(hole, trivial, true)
    where = "pixels in the hole, uint8" if hole is not None else "pixels, uint8"
    found = [_errors(x, true, hole) for x in (made, trivial)]
    (absolute, square), (plain_absolute, plain_square) = found
    features = extractor(true)
    far, plain_far = (apart(extractor(x), features) for x in (made, trivial))
    return [
        _estimate("pixel_difference", absolute, plain_absolute, where, "lower"),
        _estimate("psnr", decibels(square), decibels(plain_square), where, "higher", unit="dB"),
        _estimate(f"feature_distance[{extractor.name}]", far, plain_far, extractor.id, "lower"),
    ]


def _errors(x: Tensor, y: Tensor, hole: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean absolute and mean square difference of each item, (n,), on the scale 0 to 255."""
    counted = torch.ones_like(y[:, :1], dtype=torch.double) if hole is None else hole.double()
    counted = counted.expand(x.shape).flatten(1)
    error = (x.double() - y.double()).flatten(1)
    total = counted.sum(1).clamp(min=1)
    return (error.abs() * counted).sum(1) / total, (error.square() * counted).sum(1) / total


def decibels(square: Tensor) -> Tensor:
    """PSNR of mean square differences; equal pictures have that of rounding, 58.9 dB."""
    return 10 * (255**2 / square.clamp(min=ROUNDING)).log10()


def apart(x: Tensor, y: Tensor) -> Tensor:
    """Squared distance of features at unit length, in [0, 4]: (n, D), (n, D) -> (n,).

    Zhang et al., 2018 (arXiv:1801.03924), Eq. 1, with one layer, the last, and no learned weights:
    the extractor of a verdict was trained on these very data or is Inception.
    """
    x, y = (F.normalize(v.double(), dim=1) for v in (x, y))
    return (x - y).square().sum(1)


def bootstrap(values: Tensor) -> tuple[float, float]:
    """95 % interval of a mean over items, (n,), by the percentiles of resampled means."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(values), (DRAWS, len(values)), generator=generator)
    means = values[rows].mean(1).sort().values
    edge = math.floor(0.025 * DRAWS)
    return float(means[edge]), float(means[-1 - edge])


def _estimate(
    name: str, values: Tensor, trivial: Tensor, id: str, better: Better, unit: str = ""
) -> Estimate:
    low, high = bootstrap(values)
    value, plain = float(values.mean()), float(trivial.mean())
    n = len(values)
    return Estimate(name, value, low, high, n, id, better=better, unit=unit, trivial=plain)
