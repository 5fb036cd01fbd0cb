"""Quantizers: nearest vectors, gradients through them, every level and every code, the cloud."""

import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genloom.errors import BadInput
from genloom.models.quantize import Codebook, Gaussian, Levels, perplexity


def test_the_nearest_vector_is_that_of_all_distances():
    book = Codebook(37, 5)
    rows = torch.randn(200, 5)
    wanted = torch.cdist(rows.double(), book.vectors.double()).argmin(1)
    assert torch.equal(book.nearest(rows), wanted)


def test_a_codebook_gives_the_vectors_of_its_codes():
    book = Codebook(11, 3)
    coded = book.code(torch.randn(2, 3, 4, 5))
    assert coded.codes.shape == (2, 4, 5)
    assert torch.allclose(coded.z, book.lookup(coded.codes), atol=1e-6)
    assert torch.equal(book.lookup(coded.codes)[1, :, 2, 3], book.vectors[coded.codes[1, 2, 3]])


def test_the_gradient_goes_straight_through():
    book = Codebook(11, 3, commitment=0.0)
    h = torch.randn(2, 3, 4, requires_grad=True)
    wanted = torch.randn(2, 3, 4)
    (book.code(h).z * wanted).sum().backward()
    assert torch.equal(h.grad, wanted)


def test_the_commitment_draws_the_encoder_to_its_codes():
    book = Codebook(4, 2, commitment=0.25)
    h = torch.randn(3, 2, 5, requires_grad=True)
    coded = book.code(h)
    off = book.lookup(coded.codes) - h
    (grad,) = torch.autograd.grad(coded.terms["commitment"], h)
    assert coded.terms["commitment"].item() == pytest.approx(0.25 * off.square().mean().item())
    assert torch.allclose(grad, -0.5 * off.detach() / off.numel(), atol=1e-6)


def test_a_vector_is_the_moving_mean_of_its_features():
    """Appendix A.1, with a loop over places: N and m, decayed, and their ratio."""
    book = Codebook(3, 2, decay=0.9, idle=0.0)
    n, m = torch.ones(3), book.vectors.clone()
    for _ in range(4):
        h = torch.randn(5, 2, 6)
        coded = book.code(h)
        count, total = torch.zeros(3), torch.zeros(3, 2)
        for row, code in zip(h.movedim(1, 2).reshape(-1, 2), coded.codes.flatten().tolist()):
            count[code] += 1 / 10  # even use is 30 / 3 places
            total[code] += row / 10
        n, m = 0.9 * n + 0.1 * count, 0.9 * m + 0.1 * total
        book.see(coded)
        book.move()
        assert torch.allclose(book.vectors, m / n[:, None], atol=1e-5)


def test_parts_move_vectors_as_the_whole_batch_does():
    whole, parts = Codebook(8, 2), Codebook(8, 2)
    parts.load_state_dict(whole.state_dict())
    h = torch.randn(6, 2, 5)
    whole.see(whole.code(h))
    whole.move()
    for part in h.split(2):
        parts.see(parts.code(part))
    for _ in range(3):  # once for each part: the first one moves, the others find it done
        parts.move()
    assert torch.allclose(whole.vectors, parts.vectors, atol=1e-6)
    assert torch.allclose(whole.use, parts.use)


def test_an_idle_vector_is_put_beside_one_in_use():
    torch.manual_seed(0)
    book = Codebook(16, 2, decay=0.5)
    book.prepare(torch.randn(4, 2, 8))
    book.vectors[3:] = book.sums[3:] = 1e3  # far from all features
    h = torch.randn(64, 2, 8)
    for _ in range(60):
        book.see(book.code(h))
        book.move()
    coded = book.code(h)
    assert len(coded.codes.unique()) == 16
    assert coded.terms["commitment"] < 0.25 * 0.25


