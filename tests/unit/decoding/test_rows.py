"""Logit filters, on distributions whose answer is plain to see."""

from __future__ import annotations

import pytest
import torch

from genloom.core import Rng
from genloom.decoding.rows import narrowed

P = torch.tensor([[0.1, 0.4, 0.05, 0.3, 0.15], [0.2, 0.2, 0.2, 0.2, 0.2]])


def kept(**options: float) -> list[list[int]]:
    return [row.isfinite().nonzero().flatten().tolist() for row in narrowed(P.log(), **options)]


def test_without_options_the_distribution_stays():
    assert torch.allclose(narrowed(P.log()).softmax(-1), P.double(), atol=1e-7)


def test_top_k_keeps_the_k_most_likely():
    assert kept(top_k=2) == [[1, 3], [0, 1]]
    assert kept(top_k=1) == [[1], [0]]
    assert kept(top_k=99) == kept(top_k=0) == [[0, 1, 2, 3, 4]] * 2


@pytest.mark.parametrize(
    ("p", "first"),
    [
        (0.0, [1]),
        (0.39, [1]),
        (0.41, [1, 3]),
        (0.69, [1, 3]),
        (0.75, [1, 3, 4]),
        (1.0, [*range(5)]),
    ],
)
def test_top_p_keeps_the_fewest_tokens_of_mass_p(p, first):
    assert kept(top_p=p)[0] == first


def test_min_p_is_relative_to_the_largest():
    assert kept(min_p=0.35)[0] == [1, 3, 4]  # at least 0.14
    assert kept(min_p=1.0) == [[1], [0, 1, 2, 3, 4]]


def test_filters_apply_in_order():
    # of the two that top-k leaves, 0.4 and 0.3, the first has 4/7 of the mass
    assert kept(top_k=2, top_p=0.55)[0] == [1]
    assert kept(top_k=2, top_p=0.6)[0] == [1, 3]
    # temperature 1/2 squares the odds: 0.3 is 0.56 of 0.4 then
    assert kept(temperature=0.5, min_p=0.5)[0] == [1, 3]
    assert kept(temperature=0.5, min_p=0.6)[0] == [1]


def test_temperature_scales_log_odds_and_zero_is_greedy():
    hot = narrowed(P[:1].log(), temperature=2.0).softmax(-1)
    assert torch.allclose(hot, (P[:1].double().sqrt() / P[:1].double().sqrt().sum()), atol=1e-7)
    assert kept(temperature=0.0) == kept(temperature=1e-320, top_k=1) == [[1], [0]]
    assert not narrowed(P.log(), temperature=1e-320).isnan().any()


def test_drawn_frequencies_follow_the_narrowed_distribution():
    n = 4000
    logits = narrowed(P[:1].log(), top_k=3).expand(n, -1)
    counts = Rng(range(n)).categorical(logits).bincount(minlength=5)
    expected = torch.tensor([0, 0.4, 0, 0.3, 0.15]) / 0.85
    assert (counts / n - expected).abs().max() < 0.03
    assert counts[0] == counts[2] == 0
