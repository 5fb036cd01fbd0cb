"""A sampling step of the DDPM U-Net: our solvers against diffusers' schedulers, equal weights.

Each call takes `steps` steps at the same noise levels. The nets and the number of evaluations are
the same, so the ratio is that of a step; the default number of steps is the larger gain.

    python -m benchmarks.sampling_step [--steps 10] [--clock wall --threads 2]
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.harness import chosen, contest, machine, report
from benchmarks.harness import parser as options
from benchmarks.twins import SHAPES, Shape, diffusers_unet, our_unet
from genloom import solvers
from genloom.schedules import table

LINEAR = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
TRAILING = {"timestep_spacing": "trailing"}


def theirs(net: nn.Module, scheduler: object, start: Tensor, steps: int) -> Callable[[], Tensor]:
    """Their documented loop: set_timesteps, then model and scheduler.step."""

    @torch.no_grad()
    def sample() -> Tensor:
        scheduler.set_timesteps(steps)
        x = start
        for t in scheduler.timesteps:
            x = scheduler.step(net(x, t).sample, t, x).prev_sample
        return x

    return sample


def ours(net: nn.Module, solver: Callable, start: Tensor, rows: Tensor) -> Callable[[], Tensor]:
    """The net read as a denoiser, and the solver that follows it."""
    levels = table("linear")
    sigmas = [*levels[rows].tolist(), 0.0]
    step_of = {round(s, 6): float(t) for s, t in zip(sigmas, rows, strict=False)}

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        s = sigma[0].item()
        time = torch.full_like(sigma, step_of[min(step_of, key=lambda known: abs(known - s))])
        return x - s * net(x * (1 + s * s) ** -0.5, time, {})

    @torch.inference_mode()
    def sample() -> Tensor:
        x = start * (1 + sigmas[0] ** 2) ** 0.5
        return deque(solver(denoiser, x, sigmas), maxlen=1).pop()

    return sample


def sides_of(shape: Shape, steps: int, seed: int) -> dict[str, Callable[[], Tensor]]:
    """Two pairs: DDIM and Euler, DPM-Solver++ and ours; and UniPC for what it costs."""
    import diffusers

    torch.manual_seed(seed)
    net = diffusers_unet(shape).eval()
    twin = our_unet(net, shape).eval()
    start = torch.randn(shape.batch, shape.channels, shape.side, shape.side)
    ddim = diffusers.DDIMScheduler(**LINEAR, **TRAILING, clip_sample=False)
    dpm = diffusers.DPMSolverMultistepScheduler(**LINEAR, **TRAILING, final_sigmas_type="zero")
    ddim.set_timesteps(steps)
    rows = ddim.timesteps.clone()
    return {
        "diffusers ddim": theirs(net, ddim, start, steps),
        "diffusers dpm++": theirs(net, dpm, start, steps),
        "genloom euler": ours(twin, solvers.euler, start, rows),
        "genloom dpmpp": ours(twin, solvers.dpmpp, start, rows),
        "genloom unipc": ours(twin, solvers.unipc, start, rows),
    }


def side_of(shape: str, steps: int, seed: int, name: str) -> Callable[[], Tensor]:
    """One side alone."""
    return sides_of(SHAPES[shape], steps, seed)[name]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="mnist28")
    parser.add_argument("--steps", type=int, default=4, help="a divisor of 1000")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    shape = SHAPES[given.shape]
    sides = sides_of(shape, given.steps, given.seed)
    pairs = (("diffusers ddim", "genloom euler"), ("diffusers dpm++", "genloom dpmpp"))
    for a, b in pairs:
        wanted, found = sides[a](), sides[b]()
        gap = ((wanted - found).norm() / wanted.norm()).item()
        assert gap < 1e-3, f"{a} and {b} give different samples: {gap:.1e}"
    result = contest(
        {name: partial(side_of, given.shape, given.steps, given.seed, name) for name in sides},
        **chosen(given), items=given.steps,
        baseline="diffusers ddim", unit="steps",
        shape=given.shape, batch=shape.batch,
    )  # fmt: skip
    title = f"Sampling step, {given.shape}, batch {shape.batch}, {machine()['machine']}"
    report(title, result, given.json)


if __name__ == "__main__":
    main()
