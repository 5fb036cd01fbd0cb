"""A training step of the diffusion transformer: ours against diffusers, equal layers and batches.

Their net as DiT is built there, and ours with its weights: the same input gives the same output
(each of their blocks has its own copy of the time and label embedding; here all copies are equal at
the start, and ours is one). A step is that of `unet_step`. A third side is our default net of the
same shape, with rotary positions.

    python -m benchmarks.dit_step [--clock wall --threads 2] [--apart]
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import chosen, contest, machine, report
from benchmarks.harness import parser as options
from genloom.core import Tokens
from genloom.nets.dit import Dit

Step = Callable[[Tensor, Tensor, Tensor], float]
CLASSES = 10


class Shape(NamedTuple):
    """A DiT over square images."""

    channels: int
    side: int
    width: int
    layers: int
    heads: int
    patch: int
    batch: int


SHAPES = {
    "mnist28": Shape(channels=1, side=28, width=128, layers=6, heads=4, patch=2, batch=8),
    "rgb32": Shape(channels=3, side=32, width=192, layers=8, heads=6, patch=4, batch=16),
}


def diffusers_dit(shape: Shape) -> nn.Module:
    """Theirs, awake, with one time and label embedding in all blocks."""
    from diffusers import DiTTransformer2DModel

    net = DiTTransformer2DModel(
        num_attention_heads=shape.heads,
        attention_head_dim=shape.width // shape.heads,
        in_channels=shape.channels,
        out_channels=shape.channels,
        num_layers=shape.layers,
        sample_size=shape.side,
        patch_size=shape.patch,
        num_embeds_ada_norm=CLASSES,
    )
    first = net.transformer_blocks[0].norm1.emb
    first.class_embedder.dropout_prob = 0.0
    for block in net.transformer_blocks[1:]:
        block.norm1.emb.load_state_dict(first.state_dict())
        block.norm1.emb.class_embedder.dropout_prob = 0.0
    return net


def our_dit(theirs: nn.Module, shape: Shape) -> Dit:
    """Ours with their weights: net(x, time step 0 to 999, {"label": l}) is what theirs returns."""
    net = default_dit(shape, positions="waves", high=1.0, low=1e-4 ** (128 / 127))
    net.load_state_dict(translate(theirs.state_dict(), shape))
    return net


def default_dit(shape: Shape, **options: object) -> Dit:
    """Ours as it comes, of that shape."""
    return Dit(
        shape.channels, shape.channels, 2, {"label": Tokens((), CLASSES)},
        width=shape.width, layers=shape.layers, heads=shape.heads, patch=shape.patch, **options,
    )  # fmt: skip


def translate(weights: dict[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Their names to ours; q, k and v become one matrix, patches are laid out as ours are."""
    found: dict[str, Tensor] = {}
    embed = "transformer_blocks.0.norm1.emb"
    pairs = {
        f"{embed}.timestep_embedder.linear_1": "time.1",
        f"{embed}.timestep_embedder.linear_2": "time.3",
        "proj_out_1": "modulate",
    }
    for i in range(shape.layers):
        block = f"transformer_blocks.{i}"
        pairs |= {
            f"{block}.norm1.linear": f"blocks.{i}.modulate",
            f"{block}.attn1.to_out.0": f"blocks.{i}.out",
            f"{block}.ff.net.0.proj": f"blocks.{i}.up",
            f"{block}.ff.net.2": f"blocks.{i}.down",
        }
        for end in ("weight", "bias"):
            parts = [weights[f"{block}.attn1.to_{letter}.{end}"] for letter in "qkv"]
            found[f"blocks.{i}.qkv.{end}"] = torch.cat(parts)
    for one, other in pairs.items():
        for end in ("weight", "bias"):
            found[f"{other}.{end}"] = weights[f"{one}.{end}"]
    rows = weights[f"{embed}.class_embedder.embedding_table.weight"]
    found["vector.parts.label.rows.weight"] = rows.roll(1, 0)  # the hidden label is their last row
    found["first.weight"] = weights["pos_embed.proj.weight"].flatten(1)
    found["first.bias"] = weights["pos_embed.proj.bias"]
    size = (shape.patch**2, shape.channels)  # channels are fastest there, slowest here
    for end in ("weight", "bias"):
        found[f"last.{end}"] = (
            weights[f"proj_out_2.{end}"].unflatten(0, size).transpose(0, 1).flatten(0, 1)
        )
    return found


def stepper(net: nn.Module, predict: Callable[..., Tensor], *, mine: bool) -> Step:
    """Noise to AdamW and average, as `unet_step`: fused updates on our side."""
    from diffusers.training_utils import EMAModel

    params = list(net.parameters())
    optimizer = torch.optim.AdamW(params, lr=1e-4, fused=mine or None)
    means = list(copy.deepcopy(net).parameters()) if mine else []
    average = None if mine else EMAModel(params, decay=0.999)

    def step(x: Tensor, t: Tensor, label: Tensor) -> float:
        loss = F.mse_loss(predict(x, t, label), x)
        loss.backward()
        nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if average is None:
            with torch.no_grad():
                torch._foreach_lerp_(means, params, 1e-3)
        else:
            average.step(params)
        return loss.item()

    return step


def steps_of(shape: Shape, seed: int) -> dict[str, Callable[[], float]]:
    """All sides; the first two from the same weights. Each sees batch after batch of one stream."""
    torch.manual_seed(seed)
    theirs = diffusers_dit(shape)
    ours, rotary = our_dit(theirs, shape), default_dit(shape)

    def called(net: nn.Module) -> Callable[..., Tensor]:
        return lambda x, t, label: net(x, t, {"label": label})

    steps = {
        "diffusers": stepper(theirs, lambda *given: theirs(*given).sample, mine=False),
        "genloom waves": stepper(ours, called(ours), mine=True),
        "genloom rotary": stepper(rotary, called(rotary), mine=True),
    }

    def bound(step: Step) -> Callable[[], float]:
        generator = torch.Generator().manual_seed(seed)

        def once() -> float:
            size = (shape.batch, shape.channels, shape.side, shape.side)
            x = torch.randn(size, generator=generator)
            t, label = (
                torch.randint(high, (shape.batch,), generator=generator) for high in (1000, CLASSES)
            )
            return step(x, t, label)

        return once

    return {name: bound(step) for name, step in steps.items()}


def side_of(shape: str, seed: int, name: str) -> Callable[[], float]:
    """One side alone."""
    return steps_of(SHAPES[shape], seed)[name]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="mnist28")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    import diffusers

    shape = SHAPES[given.shape]
    sides = steps_of(shape, given.seed)
    first = [sides[name]() for name in ("diffusers", "genloom waves")]
    difference = abs(first[0] - first[1]) / first[0]
    assert difference < 1e-3, f"the two sides do different work: losses differ by {difference:.1e}"
    result = contest(
        {name: partial(side_of, given.shape, given.seed, name) for name in sides},
        **chosen(given), items=shape.batch,
        baseline="diffusers", unit="images",
        shape=given.shape, batch=shape.batch,
        loss_difference=difference, diffusers=diffusers.__version__,
    )  # fmt: skip
    title = f"DiT training step, {given.shape}, batch {shape.batch}, {machine()['machine']}"
    report(title, result, given.json)


if __name__ == "__main__":
    main()
