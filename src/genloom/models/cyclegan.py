"""CycleGAN: translate between two sets of pictures, without pairs.

Zhu et al., 2017 (arXiv:1703.10593), Eq. 3 with the choices of section 4 and appendix 7.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn

from genloom.core import (
    Condition,
    Generative,
    Interval,
    Real,
    Rng,
    Space,
    Step,
    Terms,
    like,
    uniform,
)
from genloom.errors import BadInput
from genloom.models.adversarial import LOSSES, frozen
from genloom.models.pix2pix import Loss, Players, pictures_only
from genloom.nets.diffaug import Augment, augment
from genloom.nets.translator import given, source_of, translator_players

Side = Literal["target", "source"]
SIDES: tuple[Side, Side] = ("target", "source")


@final
class Pool(nn.Module):
    """Earlier samples, which a discriminator sees in place of half of the new ones.

    Shrivastava et al., 2017 (arXiv:1612.07828), section 2.3, in CycleGAN's form: a new picture is
    shown, or else changes places with one that is kept. All rows of a step look at the pool as it
    was before the step, and each draws its own place: so it does not matter into which micro-
    batches a step is split. Deviation: a place that is empty takes the picture and shows it, so
    that the pool fills in random order. With several processes each keeps a pool of its own rows.

    Args:
        places: Number of pictures.
        shape: Of one.
    """

    pictures: Tensor
    filled: Tensor

    def __init__(self, places: int, shape: tuple[int, ...]):
        super().__init__()
        self.register_buffer("pictures", torch.zeros(places, *shape))
        self.register_buffer("filled", torch.zeros(places, dtype=torch.bool))

    def draw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """New pictures -> what is shown, and the place that each one will take, -1 for none."""
        places = len(self.pictures)
        if not places:
            return x, torch.full((len(x),), -1)
        u = uniform(len(x), 2, device=x.device)
        place = (u[:, 0] * places).long().clamp(max=places - 1)
        filled = self.filled[place]
        old = filled & (u[:, 1] < 0.5)
        kept = self.pictures[place].to(x.dtype)
        shown = torch.where(like(old, x), kept, x, out=torch.empty_like(x))
        return shown, place.masked_fill(filled & ~old, -1)

    @torch.no_grad()
    def put(self, x: Tensor, place: Tensor) -> None:
        """Keep rows at their places, one after the other; to be called when all have drawn."""
        for row, k in zip(x, place.tolist()):
            if k >= 0:
                self.pictures[k] = row
                self.filled[k] = True


@final
class CycleGan(Generative):
    """Two generators that undo each other, and a discriminator for each side.

    The datum x is of the target side, the condition "source" of the other; the two are not pairs.
    Other conditions play no part, for what is known of x is not known of an unpaired source. A
    sample is a function of its source: the seed changes nothing.

    Args:
        space: One datum of the target side; with levels it lies in [-1, 1], and so do sources.
        conditions: "source", a grid of the datum's size.
        net: Makes (generator, discriminator) from (source, space, latent, conditions), once for
            each side, with no latent and no conditions.
        loss: "ls" least squares, as in the paper, "ns" non-saturating, "hinge".
        cycle: Weight of the mean absolute difference after a round trip. 5 is lambda = 10 there,
            for the least-squares loss of `adversarial.LOSSES` is half of the paper's.
        identity: Weight, in shares of `cycle`, of how far a generator changes pictures that are of
            its own side already; only where both sides have the same channels.
        pool: Earlier samples that are kept for each discriminator.
        augment: Of what the discriminators see; for data of two axes.

    Raises:
        BadInput: There is no source, or none of the datum's size; augmentation of no picture.
    """

    players = ("generators", "discriminators")
    averaged = ("generators",)
    needs: ClassVar[tuple[str, ...]] = ("source",)
    recommended: Mapping[str, Any] = {
        "optimizer": "adamw",
        "lr": 1e-3,
        "beta1": 0.5,
        "beta2": 0.99,
        "batch": 8,
        "clip": None,
        "ema": 0.10,
    }

    def __init__(
        self,
        space: Real,
        conditions: Mapping[str, Space],
        *,
        net: Players | None = None,
        loss: Loss = "ls",
        cycle: Annotated[float, Interval(ge=0)] = 5.0,
        identity: Annotated[float, Interval(ge=0)] = 0.5,
        pool: Annotated[int, Interval(ge=0)] = 50,
        augment: Augment = "none",
    ):
        super().__init__(space, conditions)
        pictures_only(augment, space)
        net = net or self.usual_net(space)
        other = source_of(space, conditions)
        source = Real(other.shape, other.levels or space.levels)
        toward = {"target": net(source, space, 0, {}), "source": net(space, source, 0, {})}
        self.generators = nn.ModuleDict({side: pair[0] for side, pair in toward.items()})
        self.discriminators = nn.ModuleDict({side: pair[1] for side, pair in toward.items()})
        shapes = {"target": space.shape, "source": source.shape}
        self.pools = nn.ModuleDict({side: Pool(pool, shape) for side, shape in shapes.items()})
        self.alike = space.shape == source.shape
        self.cycle, self.identity = cycle, identity if self.alike else 0.0
        self.augment: Augment = augment
        self.judge, self.please = LOSSES[loss]
        self.gap: Tensor | None = None

    @staticmethod
    def usual_net(space: Real) -> Players:
        """Halvings, residual blocks and doublings against a patch discriminator."""
        return translator_players

    def losses(self, x: Tensor, cond: Condition, step: Step) -> Iterator[tuple[str, Terms]]:
        """The generators' turn, the discriminators', then the pools take new samples in."""
        real: dict[Side, Tensor] = {"target": x, "source": cond["source"]}
        fake, terms = self._played(real)
        yield "generators", terms
        told, gaps, taken = {}, [], []
        for side in SIDES:
            pool = self.pools[side]
            assert isinstance(pool, Pool)
            shown, place = pool.draw(fake[side])
            both = torch.cat([self._seen(v) for v in (real[side], shown)])  # rows do not mix
            logits = self.discriminators[side](both, {})
            right, wrong = logits.chunk(2)
            told[f"discriminator_{side}"] = self.judge(right, wrong).mean()
            gaps.append((right.detach() - wrong.detach()).mean())
            taken.append((pool, fake[side], place))
        self.gap = torch.stack(gaps).mean()
        yield "discriminators", told
        for pool, rows, place in taken:
            pool.put(rows, place)

    def vitals(self) -> Mapping[str, Tensor]:
        """discriminator_gap: how far they told data from samples in the last step, in logits."""
        return {} if self.gap is None else {"discriminator_gap": self.gap}

    def sample_steps(
        self, rng: Rng, cond: Condition, *, toward: Side = "target"
    ) -> Iterator[Tensor]:
        """One guess: the given pictures, translated.

        Args:
            rng: One stream per sample; none is drawn from.
            cond: "source": the pictures.
            toward: Which side they are brought to; "source" takes pictures of the target side.

        Raises:
            BadInput: A picture is missing, or the sides have different channels.
        """
        if toward == "source" and not self.alike:
            raise BadInput(
                f"toward = 'source' gives grids that are not {self.space}: the two sides have "
                "different channels. Train the other direction with the two sides exchanged."
            )
        yield self._translate(toward, given(cond))

    def _translate(self, side: Side, picture: Tensor) -> Tensor:
        return self.generators[side](picture, None, {})

    def _seen(self, x: Tensor) -> Tensor:
        """Rows as a discriminator sees them."""
        return augment(x, self.augment)

    def _played(self, real: Mapping[Side, Tensor]) -> tuple[dict[Side, Tensor], Terms]:
        """Samples of both sides, detached, and the generators' terms."""
        fake: dict[Side, Tensor] = {}
        found: dict[str, list[Tensor]] = {"generator": [], "cycle": [], "identity": []}
        for side, other in (SIDES, SIDES[::-1]):
            if self.identity:  # in one pass: rows do not mix
                both = self._translate(side, torch.cat([real[other], real[side]]))
                fake[side], same = both.chunk(2)
                found["identity"].append((same - real[side]).abs().mean())
            else:
                fake[side] = self._translate(side, real[other])
            with frozen(self.discriminators):
                logits = self.discriminators[side](self._seen(fake[side]), {})
                found["generator"].append(self.please(None, logits).mean())
        for side, other in (SIDES, SIDES[::-1]):
            back = self._translate(side, fake[other])
            found["cycle"].append((back - real[side]).abs().mean())
        weights = {"generator": 1.0, "cycle": self.cycle, "identity": self.cycle * self.identity}
        terms = {k: weights[k] * torch.stack(v).sum() for k, v in found.items() if v}
        return {side: v.detach() for side, v in fake.items()}, terms
