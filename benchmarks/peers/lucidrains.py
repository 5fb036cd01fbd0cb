"""denoising-diffusion-pytorch's U-Net in its own loop: its loss, Adam, its moving average."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.absent import FID, VISION, stood_in


def unet(channels: int, dim: int) -> nn.Module:
    """Three levels of width 1, 2 and 4 times `dim`; linear attention but in the last."""
    with stood_in(*VISION, *FID):
        from denoising_diffusion_pytorch import Unet
    return Unet(dim=dim, dim_mults=(1, 2, 4), channels=channels)


def steps(net: nn.Module, side: int) -> Callable[[Tensor], float]:
    """A call that takes the step of its `Trainer` on pictures in [0, 1], without its launcher."""
    from denoising_diffusion_pytorch import GaussianDiffusion
    from ema_pytorch import EMA

    model: Any = GaussianDiffusion(net, image_size=side, timesteps=1000)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.99))
    average = EMA(model, beta=0.995, update_every=10)

    def step(x: Tensor) -> float:
        loss = model(x)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update()
        return loss.item()

    return step
