"""The diffusion transformer: any size, a silent start, positions, all ways of conditions."""

import math

import pytest
import torch
from torch import nn

from genloom.core import Real, Tokens
from genloom.errors import BadInput
from genloom.nets.dit import Dit, rotary, waves
from genloom.nets.unet import UNet

SMALL = {"width": 24, "layers": 2, "heads": 2}


def awake(net):
    """Give every matrix a value: nets are silent at the start."""
    torch.manual_seed(1)
    for p in net.parameters():
        if p.ndim > 1:
            nn.init.normal_(p, std=0.7 * p[0].numel() ** -0.5)
    return net


@pytest.mark.parametrize("positions", ["rotary", "waves"])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 17), {}),
        ((1, 8, 8), {}),
        ((3, 9, 5), {"patch": 3}),
        ((1, 5, 4, 6), {"dropout": 0.1}),
    ],
)
def test_any_size_keeps_its_shape_and_every_weight_is_used(shape, options, positions):
    net = Dit(shape[0], 2, len(shape) - 1, {}, positions=positions, **SMALL, **options)
    x, t = torch.randn(2, *shape), torch.randn(2)
    assert torch.equal(net(x, t, {}), torch.zeros(2, 2, *shape[1:]))
    out = awake(net)(x, t, {})
    assert out.shape == (2, 2, *shape[1:])
    assert (out.std(0) > 0).all()  # every place is reached, the padded edge too
    out.square().sum().backward()
    for name, p in net.named_parameters():
        if not name.startswith("vector"):
            assert p.grad is not None and p.grad.any(), name


def test_before_training_blocks_pass_their_input_on():
    net = Dit(1, 1, 2, {}, **SMALL)
    x = torch.randn(2, 16, 24)
    block = net.blocks[0]
    turns = net._turns((4, 4), 0, x)
    assert torch.equal(block(x, torch.randn(2, 24), turns), x)
    nn.init.normal_(block.modulate.weight)
    assert not torch.allclose(block(x, torch.randn(2, 24), turns), x, atol=1e-2)


@pytest.mark.parametrize("positions", ["rotary", "waves"])
def test_places_are_told_apart_on_every_axis(positions):
    """With equal patches everywhere but one, moving that one along any axis moves the answer."""
    net = awake(Dit(1, 1, 3, {}, positions=positions, **SMALL))
    for axis in range(3):
        x = torch.zeros(1, 1, 6, 6, 6)
        x[0, 0, 2:4, 2:4, 2:4] = 2.0
        moved = x.roll(2, 2 + axis)
        out, after = net(x, torch.zeros(1), {}), net(moved, torch.zeros(1), {})
        assert (after.roll(-2, 2 + axis) - out).abs().max() > 1e-3
        assert (after - out).abs().max() > 1e-3


def test_rotary_attention_depends_on_how_far_apart_places_are_alone():
    angles = rotary((5, 7), 8, torch.device("cpu")).view(5, 7, 8)
    q, k = (torch.randn(8, dtype=torch.complex64) for _ in range(2))

    def seen(a, b):
        turned = [torch.polar(torch.ones(8), at) for at in (angles[a], angles[b])]
        return ((q * turned[0]) * (k * turned[1]).conj()).sum().real

    assert seen((0, 1), (2, 4)) == pytest.approx(seen((2, 3), (4, 6)).item(), abs=1e-4)
    assert abs(seen((0, 1), (2, 4)) - seen((0, 1), (4, 2))) > 1e-2


def test_joined_words_come_first_and_are_not_turned():
    net, h = Dit(1, 1, 2, {}, **SMALL), torch.zeros(1, 11, 24)
    turns = net._turns((2, 4), 3, h)
    assert torch.equal(turns[:3], torch.ones_like(turns[:3]))
    assert torch.equal(turns[3:], net._turns((2, 4), 0, h))
    assert not torch.equal(turns[4:], torch.ones_like(turns[4:]))


def test_waves_are_sines_and_cosines_of_each_axis():
    found = waves((3, 5), 16, torch.device("cpu")).view(3, 5, 16)
    row, column, rate = 2, 4, 1e4 ** (-1 / 4)
    assert found[row, column, 1].item() == pytest.approx(math.sin(column * rate), abs=1e-6)
    assert found[row, column, 5].item() == pytest.approx(math.cos(column * rate), abs=1e-6)
    assert found[row, column, 9].item() == pytest.approx(math.sin(row * rate), abs=1e-6)


CONDITIONS = {
    "label": Tokens((), 4),
    "size": Real((3,)),
    "caption": Tokens((6,), 11),
    "mask": Real((1, 8, 8)),
}


def given():
    torch.manual_seed(2)
    return {
        "label": torch.tensor([1, 2]),
        "size": torch.randn(2, 3),
        "caption": torch.randint(11, (2, 6)),
        "mask": torch.randn(2, 1, 8, 8),
    }


def dit():
    return Dit(1, 1, 2, CONDITIONS, **SMALL)


def unet():
    return UNet(1, 1, 2, CONDITIONS, width=8, levels=2, groups=4, head=8)


@pytest.mark.parametrize("make", [dit, unet])
@pytest.mark.parametrize("name", list(CONDITIONS))
def test_every_condition_enters_and_a_hidden_one_is_as_an_absent_one(make, name):
    net, cond = awake(make()), given()
    x, t = torch.randn(2, 1, 8, 8), torch.zeros(2)
    out = net(x, t, cond)
    changed = {**cond, name: cond[name].flip(0)}
    assert (net(x, t, changed) - out).abs().max() > 1e-4
    hidden = torch.full_like(cond[name], float("nan") if cond[name].is_floating_point() else -1)
    absent = {key: value for key, value in cond.items() if key != name}
    without = net(x, t, absent)
    assert torch.allclose(net(x, t, {**cond, name: hidden}), without, atol=1e-5)
    assert (without - out).abs().max() > 1e-4


@pytest.mark.parametrize("make", [dit, unet])
def test_the_order_of_words_matters(make):
    net, cond = awake(make()), given()
    x, t = torch.randn(2, 1, 8, 8), torch.zeros(2)
    nn.init.normal_(net.sequence.places["caption"])
    turned = {**cond, "caption": cond["caption"].flip(1)}
    assert (net(x, t, turned) - net(x, t, cond)).abs().max() > 1e-4


def test_a_row_does_not_depend_on_its_neighbours():
    net, cond = awake(dit()).eval(), given()
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([0.1, -1.0])
    alone = net(x[1:], t[1:], {key: value[1:] for key, value in cond.items()})
    assert torch.allclose(net(x, t, cond)[1:], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("axes", "options", "message"),
    [
        (0, {}, "1 to 3 spatial axes"),
        (2, {"width": 30, "heads": 4}, "multiple of 8"),
        (3, {"width": 8, "heads": 2}, "at least 6"),
    ],
)
def test_sizes_that_do_not_fit_are_named(axes, options, message):
    with pytest.raises(BadInput, match=message):
        Dit(1, 1, axes, {}, **options)


def test_a_unet_without_attention_refuses_text():
    with pytest.raises(BadInput, match="caption must be attended to"):
        UNet(1, 1, 2, CONDITIONS, width=8, levels=2, attend=3, groups=4)


def test_it_learns_where_the_bright_patch_is():
    """Only attention can tell each patch the mean of all of them."""
    torch.manual_seed(0)
    net = Dit(1, 1, 2, {}, **SMALL)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        x = torch.randn(32, 1, 4, 4) + 2 * torch.randn(32, 1, 1, 1)
        loss = (net(x, torch.zeros(32), {}) - x.mean((2, 3), keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
