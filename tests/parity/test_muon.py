"""Muon agrees with torch.optim.Muon, up to the bfloat16 in which that one iterates."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from genloom.optim import Muon


@pytest.mark.parametrize("shape", [(32, 32), (16, 64), (64, 16)])
def test_three_steps_equal_those_of_torch(shape):
    torch.manual_seed(0)
    ours = nn.Parameter(torch.randn(shape))
    theirs = nn.Parameter(ours.detach().clone())
    start = ours.detach().clone()
    optimizers = [
        Muon([ours], lr=0.02, weight_decay=0.1),
        torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True),
    ]
    for _ in range(3):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    moved, wanted = ours.detach() - start, theirs.detach() - start
    assert (moved - wanted).norm() < 0.02 * wanted.norm()