def test_a_split_vector_lies_near_one_in_use():
    torch.manual_seed(0)
    book, h = Codebook(8, 2), torch.randn(16, 2, 8)
    book.prepare(h)
    book.use[5] = 0.0
    book.see(replace(book.code(h), codes=torch.full((16, 8), 2)))
    book.move()
    others = torch.cat([book.vectors[:5], book.vectors[6:]])
    assert torch.cdist(book.vectors[5:6], others).min() < 0.5 * h.std()
    assert book.use[5] == 0.5


def test_levels_number_every_combination_once():
    levels = Levels((4, 3, 5))
    assert (levels.vocab, levels.features) == (60, 3)
    z = levels.lookup(torch.arange(60)[None])  # (1, 3, 60)
    assert z.shape == (1, 3, 60)
    assert len(z[0].T.unique(dim=0)) == 60
    assert z[0, 0].unique().tolist() == [-1.0, -0.5, 0.0, 0.5]
    assert z[0, 1].unique().tolist() == [-1.0, 0.0, 1.0]
    assert z[0, 2].unique().tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8])
def test_every_level_is_reached_and_zero_stays_zero(count):
    levels = Levels((count,))
    h = torch.linspace(-12, 12, 4001)[None, None]
    coded = levels.code(h)
    assert torch.equal(coded.codes.unique(), torch.arange(count))
    assert torch.allclose(coded.z, levels.lookup(coded.codes), atol=1e-6)
    assert (coded.z.diff() >= -1e-6).all()
    assert levels.code(torch.zeros(1, 1, 1)).z.abs().item() < 1e-6


def test_combined_levels_are_looked_up_as_they_were_coded():
    levels = Levels((4, 2, 6))  # no two of which are coprime
    coded = levels.code(3 * torch.randn(50, 3, 4))
    assert torch.allclose(levels.lookup(coded.codes), coded.z, atol=1e-6)


def test_levels_round_a_bounded_feature():
    """Mentzer et al., appendix A.1, one number by hand: 4 levels at h = 0.3."""
    half = 3 * 1.001 / 2
    bounded = math.tanh(0.3 + math.atanh(0.5 / half)) * half - 0.5
    h = torch.tensor([[[0.3]]], requires_grad=True)
    coded = Levels((4,)).code(h)
    assert coded.codes.item() == round(bounded) + 2
    coded.z.sum().backward()
    slope = half * (1 - math.tanh(0.3 + math.atanh(0.5 / half)) ** 2) / 2
    assert h.grad.item() == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("levels", [(), (8, 1)])
def test_levels_below_two_are_refused(levels):
    with pytest.raises(BadInput, match="at least 2"):
        Levels(levels)


def test_the_cloud_costs_its_divergence():
    h = torch.randn(3, 4, 5)
    coded = Gaussian(2, beta=0.5).code(h)
    mean, log_std = h.chunk(2, 1)
    wanted = kl_divergence(Normal(mean, log_std.exp()), Normal(0.0, 1.0)).mean()
    assert coded.terms["rate"].item() == pytest.approx(0.5 * wanted.item(), rel=1e-5)
    assert torch.equal(coded.codes, mean)


def test_the_cloud_is_as_wide_as_it_says():
    h = torch.cat([torch.full((1, 1, 40_000), 3.0), torch.full((1, 1, 40_000), -1.0)], 1)
    torch.manual_seed(0)
    z = Gaussian(1, beta=0.0).code(h).z
    assert z.mean().item() == pytest.approx(3.0, abs=0.01)
    assert z.std().item() == pytest.approx(math.exp(-1), rel=0.02)


def test_perplexity_counts_codes_in_even_use():
    assert perplexity(torch.arange(6).repeat(3), 9).item() == pytest.approx(6, rel=1e-5)
    assert perplexity(torch.full((5,), 2), 9).item() == pytest.approx(1, rel=1e-5)


def test_a_codebook_starts_from_the_features_it_is_shown():
    book = Codebook(50, 3)
    h = 100 + torch.randn(4, 3, 6, 6)
    book.prepare(h)
    gaps = torch.cdist(book.vectors, h.movedim(1, -1).reshape(-1, 3)).min(1).values
    assert (gaps < 0.2).all()
    assert len(book.vectors.unique(dim=0)) == 50
