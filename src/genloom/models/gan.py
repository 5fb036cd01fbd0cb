"""Generative adversarial networks: one game, six losses, four penalties.

The default is the relativistic pairing loss with both zero-centred penalties (R3GAN; Huang et al.,
2024, arXiv:2501.05441, section 2). The named GANs of the literature are in `gan_presets`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, final

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
from genloom.models.adversarial import (
    LOSSES,
    Tally,
    certainty,
    clip,
    frozen,
    one_centred,
    overlap,
    zero_centred,
)
from genloom.nets.adaptive import EVERY, Adaptive
from genloom.nets.dense import Projection, mlp_players
from genloom.nets.diffaug import Augment, augment
from genloom.nets.r3gan import r3_players
from genloom.nets.spectral import iterate

Players = Callable[[Real, int, Mapping[str, Space]], tuple[nn.Module, nn.Module]]
Loss = Literal["rp", "ns", "mm", "hinge", "ls", "wgan"]
Penalty = Literal["r1r2", "r1", "gp", "clip", "none"]
WHOLE = 6.0  # a truncation at which nothing is cut: one normal number in 5e8 lies beyond


@final
class Gan(Generative):
    """A generator that learns from a discriminator; Goodfellow et al., 2014 (arXiv:1406.2661).

    In a step where the generator plays, its samples serve both players: the discriminator sees them
    detached, and the generator's turn reuses their graph, for its weights have not changed since.

    Args:
        space: One datum; with levels it lies in [-1, 1].
        conditions: Labels and real vectors, for both players.
        net: Makes (generator, discriminator) from (space, latent, conditions); None is a small
            residual pair for a grid, an MLP pair otherwise.
        latent: Size of the generator's noise; None: as the datum's, at most 64. A plane of points
            is easier to cover from a plane of noise than from 64 dimensions.
        loss: "rp" relativistic pairs, "ns" non-saturating, "mm" minimax (saturating), "hinge",
            "ls" least squares, "wgan".
        penalty: "r1r2" on data and samples, "r1" on data, "gp" between them, "clip" for weights
            within `bound` after each update (Arjovsky et al., 2017, Alg. 1), or "none".
        gamma: Weight of the penalty at the end of the run. None: 10 for "gp", else 1 for grids
            and 0.02 without axes.
        burn_in: Share of the run over which gamma of R1 and R2 falls from ten times its value,
            along a cosine (R3GAN, appendix D, in shares of the run).
        turns: Steps, each on new data, from one turn of the generator to the next.
        lazy: Steps from one penalty to the next, each with that many times the weight (Karras et
            al., 2019, arXiv:1912.04958, section 3.1): cheaper steps.
        bound: Of the discriminator's weights, for "clip".
        augment: Of what the discriminator sees; for data of two axes.
        adaptive: None: every row is augmented. Else the target, such as 0.6, of the mean sign of
            the discriminator on data: augmentation becomes likelier while it is exceeded.
        orthogonal: Weight of the overlap of the generator's filters (BigGAN, Eq. 3); 1e-4 there.
        drop: Share of training rows whose conditions are hidden; above 0 it can sample without.

    Raises:
        BadInput: Augmentation of what is no picture, or adaptation of none.
    """

    players = ("discriminator", "generator")
    averaged = ("generator",)
    recommended: Mapping[str, Any] = {
        "optimizer": "adamw",
        "lr": 2e-3,
        "beta1": 0.0,
        "beta2": 0.99,
        "batch": 64,
        "clip": None,
        "ema": 0.10,
    }

    def __init__(
        self,
        space: Real,
        conditions: Mapping[str, Space],
        *,
        net: Players | None = None,
        latent: Annotated[int | None, Interval(ge=1)] = None,
        loss: Loss = "rp",
        penalty: Penalty = "r1r2",
        gamma: Annotated[float | None, Interval(ge=0)] = None,
        burn_in: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        turns: Annotated[int, Interval(ge=1)] = 1,
        lazy: Annotated[int, Interval(ge=1)] = 1,
        bound: Annotated[float, Interval(ge=0)] = 0.01,
        augment: Augment = "none",
        adaptive: Annotated[float | None, Interval(ge=-1, le=1)] = None,
        orthogonal: Annotated[float, Interval(ge=0)] = 0.0,
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        axes = len(space.shape) - 1
        _check_augment(augment, adaptive, space)
        latent = latent or min(64, math.prod(space.shape))
        net = net or self.usual_net(space)
        self.generator, self.discriminator = net(space, latent, conditions)
        self.latent, self.penalty, self.turns = latent, penalty, turns
        self.augment: Augment = augment
        self.adaptive = None if adaptive is None else Adaptive(augment, adaptive)
        self.signs = None if adaptive is None else Tally(1)
        self.burn_in, self.lazy, self.drop = burn_in, lazy, drop
        self.bound, self.orthogonal = bound, orthogonal
        self.loss_name, (self.judge, self.please) = loss, LOSSES[loss]
        self.paired = loss == "rp"
        if self.paired:
            for part in self.discriminator.modules():
                if isinstance(part, Projection):
                    part.hold_offset()
        usual = 10.0 if penalty == "gp" else 1.0 if axes else 0.02
        self.gamma = usual if gamma is None else gamma
        self.moved: set[str] = set()  # players whose update is yet to be followed up
        self.shown: tuple[Tensor, Tensor] | None = None  # data and samples of the last step
        self.logits: tuple[Tensor, Tensor] | None = None  # what the discriminator said of them

    @staticmethod
    def usual_net(space: Real) -> Players:
        """A small residual pair for a grid, an MLP pair otherwise."""
        return r3_players if len(space.shape) > 1 else mlp_players

    def losses(self, x: Tensor, cond: Condition, step: Step) -> Iterator[tuple[str, Terms]]:
        """The discriminator's turn, and at every `turns`-th step the generator's."""
        if cond and self.drop:
            cond = hide(cond, uniform(len(x), device=x.device) < self.drop)
        plays = (step.index + 1) % self.turns == 0
        z = normal(len(x), self.latent, device=x.device)
        with torch.set_grad_enabled(plays):
            fake = self.generator(z, cond)
        self.shown = x, fake.detach()
        self.moved = set(self.players)
        yield "discriminator", self._judged(x, fake.detach(), cond, step)
        if self._first("discriminator"):
            self._after_discriminator(step)
        if plays:
            yield "generator", self._pleased(x, fake, cond)
            if self._first("generator"):
                iterate(self.generator)

    def vitals(self) -> Mapping[str, Tensor]:
        """Figures of the last step.

        wasserstein: Of the Wasserstein loss: the critic's estimate, in units of the data times the
            slope that it is held to. It is meant to be large at first.
        discriminator_gap: Of other losses: how far it tells data from samples, in logits.
        overfit: Of other losses: mean sign of its certainty on the training data, in [-1, 1];
            Karras et al., 2020 (arXiv:2006.06676), Eq. 1. Near 1 it knows them by heart.
        batch_diversity: Mean distance between two samples over that between two data.
        augment_p: How likely a row is augmented, where that adapts.
        """
        if self.shown is None or self.logits is None:
            return {}
        real, fake = self.logits
        gap = (real - fake).mean()
        if self.loss_name == "wgan":  # a critic's values are no logits, and have no zero
            found = {"wasserstein": gap}
        else:
            sure = certainty(self.loss_name, real, fake)
            found = {"discriminator_gap": gap, "overfit": sure.sign().mean()}
        if len(real) > 1:
            data, samples = (torch.pdist(v.flatten(1).float()).mean() for v in self.shown)
            found["batch_diversity"] = samples / data.clamp(min=1e-12)
        if self.adaptive is not None:
            found["augment_p"] = self.adaptive.p
        return found

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        truncation: Annotated[float, Interval(ge=0, le=WHOLE)] = WHOLE,
    ) -> Iterator[Tensor]:
        """One guess. The noise is normal, given that no number exceeds the truncation in size.

        Brock et al., 2019 (arXiv:1809.11096), section 3.1: lower is more typical and less diverse.
        They draw numbers again until they fit; here each number moves to the one of its rank in
        the truncated distribution, which is the same law, and a seed stays near itself.
        """
        z = rng.normal(self.latent)
        yield self.generator(z if truncation == WHOLE else truncated(z, truncation), cond)

    def _first(self, player: str) -> bool:
        """Whether this is the first micro-batch back from the player's update."""
        if player not in self.moved:
            return False
        self.moved.remove(player)
        return True

    def _after_discriminator(self, step: Step) -> None:
        if self.penalty == "clip":
            clip(self.discriminator, self.bound)
        iterate(self.discriminator)
        if self.adaptive is None or self.signs is None or (step.index + 1) % EVERY:
            return
        mean = self.signs.take()
        if mean is not None:
            self.adaptive.follow(mean[0], step)

    def _seen(self, x: Tensor) -> Tensor:
        """Rows as the discriminator sees them."""
        return augment(x, self.augment) if self.adaptive is None else self.adaptive(x)

    def _logits(self, x: Tensor, cond: Condition) -> Tensor:
        return self.discriminator(self._seen(x), cond)

    def _judged(self, x: Tensor, fake: Tensor, cond: Condition, step: Step) -> Terms:
        """The discriminator's terms; penalties are taken in float32, at the data as they are."""
        if self.penalty in ("none", "clip") or step.index % self.lazy:
            return self._told_apart(self._logits(x, cond), self._logits(fake, cond))
        with torch.autocast(x.device.type, enabled=False):
            x, fake = (v.float() if v.element_size() < 4 else v for v in (x, fake))
            if self.penalty == "gp":
                terms = self._told_apart(self._logits(x, cond), self._logits(fake, cond))
                gap = one_centred(lambda between: self._logits(between, cond), x, fake)
                return {**terms, "gp": self.lazy * self.gamma * gap.mean()}
            weight = self.lazy * self._gamma(step) / 2
            if self.penalty == "r1":
                x = x.detach().requires_grad_()
                logits = self._logits(x, cond)
                terms = self._told_apart(logits, self._logits(fake, cond))
                return {**terms, "r1": weight * zero_centred(x, logits).mean()}
            both = torch.cat([x, fake]).requires_grad_()  # one pass, one penalty: half the calls
            seen = torch.cat([self._seen(part) for part in both.chunk(2)])
            logits = self.discriminator(seen, {k: torch.cat([v, v]) for k, v in cond.items()})
            r1, r2 = (weight * part.mean() for part in zero_centred(both, logits).chunk(2))
            return {**self._told_apart(*logits.chunk(2)), "r1": r1, "r2": r2}

    def _told_apart(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        self.logits = real.detach(), fake.detach()
        if self.signs is not None:
            self.signs.add(certainty(self.loss_name, *self.logits).sign())
        return {"discriminator": self.judge(real, fake).mean()}

    def _pleased(self, x: Tensor, fake: Tensor, cond: Condition) -> Terms:
        """The generator's term; the relativistic loss looks at the data too."""
        with frozen(self.discriminator):
            real_logits = self._logits(x, cond) if self.paired else None
            terms = {"generator": self.please(real_logits, self._logits(fake, cond)).mean()}
        if self.orthogonal:
            terms["orthogonal"] = self.orthogonal * overlap(self.generator)
        return terms

    def _gamma(self, step: Step) -> float:
        if not self.burn_in:
            return self.gamma
        way = min(step.fraction / self.burn_in, 1.0)
        return self.gamma * (1 + 9 * (1 + math.cos(math.pi * way)) / 2)


def truncated(z: Tensor, bound: float) -> Tensor:
    """Standard normal numbers -> those of the same rank in the law of |z| <= bound."""
    root = 2**0.5
    share = torch.erf(z.double() / root) * math.erf(bound / root)
    return (torch.erfinv(share) * root).to(z.dtype)


def _check_augment(augment: Augment, adaptive: float | None, space: Real) -> None:
    if augment != "none" and len(space.shape) != 3:
        raise BadInput(
            f"augment = {augment!r} moves pictures; this datum is {space.shape}. Set 'none'."
        )
    if adaptive is not None and augment == "none":
        raise BadInput(
            f"adaptive = {adaptive} has nothing to adapt. Set augment = 'translation+cutout'."
        )
