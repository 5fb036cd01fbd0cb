"""Emoji in another style: CycleGAN without pairs and pix2pix with them, both judged on true pairs.

Mean absolute difference, 0 to 255, on test pairs that no side has seen, with the 95 % interval of a
bootstrap over them, and by how much each picture came nearer to the truth than its source ("gain");
beside it what needs no model: the source as it is, and a white picture. The data are two folders of
pictures with the same names and a pairs.csv with the split.

    python -m benchmarks.translate --minutes 5
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import math
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.shared import data_folder
from genloom.core import Generative, Real
from genloom.learner import Learner, Micro, reseed
from genloom.memory import kept_pages
from genloom.models.cyclegan import CycleGan
from genloom.models.pix2pix import Pix2Pix
from genloom.nets.layout import channels_last, to_channels_last
from genloom.nets.translator import translator_players
from genloom.options import TrainOptions
from genloom.sampling import sample

SIDES = {"pix2pix": (Pix2Pix, True), "cyclegan": (CycleGan, False)}  # may it see the pairs?
ROUNDS = 2000  # of the bootstrap
TRIAL = 5  # steps that tell how many fit into the time


def pictures(folder: Path, size: int, split: str) -> tuple[Tensor, Tensor]:
    """Both sides of one split in [-1, 1], in the same order: (n, 3, size, size) each."""
    with (folder / "pairs.csv").open(encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] == split]
    sides = sorted(part for part in folder.iterdir() if part.is_dir())
    a, b = (torch.stack([_read(side / name, size) for name in names]) for side in sides)
    return a, b


def _read(path: Path, size: int) -> Tensor:
    with Image.open(path) as image:
        image = image.convert("RGB").resize((size, size), Image.Resampling.BOX)
        values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return values.view(size, size, 3).permute(2, 0, 1).float() / 127.5 - 1


def orders(n: int, visits: int, seed: int) -> Tensor:
    """So many visits to n rows, each pass in an order of its own: (visits,)."""
    stream = torch.Generator().manual_seed(seed)
    passes = [torch.randperm(n, generator=stream) for _ in range(-(-visits // n))]
    return torch.cat(passes)[:visits]


def run(
    model: Generative, a: Tensor, b: Tensor, options: TrainOptions, paired: bool, steps: int
) -> tuple[Generative, float]:
    """The averaged model, and seconds; without pairs the sources come in an order of their own."""
    learner, visits = Learner(model, options, steps), steps * options.batch
    rows = orders(len(b), visits, options.seed).view(steps, -1)
    others = rows if paired else orders(len(a), visits, options.seed + 1).view(steps, -1)
    start = time.perf_counter()
    for index, (i, j) in enumerate(zip(rows, others)):
        cond = {"source": channels_last(a[j])}
        figures = learner.step(index, [Micro(channels_last(b[i]), cond, 0, len(i), i)])
        if index % max(1, steps // 10) == 0:
            print(index, {k: round(v, 3) for k, v in figures.items()}, file=sys.stderr, flush=True)
    return learner.sampler(), time.perf_counter() - start


def train(
    model: Generative, a: Tensor, b: Tensor, paired: bool, args: argparse.Namespace
) -> tuple[Generative, int, float]:
    """The averaged model, its steps, and the seconds they took."""
    options = TrainOptions(**{**model.recommended, **args.train, "seed": args.seed})
    to_channels_last(model)
    steps: int = args.steps or 0
    for trial in () if steps else (1, TRIAL):  # the first run warms up
        _, seconds = run(copy.deepcopy(model), a, b, options, paired, trial)
        steps = math.ceil(60 * args.minutes * trial / seconds)
    averaged, seconds = run(model, a, b, options, paired, steps)
    return averaged, steps, seconds


def differences(x: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference of each pair of rows, as bytes: (n,)."""
    x, truth = ((v.clamp(-1, 1) * 127.5 + 127.5).round() for v in (x, truth))
    return (x - truth).abs().flatten(1).mean(1)


def interval(values: Tensor, seed: int) -> dict[str, Any]:
    """The mean, and its 95 % interval by bootstrap."""
    stream = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(values), (ROUNDS, len(values)), generator=stream)
    low, high = values[drawn].mean(1).quantile(torch.tensor([0.025, 0.975])).tolist()
    return {"mean": round(float(values.mean()), 2), "interval": [round(low, 2), round(high, 2)]}


def sheet(columns: Mapping[str, Tensor], path: Path) -> None:
    """One row a picture, one column a side; (n, 3, size, size) each."""
    rows = torch.cat([v.clamp(-1, 1) for v in columns.values()], 3)
    values = torch.cat(list(rows), 1).add(1).mul(127.5).round().byte().permute(1, 2, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.numpy()).save(path)


def arguments() -> argparse.Namespace:
    """What to run, and how long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="default: emoji-restyle of the shared data")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=5.0, help="for each family")
    parser.add_argument("--steps", type=int, help="in place of the minutes")
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--model", type=json.loads, default={}, help="options, as JSON")
    parser.add_argument("--net", type=json.loads, default={}, help="options, as JSON")
    parser.add_argument("--train", type=json.loads, default={}, help="options, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a picture of the first test pairs goes here")
    return parser.parse_args()


@kept_pages()
def main() -> None:
    """One JSON line a family, and one for what needs none."""
    args = arguments()
    torch.set_num_threads(args.threads)
    folder = args.data or data_folder("emoji-restyle")
    (a, b), (a_test, b_test) = (pictures(folder, args.size, part) for part in ("train", "test"))
    plain = {"source": a_test, "white": torch.ones_like(b_test)}
    columns = {"source": a_test}
    facts = {"benchmark": "translate", "size": args.size, "n": len(b_test), "seed": args.seed}
    for name, made in plain.items():
        found = interval(differences(made, b_test), args.seed)
        print(json.dumps({**facts, "side": name, **found}), flush=True)
    for name in args.sides:
        reseed(args.seed, 0, "weights")
        space = Real((3, args.size, args.size), levels=256)
        family, paired = SIDES[name]
        net = partial(translator_players, **args.net)
        model = family(space, {"source": space}, net=net, **args.model)
        model, steps, seconds = train(model, a, b, paired, args)
        made = sample(model, len(b_test), {"source": a_test}, seed=10**6)
        columns[name], errors = made, differences(made, b_test)
        line = {
            **facts,
            "side": name,
            **interval(errors, args.seed),
            "gain": interval(differences(a_test, b_test) - errors, args.seed),
            "train": interval(
                differences(sample(model, 105, {"source": a[:105]}), b[:105]), args.seed
            ),
            "steps": steps,
            "seconds": round(seconds, 1),
            "options": {"model": args.model, "net": args.net, "train": args.train},
        }
        print(json.dumps({**line, **machine()}), flush=True)
    if args.out is not None:
        sheet({k: v[:16] for k, v in {**columns, "truth": b_test}.items()}, args.out)


if __name__ == "__main__":
    main()
