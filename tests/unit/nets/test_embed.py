"""Conditions enter nets in three ways; hidden and absent ones are the same thing."""

import pytest
import torch

from genloom.core import Real, Tokens, hide, rows
from genloom.nets.embed import (
    ChannelNorm,
    ConditionGrid,
    ConditionSequence,
    ConditionVector,
    Dropout,
    Fourier,
    way,
)

CONDITIONS = {
    "label": Tokens((), 5),
    "angles": Real((3,)),
    "text": Tokens((4,), 7),
    "mask": Real((1, 6, 6)),
}


def condition(n: int) -> dict[str, torch.Tensor]:
    return {
        "label": torch.arange(n) % 5,
        "angles": torch.randn(n, 3),
        "text": torch.randint(7, (n, 4)),
        "mask": torch.randn(n, 1, 6, 6),
    }


def test_each_space_has_its_way():
    ways = {name: way(space) for name, space in CONDITIONS.items()}
    assert ways == {"label": "vector", "angles": "vector", "text": "sequence", "mask": "grid"}


@pytest.mark.parametrize("module", [ConditionVector, ConditionSequence])
def test_hidden_rows_equal_absent_conditions_and_differ_from_present_ones(module):
    torch.manual_seed(0)
    embed = module(CONDITIONS, 8)
    cond = condition(4)
    mask = torch.tensor([True, False, True, False])
    mixed, absent, shown = embed(hide(cond, mask), 4), embed({}, 4), embed(cond, 4)
    assert torch.equal(mixed[mask], absent[mask])
    assert torch.equal(mixed[~mask], shown[~mask])
    assert not torch.isclose(shown, absent).all()
    assert mixed.isfinite().all()


def test_gradients_through_hidden_rows_are_finite():
    embed = ConditionVector(CONDITIONS, 8)
    cond = hide(condition(4), torch.tensor([True, False, True, False]))
    embed(cond, 4).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in embed.parameters())


def test_no_conditions_is_zero_or_nothing():
    assert torch.equal(ConditionVector({}, 8)({}, 3), torch.zeros(3, 8))
    assert ConditionSequence({}, 8)({}, 3) is None


def test_a_grid_is_concatenated_with_a_flag():
    embed = ConditionGrid(CONDITIONS)
    x, cond = torch.randn(2, 3, 6, 6), condition(2)
    out = embed(x, hide(cond, torch.tensor([True, False])))
    assert out.shape == (2, 3 + embed.channels, 6, 6)
    assert torch.equal(out[0, 3:], torch.zeros(2, 6, 6))
    assert torch.equal(out[1, 3:4], cond["mask"][1])
    assert torch.equal(out[1, 4], torch.ones(6, 6))
    assert torch.equal(embed(x, {})[0], out[0])


def test_fourier_frequencies():
    f = Fourier(8, high=1.0, low=1e-4)
    t = torch.tensor([0.0, 3.0])
    out = f(t)
    assert torch.equal(out[0], torch.tensor([1.0] * 4 + [0.0] * 4))
    expected = [torch.cos(torch.tensor(3 * 10 ** (-4 * i / 4))) for i in range(4)]
    assert torch.allclose(out[1, :4], torch.stack(expected))


def test_dropout_of_micro_batches_is_that_of_the_batch():
    drop, x = Dropout(0.4), torch.ones(6, 50)
    torch.manual_seed(1)
    whole = drop(x)
    with rows(2, 6):
        torch.manual_seed(1)
        part = drop(x[2:5])
    assert torch.equal(part, whole[2:5])
    assert 0.3 < (whole == 0).float().mean() < 0.5
    assert torch.allclose(whole[whole > 0], torch.tensor(1 / 0.6))
    assert torch.equal(drop.eval()(x), x)


@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_channel_norm_has_unit_mean_square(axes):
    x = 5 * torch.randn(2, 16, *(3,) * axes)
    out = ChannelNorm(16)(x)
    assert torch.allclose(out.square().mean(1), torch.ones(2, *(3,) * axes), atol=1e-4)
