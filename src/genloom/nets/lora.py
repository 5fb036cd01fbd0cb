"""Low-rank adaptation: trained layers stay as they are, and learn a small difference each.

Hu et al., LoRA, 2021 (arXiv:2106.09685), section 4.1. All linear layers of the blocks are adapted,
those of the feed-forward nets too (Dettmers et al., 2023, arXiv:2305.14314, section 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.errors import BadInput
from genloom.nets.decoder import Decoder


@final
class LowRank(nn.Module):
    """W x + bias + alpha / rank B A x; only A and B learn, and B is 0 at first.

    Args:
        linear: W and bias, which keep their names.
        rank: Rows of A, columns of B.
        alpha: How far the difference counts.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.weight, self.bias, self.scale = linear.weight, linear.bias, alpha / rank
        outputs, inputs = linear.weight.shape
        self.a = nn.Parameter(torch.randn(rank, inputs) * inputs**-0.5)
        self.b = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        difference = F.linear(F.linear(x, self.a), self.b)
        return torch.add(F.linear(x, self.weight, self.bias), difference, alpha=self.scale)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One layer that does the same."""
        inputs, device = self.weight.shape[1], self.weight.device
        made = nn.Linear(inputs, len(self.weight), self.bias is not None, device=device)
        made.weight.copy_(torch.addmm(self.weight, self.b, self.a, alpha=self.scale))
        if self.bias is not None:
            made.bias.copy_(self.bias)
        return made


def adapt(net: nn.Module, rank: int, alpha: float) -> None:
    """Freeze a net but for low-rank differences of its blocks' linear layers, in place.

    Raises:
        BadInput: Its layers are none that can be adapted.
    """
    if not isinstance(net, Decoder):
        raise BadInput(
            f"rank = {rank} adapts the nets llama and gpt2, not {type(net).__name__.lower()}. "
            "Leave it out: then all weights learn. Or begin with a base that was trained with "
            "model.net.use=llama."
        )
    net.requires_grad_(False)
    for owner, name, layer in _layers(net, nn.Linear):
        setattr(owner, name, LowRank(layer, rank, alpha))


@contextmanager
def set_aside(net: nn.Module) -> Iterator[None]:
    """Let a net compute without its differences, as it did before it was adapted."""
    layers = [layer for _, _, layer in _layers(net, LowRank)]
    scales = [layer.scale for layer in layers]
    try:
        for layer in layers:
            layer.scale = 0.0
        yield
    finally:
        for layer, scale in zip(layers, scales):
            layer.scale = scale


def merge(net: nn.Module) -> nn.Module:
    """The same net, with every difference added to its layer, in place."""
    for owner, name, layer in _layers(net, LowRank):
        setattr(owner, name, layer.merged())
    return net


@torch.no_grad()
def fill(net: nn.Module, weights: Mapping[str, Tensor]) -> str | None:
    """Put weights of a net without differences into one with or without them.

    Returns:
        The name of the first weight that one of the two has not, or in another shape: then none is
        put. None: all are.
    """
    adapted = {
        f"{path}.{part}"
        for path, layer in net.named_modules()
        for part in "ab"
        if isinstance(layer, LowRank)
    }
    own = {name: v for name, v in net.state_dict().items() if name not in adapted}
    for name in (*own, *weights):
        if name not in own or name not in weights or own[name].shape != weights[name].shape:
            return name
    for name, value in own.items():
        value.copy_(weights[name])
    return None


def _layers(net: nn.Module, kind: type) -> list[tuple[nn.Module, str, Any]]:
    """(owner, name, layer) of the layers of a kind in the blocks."""
    return [
        (owner, name, layer)
        for path, owner in net.named_modules()
        if path.startswith("blocks.")
        for name, layer in owner.named_children()
        if isinstance(layer, kind)
    ]
