"""The ladder: an extractor must rank known damage in the right order before it is believed.

Held-out items are damaged by noise, blur and missing modes, each weakly and strongly. In its
features, both must lie farther from the other held-out half than intact items do, strong damage
farther than weak; and a set with 5 % of training items must be told from one without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from genloom.core import Items
from genloom.metrics.copies import Nearness, copy_test, planted
from genloom.metrics.extractor import Extractor
from genloom.metrics.kid import kid


@dataclass(frozen=True)
class Rung:
    """One kind of damage: KID of intact, weakly and strongly damaged items, and the verdict."""

    damage: str
    values: tuple[float, ...]
    passed: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"damage": self.damage, "values": list(self.values), "passed": self.passed}


def climb(
    features: Extractor,
    reference: Tensor,
    held_out: Tensor,
    labels: Tensor | None,
    near: Sequence[Nearness] = (),
    *,
    seed: int = 0,
) -> list[Rung]:
    """Try an extractor on one data set.

    Args:
        features: The extractor.
        reference: Held-out items, (n, *shape).
        held_out: Other held-out items, (m, *shape); these are damaged.
        labels: Of the second, (m,), or None: then half of the items by their main direction stand
            for missing modes.
        near: Nearness in these features of the second and of the first, for the copies; or empty.
        seed: Of the noise.

    Raises:
        Refused: Too few items.
    """
    known, intact = features(reference), features(held_out)
    floor = kid(intact, known, id="").value

    def rung(damage: str, weak: Tensor, strong: Tensor) -> Rung:
        values = [floor, *(kid(features(x), known, id="").value for x in (weak, strong))]
        return Rung(damage, tuple(values), values[0] < values[1] < values[2])

    generator = torch.Generator().manual_seed(seed)
    items = features.items
    noise = rung("noise", *(_noise(held_out, items, s, generator) for s in (0.1, 0.3)))
    blur = rung("blur", *(_blur(held_out, items, s, generator) for s in (1, 2)))
    kept = _drop(intact, labels)
    values = (floor, *(kid(intact[rows], known, id="").value for rows in kept))
    rungs = [noise, blur, Rung("missing modes", values, values[0] < values[1] < values[2])]
    if len(near) == 2:
        rungs.append(_copies(near[0], near[1]))
    return rungs


def _copies(held_out: Nearness, reference: Nearness) -> Rung:
    """The p-values without and with 5 % of planted items: only the second may tell of copies."""
    found = [copy_test("", near, reference, held_out) for near in (held_out, planted(held_out))]
    passed = not found[0].copied and found[1].copied
    return Rung("copies", tuple(test.p_value for test in found), passed)


def _noise(x: Tensor, items: Items, strength: float, generator: torch.Generator) -> Tensor:
    """Normal noise of a share of the range; characters replaced at random."""
    if items.lexicon is not None:
        letters = items.lexicon.letters
        other = torch.randint(letters, x.shape, generator=generator).to(x.dtype)
        struck = torch.rand(x.shape, generator=generator) < strength
        return torch.where(struck & (x < letters), other, x)
    noise = torch.randn(x.shape, generator=generator) * strength
    if items.kind == "points":
        return x + noise * x.std(0)
    return (x.float() + 255 * noise).round().clamp(0, 255).to(torch.uint8)


def _blur(x: Tensor, items: Items, strength: int, generator: torch.Generator) -> Tensor:
    """Mean over a square window; points drawn to their centre; characters shuffled in a window."""
    if items.kind == "points":
        return torch.lerp(x, x.mean(0), 0.15 * strength)
    if items.kind == "text":
        return _shuffle(x, 1 + strength**2, items.end, generator)
    width = 2 * strength + 1
    most = min(x.shape[-2:]) - 1
    if width // 2 > most:
        return x.float().mean((-2, -1), keepdim=True).round().to(torch.uint8).expand_as(x)
    padded = F.pad(x.float(), (strength,) * 4, mode="replicate")
    return F.avg_pool2d(padded, width, 1).round().to(torch.uint8)


def _shuffle(x: Tensor, window: int, end: int | None, generator: torch.Generator) -> Tensor:
    place = torch.arange(x.shape[1]) // window + torch.rand(x.shape, generator=generator)
    if end is not None:
        place = place.masked_fill(x == end, torch.inf)
    return x.gather(1, place.argsort(1))


def _drop(features: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """Rows left when a few, and when half of the modes are missing."""
    if labels is not None and len(labels.unique()) >= 4:
        modes = labels.unique()
        few, half = modes[: max(1, len(modes) // 5)], modes[: len(modes) // 2]
        return ~torch.isin(labels, few), ~torch.isin(labels, half)
    centred = features - features.mean(0)
    main = torch.linalg.svd(centred, full_matrices=False).Vh[0]
    rank = (centred @ main).argsort().argsort().double() / len(features)
    return rank >= 0.2, rank >= 0.5
