"""pix2pix: terms by hand, what the players see, the translator's and the patches' geometry."""

import copy
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from genloom.core import Real, Step, Tokens
from genloom.errors import BadInput
from genloom.learner import Learner, Micro
from genloom.models.pix2pix import Pix2Pix
from genloom.nets.patch import Patch
from genloom.nets.translator import translator_players
from genloom.options import TrainOptions
from genloom.sampling import sample

PICTURE = Real((1, 16, 16), levels=256)
SOURCE = {"source": PICTURE}
LABEL = {**SOURCE, "label": Tokens((), 3)}
small = partial(translator_players, width=8, blocks=1, patch_width=8)


def batch(n: int = 4) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Negatives of the sources."""
    source = torch.rand(n, 1, 16, 16) * 2 - 1
    return -source, {"source": source}


class Scale(nn.Module):
    """A generator: the source times a number, plus the mean of the noise."""

    def __init__(self, value: float):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, source, z, cond):
        shift = 0.0 if z is None else z.mean(1).view(-1, 1, 1, 1)
        return self.value * source + shift


class Seen(nn.Module):
    """A discriminator of one patch a pixel, that keeps what it saw."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(2.0))
        self.seen = []

    def forward(self, x, cond):
        self.seen.append((x.detach(), cond["source"].detach()))
        return (self.value * x + cond["source"]).flatten(1)


def toy(source, space, latent, conditions):
    """Players whose terms can be worked out by hand."""
    return Scale(0.5), Seen()


def turns(model, x, cond):
    """Terms of each player, with no update between them."""
    return {name: dict(terms) for name, terms in model.losses(x, cond, Step(0, 10))}


@pytest.mark.parametrize("loss", ["ns", "ls", "hinge"])
def test_the_terms_are_those_of_the_paper(loss):
    x, cond = batch()
    model = Pix2Pix(PICTURE, SOURCE, net=toy, loss=loss, pairs=7.0)
    torch.manual_seed(5)
    found = turns(model, x, cond)
    torch.manual_seed(5)
    z = torch.randn(len(x), model.latent)
    fake = 0.5 * cond["source"] + z.mean(1).view(-1, 1, 1, 1)
    real, wrong = 2 * x + cond["source"], 2 * fake + cond["source"]
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    cross = F.binary_cross_entropy_with_logits
    told, pleased = {
        "ns": (cross(real, ones) + cross(wrong, zeros), cross(wrong, ones)),
        "ls": (
            (F.mse_loss(real, ones) + F.mse_loss(wrong, zeros)) / 2,
            F.mse_loss(wrong, ones) / 2,
        ),
        "hinge": ((1 - real).clamp(min=0).mean() + (1 + wrong).clamp(min=0).mean(), -wrong.mean()),
    }[loss]
    torch.testing.assert_close(found["discriminator"]["discriminator"], told)
    torch.testing.assert_close(found["generator"]["generator"], pleased)
    torch.testing.assert_close(found["generator"]["pairs"], 7 * F.l1_loss(fake, x))
    gap = model.vitals()["discriminator_gap"]
    torch.testing.assert_close(gap, (real - wrong).mean())


def test_datum_and_source_are_moved_alike():
    _, cond = batch(8)
    model = Pix2Pix(PICTURE, SOURCE, net=toy, augment="translation+cutout")
    turns(model, cond["source"], cond)
    seen, source = model.discriminator.seen[0]
    assert torch.equal(seen, source)
    assert not torch.equal(seen, cond["source"])


def test_the_generator_sees_the_augmented_patches_with_a_gradient():
    x, cond = batch()
    model = Pix2Pix(PICTURE, SOURCE, net=toy, pairs=0.0, augment="translation")
    terms = turns(model, x, cond)["generator"]
    (grad,) = torch.autograd.grad(sum(terms.values()), model.generator.value)
    assert grad.abs() > 0


