"""Spectral normalization: Miyato et al., 2018 (arXiv:1802.05957), section 2.1 and Alg. 1.

A weight is divided by its largest singular value, which power iteration tracks. The iteration is
not in the forward pass, as in most code, but a call of its own, made once an update: so a weight
is the same for real and generated rows, and for every micro-batch of a step.
"""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

START = 20  # rounds for a fresh weight; later each update is followed by one


@final
class Spectral(nn.Module):
    """W -> W / sigma(W) with sigma = u^T W v, u and v held fixed for the gradient (Eq. 12)."""

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor):
        super().__init__()
        rows = weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn(rows.shape[0]), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(rows.shape[1]), dim=0))
        for _ in range(START):
            self.iterate(weight)

    @torch.no_grad()
    def iterate(self, weight: Tensor) -> None:
        """One round of power iteration."""
        rows = weight.flatten(1).to(self.u)
        F.normalize(self.u @ rows, dim=0, out=self.v)
        F.normalize(rows @ self.v, dim=0, out=self.u)

    def forward(self, weight: Tensor) -> Tensor:
        """Rows are axis 0, all other axes flattened."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight / torch.dot(self.u, weight.flatten(1) @ self.v)


def normalise(module: nn.Module) -> None:
    """Divide every matrix, kernel and embedding of a net by its largest singular value, always."""
    for part in list(module.modules()):
        weight = getattr(part, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.ndim > 1:
            parametrize.register_parametrization(part, "weight", Spectral(weight))


def iterate(module: nn.Module) -> None:
    """One round of power iteration in every weight that is normalised; for after an update."""
    for part in module.modules():
        if isinstance(part, parametrize.ParametrizationList):
            for step in part:
                if isinstance(step, Spectral):
                    assert isinstance(part.original, Tensor)
                    step.iterate(part.original)
