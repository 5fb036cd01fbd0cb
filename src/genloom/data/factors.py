"""Pictures whose causes are known: one shape at every size, turn and place, 32x32, grey.

For measures of disentanglement, after dSprites (Matthey et al., 2017), smaller: each combination of
five factors once. Deviation: turns stay below a right angle, so that no two of them look alike.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

SHAPES = ("ellipse", "square", "triangle")
COUNTS = {"shape": 3, "scale": 4, "rotation": 8, "x": 8, "y": 8}
"""Factor -> number of its values, the last one varying fastest."""

SIZE = 32
_RADII = (5.0, 9.0)  # of the smallest and the largest shape, in pixels
_REACH = 6.0  # of the centres from the middle, in pixels


def table() -> Tensor:
    """The factors of all pictures in their order, int64 (6144, 5)."""
    return torch.cartesian_prod(*(torch.arange(count) for count in COUNTS.values()))


def draw() -> tuple[np.ndarray, np.ndarray]:
    """All pictures, uint8 (6144, 1, 32, 32), and their factors, int64 (6144, 5)."""
    factors = table()
    images = torch.cat([_drawn(part) for part in factors.split(512)])
    return images.numpy(), factors.numpy()


def _drawn(factors: Tensor) -> Tensor:
    """Pictures of factors (n, 5): uint8 (n, 1, 32, 32)."""
    shape, scale, turn, x, y = factors[:, :, None, None].unbind(1)
    radius = _between(*_RADII, scale, "scale")
    angle = turn * (math.pi / 2 / COUNTS["rotation"])
    at = torch.arange(SIZE) + 0.5 - SIZE / 2
    across = at[None, None] - _between(-_REACH, _REACH, x, "x")
    down = at[None, :, None] - _between(-_REACH, _REACH, y, "y")
    u = (angle.cos() * across + angle.sin() * down) / radius
    v = (angle.cos() * down - angle.sin() * across) / radius
    outside = torch.where(shape == 0, _ellipse(u, v), _square(u, v))
    outside = torch.where(shape == 2, _triangle(u, v), outside)
    ink = (0.5 - outside * radius).clamp(0, 1)  # an edge is a pixel wide
    return (255 * ink[:, None]).round().byte()


def _between(low: float, high: float, value: Tensor, factor: str) -> Tensor:
    return low + (high - low) * value / (COUNTS[factor] - 1)


# Distances from an outline within the unit circle, negative inside.


def _ellipse(u: Tensor, v: Tensor) -> Tensor:
    """Half as high as wide; to first order."""
    g = torch.hypot(u, 2 * v)
    return (g - 1) * g / torch.hypot(u, 4 * v).clamp(min=1e-6)


def _square(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(u.abs(), v.abs()) - math.sqrt(0.5)


def _triangle(u: Tensor, v: Tensor) -> Tensor:
    """Isosceles, its tip at (0, -1), its base from (-0.8, 0.6) to (0.8, 0.6)."""
    side = (2 * u.abs() - v - 1) / math.sqrt(5)
    return torch.maximum(side, v - 0.6)