@pytest.mark.parametrize(("halvings", "side"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_its_patch_alone(halvings, side):
    patch = Patch(Real((2, 96, 96)), {}, width=2, halvings=halvings, norm=False)
    x = torch.randn(1, 2, 96, 96, requires_grad=True)
    logits = patch(x, {})
    places = math.isqrt(logits.shape[1])
    middle = (places // 2) * places + places // 2
    (grad,) = torch.autograd.grad(logits[0, middle], x)
    rows = grad.abs().sum((0, 1, 3)).nonzero()[:, 0]
    assert rows.max() - rows.min() + 1 == side


def test_a_patch_knows_its_label_and_its_source():
    patch = Patch(PICTURE, LABEL, width=4, halvings=1, norm=True)
    x, cond = batch(2)
    first = patch(x, {**cond, "label": torch.tensor([0, 1])})
    other = patch(x, {**cond, "label": torch.tensor([0, 2])})
    assert torch.equal(first[0], other[0]) and not torch.allclose(first[1], other[1])
    moved = patch(x, {"source": -cond["source"], "label": torch.tensor([0, 1])})
    assert not torch.allclose(first, moved)


@pytest.mark.parametrize("shape", [(2, 16), (3, 8, 16), (1, 8, 8, 8)])
def test_the_translator_takes_any_number_of_axes_and_other_channels(shape):
    source, space = Real((2, *shape[1:])), Real(shape)
    generator, patch = small(source, space, 3, {"source": source})
    x = generator(torch.randn(2, *source.shape), torch.randn(2, 3), {})
    assert x.shape == (2, *shape)
    assert patch(x, {"source": torch.randn(2, *source.shape)}).shape[0] == 2
    assert x.isfinite().all() and x.std() > 0


def test_a_shut_mask_leaves_the_source_and_an_open_one_the_bounded_picture():
    generator, _ = small(PICTURE, PICTURE, 0, {})
    _, cond = batch(3)
    with torch.no_grad():
        generator.last.weight.zero_()
        generator.last.bias.copy_(torch.tensor([50.0, 0.3]))
        assert torch.allclose(generator(cond["source"], None, {}), cond["source"])
        generator.last.bias[0] = -50.0
        found = generator(cond["source"], None, {})
    torch.testing.assert_close(found, torch.full_like(found, math.tanh(0.3)))


def test_rows_do_not_mix():
    model = Pix2Pix(PICTURE, LABEL, net=small)
    x, cond = batch(3)
    z, label = torch.randn(3, model.latent), torch.tensor([0, -1, 2])
    whole = model.generator(cond["source"], z, {"label": label})
    alone = model.generator(cond["source"][1:2], z[1:2], {"label": label[1:2]})
    torch.testing.assert_close(whole[1:2], alone, atol=1e-5, rtol=1e-5)
    given = {**cond, "label": label}
    one = {name: v[1:2] for name, v in given.items()}
    logits = model.discriminator(x, given)[1:2], model.discriminator(x[1:2], one)
    torch.testing.assert_close(*logits, atol=1e-5, rtol=1e-5)


def test_a_sample_depends_on_its_source_and_its_seed():
    model = Pix2Pix(PICTURE, SOURCE, net=small)
    _, cond = batch(2)
    first = sample(model, 2, cond, seed=3)
    assert torch.equal(first, sample(model, 2, cond, seed=3))
    assert not torch.equal(first, sample(model, 2, cond, seed=4))
    assert not torch.equal(first, sample(model, 2, {"source": -cond["source"]}, seed=3))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Pix2Pix(PICTURE, {}), "data.given"),
        (lambda: Pix2Pix(PICTURE, {"source": Real((1, 8, 8))}), "one size"),
        (lambda: Pix2Pix(PICTURE, {"source": Tokens((16, 16), 4)}), "one size"),
        (
            lambda: Pix2Pix(Real((1, 16)), {"source": Real((1, 16))}, augment="translation"),
            "Set 'none'",
        ),
        (lambda: Pix2Pix(Real((2,)), {"source": Real((2,))}), "grid"),
        (lambda: Pix2Pix(PICTURE, {**SOURCE, "caption": Tokens((5,), 9)}), "caption"),
    ],
)
def test_what_cannot_be_built_is_refused(make, says):
    with pytest.raises(BadInput, match=says):
        make()


def test_what_cannot_be_translated_is_refused():
    model = Pix2Pix(PICTURE, SOURCE, net=small)
    with pytest.raises(BadInput, match="nothing to translate"):
        sample(model, 2, {})
    source = torch.zeros(3, 1, 16, 16)
    source[1] = torch.nan
    with pytest.raises(BadInput, match=r"rows \[1\]"):
        sample(model, 3, {"source": source})


def test_labels_are_hidden_and_the_source_never():
    x, cond = batch()
    model = Pix2Pix(PICTURE, LABEL, net=toy, drop=1.0)
    turns(model, x, {**cond, "label": torch.tensor([0, 1, 2, 0])})
    assert all(source.isfinite().all() for _, source in model.discriminator.seen)


def test_it_learns_the_negative_and_its_seed_moves_nothing_that_pairs_fix():
    torch.manual_seed(0)
    model = Pix2Pix(PICTURE, SOURCE, net=small)
    options = TrainOptions(**{**model.recommended, "lr": 3e-3})
    learner = Learner(model, options, 150)
    x, cond = batch(16)
    before = (sample(model, 16, cond) - x).abs().mean()
    for index in range(150):
        x, cond = batch(8)
        learner.step(index, [Micro(x, cond, 0, 8, range(8))])
    x, cond = batch(16)
    after = (sample(learner.sampler(), 16, cond) - x).abs().mean()
    assert after < 0.4 * before


def test_a_run_goes_on_bit_for_bit():
    torch.manual_seed(0)
    model = Pix2Pix(PICTURE, SOURCE, net=small)
    data = [batch() for _ in range(4)]
    learner = Learner(model, TrainOptions(lr=1e-3), 4)
    kept = None
    for index, (x, cond) in enumerate(data):
        if index == 2:
            kept = copy.deepcopy(learner.state())
        learner.step(index, [Micro(x, cond, 0, 4, range(4))])
    other = Learner(Pix2Pix(PICTURE, SOURCE, net=small), TrainOptions(lr=1e-3), 4)
    other.restore(kept)
    for index in (2, 3):
        x, cond = data[index]
        other.step(index, [Micro(x, cond, 0, 4, range(4))])
    for (name, a), b in zip(model.state_dict().items(), other.model.state_dict().values()):
        assert torch.equal(a, b), name
