"""PixelCNN++: each pixel of a picture from those before it, as a mixture of logistics.

Salimans et al., 2017 (arXiv:1701.05517). The datum is real with levels, so that neighbouring
values are alike to the model; the likelihood is the exact mass of the levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, final

from torch import Tensor, nn

from genloom.core import Condition, Generative, Interval, Real, Rng, Space, Terms, hide, uniform
from genloom.errors import BadInput
from genloom.models.autoregressive import Autoregressive
from genloom.models.likelihoods import LogisticMixture
from genloom.nets.pixelcnnpp import PixelCnnPp

Net = Callable[[Real, int, Mapping[str, Space]], PixelCnnPp]


@final
class PixelCnnPlusPlus(Generative):
    """A distribution over pictures with levels, pixel by pixel in raster order.

    Args:
        space: (C, H, W) with levels.
        conditions: Name -> space.
        net: Makes a causal net(x, cond) -> outputs at each place from (space, outputs, conditions).
            To sample, its `reader` takes one pixel after the other; see `PixelCnnPp`.
        mixtures: Logistics at each pixel.
        drop: Share of training rows whose conditions are hidden.
    """

    recommended: Mapping[str, Any] = Autoregressive.recommended
    likelihood: Literal["exact"] = "exact"

    def __init__(
        self,
        space: Real,
        conditions: Mapping[str, Space],
        *,
        net: Net | None = None,
        mixtures: Annotated[int, Interval(ge=1)] = 10,
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        if len(space.shape) != 3 or space.levels is None:
            raise BadInput(
                f"PixelCnnPlusPlus models pictures (C, H, W) with levels, not {space}. Use the "
                "codec 'image', or a flow for real data."
            )
        self.mixture = LogisticMixture(space.shape[0], space.levels, mixtures=mixtures)
        self.net = (net or self.usual_net(space))(space, self.mixture.outputs, conditions)
        self.start = nn.Parameter(self.mixture.start())
        self.drop = drop

    @staticmethod
    def usual_net(space: Real) -> Net:
        """Two causal stacks over three scales."""
        return PixelCnnPp

    def loss(self, x: Tensor, cond: Condition) -> Terms:
        """Nats per value."""
        if cond and self.drop:
            cond = hide(cond, uniform(len(x), device=x.device) < self.drop)
        return {"nats": -self._pixels(x, cond).mean() / self.mixture.channels}

    def log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """Nats of the mass of each datum, exact: (B,)."""
        return self._pixels(x, cond).double().flatten(1).sum(1)

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        temperature: Annotated[float, Interval(ge=0, le=2)] = 1.0,
    ) -> Iterator[Tensor]:
        """Yield the picture after each row; what is not drawn yet is 0.

        Temperature: see `LogisticMixture`.
        """
        channels, height, columns = self.space.shape
        u = rng.uniform(height, columns, 1 + channels)
        x = self.start.new_zeros(len(rng), *self.space.shape)
        reader = self.net.reader(cond, len(rng))
        for r in range(height):
            for c in range(columns):
                out = reader.outputs(r, c) + self.start
                x[:, :, r, c] = self.mixture.draw(out, u[:, r, c], temperature=temperature)
                reader.read(c, x[:, :, r, c])
            yield x.clone()

    def _pixels(self, x: Tensor, cond: Condition) -> Tensor:
        return self.mixture.log_prob(self._outputs(x, cond).float(), x)

    def _outputs(self, x: Tensor, cond: Condition) -> Tensor:
        out: Tensor = self.net(x, cond)
        return out + self.start[:, None, None]
