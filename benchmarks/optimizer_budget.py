"""Loss for processor time: Muon with its defaults against AdamW at the best of several rates.

The nano transformer (4 layers, 4 heads, 128 wide) on characters of tiny-shakespeare, windows of 65,
batch 12. Every side trains until it has used its budget of processor seconds: warm-up over 2 % of
it, full rate to 40 %, then linearly down. The sides take turns step by step, so that other work on
the machine slows all of them alike. The loss is that of the whole held-out tenth, in nats per
character, of the last weights. Muon must end at least 0.2 below the best AdamW.

    python -m benchmarks.optimizer_budget --seconds 60
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.shakespeare import NANO, held_out, nats
from benchmarks.shared import data_folder
from genloom.core import Tokens
from genloom.models.autoregressive import Autoregressive
from genloom.nets.transformer import Transformer
from genloom.optim import build
from genloom.pace import rate

LENGTH, BATCH = 65, 12
RATES = (1e-3, 1.7e-3, 3e-3)
DEFAULTS = Autoregressive.recommended
MARGIN = 0.2  # nats


@dataclass
class Side:
    """One optimizer on its own copy of the model, and the processor time that it has used."""

    model: Autoregressive
    optimizers: list[torch.optim.Optimizer]
    used: float = 0.0
    steps: int = 0

    def step(self, x: Tensor, budget: float) -> None:
        """Train on x (B, L), at the rate that the spent share of the budget gives."""
        start = time.process_time()
        share = rate("linear", self.used / budget, warmup=0.02, warmdown=0.6)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group.setdefault("full", group["lr"])
                group["lr"] = group["full"] * share
        self.model.loss(x, {})["nats"].backward()
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.used += time.process_time() - start
        self.steps += 1


def side(seed: int, vocab: int, **options: Any) -> Side:
    torch.manual_seed(seed)
    model = Autoregressive(Tokens((LENGTH,), vocab), {}, net=partial(Transformer, **NANO))
    betas = {name: DEFAULTS[name] for name in ("beta1", "beta2")}
    return Side(model, build(model, **betas, **options))


def main() -> None:
    parser = argparse.ArgumentParser(description="loss for processor time")
    parser.add_argument("--path", type=Path, help="the text; else that of the shared data")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    path = args.path or data_folder("tiny-shakespeare") / "input.txt"
    torch.set_num_threads(args.threads)
    text = path.read_text("utf-8")
    alphabet = "".join(sorted(set(text)))
    number = {letter: i for i, letter in enumerate(alphabet)}
    train = torch.tensor([number[letter] for letter in text[: round(0.9 * len(text))]])
    held = held_out(path, alphabet)
    make = partial(side, args.seed, len(alphabet))
    sides = {f"adamw {lr:g}": make(name="adamw", lr=lr, weight_decay=0.1) for lr in RATES}
    rates = {name: DEFAULTS[name] for name in ("lr", "matrix_lr")}
    sides["muon"] = make(name="muon", **rates)
    draw = torch.Generator().manual_seed(args.seed)
    while waiting := [each for each in sides.values() if each.used < args.seconds]:
        starts = torch.randint(len(train) - LENGTH + 1, (BATCH, 1), generator=draw)
        for each in waiting:
            each.step(train[starts + torch.arange(LENGTH)], args.seconds)
    found = {name: nats(each.model.eval(), held)[0] for name, each in sides.items()}
    print("| optimizer | steps | ms per step | nats per character |\n|---|---|---|---|")
    for name, each in sides.items():
        pace = 1e3 * each.used / each.steps
        print(f"| {name} | {each.steps} | {pace:.0f} | {found[name]:.4f} |")
    gain = min(value for name, value in found.items() if name != "muon") - found["muon"]
    print(f"Muon ends {gain:.3f} nats below the best AdamW; at least {MARGIN} is wanted.")
    told = {
        "benchmark": "optimizer_budget",
        "seconds": args.seconds,
        "seed": args.seed,
        "threads": args.threads,
        "nats": {name: round(value, 4) for name, value in found.items()},
        "steps": {name: each.steps for name, each in sides.items()},
        "n": len(held) - 1,
        "gain": round(gain, 4),
        "margin": MARGIN,
    }
    print(json.dumps({**told, **machine()}))


if __name__ == "__main__":
    main()
