"""A trained autoencoder as a codec: other models then live on its codes.

Rombach et al., 2021 (arXiv:2112.10752): latent diffusion is a diffusion model of these grids of
reals. Ramesh et al., 2021 (arXiv:2102.12092): DALL-E is an autoregressive model of these grids of
code numbers, given a caption.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, cast, final, runtime_checkable

import torch
from torch import Tensor

from genloom.core import Codec, Condition, Items, Real, Space, Tokens
from genloom.errors import BadInput

ROWS = 256  # items that go through the autoencoder at once


@runtime_checkable
class Coded(Protocol):
    """An autoencoder with a grid of code numbers for each datum."""

    code_shape: tuple[int, ...]
    code_vocab: int

    def codes(self, x: Tensor) -> Tensor:
        """(B, *space.shape) -> (B, *code_shape), in [0, code_vocab)."""
        ...

    def from_codes(self, codes: Tensor) -> Tensor:
        """(B, *code_shape) -> (B, *space.shape)."""
        ...


@runtime_checkable
class Gridded(Protocol):
    """An autoencoder with a grid of real codes of about unit scale for each datum."""

    latent_shape: tuple[int, ...]

    def encode(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, *space.shape) -> (B, *latent_shape)."""
        ...

    def decode(self, z: Tensor, cond: Condition) -> Tensor:
        """(B, *latent_shape) -> (B, *space.shape)."""
        ...


@final
class Latent(Codec):
    """Items <-> the codes of a trained autoencoder, which learns nothing more.

    The artifact of a model on these codes holds a copy of the autoencoder's.

    Args:
        items: What is stored; of the shape that the autoencoder makes.
        autoencoder: A trained vqvae, fsq or kl_autoencoder: a run, its model folder, or its name.
        sha256: Of its weights. A run records it, and then takes no other autoencoder; "" takes any.

    Raises:
        BadInput: There is no such model, it has other weights, has no codes, or makes other items.
    """

    kinds: ClassVar[tuple[str, ...]] = ("image",)
    suffix: ClassVar[str] = ".png"

    def __init__(self, items: Items, *, autoencoder: str = "", sha256: str = ""):
        super().__init__(items)
        if not autoencoder:
            raise BadInput(
                "the codec latent needs an autoencoder. Train one: genloom train --model "
                "kl_autoencoder (or vqvae), then --set codec.autoencoder=RUN."
            )
        from genloom import artifact

        self.inner = inner = artifact.load(autoencoder, device="cpu")
        if sha256 and inner.hash != sha256:
            raise BadInput(
                f"{inner.path} is not the autoencoder that this was made with: its weights have "
                f"the hash {inner.hash[:12]}, not {sha256[:12]}. Bring that one back."
            )
        if (inner.items.kind, inner.items.shape) != (items.kind, items.shape):
            raise BadInput(
                f"{inner.path} makes {inner.items.kind} {inner.items.shape}, the data are "
                f"{items.kind} {items.shape}. Set data.size and data.channels as it was trained."
            )
        self.space, self._encode, self._decode = _codes_of(inner.model.requires_grad_(False))
        self.pins = {"autoencoder": str(Path(inner.path).resolve()), "sha256": inner.hash}
        self.device = torch.device("cpu")

    def to(self, device: torch.device | str) -> Self:
        """Move the autoencoder; what it gives lies where its input lay."""
        self.device = torch.device(device)
        self.inner.model.to(self.device)
        return self

    def encode(self, items: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> codes: (B, *space.shape), int64 or float32."""

        def part(some: Tensor) -> Tensor:
            return self._encode(self.inner.codec.encode(some).to(self.device))

        return self._each(part, items)

    def decode(self, x: Tensor) -> Tensor:
        """Codes -> the pictures that the autoencoder's decoder makes of them."""

        def part(some: Tensor) -> Tensor:
            return self.inner.codec.decode(self._decode(some.to(self.device)))

        return self._each(part, x)

    def write(
        self, items: Tensor, paths: Sequence[Path], metadata: Sequence[Mapping[str, Any]]
    ) -> None:
        """As the autoencoder's own codec writes them."""
        self.inner.codec.write(items, paths, metadata)

    @torch.no_grad()
    def _each(self, part: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return torch.cat([part(some).to(x.device) for some in x.split(ROWS)])


def _codes_of(
    model: torch.nn.Module,
) -> tuple[Space, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """The space of a model's codes, and the ways there and back."""
    if isinstance(model, Coded):
        space = Tokens(tuple(model.code_shape), model.code_vocab)
        return space, model.codes, lambda x: model.from_codes(x.long().clamp(0, space.vocab - 1))
    if isinstance(model, Gridded):
        grid = cast(Gridded, model)
        return (
            Real(tuple(grid.latent_shape)),
            lambda x: grid.encode(x, {}),
            lambda z: grid.decode(z.float(), {}),
        )
    raise BadInput(
        f"{type(model).__name__} has no grid of codes: an autoencoder is a vqvae, fsq or "
        "kl_autoencoder."
    )
