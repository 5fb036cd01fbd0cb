"""PixelCNN++: causality, an exact likelihood, samples that follow it, learning."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from genloom import sampling
from genloom.core import Likelihood, Real, Rng, Tokens
from genloom.errors import BadInput
from genloom.models.pixelcnnpp import PixelCnnPlusPlus
from genloom.nets.pixelcnnpp import PixelCnnPp
from genloom.optim import build

LABEL = {"label": Tokens((), 2)}
SMALL = partial(PixelCnnPp, width=12, layers=1)
SIZES = {  # picture, options of the net
    "three scales": ((3, 8, 8), {"layers": 2}),
    "four scales": ((1, 16, 8), {"scales": 4, "kernel": 5}),
    "two scales": ((1, 6, 10), {"layers": 2}),
    "one scale": ((2, 5, 7), {"kernel": 5}),
    "one coarse place": ((1, 2, 2), {"scales": 2}),
}
every_size = pytest.mark.parametrize(("shape", "options"), SIZES.values(), ids=SIZES)
every_label = pytest.mark.parametrize("cond", [{}, {"label": torch.tensor([0, -1, 1])}])


def made(space=Real((3, 8, 4), 256), conditions=LABEL, net=SMALL, **options):  # noqa: B008
    torch.manual_seed(0)
    model = PixelCnnPlusPlus(space, conditions, net=net, mixtures=2, **options)
    for p in model.net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return model.eval()


def _grads(model) -> list[torch.Tensor]:
    return [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_a_place_sees_all_places_before_it_and_no_others(scales):
    model = made(net=partial(SMALL, scales=scales, layers=2))
    x = torch.randn(1, 3, 8, 4, requires_grad=True)
    mix = torch.randn(model.mixture.outputs)
    out = torch.einsum("bohw,o->hw", model.net(x, {}), mix).flatten()
    seen = []
    for place in out:
        (grad,) = torch.autograd.grad(place, x, retain_graph=True)
        seen.append(grad.abs().sum(1).flatten())
    seen = torch.stack(seen)
    assert (seen.triu() == 0).all()
    later, earlier = torch.tril_indices(32, 32, -1)
    assert (seen[later, earlier] > 0).all()


def test_rows_that_are_not_there_yet_do_not_matter():
    model, x = made(), torch.randn(2, 3, 8, 4)
    torch.testing.assert_close(model.net(x[:, :, :4], {}), model.net(x, {})[:, :, :4])


@every_label
@every_size
def test_outputs_one_by_one_equal_those_of_the_whole_picture(shape, options, cond):
    model = made(Real(shape, 256), net=partial(SMALL, **options))
    for weight in model.net.parameters():  # so that rounding stays far below the bound
        weight.data.mul_(0.5)
    x = torch.rand(3, *shape) * 2 - 1
    whole, reader = model.net(x, cond), model.net.reader(cond, 3)
    for r in range(shape[1]):
        for c in range(shape[2]):
            torch.testing.assert_close(
                reader.outputs(r, c), whole[:, :, r, c], atol=1e-5, rtol=1e-5
            )
            reader.read(c, x[:, :, r, c])


@every_label
@every_size
@torch.no_grad()
def test_samples_equal_those_by_a_whole_pass_for_each_pixel(shape, options, cond):
    """In double precision: a value between two levels goes to the one or the other in single."""
    model = made(Real(shape, 256), net=partial(SMALL, **options)).double()
    u = Rng(range(3), torch.device("cpu")).uniform(*shape[1:], 1 + shape[0])
    x = torch.zeros(3, *shape, dtype=torch.float64)
    for r in range(shape[1]):
        for c in range(shape[2]):
            out = (model.net(x, cond) + model.start[:, None, None])[:, :, r, c]
            x[:, :, r, c] = model.mixture.draw(out, u[:, r, c])
    torch.testing.assert_close(sampling.sample(model, 3, cond), x, atol=1e-4, rtol=0)


@pytest.mark.parametrize("label", [0, -1])
def test_probabilities_of_all_pictures_sum_to_one(label):
    model = made(Real((2, 2, 2), 2))
    bits = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 8).view(-1, 2, 2, 2)
    total = model.log_prob(bits, {"label": torch.full((256,), label)}).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-5)
    assert isinstance(model, Likelihood)


def test_samples_have_the_frequencies_that_the_likelihood_says():
    model = made(Real((1, 2, 2), 3), {})
    for weight in model.net.parameters():  # so that many pictures are likely
        weight.data.mul_(0.5)
    x = torch.cartesian_prod(*[torch.linspace(-1, 1, 3)] * 4).view(-1, 1, 2, 2)
    p, n = model.log_prob(x, {}).exp(), 4000
    drawn = sampling.sample(model, n, batch=1000)
    digits = (drawn + 1).round().long().flatten(1)
    counts = (digits * torch.tensor([27, 9, 3, 1])).sum(1).bincount(minlength=81)
    often = n * p > 5
    chi2 = ((counts - n * p).square() / (n * p))[often].sum().item()
    assert chi2 < often.sum().item() + 3.1 * (2 * often.sum().item()) ** 0.5
    assert counts[~often].sum() <= 2 * n * p[~often].sum() + 10


def test_samples_lie_on_levels_and_depend_on_their_seed_alone():
    model, cond = made(Real((1, 4, 4), 16)), {"label": torch.arange(4) % 2}
    together = sampling.sample(model, 4, cond)
    level = (together + 1) * 7.5
    torch.testing.assert_close(level, level.round())
    torch.testing.assert_close(together, sampling.sample(model, 4, cond, batch=1))


def test_the_loss_is_the_mean_of_the_likelihood():
    model, x = made(conditions={}), torch.randint(0, 256, (4, 3, 8, 4)) / 127.5 - 1
    (loss,) = model.loss(x, {}).values()
    torch.testing.assert_close(-model.log_prob(x, {}).mean().float() / 96, loss)


def test_a_density_is_refused():
    with pytest.raises(BadInput, match="with levels"):
        PixelCnnPlusPlus(Real((3, 8, 8)), {})


def test_places_that_see_nothing_have_a_bounded_gradient():
    torch.manual_seed(0)
    model = PixelCnnPlusPlus(Real((3, 8, 8), 256), {}, net=partial(SMALL, width=16))
    for name, p in model.net.named_parameters():
        if "blocks" in name:  # output maps are zero at the start
            torch.nn.init.normal_(p, std=0.1)
    model.loss(torch.zeros(2, 3, 8, 8), {})["nats"].backward()
    assert torch.nn.utils.get_total_norm(_grads(model)) < 10


def test_training_finds_that_a_row_repeats_the_one_above():
    torch.manual_seed(0)
    model = PixelCnnPlusPlus(Real((1, 4, 4), 16), {}, net=partial(SMALL, width=16))
    optimizers = build(model, name="muon", lr=1e-2)

    def draw() -> torch.Tensor:
        return (torch.randint(0, 16, (32, 1, 1, 4)) / 7.5 - 1).expand(-1, -1, 4, -1)

    first = model.loss(draw(), {})["nats"].item()
    for _ in range(60):
        model.loss(draw(), {})["nats"].backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    # a quarter of the values is free, at log 16 each: 0.69 a value
    assert 0.6 < model.eval().loss(draw(), {})["nats"].item() < first - 0.8
