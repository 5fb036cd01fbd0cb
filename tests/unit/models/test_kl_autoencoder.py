"""The autoencoder for latent models: unit codes, the inverse, what training brings."""

import math
from functools import partial

import pytest
import torch
from torch.distributions import Normal

from genloom.core import Latents, Likelihood, Real, Step
from genloom.learner import Learner, Micro
from genloom.models.kl_autoencoder import ChannelGaussian, KlAutoencoder
from genloom.nets.grid_coder import grid_coder
from genloom.recipe import merged
from genloom.sampling import sample

small = partial(grid_coder, down=2, width=8, hidden=8, blocks=1)
SPACE = Real((1, 8, 8), levels=256)


def bars(n: int) -> torch.Tensor:
    """Pictures of one grey each, with a white bar at a random row."""
    stream = torch.Generator().manual_seed(0)
    x = (torch.rand(n, 1, 1, 1, generator=stream) - 1).expand(n, 1, 8, 8).clone()
    for i, row in enumerate(torch.randint(0, 8, (n,), generator=stream).tolist()):
        x[i, :, row] = 1
    return x


def test_the_density_is_that_of_independent_normals():
    prior = ChannelGaussian(3)
    with torch.no_grad():
        prior.mean.copy_(torch.tensor([0.1, -0.2, 0.0]))
        prior.raw.copy_(torch.tensor([0.05, 0.0, -0.1]))
    z = torch.randn(4, 3, 5)
    of = Normal(5 * prior.mean[:, None], (5 * prior.raw[:, None]).exp())
    assert prior.loss(z)["nats"].item() == pytest.approx(-of.log_prob(z).mean().item(), rel=1e-5)
    assert torch.allclose(prior.restored(prior.normalised(z)), z, atol=1e-5)


def test_decode_undoes_the_scale_of_encode():
    model = KlAutoencoder(SPACE, {}, net=small, latent=3)
    with torch.no_grad():
        model.prior.mean.fill_(0.3)
        model.prior.raw.fill_(-0.2)
    x = bars(4)
    mean, _ = model.coder.bottleneck.posterior(model.coder.encoder(x))
    z = model.encode(x, {})
    assert z.shape == (4, *model.latent_shape) == (4, 3, 4, 4)
    assert torch.allclose(z, (mean - 1.5) * math.exp(1.0), atol=1e-5)
    assert torch.allclose(model.decode(z, {}), model.coder.decoder(mean), atol=1e-5)
    assert isinstance(model, Latents) and not isinstance(model, Likelihood)


def test_the_terms_of_the_players():
    model = KlAutoencoder(SPACE, {}, net=small, latent=2, beta=0.5)
    turns = dict(model.losses(bars(4), {}, Step(0, 1)))
    assert set(turns["coder"]) == {"distortion", "rate"} and set(turns["prior"]) == {"nats"}


def test_training_gives_sharp_pictures_and_codes_of_unit_scale():
    torch.manual_seed(0)
    model = KlAutoencoder(SPACE, {}, net=small, latent=2)
    x, steps = bars(256), 250
    model.prepare(x, {})
    learner = Learner(model, merged(model.recommended, {"steps": steps, "lr": 5e-3}), steps)
    for i in range(steps):
        rows = x[32 * (i % 8) : 32 * (i % 8) + 32]
        figures = learner.step(i, [Micro(rows, {}, 0, 32, range(32))])
    assert figures["coder/distortion"] < 0.1
    model = learner.sampler()
    z = model.encode(x, {}).movedim(1, -1).reshape(-1, 2)
    assert z.mean(0).abs().max() < 0.3
    assert ((z.std(0) > 0.7) & (z.std(0) < 1.4)).all()
    assert sample(model, 2).shape == (2, 1, 8, 8)
