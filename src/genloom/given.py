"""Source pictures: what a model is given to make the datum from.

One table says which there are: derived from the datum (its grey, a small copy, the picture with a
hole) or a second picture that the data hold beside it. A source is a Real grid in [-1, 1] with the
spatial axes of the datum; a hidden row is NaN. Colorization, super-resolution, inpainting and
translation are rows of the table, not programs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core import Codec, Condition, Items, Real, Rng, uniform
from genloom.errors import BadInput, nearest

Draw = Callable[[int], Tensor]
"""How many numbers for each row -> uniform draws in [0, 1), (B, so many)."""

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow and `data.decode.conform` have it
DRAWS = 9  # numbers that one hole takes
SMALLEST, LARGEST = 0.25, 0.6  # side of a box, as shares of the picture's
KEPT = (0.4, 0.7)  # side of what an outer frame leaves, as shares
THICK = (0.06, 0.15)  # half the breadth of a stroke, as shares of the side


@dataclass(frozen=True)
class Kind:
    """One kind of source.

    Args:
        about: What it is, in words.
        channels: Of a datum with so many -> those of its source.
        make: uint8 pictures (B, C, H, W) and draws -> reals (B, channels, H, W).
        derived: Whether it is made of the datum itself; else the data hold it.
        enlarge: How a picture smaller than the datum is brought to its size.
    """

    about: str
    channels: Callable[[int], int]
    make: Callable[[Tensor, Draw], Tensor]
    derived: bool = True
    enlarge: str = "bicubic"


def unit(items: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1], as `codecs.Image` has it."""
    return items.to(torch.float32).div_(127.5).sub_(1)


