"""pix2pix: translate a picture, from pairs; Isola et al., 2017 (arXiv:1611.07004), Eq. 4."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    hide,
    normal,
    uniform,
)
from genloom.errors import BadInput
from genloom.models.adversarial import LOSSES, frozen
from genloom.nets.diffaug import Augment, augment
from genloom.nets.translator import given, source_of, translator_players

Players = Callable[[Real, Real, int, Mapping[str, Space]], tuple[nn.Module, nn.Module]]
Loss = Literal["ns", "ls", "hinge"]  # those that judge each patch by itself


@final
class Pix2Pix(Generative):
    """A generator from source to x, near the truth in L1; patches of (x, source) are judged.

    Deviations: the noise is a vector that modulates every block, where the paper has dropout in
    training and in use: so a sample is a function of its source and its seed. The discriminator's
    loss is not halved, for Adam's steps do not depend on its scale.

    Args:
        space: One datum; with levels it lies in [-1, 1].
        conditions: "source", a grid of the datum's size; labels and real vectors beside it.
        net: Makes (generator, discriminator) from (source, space, latent, conditions).
        latent: Size of the noise. It makes a difference only as far as pairs leave room.
        loss: "ns" non-saturating, as in the paper, "ls" least squares, "hinge".
        pairs: Weight of the mean absolute difference from the truth (lambda there).
        augment: Of what the discriminator sees, x and source alike; for data of two axes.
        drop: Share of training rows whose other conditions are hidden.

    Raises:
        BadInput: There is no source, or none of the datum's size; augmentation of no picture.
    """

    players = ("discriminator", "generator")
    averaged = ("generator",)
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
        latent: Annotated[int, Interval(ge=1)] = 8,
        loss: Loss = "ns",
        pairs: Annotated[float, Interval(ge=0)] = 100.0,
        augment: Augment = "none",
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        pictures_only(augment, space)
        net = net or self.usual_net(space)
        source = source_of(space, conditions)
        self.generator, self.discriminator = net(source, space, latent, conditions)
        self.latent, self.pairs, self.drop = latent, pairs, drop
        self.augment: Augment = augment
        self.judge, self.please = LOSSES[loss]
        self.gap: Tensor | None = None

    @staticmethod
    def usual_net(space: Real) -> Players:
        """Halvings, residual blocks and doublings against a patch discriminator."""
        return translator_players

    def losses(self, x: Tensor, cond: Condition, step: Step) -> Iterator[tuple[str, Terms]]:
        """The discriminator's turn, then the generator's."""
        source = cond["source"]
        cond = {name: v for name, v in cond.items() if name != "source"}
        if cond and self.drop:
            cond = hide(cond, uniform(len(x), device=x.device) < self.drop)
        z = normal(len(x), self.latent, device=x.device)
        fake = self.generator(source, z, cond)
        real, wrong = (self._logits(v, source, cond) for v in (x, fake.detach()))
        self.gap = (real.detach() - wrong.detach()).mean()
        yield "discriminator", {"discriminator": self.judge(real, wrong).mean()}
        with frozen(self.discriminator):
            pleased = self.please(None, self._logits(fake, source, cond)).mean()
        yield "generator", {"generator": pleased, "pairs": self.pairs * (fake - x).abs().mean()}

    def vitals(self) -> Mapping[str, Tensor]:
        """discriminator_gap: how far it told data from samples in the last step, in logits."""
        return {} if self.gap is None else {"discriminator_gap": self.gap}

    def sample_steps(self, rng: Rng, cond: Condition) -> Iterator[Tensor]:
        """One guess: the source, translated.

        Raises:
            BadInput: A source is missing.
        """
        yield self.generator(given(cond), rng.normal(self.latent), cond)

    def _logits(self, x: Tensor, source: Tensor, cond: Condition) -> Tensor:
        """(B, patches); datum and source are moved as one picture."""
        both = augment(torch.cat([x, source], 1), self.augment)
        x, source = both.split([x.shape[1], source.shape[1]], 1)
        return self.discriminator(x, {**cond, "source": source})


def pictures_only(augment: Augment, space: Real) -> None:
    """Check that what is augmented has two axes.

    Raises:
        BadInput: It has not.
    """
    if augment != "none" and len(space.shape) != 3:
        raise BadInput(
            f"augment = {augment!r} moves pictures; this datum is {space.shape}. Set 'none'."
        )
