"""What autoencoders with a grid of codes share: encoder, bottleneck, decoder, and their loss."""

from __future__ import annotations

from typing import Generic, Literal, Protocol, TypeVar, final

import torch
from torch import Tensor, nn

from genloom.core import Real
from genloom.models.quantize import Coded
from genloom.nets.grid_coder import GridCoder

Error = Literal["l2", "l1"]


class Bottleneck(Protocol):
    """What lies between an encoder and a decoder; a module."""

    channels: int  # that it reads
    features: int  # that it gives

    def prepare(self, h: Tensor) -> None:
        """Look at what the encoder gives for some data, before training."""
        ...

    def code(self, h: Tensor) -> Coded:
        """(B, channels, *grid) -> what the decoder reads."""
        ...


B = TypeVar("B", bound=Bottleneck)


@final
class GridCoding(nn.Module, Generic[B]):
    """The player that learns to reconstruct.

    Args:
        space: One datum.
        net: Makes (encoder, decoder).
        bottleneck: Between them.
        error: "l2" or "l1". Either is divided by what the mean (the median for "l1", nearly) of
            the data would cost, so that the weights of other terms mean the same for all data.
    """

    spread: Tensor

    def __init__(self, space: Real, net: GridCoder, bottleneck: B, *, error: Error):
        super().__init__()
        self.encoder, self.decoder = net(space, bottleneck.channels, bottleneck.features)
        self.bottleneck, self.error = bottleneck, error
        self.register_buffer("spread", torch.ones(()))
        with torch.no_grad():
            self.grid = tuple(self.encoder(torch.zeros(1, *space.shape)).shape[2:])

    @torch.no_grad()
    def prepare(self, x: Tensor) -> None:
        """Measure the spread of the data; the bottleneck looks at their features."""
        self.spread.copy_(self._error(x - x.mean()).clamp(min=1e-8))
        self.bottleneck.prepare(self.encoder(x))

    def terms(self, x: Tensor) -> tuple[dict[str, Tensor], Coded]:
        """The terms of the loss on a batch, and its codes."""
        coded = self.bottleneck.code(self.encoder(x))
        distortion = self._error(self.decoder(coded.z) - x) / self.spread
        return {"distortion": distortion, **coded.terms}, coded

    def _error(self, off: Tensor) -> Tensor:
        return (off.square() if self.error == "l2" else off.abs()).mean()
