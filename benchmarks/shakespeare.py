"""Characters of tiny-shakespeare: nats per character on the whole validation set.

The protocol is nanoGPT's for a CPU (README of karpathy/nanoGPT: 4 layers, 4 heads, 128 wide, block
64, batch 12, 2,000 steps, no dropout; 1.88 nats): the last tenth of the file is held out, and every
target has at most the 64 characters before it as context. A datum here has 65 characters, read
after a start token: its last 64 are the targets. nanoGPT estimates on 20 random batches; here every
character of the held-out tenth but the first is a target once. Muon is used with its own rates, on
the same budget of steps. Weights are those that sampling uses (the moving average).

With --same-time a second run follows: the project's defaults (length 128, everything else as a user
gets it) for the wall-clock seconds that the first one trained.

    python -m benchmarks.shakespeare --same-time
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.shared import data_folder
from genloom import artifact
from genloom.models.autoregressive import Autoregressive
from genloom.recipe import resolve
from genloom.trainer import train

ANCHOR = 1.88  # nats, nanoGPT's README
NANO = {"width": 128, "layers": 4, "heads": 4}


def held_out(path: Path, alphabet: str) -> Tensor:
    """The last tenth of the characters as ids, int64 (N,)."""
    text = path.read_text("utf-8")
    number = {letter: i for i, letter in enumerate(alphabet)}
    return torch.tensor([number[letter] for letter in text[round(0.9 * len(text)) :]])


@torch.inference_mode()
def nats(model: Autoregressive, ids: Tensor, rows: int = 256) -> tuple[float, int]:
    """Mean over all targets, and their number: windows that share one character, the first."""
    block = model.length - 1
    windows = ids.unfold(0, model.length, block)
    found = [model.token_log_prob(part, {})[:, 1:] for part in windows.split(rows)]
    rest = ids[len(windows) * block :]  # the first of them was the last target
    if len(rest) > 1:
        padded = torch.zeros(1, model.length, dtype=torch.long)
        padded[0, : len(rest)] = rest
        found.append(model.token_log_prob(padded, {})[:, 1 : len(rest)])
    each = torch.cat([part.flatten() for part in found]).double()
    assert len(each) == len(ids) - 1
    return -each.mean().item(), len(each)


def run(path: Path, folder: Path, data: dict[str, Any], **tables: dict[str, Any]) -> dict[str, Any]:
    """Train by the library, then judge the artifact."""
    recipe = {
        "data": {"source": str(path), "valid": 0.1, "test": 0.0, **data},
        "model": {"use": "autoregressive", **tables.get("model", {})},
        "train": tables["train"],
    }
    start = time.perf_counter()
    train(resolve(recipe), folder, quiet=True)
    seconds = time.perf_counter() - start
    made = artifact.load(folder)
    model = cast(Autoregressive, made.model)
    value, n = nats(model, held_out(path, made.items.lexicon.alphabet))
    state = json.loads((folder / "run.json").read_text("utf-8"))
    return {
        "nats": round(value, 4),
        "n": n,
        "seconds": round(seconds, 1),
        "steps": state["step"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "length": model.length,
        "train": tables["train"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="characters of tiny-shakespeare")
    parser.add_argument("--path", type=Path, help="the text; else that of the shared data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--same-time", action="store_true")
    args = parser.parse_args()
    path = args.path or data_folder("tiny-shakespeare") / "input.txt"
    torch.set_num_threads(args.threads)
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as scratch:
            few = {"seed": seed, "threads": args.threads, "preview_every": 10**6}
            settings = {"steps": args.steps, "batch": 12, **few}
            model = {"net": {"use": "transformer", **NANO}}
            figures = {
                "protocol": run(
                    path, Path(scratch, "a"), {"length": 65}, model=model, train=settings
                )
            }
            if args.same_time:
                settings = {"minutes": figures["protocol"]["seconds"] / 60, **few}
                figures["defaults"] = run(path, Path(scratch, "b"), {}, train=settings)
        for name, figure in figures.items():
            print(f"{name}, seed {seed}: {figure['nats']} nats a character; anchor {ANCHOR}")
        told = {"benchmark": "shakespeare", "anchor": ANCHOR, "seed": seed, "threads": args.threads}
        print(json.dumps({**told, **figures, **machine()}), flush=True)


if __name__ == "__main__":
    main()
