"""The residual pairs: shapes over axes, conditions, where noise and labels enter, attention."""

import math
from functools import partial

import pytest
import torch

from genloom.core import Real, Tokens
from genloom.errors import BadInput
from genloom.nets.resgan import Attention, Down, Modulated, Up, biggan_players, grow, sn_players
from genloom.nets.spectral import iterate

LABEL = {"label": Tokens((), 3)}
SPACES = [Real((1, 28, 28), 256), Real((3, 32, 16), 256), Real((2, 24)), Real((1, 8, 8, 8))]
MAKERS = [sn_players, biggan_players, partial(biggan_players, norm="batch", attention=False)]


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("make", MAKERS)
def test_players_fit_the_space(space, make):
    for conditions in ({}, LABEL):
        generator, discriminator = make(space, 7, conditions, width=2)
        cond = {"label": torch.tensor([0, -1])} if conditions else {}
        x = generator(torch.randn(2, 7), cond)
        assert x.shape == (2, *space.shape)
        assert discriminator(x, cond).shape == discriminator(x, {}).shape == (2,)


def test_a_grid_is_needed():
    with pytest.raises(BadInput, match="even and at least 8"):
        biggan_players(Real((5,)), 4, {})


def test_each_block_has_its_own_part_of_the_noise():
    """A part alone changes the sample, and the parts together are the whole."""
    generator, _ = biggan_players(SPACES[0], 8, {}, width=2)
    assert sum(generator.parts) == 8 and generator.parts == [4, 2, 2]
    z = torch.randn(1, 8)
    whole = generator(z, {})
    for i in range(8):
        other = z.clone()
        other[:, i] += 1
        assert not torch.equal(generator(other, {}), whole), i
    plain, _ = sn_players(SPACES[0], 8, {}, width=2)
    assert plain.parts == [8, 0, 0]


def test_a_modulated_norm_is_a_norm_and_then_an_affine_map():
    norm = Modulated(2, 6, 3, "rms")
    x, c = torch.randn(2, 6, 4, 5), torch.randn(2, 3)
    gain, bias = (c @ norm.map.weight.T).chunk(2, 1)
    unit = x / x.square().mean(1, keepdim=True).sqrt()
    expected = (unit * (1 + gain[:, :, None, None]) + bias[:, :, None, None]).relu()
    torch.testing.assert_close(norm(x, c), expected, atol=1e-4, rtol=1e-4)


def test_blocks_commute_what_they_say_they_commute():
    """Skips are grown after their kernel and shrunk before it: less work, the same figures."""
    x, c = torch.randn(2, 4, 6, 6), torch.zeros(2, 0)
    up, down = Up(2, 4, 3, 0, "rms"), Down(2, 4, 3, first=False)
    torch.testing.assert_close(grow(up.skip(x)), up.skip(grow(x)))
    h = up.convs[1](up.norms[1](up.convs[0](grow(up.norms[0](x, c))), c))
    torch.testing.assert_close(up(x, c), h + up.skip(grow(x)))
    pool = partial(torch.nn.functional.avg_pool2d, kernel_size=2)
    h = down.convs[1](down.convs[0](x.relu()).relu())
    torch.testing.assert_close(down(x), pool(h + down.skip(x)), atol=1e-5, rtol=1e-5)


def test_attention_is_torchs_own():
    look, x = Attention(16), torch.randn(2, 16, 4, 4)
    assert torch.equal(look(x), x)
    look.gain.data.fill_(1.0)
    pooled = torch.nn.functional.avg_pool2d(x, 2)
    query, key, value = (
        m(v.flatten(2).mT) for m, v in zip(look.maps, (x, pooled, pooled), strict=True)
    )
    found = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=1.0)
    expected = x + look.out(found).mT.unflatten(2, (4, 4))
    torch.testing.assert_close(look(x), expected, atol=1e-5, rtol=1e-5)


def test_every_weight_of_the_discriminator_has_norm_one():
    _, discriminator = sn_players(SPACES[0], 4, LABEL, width=4)
    for p in discriminator.parameters():
        p.data = torch.randn_like(p) * 3
    for _ in range(200):
        iterate(discriminator)
    weights = [
        m.weight
        for m in discriminator.modules()
        if isinstance(getattr(m, "weight", None), torch.Tensor) and m.weight.ndim > 1
    ]
    assert len(weights) == 3 * 3 - 1 + 2  # kernels, less the identity skip, the head, the labels
    for weight in weights:
        assert torch.linalg.svdvals(weight.flatten(1))[0].item() == pytest.approx(1, abs=0.02)


def test_weights_start_orthogonal():
    generator, _ = sn_players(SPACES[0], 4, LABEL, width=4)
    kernel = generator.ups[0].convs[0].weight.flatten(1)
    torch.testing.assert_close(kernel @ kernel.T, torch.eye(len(kernel)), atol=1e-5, rtol=0)
    assert math.prod(kernel.shape) == 8 * 16 * 9
