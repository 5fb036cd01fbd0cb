"""Small members of three kinds of family, written on the contract alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Generative, Real, Tokens, hide, normal, normal_like, stratified, uniform


class TinyGan(Generative):
    """Two players; the discriminator plays twice a step, the generator every second step."""

    players = ("discriminator", "generator")
    averaged = ("generator",)

    def __init__(self, space, conditions=None, *, width: int = 8):
        super().__init__(space, conditions or {})
        (d,) = space.shape
        self.generator = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, d))
        self.discriminator = nn.Sequential(nn.Linear(d, width), nn.Tanh(), nn.Linear(width, 1))
        self.gap = torch.zeros(())

    def losses(self, x, cond, step):
        for _ in range(2):
            with torch.no_grad():
                fake = self.generator(normal(len(x), 3, device=x.device))
            real, false = self.discriminator(x), self.discriminator(fake)
            self.gap = (real - false).mean().detach()
            yield "discriminator", {"d": F.softplus(-real).mean() + F.softplus(false).mean()}
        if step.index % 2 == 0:
            fake = self.generator(normal(len(x), 3, device=x.device))
            yield "generator", {"g": F.softplus(-self.discriminator(fake)).mean()}

    def vitals(self):
        return {"discriminator_gap": self.gap}

    def sample_steps(self, rng, cond):
        yield self.generator(rng.normal(3))


class TinyFlow(Generative):
    """One player, labels that are sometimes hidden, stratified time."""

    def __init__(self, space, conditions=None, *, width: int = 16):
        super().__init__(space, conditions or {})
        (d,) = space.shape
        self.net = nn.Sequential(nn.Linear(d + 2, width), nn.SiLU(), nn.Linear(width, d))

    def loss(self, x, cond):
        t = stratified(len(x), device=x.device)
        cond = hide(cond, uniform(len(x), device=x.device) < 0.1)
        noise = normal_like(x)
        v = self.velocity(torch.lerp(noise, x, t[:, None]), t, cond)
        return {"velocity": (v - (x - noise)).square().mean()}

    def velocity(self, x, t, cond):
        label = cond["label"].to(x.dtype) if cond else torch.zeros_like(t)
        return self.net(torch.cat([x, t[:, None], label[:, None]], 1))

    def sample_steps(self, rng, cond, *, steps: int = 4):
        x = rng.normal(*self.space.shape)
        for i in range(steps):
            x = x + self.velocity(x, torch.full((len(x),), i / steps), cond) / steps
            yield x


class TinyText(Generative):
    """Tokens: a bigram table."""

    spaces = (Tokens,)

    def __init__(self, space, conditions=None):
        super().__init__(space, conditions or {})
        self.table = nn.Embedding(space.vocab, space.vocab)

    def loss(self, x, cond):
        logits = self.table(x[:, :-1])
        return {"nats": F.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten())}

    def sample_steps(self, rng, cond):
        x = rng.categorical(torch.zeros(len(rng), self.space.vocab))[:, None]
        while x.shape[1] < self.space.shape[0]:
            x = torch.cat([x, rng.categorical(self.table(x[:, -1]))[:, None]], 1)
            yield x


def points(n: int, seed: int = 0) -> Tensor:
    """n points of two clusters in the plane."""
    stream = torch.Generator().manual_seed(seed)
    side = torch.randint(0, 2, (n, 1), generator=stream) * 4.0 - 2.0
    return side + 0.3 * torch.randn(n, 2, generator=stream)


PLANE = Real((2,))


class Line(Generative):
    """A loss without draws."""

    def __init__(self):
        super().__init__(PLANE, {})
        self.net = nn.Linear(2, 2)

    def loss(self, x, cond):
        return {"square": (self.net(x) - x).square().sum(1).mean()}

    def sample_steps(self, rng, cond):
        yield rng.normal(2)
