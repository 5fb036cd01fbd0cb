"""The U-Net: any axes and sizes, a silent start, conditions, independence of the batch."""

import pytest
import torch
import torch.nn.functional as F

from genloom.core import Real, Tokens
from genloom.errors import BadInput
from genloom.nets.unet import Grow, UNet, depth_to_space, space_to_depth


def awake(net):
    """Give every parameter a value: nets are silent at the start."""
    torch.manual_seed(1)
    for p in net.parameters():
        if p.ndim > 1:
            torch.nn.init.normal_(p, std=0.5 * p[0].numel() ** -0.5)
    return net


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 17), {}),
        ((1, 28, 28), {}),
        ((3, 9, 5), {"stem": 3, "levels": 2}),
        ((1, 8, 8), {"stem": 1, "levels": 2, "blocks": 2, "attend": 0}),
        ((1, 5, 4, 6), {"cap": 1}),
    ],
)
def test_any_size_keeps_its_shape(shape, options):
    net = UNet(shape[0], 2, len(shape) - 1, {}, width=8, groups=4, head=8, **options)
    x, t = torch.randn(2, *shape), torch.randn(2)
    assert torch.equal(net(x, t, {}), torch.zeros(2, 2, *shape[1:]))
    out = awake(net)(x, t, {})
    assert out.shape == (2, 2, *shape[1:])
    assert (out.std(0) > 0).all()  # every place is reached, the padded edge too
    out.square().sum().backward()
    for name, p in net.named_parameters():
        assert p.grad is not None and p.grad.any(), name
        if p.ndim > 2 and p.shape[1] > 1:  # every channel is read, those of skips too
            assert p.grad.transpose(0, 1).flatten(1).any(1).all(), name


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_space_to_depth_is_a_bijection_of_blocks(axes):
    x = torch.randn(2, 3, *(4, 6, 8)[:axes])
    folded = space_to_depth(x, 2)
    assert folded.shape == (2, 3 * 2**axes, *(2, 3, 4)[:axes])
    assert torch.equal(depth_to_space(folded, 2), x)
    block = x[0, 1][(slice(2, 4),) * axes].flatten()  # block (1, 1, ...) of channel 1
    where = (0, slice(2**axes, 2 * 2**axes), *(1,) * axes)
    assert torch.equal(folded[where], block)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_growing_is_repeating_and_a_convolution(axes):
    grow = Grow(axes, 3).double()
    x = torch.randn(2, 3, *(4, 3, 2)[:axes], dtype=torch.float64)
    conv = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    wanted = conv(F.interpolate(x, scale_factor=2), grow.weight, grow.bias, padding=1)
    assert torch.allclose(grow(x, wanted.shape[2:]), wanted, atol=1e-12)
    odd = torch.Size(side - 1 for side in wanted.shape[2:])
    cut = (..., *(slice(side) for side in odd))
    assert torch.equal(grow(x, odd), grow(x, wanted.shape[2:])[cut])


def test_every_kind_of_condition_changes_the_output():
    conditions = {"label": Tokens((), 3), "text": Tokens((4,), 5), "mask": Real((1, 8, 8))}
    net = awake(UNet(1, 1, 2, conditions, width=8, levels=2, stem=1, groups=4, head=8))
    x, t = torch.randn(2, 1, 8, 8), torch.randn(2)
    base = net(x, t, {})
    changed = [
        net(x, t + 0.2, {}),
        net(x, t, {"label": torch.tensor([0, 2])}),
        net(x, t, {"text": torch.randint(5, (2, 4))}),
        net(x, t, {"mask": torch.randn(2, 1, 8, 8)}),
    ]
    assert all((c - base).abs().max() > 1e-4 for c in changed)
    hidden = {"label": torch.full((2,), -1), "mask": torch.full((2, 1, 8, 8), float("nan"))}
    assert torch.equal(net(x, t, hidden), base)


def test_rows_do_not_see_each_other():
    net = awake(UNet(1, 1, 2, {}, width=8, levels=2, groups=4, head=8)).eval()
    x, t = torch.randn(4, 1, 12, 12), torch.randn(4)
    assert torch.allclose(net(x, t, {})[1:2], net(x[1:2], t[1:2], {}), atol=1e-5)


def test_weights_and_images_are_channels_last():
    net = UNet(1, 1, 2, {}, width=8, levels=2, groups=4)
    assert all(
        p.is_contiguous(memory_format=torch.channels_last) for p in net.parameters() if p.ndim == 4
    )


def test_axes_outside_one_to_three_are_refused():
    with pytest.raises(BadInput, match="1 to 3 spatial axes"):
        UNet(2, 2, 0, {})
