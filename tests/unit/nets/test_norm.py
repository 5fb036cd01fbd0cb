"""The fast group norm equals torch's, forward and backward, in every layout."""

import pytest
import torch
import torch.nn.functional as F

from genloom.nets.norm import GroupNorm, _is_channels_last


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("modulated", [True, False])
@pytest.mark.parametrize("silu", [True, False])
def test_equals_torch(axes, modulated, silu):
    norm = GroupNorm(4, 12, silu=silu).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = 30 + 2 * torch.randn(3, 12, *(5, 4, 3)[:axes], dtype=torch.float64)
    if axes > 1:
        x = x.contiguous(memory_format=(torch.channels_last, torch.channels_last_3d)[axes - 2])
        assert _is_channels_last(x)
    scale, shift = torch.randn(2, 3, 12, dtype=torch.float64).unbind()
    inputs = [x, scale, shift, norm.weight, norm.bias]
    for tensor in inputs:
        tensor.requires_grad_()

    def reference(x, scale, shift, weight, bias):
        h = F.group_norm(x, 4, weight, bias)
        if modulated:
            view = (3, 12, *(1,) * axes)
            h = h * (1 + scale.view(view)) + shift.view(view)
        return F.silu(h) if silu else h

    found = norm(x, scale, shift) if modulated else norm(x)
    wanted = reference(*inputs)
    assert torch.allclose(found, wanted, atol=1e-9)
    weights = torch.randn_like(wanted)
    used = inputs if modulated else [x, norm.weight, norm.bias]
    a = torch.autograd.grad((found * weights).sum(), used)
    b = torch.autograd.grad((wanted * weights).sum(), used)
    for mine, torchs in zip(a, b, strict=True):
        assert torch.allclose(mine, torchs, atol=1e-9)


def test_keeps_the_layout():
    x = torch.randn(2, 8, 5, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = GroupNorm(8, 8)(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    y.square().sum().backward()
    assert x.grad is not None and x.grad.is_contiguous(memory_format=torch.channels_last)
