"""labml-nn's CycleGAN, with its own nets, loops and replay buffers.

Its file imports torchvision for pictures from disk, and its log writes to a folder; neither plays a
part in a step, and both are replaced by what does nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import torch
from torch import Tensor

from benchmarks.peers.absent import VISION, stood_in


def loaded() -> Any:
    """The module `labml_nn.gan.cycle_gan`."""
    with stood_in(*VISION):
        from labml_nn.gan import cycle_gan

    cycle_gan.tracker = MagicMock()
    return cycle_gan


def setting(side: int, blocks: int) -> SimpleNamespace:
    """What its loop reads of its configuration, with nets for pictures (3, side, side)."""
    peer = loaded()

    def of(name: str) -> Any:
        return getattr(peer.Configs, name).value

    nets = {f"generator_{way}": peer.GeneratorResNet(3, blocks) for way in ("xy", "yx")}
    nets |= {f"discriminator_{name}": peer.Discriminator((3, side, side)) for name in ("x", "y")}
    usual = {"lr": of("learning_rate"), "betas": of("adam_betas")}
    optimizers = {
        f"{player}_optimizer": torch.optim.Adam(
            itertools.chain(*(net.parameters() for name, net in nets.items() if player in name)),
            **usual,
        )
        for player in ("generator", "discriminator")
    }
    losses = ("gan_loss", "cycle_loss", "identity_loss")
    weights = ("cyclic_loss_coefficient", "identity_loss_coefficient")
    kept = {name: of(name) for name in (*losses, *weights)}
    return SimpleNamespace(**nets, **optimizers, **kept)


def parameters(side: int, blocks: int) -> int:
    """Of all four nets."""
    nets = [v for v in vars(setting(side, blocks)).values() if isinstance(v, torch.nn.Module)]
    return sum(p.numel() for net in nets for p in net.parameters())


def steps(side: int, blocks: int) -> Callable[[Tensor, Tensor], None]:
    """A call that takes one step on pictures of both sides, the body of its `run`."""
    peer, about = loaded(), setting(side, blocks)
    shape, earlier = about.discriminator_x.output_shape, [peer.ReplayBuffer() for _ in "xy"]

    def step(x: Tensor, y: Tensor) -> None:
        true, false = torch.ones(len(x), *shape), torch.zeros(len(x), *shape)
        made = peer.Configs.optimize_generators(about, x, y, true)
        shown = [buffer.push_and_pop(one) for buffer, one in zip(earlier, made)]
        peer.Configs.optimize_discriminator(about, x, y, *shown, true, false)

    return step
