"""The same U-Net twice: as diffusers builds it, and ours with its weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genloom.nets.unet import UNet


@dataclass(frozen=True)
class Shape:
    """A U-Net of Ho et al., 2020: levels of width 1, 2, 4 ... times the first, attention last."""

    channels: int
    side: int
    width: int
    levels: int
    cap: int
    blocks: int
    batch: int


MNIST28 = Shape(channels=1, side=28, width=32, levels=3, cap=4, blocks=2, batch=16)
RGB32 = Shape(channels=3, side=32, width=64, levels=3, cap=2, blocks=2, batch=8)
SHAPES = {"mnist28": MNIST28, "rgb32": RGB32}


def diffusers_unet(shape: Shape) -> nn.Module:
    """Theirs; attention in the last level and in the middle, heads of 8 channels."""
    from diffusers import UNet2DModel

    last = shape.levels - 1
    down = ["AttnDownBlock2D" if i == last else "DownBlock2D" for i in range(shape.levels)]
    up = ["AttnUpBlock2D" if i == last else "UpBlock2D" for i in reversed(range(shape.levels))]
    return UNet2DModel(
        sample_size=shape.side,
        in_channels=shape.channels,
        out_channels=shape.channels,
        layers_per_block=shape.blocks,
        block_out_channels=tuple(shape.width * min(2**i, shape.cap) for i in range(shape.levels)),
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        attention_head_dim=8,
    )


def our_unet(theirs: nn.Module, shape: Shape) -> UNet:
    """Ours with their weights: net(x, time step 0 to 999, {}) is what theirs returns."""
    net = UNet(
        shape.channels, shape.channels, 2, {}, width=shape.width, levels=shape.levels,
        cap=shape.cap, blocks=shape.blocks, attend=shape.levels - 1, head=8, stem=1, groups=32,
        modulate="add", balance=1.0, high=1.0, low=1e-4,
    )  # fmt: skip
    net.load_state_dict(translate(theirs.state_dict(), shape))
    return net


def translate(weights: dict[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Their names to ours; q, k and v become one matrix."""
    found: dict[str, Tensor] = {}

    def copy(theirs: str, ours: str) -> None:
        for end in ("weight", "bias"):
            found[f"{ours}.{end}"] = weights[f"{theirs}.{end}"]

    def block(theirs: str, ours: str) -> None:
        parts = {"norm1": "norm1", "conv1": "conv1", "norm2": "norm2", "conv2": "conv2"}
        for name in parts:
            copy(f"{theirs}.{name}", f"{ours}.{name}")
        copy(f"{theirs}.time_emb_proj", f"{ours}.modulate")
        if f"{theirs}.conv_shortcut.weight" in weights:
            copy(f"{theirs}.conv_shortcut", f"{ours}.shortcut")

    def attention(theirs: str, ours: str) -> None:
        copy(f"{theirs}.group_norm", f"{ours}.norm")
        copy(f"{theirs}.to_out.0", f"{ours}.out")
        for end in ("weight", "bias"):
            parts = [weights[f"{theirs}.to_{letter}.{end}"] for letter in "qkv"]
            found[f"{ours}.qkv.{end}"] = torch.cat(parts)

    def row(side: str, level: int, ours: str, count: int, attended: bool) -> None:
        for i in range(count):
            here = ours.format(side, i + count * level)
            block(f"{side}_blocks.{level}.resnets.{i}", f"{here}.0")
            if attended:
                attention(f"{side}_blocks.{level}.attentions.{i}", f"{here}.1")

    copy("conv_in", "first")
    copy("time_embedding.linear_1", "time.1")
    copy("time_embedding.linear_2", "time.3")
    last = shape.levels - 1
    for level in range(shape.levels):
        row("down", level, "{}.{}", shape.blocks, level == last)
        row("up", level, "{}.{}", shape.blocks + 1, level == 0)
        if level < last:
            copy(f"down_blocks.{level}.downsamplers.0.conv", f"shrink.{level}")
            copy(f"up_blocks.{level}.upsamplers.0.conv", f"grow.{level}")
    block("mid_block.resnets.0", "middle.0")
    attention("mid_block.attentions.0", "middle.1")
    block("mid_block.resnets.1", "middle.2")
    copy("conv_norm_out", "norm")
    copy("conv_out", "last")
    return found
