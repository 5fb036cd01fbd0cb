"""A training step of the DDPM U-Net: ours against diffusers, equal layers, weights and batches.

Beside both stands denoising-diffusion-pytorch, whose U-Net is another one (linear attention on the
larger grids), of as many parameters to 2.2 %.

A step is: noise, forward, mean square error, backward, clip 1.0, AdamW, moving average. Ours is
what the trainer does: channels_last weights, fused AdamW, one fused update of the average. Theirs
is their training example: AdamW as torch gives it, and their EMAModel.

    python -m benchmarks.unet_step [--shape rgb32] [--clock wall --threads 2]
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import chosen, contest, machine, report
from benchmarks.harness import parser as options
from benchmarks.peers import lucidrains
from benchmarks.twins import SHAPES, Shape, diffusers_unet, our_unet
from genloom.schedules import table

Step = Callable[[Tensor, Tensor, Tensor], float]
LUCIDRAINS = {"mnist28": 40, "rgb32": 52}  # width at which it has as many parameters


def theirs(net: nn.Module) -> Step:
    """The loop of diffusers' unconditional example, without accelerate's launcher."""
    from diffusers import DDPMScheduler
    from diffusers.training_utils import EMAModel

    scheduler = DDPMScheduler(beta_schedule="linear")
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    average = EMAModel(net.parameters(), decay=0.999)

    def step(x: Tensor, noise: Tensor, t: Tensor) -> float:
        loss = F.mse_loss(net(scheduler.add_noise(x, noise, t), t).sample, noise)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(net.parameters())
        return loss.item()

    return step


def ours(net: nn.Module) -> Step:
    """The same arithmetic."""
    r = table("linear")
    signal = (1 + r.square()).rsqrt().float()
    noisy = (r * (1 + r.square()).rsqrt()).float()
    params = list(net.parameters())
    average = list(copy.deepcopy(net).parameters())
    optimizer = torch.optim.AdamW(params, lr=1e-4, fused=True)

    def step(x: Tensor, noise: Tensor, t: Tensor) -> float:
        a, b = signal[t].view(-1, 1, 1, 1), noisy[t].view(-1, 1, 1, 1)
        loss = F.mse_loss(net(a * x + b * noise, t, {}), noise)
        loss.backward()
        nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            torch._foreach_lerp_(average, params, 1e-3)
        return loss.item()

    return step


def steps_of(shape: Shape, seed: int) -> dict[str, Callable[[], float]]:
    """Both sides from the same weights; side i sees batch after batch of one stream."""
    torch.manual_seed(seed)
    net = diffusers_unet(shape)
    sides = {"diffusers": theirs(net), "genloom": ours(our_unet(net, shape))}

    def bound(step: Step) -> Callable[[], float]:
        generator = torch.Generator().manual_seed(seed)

        def once() -> float:
            size = (shape.batch, shape.channels, shape.side, shape.side)
            x, noise = torch.randn(2, *size, generator=generator).unbind()
            return step(x, noise, torch.randint(1000, (shape.batch,), generator=generator))

        return once

    return {name: bound(step) for name, step in sides.items()}


def side_of(shape: str, seed: int, name: str) -> Callable[[], float]:
    """One side alone."""
    about = SHAPES[shape]
    if name != "denoising-diffusion-pytorch":
        return steps_of(about, seed)[name]
    torch.manual_seed(seed)
    step = lucidrains.steps(lucidrains.unet(about.channels, LUCIDRAINS[shape]), about.side)
    return lambda: step(torch.rand(about.batch, about.channels, about.side, about.side))


def check(sides: dict[str, Callable[[], float]]) -> float:
    """Largest relative difference of the first two losses: the work is the same."""
    losses = [[side() for _ in range(2)] for side in sides.values()]
    return max(abs(a - b) / abs(a) for a, b in zip(*losses, strict=True))


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="mnist28")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    import diffusers

    shape = SHAPES[given.shape]
    sides = steps_of(shape, given.seed)
    difference = check(sides)
    assert difference < 1e-3, f"the two sides do different work: losses differ by {difference:.1e}"
    names = (*sides, "denoising-diffusion-pytorch")
    result = contest(
        {name: partial(side_of, given.shape, given.seed, name) for name in names},
        **chosen(given), items=shape.batch,
        baseline="diffusers", unit="images",
        shape=given.shape, batch=shape.batch,
        loss_difference=difference, diffusers=diffusers.__version__,
    )  # fmt: skip
    title = f"U-Net training step, {given.shape}, batch {shape.batch}, {machine()['machine']}"
    report(title, result, given.json)


if __name__ == "__main__":
    main()
