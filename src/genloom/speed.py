"""What may make a step faster and is kept only where it is measured to: bfloat16, torch.compile."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import nn

from genloom.errors import Diverged
from genloom.learner import Learner

GAIN = 1.05  # a faster way is taken from this ratio on


def choose_precision(learner: Learner, wanted: str, step: Callable[[int], None]) -> torch.dtype:
    """The type in which products are taken: as wanted, or on an accelerator by a short race.

    Args:
        learner: Its `precision` is set to the answer.
        wanted: "float32", "bfloat16", or "auto".
        step: Trains on batch i; what it changes is undone by the caller.
    """
    device = next(learner.model.parameters()).device.type
    if wanted == "auto" and device != "cpu":
        full_s = _seconds(step, device)
        learner.precision = torch.bfloat16
        try:
            half_s = _seconds(step, device)
        except Diverged:
            half_s = float("inf")
        wanted = "bfloat16" if full_s / half_s >= GAIN else "float32"
    learner.precision = torch.bfloat16 if wanted == "bfloat16" else torch.float32
    return learner.precision


def try_compile(
    learner: Learner, steps: int, step_s: float, step: Callable[[int], None]
) -> tuple[bool, str]:
    """Compile the model's parts in place, and undo it unless the run gains by it.

    Args:
        learner: Whose model to compile.
        steps: Of the run.
        step_s: Seconds of an eager step.
        step: Trains on batch i.

    Returns:
        Whether it stays compiled, and one line that says why.
    """
    device = next(learner.model.parameters()).device.type
    compile_parts(learner.model)
    start = time.perf_counter()
    step(0)
    cost_s = time.perf_counter() - start
    fast_s = _seconds(step, device)
    gain_s = (step_s - fast_s) * steps - cost_s
    line = (
        f"torch.compile: {cost_s:.0f} s to start, {1000 * fast_s:.1f} ms a step against "
        f"{1000 * step_s:.1f}; over {steps} steps it "
        + (f"saves {gain_s:.0f} s." if gain_s > 0 else f"costs {-gain_s:.0f} s: refused.")
    )
    if gain_s <= 0:
        for part in learner.model.modules():
            part._compiled_call_impl = None
    return gain_s > 0, line


def compile_parts(model: nn.Module) -> None:
    """Compile each direct part of a model in place; names of weights stay as they are."""
    for part in model.children():
        part.compile(dynamic=False)


def _seconds(step: Callable[[int], None], device: str) -> float:
    times = []
    for index in range(4):
        start = time.perf_counter()
        step(index)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times[1:])
