"""Diffusion: the five targets agree on the denoiser; it learns; a sample is its seed's alone."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from genloom import solvers
from genloom.core import Denoiser, Real, Rng, Tokens, options, rows
from genloom.errors import BadInput
from genloom.models.diffusion import Diffusion, ddpm, edm, flow
from genloom.models.targets import TARGETS, min_snr
from genloom.nets.mlp import Mlp
from genloom.nets.unet import UNet
from genloom.sampling import edit, sample
from genloom.schedules import LAWS, table
from genloom.solvers import SOLVERS, STOCHASTIC

LABEL = {"label": Tokens((), 2)}
SMALL = partial(Mlp, width=48, blocks=2)


class Oracle(nn.Module):
    """A net that knows the datum and the noise behind its one input."""

    def __init__(self, *_):
        super().__init__()
        self.wanted = torch.zeros(())

    def forward(self, z, t, cond):
        return self.wanted.expand_as(z)


@pytest.mark.parametrize("name", list(TARGETS))
def test_a_perfect_prediction_gives_back_the_datum(name):
    model = Diffusion(Real((2, 3)), {}, net=Oracle, target=name)
    y = torch.tensor([[2.0], [-1.0]]) + torch.tensor([[0.5], [3.0]]) * torch.randn(64, 2, 3)
    model.prepare(y, {})
    unit = (y - model.mean[:, None]) / model.std[:, None]
    for sigma in (0.01, 0.7, 30.0):
        noise, level = torch.randn_like(y), torch.full((64,), sigma)
        target = TARGETS[name][0](sigma / model.std[:, None])
        model.net.wanted = target.of_datum * unit + target.of_noise * noise
        d = model.denoise(y + sigma * noise, level, {})
        assert (d - y).abs().max() < 2e-5 * (1 + sigma)


@pytest.mark.parametrize("name", list(TARGETS))
def test_the_loss_of_a_perfect_prediction_is_zero_and_of_none_is_the_targets_power(name):
    model = Diffusion(Real((1,)), {}, net=Oracle, target=name, law="uniform")
    y = torch.randn(4000, 1)
    model.prepare(y, {})
    (found,) = model.loss(y, {}).values()
    power = {"flow": 2.0, "edm": 1.0, "v": 1.0, "eps": 1.0, "x0": 1.0}[name]
    assert found.item() == pytest.approx(power, rel=0.1)


@pytest.mark.parametrize("name", list(TARGETS))
def test_the_best_linear_denoiser_of_a_gaussian_minimises_every_loss(name):
    """D = y / (1 + r^2) x, written as a prediction, beats its neighbours."""
    at = {}

    class Linear(nn.Module):
        def __init__(self, *_):
            super().__init__()

        def forward(self, z, t, cond):
            r = (4 * t).exp()[:, None]
            target = TARGETS[name][0](r)
            best = z / target.scale / (1 + r.square())
            return at["bias"] * z + (best - target.from_input * z) / target.from_net

    model = Diffusion(Real((1,)), {}, net=Linear, target=name, law="edm")

    def loss(bias):
        at["bias"] = bias
        torch.manual_seed(3)
        return next(iter(model.loss(torch.randn(20_000, 1), {}).values())).item()

    assert loss(0.0) < min(loss(0.1), loss(-0.1)) - 1e-3


def test_presets_are_settings_of_one_model():
    found = [m(Real((2,)), {}, net=SMALL) for m in (flow, ddpm, partial(ddpm, schedule="cosine"))]
    assert [(m.target_name, m.law_name) for m in found] == [
        ("flow", "uniform"),
        ("eps", "linear"),
        ("eps", "cosine"),
    ]
    last = edm(Real((2,)), {}, net=SMALL)
    assert (last.target_name, last.law_name) == ("edm", "edm")
    assert isinstance(last, Denoiser)


def test_ddpm_loss_is_algorithm_1():
    """The input of the net is sqrt(abar) x + sqrt(1 - abar) noise, the target is the noise."""
    seen = {}

    class Spy(nn.Module):
        def __init__(self, *_):
            super().__init__()

        def forward(self, z, t, cond):
            seen.update(z=z, t=t)
            return torch.zeros_like(z)

    model = ddpm(Real((1, 4)), {}, net=Spy)
    x = torch.randn(512, 1, 4)
    torch.manual_seed(5)
    (found,) = model.loss(x, {}).values()
    r = (4 * seen["t"]).exp()
    kept = 1 / (1 + r.double().square())
    nearest = (table("linear")[None] - r[:, None]).abs().min(1).values / r
    assert nearest.max() < 1e-4  # levels are rows of the table
    noise = (seen["z"] - kept.sqrt()[:, None, None] * x) / (1 - kept).sqrt()[:, None, None]
    assert noise.std().item() == pytest.approx(1.0, abs=0.05)
    assert found.item() == pytest.approx(noise.square().mean().item(), rel=1e-3)


def test_micro_batches_see_the_noise_of_the_whole_batch():
    torch.manual_seed(0)
    model = Diffusion(Real((2,)), LABEL, net=SMALL, drop=0.5)
    nn.init.normal_(model.net.last.weight)
    x, label = torch.randn(8, 2), torch.randint(2, (8,))
    torch.manual_seed(1)
    whole = model.loss(x, {"label": label})["flow"]
    parts = []
    for start in (0, 2, 4, 6):
        torch.manual_seed(1)
        with rows(start, 8):
            part = slice(start, start + 2)
            parts.append(model.loss(x[part], {"label": label[part]})["flow"])
    assert torch.stack(parts).mean().item() == pytest.approx(whole.item(), rel=1e-5)


def test_labels_are_hidden_in_the_stated_share():
    seen = {}

    class Spy(nn.Module):
        def __init__(self, *_):
            super().__init__()

        def forward(self, z, t, cond):
            seen.update(cond)
            return z

    model = Diffusion(Real((2,)), LABEL, net=Spy, drop=0.25)
    model.loss(torch.randn(40, 2), {"label": torch.ones(40, dtype=torch.long)})
    assert (seen["label"] == -1).sum() == 10


def test_prepare_measures_each_channel():
    model = Diffusion(Real((2, 4)), {}, net=SMALL_1D)
    x = torch.tensor([[1.0], [5.0]]) + torch.tensor([[0.1], [2.0]]) * torch.randn(500, 2, 4)
    model.prepare(x, {})
    assert torch.allclose(model.mean, x.mean((0, 2)), atol=1e-5)
    assert torch.allclose(model.std, x.std((0, 2)), rtol=1e-2)
    assert {"mean", "std"} <= set(model.state_dict())
    with pytest.raises(BadInput, match="all data are equal"):
        model.prepare(torch.ones(5, 2, 4), {})


SMALL_1D = partial(UNet, width=8, levels=1, stem=1, groups=4)


@pytest.fixture(scope="module")
def learnt():
    """Two labelled clusters on a line of slope 1, learnt in a second or two."""
    torch.manual_seed(0)
    model = flow(Real((2,)), LABEL, net=SMALL)

    def batch(n):
        label = torch.randint(2, (n,))
        return 2.0 * (2 * label[:, None] - 1) + 0.3 * torch.randn(n, 2), label

    model.prepare(batch(2048)[0], {})
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.99))
    steps = 400
    for i in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * min(1.0, 2.5 * (1 - i / steps))
        x, label = batch(128)
        loss = model.loss(x, {"label": label})["flow"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("solver", ["unipc", "dpmpp", "heun", "euler", "ancestral", "dpmpp_sde"])
def test_it_learns_and_every_solver_samples_it(learnt, solver):
    label = torch.arange(400) % 2
    steps = 64 if solver in ("euler", "ancestral") else 20
    x = sample(learnt, 400, {"label": label}, batch=400, steps=steps, solver=solver)
    wanted = 2.0 * (2 * label[:, None] - 1)
    assert ((x - wanted).norm(dim=1) < 1.5).float().mean() > 0.98
    assert (x - wanted).std().item() == pytest.approx(0.3, abs=0.08)
    free = sample(learnt, 400, batch=400, steps=steps, solver=solver)
    assert 0.35 < (free[:, 0] > 0).float().mean() < 0.65


def test_the_denoiser_it_learns_is_the_posterior_mean(learnt):
    """Of the mixture of two Gaussians, in closed form."""
    sigma = 1.5
    x = torch.randn(500, 2) * 2
    variance = 0.3**2 + sigma**2
    log_odds = ((x + 2).square().sum(1) - (x - 2).square().sum(1)) / (2 * variance)
    p = log_odds.sigmoid()[:, None]
    shrink = 0.3**2 / variance
    exact = p * (2 + shrink * (x - 2)) + (1 - p) * (-2 + shrink * (x + 2))
    with torch.no_grad():
        found = learnt.denoise(x, torch.full((500,), sigma), {})
    assert (found - exact).square().mean().sqrt() < 0.35


def test_guidance_extrapolates_in_its_interval_alone(learnt):
    x, cond = torch.randn(6, 2), {"label": torch.arange(6) % 2}
    with torch.no_grad():
        guided = learnt.guided(cond, 3.0, 0.3, 5.0)
        for r, inside in ((0.1, False), (1.0, True), (9.0, False)):
            sigma = torch.full((6,), r) * learnt.scale
            shown, blind = learnt.denoise(x, sigma, cond), learnt.denoise(x, sigma, {})
            wanted = blind + (3.0 if inside else 1.0) * (shown - blind)
            assert torch.allclose(guided(x, sigma), wanted, atol=1e-4)
        none = learnt.guided(cond, 0.0, 0.3, 5.0)
        assert torch.allclose(none(x, sigma), blind, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_few_steps_guide_the_visited_level_that_is_nearest_to_the_interval(learnt, steps):
    cond, sigmas = {"label": torch.tensor([0, 1])}, learnt._levels(steps, "euler")
    r = (sigmas[:-1] / learnt.scale).tolist()
    outside = [max(math.log(0.3 / one), math.log(one / 5.0)) for one in r]
    near = sigmas[outside.index(min(outside))].item()
    assert (min(outside) > 0) == (steps <= 3)

    def denoiser(x, sigma):
        here = math.isclose(sigma[0].item(), near, rel_tol=1e-6)
        weight, span = (4.0, (0.3, 5.0)) if steps > 3 else (4.0 if here else 1.0, (0.0, 1e4))
        return learnt.guided(cond, weight, *span)(x, sigma)

    with torch.no_grad():
        start = learnt.start(Rng([0, 1]), sigmas[0].item())
        *_, wanted = solvers.euler(denoiser, start, sigmas)
    found, plain, none = (
        sample(learnt, 2, cond, steps=steps, solver="euler", guidance=weight, **span)
        for weight, span in ((4.0, {}), (1.0, {}), (4.0, {"guide_to": 0.0}))
    )
    assert torch.equal(found, wanted)
    assert torch.equal(plain, none) and not torch.allclose(found, plain, atol=1e-3)


def test_a_weak_edit_is_guided_too(learnt):
    cond, source = {"label": torch.tensor([1])}, torch.zeros(1, 2)
    levels = learnt._levels(16, "unipc")[-4:] / learnt.scale
    assert levels.max() < 0.3
    plain, guided = (
        edit(learnt, [0], cond, source, strength=0.2, guidance=weight) for weight in (1.0, 6.0)
    )
    assert not torch.allclose(plain, guided, atol=1e-4)


def test_rescaled_guidance_has_the_contrast_of_the_plain_guess(learnt):
    x, cond = 4 * torch.randn(6, 2), {"label": torch.arange(6) % 2}
    sigma = torch.ones(6) * learnt.scale
    with torch.no_grad():
        plain = learnt.denoise(x, sigma, cond)
        free, half, full = (
            learnt.guided(cond, 6.0, 0.3, 5.0, share)(x, sigma) for share in (0.0, 0.5, 1.0)
        )

    def contrast(d):
        return ((d - learnt.mean) / learnt.std).std(1, correction=0)

    assert torch.allclose(contrast(full), contrast(plain), rtol=1e-2, atol=1e-4)
    assert (contrast(free) - contrast(plain)).abs().max() > 0.01
    assert torch.allclose(half, (free + full) / 2, atol=1e-5)


def test_eta_is_the_share_of_fresh_noise(learnt):
    label = {"label": torch.arange(4) % 2}
    for solver in STOCHASTIC:
        kept = {"steps": 8, "solver": solver}
        none, again = (sample(learnt, 4, label, eta=0.0, **kept) for _ in range(2))
        assert torch.equal(none, again)
        assert not torch.allclose(none, sample(learnt, 4, label, eta=1.0, **kept), atol=1e-3)
    flat = sample(learnt, 4, label, eta=0.0, steps=8, solver="ancestral")
    assert torch.allclose(flat, sample(learnt, 4, label, steps=8, solver="euler"), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("eps", lambda snr: snr.clamp(max=5) / snr),
        ("v", lambda snr: snr.clamp(max=5) / (snr + 1)),
        ("x0", lambda snr: snr.clamp(max=5)),
    ],
)
def test_min_snr_weighs_as_its_paper_says(name, formula):
    """Hang et al., section 3.4; and the loss is the weighted mean over levels."""
    r = torch.logspace(-2, 2, 9, dtype=torch.float64)
    assert torch.allclose(min_snr(TARGETS[name][0](r), r), formula(r**-2), rtol=1e-9)
    plain, weighed = (
        Diffusion(Real((1,)), {}, net=Oracle, target=name, weight=weight)
        for weight in ("target", "min-snr")
    )
    y = torch.randn(4000, 1)
    torch.manual_seed(1)
    found = weighed.loss(y, {})[name].item()
    u = (torch.arange(4000) + 0.5) / 4000
    snr = LAWS[plain.law_name](u).double() ** -2
    assert found == pytest.approx(formula(snr).mean().item(), rel=0.1)  # of targets of power 1


def test_guidance_is_the_plain_model_where_nothing_was_dropped():
    model = flow(Real((2,)), {"label": Tokens((), 2)}, net=SMALL, drop=0.0)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    x, sigma, cond = torch.randn(4, 2), torch.ones(4), {"label": torch.arange(4) % 2}
    assert torch.equal(model.guided(cond, 3.0, 0.3, 5.0)(x, sigma), model.denoise(x, sigma, cond))


def test_a_sample_depends_on_its_seed_alone(learnt):
    label = torch.arange(6) % 2
    for solver in ("unipc", "ancestral"):
        kept = {"steps": 6, "solver": solver, "guidance": 2.0}
        whole = sample(learnt, 6, {"label": label}, batch=6, **kept)
        single = sample(learnt, 6, {"label": label}, batch=1, **kept)
        assert torch.allclose(whole, single, atol=1e-5)
        assert (whole[0] - whole[2]).abs().max() > 1e-3


def test_guesses_stay_in_the_range_of_data_with_levels():
    model = flow(Real((1, 6, 6), 256), {}, net=partial(UNet, width=8, levels=1, groups=4))
    nn.init.normal_(model.net.last.weight, std=3.0)
    with torch.no_grad():
        guesses = list(model.sample_steps(Rng([0, 1]), {}, steps=4))
    assert len(guesses) == 4
    assert all(g.shape == (2, 1, 6, 6) and g.abs().max() <= 1 for g in guesses)


def test_options_come_from_the_signature():
    found = options(Diffusion.sample_steps)
    assert found["steps"].default == 16 and found["solver"].default == "unipc"
    assert set(found["solver"].choices) == {*SOLVERS, *STOCHASTIC}
    assert set(options(Diffusion.__init__)["target"].choices) == set(TARGETS)
    assert set(options(Diffusion.__init__)["law"].choices) == set(LAWS)


@pytest.mark.parametrize(
    "shape", [(3,), (2, 40), (1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 6, 6, 6)]
)
def test_the_default_net_fits_every_shape(shape):
    channels, *spatial = shape
    net = Diffusion.usual_net(Real(shape))(channels, channels, len(spatial), {})
    assert net(torch.randn(2, *shape), torch.zeros(2), {}).shape == (2, *shape)
    if shape == (1, 28, 28):
        assert 0.5e6 < sum(p.numel() for p in net.parameters()) < 1.3e6


def test_c_noise_is_a_quarter_of_the_log_level():
    model = flow(Real((2,)), {}, net=SMALL)
    model.prepare(3 * torch.randn(2048, 2), {})
    found = model._c_noise(torch.tensor([3 * math.e]))
    assert found.item() == pytest.approx(0.25, abs=0.01)


def edited(model, source, mask=None, **options):
    """The last guess of `edit_steps` with seeds 0, 1, ..."""
    rng = Rng(range(len(source)))
    *_, last = model.edit_steps(rng, {}, source, mask, **options)
    return last


GIVEN = torch.tensor([[-2.0, 5.0]]).repeat(500, 1)
FREE = torch.tensor([[False, True]]).expand(500, 2)


@pytest.mark.parametrize("solver", options(Diffusion.sample_steps)["solver"].choices)
def test_what_an_edit_must_keep_is_kept_and_the_rest_is_drawn_towards_it(solver):
    x = edited(exact_pair(), GIVEN, FREE, solver=solver, steps=32, rounds=1)
    assert torch.equal(x[:, 0], GIVEN[:, 0])
    assert x[:, 1].mean() < -0.5 and x[:, 1].std() > 0.1  # b = 5 leaves no trace


def test_an_edit_in_many_rounds_draws_from_the_conditional_distribution():
    x = edited(exact_pair(), GIVEN, FREE, rounds=30, steps=32)
    assert torch.equal(x[:, 0], GIVEN[:, 0])
    assert x[:, 1].mean().item() == pytest.approx(-2 * RHO, abs=0.1)
    assert x[:, 1].std().item() == pytest.approx(math.sqrt(1 - RHO**2), abs=0.08)


def test_the_strength_of_an_edit_is_how_far_it_leaves_the_source():
    model = exact_pair()
    source = torch.randn(200, 2)
    far = [(edited(model, source, strength=s) - source).norm() for s in (0.0, 0.3, 0.6, 1.0)]
    assert far[0] == 0 and far == sorted(far) and far[3] > 1.2 * source.norm()


RHO = 0.9


def exact_pair():
    """A model whose denoiser is that of a Gaussian pair of correlation RHO."""
    model = Diffusion(Real((2,)), {}, net=Oracle)
    covariance = torch.tensor([[1.0, RHO], [RHO, 1.0]])

    def denoise(x, sigma):
        gain = covariance @ torch.linalg.inv(covariance + sigma[0] ** 2 * torch.eye(2))
        return x @ gain.mT

    model._guess = lambda x, sigma, cond: (denoise(x, sigma),) * 2
    return model


def test_optimal_transport_pairs_each_datum_with_the_noise_near_it():
    """Of two data far apart, neither is ever reached from the other's side."""
    torch.manual_seed(0)
    x = torch.tensor([[-1.0], [1.0]]).repeat(32, 1)
    seen = {}
    for coupling in ("independent", "ot"):
        model = Diffusion(Real((1,)), {}, net=Oracle, coupling=coupling)
        model.prepare(x, {})
        noises = []
        model.net.forward = lambda z, t, cond, noises=noises: (
            noises.append(z) or torch.zeros_like(z)
        )
        model.loss(x, {})
        seen[coupling] = (noises[0] * x > 0).double().mean().item()
    assert seen["independent"] < 0.9 and seen["ot"] > 0.95
