"""Codes of music: how much of a tune comes back, with a decoder of segments and with a flat one.

After Table 2 of Roberts et al., 2018 (arXiv:1803.05428), whose hierarchical decoder rebuilt 16 bars
better than the flat one when it read its own tokens. Here the data are the Nottingham tunes in rows
of `--length` words, and both sides have the same net, steps and seed. Of held-out pieces: the share
of words that the code leads back to, each in its place ("rebuilt"; the decoder reads its own
words), the share of words that are the likeliest after the true ones ("guessed"), what the code
carries, and the bound in bits a word. Seconds are of the process, one thread.

    python -m benchmarks.music_vae --steps 300
"""

from __future__ import annotations

import argparse
import json
import math
import time
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.shared import data_folder
from genloom.learner import Learner, Micro
from genloom.models.music_vae import MusicVae
from genloom.recipe import Plan, resolve
from genloom.sampling import evaluating


def plan(segment: int, args: argparse.Namespace) -> Plan:
    """A model of the folk tunes, and how it is trained."""
    torch.manual_seed(args.seed)
    size = {"width": args.width, "free_bits": args.free_bits}
    model = {"use": "music_vae", "segment": segment, **size}
    data = {"source": str(data_folder("nottingham-midi") / "midi"), "length": args.length}
    train = {"steps": args.steps, "seed": args.seed}
    return resolve({"data": data, "model": model, "train": train})


def rebuilt(model: MusicVae, x: Tensor) -> float:
    """The share of words, ends left out, that the code leads back to, each in its place."""
    return (model.decode(model.encode(x, {}), {}) == x)[x != model.end].double().mean().item()


def guessed(model: MusicVae, x: Tensor) -> float:
    """The share of words that are the likeliest, given the code and the true words before them."""
    likeliest: list[Tensor] = []
    hook = model.head.register_forward_hook(lambda _, args, made: likeliest.append(made.argmax(-1)))
    hits = 0
    for row in x[:, None]:
        likeliest.clear()
        size = int((row != model.end).sum())
        model.bound(row, {}, 1)
        hits += int((likeliest[0].flatten()[:size] == row[0, :size]).sum())
    hook.remove()
    return hits / int((x != model.end).sum())


def side(segment: int, args: argparse.Namespace) -> dict[str, Any]:
    """Train one, and what is found of held-out pieces."""
    made, start = plan(segment, args), time.process_time()
    learner = Learner(made.model, made.options, args.steps)
    for index in range(args.steps):
        x, cond, ids = made.dataset.train.batch(index, args.batch, args.seed)
        figures = learner.step(index, [Micro(made.codec.encode(x), cond, 0, args.batch, ids)])
    seconds, model = time.process_time() - start, learner.sampler()
    x = made.codec.encode(made.dataset.valid.items[torch.arange(args.n)])
    assert isinstance(model, MusicVae)
    with evaluating(model), torch.inference_mode():
        words = (x != model.end).sum().item()
        return {
            "segment": segment,
            "rebuilt": round(rebuilt(model, x), 4),
            "guessed": round(guessed(model, x), 4),
            "bits_per_word": round(-model.log_prob(x, {}).sum().item() / words / math.log(2), 3),
            "distortion": round(figures["distortion"], 3),
            "seconds": round(seconds, 1),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="reconstruction by codes of music")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--segment", type=int, default=16)
    parser.add_argument("--free-bits", type=float, default=64.0)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {"benchmark": "music_vae", **vars(args), **machine()}
    print(json.dumps({**found, "sides": [side(s, args) for s in (args.segment, 0)]}))


if __name__ == "__main__":
    main()
