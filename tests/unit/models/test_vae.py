"""VAE: the bound against exact answers, its arguments, conditions, what is refused."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from genloom.core import Latents, Likelihood, Real, Step, Tokens
from genloom.errors import BadInput, Refused
from genloom.models.vae import Vae, autoencoder, beta_vae, cvae
from genloom.nets.dense import mlp_coder
from genloom.sampling import sample

BITS = Real((1, 4, 4), levels=2)
GREY = Real((1, 4, 4), levels=256)
LABEL = {"label": Tokens((), 3)}
small = partial(mlp_coder, width=16)


def bits(n: int = 8) -> torch.Tensor:
    """Black and white data."""
    return torch.where(torch.rand(n, 1, 4, 4) < 0.5, 1.0, -1.0)


def grey(n: int = 8) -> torch.Tensor:
    """Data on 256 levels."""
    return torch.randint(0, 256, (n, 1, 4, 4)) / 127.5 - 1


class Fixed(nn.Module):
    """Says the same of every row."""

    def __init__(self, *values: float):
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values))

    def forward(self, x, cond):
        return self.values.expand(len(x), -1)


class Slope(nn.Module):
    """x is z times a slope: (B, 1) -> (B, 1)."""

    def __init__(self, slope: float):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, z, cond):
        return self.slope * z


def linear(mean: float, log_std: float, slope: float = 2.0):
    """Nets of a linear Gaussian model with a fixed posterior."""
    return lambda space, latent, factors, conditions: (Fixed(mean, log_std), Slope(slope))


def test_distortion_and_rate_agree_with_torch_distributions():
    from torch.distributions import Normal, kl_divergence

    model = Vae(Real((1,)), {}, net=linear(0.7, -0.4, 0.0), latent=1)
    model.prepare(torch.randn(500, 1) * 1.5, {})
    x = torch.tensor([[0.3], [-2.0]])
    terms = model.loss(x, {})
    sigma = math.exp(model.expected._parts(x)[1].item())
    distortion = -Normal(0.0, sigma).log_prob(x).mean()
    rate = kl_divergence(Normal(0.7, math.exp(-0.4)), Normal(0.0, 1.0))
    torch.testing.assert_close(terms["distortion"], distortion)
    torch.testing.assert_close(terms["rate"], rate)


def test_the_bound_of_a_linear_model_tightens_to_the_exact_likelihood():
    from torch.distributions import Normal

    model = Vae(Real((1,)), {}, net=linear(0.5, -0.3), latent=1)
    x = torch.tensor([[0.8], [1.5]])
    model.prepare(torch.tensor([[-1.0], [1.0]] * 50), {})
    sigma = math.exp(model.expected._parts(x)[1].item())
    exact = Normal(0.0, math.hypot(2.0, sigma)).log_prob(x)[:, 0]
    with torch.no_grad():
        found = [model.bound(x, {}, k) for k in (1, 64, 40_000)]
    torch.testing.assert_close(found[-1], exact, atol=0.02, rtol=0)
    assert (found[0] < found[1] + 0.5).all()
    assert (found[1] - exact).abs().max() < 0.5


def test_with_one_draw_the_bound_is_the_negative_loss_on_average():
    torch.manual_seed(0)
    model, x = Vae(BITS, {}, net=small, latent=3), bits(2)
    x = x.repeat_interleave(4000, 0)
    with torch.no_grad():
        loss = sum(term.item() for term in model.loss(x, {}).values())
        bound = model.bound(x, {}, 1).mean().item()
    assert bound == pytest.approx(-loss, abs=0.05)


def test_training_with_many_draws_maximizes_the_tighter_bound():
    torch.manual_seed(0)
    x = bits(1).repeat_interleave(2000, 0)
    plain, weighted = Vae(BITS, {}, net=small), Vae(BITS, {}, net=small, draws=20)
    weighted.load_state_dict(plain.state_dict())
    with torch.no_grad():
        loose = sum(t.item() for t in plain.loss(x, {}).values())
        tight = weighted.loss(x, {})["bound"].item()
        assert tight < loose
        assert tight == pytest.approx(-plain.bound(x, {}, 20).mean().item(), abs=0.1)


def test_log_prob_is_deterministic_and_leaves_the_stream_alone():
    model, x = Vae(BITS, {}, net=small), bits()
    torch.manual_seed(5)
    a = model.log_prob(x, {})
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
    assert torch.equal(a, model.log_prob(x, {}))


@pytest.mark.parametrize(
    ("space", "likelihood", "bits_per_dim"),
    [(BITS, None, 1.0), (GREY, "dlogistic", 8.0), (GREY, "gaussian", 8.0)],
)
def test_a_uniform_model_scores_exactly_the_bits_of_its_levels(space, likelihood, bits_per_dim):
    model = Vae(space, {}, net=small, likelihood=likelihood, scale="pixel" if likelihood else None)
    for p in [*model.encoder.parameters(), *model.decoder.parameters()]:
        nn.init.zeros_(p)
    if likelihood:
        nn.init.constant_(model.expected.haze, 50.0)
    x = bits() if space is BITS else grey()
    found = -model.log_prob(x, {}) / (16 * math.log(2))
    torch.testing.assert_close(found, torch.full((8,), bits_per_dim), atol=1e-3, rtol=0)


def test_an_autoencoder_has_no_noise_no_rate_and_no_likelihood():
    model, x = autoencoder(GREY, {}), grey()
    assert isinstance(model, Latents) and not isinstance(model, Likelihood)
    assert set(model.loss(x, {})) == {"distortion"}
    assert model.loss(x, {})["distortion"] == model.loss(x, {})["distortion"]
    assert model.vitals() == {}
    with pytest.raises(Refused, match="autoencoder"):
        model.log_prob(x, {})
    assert isinstance(Vae(GREY, {}), Likelihood)


def test_beta_weighs_the_rate_and_anneals_from_zero():
    torch.manual_seed(0)
    x, one, four = grey(), Vae(GREY, {}, net=small), Vae(GREY, {}, net=small, beta=4.0, anneal=0.5)
    four.load_state_dict(one.state_dict())
    rate = one.loss(x, {})["rate"].item()
    at = [dict(four.losses(x, {}, Step(i, 100)))[""]["rate"].item() for i in (0, 25, 50, 99)]
    assert at == pytest.approx([0, 2 * rate, 4 * rate, 4 * rate], rel=1e-5)
    assert beta_vae(GREY, {}).beta == 4.0


def test_free_bits_put_a_floor_under_each_dimension():
    model = Vae(GREY, {}, net=small, latent=5, free_bits=0.25)
    for p in model.encoder.parameters():
        nn.init.zeros_(p)
    terms = model.loss(grey(), {})
    assert terms["rate"].item() == pytest.approx(5 * 0.25)
    assert model.vitals()["posterior_nats"].item() == pytest.approx(0, abs=1e-6)


def test_micro_batches_give_the_loss_of_the_batch():
    from genloom.core import rows

    model, x = Vae(GREY, LABEL, net=small, free_bits=0.3), grey(6)
    cond = {"label": torch.arange(6) % 3}
    torch.manual_seed(3)
    whole = sum(model.loss(x, cond).values())
    parts = []
    for start in (0, 3):
        torch.manual_seed(3)
        with rows(start, 6):
            part = {"label": cond["label"][start : start + 3]}
            parts.append(sum(model.loss(x[start : start + 3], part).values()))
    torch.testing.assert_close(sum(parts) / 2, whole)


def test_conditions_reach_both_nets():
    model, x = cvae(GREY, LABEL), grey(1).expand(3, 1, 4, 4)
    cond = {"label": torch.tensor([0, 1, -1])}
    codes = model.encode(x, cond)
    assert not torch.allclose(codes[0], codes[1]) and not torch.allclose(codes[0], codes[2])
    z = torch.zeros(3, model.latent)
    pictures = model.decode(z, cond)
    assert not torch.allclose(pictures[0], pictures[1])
    with pytest.raises(BadInput, match="labelled"):
        cvae(GREY, {})


def test_a_cvae_learns_what_its_label_means():
    torch.manual_seed(0)
    model = Vae(BITS, {"label": Tokens((), 2)}, net=small, latent=2)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(150):
        label = torch.randint(0, 2, (32,))
        x = torch.where((label == 1).view(-1, 1, 1, 1).expand(32, 1, 4, 4), 1.0, -1.0)
        sum(model.loss(x, {"label": label}).values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    drawn = sample(model, 8, {"label": torch.tensor([0, 1] * 4)}, noise=True)
    assert (drawn.flatten(1).mean(1).sign() == torch.tensor([-1.0, 1.0] * 4)).all()


def test_samples_are_valid_data():
    for space in (BITS, GREY):
        x = sample(Vae(space, {}, net=small), 5, noise=True)
        step = (x + 1) / 2 * (space.levels - 1)
        assert x.shape == (5, *space.shape)
        torch.testing.assert_close(step, step.round(), atol=1e-4, rtol=0)
        assert step.min() >= 0 and step.max() <= space.levels - 1
    cold = sample(Vae(GREY, {}, net=small), 2, temperature=0.0)
    assert torch.equal(cold[0], cold[1])


def test_binarizing_is_stated_and_has_no_grey_likelihood():
    with pytest.raises(BadInput, match="binarize"):
        Vae(GREY, {}, likelihood="bernoulli")
    with pytest.raises(BadInput, match="needs likelihood"):
        Vae(GREY, {}, likelihood="gaussian", binarize="dynamic")
    model = Vae(GREY, {}, net=small, likelihood="bernoulli", binarize="dynamic")
    assert not isinstance(model, Likelihood)
    x = torch.full((4000, 1, 4, 4), 0.5)
    assert model._bits(x).mean().item() == pytest.approx(0.5, abs=0.02)
    assert set(model._bits(x).unique().tolist()) == {-1.0, 1.0}
    cut = Vae(GREY, {}, net=small, likelihood="bernoulli", binarize="threshold")
    assert (cut._bits(x) == 1).all()


def test_weighted_training_takes_no_beta():
    with pytest.raises(BadInput, match="draws = 5"):
        Vae(BITS, {}, net=small, draws=5, beta=2.0)
