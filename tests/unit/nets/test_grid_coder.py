"""Encoder and decoder on grids: shapes over 1 to 3 axes, places, what is refused."""

import pytest
import torch

from genloom.core import Real
from genloom.errors import BadInput
from genloom.nets.grid_coder import grid_coder, usual_coder


@pytest.mark.parametrize("spatial", [(16,), (8, 16), (8, 8, 16)])
@pytest.mark.parametrize("down", [2, 4])
def test_every_axis_is_coarser_by_the_factor(spatial, down):
    encoder, decoder = grid_coder(Real((3, *spatial)), 5, 6, down=down, width=4, hidden=4)
    h = encoder(torch.randn(2, 3, *spatial))
    assert h.shape == (2, 5, *(n // down for n in spatial))
    assert decoder(torch.randn(2, 6, *h.shape[2:])).shape == (2, 3, *spatial)


def test_a_place_sees_what_is_near_it_alone():
    encoder, _ = grid_coder(Real((1, 64)), 2, 2, width=4, hidden=4, blocks=1)
    x = torch.randn(1, 1, 64)
    moved = x.clone()
    moved[..., -1] += 1
    changed = (encoder(x) != encoder(moved)).any(1)[0]
    assert changed[-1] and not changed[:10].any()


def test_a_block_adds_to_what_it_is_given():
    from genloom.nets.grid_coder import Residual

    block = Residual(2, 4, 8)
    for p in block.body[-1].parameters():
        torch.nn.init.zeros_(p)
    x = torch.randn(2, 4, 3, 3)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("shape", "down", "message"),
    [
        ((1, 28, 30), 4, "multiples of down = 4"),
        ((2,), 4, "multiples"),
        ((1, 24), 6, "power of two"),
    ],
)
def test_what_cannot_be_divided_is_refused(shape, down, message):
    with pytest.raises(BadInput, match=message):
        grid_coder(Real(shape), 2, 2, down=down)


@pytest.mark.parametrize(("side", "left"), [(32, 8), (28, 7), (16, 4), (8, 4), (12, 6)])
def test_the_usual_grid_has_four_places_an_axis(side, left):
    space = Real((1, side, side))
    encoder, _ = usual_coder(space)(space, 2, 2)
    assert encoder(torch.zeros(1, 1, side, side)).shape == (1, 2, left, left)
