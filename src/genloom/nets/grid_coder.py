"""A fully convolutional encoder and decoder: a datum to a coarser grid of features, and back.

van den Oord et al., 2017 (arXiv:1711.00937), section 4.1: strided 4-wide convolutions, then
residual blocks of a 3-wide and a 1-wide one; the decoder is the mirror. Deviation: SiLU for ReLU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Annotated, final

from torch import Tensor, nn

from genloom.core import Interval, Real
from genloom.errors import BadInput
from genloom.nets.conv import Conv, double, half

GridCoder = Callable[[Real, int, int], tuple[nn.Module, nn.Module]]
"""(space, channels that the encoder gives, channels that the decoder takes) -> (encoder, decoder),
each from (B, C, *spatial) to the same number of axes; every axis of the grid is coarser by one and
the same factor."""


@final
class Residual(nn.Module):
    """x + conv1(act(conv3(act(x))))."""

    def __init__(self, axes: int, width: int, hidden: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.SiLU(),
            Conv[axes](width, hidden, 3, padding=1),
            nn.SiLU(),
            Conv[axes](hidden, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, *spatial) -> the same."""
        return x + self.body(x)


def grid_coder(
    space: Real,
    out: int,
    features: int,
    *,
    down: Annotated[int, Interval(ge=2, le=64)] = 4,
    width: Annotated[int, Interval(ge=2)] = 64,
    hidden: Annotated[int, Interval(ge=1)] = 64,
    blocks: Annotated[int, Interval(ge=0)] = 2,
) -> tuple[nn.Sequential, nn.Sequential]:
    """An encoder (B, C, *spatial) -> (B, out, *spatial / down), and a decoder of `features` back.

    Args:
        space: One datum, (C, *spatial), 1 to 3 axes, each a multiple of `down`.
        out: Channels that the encoder gives.
        features: Channels that the decoder takes.
        down: How many places of an axis become one: a power of two.
        width: Channels of the coarse grid; half of them at all finer ones.
        hidden: Channels between the two convolutions of a residual block.
        blocks: Residual blocks in each net.

    Raises:
        BadInput: The space has no axes, or they cannot be divided so.
    """
    channels, *spatial = space.shape
    axes, times = len(spatial), down.bit_length() - 1
    if down != 2**times:
        raise BadInput(f"down = {down} is no power of two. Choose 2, 4, 8 or 16.")
    if not spatial or any(n % down for n in spatial):
        raise BadInput(
            f"grid_coder needs axes that are multiples of down = {down}; this datum is "
            f"{space.shape}. Resize it, or choose another down."
        )
    widths = [width // 2] * (times - 1) + [width]
    shrink: list[nn.Module] = []
    for c_in, c_out in pairwise([channels, *widths]):
        shrink += [half(axes, c_in, c_out), nn.SiLU()]
    shrink[-1] = Conv[axes](width, width, 3, padding=1)
    grow: list[nn.Module] = []
    for c_in, c_out in pairwise([*reversed(widths), channels]):
        grow += [nn.SiLU(), double(axes, c_in, c_out)]

    def middle() -> list[nn.Module]:
        return [Residual(axes, width, hidden) for _ in range(blocks)]

    encoder = nn.Sequential(*shrink, *middle(), nn.SiLU(), Conv[axes](width, out, 1))
    decoder = nn.Sequential(Conv[axes](features, width, 3, padding=1), *middle(), *grow)
    return encoder, decoder


def usual_coder(space: Real) -> GridCoder:
    """Coarser by four where that leaves four places of every axis, else by two."""
    four = all(n % 4 == 0 and n >= 16 for n in space.shape[1:])
    return grid_coder if four else partial(grid_coder, down=2)