def luminance(items: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) -> uint8 (B, 1, H, W)."""
    weights = torch.tensor(LUMA, device=items.device).view(1, 3, 1, 1)
    return (items * weights).sum(1, keepdim=True).round().byte()


def grey(items: Tensor, draw: Draw) -> Tensor:
    """The luminance, rounded to what a file holds: (B, 1, H, W)."""
    return unit(luminance(items))


def small(items: Tensor, draw: Draw, *, factor: int) -> Tensor:
    """Averaged over squares of `factor` pixels, rounded, and enlarged bicubically: (B, C, H, W)."""
    size = items.shape[-2:]
    reduced = F.interpolate(items.float(), [-(-side // factor) for side in size], mode="area")
    enlarged = F.interpolate(reduced.round(), size, mode="bicubic", align_corners=False)
    return unit(enlarged.clamp(0, 255))


def masked(items: Tensor, draw: Draw) -> Tensor:
    """With a random hole: (B, C + 1, H, W)."""
    return with_hole(items, holes(draw(DRAWS), *items.shape[-2:]))


def stored(items: Tensor, draw: Draw) -> Tensor:
    """A picture that the data hold, as it is."""
    return unit(items)


SOURCES: Mapping[str, Kind] = {
    "grey": Kind("its luminance", lambda c: 1, grey),
    "small2": Kind(
        "it at half the size", lambda c: c, partial(small, factor=2), enlarge="nearest-exact"
    ),
    "small4": Kind(
        "it at a quarter of the size",
        lambda c: c,
        partial(small, factor=4),
        enlarge="nearest-exact",
    ),
    "masked": Kind("it with a hole, and where that is", lambda c: c + 1, masked),
    "paired": Kind("the picture of the same name", lambda c: c, stored, derived=False),
    "unpaired": Kind("any picture of the other folder", lambda c: c, stored, derived=False),
}


def kind_of(name: str) -> Kind:
    """A row of the table.

    Raises:
        BadInput: There is no such source.
    """
    if name not in SOURCES:
        raise BadInput(f"given = {name!r} is no source{nearest(name, (*SOURCES, 'none'))}")
    return SOURCES[name]


def check(about: Items) -> None:
    """Refuse a source that these items cannot have.

    Raises:
        BadInput: They are no pictures, are grey already, or too small.
    """
    if about.given == "none":
        return
    if about.kind != "image":
        raise BadInput(f"given = {about.given!r} is for images, not {about.kind}: leave it out.")
    if about.given == "grey" and about.shape[0] != len(LUMA):
        raise BadInput("given = 'grey' needs colours, and these pictures have none: leave it out.")
    if kind_of(about.given).derived and min(about.shape[1:]) < 8:
        raise BadInput(f"given = {about.given!r} needs pictures of 8 pixels a side or more.")


def space(about: Items) -> Real:
    """Of the source of these items."""
    channels, *spatial = about.shape
    return Real((kind_of(about.given).channels(channels), *spatial))


def completed(about: Items, items: Tensor, cond: Condition, draw: Draw | None = None) -> Condition:
    """The conditions as a model sees them: with a source, where these items have one.

    Args:
        about: What one item is.
        items: As stored and augmented, (B, C, H, W).
        cond: What comes with them. A source in it is a stored picture, uint8 (B, C, H, W), or,
            as reals, what the model sees already.
        draw: Of holes; by `core.uniform` where it is left out.
    """
    if about.given == "none":
        return cond
    kind, own = kind_of(about.given), cond.get("source")
    if own is not None and own.is_floating_point():
        return cond
    picture = items if own is None else own
    how = draw or (lambda k: uniform(len(picture), k, device=picture.device))
    return {**cond, "source": kind.make(picture, how)}


def encoded(codec: Codec, items: Tensor, cond: Condition) -> tuple[Tensor, Condition]:
    """What a model learns from and is judged by: data in its space, and their conditions."""
    return codec.encode(items), completed(codec.items, items, cond)


def asked(
    about: Items, pictures: Tensor, seeds: Sequence[int], hole: Tensor | None = None
) -> Tensor:
    """The source of samples: (len(seeds), *space(about).shape), from pictures that somebody gives.

    Args:
        about: What the samples will be.
        pictures: uint8 (n, C, h, w), n being 1 or one each, grey or in colour, of any size; put
            through the derivation that training had. Reals are taken for what the model sees.
        seeds: Of the samples; a hole that is not given depends on them alone.
        hole: True where the samples may differ, (n, 1, H, W); for "masked" alone.

    Raises:
        BadInput: A shape or a type that is not so.
    """
    n, shape = len(seeds), space(about).shape
    if pictures.ndim != 4 or len(pictures) not in (1, n):
        raise BadInput(
            f"the source has the shape {tuple(pictures.shape)}: it must be (n, C, H, W), with n "
            f"1 or {n}, the number of samples."
        )
    if pictures.is_floating_point():
        if tuple(pictures.shape[1:]) != shape:
            raise BadInput(f"a source of reals must be (n, {', '.join(map(str, shape))}).")
        return pictures.expand(n, *shape)
    if pictures.dtype != torch.uint8:
        raise BadInput(f"the source is {pictures.dtype}: pictures are uint8, 0 to 255.")
    if hole is not None:
        _check_hole(about, hole, n)
    fitted = fit(pictures, about.shape, enlarge=kind_of(about.given).enlarge)
    if hole is not None:
        rows = max(len(fitted), len(hole))
        return with_hole(fitted.expand(rows, *about.shape), hole).expand(n, *shape)
    rng = Rng(seeds, fitted.device)
    every = fitted.expand(n, *about.shape)
    return completed(about, every, {"source": every}, lambda k: rng.uniform(k).float())["source"]


def _check_hole(about: Items, hole: Tensor, n: int) -> None:
    if about.given != "masked":
        raise BadInput(f"a mask is for models that were given 'masked', not {about.given!r}.")
    if hole.dtype != torch.bool or tuple(hole.shape[1:]) != (1, *about.shape[1:]):
        raise BadInput(
            f"the mask is {hole.dtype} of the shape {tuple(hole.shape)}: it must be bool, "
            f"(n, 1, {about.shape[1]}, {about.shape[2]})."
        )
    if len(hole) not in (1, n):
        raise BadInput(f"{len(hole)} masks for {n} samples: give one, or one each.")


def fit(pictures: Tensor, shape: Sequence[int], *, enlarge: str = "bicubic") -> Tensor:
    """Bring uint8 (n, c, h, w) to (n, *shape): the largest centred part of like form, resized.

    RGB becomes grey by luminance, grey RGB by repetition, as in data sets.
    """
    channels, height, width = shape
    if pictures.shape[1] not in (1, 3):
        raise BadInput(f"a picture has 1 or 3 channels, not {pictures.shape[1]}.")
    if pictures.shape[1] > channels:
        pictures = luminance(pictures)
    pictures = pictures.expand(-1, channels, -1, -1)
    h, w = pictures.shape[-2:]
    if (h, w) == (height, width):
        return pictures
    rows, columns = part_of((h, w), (height, width))
    top, left = (h - rows) // 2, (w - columns) // 2
    part = pictures[..., top : top + rows, left : left + columns].float()
    whole = height % rows == 0 and width % columns == 0
    mode = enlarge if whole else "bicubic"
    smooth = {"antialias": True, "align_corners": False} if mode == "bicubic" else {}
    resized = F.interpolate(part, (height, width), mode=mode, **smooth)
    return resized.clamp(0, 255).round().byte()


def part_of(size: Sequence[int], shape: Sequence[int]) -> tuple[int, int]:
    """The (height, width) of the largest part of a picture that has the form of a shape."""
    (h, w), (height, width) = size, shape
    scale = min(h / height, w / width)
    return max(1, round(scale * height)), max(1, round(scale * width))


def shown(about: Items, source: Tensor) -> Tensor:
    """Sources as pictures to look at, uint8 (B, C, H, W); holes are middle grey."""
    channels = about.shape[0]
    pictures = source[:, : min(channels, source.shape[1])].nan_to_num(0.0)
    return pictures.add(1).mul(127.5).round().clamp(0, 255).byte().expand(-1, channels, -1, -1)


def hole_of(about: Items, source: Tensor) -> Tensor | None:
    """Where a source has its hole, bool (B, 1, H, W); None for sources without."""
    return source[:, -1:] > 0.5 if about.given == "masked" else None


def with_hole(items: Tensor, hole: Tensor) -> Tensor:
    """Pictures that are 0 in the hole, and a last channel that is 1 there: (B, C + 1, H, W)."""
    hole = hole.expand(len(items), 1, *items.shape[-2:])
    return torch.cat([unit(items).masked_fill(hole, 0.0), hole.float()], 1)


def holes(u: Tensor, height: int, width: int) -> Tensor:
    """A box, a stroke, a half or an outer frame, drawn for each row: bool (B, 1, H, W).

    Args:
        u: Uniform draws, (B, DRAWS): the form, then what it is made of.
        height: Of the pictures.
        width: Of the pictures.
    """
    rows = ((torch.arange(height, device=u.device) + 0.5) / height).view(1, -1, 1)
    columns = ((torch.arange(width, device=u.device) + 0.5) / width).view(1, 1, -1)
    form, a, b, c, d, *rest = (part.view(-1, 1, 1) for part in u.unbind(1))
    box = _within(rows, columns, a, b, *(SMALLEST + (LARGEST - SMALLEST) * v for v in (c, d)))
    half = torch.where(a < 0.5, rows, columns) < 0.5
    frame = ~_within(rows, columns, a, b, *(KEPT[0] + (KEPT[1] - KEPT[0]) * v for v in (c, d)))
    stroke = _stroke(rows, columns, (a, b), (c, d), (rest[0], rest[1]), rest[2], rest[3])
    half = torch.where(b < 0.5, half, ~half)
    chosen = torch.where(form < 0.25, box, torch.where(form < 0.5, stroke, half))
    return torch.where(form >= 0.75, frame, chosen)[:, None]


def _within(
    rows: Tensor, columns: Tensor, top: Tensor, left: Tensor, high: Tensor, wide: Tensor
) -> Tensor:
    """A box of these sides at a place among those where it fits."""
    down, across = rows - top * (1 - high), columns - left * (1 - wide)
    return (down >= 0) & (down < high) & (across >= 0) & (across < wide)


def _stroke(
    rows: Tensor,
    columns: Tensor,
    start: tuple[Tensor, Tensor],
    bend: tuple[Tensor, Tensor],
    end: tuple[Tensor, Tensor],
    thick: Tensor,
    straight: Tensor,
) -> Tensor:
    """All places near a line with one bend; of a straight one the bend is its start."""
    bend = (
        torch.where(straight < 0.3, start[0], bend[0]),
        torch.where(straight < 0.3, start[1], bend[1]),
    )
    reach = THICK[0] + (THICK[1] - THICK[0]) * thick
    near = _distance(rows, columns, start, bend) < reach
    return near | (_distance(rows, columns, bend, end) < reach)


def _distance(
    rows: Tensor, columns: Tensor, a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]
) -> Tensor:
    """From the line between two points."""
    dy, dx = b[0] - a[0], b[1] - a[1]
    along = ((rows - a[0]) * dy + (columns - a[1]) * dx) / (dy * dy + dx * dx).clamp(min=1e-9)
    along = along.clamp(0, 1)
    return torch.hypot(rows - a[0] - along * dy, columns - a[1] - along * dx)
