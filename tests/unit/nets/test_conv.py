"""Convolutional, DCGAN and R3GAN nets: shapes over axes, halvings, conditions, augmentation."""

import pytest
import torch

from genloom.core import Real, Tokens, rows
from genloom.errors import BadInput
from genloom.nets.conv import conv_coder, halvings
from genloom.nets.dcgan import dcgan_players
from genloom.nets.dense import mlp_coder, mlp_players
from genloom.nets.diffaug import augment, cutout, translate
from genloom.nets.r3gan import Block, r3_players

LABEL = {"label": Tokens((), 3)}
SPACES = [Real((1, 28, 28), 256), Real((3, 32, 16), 256), Real((2, 24)), Real((1, 8, 8, 8))]


def test_halvings():
    assert [halvings([n]) for n in (28, 32, 64, 27, 8, 6, 10)] == [2, 3, 4, 0, 1, 0, 1]
    assert halvings([32, 12]) == 1
    assert halvings([]) == 0


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("make", [dcgan_players, r3_players, mlp_players])
def test_players_fit_the_space(space, make):
    generator, discriminator = make(space, 5, LABEL, width=4)
    cond = {"label": torch.tensor([0, -1])}
    x = generator(torch.randn(2, 5), cond)
    assert x.shape == (2, *space.shape)
    assert discriminator(x, cond).shape == (2,)
    assert discriminator(x, {}).shape == (2,)


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("make", [conv_coder, mlp_coder])
def test_coders_fit_the_space(space, make):
    encoder, decoder = make(space, 5, 2, LABEL, width=4)
    cond = {"label": torch.tensor([0, -1])}
    code = encoder(torch.randn(2, *space.shape), cond)
    assert code.shape == (2, 10)
    channels, *spatial = space.shape
    assert decoder(code[:, :5], cond).shape == (2, 2 * channels, *spatial)


@pytest.mark.parametrize("make", [dcgan_players, r3_players, mlp_players])
def test_the_label_reaches_both_players(make):
    generator, discriminator = make(Real((1, 8, 8), 256), 4, LABEL, width=4)
    generator.eval(), discriminator.eval()
    z, x = torch.randn(1, 4).expand(3, 4), torch.randn(1, 1, 8, 8).expand(3, 1, 8, 8)
    cond = {"label": torch.tensor([0, 1, -1])}
    for out in (generator(z, cond), discriminator(x, cond)):
        assert not torch.allclose(out[0], out[1])
        assert not torch.allclose(out[0], out[2])


@pytest.mark.parametrize("make", [conv_coder, mlp_coder])
def test_the_label_reaches_encoder_and_decoder(make):
    encoder, decoder = make(Real((1, 8, 8), 256), 4, 1, LABEL, width=4)
    x, z = torch.randn(1, 1, 8, 8).expand(3, 1, 8, 8), torch.randn(1, 4).expand(3, 4)
    cond = {"label": torch.tensor([0, 1, -1])}
    for out in (encoder(x, cond), decoder(z, cond)):
        assert not torch.allclose(out[0], out[1])
        assert not torch.allclose(out[0], out[2])


def test_a_grid_that_cannot_be_halved_is_refused():
    with pytest.raises(BadInput, match="even"):
        dcgan_players(Real((1, 27, 27)), 4, {})
    with pytest.raises(BadInput, match="condition 'text'"):
        conv_coder(Real((1, 8, 8)), 4, 1, {"text": Tokens((7,), 20)})


def test_a_residual_block_starts_as_the_identity():
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(Block(2, 4, gain=0.7, norm=False)(x), x)


def test_dcgan_weights_start_at_the_papers_scale():
    generator, discriminator = dcgan_players(Real((1, 16, 16), 256), 64, {}, width=32)
    for net in (generator, discriminator):
        spreads = [p.std().item() for p in net.parameters() if p.ndim > 1 and p.numel() > 500]
        assert spreads == pytest.approx([0.02] * len(spreads), rel=0.15)


def test_translation_moves_whole_rows_and_fills_with_zeros():
    torch.manual_seed(0)
    x = torch.zeros(64, 1, 16, 16)
    x[:, :, 8, 8] = 1
    moved = translate(x)
    assert (moved.flatten(1).sum(1) == 1).all()  # two pixels at most: none leaves the picture
    place = moved.flatten(1).argmax(1)
    offsets = torch.stack([place // 16 - 8, place % 16 - 8])
    assert offsets.abs().max() == 2
    assert len(offsets.unique(dim=1).T) > 15
    assert (translate(torch.ones(64, 1, 16, 16)) == 0).any()


def test_cutout_zeroes_up_to_a_quarter():
    torch.manual_seed(0)
    share = (cutout(torch.ones(256, 2, 16, 16)) == 0).float().flatten(1).mean(1)
    assert share.max() == pytest.approx(0.25, abs=0.04)
    assert share.min() > 0.04


def test_augmentation_of_micro_batches_is_that_of_the_batch():
    x = torch.randn(6, 1, 8, 8)
    torch.manual_seed(1)
    whole = augment(x, "translation+cutout")
    parts = []
    for start in (0, 3):
        torch.manual_seed(1)
        with rows(start, 6):
            parts.append(augment(x[start : start + 3], "translation+cutout"))
    assert torch.equal(torch.cat(parts), whole)
    assert augment(x, "none") is x
