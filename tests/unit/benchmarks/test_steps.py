"""Races of training steps and samples: both sides do the same work."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from benchmarks import glow_step, hvae_step
from benchmarks.gan_step import Game, difference, hinge_loop
from benchmarks.pixelcnn_step import of_tokens, of_values, tokens, values

from genloom.core import Real, Rng, Tokens
from genloom.models.autoregressive import Autoregressive
from genloom.models.gan_presets import biggan, sngan
from genloom.models.pixelcnnpp import PixelCnnPlusPlus
from genloom.nets.pixelcnn import PixelCnn
from genloom.nets.pixelcnnpp import PixelCnnPp
from genloom.sampling import sample

SMALL = Real((3, 8, 8), levels=256)


def stirred(model: torch.nn.Module) -> Any:
    """Off its start, where a net says the same everywhere."""
    torch.manual_seed(1)
    for p in model.parameters():
        p.data += 0.2 * torch.randn_like(p)
    return model.eval()


@pytest.mark.parametrize(
    "game",
    [
        Game(partial(sngan, width=4, turns=2), hinge_loop, 4, SMALL, {}),
        Game(
            partial(biggan, width=4, drop=0.0, orthogonal=0.1),
            hinge_loop,
            4,
            SMALL,
            {"label": Tokens((), 10)},
        ),
    ],
    ids=["sngan", "biggan"],
)
def test_the_published_game_moves_the_weights_as_ours_does(game):
    assert difference(game, seed=0) < 1e-8


def test_the_usual_loop_of_a_hierarchical_vae_moves_the_weights_as_ours_does():
    assert hvae_step.difference(seed=0) < 1e-8


@torch.no_grad()
def test_a_full_pass_for_each_token_draws_what_the_cache_draws():
    net = partial(PixelCnn, width=8, layers=2)
    torch.manual_seed(0)
    model = stirred(Autoregressive(Tokens((4, 5), 16), {}, net=net))
    x = torch.randint(16, (3, 4, 5))
    torch.testing.assert_close(of_tokens(model, x), model.loss(x, {})["nats"])
    drawn = tokens(model, Rng([7, 8]).uniform(20))
    assert torch.equal(drawn, sample(model, 2, seed=7)) and len(drawn.unique()) > 4


@torch.no_grad()
def test_a_full_pass_for_each_pixel_draws_what_the_reader_draws():
    torch.manual_seed(0)
    net = partial(PixelCnnPp, width=8, layers=1, scales=2)
    model = stirred(PixelCnnPlusPlus(Real((3, 4, 4), levels=256), {}, net=net, mixtures=3))
    x = torch.randint(256, (4, 3, 4, 4)) * (2 / 255) - 1
    x[0], x[1] = -1.0, 1.0
    torch.testing.assert_close(of_values(model, x), model.loss(x, {})["nats"], rtol=1e-4, atol=0)
    drawn = values(model, Rng([7, 8]).uniform(4, 4, 4))
    assert torch.equal(drawn, sample(model, 2, seed=7)) and len(drawn.unique()) > 4


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", list(glow_step.SETTINGS))
def test_both_flows_have_as_many_parameters(kind):
    pytest.importorskip("normflows")
    setting = glow_step.SETTINGS[kind]
    counts = [
        sum(p.numel() for p in model.parameters())
        for model in (glow_step.ours(setting), glow_step.THEIRS[kind](setting))
    ]
    assert counts[0] == counts[1]
