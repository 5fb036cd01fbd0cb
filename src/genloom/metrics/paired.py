"""How near a result is to the one true picture, where every source has one.

Mean absolute difference and PSNR of the pixels, a distance in the features of the extractor of the
verdict, and for pictures in colour the difference of their colours, whatever their lightness.
Beside each stands what the source itself would score as the answer: identity, bicubic enlargement,
grey. A model that draws one of many good answers scores worse here than the mean of all answers
would: read these beside the measures of the whole set.
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
PIECE = 64  # pictures whose colours are told at a time
XYZ = (  # of linear sRGB; IEC 61966-2-1, from its primaries and D65
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
KNEE = 6 / 29  # of CIE Lab: below its cube the cube root gives way to a line


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
    estimates = [
        _estimate("pixel_difference", absolute, plain_absolute, where, "lower"),
        _estimate("psnr", decibels(square), decibels(plain_square), where, "higher", unit="dB"),
        _estimate(f"feature_distance[{extractor.name}]", far, plain_far, extractor.id, "lower"),
    ]
    if true.shape[1] == 3:
        far, plain_far = (colours_apart(x, true, hole) for x in (made, trivial))
        id = f"a and b of CIE Lab, D65; {where}"
        estimates.append(_estimate("colour_difference", far, plain_far, id, "lower"))
    return estimates


def _errors(x: Tensor, y: Tensor, hole: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean absolute and mean square difference of each item, (n,), on the scale 0 to 255."""
    error = x.double() - y.double()
    return _mean(error.abs(), hole), _mean(error.square(), hole)


def _mean(values: Tensor, hole: Tensor | None) -> Tensor:
    """Of each item's places within the hole, or of all: (n, C, H, W) -> (n,)."""
    counted = torch.ones_like(values) if hole is None else hole.to(values).expand(values.shape)
    return (values * counted).flatten(1).sum(1) / counted.flatten(1).sum(1).clamp(min=1)


def colours_apart(x: Tensor, y: Tensor, hole: Tensor | None = None) -> Tensor:
    """How far colours are apart, whatever their lightness: the mean over the places of a picture.

    Args:
        x: uint8 (n, 3, H, W).
        y: The same shape.
        hole: What is counted, bool (n, 1, H, W); None: everything.

    Returns:
        Distances in a and b of CIE Lab, (n,); pure red is 104.6 from grey.
    """
    holes = [None] * len(x) if hole is None else hole.split(PIECE)
    parts = zip(x.split(PIECE), y.split(PIECE), holes)
    return torch.cat(
        [_mean((chroma(a) - chroma(b)).norm(dim=1, keepdim=True), h) for a, b, h in parts]
    )


def chroma(items: Tensor) -> Tensor:
    """Of CIE Lab, a and b: uint8 sRGB (n, 3, H, W) -> float64 (n, 2, H, W); grey has none.

    CIE 15:2004, section 8.2.1. White is what the matrix makes of it, so that grey is 0 exactly, but
    for rounding.
    """
    value = torch.arange(256, dtype=torch.double, device=items.device) / 255
    linear = torch.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)
    matrix = torch.tensor(XYZ, dtype=torch.double, device=items.device)
    share = torch.einsum("kc,nchw->nkhw", matrix / matrix.sum(1, keepdim=True), linear[items.int()])
    line = share / (3 * KNEE**2) + 4 / 29
    x, y, z = torch.where(share > KNEE**3, share.clamp(min=KNEE**3) ** (1 / 3), line).unbind(1)
    return torch.stack([500 * (x - y), 200 * (y - z)], 1)


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
