"""VQ-VAE and FSQ: codes and back, the two players, what the prior learns, samples."""

import math
from functools import partial

import pytest
import torch

from genloom.core import Latents, Likelihood, Real, Step, Tokens
from genloom.learner import Learner, Micro
from genloom.models.quantize import Codebook, Levels
from genloom.models.vqvae import Vqvae, fsq
from genloom.nets.grid_coder import grid_coder
from genloom.options import TrainOptions
from genloom.recipe import merged
from genloom.sampling import sample, stream

small = partial(grid_coder, down=2, width=8, hidden=8, blocks=1)
SPACE = Real((1, 8, 8), levels=256)
LABEL = {"label": Tokens((), 2)}
PRIOR = {"prior_width": 16, "prior_layers": 1}


def halves(n: int, seed: int = 0) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Pictures whose left or right half is white, and which one."""
    label = torch.randint(0, 2, (n,), generator=torch.Generator().manual_seed(seed))
    x = -torch.ones(n, 1, 8, 8)
    for i, side in enumerate(label.tolist()):
        x[i, :, :, 4 * side : 4 * side + 4] = 1
    return x, {"label": label}


def trained(model: Vqvae, steps: int = 320) -> list[dict[str, float]]:
    """A run on halves; the figures of each step."""
    x, cond = halves(256)
    model.prepare(x, cond)
    options = merged(model.recommended, {"steps": steps, "lr": 5e-3})
    learner = Learner(model, options, steps)
    figures = []
    for i in range(steps):
        rows = slice(16 * (i % 16), 16 * (i % 16) + 16)
        part = {"label": cond["label"][rows]}
        figures.append(learner.step(i, [Micro(x[rows], part, 0, 16, range(16))]))
    return figures


def test_codes_and_vectors_belong_together():
    model = Vqvae(SPACE, {}, net=small, codes=16, features=4, **PRIOR)
    x, _ = halves(5)
    codes = model.codes(x)
    assert model.code_shape == (4, 4) and model.code_vocab == 16
    assert codes.shape == (5, 4, 4) and codes.dtype == torch.long
    z = model.encode(x, {})
    assert torch.allclose(z, model.coder.bottleneck.lookup(codes), atol=1e-6)
    assert torch.allclose(model.decode(z, {}), model.from_codes(codes), atol=1e-5)
    assert isinstance(model, Latents) and not isinstance(model, Likelihood)


def test_levels_choose_the_quantizer():
    assert isinstance(Vqvae(SPACE, {}, net=small, **PRIOR).coder.bottleneck, Codebook)
    model = fsq(SPACE, {}, net=small, levels=(4, 3), **PRIOR)
    assert isinstance(model.coder.bottleneck, Levels) and model.code_vocab == 12


@pytest.mark.parametrize("error", ["l2", "l1"])
def test_the_distortion_is_relative_to_a_constant(error):
    model = fsq(SPACE, {}, net=small, error=error, **PRIOR)
    x = torch.rand(6, 1, 8, 8) * 2 - 1
    model.prepare(x, {})
    (player, terms), *_ = model.losses(x, {}, Step(0, 1))
    off = model.from_codes(model.codes(x)) - x
    far = x - x.mean()
    wanted = (
        off.square().mean() / far.square().mean()
        if error == "l2"
        else off.abs().mean() / far.abs().mean()
    )
    assert player == "coder" and set(terms) == {"distortion"}
    assert terms["distortion"].item() == pytest.approx(wanted.item(), rel=1e-4)


def test_the_prior_sees_the_codes_of_the_batch():
    model = Vqvae(SPACE, LABEL, net=small, codes=16, drop=0.0, **PRIOR)
    x, cond = halves(6)
    codes = model.codes(x)
    turns = list(model.losses(x, cond, Step(0, 1)))
    assert [name for name, _ in turns] == ["coder", "prior"]
    assert set(turns[0][1]) == {"distortion", "commitment"}
    said = model.prior.log_prob(codes, cond) / math.prod(model.code_shape)
    assert turns[1][1]["nats"].item() == pytest.approx(-said.mean().item(), rel=1e-4)


def test_vitals_tell_the_use_of_the_codebook():
    model = Vqvae(SPACE, {}, net=small, codes=16, **PRIOR)
    assert model.vitals() == {}
    next(iter(model.losses(halves(8)[0], {}, Step(0, 1))))
    assert 1 / 16 <= model.vitals()["codebook_perplexity_share"].item() <= 1


@pytest.mark.parametrize("make", [partial(Vqvae, codes=6), partial(fsq, levels=(4, 3))])
def test_training_learns_pictures_and_their_labels(make):
    torch.manual_seed(0)
    model = make(SPACE, LABEL, net=small, drop=0.1, **PRIOR)
    figures = trained(model)
    assert figures[-1]["coder/distortion"] < 0.05 < figures[0]["coder/distortion"]
    assert figures[-1]["prior/nats"] < 0.3 * figures[0]["prior/nats"]
    label = torch.arange(40) % 2
    x = sample(model.eval(), 40, {"label": label})
    sides = (x[:, 0, :, 4:].mean((1, 2)) > x[:, 0, :, :4].mean((1, 2))).long()
    assert (sides == label).float().mean() >= 0.8


def test_every_row_of_codes_gives_a_guess():
    model = Vqvae(SPACE, {}, net=small, codes=16, **PRIOR).eval()
    guesses = list(stream(model, [1, 2], {}))
    assert len(guesses) == 4 and all(g.shape == (2, 1, 8, 8) for g in guesses)


@pytest.mark.parametrize("spatial", [(16,), (8, 8, 8)])
def test_other_numbers_of_axes(spatial):
    model = Vqvae(Real((2, *spatial)), {}, net=small, codes=8, **PRIOR).eval()
    assert model.codes(torch.randn(3, 2, *spatial)).shape == (3, *(n // 2 for n in spatial))
    assert sample(model, 2).shape == (2, 2, *spatial)


def test_the_recommended_options_suit_both_players():
    model = Vqvae(SPACE, {}, net=small, codes=8, **PRIOR)
    learner = Learner(model, TrainOptions(**model.recommended))
    assert len(learner.players["prior"].optimizers) == 2  # Muon, and AdamW for the rest
    assert len(learner.players["coder"].optimizers) == 1
